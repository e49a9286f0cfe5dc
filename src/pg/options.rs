//! The `electric.` options of CREATE TABLE and ALTER TABLE: read, and taken out before the server sees them.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::names::from_server;
use super::tree::items;

/// What an option says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `SET (electric.name = value)`; the value as a boolean, if it is one.
    Set(String, bool),
    /// `RESET (electric.name)`
    Reset(String),
}

/// The relation that a statement is about, and what to do once the server has done its part. Made in the server's
/// memory, so that it may outlive the frames of Rust.
pub struct Native {
    /// The statement without our options: a copy.
    pub statement: *mut pg_sys::PlannedStmt,
    relation: *mut pg_sys::RangeVar,
    /// Whether the table is to be electrified afterwards.
    pub enables: bool,
}

impl Native {
    /// The relation, if it is there.
    pub fn relation(&self) -> Option<pg_sys::Oid> {
        // SAFETY: the range variable belongs to the copy of the statement.
        let found = unsafe {
            pg_sys::RangeVarGetRelidExtended(
                self.relation,
                pg_sys::NoLock as i32,
                pg_sys::RVROption::RVR_MISSING_OK,
                None,
                std::ptr::null_mut(),
            )
        };
        (found != pg_sys::Oid::INVALID).then_some(found)
    }

    /// Whether CREATE TABLE would find that there is such a table: it looks into one schema only.
    pub fn is_made_already(&self) -> bool {
        // SAFETY: the range variable belongs to the copy of the statement, and has a name.
        unsafe {
            let schema = pg_sys::RangeVarGetCreationNamespace(self.relation);
            pg_sys::get_relname_relid((*self.relation).relname, schema) != pg_sys::Oid::INVALID
        }
    }

    /// Moves it to memory of the server's.
    pub fn into_server(self) -> *mut Native {
        // SAFETY: the size is that of the value, which is moved there.
        unsafe {
            let place: *mut Native = pg_sys::palloc(size_of::<Native>()).cast();
            place.write(self);
            place
        }
    }
}

/// Whether the statement has an option of ours.
///
/// # Safety
/// `statement` must be a utility statement.
pub unsafe fn mentioned(statement: *const pg_sys::PlannedStmt) -> bool {
    // SAFETY: the caller's promise; the lists are lists of options.
    unsafe { lists((*statement).utilityStmt).any(|list| first_of_ours(*list.0).is_some()) }
}

/// Takes our options out of a copy of the statement. Gives the copy, what the options said, in order, and whether the
/// statement makes a table only if there is none yet.
///
/// # Safety
/// `statement` must be a utility statement.
pub unsafe fn take(statement: *const pg_sys::PlannedStmt) -> (Native, Vec<Said>, bool) {
    use pg_sys::NodeTag::*;
    // SAFETY: the caller's promise; what is changed is the copy.
    unsafe {
        let copy: *mut pg_sys::PlannedStmt = pg_sys::copyObjectImpl(statement.cast()).cast();
        let tree = (*copy).utilityStmt;
        let mut said = Vec::new();
        for (list, resets) in lists(tree) {
            while let Some((at, option)) = first_of_ours(*list) {
                let name = text((*option).defname);
                said.push(if resets {
                    Said::Reset(name)
                } else {
                    let known = name == crate::native::OPTION;
                    Said::Set(name, known && pg_sys::defGetBoolean(option))
                });
                *list = pg_sys::list_delete_nth_cell(*list, at);
            }
        }
        let (relation, if_not_exists) = match (*tree).type_ {
            T_AlterTableStmt => ((*tree.cast::<pg_sys::AlterTableStmt>()).relation, false),
            T_CreateStmt => {
                let create: *mut pg_sys::CreateStmt = tree.cast();
                ((*create).relation, (*create).if_not_exists)
            }
            _ => {
                let create: *mut pg_sys::CreateTableAsStmt = tree.cast();
                ((*(*create).into).rel, (*create).if_not_exists)
            }
        };
        let native = Native {
            statement: copy,
            relation,
            enables: false,
        };
        (native, said, if_not_exists)
    }
}

/// The lists of options in a statement about tables, and whether each resets them.
#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn lists(tree: *mut pg_sys::Node) -> impl Iterator<Item = (*mut *mut pg_sys::List, bool)> {
    use pg_sys::AlterTableType::{AT_ResetRelOptions, AT_SetRelOptions};
    use pg_sys::NodeTag::*;
    let mut found: Vec<(*mut *mut pg_sys::List, bool)> = Vec::new();
    // SAFETY: the tag says which struct the node is. Nothing is allocated for statements that have no options.
    unsafe {
        match (*tree).type_ {
            T_AlterTableStmt => {
                let alter: *mut pg_sys::AlterTableStmt = tree.cast();
                if (*alter).objtype == pg_sys::ObjectType::OBJECT_TABLE {
                    for command in items::<pg_sys::AlterTableCmd>((*alter).cmds) {
                        let resets = match (*command).subtype {
                            AT_SetRelOptions => false,
                            AT_ResetRelOptions => true,
                            _ => continue,
                        };
                        found.push((std::ptr::addr_of_mut!((*command).def).cast(), resets));
                    }
                }
            }
            T_CreateStmt => {
                let create: *mut pg_sys::CreateStmt = tree.cast();
                if !(*create).options.is_null() {
                    found.push((std::ptr::addr_of_mut!((*create).options), false));
                }
            }
            T_CreateTableAsStmt => {
                let create: *mut pg_sys::CreateTableAsStmt = tree.cast();
                if (*create).objtype == pg_sys::ObjectType::OBJECT_TABLE {
                    found.push((std::ptr::addr_of_mut!((*(*create).into).options), false));
                }
            }
            _ => {}
        }
    }
    found.into_iter()
}

/// The first of our options in the list, and its position.
unsafe fn first_of_ours(list: *mut pg_sys::List) -> Option<(i32, *mut pg_sys::DefElem)> {
    // SAFETY: the caller gives a list of options.
    unsafe {
        (0..)
            .zip(items::<pg_sys::DefElem>(list))
            .find(|(_, option)| is_ours(*option))
    }
}

unsafe fn is_ours(option: *mut pg_sys::DefElem) -> bool {
    // SAFETY: the caller gives an option.
    unsafe {
        !(*option).defnamespace.is_null() && CStr::from_ptr((*option).defnamespace) == c"electric"
    }
}

unsafe fn text(text: *const std::ffi::c_char) -> String {
    // SAFETY: options have names.
    from_server(unsafe { CStr::from_ptr(text) }.to_bytes())
}
