//! Why the crate has a lexer of its own: what sqlparser's tokenizer for Postgres makes of texts that Postgres reads otherwise.
//!
//! Each text holds exactly one `;` that ends a statement for Postgres. Should a new release of sqlparser read all of them as
//! Postgres does, its tokenizer could take over.

use electric_ddlx::find;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// The ends of statements that sqlparser sees, or its error.
fn semicolons(text: &str) -> Result<usize, String> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize()
        .map_err(|error| error.to_string())?;
    Ok(tokens.iter().filter(|it| **it == Token::SemiColon).count())
}

#[test]
fn its_ends_of_statements_are_not_those_of_postgres() {
    // With `SELECT 2` in place of the second statement each was run on PostgreSQL 15, which read two; of `x'\'` it then said that
    // the digit is wrong.
    let texts = [
        (
            "a comment right behind an operator",
            "SELECT '1' ||-- it's; \n '2'; ELECTRIC ENABLE t",
        ),
        ("another one", "SELECT 1 -/* it's; */ 2; ELECTRIC ENABLE t"),
        (
            "no backslashes in hexadecimal strings",
            r"SELECT x'\'; ELECTRIC ENABLE t -- '",
        ),
        (
            "any letter beyond ASCII in a tag",
            "SELECT $→$ ; $→$; ELECTRIC ENABLE t",
        ),
        (
            "escapes in what continues a string",
            "SELECT E'a'\n'\\'; '; ELECTRIC ENABLE t",
        ),
        ("bytes in escapes", r"SELECT E'\303\244'; ELECTRIC ENABLE t"),
    ];
    for (what, text) in texts {
        assert_ne!(semicolons(text), Ok(1), "sqlparser has mended: {what}");
        let found = find(text);
        assert_eq!(found.len(), 2, "{what}: {found:?}");
    }
}
