//! Parse trees of commands, as far as they say what will become of a table or a type. Nothing here locks anything.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use super::names::from_server;

/// A column that ALTER TABLE adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddedColumn {
    /// Its name.
    pub name: String,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT of its own.
    pub has_default: bool,
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
    /// ADD CONSTRAINT.
    AddConstraint(Option<String>),
    /// DROP CONSTRAINT.
    DropConstraint(String),
    /// ADD IDENTITY, DROP IDENTITY, SET GENERATED.
    ChangeIdentity(String),
    /// SET UNLOGGED.
    SetUnlogged,
    /// INHERIT, NO INHERIT.
    ChangeParents,
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
    /// A trigger or rule is put on a relation, or taken from it.
    Attachment(pg_sys::Oid),
    /// ALTER TYPE … ADD VALUE.
    AddLabel(pg_sys::Oid),
    /// Another change of a type: what is done to it, in words.
    ChangeType(pg_sys::Oid, &'static str),
    /// ALTER, RENAME or DROP of publications: what is done, in words, and their names.
    ChangePublications(&'static str, Vec<String>),
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
                T_CreateStmt => create_partition(tree.cast()),
                T_IndexStmt => {
                    let statement: *mut pg_sys::IndexStmt = tree.cast();
                    relation((*statement).relation).map(|relation| Statement::CreateIndex {
                        relation,
                        concurrently: (*statement).concurrent,
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
                T_CreateTrigStmt => {
                    let statement: *mut pg_sys::CreateTrigStmt = tree.cast();
                    relation((*statement).relation).map(Statement::Attachment)
                }
                T_RuleStmt => {
                    let statement: *mut pg_sys::RuleStmt = tree.cast();
                    relation((*statement).relation).map(Statement::Attachment)
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
                    type_id((*statement).typeName).map(|id| Statement::ChangeType(id, "alter"))
                }
                T_AlterPublicationStmt => {
                    let statement: *mut pg_sys::AlterPublicationStmt = tree.cast();
                    let names = text((*statement).pubname).into_iter().collect();
                    Some(Statement::ChangePublications("alter", names))
                }
                _ => None,
            }
        };
        read.unwrap_or(Statement::Other)
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
            .map(|command| action(command))
            .collect();
        Some(Statement::AlterTable { relation, actions })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn action(command: *mut pg_sys::AlterTableCmd) -> Action {
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
                Action::AddColumn(added_column((*command).def.cast(), (*command).missing_ok))
            }
            AT_DropColumn => Action::DropColumn(name()),
            AT_AlterColumnType => {
                let column: *mut pg_sys::ColumnDef = (*command).def.cast();
                Action::ChangeType {
                    column: name(),
                    to: column_type((*column).typeName),
                    using: !(*column).raw_default.is_null(),
                }
            }
            AT_SetNotNull => Action::SetNotNull(name()),
            AT_DropNotNull => Action::DropNotNull(name()),
            AT_AddConstraint => {
                let constraint: *mut pg_sys::Constraint = (*command).def.cast();
                Action::AddConstraint(text((*constraint).conname))
            }
            AT_DropConstraint => Action::DropConstraint(name()),
            AT_AddIdentity | AT_SetIdentity | AT_DropIdentity => Action::ChangeIdentity(name()),
            AT_SetUnLogged => Action::SetUnlogged,
            AT_AddInherit | AT_DropInherit => Action::ChangeParents,
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
unsafe fn added_column(column: *mut pg_sys::ColumnDef, if_not_exists: bool) -> AddedColumn {
    use pg_sys::ConstrType::*;
    // SAFETY: the caller passes a node of that type.
    unsafe {
        let mut added = AddedColumn {
            name: text((*column).colname).unwrap_or_default(),
            if_not_exists,
            not_null: (*column).is_not_null,
            has_default: !(*column).raw_default.is_null(),
            is_numbered: is_serial((*column).typeName),
            data_type: column_type((*column).typeName),
            ..AddedColumn::default()
        };
        for constraint in items::<pg_sys::Constraint>((*column).constraints) {
            match (*constraint).contype {
                CONSTR_NOTNULL => added.not_null = true,
                CONSTR_DEFAULT => added.has_default = true,
                CONSTR_IDENTITY => added.is_numbered = true,
                CONSTR_GENERATED => added.is_generated = true,
                CONSTR_PRIMARY => added.is_primary_key = true,
                _ => {}
            }
        }
        added
    }
}

/// `serial` and its kin are no types but ways to write a column.
unsafe fn is_serial(name: *mut pg_sys::TypeName) -> bool {
    // SAFETY: the caller passes a TypeName.
    let names: Vec<String> = unsafe {
        items::<pg_sys::String>((*name).names)
            .filter_map(|part| text((*part).sval))
            .collect()
    };
    let serials = [
        "serial",
        "serial2",
        "serial4",
        "serial8",
        "smallserial",
        "bigserial",
    ];
    matches!(names.as_slice(), [only] if serials.contains(&only.as_str()))
}

/// The type of that name with its modifier, if there is one.
unsafe fn column_type(name: *mut pg_sys::TypeName) -> Option<(pg_sys::Oid, i32)> {
    // SAFETY: the caller passes a TypeName; the tuple is released after its last use.
    unsafe {
        if name.is_null() || is_serial(name) {
            return None;
        }
        let mut modifier = -1;
        let tuple = pg_sys::LookupTypeName(std::ptr::null_mut(), name, &mut modifier, true);
        if tuple.is_null() {
            return None;
        }
        let id = pg_sys::typeTypeId(tuple);
        pg_sys::ReleaseSysCache(tuple);
        Some((id, modifier))
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
            OBJECT_DOMCONSTRAINT => {
                Statement::ChangeType(type_id((*statement).object.cast())?, "alter")
            }
            OBJECT_SCHEMA => Statement::RenameSchema(part()?),
            OBJECT_PUBLICATION => {
                let name: *mut pg_sys::String = (*statement).object.cast();
                Statement::ChangePublications("rename", text((*name).sval).into_iter().collect())
            }
            _ => return None,
        })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn set_schema(statement: *mut pg_sys::AlterObjectSchemaStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
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
            _ => None,
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
            OBJECT_TRIGGER | OBJECT_RULE => items::<pg_sys::List>(objects)
                .next()
                .filter(|name| (**name).length > 1)
                .and_then(|name| {
                    let owner = pg_sys::list_truncate(pg_sys::list_copy(name), (*name).length - 1);
                    relation(pg_sys::makeRangeVarFromNameList(owner))
                })
                .map(Statement::Attachment),
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
unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
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
