//! What the oracles found, each as the least script that showed it.

use electric_tests::cluster::Cluster;
use electric_tests::database::text;
use electric_tests::oracle::check_script;

#[track_caller]
fn holds(statements: &[&str]) {
    if let Err(error) = check_script(statements) {
        panic!("{error}");
    }
}

#[test]
fn minus_zero_loses_its_sign_in_sqlite() {
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY, r real, d float8 DEFAULT '-0'); INSERT INTO t VALUES (1, '-0', '-0'); \
         SELECT electric.enable('t')",
        "INSERT INTO t VALUES (2, '-0', '-0'); ALTER TABLE t ADD COLUMN later real DEFAULT '-0'; INSERT INTO t (id) VALUES (3)",
    ]);
}

#[test]
fn constants_of_a_multirange_are_for_all() {
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY, c spans DEFAULT '{[a,b)}'); SELECT electric.enable('t')",
    ]);
}

#[test]
fn constants_of_an_array_of_an_extension_are_for_all() {
    if !Cluster::shared().empty_database().offers("citext") {
        return;
    }
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY, c ext.citext[] DEFAULT '{A,b}'); SELECT electric.enable('t')",
    ]);
}

#[test]
fn a_domain_may_use_what_its_base_is_made_of() {
    holds(&[
        "CREATE DOMAIN a AS int; CREATE DOMAIN b AS a[] DEFAULT ARRAY[0::a]; CREATE TYPE mood AS ENUM ('sad', 'ok'); \
         CREATE DOMAIN moods AS mood[] DEFAULT ARRAY['sad'::mood] CHECK (VALUE[1] < 'ok'::mood); \
         CREATE DOMAIN aa AS b CHECK (VALUE IS NULL OR VALUE <> ARRAY[1::a]); CREATE DOMAIN ss AS spans[] DEFAULT '{}'; \
         CREATE TABLE t (id int PRIMARY KEY, b b, m moods, a aa, s ss); SELECT electric.enable('t')",
    ]);
}

#[test]
fn a_domain_may_have_a_check_that_is_not_valid() {
    holds(&[
        "CREATE DOMAIN price AS int CONSTRAINT a CHECK (VALUE > 0); \
         ALTER DOMAIN price ADD CONSTRAINT b CHECK (VALUE < 9) NOT VALID; \
         CREATE TABLE t (id int PRIMARY KEY, p price); SELECT electric.enable('t')",
    ]);
}

#[test]
fn collations_come_before_what_uses_them() {
    holds(&[
        "CREATE SCHEMA \"Sort\"; CREATE COLLATION \"Sort\".\"Col\" (lc_collate = 'C', lc_ctype = 'POSIX'); \
         CREATE COLLATION plain FROM \"C\"; CREATE COLLATION of_check FROM \"C\"; CREATE COLLATION of_index FROM \"C\"; \
         CREATE COLLATION of_range FROM \"C\"; CREATE COLLATION of_domain FROM \"C\"; \
         CREATE TYPE words AS RANGE (subtype = text, collation = of_range); CREATE DOMAIN word AS text COLLATE of_domain; \
         CREATE TABLE t (id int PRIMARY KEY, a text COLLATE \"Sort\".\"Col\" UNIQUE, b text COLLATE \"C\", w words, d word, \
         CHECK (b COLLATE of_check < 'x')); CREATE INDEX i ON t (b COLLATE of_index); SELECT electric.enable('t')",
        "CREATE COLLATION later FROM \"C\"; ALTER TABLE t ADD COLUMN c text COLLATE later CHECK (c > 'a')",
        "CREATE COLLATION latest FROM \"C\"; CREATE INDEX j ON t (c COLLATE latest, a)",
    ]);
}

#[test]
fn a_collation_of_icu_keeps_its_options() {
    let has_icu = "SELECT count(*)::text FROM pg_collation WHERE collname = 'und-x-icu'";
    if text(&mut Cluster::shared().empty_database().client(), has_icu) == "0" {
        eprintln!("not tried: this server has no ICU");
        return;
    }
    holds(&[
        "CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         CREATE TABLE t (id int PRIMARY KEY, a text COLLATE no_case); SELECT electric.enable('t')",
    ]);
}

#[test]
fn an_index_may_use_an_extension_that_the_table_did_not_use() {
    if !Cluster::shared().empty_database().offers("pg_trgm") {
        eprintln!("not tried: this server has no pg_trgm");
        return;
    }
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY, a text); SELECT electric.enable('t')",
        "CREATE EXTENSION pg_trgm SCHEMA ext; CREATE INDEX i ON t USING gin (a ext.gin_trgm_ops)",
    ]);
}

#[test]
fn a_replaced_table_gets_its_references_back() {
    holds(&[
        "CREATE TABLE parent (id int PRIMARY KEY, a text); CREATE TABLE child (id int PRIMARY KEY, \
         p int CONSTRAINT \"it's\" REFERENCES parent, q int REFERENCES parent ON DELETE SET NULL); \
         ALTER TABLE child ADD CONSTRAINT later FOREIGN KEY (id) REFERENCES parent NOT VALID; \
         SELECT electric.enable('parent', 'child')",
        "SET electric.policy = unrestricted; ALTER TABLE parent DROP COLUMN a",
    ]);
}

#[test]
fn a_replaced_table_is_enabled_again_under_its_later_name() {
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); SELECT electric.enable('t', 'u')",
        "SET electric.policy = 'unrestricted'; ALTER TABLE t RENAME TO v; RESET electric.policy",
        "SELECT electric.disable('v'); SELECT electric.enable('v'); ALTER TABLE v ADD COLUMN a int",
        // The name of one that replicas kept.
        "SELECT electric.disable('u'); DROP TABLE u; SET electric.policy = 'unrestricted'; ALTER TABLE v RENAME TO u; \
         RESET electric.policy; INSERT INTO u VALUES (1, 2)",
    ]);
}

#[test]
fn rows_of_partitions_come_under_the_later_name_of_their_root() {
    holds(&[
        "CREATE SCHEMA later; CREATE TABLE t (id int PRIMARY KEY) PARTITION BY HASH (id); \
         CREATE TABLE partitions.p PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0); SELECT electric.enable('t')",
        "INSERT INTO t VALUES (1)",
        "SET electric.policy = 'unrestricted'; ALTER TABLE t SET SCHEMA later; RESET electric.policy",
        "INSERT INTO later.t VALUES (2)",
        "SET electric.policy = 'unrestricted'; ALTER TABLE later.t RENAME TO u; RESET electric.policy",
        "INSERT INTO later.u VALUES (3)",
    ]);
}

/// The server makes a constraint anew for a column that got another type, and says it without the cast to that.
#[test]
fn a_column_with_checks_gets_a_wider_type() {
    holds(&[
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(5) CHECK (a NOT IN ('x', 'w')), \"B c\" varchar, n smallint, \
         CONSTRAINT together CHECK (a <> \"B c\" OR lower(\"B c\") = a), CHECK (n::int < 7), \
         CONSTRAINT later CHECK (\"B c\" ~ '^y')); \
         CREATE INDEX i ON t (lower(a)) WHERE \"B c\" <> 'z'; SELECT electric.enable('t')",
        "INSERT INTO t VALUES (1, 'y', 'yy', 3)",
        "SET electric.policy = 'compatible'; ALTER TABLE t ALTER \"B c\" TYPE text, ALTER a TYPE text; RESET electric.policy",
        "INSERT INTO t VALUES (2, 'longer than five', 'yes', 4)",
        "SET electric.policy = 'compatible'; ALTER TABLE t ALTER n TYPE int; RESET electric.policy",
        "ALTER TABLE t ADD COLUMN d text",
        "CREATE TABLE u (id int PRIMARY KEY, a varchar CHECK (a <> 'x')) PARTITION BY HASH (id); \
         CREATE TABLE partitions.p PARTITION OF u FOR VALUES WITH (MODULUS 1, REMAINDER 0); SELECT electric.enable('u')",
        "SET electric.policy = 'compatible'; ALTER TABLE u ALTER a TYPE text; RESET electric.policy; INSERT INTO u VALUES (1, 'y')",
    ]);
}
