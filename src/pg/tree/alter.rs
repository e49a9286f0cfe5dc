//! ALTER TABLE, and what each of its subcommands does.

use pgrx::pg_sys;

use super::{Statement, column, constraint, items, relation, text};

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
    /// ENABLE or DISABLE TRIGGER ALL.
    AllTriggers,
    /// What leaves every shape as it is.
    Harmless,
    /// What only the effect can tell.
    Other,
}

pub unsafe fn alter_table(statement: *mut pg_sys::AlterTableStmt) -> Option<Statement> {
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
            AT_EnableTrigAll | AT_DisableTrigAll => Action::AllTriggers,
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
