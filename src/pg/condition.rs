//! Conditions of grants and assignments, parsed and analysed by the server itself, never run.
//!
//! Analysis may call functions of whoever wrote the condition: a literal of a domain is checked by the domain's CHECK. So
//! it happens once, as the role that grants. Later only the names in the text are read ([`names`]).

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

use pgrx::pg_sys;

use super::names::from_server;
use super::subtransaction::{self, Caught};

/// What each client knows of itself, as `AUTH.user_id` and `AUTH.claims`: an id, which takes the type that it is compared with, and what
/// its token claims.
const AUTH: &[(&str, pg_sys::Oid)] = &[
    ("user_id", pg_sys::UNKNOWNOID),
    ("claims", pg_sys::JSONBOID),
];

/// Why a text is no condition of a table.
pub enum Problem {
    /// The server says so.
    Server(Box<Caught>),
    /// It is not one expression.
    Syntax,
    /// It looks into other rows.
    Subquery,
    /// AUTH has no such field.
    Auth(String),
    /// It is nested deeper than [`DEPTH`].
    TooDeep,
}

/// So deep may a condition be nested, in parentheses or in meaning: whoever reads it later need not be as patient as the
/// server.
pub const DEPTH: usize = 100;

/// A problem, and the character of the text at which it is, from 1; 0 where that is not known.
pub struct Refused {
    /// What is wrong.
    pub problem: Problem,
    /// Where.
    pub position: usize,
}

thread_local! {
    /// The place of the error that passes, in characters of the statement.
    static POSITION: Cell<i32> = const { Cell::new(0) };
    /// The first field of AUTH that there is not, and its place in bytes of the statement.
    static MISSING: RefCell<Option<(String, i32)>> = const { RefCell::new(None) };
}

unsafe extern "C-unwind" {
    /// `elog.c`, without pgrx's wrapper: it is called while an error is being raised.
    #[allow(clashing_extern_declarations)]
    fn geterrposition() -> c_int;
}

unsafe extern "C-unwind" fn note_position(_: *mut c_void) {
    // SAFETY: the server calls this while it puts an error together.
    POSITION.set(unsafe { geterrposition() });
}

/// The server's list of what tells where an error happened, as it was; put back when dropped.
struct Contexts(*mut pg_sys::ErrorContextCallback);

impl Drop for Contexts {
    fn drop(&mut self) {
        // SAFETY: what is put back was there before, and outlives this.
        unsafe { pg_sys::error_context_stack = self.0 };
    }
}

/// Checks that `text` is a condition over rows of the table: its columns, and NEW, OLD, ROW and AUTH.
pub fn check(table: pg_sys::Oid, text: &str) -> Result<(), Refused> {
    let Ok(source) = CString::new(text) else {
        return Err(Refused {
            problem: Problem::Syntax,
            position: 0,
        });
    };
    if parentheses(text) > DEPTH {
        return Err(Refused {
            problem: Problem::TooDeep,
            position: 0,
        });
    }
    POSITION.set(0);
    MISSING.set(None);
    let outcome = subtransaction::run(std::panic::AssertUnwindSafe(|| {
        // SAFETY: the callback is taken out of the list before this frame goes, also when an error passes.
        unsafe {
            let mut callback = pg_sys::ErrorContextCallback {
                previous: pg_sys::error_context_stack,
                callback: Some(note_position),
                arg: std::ptr::null_mut(),
            };
            let _before = Contexts(pg_sys::error_context_stack);
            pg_sys::error_context_stack = &mut callback;
            analyse(table, &source)
        }
    }));
    let (problem, position) = match (outcome, MISSING.take()) {
        (_, Some((field, byte))) => (Problem::Auth(field), characters(text, byte)),
        (Ok(None), None) => return Ok(()),
        (Ok(Some(problem)), None) => (problem, 0),
        (Err(caught), None) => (
            Problem::Server(Box::new(caught)),
            usize::try_from(POSITION.get()).unwrap_or(0),
        ),
    };
    Err(Refused { problem, position })
}

/// The columns that a condition names: those that stand alone, and those of the table, NEW, OLD and ROW. Nothing is
/// looked up and nothing is run.
pub fn names(table: &str, text: &str) -> Vec<String> {
    let Ok(source) = CString::new(text) else {
        return Vec::new();
    };
    let mut references: Vec<Vec<String>> = Vec::new();
    // SAFETY: the text was parsed before, when it was granted; the tag says which struct a node is.
    unsafe {
        let mut left = Vec::from_iter(parse(&source));
        while let Some(node) = left.pop() {
            if (*node).type_ != pg_sys::NodeTag::T_ColumnRef {
                left.extend(super::compat::raw_parts(node));
                continue;
            }
            let fields = (*node.cast::<pg_sys::ColumnRef>()).fields;
            let names = 0..super::tree::items::<pg_sys::Node>(fields).count();
            let names = names.map(|at| field(fields, at).unwrap_or_else(|| "*".to_owned()));
            references.push(names.collect());
        }
    }
    references
        .into_iter()
        .filter_map(|mut fields: Vec<String>| {
            let name = fields.pop()?;
            match fields.last().map(String::as_str) {
                Some("new" | "old" | "row") => Some(name),
                Some(of) if of == table => Some(name),
                Some(_) => None,
                None if matches!(name.as_str(), "new" | "old" | "row") || name == table => None,
                None => Some(name),
            }
        })
        .collect()
}

/// How deep parentheses are nested in the text, those in quotes left out.
fn parentheses(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether the parts of an expression as the parser left it are nested too deep.
unsafe fn is_too_deep(expression: *mut pg_sys::Node) -> bool {
    let mut left = vec![(expression, 1)];
    while let Some((node, depth)) = left.pop() {
        if depth > DEPTH {
            return true;
        }
        // SAFETY: the caller passes such an expression. A list is no level of its own.
        let (parts, is_list) = unsafe {
            let is_list = (*node).type_ == pg_sys::NodeTag::T_List;
            (super::compat::raw_parts(node), is_list)
        };
        let below = depth + usize::from(!is_list);
        left.extend(parts.into_iter().map(|part| (part, below)));
    }
    false
}

/// The expression that a text is, if it is one and nothing else. Raises the server's syntax errors.
pub(super) fn parse(source: &CStr) -> Option<*mut pg_sys::Node> {
    let mode = pg_sys::RawParseMode::RAW_PARSE_PLPGSQL_EXPR;
    // SAFETY: the parser makes a list of statements of the text.
    unsafe { only_expression(pg_sys::raw_parser(source.as_ptr(), mode)) }
}

/// The character at a byte of the text, from 1.
fn characters(text: &str, byte: i32) -> usize {
    let byte = usize::try_from(byte).unwrap_or(0);
    text.char_indices().take_while(|(at, _)| *at < byte).count() + 1
}

/// Parses and analyses the statement; raises the server's errors.
fn analyse(table: pg_sys::Oid, source: &CStr) -> Option<Problem> {
    // SAFETY: the tree was made by the parser for this call alone, in memory of the caller's context; the table is open
    // while names are looked up in it.
    unsafe {
        let Some(expression) = parse(source) else {
            return Some(Problem::Syntax);
        };
        if is_too_deep(expression) {
            return Some(Problem::TooDeep);
        }
        let open = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        (*state).p_sourcetext = source.as_ptr();
        (*state).p_pre_columnref_hook = Some(auth);
        let variables = [c"new", c"old", c"row"];
        let own = CStr::from_ptr((*(*open).rd_rel).relname.data.as_ptr());
        // A table of such a name gives way to the variable.
        let alias = if variables.contains(&own) {
            pg_sys::makeAlias(c"table itself".as_ptr(), std::ptr::null_mut())
        } else {
            std::ptr::null_mut()
        };
        add(state, open, alias, true);
        for name in variables {
            let alias = pg_sys::makeAlias(name.as_ptr(), std::ptr::null_mut());
            add(state, open, alias, false);
        }
        let kind = pg_sys::ParseExprKind::EXPR_KIND_WHERE;
        let analysed = pg_sys::transformExpr(state, expression, kind);
        let analysed = pg_sys::coerce_to_boolean(state, analysed, c"WHERE".as_ptr());
        pg_sys::assign_expr_collations(state, analysed);
        let looks_further = (*state).p_hasSubLinks;
        pg_sys::free_parsestate(state);
        pg_sys::table_close(open, pg_sys::NoLock as i32);
        looks_further.then_some(Problem::Subquery)
    }
}

/// Makes the table known under its name or an alias; its columns by themselves too, if they are `bare`.
///
/// # Safety
/// The relation must be open, and the state live.
pub(super) unsafe fn add(
    state: *mut pg_sys::ParseState,
    table: pg_sys::Relation,
    alias: *mut pg_sys::Alias,
    bare: bool,
) {
    // SAFETY: the caller gives an open relation and a live state.
    unsafe {
        let lock = pg_sys::AccessShareLock as i32;
        let item = pg_sys::addRangeTableEntryForRelation(state, table, lock, alias, false, true);
        pg_sys::addNSItemToQuery(state, item, bare, true, bare);
    }
}

/// The expression, if the statement selects one thing and does nothing else.
unsafe fn only_expression(list: *mut pg_sys::List) -> Option<*mut pg_sys::Node> {
    // SAFETY: the tags say which structs the nodes are.
    unsafe {
        if list.is_null() || (*list).length != 1 {
            return None;
        }
        let raw: *mut pg_sys::RawStmt = (*(*list).elements).ptr_value.cast();
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_SelectStmt {
            return None;
        }
        let select: *mut pg_sys::SelectStmt = (*raw).stmt.cast();
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
        ];
        let targets = (*select).targetList;
        let alone = (*select).op == pg_sys::SetOperation::SETOP_NONE
            && lists.iter().all(|list| list.is_null())
            && nodes.iter().all(|node| node.is_null())
            && !targets.is_null()
            && (*targets).length == 1;
        if !alone {
            return None;
        }
        let target: *mut pg_sys::ResTarget = (*(*targets).elements).ptr_value.cast();
        (*target).name.is_null().then_some((*target).val)
    }
}

/// Gives `AUTH.field` its meaning: a value that only the client has.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn auth(
    _state: *mut pg_sys::ParseState,
    reference: *mut pg_sys::ColumnRef,
) -> *mut pg_sys::Node {
    // SAFETY: the fields of a column reference are strings, or a star at the end.
    unsafe {
        let fields = (*reference).fields;
        if fields.is_null() || (*fields).length != 2 {
            return std::ptr::null_mut();
        }
        let (first, second) = (field(fields, 0), field(fields, 1));
        if first.as_deref() != Some("auth") {
            return std::ptr::null_mut();
        }
        let name = second.unwrap_or_else(|| "*".to_owned());
        let known = AUTH.iter().find(|(field, _)| *field == name);
        if known.is_none() {
            MISSING.with_borrow_mut(|missing| {
                missing.get_or_insert((name, (*reference).location));
            });
        }
        let data_type = known.map_or(pg_sys::UNKNOWNOID, |(_, data_type)| *data_type);
        let value = pg_sys::makeNullConst(data_type, -1, pg_sys::Oid::INVALID);
        (*value).location = (*reference).location;
        value.cast()
    }
}

unsafe fn field(fields: *mut pg_sys::List, at: usize) -> Option<String> {
    // SAFETY: the caller gives a list that is longer; the tag says what the node is.
    unsafe {
        let node: *mut pg_sys::Node = (*(*fields).elements.add(at)).ptr_value.cast();
        if (*node).type_ != pg_sys::NodeTag::T_String {
            return None;
        }
        let text: *const c_char = (*node.cast::<pg_sys::String>()).sval;
        Some(from_server(CStr::from_ptr(text).to_bytes()))
    }
}
