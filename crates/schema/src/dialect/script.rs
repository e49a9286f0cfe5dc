//! How many statements a SQLite text holds.
//!
//! The lexical rules are those of SQLite's tokenizer: `'…'`, `"…"` and `` `…` `` with their doubled ends, `[…]`, `--` to the end of the
//! line, `/* … */` without nesting.

/// Whether the text is one statement: nothing but blanks, comments and `;` comes after its first `;`. A trigger's body has
/// statements of its own, up to END.
pub fn is_one_statement(text: &str) -> bool {
    let words = code(text);
    let mut first = words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    let creates = first
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("create"));
    let is_trigger = creates
        && first
            .find(|word| {
                !word.eq_ignore_ascii_case("temp") && !word.eq_ignore_ascii_case("temporary")
            })
            .is_some_and(|word| word.eq_ignore_ascii_case("trigger"));
    let whole = words.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    if is_trigger {
        let end = whole.len().saturating_sub(3);
        // The END of the trigger is the first that follows a `;`.
        let ends: Vec<usize> = whole
            .match_indices(';')
            .filter(|(at, _)| {
                let rest = whole[at + 1..].trim_start();
                rest.get(..3)
                    .is_some_and(|word| word.eq_ignore_ascii_case("end"))
                    && !rest[3..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
            .map(|(at, _)| whole.len() - whole[at + 1..].trim_start().len())
            .collect();
        return ends.first() == Some(&end);
    }
    !whole.contains(';')
}

/// The text with each string, quoted name and comment replaced by one blank or letter.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '\'' | '"' | '`' => Some((quoted(rest, c), 'x')),
            '[' => Some((rest.find(']').map_or(rest.len(), |end| end + 1), 'x')),
            '-' if rest.starts_with("--") => {
                Some((rest.find('\n').map_or(rest.len(), |end| end + 1), ' '))
            }
            '/' if rest.starts_with("/*") => {
                let end = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
                Some((end, ' '))
            }
            _ => None,
        };
        let (length, shown) = skipped.unwrap_or((c.len_utf8(), c));
        code.push(shown);
        rest = &rest[length..];
    }
    code
}

/// The length of what is between quotes, with them; a doubled quote goes on.
fn quoted(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::is_one_statement;

    #[test]
    fn one() {
        for text in [
            "CREATE VIEW v AS SELECT 1",
            "CREATE VIEW v AS SELECT ';' ; -- ; \n /* ; */ ;",
            "SELECT \"a;b\", `c;d`, [e;f], 'it''s; \"'",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT CASE WHEN 1 THEN 2 END; END",
            "create temp trigger t after insert on a begin select 1; end ;",
            "SELECT 1 -- ; SELECT 2",
        ] {
            assert!(is_one_statement(text), "{text}");
        }
    }

    #[test]
    fn more_than_one() {
        for text in [
            "SELECT 1; COMMIT",
            "CREATE TABLE t (a); DROP TABLE u",
            "SELECT ';'; SELECT 2",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; COMMIT",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; SELECT 1; END",
            "SELECT 'ü'; SELECT 'ü'",
        ] {
            assert!(!is_one_statement(text), "{text}");
        }
    }
}
