//! Whoever is killed, at whatever moment: nobody hangs, and nothing is half done.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, text, wait_until};
use electric_tests::proxy::{PASSWORD, Proxy, Raw, bind, execute, parse, query, sync};

/// A migration, message by message.
fn script() -> Vec<Vec<u8>> {
    vec![
        query("BEGIN"),
        query("CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items ENABLE ELECTRIC"),
        parse("", "ELECTRIC GRANT SELECT ON items TO ANYONE"),
        bind("", ""),
        execute("", 0),
        sync(),
        query("INSERT INTO items VALUES (1)"),
        query("COMMIT"),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Client,
    Proxy,
    Backend,
}

/// Rows of the table, or none of it at all.
fn state(database: &Database<'_>) -> (bool, usize) {
    let there = text(
        &mut database.client(),
        "SELECT (to_regclass('items') IS NOT NULL)::text",
    );
    (there == "true", database.commands().len())
}

fn sessions(database: &Database<'_>) -> String {
    let sql = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    text(&mut database.client(), sql)
}

fn kill_at(cluster: &Cluster, victim: Victim, messages: usize, half: bool) {
    let database = cluster.database();
    let mut proxy = Proxy::before(cluster);
    let mut raw = Raw::connect(proxy.port(), database.name(), "postgres", PASSWORD);
    let backend = i32::from_be_bytes(raw.key[..4].try_into().unwrap());
    let script = script();
    let mut committed = false;
    for message in &script[..messages] {
        raw.send(message);
        if matches!(message[0], b'Q' | b'S') {
            raw.read_ready(1);
            committed = message == script.last().unwrap();
        }
    }
    if half && let Some(next) = script.get(messages) {
        raw.send(&next[..next.len() / 2]);
    }
    let what = format!("{victim:?} after {messages} messages");
    match victim {
        Victim::Client => drop(raw),
        Victim::Proxy => {
            proxy.kill();
            assert!(raw.read().is_err(), "{what}");
        }
        Victim::Backend => {
            let sql = format!("SELECT pg_terminate_backend({backend}, 10000)::text");
            assert_eq!(text(&mut database.client(), &sql), "true");
            // Answers that the server held back come before.
            let mut last = raw.read().unwrap();
            while last.kind != 'E' {
                last = raw.read().unwrap();
            }
            assert_eq!(last.field('C').as_deref(), Some("57P01"), "{what}");
            assert!(raw.read().is_err(), "{what}");
        }
    }
    wait_until(&format!("no session is left: {what}"), || {
        sessions(&database) == "0"
    });
    let expected = if committed { (true, 2) } else { (false, 0) };
    assert_eq!(state(&database), expected, "{what}");
}

#[test]
fn at_every_message_the_killed_leave_nothing_half_done() {
    let cluster = Cluster::shared();
    for victim in [Victim::Client, Victim::Proxy, Victim::Backend] {
        for messages in 0..=script().len() {
            kill_at(cluster, victim, messages, false);
        }
    }
    for victim in [Victim::Client, Victim::Proxy] {
        for messages in 0..script().len() {
            kill_at(cluster, victim, messages, true);
        }
    }
}

#[test]
fn a_server_that_is_killed_ends_the_sessions_and_is_served_again() {
    let cluster = Cluster::builder().start().unwrap();
    let (database, proxy) = (cluster.database(), Proxy::before(&cluster));
    let mut raw = Raw::connect(proxy.port(), database.name(), "postgres", PASSWORD);
    let mut other = Raw::connect(proxy.port(), database.name(), "postgres", PASSWORD);
    for message in &script()[..2] {
        raw.send(message);
        raw.read_ready(1);
    }
    let backend = i32::from_be_bytes(raw.key[..4].try_into().unwrap());
    cluster.signal(backend, "KILL").unwrap();
    assert!(raw.read().is_err());
    // The others hear why, as they would without a proxy.
    let last = other.read().unwrap();
    assert_eq!(
        (last.kind, last.field('C').as_deref()),
        ('N', Some("57P02"))
    );
    wait_until("the server is back", || {
        let who = [("user", "postgres"), ("database", database.name())];
        Raw::try_connect(proxy.port(), &who, PASSWORD).is_ok()
    });
    assert_eq!(state(&database), (false, 0));
}
