//! The setting of the policy: anybody's, but for the value that takes a superuser, and that only where a superuser set it.

use std::ffi::CStr;

use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;

use super::{compat, session};
use crate::settings::Policy;

/// Its name.
pub const NAME: &CStr = c"electric.policy";

/// Defines the setting.
pub fn define(short: &'static CStr, long: &'static CStr, setting: &'static GucSetting<Policy>) {
    // SAFETY: the hook is guarded against panics.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
            NAME,
            short,
            long,
            setting,
            GucContext::Userset,
            GucFlags::default(),
            Some(check),
            None,
            None,
        );
    }
}

/// Refuses SET by others than superusers. What came by a configuration, or before the library was there to ask, is not
/// refused: it is asked for when it is used ([`is_own_choice`]).
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn check(
    value: *mut i32,
    _extra: *mut *mut std::ffi::c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes a valid pointer; the strings are allocated by the server.
    unsafe {
        if *value != Policy::Unrestricted.to_ordinal()
            || source != pg_sys::GucSource::PGC_S_SESSION
            || !pg_sys::IsTransactionState()
            || pg_sys::superuser()
        {
            return true;
        }
        pg_sys::GUC_check_errcode(crate::error::SqlState::InsufficientPrivilege.code());
        pg_sys::GUC_check_errmsg_string = pg_sys::pstrdup(
            c"permission denied to set electric.policy to \"unrestricted\"".as_ptr(),
        );
        pg_sys::GUC_check_errdetail_string =
            pg_sys::pstrdup(c"What replicas cannot follow takes a superuser.".as_ptr());
        false
    }
}

/// Whether a superuser set the value that is in force, in this session, and is at work in it now. A function's SET clause does
/// not count, nor SET LOCAL below one: whoever wrote the function is not who calls it.
pub fn is_own_choice() -> bool {
    let Some(setting) = compat::setting(NAME) else {
        return false;
    };
    // SAFETY: the server's own record of the setting, and the newest entry of its stack.
    let (source, role, by_function) = unsafe {
        let stack = (*setting).stack;
        let by_function = !stack.is_null() && (*stack).state == pg_sys::GucStackState::GUC_SAVE;
        ((*setting).source, (*setting).srole, by_function)
    };
    source == pg_sys::GucSource::PGC_S_SESSION
        && !by_function
        && session::is_superuser_role(role)
        && session::is_superuser_role(session::session_user())
        && session::is_superuser()
}
