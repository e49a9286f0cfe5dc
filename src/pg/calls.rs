//! What a stored expression calls, and what it is made of. Nothing of it is run, and nothing is looked up but the
//! server's own caches.

use std::ffi::{CString, c_void};

use pgrx::pg_sys::{self, NodeTag};

use super::{compat, types};

/// `pg_proc.dat` fixes it.
const NEXTVAL: pg_sys::Oid = pg_sys::Oid::from_u32(1574);

/// What a stored expression calls.
#[derive(Debug, Default)]
pub struct Calls {
    /// The functions, those behind operators and casts among them, but for `nextval` of a sequence that is named.
    pub functions: Vec<pg_sys::Oid>,
    /// The sequences that `nextval` names.
    pub sequences: Vec<pg_sys::Oid>,
    /// It asks for the time or for who is there, by a word of SQL's own such as CURRENT_TIMESTAMP.
    pub asks: bool,
    /// It has a part of which it is not known that it means the same everywhere: a subquery, a whole row, a parameter, a
    /// name of something in this database, or whatever a later version may bring.
    pub is_odd: bool,
}

impl Calls {
    /// What the expressions call that are stored as that text (`pg_node_tree`); what cannot be read is odd.
    pub fn of(tree: &str) -> Calls {
        let mut found = Calls::default();
        let Ok(text) = CString::new(tree) else {
            found.is_odd = true;
            return found;
        };
        // SAFETY: what the server wrote it reads; the tree is only looked at.
        unsafe {
            let node: *mut pg_sys::Node = pg_sys::stringToNode(text.as_ptr()).cast();
            found.is_odd = node.is_null();
            let mut left = vec![node];
            while let Some(node) = left.pop() {
                if !node.is_null() && found.look(node) {
                    left.extend(compat::expression_parts(node));
                }
            }
        }
        found
    }

    /// Adds what a node calls by itself. Gives whether to look at what it is made of, too.
    unsafe fn look(&mut self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: the caller passes a node of an analysed expression, whose tag says which struct it is.
        unsafe {
            let tag = (*node).type_;
            if !is_known(tag) {
                self.is_odd = true;
                return false;
            }
            match tag {
                NodeTag::T_Var => self.is_odd |= (*node.cast::<pg_sys::Var>()).varattno <= 0,
                NodeTag::T_Const => {
                    self.is_odd |= names_something_here(&*node.cast::<pg_sys::Const>());
                }
                NodeTag::T_SQLValueFunction => self.asks = true,
                NodeTag::T_FuncExpr => {
                    if let Some(sequence) = sequence_of(&*node.cast::<pg_sys::FuncExpr>()) {
                        self.sequences.push(sequence);
                        return false;
                    }
                }
                _ => {}
            }
            if gives_a_value(tag) && tag != NodeTag::T_Const {
                self.is_odd |= is_name_type(pg_sys::exprType(node));
            }
            let functions: *mut Vec<pg_sys::Oid> = &raw mut self.functions;
            pg_sys::check_functions_in_node(node, Some(note), functions.cast());
        }
        true
    }

    /// What either calls.
    pub fn and(mut self, other: Calls) -> Calls {
        self.functions.extend(other.functions);
        self.sequences.extend(other.sequences);
        self.asks |= other.asks;
        self.is_odd |= other.is_odd;
        self
    }
}

unsafe extern "C-unwind" fn note(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context is that of `look`. It raises nothing.
    unsafe { (*context.cast::<Vec<pg_sys::Oid>>()).push(function) };
    false
}

/// The nodes whose meaning lies in what they name: types and functions, all of which are looked at.
fn is_known(tag: NodeTag) -> bool {
    use NodeTag::*;
    gives_a_value(tag) || matches!(tag, T_List | T_CaseWhen | T_NamedArgExpr)
}

fn gives_a_value(tag: NodeTag) -> bool {
    use NodeTag::*;
    #[cfg(not(pre_pg16))]
    if tag == T_JsonIsPredicate {
        return true;
    }
    matches!(
        tag,
        T_Var
            | T_Const
            | T_FuncExpr
            | T_OpExpr
            | T_DistinctExpr
            | T_NullIfExpr
            | T_ScalarArrayOpExpr
            | T_BoolExpr
            | T_SubscriptingRef
            | T_FieldSelect
            | T_RelabelType
            | T_CoerceViaIO
            | T_ArrayCoerceExpr
            | T_CollateExpr
            | T_CaseExpr
            | T_CaseTestExpr
            | T_ArrayExpr
            | T_RowExpr
            | T_RowCompareExpr
            | T_CoalesceExpr
            | T_MinMaxExpr
            | T_SQLValueFunction
            | T_NullTest
            | T_BooleanTest
            | T_CoerceToDomain
            | T_CoerceToDomainValue
    )
}

/// Whether a constant is the name of something that only this database has for certain. The server's own relations,
/// functions and types have the same names everywhere.
fn names_something_here(constant: &pg_sys::Const) -> bool {
    if !is_name_type(constant.consttype) || constant.constisnull {
        return false;
    }
    let is_scalar = types::element_or_self(constant.consttype) == constant.consttype;
    let of_everybody = !matches!(
        constant.consttype,
        pg_sys::REGROLEOID | pg_sys::REGNAMESPACEOID
    );
    let id = pg_sys::Oid::from(constant.constvalue.value() as u32);
    !(is_scalar && of_everybody && types::is_built_in(id))
}

/// Whether values of the type are names of things in this database, or arrays of such.
fn is_name_type(id: pg_sys::Oid) -> bool {
    matches!(
        types::element_or_self(id),
        pg_sys::REGCLASSOID
            | pg_sys::REGCOLLATIONOID
            | pg_sys::REGCONFIGOID
            | pg_sys::REGDICTIONARYOID
            | pg_sys::REGNAMESPACEOID
            | pg_sys::REGOPEROID
            | pg_sys::REGOPERATOROID
            | pg_sys::REGPROCOID
            | pg_sys::REGPROCEDUREOID
            | pg_sys::REGROLEOID
            | pg_sys::REGTYPEOID
    )
}

/// The sequence, if the call is `nextval` of one that is named.
unsafe fn sequence_of(call: &pg_sys::FuncExpr) -> Option<pg_sys::Oid> {
    // SAFETY: the arguments of a call are a list of nodes.
    unsafe {
        if call.funcid != NEXTVAL || call.args.is_null() || (*call.args).length != 1 {
            return None;
        }
        let argument: *mut pg_sys::Node = (*(*call.args).elements).ptr_value.cast();
        if !pgrx::is_a(argument, NodeTag::T_Const) {
            return None;
        }
        let constant = &*argument.cast::<pg_sys::Const>();
        let is_name = constant.consttype == pg_sys::REGCLASSOID && !constant.constisnull;
        is_name.then(|| pg_sys::Oid::from(constant.constvalue.value() as u32))
    }
}
