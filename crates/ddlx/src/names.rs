//! Names: how Postgres reads them, and how they are written so that it reads them the same.

use crate::ast::Name;
use crate::error::Notice;
use crate::lexer::{begins_name, continues_name, is_space};

/// The longest name that Postgres keeps, in bytes (`NAMEDATALEN` less the final zero).
const LONGEST: usize = 63;

/// The words of the grammar. None is reserved; in print they are quoted so that nobody has to think about it.
const WORDS: &[&str] = &[
    "all",
    "alter",
    "anyone",
    "assign",
    "authenticated",
    "check",
    "delete",
    "disable",
    "electric",
    "enable",
    "exists",
    "from",
    "grant",
    "if",
    "insert",
    "null",
    "on",
    "only",
    "privileges",
    "read",
    "revoke",
    "select",
    "sqlite",
    "table",
    "to",
    "uescape",
    "unassign",
    "update",
    "using",
    "where",
    "write",
];

/// The name as Postgres keeps it: cut between characters if too long, with a notice.
pub(crate) fn truncated(mut name: String, notices: &mut Vec<Notice>) -> String {
    if name.len() > LONGEST {
        let mut end = LONGEST;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let short = name[..end].to_owned();
        notices.push(Notice {
            message: format!("identifier \"{name}\" will be truncated to \"{short}\""),
        });
        name = short;
    }
    name
}

/// A name without quotes as Postgres keeps it. Only ASCII letters fold: so do Postgres' databases in UTF-8.
pub(crate) fn folded(name: &str, notices: &mut Vec<Notice>) -> String {
    truncated(name.to_ascii_lowercase(), notices)
}

/// The name in SQL, in quotes if it needs them.
pub(crate) fn quoted(name: &str) -> String {
    let mut bytes = name.bytes();
    let bare = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !WORDS.contains(&name);
    if bare {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The string literal of this value.
pub(crate) fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// What a string such as `projects:owner` says: the scope, and the role. A scope is a name as in SQL, perhaps with its
/// schema; all that follows the colon behind it is the role.
pub(crate) fn scoped(value: &str, notices: &mut Vec<Notice>) -> Option<(Option<Name>, String)> {
    if !value.contains(':') {
        return (!value.is_empty()).then(|| (None, value.to_owned()));
    }
    let (first, mut rest) = part(value, notices)?;
    let mut scope = Name {
        schema: None,
        name: first,
    };
    if let Some(after) = rest.strip_prefix('.') {
        let (second, after) = part(after, notices)?;
        scope = Name {
            schema: Some(scope.name),
            name: second,
        };
        rest = after;
    }
    let role = rest.strip_prefix(':')?;
    (!role.is_empty()).then(|| (Some(scope), role.to_owned()))
}

/// One part of a name at the beginning of the text, with the blanks around it, and what follows.
fn part<'a>(text: &'a str, notices: &mut Vec<Notice>) -> Option<(String, &'a str)> {
    let blank = |it: char| it.is_ascii() && is_space(it as u8);
    let text = text.trim_start_matches(blank);
    let (name, rest) = if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (before, after) = rest.split_once('"')?;
            name.push_str(before);
            match after.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => break (name, after),
            }
        }
    } else {
        let end = text
            .bytes()
            .position(|byte| !continues_name(byte))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if !name.bytes().next().is_some_and(begins_name) {
            return None;
        }
        (name.to_ascii_lowercase(), rest)
    };
    (!name.is_empty()).then(|| (truncated(name, notices), rest.trim_start_matches(blank)))
}
