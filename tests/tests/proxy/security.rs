//! Nobody gets in through the proxy who would not get in without it.

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, wait_until};
use electric_tests::port::Port;
use electric_tests::proxy::{PASSWORD, Proxy, Raw, kinds, query};

const WHO: [(&str, &str); 2] = [("user", "postgres"), ("database", "postgres")];

/// A server that asks each role for its password over TCP.
fn asking(method: &str) -> Cluster {
    let cluster = Cluster::builder()
        .setting(
            "password_encryption",
            if method == "md5" {
                "md5"
            } else {
                "scram-sha-256"
            },
        )
        .start()
        .unwrap();
    let mut client = cluster.connect("postgres", "postgres").unwrap();
    run(&mut client, "CREATE ROLE tester LOGIN PASSWORD 'its own'");
    let rules = format!("local all all trust\nhost all all all {method}\n");
    fs::write(cluster.data_directory().join("pg_hba.conf"), rules).unwrap();
    run(&mut client, "SELECT pg_reload_conf()");
    cluster
}

#[test]
fn a_server_that_trusts_the_proxy_is_refused() {
    let cluster = Cluster::shared();
    for password in [None, Some("")] {
        let proxy = Proxy::with(cluster, password, &[]);
        let error = Raw::try_connect(proxy.port(), &WHO, PASSWORD)
            .err()
            .unwrap();
        assert_eq!(error.field('C').as_deref(), Some("28000"));
        assert!(
            error.field('H').unwrap().contains("pg_hba.conf"),
            "{error:?}"
        );
    }
}

#[test]
fn or_asks_for_the_proxys_own_password() {
    let proxy = Proxy::before(Cluster::shared());
    assert!(Raw::try_connect(proxy.port(), &WHO, PASSWORD).is_ok());
    for wrong in ["", "wrong"] {
        let error = Raw::try_connect(proxy.port(), &WHO, wrong).err().unwrap();
        assert_eq!(error.field('C').as_deref(), Some("28P01"));
        assert_eq!(
            error.field('M').as_deref(),
            Some("password authentication failed for user \"postgres\"")
        );
    }
    // What is said before the proof is not carried out.
    let mut raw = Raw::open(proxy.port());
    let mut startup = bytes::BytesMut::new();
    postgres_protocol::message::frontend::startup_message(WHO, &mut startup).unwrap();
    raw.send(&[&startup[..], &query("CREATE TABLE got_in (a int)")].concat());
    assert_eq!(raw.read().unwrap().kind, 'R');
    assert_eq!(raw.read().unwrap().field('C').as_deref(), Some("08P01"));
    assert!(raw.read().is_err());
    let mut raw = Raw::connect(proxy.port(), "postgres", "postgres", PASSWORD);
    assert!(kinds(&raw.query("SELECT * FROM got_in")).starts_with('E'));
}

#[test]
fn a_server_that_asks_is_answered_by_the_client() {
    for method in ["scram-sha-256", "password"] {
        let cluster = asking(method);
        let proxy = Proxy::before(&cluster);
        let who = [("user", "tester"), ("database", "postgres")];
        let mut raw = Raw::try_connect(proxy.port(), &who, "its own").unwrap();
        assert_eq!(kinds(&raw.query("SELECT 1")), "TDCZ", "{method}");
        // The proxy's own password opens nothing here.
        let error = Raw::try_connect(proxy.port(), &who, PASSWORD)
            .err()
            .unwrap();
        assert_eq!(error.field('C').as_deref(), Some("28P01"), "{method}");
    }
    let cluster = asking("md5");
    let proxy = Proxy::before(&cluster);
    let mut config = proxy.config("postgres", "tester");
    assert!(config.password("its own").connect(postgres::NoTls).is_ok());
    assert!(config.password("wrong").connect(postgres::NoTls).is_err());
}

#[test]
fn replication_is_refused() {
    let proxy = Proxy::before(Cluster::shared());
    for value in ["true", "database", "1"] {
        let who = [WHO[0], WHO[1], ("replication", value)];
        let error = Raw::try_connect(proxy.port(), &who, PASSWORD)
            .err()
            .unwrap();
        assert_eq!(error.field('C').as_deref(), Some("0A000"));
        assert!(error.field('M').unwrap().contains("replication"));
    }
    let who = [WHO[0], WHO[1], ("replication", "off")];
    assert!(Raw::try_connect(proxy.port(), &who, PASSWORD).is_ok());
}

#[test]
fn connections_are_limited() {
    let proxy = Proxy::with(
        Cluster::shared(),
        Some(PASSWORD),
        &["--max-connections", "2", "--handshake-timeout", "1"],
    );
    let sessions: Vec<_> = (0..2)
        .map(|_| Raw::try_connect(proxy.port(), &WHO, PASSWORD).unwrap())
        .collect();
    let error = Raw::try_connect(proxy.port(), &WHO, PASSWORD)
        .err()
        .unwrap();
    assert_eq!(error.field('C').as_deref(), Some("53300"));
    drop(sessions);
    wait_until("there is room again", || {
        Raw::try_connect(proxy.port(), &WHO, PASSWORD).is_ok()
    });
    // Who says nothing is not waited for, nor who says too much or nonsense.
    let mut silent = Raw::open(proxy.port());
    assert!(silent.read().is_err());
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 100],
        &[0, 0, 0, 7, 0, 0, 0],
    ] {
        let mut raw = Raw::open(proxy.port());
        raw.send(nonsense);
        let mut rest = vec![];
        let _ = raw.stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn statements_are_canceled_by_their_own_key_alone() {
    let proxy = Proxy::before(Cluster::shared());
    let mut raw = Raw::connect(proxy.port(), "postgres", "postgres", PASSWORD);
    let cancel = |key: &[u8]| {
        let mut other = Raw::open(proxy.port());
        other.send(&[&[0, 0, 0, 16, 4, 210, 22, 46], key].concat());
        // The server closes it when it has looked at the key.
        let _ = other.stream.read(&mut [0]);
    };
    raw.send(&query("SELECT pg_sleep(60)"));
    let mut wrong = raw.key.clone();
    wrong[7] ^= 1;
    cancel(&wrong);
    raw.stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    // It may have described its rows.
    while let Ok(message) = raw.read() {
        assert_eq!(message.kind, 'T');
    }
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    cancel(&raw.key.clone());
    let messages = raw.read_ready(1);
    let error = messages.iter().find(|it| it.kind == 'E').unwrap();
    assert_eq!(error.field('C').as_deref(), Some("57014"), "{messages:?}");
    assert_eq!(kinds(&raw.query("SELECT 1")), "TDCZ");
}

#[test]
fn encryption_is_refused_where_there_is_no_certificate() {
    let proxy = Proxy::before(Cluster::shared());
    let mut raw = Raw::open(proxy.port());
    for request in [[0, 0, 0, 8, 4, 210, 22, 48], [0, 0, 0, 8, 4, 210, 22, 47]] {
        raw.stream.write_all(&request).unwrap();
        let mut answer = [0];
        raw.stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"N");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let nowhere = Port::take().unwrap();
    let port = nowhere.number();
    let proxy = Proxy::to(&format!("postgres://127.0.0.1:{port}"), None, &[]);
    let error = Raw::try_connect(proxy.port(), &WHO, "").err().unwrap();
    assert_eq!(error.field('C').as_deref(), Some("08001"));
    assert!(error.field('H').is_some());
}
