//! Names that a user could think of, and names that nobody should.

use super::choices::Choices;

/// Words that mean something to Postgres or to SQLite; each serves once, so that names stay unique.
pub const WORDS: &[&str] = &[
    "order",
    "user",
    "select",
    "table",
    "group",
    "value",
    "key",
    "index",
    "default",
    "rowid",
    "oid",
    "_rowid_",
    "primary",
    "check",
    "timestamp",
    "date",
    "abort",
    "glob",
    "strict",
    "without",
    "end",
    "type",
    "name",
    "desc",
    "null",
    "limit",
];

/// The longest name of Postgres, in bytes.
const LONGEST: usize = 63;

/// A name with that number in it, which makes it unlike all others, whether case counts or not.
pub fn name(choices: &mut Choices<'_>, stem: &str, number: usize) -> String {
    match choices.below(28) {
        13 => format!("Upper {stem} {number}"),
        14 => format!("{}{number}", stem.to_uppercase()),
        15 => format!("{stem}\"quo\"\"ted'{number}''"),
        16 => format!("{stem}\nline\r\n{number}"),
        17 => format!("日本語 é💡{number}"),
        18 => long("é", number),
        19 => long("X", number),
        20 => format!("{number} starts"),
        21 => format!("{stem}.dot.{number}"),
        22 => format!("-- {stem}{number}"),
        23 => format!("/* {stem}{number}"),
        24 => format!("back\\slash\\{number}"),
        25 => format!(" {stem} ON ({number}) \t"),
        26 => format!("%s $1 $${number} ?1 :a {{}}"),
        27 => format!("INDEX {stem}{number} ON x USING y"),
        _ => format!("{stem}_{number}"),
    }
}

fn long(filler: &str, number: usize) -> String {
    let mut name = number.to_string();
    while name.len() + filler.len() <= LONGEST {
        name.push_str(filler);
    }
    while name.len() < LONGEST {
        name.push('x');
    }
    name
}

/// A string literal that reads the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
