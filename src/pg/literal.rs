//! Calls of functions in the text of a statement.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::names::from_server;
use super::tree::items;
use super::{hook, script, text};
use crate::limits;

/// An argument as it is written: a literal, or an array of literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// NULL.
    Null,
    /// A string.
    Text(String),
    /// `ARRAY[…]` of strings.
    Texts(Vec<String>),
}

/// A call of a function, and nothing else.
pub struct Written {
    /// The statement, alone.
    pub text: String,
    /// The name of the function as it is written, part by part.
    pub name: Vec<String>,
    /// Its arguments, with the names that they are given by.
    pub arguments: Vec<(Option<String>, Literal)>,
    /// Whether the last one is given as VARIADIC.
    pub is_variadic: bool,
}

/// The statement that the client sent, if it is a SELECT or CALL of one function with literals, and nothing else. Raises the
/// errors of the parser.
pub fn of_client() -> Option<Written> {
    let is_call = |tree| matches!(tree, None | Some(pg_sys::NodeTag::T_CallStmt));
    let text = text::portal(limits::TEXT, is_call)?;
    if hook::depth() > 1 {
        return None;
    }
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next();
    if !word.is_some_and(|word| {
        ["select", "call"]
            .iter()
            .any(|w| w.eq_ignore_ascii_case(word))
    }) {
        return None;
    }
    let found = script::statements(&text);
    let [statement] = &found[..] else {
        return None;
    };
    // SAFETY: the parser made the tree, in memory that outlives this call.
    let (name, arguments, is_variadic) =
        unsafe { call(statement.tree()).and_then(|call| read(call)) }?;
    Some(Written {
        text,
        name,
        arguments,
        is_variadic,
    })
}

/// The call that a statement consists of.
unsafe fn call(tree: *mut pg_sys::Node) -> Option<*mut pg_sys::FuncCall> {
    // SAFETY: the tag says which struct a node is.
    unsafe {
        match (*tree).type_ {
            pg_sys::NodeTag::T_CallStmt => Some((*tree.cast::<pg_sys::CallStmt>()).funccall),
            pg_sys::NodeTag::T_SelectStmt => {
                let select: *mut pg_sys::SelectStmt = tree.cast();
                let lists = [
                    (*select).distinctClause,
                    (*select).fromClause,
                    (*select).groupClause,
                    (*select).windowClause,
                    (*select).valuesLists,
                    (*select).sortClause,
                    (*select).lockingClause,
                ];
                let nodes = [
                    (*select).whereClause,
                    (*select).havingClause,
                    (*select).limitOffset,
                    (*select).limitCount,
                    (*select).intoClause.cast(),
                    (*select).withClause.cast(),
                    (*select).larg.cast(),
                ];
                let is_plain = lists.iter().all(|list| list.is_null())
                    && nodes.iter().all(|node| node.is_null());
                let mut targets = items::<pg_sys::ResTarget>((*select).targetList);
                match (is_plain, targets.next(), targets.next()) {
                    (true, Some(target), None) => {
                        let value = (*target).val;
                        (!value.is_null() && (*value).type_ == pg_sys::NodeTag::T_FuncCall)
                            .then(|| value.cast())
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

type Read = (Vec<String>, Vec<(Option<String>, Literal)>, bool);

unsafe fn read(call: *mut pg_sys::FuncCall) -> Option<Read> {
    // SAFETY: as above; names are C strings.
    unsafe {
        if call.is_null()
            || !(*call).agg_order.is_null()
            || !(*call).agg_filter.is_null()
            || !(*call).over.is_null()
            || (*call).agg_star
            || (*call).agg_distinct
        {
            return None;
        }
        let name = items::<pg_sys::String>((*call).funcname).map(|part| string((*part).sval));
        let arguments = items::<pg_sys::Node>((*call).args).map(|node| argument(node));
        Some((
            name.collect(),
            arguments.collect::<Option<_>>()?,
            (*call).func_variadic,
        ))
    }
}

unsafe fn argument(node: *mut pg_sys::Node) -> Option<(Option<String>, Literal)> {
    // SAFETY: as above.
    unsafe {
        if (*node).type_ == pg_sys::NodeTag::T_NamedArgExpr {
            let named: *mut pg_sys::NamedArgExpr = node.cast();
            return Some((Some(string((*named).name)), literal((*named).arg.cast())?));
        }
        Some((None, literal(node)?))
    }
}

unsafe fn literal(node: *mut pg_sys::Node) -> Option<Literal> {
    // SAFETY: as above; what a constant holds begins with its tag.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_TypeCast => literal((*node.cast::<pg_sys::TypeCast>()).arg),
            pg_sys::NodeTag::T_A_Const => {
                let constant: *mut pg_sys::A_Const = node.cast();
                if (*constant).isnull {
                    return Some(Literal::Null);
                }
                let value = &(*constant).val;
                (value.node.type_ == pg_sys::NodeTag::T_String)
                    .then(|| Literal::Text(string(value.sval.sval)))
            }
            pg_sys::NodeTag::T_A_ArrayExpr => {
                let elements = (*node.cast::<pg_sys::A_ArrayExpr>()).elements;
                let text = |element| match literal(element)? {
                    Literal::Text(text) => Some(text),
                    _ => None,
                };
                let texts = items::<pg_sys::Node>(elements).map(text);
                Some(Literal::Texts(texts.collect::<Option<_>>()?))
            }
            _ => None,
        }
    }
}

unsafe fn string(text: *const std::ffi::c_char) -> String {
    // SAFETY: the parser's strings are nul-terminated.
    from_server(unsafe { CStr::from_ptr(text) }.to_bytes())
}
