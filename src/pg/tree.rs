//! Parse trees of commands, as far as they say what will become of a table or a type. Nothing here locks anything.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use pgrx::pg_sys;

use super::names::from_server;
use super::script;
use super::touched::Reach;

mod alter;
mod column;
mod constraint;
mod object;
mod rename;

use alter::alter_table;
pub use alter::{Action, AddedColumn};
pub use object::Object;
use rename::{rename, set_schema};

/// What ALTER DOMAIN does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainChange {
    /// DROP DEFAULT.
    DropDefault,
    /// SET NOT NULL.
    SetNotNull,
    /// DROP NOT NULL.
    DropNotNull,
    /// ADD CONSTRAINT.
    AddConstraint,
    /// DROP CONSTRAINT, RENAME CONSTRAINT.
    OfConstraint(String),
    /// What only the effect can tell.
    Other,
}

/// What a command will do, by its parse tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// ALTER TABLE, also spelled on indexes, sequences and views.
    AlterTable {
        /// The relation.
        relation: pg_sys::Oid,
        /// Its subcommands.
        actions: Vec<Action>,
    },
    /// CREATE TABLE … PARTITION OF.
    CreatePartition {
        /// The partitioned table.
        parent: pg_sys::Oid,
        /// The schema that the partition will be in.
        schema: String,
        /// The partition's name.
        name: String,
        /// Whether it is not UNLOGGED.
        is_logged: bool,
    },
    /// CREATE INDEX.
    CreateIndex {
        /// The table.
        relation: pg_sys::Oid,
        /// CONCURRENTLY, which commits in between.
        concurrently: bool,
        /// UNIQUE.
        unique: bool,
        /// Its columns; `None` where it has expressions or a predicate.
        columns: Option<Vec<String>>,
    },
    /// RENAME of a relation.
    RenameRelation {
        /// The relation.
        relation: pg_sys::Oid,
        /// Its name to be.
        to: String,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// The table.
        relation: pg_sys::Oid,
        /// The column.
        column: String,
        /// Its name to be.
        to: String,
    },
    /// RENAME CONSTRAINT.
    RenameConstraint {
        /// The table.
        relation: pg_sys::Oid,
        /// The constraint.
        constraint: String,
    },
    /// SET SCHEMA of a relation.
    MoveRelation {
        /// The relation.
        relation: pg_sys::Oid,
        /// The schema.
        schema: String,
    },
    /// DROP TABLE, DROP INDEX.
    DropRelations {
        /// The relations.
        relations: Vec<pg_sys::Oid>,
        /// CONCURRENTLY, which commits in between.
        concurrently: bool,
    },
    /// REINDEX.
    Reindex {
        /// The table or index; `None` for a schema or a database.
        relation: Option<pg_sys::Oid>,
        /// CONCURRENTLY, which commits in between, as it does for a schema or a database.
        concurrently: bool,
    },
    /// TRUNCATE.
    Truncate(Vec<pg_sys::Oid>),
    /// Another change of an object, or of what hangs on it: triggers, rules and policies of a relation.
    Change(Object),
    /// Something is made in the schema of the extension, or moved there; its name, where the command makes one thing.
    CreateAmongOwn(Option<String>),
    /// CREATE EVENT TRIGGER, with the function that it calls.
    CreateEventTrigger(pg_sys::Oid),
    /// ALTER EXTENSION … ADD, DROP.
    ChangeMembers(String),
    /// ALTER TYPE … ADD VALUE.
    AddLabel(pg_sys::Oid),
    /// Another change of a type: what is done to it, in words.
    ChangeType(pg_sys::Oid, &'static str),
    /// ALTER DOMAIN, but for what `ChangeType` has.
    AlterDomain(pg_sys::Oid, DomainChange),
    /// ALTER, RENAME or DROP of publications: what is done, in words, and their names.
    ChangePublications(&'static str, Vec<String>),
    /// DROP OWNED, with the roles.
    DropOwned(Vec<pg_sys::Oid>),
    /// RENAME of a schema.
    RenameSchema(String),
    /// SET SCHEMA of an extension.
    MoveExtension(String),
    /// DROP EXTENSION, with the names.
    DropExtensions(Vec<String>),
    /// Anything else.
    Other,
}

impl Statement {
    /// Whether it has ALTER COLUMN TYPE … USING.
    pub fn computes_values(&self) -> bool {
        match self {
            Statement::AlterTable { actions, .. } => actions
                .iter()
                .any(|action| matches!(action, Action::ChangeType { using: true, .. })),
            _ => false,
        }
    }

    /// Which relations it can change.
    pub fn reach(&self) -> Reach {
        let table = |id: pg_sys::Oid| super::relation::table_of_index(id).unwrap_or(id);
        match self {
            Statement::CreateIndex {
                relation,
                concurrently: true,
                ..
            } => Reach::Tables(vec![*relation]),
            Statement::DropRelations {
                relations,
                concurrently: true,
            } => Reach::Tables(relations.iter().copied().map(table).collect()),
            Statement::Reindex { relation: None, .. } => Reach::Anything,
            Statement::Reindex {
                relation: Some(relation),
                concurrently: true,
            } => Reach::Tables(vec![table(*relation)]),
            _ => Reach::Locked,
        }
    }

    /// What the parse tree says.
    ///
    /// # Safety
    /// `tree` must be a valid parse tree, or null.
    pub unsafe fn read(tree: *mut pg_sys::Node) -> Statement {
        use pg_sys::NodeTag::*;
        if tree.is_null() {
            return Statement::Other;
        }
        // SAFETY: the tag says which struct the node is.
        let read = unsafe {
            match (*tree).type_ {
                T_AlterTableStmt => alter_table(tree.cast()),
                T_CreateStmt => object::created(tree).or_else(|| create_partition(tree.cast())),
                T_IndexStmt => {
                    let statement: *mut pg_sys::IndexStmt = tree.cast();
                    relation((*statement).relation).map(|relation| Statement::CreateIndex {
                        relation,
                        concurrently: (*statement).concurrent,
                        unique: (*statement).unique,
                        columns: index_columns(statement),
                    })
                }
                T_RenameStmt => rename(tree.cast()),
                T_AlterObjectSchemaStmt => set_schema(tree.cast()),
                T_DropStmt => drop(tree.cast()),
                T_ReindexStmt => {
                    let statement: *mut pg_sys::ReindexStmt = tree.cast();
                    Some(Statement::Reindex {
                        relation: relation((*statement).relation),
                        concurrently: script::concurrently(statement).is_some(),
                    })
                }
                T_TruncateStmt => {
                    let statement: *mut pg_sys::TruncateStmt = tree.cast();
                    let relations = items((*statement).relations);
                    Some(Statement::Truncate(
                        relations.filter_map(|name| relation(name)).collect(),
                    ))
                }
                T_CreateTrigStmt => of((*tree.cast::<pg_sys::CreateTrigStmt>()).relation),
                T_RuleStmt => of((*tree.cast::<pg_sys::RuleStmt>()).relation),
                T_CreatePolicyStmt => of((*tree.cast::<pg_sys::CreatePolicyStmt>()).table),
                T_AlterPolicyStmt => of((*tree.cast::<pg_sys::AlterPolicyStmt>()).table),
                T_AlterSeqStmt => of((*tree.cast::<pg_sys::AlterSeqStmt>()).sequence),
                T_AlterFunctionStmt => {
                    let statement: *mut pg_sys::AlterFunctionStmt = tree.cast();
                    let function = (*statement).func.cast();
                    object::named((*statement).objtype, null(), function).map(Statement::Change)
                }
                T_AlterObjectDependsStmt => {
                    let statement: *mut pg_sys::AlterObjectDependsStmt = tree.cast();
                    let (on, object) = ((*statement).relation, (*statement).object);
                    object::named((*statement).objectType, on, object).map(Statement::Change)
                }
                T_AlterOwnerStmt => change_owner(tree.cast()),
                T_AlterEventTrigStmt => {
                    let statement: *mut pg_sys::AlterEventTrigStmt = tree.cast();
                    object::event_trigger((*statement).trigname).map(Statement::Change)
                }
                T_CreateEventTrigStmt => {
                    let name = (*tree.cast::<pg_sys::CreateEventTrigStmt>()).funcname;
                    let function = pg_sys::LookupFuncName(name, 0, null(), true);
                    (function != pg_sys::Oid::INVALID)
                        .then_some(Statement::CreateEventTrigger(function))
                }
                T_AlterExtensionContentsStmt => {
                    let statement: *mut pg_sys::AlterExtensionContentsStmt = tree.cast();
                    text((*statement).extname).map(Statement::ChangeMembers)
                }
                T_DropOwnedStmt => {
                    let roles = items((*tree.cast::<pg_sys::DropOwnedStmt>()).roles);
                    let roles = roles.map(|role| pg_sys::get_rolespec_oid(role, true));
                    Some(Statement::DropOwned(roles.collect()))
                }
                T_AlterEnumStmt => {
                    let statement: *mut pg_sys::AlterEnumStmt = tree.cast();
                    type_id((*statement).typeName).map(|id| {
                        if (*statement).oldVal.is_null() {
                            Statement::AddLabel(id)
                        } else {
                            Statement::ChangeType(id, "rename a value of")
                        }
                    })
                }
                T_AlterDomainStmt => {
                    let statement: *mut pg_sys::AlterDomainStmt = tree.cast();
                    let change = domain_change(statement);
                    type_id((*statement).typeName).map(|id| Statement::AlterDomain(id, change))
                }
                T_AlterPublicationStmt => {
                    let statement: *mut pg_sys::AlterPublicationStmt = tree.cast();
                    let names = text((*statement).pubname).into_iter().collect();
                    Some(Statement::ChangePublications("alter", names))
                }
                _ => object::created(tree),
            }
        };
        read.unwrap_or(Statement::Other)
    }
}

unsafe fn index_columns(statement: *mut pg_sys::IndexStmt) -> Option<Vec<String>> {
    // SAFETY: the caller passes a node of that type; its parameters are IndexElem nodes.
    unsafe {
        if !(*statement).whereClause.is_null() {
            return None;
        }
        items::<pg_sys::IndexElem>((*statement).indexParams)
            .map(|element| text((*element).name))
            .collect()
    }
}

/// A change of what hangs on a relation.
unsafe fn of(name: *const pg_sys::RangeVar) -> Option<Statement> {
    // SAFETY: a RangeVar of the parse tree.
    let id = unsafe { relation(name) };
    id.map(|id| Statement::Change(Object::relation(id)))
}

unsafe fn domain_change(statement: *mut pg_sys::AlterDomainStmt) -> DomainChange {
    // SAFETY: the caller passes a node of that type; the letters are those of the grammar.
    unsafe {
        match (*statement).subtype as u8 {
            b'T' if (*statement).def.is_null() => DomainChange::DropDefault,
            b'O' => DomainChange::SetNotNull,
            b'N' => DomainChange::DropNotNull,
            b'C' => DomainChange::AddConstraint,
            b'X' => DomainChange::OfConstraint(text((*statement).name).unwrap_or_default()),
            _ => DomainChange::Other,
        }
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn change_owner(statement: *mut pg_sys::AlterOwnerStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
        let (kind, object) = ((*statement).objectType, (*statement).object);
        if kind == OBJECT_PUBLICATION {
            let name: *mut pg_sys::String = object.cast();
            let names = text((*name).sval).into_iter().collect();
            return Some(Statement::ChangePublications("change the owner of", names));
        }
        object::named(kind, (*statement).relation, object).map(Statement::Change)
    }
}

unsafe fn create_partition(statement: *mut pg_sys::CreateStmt) -> Option<Statement> {
    // SAFETY: the caller passes a node of that type; nothing is locked.
    unsafe {
        if (*statement).partbound.is_null() {
            return None;
        }
        let name = (*statement).relation;
        let parent = relation(items((*statement).inhRelations).next()?)?;
        let schema = match text((*name).schemaname) {
            Some(schema) => schema,
            None => super::names::schema_name(pg_sys::RangeVarGetCreationNamespace(name))?,
        };
        Some(Statement::CreatePartition {
            parent,
            schema,
            name: text((*name).relname)?,
            is_logged: (*name).relpersistence as u8 != b'u',
        })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn drop(statement: *mut pg_sys::DropStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the list holds.
    unsafe {
        let objects = (*statement).objects;
        let names = || {
            items::<pg_sys::String>(objects)
                .filter_map(|name| text((*name).sval))
                .collect()
        };
        match (*statement).removeType {
            OBJECT_TABLE | OBJECT_INDEX => Some(Statement::DropRelations {
                relations: items::<pg_sys::List>(objects)
                    .filter_map(|name| relation(pg_sys::makeRangeVarFromNameList(name)))
                    .collect(),
                concurrently: (*statement).concurrent,
            }),
            // The name of what hangs on a relation comes after that of the relation.
            OBJECT_TRIGGER | OBJECT_RULE | OBJECT_POLICY => items::<pg_sys::List>(objects)
                .next()
                .filter(|name| (**name).length > 1)
                .and_then(|name| {
                    let owner = pg_sys::list_truncate(pg_sys::list_copy(name), (*name).length - 1);
                    relation(pg_sys::makeRangeVarFromNameList(owner))
                })
                .map(|id| Statement::Change(Object::relation(id))),
            OBJECT_PUBLICATION => Some(Statement::ChangePublications("drop", names())),
            OBJECT_EXTENSION => Some(Statement::DropExtensions(names())),
            _ => None,
        }
    }
}

/// The type of that qualified name.
unsafe fn type_id(name: *mut pg_sys::List) -> Option<pg_sys::Oid> {
    // SAFETY: a list of String nodes; nothing is locked.
    let id = unsafe {
        let name = pg_sys::makeTypeNameFromNameList(name);
        pg_sys::LookupTypeNameOid(std::ptr::null_mut(), name, true)
    };
    (id != pg_sys::Oid::INVALID).then_some(id)
}

/// The relation of that name, if there is one.
pub(super) unsafe fn relation(name: *const pg_sys::RangeVar) -> Option<pg_sys::Oid> {
    if name.is_null() {
        return None;
    }
    // SAFETY: a RangeVar of the parse tree; nothing is locked.
    let id = unsafe {
        pg_sys::RangeVarGetRelidExtended(
            name,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    };
    (id != pg_sys::Oid::INVALID).then_some(id)
}

unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: a C string of the parse tree, or null.
    (!text.is_null()).then(|| from_server(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

/// The elements of a list of nodes.
///
/// # Safety
/// `list` must be a list of nodes of that type, or null for the empty one.
pub unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    let length = if list.is_null() {
        0
    } else {
        // SAFETY: the caller passes a List, or null for the empty one.
        unsafe { (*list).length as usize }
    };
    (0..length).map(move |i| {
        // SAFETY: a List has `length` elements.
        unsafe { (*(*list).elements.add(i)).ptr_value.cast() }
    })
}
