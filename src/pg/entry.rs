//! The border to the server: SQL-callable functions, and errors that keep every field.
//!
//! An error that crosses pgrx's guard loses its object fields. So each function that Postgres calls is a bare frame
//! without anything to drop: it runs the guarded Rust body, which hands back either a datum or an `ErrorData`, and
//! throws the latter itself.

use std::ffi::CString;

use pgrx::pg_sys;

use super::reserve;
use super::value::Value;
use crate::error::Error;

/// What a guarded body hands to its bare frame; plain data, so that Postgres may jump over the frame.
#[derive(Clone, Copy)]
pub struct Outcome {
    datum: pg_sys::Datum,
    error: *mut pg_sys::ErrorData,
}

unsafe extern "C-unwind" {
    /// `elog.c`: throws a copy of the error. Declared here without pgrx's wrapper, which would catch it again.
    fn ThrowErrorData(edata: *mut pg_sys::ErrorData);
}

/// Runs `body` under pgrx's guard and turns its error into one that [`finish`] can throw.
///
/// # Safety
/// To be called only from a frame without destructors, as the guard demands.
pub unsafe fn guarded(body: impl FnOnce() -> Result<Datum, Error>) -> Outcome {
    // SAFETY: the caller promises the kind of frame that the guard needs.
    unsafe {
        pg_sys::panic::pgrx_extern_c_guard(move || match reserve::held(body) {
            Ok(Datum(datum)) => Outcome {
                datum,
                error: std::ptr::null_mut(),
            },
            Err(error) => {
                crate::error::raised(&error);
                Outcome {
                    datum: pg_sys::Datum::null(),
                    error: error_data(&error),
                }
            }
        })
    }
}

/// Returns the datum, or throws the error.
///
/// # Safety
/// To be called only from a frame without destructors: throwing jumps over it.
pub unsafe fn finish(outcome: Outcome) -> pg_sys::Datum {
    if !outcome.error.is_null() {
        // SAFETY: `error` was made by `error_data`; ThrowErrorData copies it. It asks who is on the stack of contexts, which
        // whoever catches the error puts back as it was.
        unsafe {
            if (*outcome.error).hide_ctx {
                pg_sys::error_context_stack = std::ptr::null_mut();
            }
            ThrowErrorData(outcome.error);
        }
    }
    outcome.datum
}

/// Throws what the server is told, at whatever level it says.
///
/// # Safety
/// No frame between the server's handler and this one may have a destructor that must run.
#[cfg_attr(test, allow(dead_code, reason = "the reserve of memory calls it"))]
pub(super) unsafe fn throw(error: &mut pg_sys::ErrorData) {
    // SAFETY: the caller promises that errors may jump over it; ThrowErrorData copies its argument.
    unsafe { ThrowErrorData(error) };
}

/// Raises an error from where none can be handed on, as the server's functions do. It loses its object fields.
pub fn raise(error: Error) -> ! {
    let code = pgrx::PgSqlErrorCode::from(error.sqlstate.code());
    let mut report = pg_sys::panic::ErrorReport::new(code, error.message, "electric");
    if let Some(detail) = error.detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = error.hint {
        report = report.set_hint(hint);
    }
    report.report(pgrx::PgLogLevel::ERROR);
    unreachable!("an error was reported")
}

/// Defines the SQL-callable C function `$name` around a Rust function `fn(&Call) -> Result<Datum, Error>`, with the types
/// that SQL declares it with.
macro_rules! entry {
    ($name:ident, $info:ident, $body:path, ($($argument:ident),*) -> $result:ident $(, $set:ident)?) => {
        #[doc = concat!("[`", stringify!($body), "`]")]
        ///
        /// # Safety
        /// For the server's function manager to call.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(
            fcinfo: pgrx::pg_sys::FunctionCallInfo,
        ) -> pgrx::pg_sys::Datum {
            // SAFETY: this frame holds nothing that has a destructor.
            unsafe {
                $crate::pg::entry::finish($crate::pg::entry::guarded(|| {
                    const SIGNATURE: $crate::pg::arguments::Signature = $crate::pg::arguments::Signature {
                        arguments: &[$(pgrx::pg_sys::$argument),*],
                        result: pgrx::pg_sys::$result,
                        is_set: stringify!($($set)?).len() > 0,
                    };
                    static DECLARED: $crate::pg::arguments::Signature = SIGNATURE;
                    $body(&$crate::pg::entry::Call::checked(fcinfo, &DECLARED)?)
                }))
            }
        }

        /// Tells the server that the function uses the version 1 calling convention.
        #[unsafe(no_mangle)]
        pub extern "C" fn $info() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const V1: pgrx::pg_sys::Pg_finfo_record =
                pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }
    };
}
pub(crate) use entry;

/// What a function gives back to SQL. Only what makes a value of a type makes one.
#[derive(Debug, Clone, Copy)]
pub struct Datum(pub(super) pg_sys::Datum);

/// One call from SQL.
pub struct Call {
    fcinfo: pg_sys::FunctionCallInfo,
    types: &'static [pg_sys::Oid],
}

impl Call {
    /// # Safety
    /// `fcinfo` must be the one of the running call, which has arguments of those types.
    pub(super) unsafe fn new(
        fcinfo: pg_sys::FunctionCallInfo,
        types: &'static [pg_sys::Oid],
    ) -> Self {
        Self { fcinfo, types }
    }

    /// What the server hands over.
    pub(super) fn fcinfo(&self) -> pg_sys::FunctionCallInfo {
        self.fcinfo
    }

    /// The types of the arguments.
    pub(super) fn types(&self) -> &'static [pg_sys::Oid] {
        self.types
    }

    /// Whether a trigger or an event trigger calls.
    pub(super) fn is_by_trigger(&self) -> bool {
        // SAFETY: the context of a call is a node or null.
        unsafe {
            let context = (*self.fcinfo).context;
            !context.is_null()
                && (pgrx::is_a(context, pg_sys::NodeTag::T_TriggerData)
                    || pgrx::is_a(context, pg_sys::NodeTag::T_EventTriggerData))
        }
    }

    /// The function that is called.
    pub fn called(&self) -> pg_sys::Oid {
        // SAFETY: fcinfo is that of the running call; the function manager fills in what it calls.
        unsafe {
            let info = (*self.fcinfo).flinfo;
            if info.is_null() {
                pg_sys::Oid::INVALID
            } else {
                (*info).fn_oid
            }
        }
    }

    /// What an event trigger is called about; `None` if the call is something else.
    pub fn event(&self) -> Option<crate::pg::event::Event> {
        // SAFETY: fcinfo is that of the running call.
        unsafe { crate::pg::event::Event::of(self.fcinfo) }
    }
}

/// `void`; also what a function that gives rows returns besides.
pub fn void() -> Datum {
    Datum(pg_sys::Datum::from(0))
}

/// A `text`.
pub fn text(value: &str) -> Datum {
    Datum(super::value::text(value))
}

/// A `text[]`.
pub fn texts(values: &[String]) -> Datum {
    Datum(
        Value::Texts(values)
            .datum()
            .unwrap_or(pg_sys::Datum::from(0)),
    )
}

/// A `bigint`.
pub fn number(value: i64) -> Datum {
    Datum(value.into())
}

/// A `boolean`.
pub fn truth(value: bool) -> Datum {
    Datum(value.into())
}

/// A `jsonb`, from JSON text.
pub fn jsonb(json: &str) -> Datum {
    Datum(super::jsonb::from_text(json))
}

fn copied(text: &str) -> *mut std::ffi::c_char {
    let text = CString::new(text.replace('\0', "")).unwrap_or_default();
    // SAFETY: pstrdup copies into the current memory context, which outlives the throw.
    unsafe { pg_sys::pstrdup(text.as_ptr()) }
}

fn optional(text: &Option<String>) -> *mut std::ffi::c_char {
    text.as_deref().map_or(std::ptr::null_mut(), copied)
}

fn error_data(error: &Error) -> *mut pg_sys::ErrorData {
    // SAFETY: palloc0 gives zeroed memory of the right size; all-zero is a valid ErrorData.
    unsafe {
        let data: *mut pg_sys::ErrorData = pg_sys::palloc0(size_of::<pg_sys::ErrorData>()).cast();
        (*data).elevel = pgrx::PgLogLevel::ERROR as i32;
        (*data).sqlerrcode = error.sqlstate.code();
        (*data).message = copied(&error.message);
        (*data).detail = optional(&error.detail);
        (*data).hint = optional(&error.hint);
        (*data).schema_name = optional(&error.schema);
        (*data).table_name = optional(&error.table);
        (*data).column_name = optional(&error.column);
        (*data).datatype_name = optional(&error.datatype);
        (*data).constraint_name = optional(&error.constraint);
        if let Some((text, character)) = &error.internal {
            (*data).internalquery = copied(text);
            (*data).internalpos = i32::try_from(*character).unwrap_or(0);
        }
        (*data).hide_ctx = error.hides_context;
        (*data).filename = c"electric".as_ptr();
        (*data).funcname = c"electric".as_ptr();
        data
    }
}

/// Sends a NOTICE to the client.
pub fn notice(message: &str) {
    pgrx::notice!("{message}");
}

/// Sends a WARNING to the client.
pub fn warning(message: &str) {
    pgrx::warning!("{message}");
}

/// Sends a WARNING with DETAIL and HINT to the client.
pub fn warning_in_full(message: &str, detail: &str, hint: &str) {
    pgrx::pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::ERRCODE_WARNING,
        message.to_owned(),
        "warning",
    )
    .set_detail(detail.to_owned())
    .set_hint(hint.to_owned())
    .report(pgrx::PgLogLevel::WARNING);
}

/// Sends a NOTICE with a hint to the client.
pub fn notice_with_hint(message: &str, hint: &str) {
    pgrx::pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        message.to_owned(),
        "notice",
    )
    .set_hint(hint.to_owned())
    .report(pgrx::PgLogLevel::NOTICE);
}

/// What a trigger fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// INSERT, and COPY.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
}

/// A call as a trigger.
pub struct Trigger {
    data: *mut pg_sys::TriggerData,
    /// The table that the trigger is on.
    pub table: pg_sys::Oid,
    /// What it fires for.
    pub write: Write,
    /// FOR EACH ROW.
    pub of_row: bool,
}

impl Trigger {
    /// What a trigger gives back: the row that is to be written, the old one for DELETE; null for statements.
    pub fn row(&self) -> Datum {
        // SAFETY: the data of the running call. Both are null for statements.
        unsafe {
            let row = if self.write == Write::Update {
                (*self.data).tg_newtuple
            } else {
                (*self.data).tg_trigtuple
            };
            Datum(pg_sys::Datum::from(row))
        }
    }

    /// The row that an AFTER INSERT row trigger fires for.
    pub fn inserted_row(&self) -> Option<super::heap::Row> {
        // SAFETY: tuple and descriptor live as long as the call.
        unsafe {
            let is_after = (*self.data).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK
                == pg_sys::TRIGGER_EVENT_AFTER;
            if !is_after || !self.of_row || self.write != Write::Insert {
                return None;
            }
            let descriptor = (*(*self.data).tg_relation).rd_att;
            Some(super::heap::Row::of((*self.data).tg_trigtuple, descriptor))
        }
    }
}

impl Call {
    /// The trigger that the call is; `None` if it is something else.
    pub fn trigger(&self) -> Option<Trigger> {
        // SAFETY: the context of a trigger call is TriggerData; the relation is open while its trigger runs.
        unsafe {
            let context = (*self.fcinfo).context;
            if context.is_null() || !pgrx::is_a(context, pg_sys::NodeTag::T_TriggerData) {
                return None;
            }
            let data: *mut pg_sys::TriggerData = context.cast();
            let write = match (*data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
                pg_sys::TRIGGER_EVENT_INSERT => Write::Insert,
                pg_sys::TRIGGER_EVENT_UPDATE => Write::Update,
                pg_sys::TRIGGER_EVENT_DELETE => Write::Delete,
                _ => Write::Truncate,
            };
            Some(Trigger {
                data,
                table: (*(*data).tg_relation).rd_id,
                write,
                of_row: (*data).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0,
            })
        }
    }

    /// Whether the call is part of a transaction that the caller began: not a CALL by itself.
    pub fn is_in_transaction(&self) -> bool {
        // SAFETY: the context of a CALL is a CallContext.
        unsafe {
            let context = (*self.fcinfo).context;
            context.is_null()
                || !pgrx::is_a(context, pg_sys::NodeTag::T_CallContext)
                || (*context.cast::<pg_sys::CallContext>()).atomic
        }
    }
}
