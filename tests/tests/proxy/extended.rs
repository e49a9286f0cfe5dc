//! DDLX in the extended protocol: as any other statement without rows.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, words};
use electric_tests::errors::failure;
use electric_tests::proxy::{
    PASSWORD, Proxy, Raw, bind, close, describe, execute, flush, kinds, parse, query, sync,
};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text)";

fn setup() -> (Database<'static>, Proxy, Raw) {
    let cluster = Cluster::shared();
    let (database, proxy) = (cluster.database(), Proxy::before(cluster));
    let mut raw = Raw::connect(proxy.port(), database.name(), "postgres", PASSWORD);
    raw.query(ITEMS);
    (database, proxy, raw)
}

fn ask(raw: &mut Raw, messages: &[Vec<u8>]) -> Vec<electric_tests::proxy::Message> {
    raw.send(&messages.concat());
    raw.read_ready(
        messages
            .iter()
            .filter(|it| it[0] == b'S' || it[0] == b'Q')
            .count(),
    )
}

#[test]
fn it_is_a_statement_without_rows() {
    let (database, _proxy, mut raw) = setup();
    let all = [
        parse("", "ALTER TABLE items ENABLE ELECTRIC"),
        describe(b'S', ""),
        bind("", ""),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let messages = ask(&mut raw, &all);
    assert_eq!(kinds(&messages), "1tn2nCZ");
    assert_eq!(messages[1].body, [0, 0], "no parameters");
    assert_eq!(messages[5].text(), "ELECTRIC ENABLE");
    // The same without describing it, and for one row, as some drivers ask for what has none.
    let all = [
        parse("", "ELECTRIC DISABLE items"),
        bind("", ""),
        execute("", 1),
        sync(),
    ];
    let messages = ask(&mut raw, &all);
    assert_eq!(kinds(&messages), "12CZ");
    assert_eq!(messages[2].text(), "ELECTRIC DISABLE");
    assert_eq!(
        words(&database.commands()),
        [
            ("create_table", "public.items"),
            ("disable_table", "public.items")
        ]
    );
}

#[test]
fn prepared_statements_survive() {
    let (_database, _proxy, mut raw) = setup();
    let all = [
        parse("on", "ELECTRIC ENABLE items"),
        parse("off", "ELECTRIC DISABLE items"),
        parse("rows", "SELECT 1"),
        sync(),
    ];
    assert_eq!(kinds(&ask(&mut raw, &all)), "111Z");
    for _ in 0..2 {
        let all = [
            bind("a", "on"),
            bind("b", "rows"),
            describe(b'P', "b"),
            describe(b'P', "a"),
            execute("a", 0),
            execute("b", 0),
            bind("c", "off"),
            execute("c", 0),
            close(b'P', "a"),
            sync(),
        ];
        let messages = ask(&mut raw, &all);
        assert_eq!(kinds(&messages), "22TnCDC2C3Z", "{messages:?}");
        assert_eq!(messages[4].text(), "ELECTRIC ENABLE");
        assert_eq!(messages[8].text(), "ELECTRIC DISABLE");
    }
    // A name is free again for something else.
    let all = [
        close(b'S', "on"),
        parse("on", "VALUES (1, 2)"),
        bind("", "on"),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    assert_eq!(kinds(&ask(&mut raw, &all)), "312TDCZ");
    // And so are all of them.
    raw.query("DEALLOCATE ALL");
    let all = [
        parse("off", "VALUES ('ELECTRIC')"),
        bind("", "off"),
        execute("", 0),
        sync(),
    ];
    assert_eq!(kinds(&ask(&mut raw, &all)), "12DCZ");
    // Prepared by the protocol, run by SQL.
    let all = [
        parse("by_sql", "ELECTRIC ENABLE items"),
        sync(),
        query("EXECUTE by_sql"),
    ];
    let messages = ask(&mut raw, &all);
    assert_eq!(kinds(&messages), "1ZCZ");
    assert_eq!(messages[2].text(), "ELECTRIC ENABLE");
}

#[test]
fn errors_are_those_of_the_clients_text() {
    let (database, _proxy, mut raw) = setup();
    for (text, code, position) in [
        (
            "ELECTRIC ENABLE items; ELECTRIC DISABLE items",
            "42601",
            None,
        ),
        ("ELECTRIC ENABLE items; SELECT 1", "42601", None),
        (
            " ELECTRIC GRANT JUNK ON items TO ANYONE",
            "42601",
            Some("17"),
        ),
        ("SELEC 1; ELECTRIC ENABLE items", "42601", Some("1")),
    ] {
        let all = [
            parse("", text),
            describe(b'S', ""),
            bind("", ""),
            execute("", 0),
            sync(),
        ];
        let messages = ask(&mut raw, &all);
        assert_eq!(kinds(&messages), "EZ", "{text}");
        assert_eq!(messages[0].field('C').as_deref(), Some(code));
        assert_eq!(
            messages[0].field('P').as_deref(),
            position,
            "{text}: {messages:?}"
        );
    }
    // An error at each stage, with statements around it whose texts have other positions.
    let grant = "/* é */ ELECTRIC GRANT SELECT ON items TO ANYONE WHERE (nope = 1)";
    ask(
        &mut raw,
        &[
            parse("on", "ELECTRIC ENABLE items"),
            parse("grant", grant),
            sync(),
        ],
    );
    let all = [
        parse("", "SELECT 1"),
        bind("a", "on"),
        execute("a", 0),
        bind("b", "grant"),
        execute("b", 0),
        parse("", "SELECT nope"),
        sync(),
        parse("", "SELECT   nope"),
        sync(),
        query("SELECT     nope"),
    ];
    let messages = ask(&mut raw, &all);
    assert_eq!(kinds(&messages), "12C2EZEZEZ", "{messages:?}");
    let at = |index: usize| messages[index].field('P').unwrap();
    let nope = grant[..grant.find("nope").unwrap()].chars().count() + 1;
    assert_eq!(
        [at(4), at(6), at(8)],
        [nope.to_string(), "10".into(), "12".into()]
    );
    assert_eq!(messages[4].field('q'), None);
    // The transaction that all of that was in is gone with what failed.
    assert!(database.commands().is_empty());
}

#[test]
fn a_portal_that_cannot_run_says_why() {
    let (database, _proxy, mut raw) = setup();
    ask(
        &mut raw,
        &[parse("on", "/*é*/ ELECTRIC ENABLE items"), sync()],
    );
    electric_tests::database::run(&mut database.client(), "DROP EXTENSION electric CASCADE");
    let messages = ask(&mut raw, &[bind("", "on"), execute("", 0), sync()]);
    assert_eq!(kinds(&messages), "EZ");
    let error = &messages[0];
    assert_eq!(error.field('P').as_deref(), Some("7"), "{error:?}");
    assert!(error.field('H').is_some(), "{error:?}");
}

#[test]
fn pipelines_keep_their_order() {
    let (_database, _proxy, mut raw) = setup();
    let mut all = vec![];
    for number in 0..200 {
        all.push(parse("", "ELECTRIC ENABLE items"));
        all.extend([bind("", ""), execute("", 0)]);
        all.push(parse("", &format!("SELECT {number}, 'electric'")));
        all.extend([bind("", ""), execute("", 0)]);
        all.push(query("ELECTRIC DISABLE items; SELECT 1"));
    }
    // A Query ends the transaction of what comes before it.
    raw.send(&all.concat());
    let messages = raw.read_ready(200);
    let expected = "12C12DCCTDCZ";
    let kinds = kinds(&messages).replace('N', "");
    assert_eq!(kinds, expected.repeat(200));
    let all = [parse("", "ELECTRIC ENABLE items"), flush()];
    raw.send(&all.concat());
    assert_eq!(raw.read().unwrap().kind, '1', "Flush is answered");
    let all = [bind("", ""), flush()];
    raw.send(&all.concat());
    assert_eq!(raw.read().unwrap().kind, '2');
    raw.send(&[execute("", 0), sync()].concat());
    assert_eq!(electric_tests::proxy::kinds(&raw.read_ready(1)), "CZ");
}

#[test]
fn rows_copied_in_a_pipeline_disturb_nothing() {
    let (_database, _proxy, mut raw) = setup();
    let row = |text: &str| electric_tests::proxy::message(b'd', text.as_bytes());
    let done = || electric_tests::proxy::message(b'c', b"");
    for early in [true, false] {
        raw.send(
            &[
                parse("", "COPY items FROM STDIN"),
                bind("", ""),
                execute("", 0),
            ]
            .concat(),
        );
        if early {
            // As libpq does: passed over by a server that reads rows.
            raw.send(&sync());
        } else {
            raw.send(&flush());
        }
        for kind in ["1", "2", "G"] {
            assert_eq!(raw.read().unwrap().kind.to_string(), kind);
        }
        raw.send(
            &[
                row(if early {
                    "1\tELECTRIC ENABLE\n"
                } else {
                    "2\tx\n"
                }),
                done(),
                sync(),
            ]
            .concat(),
        );
        assert_eq!(kinds(&raw.read_ready(1)), "CZ");
        let all = [
            parse("", "  ELECTRIC GRANT JUNK"),
            sync(),
            query("ELECTRIC ENABLE items"),
        ];
        let messages = ask(&mut raw, &all);
        assert_eq!(
            messages[0].field('P').as_deref(),
            Some("18"),
            "{messages:?}"
        );
        assert_eq!(kinds(&messages).replace('N', ""), "EZCZ");
    }
    raw.send(&query(
        "COPY items FROM STDIN; ELECTRIC DISABLE items; SELECT nope",
    ));
    assert_eq!(raw.read().unwrap().kind, 'G');
    raw.send(&[row("3\ty\n"), done()].concat());
    let messages = raw.read_ready(1);
    assert_eq!(kinds(&messages), "CCEZ");
    assert_eq!(messages[2].field('P').as_deref(), Some("55"));
    assert_eq!(kinds(&raw.query("ELECTRIC DISABLE items")), "CZ");
}

#[test]
fn drivers_prepare_and_run_it() {
    let (database, proxy, _raw) = setup();
    let mut client = proxy.client(database.name());
    let statement = client.prepare("ELECTRIC ENABLE items").unwrap();
    assert!(statement.columns().is_empty() && statement.params().is_empty());
    assert_eq!(client.execute(&statement, &[]).unwrap(), 0);
    let mut transaction = client.transaction().unwrap();
    transaction
        .execute("ELECTRIC GRANT SELECT ON items TO ANYONE", &[])
        .unwrap();
    transaction.rollback().unwrap();
    failure(client.execute("ELECTRIC ENABLE nope", &[]), "42P01");
    assert!(
        client
            .query("ELECTRIC GRANT SELECT ON items TO ANYONE", &[])
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        words(&database.commands()),
        [("create_table", "public.items"), ("grant", "public.items")]
    );
}
