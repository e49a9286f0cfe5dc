//! What the oracles found, each as the least script that showed it.

use electric_tests::cluster::Cluster;
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
         CREATE DOMAIN moods AS mood[] DEFAULT ARRAY['sad'::mood] CHECK (VALUE::text <> ''); \
         CREATE DOMAIN aa AS b CHECK (VALUE IS NULL OR VALUE <> ARRAY[1::a]); CREATE DOMAIN ss AS spans[] DEFAULT '{}'; \
         CREATE TABLE t (id int PRIMARY KEY, b b, m moods, a aa, s ss); SELECT electric.enable('t')",
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
