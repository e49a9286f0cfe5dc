//! Rows of tables whose name is somebody else's here: the apply worker passes them over instead of failing.
//!
//! The worker finds the table of a row by name, and fails where that is not a table with such columns, before it asks
//! whether the table follows at all. So where the publisher speaks of a table whose name the stream did not make here,
//! the worker is told of one of ours without columns instead, which does not follow: what comes for it is passed over.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use super::{compat, names, session, subscription};
use crate::error::Error;

/// Before the message of logical replication: `w`, two positions and a time.
const HEADER: usize = 25;

/// The library's table, with our function in it.
struct Wrapped {
    functions: pg_sys::WalReceiverFunctionsType,
    receive: pg_sys::walrcv_receive_fn,
}

thread_local! {
    static WRAPPED: RefCell<Option<Box<Wrapped>>> = const { RefCell::new(None) };
    static MESSAGE: RefCell<(bool, Vec<u8>)> = const { RefCell::new((false, Vec::new())) };
}

/// In an apply worker, has what it receives pass by us. Raises nothing, and calls nothing of the server's.
pub fn install() {
    if !subscription::in_worker() {
        return;
    }
    WRAPPED.with(|wrapped| {
        let Ok(mut wrapped) = wrapped.try_borrow_mut() else {
            return;
        };
        // SAFETY: reads and sets variables of this process. The box stays as long as the process.
        unsafe {
            let of_library = pg_sys::WalReceiverFunctions;
            if wrapped.is_some() || of_library.is_null() || compat::MySubscription.is_null() {
                return;
            }
            let mut functions = *of_library;
            let original = functions.walrcv_receive.replace(receive);
            let made = wrapped.insert(Box::new(Wrapped {
                functions,
                receive: original,
            }));
            pg_sys::WalReceiverFunctions = &raw mut made.functions;
        }
    });
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn receive(
    connection: *mut pg_sys::WalReceiverConn,
    buffer: *mut *mut c_char,
    socket: *mut pg_sys::pgsocket,
) -> c_int {
    let original = WRAPPED.with_borrow(|wrapped| wrapped.as_ref().and_then(|of| of.receive));
    let Some(original) = original else {
        return -1;
    };
    // SAFETY: the call that the worker made; a buffer that was received has as many bytes as the result says.
    unsafe {
        let length = pg_sys::ffi::pg_guard_ffi_boundary(|| original(connection, buffer, socket));
        let Some(size) = usize::try_from(length).ok().filter(|size| *size > HEADER) else {
            return length;
        };
        let received = std::slice::from_raw_parts((*buffer).cast::<u8>(), size);
        if received[0] != b'w' {
            return length;
        }
        match received[HEADER] {
            b'S' => MESSAGE.with_borrow_mut(|message| message.0 = true),
            b'E' => MESSAGE.with_borrow_mut(|message| message.0 = false),
            b'R' if is_passed_over(received) => {
                let another = another_table(received);
                return MESSAGE.with_borrow_mut(|message| {
                    message.1 = another;
                    *buffer = message.1.as_mut_ptr().cast();
                    c_int::try_from(message.1.len()).unwrap_or(-1)
                });
            }
            _ => {}
        }
        length
    }
}

/// Where the names in a message about a table begin: behind its id, and in a streamed transaction that of the transaction.
fn names_at() -> usize {
    let is_streamed = MESSAGE.with_borrow(|message| message.0);
    HEADER + 1 + if is_streamed { 8 } else { 4 }
}

fn another_table(received: &[u8]) -> Vec<u8> {
    let mut message = received[..names_at()].to_vec();
    message.extend_from_slice(b"electric\0blocked\0d\0\0");
    message
}

fn is_passed_over(received: &[u8]) -> bool {
    let mut texts = received
        .get(names_at()..)
        .unwrap_or_default()
        .splitn(3, |byte| *byte == 0)
        .map(names::from_server);
    let (Some(schema), Some(name)) = (texts.next(), texts.next()) else {
        return false;
    };
    // SAFETY: the worker may be between transactions; then this is one of its own, which writes nothing.
    let found = unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let is_outside = !pg_sys::IsTransactionState();
        if is_outside {
            pg_sys::StartTransactionCommand();
        }
        let found = look(&schema, &name);
        if is_outside {
            pg_sys::CommitTransactionCommand();
        }
        pg_sys::MemoryContextSwitchTo(context);
        found
    };
    match found {
        Ok(is_passed_over) => is_passed_over,
        Err(error) => {
            super::entry::warning(&error.message);
            false
        }
    }
}

/// Whether what the publisher sends for a table of that name has no place here. What is streamed is looked at before it is
/// applied: so a table that is not there may be on its way.
fn look(schema: &str, name: &str) -> Result<bool, Error> {
    use crate::follow::{block, role};
    use crate::store::stream;
    if role::ours()?.is_none() {
        return Ok(false);
    }
    if let Some(id) = names::relation_of(schema, name) {
        return Ok(!names::is_own_relation(id) && !block::is_streams(id)?);
    }
    if let Some(id) = names::type_of(schema, name) {
        return Ok(!stream::has_type(id)?);
    }
    let at = names::schema_of_name(schema);
    let is_closed = at != pg_sys::Oid::INVALID && !compat::may_create_in(at, session::user());
    let shown = electric_schema::names::qualified(schema, name);
    Ok(is_closed || block::all()?.contains(&shown))
}
