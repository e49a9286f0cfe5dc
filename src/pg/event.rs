//! What an event trigger is called about.

use std::ffi::CStr;

use pgrx::pg_sys;

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
            Some(Event {
                data: context.cast(),
            })
        }
    }

    /// The tables and types that the command would migrate.
    pub fn migrated(&self) -> Vec<super::tree::Target> {
        // SAFETY: the parse tree belongs to the running command.
        unsafe { super::tree::migrated((*self.data).parsetree) }
    }

    /// The table that CREATE INDEX CONCURRENTLY is about.
    pub fn indexed_concurrently(&self) -> Option<super::tree::Target> {
        // SAFETY: the parse tree belongs to the running command.
        unsafe { super::tree::indexed_concurrently((*self.data).parsetree) }
    }

    /// Whether the command drops this extension.
    pub fn drops_extension(&self, name: &str) -> bool {
        // SAFETY: the parse tree belongs to the running command; DROP EXTENSION lists its names as String nodes.
        unsafe {
            let tree = (*self.data).parsetree;
            if tree.is_null() || !pgrx::is_a(tree, pg_sys::NodeTag::T_DropStmt) {
                return false;
            }
            let statement: *mut pg_sys::DropStmt = tree.cast();
            if (*statement).removeType != pg_sys::ObjectType::OBJECT_EXTENSION
                || (*statement).objects.is_null()
            {
                return false;
            }
            let objects = (*statement).objects;
            (0..(*objects).length as usize).any(|i| {
                let node: *mut pg_sys::String = (*(*objects).elements.add(i)).ptr_value.cast();
                CStr::from_ptr((*node).sval).to_bytes() == name.as_bytes()
            })
        }
    }
}
