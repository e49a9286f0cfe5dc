//! Everything but DDLX is the same through the proxy as without it, byte for byte.

use std::net::Shutdown;
use std::time::Duration;

use electric_tests::cluster::Cluster;
use electric_tests::proxy::{
    Message, PASSWORD, Proxy, Raw, bind, close, describe, execute, flush, message, parse, query,
    sync,
};

/// What a server says to these bytes, sent in pieces of that size, until it closes the connection.
fn said(mut raw: Raw, bytes: &[u8], piece: usize) -> Vec<Message> {
    let mut writer = raw.stream.try_clone().unwrap();
    let mut all = vec![];
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for piece in bytes.chunks(piece) {
                // A server that ends the connection early does not read on.
                if std::io::Write::write_all(&mut writer, piece).is_err() {
                    break;
                }
            }
            let _ = writer.shutdown(Shutdown::Write);
        });
        while let Ok(message) = raw.read() {
            all.push(message);
        }
    });
    for message in &mut all {
        // The process that notifies is another one.
        if message.kind == 'A' {
            message.body[..4].fill(0);
        }
        if message.kind == 'T' {
            without_tables(&mut message.body);
        }
    }
    all
}

/// In the description of rows, the ids of tables: each database has its own.
fn without_tables(body: &mut [u8]) {
    let mut at = 2;
    while let Some(end) = body[at..].iter().position(|byte| *byte == 0) {
        let table = at + end + 1;
        body[table..table + 4].fill(0);
        // Table, column, type, its length and modifier, format.
        at = table + 4 + 2 + 4 + 2 + 4 + 2;
    }
}

fn compare(name: &str, script: &[Vec<u8>]) {
    let cluster = Cluster::shared();
    let proxy = Proxy::before(cluster);
    let bytes = script.concat();
    let pieces: &[usize] = if bytes.len() > 100_000 {
        &[1 << 20]
    } else {
        &[1 << 20, 7]
    };
    for piece in pieces {
        let [direct, proxied] = [cluster.port(), proxy.port()].map(|port| {
            let database = cluster.empty_database();
            let raw = Raw::connect(port, database.name(), "postgres", PASSWORD);
            said(raw, &bytes, *piece)
        });
        assert!(!direct.is_empty(), "{name}");
        assert_eq!(direct.len(), proxied.len(), "{name}: {:?}", proxied.last());
        for (index, (direct, proxied)) in direct.iter().zip(&proxied).enumerate() {
            assert!(
                direct == proxied,
                "{name}: message {index}: {direct:?}\n{proxied:?}"
            );
        }
    }
}

fn bind_with(portal: &str, statement: &str, value: &[u8], formats: &[u8]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    // Formats of parameters, one parameter, formats of results.
    body.extend_from_slice(formats);
    body.extend_from_slice(&[0, 1]);
    body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend_from_slice(value);
    body.extend_from_slice(&[0, 1, 0, 1]);
    message(b'B', &body)
}

#[test]
fn the_simple_protocol() {
    compare(
        "simple",
        &[
            query("SELECT 1, 'electric', NULL, ARRAY[1.5], '{}'::jsonb; ; SELECT"),
            query(""),
            query(
                "DO $$ BEGIN RAISE NOTICE 'electric %', 1 USING HINT = 'h'; RAISE WARNING 'w'; END $$",
            ),
            query("SELECT 1; SELECT nope; SELECT 2"),
            query("BEGIN; CREATE TABLE t (electric int); INSERT INTO t VALUES (1), (2)"),
            query("SELECT 1/0"),
            query("SELECT 1"),
            query(
                "ROLLBACK; SET application_name = 'électric'; SET client_encoding = 'LATIN1'; SET DateStyle = 'German'",
            ),
            query("SELEC 'electric'"),
            query("SELECT 'unterminated electric"),
            query("ALTER TABLE electric ENABLE TRIGGER electric"),
            query("LISTEN electric; NOTIFY electric, 'payload'"),
            // The function that adds two numbers, by its number.
            message(
                b'F',
                &[
                    &177_u32.to_be_bytes()[..],
                    &[0, 1, 0, 0, 0, 2, 0, 0, 0, 1],
                    b"2",
                    &[0, 0, 0, 1],
                    b"3",
                    &[0, 0],
                ]
                .concat(),
            ),
            message(b'X', b""),
        ],
    );
}

#[test]
fn rows_copied_both_ways() {
    let row = |text: &[u8]| message(b'd', text);
    compare(
        "copy",
        &[
            query(
                "CREATE TABLE t (electric text); COPY t FROM STDIN; SELECT * FROM t; COPY t TO STDOUT",
            ),
            row(b"ELECTRIC ENA"),
            row(b"BLE t\nsecond\n"),
            message(b'c', b""),
            query("COPY t FROM STDIN"),
            row(b"x\n"),
            message(b'f', b"because\0"),
            query("COPY t FROM STDIN"),
            row(b"too\tmany\n"),
            message(b'c', b""),
            query(
                "COPY (SELECT repeat('electric', 100000) FROM generate_series(1, 20)) TO STDOUT (FORMAT binary)",
            ),
            message(b'X', b""),
        ],
    );
}

#[test]
fn the_extended_protocol() {
    compare(
        "extended",
        &[
            parse(
                "s",
                "SELECT $1::int4, g, 'electric' FROM generate_series(1, 5) g",
            ),
            describe(b'S', "s"),
            bind_with("p", "s", &7_u32.to_be_bytes(), &[0, 1, 0, 1]),
            describe(b'P', "p"),
            execute("p", 2),
            execute("p", 2),
            flush(),
            execute("p", 0),
            close(b'P', "p"),
            sync(),
            bind_with("", "s", b"x", &[0, 0]),
            execute("", 0),
            parse("passed over", "SELECT 1"),
            sync(),
            parse("s", "again"),
            query("SELECT 'passed over'"),
            sync(),
            parse("", ""),
            bind("", ""),
            describe(b'P', ""),
            execute("", 0),
            sync(),
            parse("", "SELECT 1; SELECT 2"),
            sync(),
            parse("", "SELECT electric"),
            sync(),
            close(b'S', "s"),
            close(b'S', "nobody knows it"),
            bind("", "s"),
            sync(),
            message(b'X', b""),
        ],
    );
}

#[test]
fn many_messages_and_long_ones() {
    let mut script: Vec<Vec<u8>> = (0..20_000)
        .flat_map(|number| {
            [
                parse("", &format!("SELECT {number}")),
                bind("", ""),
                execute("", 0),
            ]
        })
        .collect();
    script.push(sync());
    script.push(query("SELECT repeat('electric', 2000000)"));
    script.push(query(&format!(
        "SELECT length('{}')",
        "electric".repeat(1 << 20)
    )));
    // Longer than what is searched for DDLX.
    script.push(query(&format!(
        "SELECT length('{}')",
        "electric".repeat((16 << 17) + 1)
    )));
    script.push(message(b'X', b""));
    compare("many", &script);
}

#[test]
fn nonsense() {
    for (name, nonsense) in [
        ("unknown kind", message(b'?', b"what")),
        ("impossible length", vec![b'Q', 0, 0, 0, 3]),
        ("negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff, b'x']),
        ("text without end", message(b'Q', b"ELECTRIC ENABLE t")),
        (
            "text with two ends",
            message(b'Q', b"ELECTRIC ENABLE t\0x\0"),
        ),
        ("half a message", b"Q\0\0\0\x20ELECTRIC".to_vec()),
        ("parse without text", message(b'P', b"electric")),
    ] {
        compare(name, &[query("SELECT 1"), nonsense]);
    }
}

#[test]
fn a_long_text_with_ddlx_is_told_about() {
    let cluster = Cluster::shared();
    let proxy = Proxy::with(cluster, Some(PASSWORD), &["--max-text", "100"]);
    let mut raw = Raw::connect(proxy.port(), "postgres", "postgres", PASSWORD);
    raw.stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let text = format!("ELECTRIC ENABLE items /* {} */", "x".repeat(100));
    let error = &raw.query(&text)[0];
    assert_eq!(error.field('C').as_deref(), Some("42601"));
    assert!(error.field('H').unwrap().contains("100 bytes"), "{error:?}");
}
