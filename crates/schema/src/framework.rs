//! Migration frameworks: how the table in which one keeps its books is told from others, and what its version is.

/// A framework as `electric.frameworks` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framework {
    /// Its name.
    pub name: String,
    /// What the table's name is LIKE.
    pub table_name: String,
    /// Columns that the table has: a name, or a name and a type.
    pub columns: Vec<String>,
    /// Whether it has no others.
    pub only_columns: bool,
    /// The version: text with names of columns in braces.
    pub version: String,
    /// A column that is NULL, or true, while the migration of the row runs: for frameworks that write their row first.
    pub running: Option<String>,
    /// Whether the extension brought it.
    pub built_in: bool,
}

/// A column of a table, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as Postgres prints it.
    pub data_type: String,
}

impl Framework {
    /// Whether a table of that name and with those columns is where the framework keeps its books.
    pub fn keeps(&self, table: &str, columns: &[Column]) -> bool {
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        like(table, &self.table_name)
            && self
                .columns
                .iter()
                .all(|wanted| has_column(columns, wanted))
            && (!self.only_columns || columns.len() == self.columns.len())
            && self.version_columns().iter().all(|name| has(name))
            && self.running.as_deref().is_none_or(has)
    }

    /// The columns that the version is made of.
    pub fn version_columns(&self) -> Vec<&str> {
        parts(&self.version)
            .filter_map(|part| match part {
                Part::Column(name) => Some(name),
                Part::Text(_) => None,
            })
            .collect()
    }

    /// The version in a row whose columns have these values; `None` where one is NULL, or nothing comes out.
    pub fn version_of(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut version = String::new();
        for part in parts(&self.version) {
            match part {
                Part::Text(text) => version.push_str(text),
                Part::Column(name) => version.push_str(&value(name)?),
            }
        }
        (!version.is_empty()).then_some(version)
    }
}

/// In which order frameworks are tried: the user's first, then those that ask for more.
pub fn sort(frameworks: &mut [Framework]) {
    frameworks.sort_by_key(|framework| {
        let typed = framework.columns.iter().filter(|c| c.contains(' ')).count();
        (
            framework.built_in,
            std::cmp::Reverse((framework.columns.len(), typed)),
            framework.name.clone(),
        )
    });
}

fn has_column(columns: &[Column], wanted: &str) -> bool {
    columns.iter().any(|column| {
        wanted
            .strip_prefix(column.name.as_str())
            .is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(' ') == Some(&column.data_type)
            })
    })
}

enum Part<'a> {
    Text(&'a str),
    Column(&'a str),
}

/// A brace that none closes is text.
fn parts(version: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = version;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|open| open.split_once('}')) {
            rest = after;
            return Some(Part::Column(name));
        }
        let brace = rest.char_indices().skip(1).find(|(_, c)| *c == '{');
        let end = brace.map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Part::Text(text))
    })
}

/// SQL's LIKE, in time that grows with the product of the lengths: what follows a `%` need only be tried again from where
/// the last `%` stood.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = wildcards(pattern);
    let (mut at, mut wanted) = (0, 0);
    let mut again = None;
    while at < text.len() {
        match pattern.get(wanted) {
            Some(Wildcard::Any) => {
                again = Some((at, wanted));
                wanted += 1;
            }
            Some(one) if one.is(text[at]) => {
                at += 1;
                wanted += 1;
            }
            _ => {
                let Some((from, any)) = again else {
                    return false;
                };
                again = Some((from + 1, any));
                (at, wanted) = (from + 1, any + 1);
            }
        }
    }
    pattern[wanted..]
        .iter()
        .all(|rest| matches!(rest, Wildcard::Any))
}

enum Wildcard {
    /// `%`
    Any,
    /// `_`
    One,
    Character(char),
}

impl Wildcard {
    fn is(&self, c: char) -> bool {
        match self {
            Wildcard::Any => false,
            Wildcard::One => true,
            Wildcard::Character(wanted) => *wanted == c,
        }
    }
}

fn wildcards(pattern: &str) -> Vec<Wildcard> {
    let mut characters = pattern.chars();
    let mut found = Vec::new();
    while let Some(c) = characters.next() {
        found.push(match c {
            '%' => Wildcard::Any,
            '_' => Wildcard::One,
            '\\' => Wildcard::Character(characters.next().unwrap_or('\\')),
            c => Wildcard::Character(c),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
        let column = |(name, data_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            data_type: (*data_type).to_owned(),
        };
        columns.iter().map(column).collect()
    }

    fn framework(name: &str, columns: &[&str], only_columns: bool) -> Framework {
        Framework {
            name: name.to_owned(),
            table_name: "schema_migrations".to_owned(),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            only_columns,
            version: "{version}".to_owned(),
            built_in: true,
            ..Framework::default()
        }
    }

    #[test]
    fn like_is_that_of_sql() {
        for (text, pattern, expected) in [
            ("migrations", "migrations", true),
            ("migrations", "migration", false),
            ("migration", "migrations", false),
            ("app_migrations", "%migrations", true),
            ("migrations", "%migrations", true),
            ("migrations_old", "%migrations", false),
            ("a_b", "a_b", true),
            ("axb", "a_b", true),
            ("axb", "a\\_b", false),
            ("a_b", "a\\_b", true),
            ("größe", "gr__e", true),
            ("größe", "%ö%", true),
            ("", "%", true),
            ("", "_", false),
            ("\\", "\\", true),
            ("abab", "%ab", true),
            ("aab", "a%b%", true),
            ("abc", "%%c%", true),
            ("abc", "%b", false),
            ("", "", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn like_takes_no_forever() {
        let text = "a".repeat(60);
        assert!(!like(&text, &format!("{}b", "%a".repeat(60))));
        assert!(like(&text, &"%a".repeat(60)));
    }

    #[test]
    fn columns_tell_tables_of_one_name_apart() {
        let mut all = [
            framework("rails", &["version"], true),
            framework("ecto", &["version bigint", "inserted_at"], false),
            framework("dbmate", &["version character varying(128)"], true),
        ];
        sort(&mut all);
        let whose = |table: &[(&str, &str)]| {
            let table = columns(table);
            all.iter()
                .find(|framework| framework.keeps("schema_migrations", &table))
                .map(|framework| framework.name.as_str())
        };
        assert_eq!(whose(&[("version", "character varying")]), Some("rails"));
        assert_eq!(
            whose(&[("version", "character varying(128)")]),
            Some("dbmate")
        );
        let ecto = [
            ("version", "bigint"),
            ("inserted_at", "timestamp(0) without time zone"),
        ];
        assert_eq!(whose(&ecto), Some("ecto"));
        assert_eq!(whose(&[("version", "text"), ("inserted_at", "text")]), None);
        assert_eq!(whose(&[("id", "integer"), ("note", "text")]), None);
        assert_eq!(whose(&[]), None);
    }

    #[test]
    fn what_the_user_adds_comes_first() {
        let mut all = [
            framework("rails", &["version"], true),
            Framework {
                built_in: false,
                ..framework("ours", &["version"], false)
            },
        ];
        sort(&mut all);
        assert_eq!(all[0].name, "ours");
    }

    #[test]
    fn a_version_is_made_of_columns() {
        let of = |version: &str| {
            let framework = Framework {
                version: version.to_owned(),
                ..Framework::default()
            };
            framework.version_of(|name| match name {
                "app" => Some("shop".to_owned()),
                "name" => Some("0001_init".to_owned()),
                "empty" => Some(String::new()),
                _ => None,
            })
        };
        assert_eq!(of("{app}.{name}").as_deref(), Some("shop.0001_init"));
        assert_eq!(of("V{name}").as_deref(), Some("V0001_init"));
        assert_eq!(of("{name").as_deref(), Some("{name"));
        assert_eq!(of("ä{app}ö").as_deref(), Some("äshopö"));
        assert_eq!(of("{app}.{other}"), None);
        assert_eq!(of("{empty}"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_table_has_the_columns_of_the_version() {
        let framework = framework("rails", &[], false);
        assert!(framework.keeps("schema_migrations", &columns(&[("version", "text")])));
        assert!(!framework.keeps("schema_migrations", &columns(&[("versions", "text")])));
    }
}
