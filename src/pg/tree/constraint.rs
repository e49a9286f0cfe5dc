//! The name that a constraint will have: the server chooses one where the command gives none.

use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

use pgrx::pg_sys;

use super::{items, text};
use crate::pg::{compat, relation};

/// How long names get before the server shortens what it makes of them.
const LONGEST: usize = pg_sys::NAMEDATALEN as usize;

unsafe extern "C-unwind" {
    /// `pg_constraint.c`; the bindings leave it out.
    fn ChooseConstraintName(
        table: *const c_char,
        columns: *const c_char,
        label: *const c_char,
        schema: pg_sys::Oid,
        others: *mut pg_sys::List,
    ) -> *mut c_char;

    /// `parse_target.c`; the bindings leave it out.
    fn FigureIndexColname(expression: *mut pg_sys::Node) -> *mut c_char;
}

/// The constraint's name, or the one that the server will choose.
pub unsafe fn name(constraint: *mut pg_sys::Constraint, table: pg_sys::Oid) -> String {
    // SAFETY: the caller passes a node of that type.
    unsafe {
        text((*constraint).conname)
            .or_else(|| text((*constraint).indexname))
            .or_else(|| chosen(constraint, table))
            .unwrap_or_default()
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn chosen(constraint: *mut pg_sys::Constraint, table: pg_sys::Oid) -> Option<String> {
    use pg_sys::ConstrType::*;
    let class = relation::class(table)?;
    let table = CString::new(class.name).ok()?;
    // SAFETY: the kind of constraint says which lists it has; both functions look up the catalog and give a C string.
    unsafe {
        let strings = |list| {
            items::<pg_sys::String>(list)
                .filter_map(|name| text((*name).sval))
                .collect::<Vec<String>>()
        };
        let of_index = |columns: &[String], label: &std::ffi::CStr| {
            let columns = CString::new(joined(columns)).ok()?;
            text(pg_sys::ChooseRelationName(
                table.as_ptr(),
                columns.as_ptr(),
                label.as_ptr(),
                class.schema,
                true,
            ))
        };
        let of_constraint = |columns: Option<String>, label: &std::ffi::CStr| {
            let columns = columns.and_then(|columns| CString::new(columns).ok());
            text(ChooseConstraintName(
                table.as_ptr(),
                columns
                    .as_deref()
                    .map_or(null(), |columns| columns.as_ptr()),
                label.as_ptr(),
                class.schema,
                null_mut(),
            ))
        };
        match (*constraint).contype {
            CONSTR_UNIQUE => of_index(&strings((*constraint).keys), c"key"),
            CONSTR_EXCLUSION => of_index(&excluded((*constraint).exclusions), c"excl"),
            CONSTR_FOREIGN => {
                of_constraint(Some(joined(&strings((*constraint).fk_attrs))), c"fkey")
            }
            CONSTR_CHECK => of_constraint(only_column((*constraint).raw_expr), c"check"),
            _ => None,
        }
    }
}

/// The names of columns as they are strung together in a name.
fn joined(columns: &[String]) -> String {
    let mut name = String::new();
    for column in columns {
        if !name.is_empty() {
            name.push('_');
        }
        name.push_str(column);
        if name.len() >= LONGEST {
            break;
        }
    }
    name
}

/// What EXCLUDE goes by, in pairs with an operator.
unsafe fn excluded(pairs: *mut pg_sys::List) -> Vec<String> {
    // SAFETY: a list of lists, each with an IndexElem and the name of an operator.
    unsafe {
        items::<pg_sys::List>(pairs)
            .filter_map(|pair| items::<pg_sys::IndexElem>(pair).next())
            .map(|element| {
                if let Some(name) = text((*element).name) {
                    return name;
                }
                let expression = (*element).expr;
                let name = pg_sys::ffi::pg_guard_ffi_boundary(|| FigureIndexColname(expression));
                text(name).unwrap_or_else(|| "expr".to_owned())
            })
            .collect()
    }
}

/// The column that an expression names, if it names a single one.
unsafe fn only_column(expression: *mut pg_sys::Node) -> Option<String> {
    let mut columns: Vec<String> = Vec::new();
    let mut left = vec![expression];
    while let Some(node) = left.pop() {
        // SAFETY: an expression as the parser left it; the tag says which struct a node is.
        unsafe {
            if node.is_null() {
                continue;
            }
            if (*node).type_ != pg_sys::NodeTag::T_ColumnRef {
                left.extend(compat::raw_parts(node));
                continue;
            }
            let fields = (*node.cast::<pg_sys::ColumnRef>()).fields;
            if let Some(last) = items::<pg_sys::Node>(fields).last()
                && (*last).type_ == pg_sys::NodeTag::T_String
                && let Some(name) = text((*last.cast::<pg_sys::String>()).sval)
            {
                columns.push(name);
            }
        }
    }
    columns.dedup();
    match columns.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}
