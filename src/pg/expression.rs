//! Default expressions: whether they are constant or volatile, and what they give.

use std::ffi::CString;

use pgrx::{FromDatum, pg_sys};

use super::subtransaction;

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

    /// What the default gives now, as the current role and under its settings; `None` for NULL.
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

/// Whether the default of a column, its own or that of its domain, is volatile as it is written; `None` where there is
/// none. Nothing is evaluated.
pub fn has_volatile_default(relation: pg_sys::Oid, column: i16) -> Option<bool> {
    // SAFETY: the relation is open while its descriptor is read; the tree is only looked at.
    unsafe {
        let open = pg_sys::relation_open(relation, pg_sys::AccessShareLock as i32);
        let tree = pg_sys::build_column_default(open, column.into());
        pg_sys::relation_close(open, pg_sys::AccessShareLock as i32);
        (!tree.is_null()).then(|| pg_sys::contain_volatile_functions(tree))
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

/// A stored expression (`pg_node_tree`): the constant it is, if it is one other than NULL, or what it `computes`.
pub fn constant_of(tree: pg_sys::Datum, computes: bool) -> Option<pg_sys::Datum> {
    super::size::tree(tree);
    // SAFETY: the datum is a pg_node_tree, which reads like text.
    let node: *mut pg_sys::Node = unsafe {
        let text = CString::new(String::from_datum(tree, false)?).ok()?;
        pg_sys::stringToNode(text.as_ptr()).cast()
    };
    constant(node, computes)
}

/// The constant that a column without a default of its own takes from its domain, as [`constant_of`].
pub fn constant_of_domain(
    relation: pg_sys::Oid,
    column: i16,
    computes: bool,
) -> Option<pg_sys::Datum> {
    // SAFETY: the relation is open while its descriptor is read.
    let node = unsafe {
        let open = pg_sys::relation_open(relation, pg_sys::AccessShareLock as i32);
        let node = pg_sys::build_column_default(open, column.into());
        pg_sys::relation_close(open, pg_sys::AccessShareLock as i32);
        node
    };
    (!node.is_null())
        .then(|| constant(node, computes))
        .flatten()
}

/// The value of an expression that is a constant or, where it is to be computed, made of constants by the server's own
/// immutable functions and casts. Nothing of a user's is ever run here.
fn constant(node: *mut pg_sys::Node, computes: bool) -> Option<pg_sys::Datum> {
    // SAFETY: a node tree; its tags say what the nodes are.
    unsafe {
        let node = without_domain(node);
        if pgrx::is_a(node, pg_sys::NodeTag::T_Const) {
            return value_of(node.cast());
        }
        if !computes || !is_built_in(node) {
            return None;
        }
        // A valid default may still fail when it is evaluated: `varchar(3) DEFAULT 'too long'`.
        in_subtransaction(|| {
            let planned = pg_sys::expression_planner(node.cast());
            let constant = pg_sys::evaluate_expr(
                planned,
                pg_sys::exprType(node),
                pg_sys::exprTypmod(node),
                pg_sys::exprCollation(node),
            );
            value_of(constant.cast())
        })
        .flatten()
    }
}

/// The value that is made one of a domain, whose checks are not run for it.
unsafe fn without_domain(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as in `constant`.
    unsafe {
        while pgrx::is_a(node, pg_sys::NodeTag::T_CoerceToDomain) {
            node = (*node.cast::<pg_sys::CoerceToDomain>()).arg.cast();
        }
    }
    node
}

/// Whether the expression consists of constants and of the server's own immutable functions.
unsafe fn is_built_in(node: *mut pg_sys::Node) -> bool {
    if node.is_null() {
        return false;
    }
    let immutable = |function: pg_sys::Oid| {
        super::types::is_built_in(function)
            // SAFETY: looks up a system cache.
            && unsafe { pg_sys::func_volatile(function) } == pg_sys::PROVOLATILE_IMMUTABLE as std::ffi::c_char
    };
    // SAFETY: as in `constant`.
    unsafe {
        let all = |list: *mut pg_sys::List| {
            !list.is_null()
                && (0..(*list).length as usize)
                    .all(|i| is_built_in((*(*list).elements.add(i)).ptr_value.cast()))
        };
        match (*node).type_ {
            pg_sys::NodeTag::T_Const => {
                super::types::is_built_in((*node.cast::<pg_sys::Const>()).consttype)
            }
            pg_sys::NodeTag::T_RelabelType => {
                is_built_in((*node.cast::<pg_sys::RelabelType>()).arg.cast())
            }
            pg_sys::NodeTag::T_FuncExpr => {
                let call: *mut pg_sys::FuncExpr = node.cast();
                immutable((*call).funcid) && all((*call).args)
            }
            pg_sys::NodeTag::T_OpExpr => {
                let call: *mut pg_sys::OpExpr = node.cast();
                immutable(pg_sys::get_opcode((*call).opno)) && all((*call).args)
            }
            _ => false,
        }
    }
}

unsafe fn value_of(constant: *mut pg_sys::Const) -> Option<pg_sys::Datum> {
    // SAFETY: the caller passes a Const.
    unsafe { (!(*constant).constisnull).then_some((*constant).constvalue) }
}

/// The result of `body`; `None` if it raised an error about the values. A cancelled query or exhausted memory is not
/// ours to pass over.
fn in_subtransaction<T>(body: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    match subtransaction::run(body) {
        Ok(value) => Some(value),
        Err(error) if error.is_about_values() => None,
        Err(error) => error.rethrow(),
    }
}
