//! The proxy as a background worker of the server.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{run, text, wait_until, words};
use electric_tests::port::Port;
use electric_tests::proxy::{PASSWORD, Raw, kinds};

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn cluster(port: u16) -> Cluster {
    let cluster = Cluster::builder()
        .preload(true)
        .setting("electric.proxy_port", &port.to_string())
        .setting("electric.proxy_password", PASSWORD)
        .start()
        .unwrap();
    wait_until("the proxy listens", || port == 0 || listens(port));
    cluster
}

fn reload(cluster: &Cluster, settings: &[(&str, &str)]) {
    cluster.configure(settings).unwrap();
    run(
        &mut cluster.connect("postgres", "postgres").unwrap(),
        "SELECT pg_reload_conf()",
    );
}

/// Processes of this server whose titles end so.
fn processes(cluster: &Cluster, title: &str) -> Vec<i32> {
    let postmaster = cluster.postmaster_pid().unwrap();
    let mut ours = vec![];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.trim_end().ends_with(title)
            && (parent(pid) == Some(postmaster) || parent(pid).and_then(parent) == Some(postmaster))
        {
            ours.push(pid);
        }
    }
    ours
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[test]
fn it_serves_and_follows_its_settings() {
    let reserved = Port::take().unwrap();
    let port = reserved.number();
    let cluster = cluster(port);
    let database = cluster.database();
    let mut raw = Raw::connect(port, database.name(), "postgres", PASSWORD);
    raw.query("CREATE TABLE items (id int PRIMARY KEY)");
    assert_eq!(kinds(&raw.query("ALTER TABLE items ENABLE ELECTRIC")), "CZ");
    assert_eq!(
        words(&database.commands()),
        [("create_table", "public.items")]
    );
    let status = "SELECT (electric.status()->'proxy')::text";
    wait_until("the status knows", || {
        let status = text(&mut database.client(), status);
        status.contains("\"sessions\": 1") && status.contains(&format!("127.0.0.1:{port}"))
    });
    // Another port: who is connected stays so.
    let another = Port::take().unwrap();
    let other = another.number();
    reload(&cluster, &[("electric.proxy_port", &other.to_string())]);
    wait_until("it moves", || listens(other) && !listens(port));
    assert_eq!(kinds(&raw.query("SELECT 1")), "TDCZ");
    // Another password.
    reload(&cluster, &[("electric.proxy_password", "another")]);
    wait_until("it asks for the new password", || {
        let who = [("user", "postgres"), ("database", "postgres")];
        Raw::try_connect(other, &who, "another").is_ok()
    });
    // Off: sessions hear of it.
    reload(&cluster, &[("electric.proxy_port", "0")]);
    let last = raw.read().unwrap();
    assert_eq!(last.field('C').as_deref(), Some("57P01"));
    wait_until("it is off", || !listens(other));
    wait_until("the status knows", || {
        text(&mut database.client(), status).is_empty()
            || text(&mut database.client(), status) == "null"
    });
    reload(&cluster, &[("electric.proxy_port", &port.to_string())]);
    wait_until("it is on again", || listens(port));
    // It is connected to no database.
    let name = database.name();
    run(
        &mut cluster.connect("postgres", "postgres").unwrap(),
        &format!("DROP DATABASE {name}"),
    );
}

#[test]
fn a_port_that_is_taken_is_said_and_tried_again() {
    let reserved = Port::take().unwrap();
    let port = reserved.number();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let cluster = cluster(0);
    let database = cluster.database();
    reload(
        &cluster,
        &[
            ("electric.proxy_listen_addresses", "127.0.0.1"),
            ("electric.proxy_port", &port.to_string()),
        ],
    );
    wait_until("the status says why not", || {
        text(
            &mut database.client(),
            "SELECT electric.status()->'proxy'->>'error'",
        )
        .contains("cannot listen on")
    });
    assert!(cluster.log().contains("electric proxy: cannot listen on"));
    drop(taken);
    wait_until("it listens", || {
        let who = [("user", "postgres"), ("database", "postgres")];
        listens(port) && Raw::try_connect(port, &who, PASSWORD).is_ok()
    });
}

#[test]
fn a_killed_proxy_harms_nobody_and_comes_back() {
    let reserved = Port::take().unwrap();
    let port = reserved.number();
    let cluster = cluster(port);
    let database = cluster.database();
    let mut direct = database.client();
    run(
        &mut direct,
        "BEGIN; CREATE TABLE items (id int PRIMARY KEY)",
    );
    let mut raw = Raw::connect(port, database.name(), "postgres", PASSWORD);
    raw.query("BEGIN; CREATE TABLE lost (id int PRIMARY KEY); ELECTRIC ENABLE lost");
    let serving = processes(&cluster, "electric proxy serving");
    assert_eq!(serving.len(), 1, "{serving:?}");
    cluster.signal(serving[0], "KILL").unwrap();
    assert!(raw.read().is_err(), "the session is over");
    run(&mut direct, "COMMIT");
    wait_until("it comes back", || {
        let who = [("user", "postgres"), ("database", database.name())];
        listens(port) && Raw::try_connect(port, &who, PASSWORD).is_ok()
    });
    assert_eq!(text(&mut direct, "SELECT to_regclass('lost')::text"), "");
    assert!(!cluster.log().contains("reinitializing"));
    assert!(
        cluster
            .log()
            .contains("the migrations proxy ended (signal 9)")
    );
}

#[test]
fn the_server_stops_at_once_and_takes_it_along() {
    for how in [Stop::Fast, Stop::Immediate] {
        let reserved = Port::take().unwrap();
        let port = reserved.number();
        let cluster = cluster(port);
        let serving = processes(&cluster, "electric proxy serving");
        let mut raw = Raw::connect(port, "postgres", "postgres", PASSWORD);
        raw.query("SELECT 1");
        let begin = Instant::now();
        cluster.stop(how).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(30));
        if how == Stop::Fast {
            let last = raw.read().unwrap();
            assert_eq!(last.field('C').as_deref(), Some("57P01"), "{last:?}");
        }
        wait_until("the proxy is gone", || {
            !listens(port) && !fs::exists(format!("/proc/{}", serving[0])).unwrap()
        });
        cluster.start().unwrap();
        wait_until("it is back with the server", || listens(port));
        // The postmaster alone.
        let postmaster = cluster.postmaster_pid().unwrap();
        cluster.signal(postmaster, "KILL").unwrap();
        wait_until("the proxy goes with the postmaster", || !listens(port));
    }
}
