//! The reviewed file that says which differences there may be, and why.

use super::compare::{Difference, Hunk};
use anyhow::{Context, Result, bail};

/// What the file says about one test.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The test.
    pub test: String,
    reason: String,
    hunks: Vec<Hunk>,
}

/// Reads the file: a heading `## test` for each test, below it the reason, and in blocks of `diff` the hunks, each begun by `@@`.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = vec![];
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        let at = || format!("line {number}: {line:?}");
        if !fenced && let Some(test) = line.strip_prefix("## ") {
            entries.push(Entry {
                test: test.trim().to_owned(),
                ..Entry::default()
            });
            continue;
        }
        // What comes before the first entry is for the reader.
        let Some(entry) = entries.last_mut() else {
            continue;
        };
        match line {
            "```diff" if !fenced => fenced = true,
            "```" if fenced => fenced = false,
            _ if line.starts_with("```") => bail!("{}: only blocks of diff are understood", at()),
            "@@" if fenced => entry.hunks.push(vec![]),
            _ if fenced => {
                let hunk = entry
                    .hunks
                    .last_mut()
                    .with_context(|| format!("{}: a hunk begins with @@", at()))?;
                if !line.starts_with(['+', '-', '\\']) {
                    bail!("{}: a line of a hunk begins with + or -", at());
                }
                hunk.push(line.trim_end().to_owned());
            }
            _ => entry.reason += line.trim(),
        }
    }
    if fenced {
        bail!("the last block is not closed");
    }
    for entry in &entries {
        let same = entries
            .iter()
            .filter(|other| other.test == entry.test)
            .count();
        if entry.reason.is_empty() || entry.hunks.is_empty() || same > 1 {
            bail!("{}: one entry with a reason and hunks, please", entry.test);
        }
    }
    Ok(entries)
}

/// The hunks of a difference that no entry explains. Each hunk of an entry explains one hunk.
pub fn unexplained(difference: &Difference, entries: &[Entry]) -> Vec<Hunk> {
    let entry = entries.iter().find(|entry| entry.test == difference.test);
    let mut known: Vec<&Hunk> = entry
        .map(|entry| entry.hunks.iter().collect())
        .unwrap_or_default();
    let mut left = vec![];
    for hunk in &difference.hunks {
        match known.iter().position(|known| *known == hunk) {
            Some(index) => drop(known.swap_remove(index)),
            None => left.push(hunk.clone()),
        }
    }
    left
}

/// The entries of tests that do not differ anymore. Their hunks may be for several versions of PostgreSQL, so that not all need be met.
pub fn stale<'a>(entries: &'a [Entry], differences: &[Difference]) -> Vec<&'a Entry> {
    let differs = |entry: &&Entry| differences.iter().any(|it| it.test == entry.test);
    entries.iter().filter(|entry| !differs(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# Title

## event_trigger

It lists
all of them.

```diff
@@
-(1 row)
+(2 rows)
@@
+## no heading
```

## other

Why.

```diff
@@
-a
```
";

    fn difference(hunks: &[&[&str]]) -> Difference {
        let owned = |hunk: &&[&str]| hunk.iter().map(|line| line.to_string()).collect();
        Difference {
            test: "event_trigger".into(),
            hunks: hunks.iter().map(owned).collect(),
            text: String::new(),
        }
    }

    #[test]
    fn the_file_of_this_repository_is_well_formed() -> Result<()> {
        parse(include_str!("../../../tests/core_regress/differences.md")).map(drop)
    }

    #[test]
    fn hunks_are_explained_once_and_exactly() -> Result<()> {
        let entries = parse(FILE)?;
        let rows: &[&str] = &["-(1 row)", "+(2 rows)"];
        assert_eq!(
            unexplained(&difference(&[rows, &["+## no heading"]]), &entries),
            [[""; 0]; 0]
        );
        assert_eq!(unexplained(&difference(&[rows, rows]), &entries), [rows]);
        assert_eq!(
            unexplained(&difference(&[&["+(2 rows)"]]), &entries),
            [["+(2 rows)"]]
        );
        Ok(())
    }

    #[test]
    fn an_entry_of_a_test_that_does_not_differ_is_stale() -> Result<()> {
        let entries = parse(FILE)?;
        let stale = stale(&entries, &[difference(&[&["+something"]])]);
        let names: Vec<&str> = stale.iter().map(|entry| entry.test.as_str()).collect();
        assert_eq!(names, ["other"]);
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "## a\nwhy\n",
            "## a\n```diff\n@@\n-a\n```\n",
            "## a\nwhy\n```diff\n-a\n```\n",
            "## a\nwhy\n```diff\n@@\n a\n```\n",
            "## a\nwhy\n```diff\n@@\n-a\n",
            "## a\nwhy\n```sql\n",
            "## a\nwhy\n```diff\n@@\n-a\n```\n## a\nwhy\n```diff\n@@\n-a\n```\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
