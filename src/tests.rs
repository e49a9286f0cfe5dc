//! In-database tests, each in a transaction that is rolled back. What needs several sessions, crashes or replicas is
//! tested end to end, in the package `electric_tests`.

/// `cargo pgrx test` looks for the tests in a schema of this name.
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::spi::Spi;

    fn run(sql: &str) {
        Spi::run(sql).expect(sql);
    }

    fn text(sql: &str) -> String {
        Spi::get_one::<String>(sql).expect(sql).unwrap_or_default()
    }

    fn number(sql: &str) -> i64 {
        Spi::get_one::<i64>(sql).expect(sql).unwrap_or_default()
    }

    fn items() {
        run("CREATE TABLE items (id uuid PRIMARY KEY, value text)");
        run("SELECT electric.enable('items')");
    }

    /// The commands recorded so far, in order.
    fn commands() -> String {
        text("SELECT string_agg(command, ' ' ORDER BY id) FROM electric.ddl_commands")
    }

    #[pg_test]
    fn enable_records_the_table_and_publishes_it() {
        items();
        assert_eq!(commands(), "create_table");
        assert_eq!(
            text("SELECT sqlite[1] FROM electric.ddl_commands"),
            r#"CREATE TABLE "items" ("id" TEXT NOT NULL, "value" TEXT, PRIMARY KEY ("id")) STRICT"#
        );
        assert_eq!(
            text(
                "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables WHERE pubname = 'electric_publication'"
            ),
            "assignments ddl_commands grants items migrations"
        );
        assert_eq!(
            text("SELECT relreplident::text FROM pg_class WHERE oid = 'items'::regclass"),
            "f"
        );
    }

    #[pg_test]
    fn each_column_is_a_command_with_the_same_query() {
        items();
        run("ALTER TABLE items ADD COLUMN a int, ADD COLUMN b text NOT NULL DEFAULT 'x'");
        assert_eq!(commands(), "create_table add_column add_column");
        assert_eq!(
            number(
                "SELECT count(DISTINCT query) FROM electric.ddl_commands WHERE command = 'add_column'"
            ),
            1
        );
        assert_eq!(number("SELECT count(*) FROM electric.migrations"), 1);
        assert_eq!(
            text("SELECT sqlite[1] FROM electric.ddl_commands WHERE id = 3"),
            r#"ALTER TABLE "items" ADD COLUMN "b" TEXT NOT NULL DEFAULT 'x'"#
        );
    }

    #[pg_test]
    fn a_block_records_the_statement_and_not_the_block() {
        items();
        run("DO $$ BEGIN EXECUTE 'ALTER TABLE items ADD COLUMN a int'; END $$");
        assert_eq!(
            text("SELECT query FROM electric.ddl_commands ORDER BY id DESC LIMIT 1"),
            "ALTER TABLE items ADD COLUMN a int"
        );
    }

    #[pg_test(error = "cannot drop column \"value\" of electrified table \"public.items\"")]
    fn a_dropped_column_is_refused() {
        items();
        run("ALTER TABLE items DROP COLUMN value");
    }

    #[pg_test]
    fn what_changes_no_shape_is_not_recorded() {
        items();
        run("ALTER TABLE items SET (fillfactor = 70)");
        run("COMMENT ON TABLE items IS 'things'");
        run("CREATE TABLE others (id int)");
        run("ALTER TABLE others ADD COLUMN a int");
        run("ALTER TABLE items ADD COLUMN IF NOT EXISTS value text");
        assert_eq!(commands(), "create_table");
    }

    #[pg_test]
    fn a_block_that_fails_leaves_no_record() {
        items();
        run(
            "DO $$ BEGIN ALTER TABLE items ADD COLUMN a int; RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN END $$",
        );
        assert_eq!(commands(), "create_table");
        run("ALTER TABLE items ADD COLUMN a int");
        assert_eq!(number("SELECT max(id) FROM electric.ddl_commands"), 2);
    }

    #[pg_test]
    fn the_version_of_a_transaction_can_be_set_before_and_after() {
        run("SELECT electric.set_migration_version('one')");
        items();
        assert_eq!(
            text("SELECT version || ' ' || source FROM electric.migrations"),
            "one user"
        );
        run("SELECT electric.set_migration_version('two')");
        assert_eq!(text("SELECT version FROM electric.migrations"), "two");
        assert_eq!(text("SELECT electric.status() ->> 'version'"), "two");
    }

    #[pg_test(error = "cannot change rows of \"electric.migrations\"")]
    fn history_is_append_only_for_superusers_too() {
        items();
        run("UPDATE electric.migrations SET version = 'x'");
    }

    #[pg_test]
    fn a_label_is_recorded_with_its_place() {
        run("CREATE TYPE mood AS ENUM ('sad', 'happy')");
        run("CREATE TABLE people (id int PRIMARY KEY, mood mood)");
        run("SELECT electric.enable('people')");
        run("ALTER TYPE mood ADD VALUE 'so-so' BEFORE 'happy'");
        assert_eq!(commands(), "create_type create_table add_enum_value");
        assert_eq!(
            text("SELECT postgres[1] FROM electric.ddl_commands WHERE id = 3"),
            r#"ALTER TYPE "public"."mood" ADD VALUE 'so-so' BEFORE 'happy'"#
        );
    }
    /// In a build with assertions each is compared with what the server's own parser makes of it, byte by byte.
    #[pg_test]
    fn json_becomes_the_jsonb_that_the_server_makes() {
        for json in [
            "{}",
            "[]",
            "[[], {}, [{}]]",
            r#"{"b": 1, "aa": null, "a": true, "": false}"#,
            r#"{"long key": {"x": [1, -2, 0, 10000, 9223372036854775807]}, "k": "v"}"#,
            r#"["", "ä\u00e4\n\"", "\ud83d\ude00", "tab\there"]"#,
            "[9999, 10000, 99999999, 100000000, 100010000, -9223372036854775808, -0]",
            r#"{"aaaaa": [[[]]], "aaaa": {"z": {}}, "aaa": [1, "x", 2, "xyz", {"": 3}], "aa": "", "a": [true, 10]}"#,
            // What is left to the server's parser.
            "[1.5, 1e400, 18446744073709551616]",
            r#"{"same": 1, "same": 2}"#,
            "\"text\"",
            "7",
            "null",
        ] {
            let _ = crate::pg::jsonb::from_text(json);
            // Without blanks, as records have it.
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(json) {
                let _ = crate::pg::jsonb::from_text(&value.to_string());
            }
        }
        for of in ["1", "\"x\"", "[7]", "null", "{}"] {
            // Of many children each 32nd says where it ends.
            for count in [31, 32, 33, 64, 65, 200] {
                let _ = crate::pg::jsonb::from_text(&format!("[{}]", vec![of; count].join(",")));
                let pairs: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{of}")).collect();
                let _ = crate::pg::jsonb::from_text(&format!("{{{}}}", pairs.join(",")));
            }
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let _ = crate::pg::jsonb::from_text(&deep);
    }

    #[pg_test(error = "unsupported Unicode escape sequence")]
    fn json_with_what_no_text_can_hold_is_the_servers_error() {
        let _ = crate::pg::jsonb::from_text(r#"["\u0000"]"#);
    }

    #[pg_test(error = "invalid input syntax for type json")]
    fn what_is_no_json_is_the_servers_error() {
        let _ = crate::pg::jsonb::from_text("{");
    }
}
