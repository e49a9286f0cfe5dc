//! Columns that ALTER TABLE adds, and the types they get.

use pgrx::pg_sys;

use super::{AddedColumn, items, text};

#[allow(non_upper_case_globals, reason = "the server's names")]
pub unsafe fn added(column: *mut pg_sys::ColumnDef, if_not_exists: bool) -> AddedColumn {
    use pg_sys::ConstrType::*;
    // SAFETY: the caller passes a node of that type.
    unsafe {
        let mut added = AddedColumn {
            name: text((*column).colname).unwrap_or_default(),
            if_not_exists,
            not_null: (*column).is_not_null,
            is_numbered: is_serial((*column).typeName),
            data_type: data_type((*column).typeName),
            ..AddedColumn::default()
        };
        let mut default = (*column).raw_default;
        for constraint in items::<pg_sys::Constraint>((*column).constraints) {
            match (*constraint).contype {
                CONSTR_NOTNULL => added.not_null = true,
                CONSTR_DEFAULT => default = (*constraint).raw_expr,
                CONSTR_IDENTITY => added.is_numbered = true,
                CONSTR_GENERATED => added.is_generated = true,
                CONSTR_PRIMARY => added.is_primary_key = true,
                _ => {}
            }
        }
        if !default.is_null() {
            added.null_default = is_null(default);
            added.has_default = !added.null_default;
        }
        added
    }
}

/// Whether an expression is NULL, whatever type it is written with.
unsafe fn is_null(expression: *mut pg_sys::Node) -> bool {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*expression).type_ {
            T_A_Const => (*expression.cast::<pg_sys::A_Const>()).isnull,
            T_TypeCast => is_null((*expression.cast::<pg_sys::TypeCast>()).arg),
            _ => false,
        }
    }
}

/// `serial` and its kin are no types but ways to write a column.
unsafe fn is_serial(name: *mut pg_sys::TypeName) -> bool {
    // SAFETY: the caller passes a TypeName.
    let names: Vec<String> = unsafe {
        items::<pg_sys::String>((*name).names)
            .filter_map(|part| text((*part).sval))
            .collect()
    };
    let serials = [
        "serial",
        "serial2",
        "serial4",
        "serial8",
        "smallserial",
        "bigserial",
    ];
    matches!(names.as_slice(), [only] if serials.contains(&only.as_str()))
}

/// The type of that name with its modifier, if there is one.
pub unsafe fn data_type(name: *mut pg_sys::TypeName) -> Option<(pg_sys::Oid, i32)> {
    // SAFETY: the caller passes a TypeName; the tuple is released after its last use.
    unsafe {
        if name.is_null() || is_serial(name) {
            return None;
        }
        let mut modifier = -1;
        let tuple = pg_sys::LookupTypeName(std::ptr::null_mut(), name, &mut modifier, true);
        if tuple.is_null() {
            return None;
        }
        let id = pg_sys::typeTypeId(tuple);
        pg_sys::ReleaseSysCache(tuple);
        Some((id, modifier))
    }
}
