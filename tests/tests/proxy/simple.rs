//! DDLX in the simple protocol: alone, among other statements, in transactions.

use std::process::{Command, Output};

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, words};
use electric_tests::errors::failure;
use electric_tests::proxy::{Message, PASSWORD, Proxy, Raw, kinds};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text)";

fn setup() -> (Database<'static>, Proxy) {
    let cluster = Cluster::shared();
    (cluster.database(), Proxy::before(cluster))
}

/// psql through the proxy, with the messages of its own version.
fn psql(database: &Database<'_>, proxy: &Proxy, arguments: &[&str]) -> Output {
    let mut command: Command = database.cluster().command("psql");
    command
        .env("PGPASSWORD", PASSWORD)
        .args(["-X", "-h", "127.0.0.1"]);
    command.args(["-p", &proxy.port().to_string(), "-U", "postgres"]);
    command.args(["-d", database.name()]).args(arguments);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn raw(database: &Database<'_>, proxy: &Proxy) -> Raw {
    Raw::connect(proxy.port(), database.name(), "postgres", PASSWORD)
}

fn tags(messages: &[Message]) -> Vec<String> {
    let completed = messages.iter().filter(|it| it.kind == 'C');
    completed.map(Message::text).collect()
}

/// The place of an error that Postgres would point at, as the rest of the text from there.
fn place<'a>(messages: &[Message], text: &'a str) -> &'a str {
    let error = messages.iter().find(|it| it.kind == 'E').expect("an error");
    let position: usize = error.field('P').expect("a position").parse().unwrap();
    let (at, _) = text
        .char_indices()
        .nth(position - 1)
        .unwrap_or((text.len(), ' '));
    &text[at..]
}

#[test]
fn psql_runs_ddlx_as_any_other_sql() {
    let (database, proxy) = setup();
    let output = psql(
        &database,
        &proxy,
        &[
            "-c",
            ITEMS,
            "-c",
            "ALTER TABLE items ENABLE ELECTRIC;",
            "-c",
            "electric grant select on items to anyone; ELECTRIC REVOKE SELECT ON items FROM ANYONE; SELECT 1 AS one",
            "-c",
            "ELECTRIC ENABLE items",
        ],
    );
    assert_eq!(
        said(&output),
        "CREATE TABLE\nELECTRIC ENABLE\nELECTRIC GRANT\nELECTRIC REVOKE\n one \n-----\n   1\n(1 row)\n\nELECTRIC ENABLE\n\
         NOTICE:  table \"public.items\" is already electrified\n"
    );
    assert_eq!(
        words(&database.commands()),
        [
            ("create_table", "public.items"),
            ("grant", "public.items"),
            ("revoke", "public.items")
        ]
    );
    let queries: Vec<_> = database.commands().into_iter().map(|c| c.query).collect();
    assert_eq!(queries[0], "ALTER TABLE items ENABLE ELECTRIC");
}

#[test]
fn psql_points_at_what_is_wrong() {
    let (database, proxy) = setup();
    let output = psql(
        &database,
        &proxy,
        &["-c", "SELECT 1; ELECTRIC GRANT JUNK ON items TO ANYONE"],
    );
    assert_eq!(
        said(&output),
        "ERROR:  syntax error at or near \"JUNK\"\n\
         LINE 1: SELECT 1; ELECTRIC GRANT JUNK ON items TO ANYONE\n                                 ^\n"
    );
    run(&mut database.client(), ITEMS);
    let output = psql(
        &database,
        &proxy,
        &[
            "-c",
            "ELECTRIC ENABLE items",
            "-c",
            "/* ü */ ELECTRIC GRANT SELECT ON items TO ANYONE WHERE (nope = 1)",
        ],
    );
    assert_eq!(
        said(&output),
        "ELECTRIC ENABLE\nERROR:  column \"nope\" does not exist\n\
         LINE 1: ...*/ ELECTRIC GRANT SELECT ON items TO ANYONE WHERE (nope = 1)\n\
         \x20                                                             ^\n"
    );
}

#[test]
fn answers_of_a_mixed_text_belong_to_its_statements() {
    let (database, proxy) = setup();
    let mut raw = raw(&database, &proxy);
    let messages = raw.query(&format!(
        "{ITEMS}; SELECT 1, 2; ELECTRIC ENABLE items; INSERT INTO items VALUES (1, 'electric'), (2, ''); SELECT value FROM items; \
         ELECTRIC DISABLE items; SELECT 'ELECTRIC ENABLE items' -- ELECTRIC ENABLE items"
    ));
    assert_eq!(kinds(&messages), "CTDCCCTDDCCTDCZ");
    assert_eq!(
        tags(&messages),
        [
            "CREATE TABLE",
            "SELECT 1",
            "ELECTRIC ENABLE",
            "INSERT 0 2",
            "SELECT 2",
            "ELECTRIC DISABLE",
            "SELECT 1"
        ]
    );
}

#[test]
fn a_text_is_all_or_nothing() {
    let (database, proxy) = setup();
    let mut raw = raw(&database, &proxy);
    raw.query(ITEMS);
    let before = database.trace();
    for text in [
        "ELECTRIC ENABLE items; SELECT 1/0",
        "CREATE TABLE other (id int PRIMARY KEY); ELECTRIC ENABLE items, other; ELECTRIC GRANT ALL ON nope TO ANYONE",
        "ELECTRIC ENABLE items; SELECT; FROM",
        "ELECTRIC ENABLE items; ELECTRIC ENABLE",
        "BEGIN; ELECTRIC ENABLE items; ROLLBACK",
    ] {
        raw.query(text);
        assert_eq!(before, database.trace(), "{text}");
    }
    let messages = raw.query("ELECTRIC ENABLE items; SELECT 1/0; ELECTRIC ENABLE nope");
    assert_eq!(kinds(&messages), "CEZ");
    // In a transaction of the client's, errors end it, and it ends as any other does.
    assert_eq!(raw.query("BEGIN").last().unwrap().body, b"T");
    assert_eq!(
        raw.query("ELECTRIC ENABLE items").last().unwrap().body,
        b"T"
    );
    let messages = raw.query("ELECTRIC ENABLE nope");
    assert_eq!(messages[0].field('C').as_deref(), Some("42P01"));
    assert_eq!(messages.last().unwrap().body, b"E");
    let messages = raw.query("ELECTRIC ENABLE items");
    assert_eq!(messages[0].field('C').as_deref(), Some("25P02"));
    assert_eq!(tags(&raw.query("COMMIT")), ["ROLLBACK"]);
    assert_eq!(before, database.trace());
    let messages = raw.query(
        "BEGIN; ELECTRIC ENABLE items; SAVEPOINT s; ELECTRIC DISABLE items; ROLLBACK TO s; COMMIT",
    );
    assert_eq!(kinds(&messages), "CCCCCCZ");
    assert_eq!(
        words(&database.commands()),
        [("create_table", "public.items")]
    );
}

#[test]
fn positions_are_in_the_clients_own_text() {
    let (database, proxy) = setup();
    let mut raw = raw(&database, &proxy);
    raw.query(ITEMS);
    for (text, at) in [
        ("ELECTRIC ENABLE items; SELECT nope FROM items", "nope"),
        (
            "SELECT 'é'; ELECTRIC ENABLE items; ELECTRIC ENABLE items; SELECT nope",
            "nope",
        ),
        ("ELECTRIC ENABLE items; SELEC 1", "SELEC"),
        ("SELEC 1; ELECTRIC ENABLE items", "SELEC"),
        (
            "ELECTRIC ENABLE items; ELECTRIC GRANT JUNK ON items TO ANYONE; SELEC 1",
            "JUNK",
        ),
        ("SELEC 1; ELECTRIC GRANT JUNK ON items TO ANYONE", "SELEC"),
        (
            "ALTER TABLE items ENABLE ELECTRIC, ADD COLUMN x int",
            ", ADD",
        ),
        ("ELECTRIC GRANT SELECT ON items TO 'items:", "'items:"),
        ("ELECTRIC GRANT SELECT ON items TO", ""),
        (
            "/* ü */ ELECTRIC ENABLE items; ELECTRIC GRANT SELECT ON items TO ANYONE WHERE (value = nope)",
            "nope",
        ),
    ] {
        let messages = raw.query(text);
        assert!(
            place(&messages, text).starts_with(at),
            "{text}: {messages:?}"
        );
        let error = messages.iter().find(|it| it.kind == 'E').unwrap();
        for internal in ['p', 'q', 'W'] {
            assert_eq!(error.field(internal), None, "{text}");
        }
    }
    let messages = raw.query("ELECTRIC GRANT SELECT ON items TO 'items:'");
    let hint = messages[0].field('H').expect("a hint");
    assert!(hint.starts_with("Write 'name'"), "{hint}");
}

#[test]
fn the_word_alone_changes_nothing() {
    let (database, proxy) = setup();
    let mut raw = raw(&database, &proxy);
    let body = "BEGIN PERFORM 'ELECTRIC ENABLE items'; END";
    let messages = raw.query(&format!(
        "CREATE TABLE electric (electric text DEFAULT 'ELECTRIC'); /* ELECTRIC ENABLE x; */ DO $$ {body} $$; \
         INSERT INTO electric VALUES ($q$; ELECTRIC ENABLE items; $q$); SELECT electric FROM electric"
    ));
    assert_eq!(kinds(&messages), "CCCTDCZ");
    assert!(messages[4].text().ends_with("; ELECTRIC ENABLE items; "));
    let text = "SELECT pg_get_functiondef('f'::regproc)";
    raw.query(&format!(
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ {body} $f$"
    ));
    assert!(raw.query(text)[1].text().contains(body));
}

#[test]
fn a_database_without_the_extension_says_so() {
    let cluster = Cluster::shared();
    let proxy = Proxy::before(cluster);
    let database = cluster.empty_database();
    let mut client = proxy.client(database.name());
    let error = failure(
        client.batch_execute("SELECT 1; ELECTRIC ENABLE items"),
        "3F000",
    );
    error.message_names(&["extension \"electric\""]).hinted();
}

#[test]
fn any_client_encoding_will_do() {
    let (database, proxy) = setup();
    let mut raw = raw(&database, &proxy);
    raw.query("SET client_encoding = 'SJIS'");
    // The second byte of this character is a backslash's, and the string ends behind it.
    let mut text = b"SELECT E'\x83\x5c'; CREATE TABLE t (id int PRIMARY KEY, \"\x83\x5c\" text); ELECTRIC ENABLE t; SELECT \"\x83\x5c\" FROM t; SELECT nope".to_vec();
    text.push(0);
    raw.send(&electric_tests::proxy::message(b'Q', &text));
    let messages = raw.read_ready(1);
    assert_eq!(kinds(&messages), "TDCCCTCEZ");
    // In characters, of which SJIS has fewer than bytes.
    let expected = text.len() - 3 - "nope".len();
    assert_eq!(messages[7].field('P'), Some(expected.to_string()));
    raw.query("SET client_encoding = 'LATIN1'; SET standard_conforming_strings = off");
    let messages = raw.query("SELECT 'it\\'s'; CREATE TABLE u (id int PRIMARY KEY)");
    assert_eq!(kinds(&messages).trim_start_matches('N'), "TDCCZ");
    assert_eq!(kinds(&raw.query("ELECTRIC ENABLE u")), "CZ");
    // What failed at its end left nothing.
    assert_eq!(words(&database.commands()), [("create_table", "public.u")]);
}

/// Until the server has answered what may change how it reads texts, nobody knows how it will read the next one.
#[test]
fn texts_sent_before_the_answer_about_settings_are_left_alone() {
    let (database, proxy) = setup();
    let cluster = database.cluster();
    let query = |text: &[u8]| electric_tests::proxy::message(b'Q', &[text, b"\0"].concat());
    let pairs: [(&[u8], &[u8]); 3] = [
        (
            b"SET standard_conforming_strings = off",
            br"SELECT '\'; ELECTRIC ENABLE nope; --'",
        ),
        (
            b"SELECT set_config('STANDARD_conforming_strings', 'off', false)",
            br"SELECT '\'; ELECTRIC ENABLE nope; --'",
        ),
        (
            b"SET NAMES 'sjis'",
            b"SELECT '\x83\\'; ELECTRIC ENABLE nope; --'",
        ),
    ];
    for (settings, text) in pairs {
        let [through, direct] = [proxy.port(), cluster.port()].map(|port| {
            let mut raw = Raw::connect(port, database.name(), "postgres", PASSWORD);
            raw.send(&[query(settings), query(text)].concat());
            let messages = raw.read_ready(2);
            // What is sent once the answer is there is read as the server reads it.
            raw.send(&query(b"ELECTRIC ENABLE nope"));
            (messages, raw.read_ready(1))
        });
        assert_eq!(through.0, direct.0, "{}", String::from_utf8_lossy(text));
        let error = through.1.iter().find(|it| it.kind == 'E').unwrap();
        assert_eq!(error.field('C').as_deref(), Some("42P01"));
    }
}
