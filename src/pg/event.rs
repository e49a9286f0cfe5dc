//! What an event trigger is called about.

use pgrx::pg_sys;

use super::tree::Statement;

/// An event of the server's DDL machinery.
pub struct Event {
    data: *mut pg_sys::EventTriggerData,
}

impl Event {
    /// The event that this call is about; `None` if the function was not called as an event trigger.
    ///
    /// # Safety
    /// `fcinfo` must be that of the running call.
    pub unsafe fn of(fcinfo: pg_sys::FunctionCallInfo) -> Option<Event> {
        // SAFETY: the context of a call is a node or null.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || !pgrx::is_a(context, pg_sys::NodeTag::T_EventTriggerData) {
                return None;
            }
            let data: *mut pg_sys::EventTriggerData = context.cast();
            super::text::fires((*(*data).parsetree).type_, (*data).tag);
            Some(Event { data })
        }
    }

    /// What the command does, by its parse tree.
    pub fn statement(&self) -> Statement {
        // SAFETY: the parse tree belongs to the running command.
        unsafe { Statement::read((*self.data).parsetree) }
    }

    /// Whether the command drops what depends on what it names.
    pub fn cascades(&self) -> bool {
        use pg_sys::NodeTag::*;
        // SAFETY: the parse tree belongs to the running command; the tag says which struct it is.
        let behavior = unsafe {
            let tree = (*self.data).parsetree;
            match (*tree).type_ {
                T_DropStmt => (*tree.cast::<pg_sys::DropStmt>()).behavior,
                T_DropOwnedStmt => (*tree.cast::<pg_sys::DropOwnedStmt>()).behavior,
                _ => return false,
            }
        };
        behavior == pg_sys::DropBehavior::DROP_CASCADE
    }
}

impl Event {
    /// Whether the command changes nothing of tables that the caller does not own: it refers to them, or gives and takes
    /// rights. Of what is not known to be so it is not said.
    pub fn merely_touches(&self) -> bool {
        use pg_sys::NodeTag::*;
        // SAFETY: the parse tree belongs to the running command; the tag says which struct it is.
        unsafe {
            let tree = (*self.data).parsetree;
            match (*tree).type_ {
                T_CreateStmt
                | T_CreateTableAsStmt
                | T_CreateForeignTableStmt
                | T_CreateTrigStmt
                | T_GrantStmt
                | T_ViewStmt
                | T_CommentStmt => true,
                T_AlterTableStmt => {
                    let alter = &*tree.cast::<pg_sys::AlterTableStmt>();
                    let cascades = |at: usize| {
                        let action = (*(*alter.cmds).elements.add(at)).ptr_value;
                        let action: *const pg_sys::AlterTableCmd = action.cast();
                        (*action).behavior == pg_sys::DropBehavior::DROP_CASCADE
                    };
                    let count = match alter.cmds.is_null() {
                        true => 0,
                        false => usize::try_from((*alter.cmds).length).unwrap_or(0),
                    };
                    alter.objtype == pg_sys::ObjectType::OBJECT_TABLE && !(0..count).any(cascades)
                }
                _ => false,
            }
        }
    }
}

/// The table that is about to be rewritten, and why (`AT_REWRITE_…` of the server); inside a `table_rewrite` trigger.
pub fn rewritten() -> Option<(pg_sys::Oid, i32)> {
    // SAFETY: both raise an error outside such a trigger.
    unsafe {
        let table = pgrx::direct_function_call::<pg_sys::Oid>(
            pg_sys::pg_event_trigger_table_rewrite_oid,
            &[],
        )?;
        let reason =
            pgrx::direct_function_call::<i32>(pg_sys::pg_event_trigger_table_rewrite_reason, &[])?;
        Some((table, reason))
    }
}
