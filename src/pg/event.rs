//! What an event trigger is called about, and by which one.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::heap::{self, Key};
use super::known::Known;
use super::names;
use super::touched::Command;
use super::tree::{self, Statement};

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

    /// Whether it is the event of that name.
    pub fn is(&self, name: &CStr) -> bool {
        // SAFETY: the server fills in a constant C string.
        unsafe { CStr::from_ptr((*self.data).event) == name }
    }

    /// The command, to tell it from others that run.
    pub fn command(&self) -> Command {
        // SAFETY: reads a pointer.
        Command::of(unsafe { (*self.data).parsetree })
    }

    /// What the command does, by its parse tree.
    pub fn statement(&self) -> Statement {
        // SAFETY: the parse tree belongs to the running command.
        unsafe { Statement::read((*self.data).parsetree) }
    }

    /// The table whose triggers ALTER TABLE enables or disables, if it does.
    #[allow(non_upper_case_globals, reason = "the server's names")]
    pub fn triggers_changed(&self) -> Option<TriggersChanged> {
        use pg_sys::AlterTableType::*;
        // SAFETY: the parse tree belongs to the running command; its tag says which struct it is. Whatever it names is
        // locked by the command.
        unsafe {
            let tree = (*self.data).parsetree;
            if !pgrx::is_a(tree, pg_sys::NodeTag::T_AlterTableStmt) {
                return None;
            }
            let statement: *mut pg_sys::AlterTableStmt = tree.cast();
            let kinds: Vec<_> = tree::items::<pg_sys::AlterTableCmd>((*statement).cmds)
                .map(|command| (*command).subtype)
                .collect();
            let enables = |kind| {
                matches!(
                    kind,
                    AT_EnableTrig | AT_EnableReplicaTrig | AT_EnableTrigAll | AT_EnableTrigUser
                )
            };
            let disables = |kind| {
                matches!(
                    kind,
                    AT_DisableTrig | AT_DisableTrigAll | AT_DisableTrigUser
                )
            };
            let disables = kinds.iter().any(|kind| disables(*kind));
            if !disables && !kinds.iter().any(|kind| enables(*kind)) {
                return None;
            }
            Some(TriggersChanged {
                table: tree::relation((*statement).relation)?,
                disables,
            })
        }
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

/// ALTER TABLE … ENABLE TRIGGER or DISABLE TRIGGER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggersChanged {
    /// The table.
    pub table: pg_sys::Oid,
    /// Whether some are disabled.
    pub disables: bool,
}

/// Who has a function of ours called as an event trigger. The server does not say which one it is that fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Ours alone.
    Own,
    /// One that is not the extension's, perhaps.
    Other(pg_sys::Oid),
    /// No event trigger does.
    Nobody,
}

/// Who has that function called.
pub fn caller(function: pg_sys::Oid) -> Caller {
    thread_local!(static CALLERS: Known<pg_sys::Oid, Caller> = const { Known::new() });
    CALLERS.with(|known| known.find(function, || look_up(function)))
}

fn look_up(function: pg_sys::Oid) -> Caller {
    let triggers = heap::scan(
        pg_sys::EventTriggerRelationId,
        pg_sys::Oid::INVALID,
        &[Key::oid(pg_sys::Anum_pg_event_trigger_evtfoid, function)],
        |row| {
            let is_enabled = row.char(pg_sys::Anum_pg_event_trigger_evtenabled) != b'D';
            is_enabled.then(|| row.oid(pg_sys::Anum_pg_event_trigger_oid))
        },
    );
    let triggers: Vec<pg_sys::Oid> = triggers.into_iter().flatten().collect();
    let is_other = |id: &&pg_sys::Oid| !names::is_own(pg_sys::EventTriggerRelationId, **id);
    match triggers.iter().find(is_other) {
        Some(other) => Caller::Other(*other),
        None if triggers.is_empty() => Caller::Nobody,
        None => Caller::Own,
    }
}

/// Whether this transaction made event triggers of ours, or changed them: then commands may end whose start none of them
/// has seen.
pub fn are_new() -> bool {
    let none = pg_sys::Oid::INVALID;
    let triggers = heap::scan(pg_sys::EventTriggerRelationId, none, &[], |row| {
        (row.oid(pg_sys::Anum_pg_event_trigger_oid), row.xmin())
    });
    triggers.into_iter().any(|(id, xmin)| {
        // SAFETY: looks at the transaction's own ids.
        let is_new = unsafe { pg_sys::TransactionIdIsCurrentTransactionId(xmin) };
        is_new && names::is_own(pg_sys::EventTriggerRelationId, id)
    })
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
