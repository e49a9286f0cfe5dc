//! What holds for every statement and every text.

use electric_ddlx::{
    Assigned, Column, Expression, FoundKind, Name, Path, Privilege, PrivilegeWord, Role, Statement,
    Tables, find, parse,
};
use proptest::prelude::*;

/// Pieces of texts, chosen to be joined in the worst ways.
const PIECES: &[&str] = &[
    "ELECTRIC",
    " electric ",
    "ALTER TABLE",
    " ENABLE ",
    " DISABLE ELECTRIC",
    "GRANT",
    "REVOKE",
    " ON ",
    " TABLE ",
    " TO ",
    " FROM ",
    "ASSIGN",
    "UNASSIGN",
    "SQLITE",
    "SELECT",
    "ALL",
    " PRIVILEGES",
    "ANYONE",
    "AUTHENTICATED",
    "NULL",
    " USING ",
    " WHERE ",
    " CHECK ",
    " IF ",
    " EXISTS ",
    " ONLY ",
    "CREATE ",
    "OR REPLACE ",
    "FUNCTION ",
    "BEGIN ",
    "ATOMIC ",
    "END",
    "CASE",
    " AS ",
    "(",
    ")",
    "'",
    "''",
    "\"",
    "\"\"",
    "$$",
    "$a$",
    "$1",
    "$",
    "E'",
    "U&'",
    "u&\"",
    "UESCAPE",
    "B'",
    "\\",
    "\\'",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\xff",
    "\\0",
    "/*",
    "*/",
    "--",
    "\n",
    "\r",
    " ",
    ";",
    ",",
    ".",
    "..",
    "/",
    "//",
    ":",
    "::",
    ":=",
    "+",
    "-",
    "<--",
    "@-",
    "1",
    "1e",
    "0x",
    "1_0",
    "a",
    "é",
    "😀",
    "\u{a0}",
    "\0",
    "'projects:owner'",
    "'a:'",
    "projects.owner_id",
    "ELECTRIC ENABLE t;",
];

fn text() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..30);
    prop_oneof![
        4 => pieces.prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

/// A name as Postgres keeps it: not empty, and of 63 bytes at most.
fn name() -> impl Strategy<Value = String> {
    let nasty = [
        "\"",
        "\"\"",
        "'",
        ".",
        "a.b",
        ":",
        " ",
        "--",
        "/*",
        ";",
        "$$",
        "\n",
        "A",
        "1",
        "null",
        "table",
        "to",
        "anyone",
        "only",
        "if",
        "électric",
        "😀😀",
        "select",
        "U&\"",
        "\\",
        "uescape",
        "e",
        "x'",
    ];
    prop_oneof![
        "[a-z_][a-z0-9_]{0,8}",
        prop::sample::select(nasty.to_vec()).prop_map(str::to_owned),
        any::<String>(),
    ]
    .prop_map(|mut name| {
        while name.len() > 63 {
            name.pop();
        }
        if name.is_empty() {
            "t".to_owned()
        } else {
            name
        }
    })
}

fn table() -> impl Strategy<Value = Name> {
    (prop::option::of(name()), name()).prop_map(|(schema, name)| Name { schema, name })
}

fn column() -> impl Strategy<Value = Column> {
    (table(), name()).prop_map(|(table, name)| Column { table, name })
}

fn tables() -> impl Strategy<Value = Vec<Name>> {
    prop::collection::vec(table(), 1..4)
}

fn switched() -> impl Strategy<Value = Tables> {
    let altered = (any::<bool>(), any::<bool>(), table());
    prop_oneof![
        altered.prop_map(|(if_exists, only, table)| Tables::Altered {
            if_exists,
            only,
            table
        }),
        tables().prop_map(Tables::Listed),
    ]
}

fn privileges() -> impl Strategy<Value = Vec<Privilege>> {
    use PrivilegeWord::{All, Delete, Insert, Read, Select, Update, Write};
    let word = prop::sample::select(&[Select, Insert, Update, Delete, Read, Write, All][..]);
    let columns = prop::option::of(prop::collection::vec(name(), 1..3));
    let privilege = (word, columns).prop_map(|(word, columns)| Privilege { word, columns });
    prop::collection::vec(privilege, 1..4)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Anyone),
        Just(Role::Authenticated),
        (prop::option::of(table()), name()).prop_map(|(scope, role)| Role::Named { scope, role }),
    ]
}

fn assigned() -> impl Strategy<Value = Assigned> {
    let scope = || prop::option::of(table());
    prop_oneof![
        (scope(), name()).prop_map(|(scope, role)| Assigned::Named { scope, role }),
        (scope(), column()).prop_map(|(scope, column)| Assigned::Column { scope, column }),
    ]
}

fn path() -> impl Strategy<Value = Option<Path>> {
    prop::option::of(prop::collection::vec(name(), 1..4).prop_map(Path))
}

/// Expressions: of any text those that are one.
fn condition() -> impl Strategy<Value = Option<Expression>> {
    let pieces = [
        "a", " = ", "NEW.x", "(b)", "')'", "$$)$$", " -- )\n", "/* ) */", "E'\\')'", "\")\"",
        " AND ", "1", "::int", "[1]",
    ];
    let pieces = prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..8);
    let any = prop_oneof![pieces.prop_map(|pieces| pieces.concat()), text()];
    prop::option::of(any).prop_map(|text| Expression::new(&text?).ok())
}

fn statement() -> impl Strategy<Value = Statement> {
    let roles = || prop::collection::vec(role(), 1..3);
    prop_oneof![
        switched().prop_map(Statement::Enable),
        switched().prop_map(Statement::Disable),
        (privileges(), tables(), roles(), path(), condition()).prop_map(
            |(privileges, tables, roles, using, condition)| Statement::Grant {
                privileges,
                tables,
                roles,
                using,
                condition
            }
        ),
        (privileges(), tables(), roles()).prop_map(|(privileges, tables, roles)| {
            Statement::Revoke {
                privileges,
                tables,
                roles,
            }
        }),
        (assigned(), column(), path(), condition()).prop_map(
            |(assigned, user, using, condition)| Statement::Assign {
                assigned,
                user,
                using,
                condition
            }
        ),
        (assigned(), column()).prop_map(|(assigned, user)| Statement::Unassign { assigned, user }),
        any::<String>().prop_map(Statement::Sqlite),
    ]
}

/// What must hold for any text at all.
fn check(text: &str) {
    if let Err(error) = parse(text) {
        let before = text[..error.byte_offset].chars().count();
        assert_eq!(error.char_position, before + 1);
    }
    let mut end = 0;
    for found in find(text) {
        assert!(end <= found.range.start && found.range.start < found.range.end);
        end = found.range.end;
        let alone = parse(&text[found.range.clone()]);
        match found.kind {
            FoundKind::Ddlx(located) => {
                assert_eq!(located.range, found.range);
                assert_eq!(alone.expect("it was parsed")[0].value, located.value);
            }
            FoundKind::Invalid(_) => assert!(alone.is_err()),
            FoundKind::Other => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn what_is_printed_is_read_as_the_same(statement in statement()) {
        let printed = statement.to_string();
        let read = parse(&printed).map_err(|error| TestCaseError::fail(format!("{error} in {printed}")))?;
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(&read[0].value, &statement);
        prop_assert_eq!(read[0].range.clone(), 0..printed.len());
        prop_assert!(read[0].notices.is_empty());
    }

    #[test]
    fn statements_are_found_between_others(statement in statement(), count in 0_usize..3) {
        let printed = statement.to_string();
        let before = "SELECT 'ELECTRIC ENABLE t;' /* ; */; ".repeat(count);
        let found = find(&format!("{before}{printed};-- ;\nCOMMIT"));
        prop_assert_eq!(found.len(), count + 2);
        prop_assert_eq!(found[count].range.clone(), before.len()..before.len() + printed.len());
        match &found[count].kind {
            FoundKind::Ddlx(located) => prop_assert_eq!(&located.value, &statement),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_text_is_taken(text in text()) {
        check(&text);
    }

    #[test]
    fn damaged_statements_are_taken(
        statement in statement(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..4,
        piece in prop::sample::select(PIECES),
    ) {
        let chars: Vec<char> = statement.to_string().chars().collect();
        let at = at.index(chars.len());
        let mut damaged: String = chars[..at].iter().collect();
        damaged += piece;
        damaged.extend(chars.iter().skip(at + length));
        check(&damaged);
    }
}

/// These would not end if time grew with the square of the text.
#[test]
fn long_texts_are_taken() {
    let many = 10_000;
    for piece in [
        "(",
        ")",
        "/*",
        "+",
        "+-",
        "+/**/",
        "<--\n",
        "'a'\n",
        "''",
        "$a",
        "$$",
        "\"\"",
        "E'\\",
        "1e",
        "a.",
        ";",
        "CASE ",
        "BEGIN ATOMIC ",
        "CREATE FUNCTION f BEGIN ATOMIC ",
        "ELECTRIC;",
        "ELECTRIC ENABLE t;",
        "é",
        "ELECTRIC SQLITE E'\\ud800';",
        "U&'",
        "ALTER TABLE ",
    ] {
        let long = piece.repeat(many);
        for text in [
            long.clone(),
            format!("ELECTRIC {long}"),
            format!("ELECTRIC GRANT SELECT ON t TO ANYONE WHERE ({long}"),
            format!("{long} electric"),
            format!("$a$ {long} ELECTRIC; $a$"),
        ] {
            let _ = parse(&text);
            let _ = find(&text);
        }
    }
}
