//! Names and literals in SQL text: quoting for both dialects, and what SQLite makes of the names of Postgres.

/// Keywords that Postgres does not take bare in every place a name may stand: all that are not "unreserved", of every
/// version served, so that a text written by one version reads the same in another. Sorted, for the binary search.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// The name in double quotes, for either dialect.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name as Postgres' own `quote_ident()` writes it: bare where that reads back as the same name.
pub fn quote_ident_if_needed(name: &str) -> String {
    let mut bytes = name.bytes();
    let bare = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && KEYWORDS.binary_search(&name).is_err();
    if bare {
        name.to_owned()
    } else {
        quote_ident(name)
    }
}

/// `schema.name`, each quoted as needed: the text in `electric.ddl_commands.relation`.
pub fn qualified(schema: &str, name: &str) -> String {
    format!(
        "{}.{}",
        quote_ident_if_needed(schema),
        quote_ident_if_needed(name)
    )
}

/// `"schema"."name"`, always quoted, for the statements we build.
pub fn qualified_quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// The text as a string literal of standard SQL: Postgres with `standard_conforming_strings = on`, and SQLite.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The name that a table or index has in SQLite, which knows no schemas: its own in `public`, else `schema.name`.
pub fn sqlite_name(schema: &str, name: &str) -> String {
    if schema == "public" {
        name.to_owned()
    } else {
        format!("{schema}.{name}")
    }
}

/// The form in which SQLite compares names: two names with the same form collide there. Only ASCII is folded.
pub fn sqlite_fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Whether SQLite keeps the name for itself (`sqlite_` and anything after it, in any case).
pub fn is_owned_by_sqlite(name: &str) -> bool {
    name.get(..7)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("sqlite_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn quoting_names() {
        for (name, needed) in [
            ("items", "items"),
            ("_a1", "_a1"),
            ("value", "value"),
            ("name", "name"),
            ("user", "\"user\""),
            ("order", "\"order\""),
            ("timestamp", "\"timestamp\""),
            ("json", "\"json\""),
            ("Value", "\"Value\""),
            ("a$b", "\"a$b\""),
            ("1a", "\"1a\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("é", "\"é\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(quote_ident_if_needed(name), needed);
            assert_eq!(
                quote_ident(name),
                format!("\"{}\"", name.replace('"', "\"\""))
            );
        }
        assert_eq!(qualified("public", "Items"), "public.\"Items\"");
        assert_eq!(qualified_quoted("a\"", "b"), "\"a\"\"\".\"b\"");
    }

    #[test]
    fn literals() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b\n"), "'a\\b\n'");
    }

    #[test]
    fn names_in_sqlite() {
        assert_eq!(sqlite_name("public", "Items"), "Items");
        assert_eq!(sqlite_name("app", "items"), "app.items");
        assert_eq!(sqlite_fold("ÄBc"), "Äbc");
        for (name, owned) in [
            ("sqlite_stat1", true),
            ("SQLite_x", true),
            ("sqlite_", true),
            ("sqlite", false),
            ("asqlite_", false),
            ("sqlité_x", false),
        ] {
            assert_eq!(is_owned_by_sqlite(name), owned, "{name}");
        }
    }
}
