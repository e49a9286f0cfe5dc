//! What a connection string holds is told to nobody, and whoever waits for the other server can be stopped.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use electric_tests::database::wait_until;

use super::*;

/// Stands before a server. From the message on that has this text, or this connection, it is silent.
struct Between {
    port: u16,
    heard: Arc<AtomicBool>,
}

impl Between {
    fn start(publisher: &Database<'_>, silent_at: &'static str, silent_from: usize) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cluster = publisher.cluster();
        let socket = cluster
            .socket_directory()
            .join(format!(".s.PGSQL.{}", cluster.port()));
        let heard = Arc::new(AtomicBool::new(false));
        let (is_silent, count) = (heard.clone(), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                if number >= silent_from {
                    is_silent.store(true, Ordering::SeqCst);
                    std::mem::forget(client);
                    continue;
                }
                let Ok(server) = UnixStream::connect(&socket) else {
                    return;
                };
                pass(&client, &server, silent_at, is_silent.clone());
            }
        });
        Between { port, heard }
    }

    fn conninfo(&self, publisher: &Database<'_>) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres dbname={} sslmode=disable gssencmode=disable",
            self.port,
            publisher.name()
        )
    }
}

fn pass(
    client: &TcpStream,
    server: &UnixStream,
    silent_at: &'static str,
    is_silent: Arc<AtomicBool>,
) {
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) =
        (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(n @ 1..) = from_client.read(&mut buffer) {
            let said = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if !silent_at.is_empty() && said.contains(silent_at) {
                is_silent.store(true, Ordering::SeqCst);
                // It still holds the line.
                while let Ok(1..) = from_client.read(&mut buffer) {}
                break;
            }
            if to_server.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(n @ 1..) = from_server.read(&mut buffer) {
            if to_client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

/// What somebody at work in the database does meanwhile.
fn others_go_on(database: &Database<'_>) {
    run(
        &mut database.client(),
        "SET lock_timeout = '5s'; CREATE TABLE theirs (id int PRIMARY KEY); SELECT electric.enable('theirs'); DROP TABLE IF EXISTS nothing; \
         SET electric.policy = 'unrestricted'; DROP TABLE theirs; DELETE FROM electric.ddl_commands; DELETE FROM electric.migrations",
    );
    run(
        &mut database.client(),
        &format!(
            "SET lock_timeout = '5s'; GRANT CONNECT ON DATABASE {} TO PUBLIC; GRANT USAGE ON SCHEMA public, electric TO PUBLIC; \
             GRANT SELECT ON electric.migrations TO PUBLIC",
            database.name()
        ),
    );
}

fn end(database: &Database<'_>, function: &str) {
    let sql = format!(
        "SELECT count({function}(pid))::text FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CALL electric%'"
    );
    assert_eq!(text(&mut database.client(), &sql), "1");
}

fn drop_left_slots(publisher: &Database<'_>) {
    let sql = "SELECT count(pg_drop_replication_slot(slot_name))::text FROM pg_replication_slots WHERE database = current_database() AND NOT active";
    wait_until("nobody uses the slots", || {
        publisher.client().query_one(sql, &[]).is_ok()
    });
}

#[test]
fn fault_16_a_publisher_that_falls_silent_while_it_is_asked() {
    for (stage, silent_at, silent_from) in [
        ("connecting", "", 0),
        ("the first question", "extversion", 9),
        ("the slot", "CREATE_REPLICATION_SLOT", 9),
        ("the history", "electric.queries USING", 9),
        ("the rows", "COPY (SELECT", 9),
    ] {
        for how in [
            "pg_cancel_backend",
            "pg_terminate_backend",
            "statement_timeout",
        ] {
            let publisher = publisher();
            let database = publisher.cluster().database();
            let between = Between::start(&publisher, silent_at, silent_from);
            let call = format!(
                "CALL electric.subscribe('{}')",
                between.conninfo(&publisher)
            );
            std::thread::scope(|scope| {
                let mut client = database.client();
                let call = scope.spawn(move || {
                    if how == "statement_timeout" {
                        client
                            .batch_execute("SET statement_timeout = '3s'")
                            .unwrap();
                    }
                    client.batch_execute(&call)
                });
                wait_until(&format!("{stage} is waited for"), || {
                    between.heard.load(Ordering::SeqCst)
                });
                others_go_on(&database);
                let begun = Instant::now();
                if how != "statement_timeout" {
                    end(&database, how);
                }
                let ended = call.join().unwrap();
                assert!(ended.is_err(), "{stage} {how}");
                assert!(
                    begun.elapsed() < Duration::from_secs(8),
                    "{stage} {how}: {:?}",
                    begun.elapsed()
                );
            });
            drop_left_slots(&publisher);
        }
    }
}

#[test]
fn fault_16_a_connection_that_does_not_come_about_is_given_up() {
    let publisher = publisher();
    let database = publisher.cluster().database();
    let between = Between::start(&publisher, "", 0);
    for (conninfo, least, most) in [
        (
            format!("{} connect_timeout=1", between.conninfo(&publisher)),
            0,
            6,
        ),
        (between.conninfo(&publisher), 9, 20),
    ] {
        let begun = Instant::now();
        database.refused(&format!("CALL electric.subscribe('{conninfo}')"), "08006");
        let waited = begun.elapsed();
        assert!(
            waited >= Duration::from_secs(least) && waited < Duration::from_secs(most),
            "{waited:?}"
        );
    }
}

/// The first connection is served, and makes a slot; then something here is in the way, and nobody answers any more.
#[test]
fn fault_16_a_slot_that_cannot_be_dropped_is_left_with_a_warning() {
    let publisher = publisher();
    let database = publisher.cluster().database();
    run(&mut database.client(), "CREATE TABLE items (id int)");
    let between = Between::start(&publisher, "", 1);
    let (mut client, notices) = database.client_with_notices();
    let begun = Instant::now();
    let call = format!(
        "CALL electric.subscribe('{}')",
        between.conninfo(&publisher)
    );
    let error = client.batch_execute(&call).unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42P07");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(
        notices.has(&["is left on the publisher", "pg_drop_replication_slot"]),
        "{:?}",
        notices.all()
    );
    drop_left_slots(&publisher);
}

#[test]
fn fault_16_a_subscription_can_be_ended_though_nobody_answers() {
    let publisher = publisher();
    let database = publisher.cluster().database();
    // Subscribing takes one connection, and the worker another.
    let between = Between::start(&publisher, "", 2);
    let call = format!(
        "CALL electric.subscribe('{}')",
        between.conninfo(&publisher)
    );
    run(&mut database.client(), &call);
    wait_until("the worker follows", || {
        text(
            &mut database.client(),
            "SELECT electric.status() #>> '{subscriber,running}'",
        ) == "true"
            && text(
                &mut publisher.client(),
                "SELECT count(*)::text FROM pg_replication_slots WHERE database = current_database() AND active",
            ) == "1"
    });
    std::thread::scope(|scope| {
        let (mut client, notices) = database.client_with_notices();
        let call = scope.spawn(move || client.batch_execute("CALL electric.unsubscribe()"));
        wait_until("the publisher is waited for", || {
            between.heard.load(Ordering::SeqCst)
        });
        // It is ended here already.
        others_go_on(&database);
        let begun = Instant::now();
        end(&database, "pg_cancel_backend");
        call.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(
            notices.has(&["is left on the publisher"]),
            "{:?}",
            notices.all()
        );
    });
    drop_left_slots(&publisher);
}

#[test]
fn fault_10_the_password_of_a_subscription_is_told_to_nobody() {
    let cluster = Cluster::builder()
        .setting("log_min_messages", "debug1")
        .setting("log_min_error_statement", "debug1")
        .setting("log_error_verbosity", "verbose")
        .start()
        .unwrap();
    let publisher = cluster.database();
    run(
        &mut publisher.client(),
        "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'one'); SELECT electric.enable('items')",
    );
    let database = cluster.database();
    let good = format!("{} password=S3CRET", conninfo(&publisher));
    let mut said = Vec::new();
    let mut tries = |conninfo: &str| {
        let (mut client, notices) = database.client_with_notices();
        let done = client.batch_execute(&format!("CALL electric.subscribe('{conninfo}')"));
        said.push(format!("{done:?} {:?}", notices.all()));
        done.is_ok()
    };
    for conninfo in [
        "host=/nowhere password=S3CRET",
        "host=localhost port=1 password=S3CRET",
        "password=S3CRET passwrd",
        "password=x S3CRET",
        "password=''S3CRET",
        "S3CRET=1",
        "postgres://u:S3CRET@nowhere.invalid/x",
        "postgres://u:S3@S3CRET@nowhere.invalid/x",
        "postgres://[S3CRET",
        "postgres://u:%S3CRET@localhost/x",
        "host=S3CRET.invalid password=S3CRET",
    ] {
        assert!(!tries(conninfo), "{conninfo}");
    }
    run(&mut database.client(), "CREATE TABLE items (id int)");
    assert!(!tries(&good));
    run(&mut database.client(), "DROP TABLE items");
    assert!(tries(&good));
    assert!(!tries(&good));
    let subscriber = Subscriber(database);
    let mut around = |sql: &str| {
        let error = subscriber.0.refused(&sql.replace("GOOD", &good), "25001");
        said.push(format!("{error:?}"));
    };
    around("DO $$ BEGIN CALL electric.subscribe('GOOD'); END $$");
    around("DO $$ BEGIN EXECUTE $_$CALL electric.subscribe('GOOD')$_$; END $$");
    around("DO $$ BEGIN DO $_$ BEGIN CALL electric.subscribe('GOOD'); END $_$; END $$");
    around("BEGIN; CALL electric.subscribe('GOOD')");
    // What follows in the same code has its contexts again.
    let mut client = subscriber.0.client();
    let error = client
        .batch_execute(&format!(
            "DO $$ BEGIN BEGIN CALL electric.subscribe('{good}'); EXCEPTION WHEN OTHERS THEN NULL; END; RAISE division_by_zero; END $$"
        ))
        .unwrap_err();
    let context = error.as_db_error().unwrap().where_().unwrap();
    assert!(context.contains("inline_code_block line 1"), "{context}");
    subscriber.caught_up(&publisher);
    let seen = subscriber.ask(
        "SELECT concat((SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()), electric.status()::text)",
    );
    assert!(!seen.contains("S3CRET"), "{seen}");
    subscriber.run("CALL electric.unsubscribe()");
    let log = cluster.log();
    let told = log.lines().filter(|line| line.contains("S3CRET"));
    assert_eq!(told.collect::<Vec<_>>(), Vec::<&str>::new());
    for text in said {
        assert!(!text.contains("S3CRET"), "{text}");
    }
}

#[test]
fn fault_10_what_belonged_to_the_subscription_is_the_callers_afterwards() {
    let publisher = publisher();
    run(
        &mut publisher.client(),
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('ok'); CREATE TABLE app.t (id serial PRIMARY KEY, m app.mood); SELECT electric.enable('app.t')",
    );
    let subscriber = Subscriber::of(&publisher);
    subscriber.run("CALL electric.unsubscribe()");
    assert_eq!(
        subscriber.ask(
            "SELECT count(*)::text FROM pg_shdepend WHERE refobjid = 'electric_replica'::regrole \
             AND (dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR \
                  classid = 'pg_database'::regclass AND objid = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        ),
        "0"
    );
    assert_eq!(
        subscriber
            .ask("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.t'::regclass"),
        "postgres"
    );
}
