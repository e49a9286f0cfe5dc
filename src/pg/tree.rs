//! Parse trees of commands that can migrate a table, as far as they say which table or type they are about.

use pgrx::pg_sys;

/// What a command is about, by its parse tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A table, or an index of one.
    Relation(pg_sys::Oid),
    /// A type.
    Type(pg_sys::Oid),
}

/// The tables and types whose shape the command would change, before anything is locked.
///
/// Commands that commit in between (CONCURRENTLY) are left out: they could not keep the migration lock.
///
/// # Safety
/// `tree` must be a valid parse tree, or null.
pub unsafe fn migrated(tree: *mut pg_sys::Node) -> Vec<Target> {
    if tree.is_null() {
        return Vec::new();
    }
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*tree).type_ {
            pg_sys::NodeTag::T_AlterTableStmt => {
                let statement: *mut pg_sys::AlterTableStmt = tree.cast();
                let changes_shape = items::<pg_sys::AlterTableCmd>((*statement).cmds)
                    .any(|command| changes_shape((*command).subtype));
                if changes_shape {
                    relation((*statement).relation).into_iter().collect()
                } else {
                    Vec::new()
                }
            }
            pg_sys::NodeTag::T_IndexStmt => {
                let statement: *mut pg_sys::IndexStmt = tree.cast();
                if (*statement).concurrent {
                    return Vec::new();
                }
                relation((*statement).relation).into_iter().collect()
            }
            pg_sys::NodeTag::T_RenameStmt => {
                let statement: *mut pg_sys::RenameStmt = tree.cast();
                relation((*statement).relation).into_iter().collect()
            }
            pg_sys::NodeTag::T_DropStmt => {
                let statement: *mut pg_sys::DropStmt = tree.cast();
                let kinds = [
                    pg_sys::ObjectType::OBJECT_INDEX,
                    pg_sys::ObjectType::OBJECT_TABLE,
                ];
                if (*statement).concurrent || !kinds.contains(&(*statement).removeType) {
                    return Vec::new();
                }
                items::<pg_sys::List>((*statement).objects)
                    .filter_map(|name| relation(pg_sys::makeRangeVarFromNameList(name)))
                    .collect()
            }
            pg_sys::NodeTag::T_AlterEnumStmt => {
                let statement: *mut pg_sys::AlterEnumStmt = tree.cast();
                let name = pg_sys::makeTypeNameFromNameList((*statement).typeName);
                let id = pg_sys::LookupTypeNameOid(std::ptr::null_mut(), name, true);
                if id == pg_sys::Oid::INVALID {
                    Vec::new()
                } else {
                    vec![Target::Type(id)]
                }
            }
            _ => Vec::new(),
        }
    }
}

/// The table of CREATE INDEX CONCURRENTLY.
///
/// # Safety
/// `tree` must be a valid parse tree, or null.
pub unsafe fn indexed_concurrently(tree: *mut pg_sys::Node) -> Option<Target> {
    // SAFETY: the tag says which struct the node is.
    unsafe {
        if tree.is_null() || (*tree).type_ != pg_sys::NodeTag::T_IndexStmt {
            return None;
        }
        let statement: *mut pg_sys::IndexStmt = tree.cast();
        if (*statement).concurrent {
            relation((*statement).relation)
        } else {
            None
        }
    }
}

/// Subcommands of ALTER TABLE that leave every shape as it is need not wait for other migrations.
#[allow(non_upper_case_globals, reason = "the server's names")]
fn changes_shape(subcommand: pg_sys::AlterTableType::Type) -> bool {
    use pg_sys::AlterTableType::*;
    !matches!(
        subcommand,
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
            | AT_NoForceRowSecurity
            | AT_AttachPartition
            | AT_DetachPartition
            | AT_DetachPartitionFinalize
    )
}

/// The relation of that name, if there is one.
unsafe fn relation(name: *const pg_sys::RangeVar) -> Option<Target> {
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
    (id != pg_sys::Oid::INVALID).then_some(Target::Relation(id))
}

/// The elements of a list of nodes.
unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: a List has `length` elements; a null pointer is the empty list.
    let length = if list.is_null() {
        0
    } else {
        unsafe { (*list).length as usize }
    };
    (0..length).map(move |i| unsafe { (*(*list).elements.add(i)).ptr_value.cast() })
}
