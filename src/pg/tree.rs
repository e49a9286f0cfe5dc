//! Parse trees of commands, as far as they say what will become of a table or a type. Nothing here locks anything.

use std::ffi::{CStr, c_char};
use std::ptr::null;

use pgrx::pg_sys;

use super::names::{self, from_server};

mod column;
mod constraint;
mod object;

pub use object::Object;

/// A column that ALTER TABLE adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddedColumn {
    /// Its name.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT of its own, other than NULL.
    pub has_default: bool,
    /// DEFAULT NULL.
    pub null_default: bool,
    /// Identity or serial.
    pub is_numbered: bool,
    /// GENERATED ALWAYS AS (…) STORED.
    pub is_generated: bool,
    /// PRIMARY KEY.
    pub is_primary_key: bool,
    /// Its type and modifier; `None` where the name is none of a type.
    pub data_type: Option<(pg_sys::Oid, i32)>,
}

/// A subcommand of ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// ADD COLUMN.
    AddColumn(AddedColumn),
    /// DROP COLUMN.
    DropColumn(String),
    /// ALTER COLUMN TYPE.
    ChangeType {
        /// The column.
        column: String,
        /// Its type and modifier to be.
        to: Option<(pg_sys::Oid, i32)>,
        /// USING.
        using: bool,
    },
    /// SET NOT NULL.
    SetNotNull(String),
    /// DROP NOT NULL.
    DropNotNull(String),
    /// ADD PRIMARY KEY.
    AddPrimaryKey,
    /// Another ADD CONSTRAINT, by the name that it has or will get.
    AddConstraint(String),
    /// DROP CONSTRAINT.
    DropConstraint(String),
    /// ADD IDENTITY, DROP IDENTITY, SET GENERATED.
    ChangeIdentity(String),
    /// SET UNLOGGED.
    SetUnlogged,
    /// INHERIT, with the parent; NO INHERIT.
    ChangeParents(Option<pg_sys::Oid>),
    /// REPLICA IDENTITY, by its letter in `pg_class`.
    ReplicaIdentity(u8),
    /// ATTACH PARTITION.
    Attach(pg_sys::Oid),
    /// DETACH PARTITION.
    Detach {
        /// The partition.
        partition: pg_sys::Oid,
        /// CONCURRENTLY, which commits in between.
        concurrently: bool,
    },
    /// DETACH PARTITION … FINALIZE.
    FinishDetach,
    /// What leaves every shape as it is.
    Harmless,
    /// What only the effect can tell.
    Other,
}

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
    /// TRUNCATE.
    Truncate(Vec<pg_sys::Oid>),
    /// Another change of an object, or of what hangs on it: triggers, rules and policies of a relation.
    Change(Object),
    /// Something is made in the schema of the extension, or moved there; its name, where the command makes one thing.
    CreateAmongOwn(Option<String>),
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

unsafe fn alter_table(statement: *mut pg_sys::AlterTableStmt) -> Option<Statement> {
    // SAFETY: the caller passes a node of that type.
    unsafe {
        let relation = relation((*statement).relation)?;
        let actions = items((*statement).cmds)
            .map(|command| action(command, relation))
            .collect();
        Some(Statement::AlterTable { relation, actions })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn action(command: *mut pg_sys::AlterTableCmd, table: pg_sys::Oid) -> Action {
    use pg_sys::AlterTableType::*;
    // SAFETY: the subtype says what `name` and `def` are.
    unsafe {
        let name = || text((*command).name).unwrap_or_default();
        let partition = || {
            let partition: *mut pg_sys::PartitionCmd = (*command).def.cast();
            relation((*partition).name)
        };
        match (*command).subtype {
            AT_AddColumn => {
                Action::AddColumn(column::added((*command).def.cast(), (*command).missing_ok))
            }
            AT_DropColumn => Action::DropColumn(name()),
            AT_AlterColumnType => {
                let column: *mut pg_sys::ColumnDef = (*command).def.cast();
                Action::ChangeType {
                    column: name(),
                    to: column::data_type((*column).typeName),
                    using: !(*column).raw_default.is_null(),
                }
            }
            AT_SetNotNull => Action::SetNotNull(name()),
            AT_DropNotNull => Action::DropNotNull(name()),
            AT_AddConstraint => {
                let constraint: *mut pg_sys::Constraint = (*command).def.cast();
                if (*constraint).contype == pg_sys::ConstrType::CONSTR_PRIMARY {
                    Action::AddPrimaryKey
                } else {
                    Action::AddConstraint(constraint::name(constraint, table))
                }
            }
            AT_DropConstraint => Action::DropConstraint(name()),
            AT_AddIdentity | AT_SetIdentity | AT_DropIdentity => Action::ChangeIdentity(name()),
            AT_SetUnLogged => Action::SetUnlogged,
            AT_AddInherit => Action::ChangeParents(relation((*command).def.cast())),
            AT_DropInherit => Action::ChangeParents(None),
            AT_ReplicaIdentity => {
                let identity: *mut pg_sys::ReplicaIdentityStmt = (*command).def.cast();
                Action::ReplicaIdentity((*identity).identity_type as u8)
            }
            AT_AttachPartition => partition().map_or(Action::Other, Action::Attach),
            AT_DetachPartition => {
                let detach: *mut pg_sys::PartitionCmd = (*command).def.cast();
                let concurrently = (*detach).concurrent;
                partition().map_or(Action::Other, |partition| Action::Detach {
                    partition,
                    concurrently,
                })
            }
            AT_DetachPartitionFinalize => Action::FinishDetach,
            AT_SetStatistics
            | AT_SetOptions
            | AT_ResetOptions
            | AT_SetStorage
            | AT_SetCompression
            | AT_ChangeOwner
            | AT_ClusterOn
            | AT_DropCluster
            | AT_SetAccessMethod
            | AT_SetTableSpace
            | AT_SetRelOptions
            | AT_ResetRelOptions
            | AT_EnableTrig
            | AT_EnableAlwaysTrig
            | AT_EnableReplicaTrig
            | AT_DisableTrig
            | AT_EnableTrigAll
            | AT_DisableTrigAll
            | AT_EnableTrigUser
            | AT_DisableTrigUser
            | AT_EnableRule
            | AT_EnableAlwaysRule
            | AT_EnableReplicaRule
            | AT_DisableRule
            | AT_EnableRowSecurity
            | AT_DisableRowSecurity
            | AT_ForceRowSecurity
            | AT_NoForceRowSecurity => Action::Harmless,
            _ => Action::Other,
        }
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn rename(statement: *mut pg_sys::RenameStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
        let to = text((*statement).newname)?;
        let part = || text((*statement).subname);
        Some(match (*statement).renameType {
            OBJECT_TABLE | OBJECT_INDEX | OBJECT_SEQUENCE | OBJECT_VIEW => {
                Statement::RenameRelation {
                    relation: relation((*statement).relation)?,
                    to,
                }
            }
            OBJECT_COLUMN => Statement::RenameColumn {
                relation: relation((*statement).relation)?,
                column: part()?,
                to,
            },
            OBJECT_TABCONSTRAINT => Statement::RenameConstraint {
                relation: relation((*statement).relation)?,
                constraint: part()?,
            },
            OBJECT_TYPE | OBJECT_DOMAIN => {
                Statement::ChangeType(type_id((*statement).object.cast())?, "rename")
            }
            OBJECT_DOMCONSTRAINT => Statement::AlterDomain(
                type_id((*statement).object.cast())?,
                DomainChange::OfConstraint(part()?),
            ),
            OBJECT_SCHEMA => Statement::RenameSchema(text((*statement).subname)?),
            OBJECT_PUBLICATION => {
                let name: *mut pg_sys::String = (*statement).object.cast();
                Statement::ChangePublications("rename", text((*name).sval).into_iter().collect())
            }
            kind => Statement::Change(object::named(
                kind,
                (*statement).relation,
                (*statement).object,
            )?),
        })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn set_schema(statement: *mut pg_sys::AlterObjectSchemaStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
        if text((*statement).newschema).is_some_and(|schema| names::is_own_schema(&schema)) {
            return Some(Statement::CreateAmongOwn(None));
        }
        match (*statement).objectType {
            OBJECT_TABLE | OBJECT_SEQUENCE | OBJECT_VIEW => Some(Statement::MoveRelation {
                relation: relation((*statement).relation)?,
                schema: text((*statement).newschema)?,
            }),
            OBJECT_TYPE | OBJECT_DOMAIN => {
                let id = type_id((*statement).object.cast())?;
                Some(Statement::ChangeType(id, "change the schema of"))
            }
            OBJECT_EXTENSION => {
                let name: *mut pg_sys::String = (*statement).object.cast();
                text((*name).sval).map(Statement::MoveExtension)
            }
            kind => object::named(kind, (*statement).relation, (*statement).object)
                .map(Statement::Change),
        }
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
unsafe fn relation(name: *const pg_sys::RangeVar) -> Option<pg_sys::Oid> {
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
