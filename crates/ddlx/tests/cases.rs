//! The tables of cases in `tests/cases`, and of texts in `tests/corpus`.
//!
//! A case is a text, in lines that begin with `>`, and what comes of it: the statements as they are printed (`=`), notices
//! (`~`), or the error (`!`) with its position in characters, as psql would point at it. `ELECTRIC_BLESS=1` writes what comes of
//! them into the files; read the difference.

use electric_ddlx::{FoundKind, find, parse};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(directory);
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    files
}

/// Each line with a mark before it.
fn marked(mark: char, text: &str) -> String {
    text.split('\n')
        .map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n")
        .collect()
}

fn outcome(text: &str) -> String {
    let statements = match parse(text) {
        Ok(statements) => statements,
        Err(error) => {
            let state = if error.sqlstate == "42601" {
                String::new()
            } else {
                format!(" [{}]", error.sqlstate)
            };
            let hint = error
                .hint
                .map(|hint| format!("\nHINT: {hint}"))
                .unwrap_or_default();
            return marked(
                '!',
                &format!("{}:{state} {error}{hint}", error.char_position),
            );
        }
    };
    let mut lines = String::new();
    for statement in &statements {
        for notice in &statement.notices {
            lines += &marked('~', &notice.message);
        }
        lines += &marked('=', &statement.value.to_string());
    }
    if lines.is_empty() {
        marked('=', "")
    } else {
        lines
    }
}

#[test]
fn parsed() {
    let mut count = 0;
    for path in files("cases", "txt") {
        let before = fs::read_to_string(&path).expect("it can be read");
        let mut after = String::new();
        let mut lines = before.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.starts_with('>') {
                // What came of a case is written anew; titles, remarks and blank lines stay.
                if !line.starts_with(['=', '~', '!']) {
                    after += &format!("{line}\n");
                }
                continue;
            }
            let mut text = vec![line];
            while let Some(line) = lines.next_if(|line| line.starts_with('>')) {
                text.push(line);
            }
            let shown: String = text.iter().map(|line| format!("{line}\n")).collect();
            let text: Vec<&str> = text
                .iter()
                .map(|line| line[1..].strip_prefix(' ').unwrap_or(""))
                .collect();
            after += &shown;
            after += &outcome(&text.join("\n"));
            count += 1;
        }
        compare(&path, &before, &after);
    }
    assert!(count >= 150, "only {count} cases");
}

#[test]
fn found() {
    for path in files("corpus", "sql") {
        let text = fs::read_to_string(&path).expect("it can be read");
        let mut after = String::new();
        for statement in find(&text) {
            let raw = &text[statement.range.clone()];
            let line = text[..statement.range.start].matches('\n').count() + 1;
            let (kind, what) = match &statement.kind {
                FoundKind::Ddlx(located) => ("ddlx   ", located.value.to_string()),
                FoundKind::Invalid(error) => {
                    ("invalid", format!("{}: {error}", error.char_position))
                }
                FoundKind::Other => ("other  ", shortened(raw)),
            };
            after += &format!("line {line:<3} {kind}  {what}\n");
        }
        let expected = path.with_extension("expected");
        let before = fs::read_to_string(&expected).unwrap_or_default();
        compare(&expected, &before, &after);
    }
}

/// The beginning and the end of a statement, on one line.
fn shortened(raw: &str) -> String {
    let words: Vec<&str> = raw.split_whitespace().collect();
    if words.len() <= 9 {
        return words.join(" ");
    }
    format!(
        "{} … {}",
        words[..5].join(" "),
        words[words.len() - 3..].join(" ")
    )
}

fn compare(path: &Path, before: &str, after: &str) {
    if env::var_os("ELECTRIC_BLESS").is_some() {
        fs::write(path, after).expect("it can be written");
        return;
    }
    assert_eq!(before, after, "{}", path.display());
}
