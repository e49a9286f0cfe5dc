//! Default expressions: whether they are constant or volatile, and what they give.

use std::ffi::CString;

use pgrx::{FromDatum, pg_sys};

/// A column's default (its own, or that of its domain) as an expression tree.
pub struct Default {
    tree: *mut pg_sys::Expr,
    data_type: pg_sys::Oid,
    modifier: i32,
    collation: pg_sys::Oid,
}

impl Default {
    /// The default of a column, planned: domains' defaults included, constants folded.
    pub fn of(relation: pg_sys::Oid, column: i16) -> Option<Default> {
        // SAFETY: the relation is open while its descriptor is read.
        unsafe {
            let open = pg_sys::relation_open(relation, pg_sys::AccessShareLock as i32);
            let tree = pg_sys::build_column_default(open, column.into());
            let attribute = super::compat::attribute((*open).rd_att, column);
            let found = (!tree.is_null()).then(|| Default {
                tree: pg_sys::expression_planner(tree.cast()),
                data_type: (*attribute).atttypid,
                modifier: (*attribute).atttypmod,
                collation: (*attribute).attcollation,
            });
            pg_sys::relation_close(open, pg_sys::AccessShareLock as i32);
            found
        }
    }

    /// The column's type.
    pub fn data_type(&self) -> pg_sys::Oid {
        self.data_type
    }

    /// Whether each row gets a value of its own.
    pub fn is_volatile(&self) -> bool {
        // SAFETY: a planned expression.
        unsafe { pg_sys::contain_volatile_functions(self.tree.cast()) }
    }

    /// The constant that the default is, if it is one; `Some(None)` for NULL.
    pub fn constant(&self) -> Option<Option<pg_sys::Datum>> {
        // SAFETY: the node's tag says what it is.
        unsafe {
            if !pgrx::is_a(self.tree.cast(), pg_sys::NodeTag::T_Const) {
                return None;
            }
            let constant: *mut pg_sys::Const = self.tree.cast();
            Some((!(*constant).constisnull).then_some((*constant).constvalue))
        }
    }

    /// What the default gives now, as the caller and under the caller's settings; `None` for NULL.
    pub fn evaluate(&self) -> Option<pg_sys::Datum> {
        // SAFETY: a planned expression without variables; evaluate_expr returns a Const.
        unsafe {
            let constant: *mut pg_sys::Const =
                pg_sys::evaluate_expr(self.tree, self.data_type, self.modifier, self.collation)
                    .cast();
            (!(*constant).constisnull).then_some((*constant).constvalue)
        }
    }
}

/// The value that rows made before the column got when it was added; `None` where the server keeps none.
pub fn missing_value<T>(
    relation: pg_sys::Oid,
    column: i16,
    of: impl FnOnce(pg_sys::Datum, pg_sys::Oid) -> T,
) -> Option<T> {
    // SAFETY: the value belongs to the relation's descriptor and is used while the relation is open.
    unsafe {
        let open = pg_sys::relation_open(relation, pg_sys::AccessShareLock as i32);
        let attribute = super::compat::attribute((*open).rd_att, column);
        let mut null = true;
        let found = if (*attribute).atthasmissing {
            let value = pg_sys::getmissingattr((*open).rd_att, column.into(), &mut null);
            (!null).then(|| of(value, (*attribute).atttypid))
        } else {
            None
        };
        pg_sys::relation_close(open, pg_sys::AccessShareLock as i32);
        found
    }
}

/// A stored expression (`pg_node_tree`): the constant it is, if it is one other than NULL.
pub fn constant_of(tree: pg_sys::Datum) -> Option<pg_sys::Datum> {
    // SAFETY: the datum is a pg_node_tree, which reads like text.
    unsafe {
        let text = CString::new(String::from_datum(tree, false)?).ok()?;
        let node: *mut pg_sys::Expr = pg_sys::stringToNode(text.as_ptr()).cast();
        let planned = pg_sys::expression_planner(node);
        if !pgrx::is_a(planned.cast(), pg_sys::NodeTag::T_Const) {
            return None;
        }
        let constant: *mut pg_sys::Const = planned.cast();
        (!(*constant).constisnull).then_some((*constant).constvalue)
    }
}
