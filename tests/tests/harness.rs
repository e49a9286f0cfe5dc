//! The harness itself: it must leave no server behind, whatever becomes of the tests.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::wait_until;

/// Set in the child of [`a_killed_test_program_leaves_no_server`].
const CHILD: &str = "ELECTRIC_TEST_CHILD";

fn pid_lives(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_cluster_starts_stops_restarts_and_goes() {
    let cluster = Cluster::builder()
        .setting("work_mem", "5MB")
        .start()
        .unwrap();
    let mut client = cluster.connect("postgres", "postgres").unwrap();
    let row = client
        .query_one(
            "SELECT current_setting('work_mem'), current_setting('wal_level')",
            &[],
        )
        .unwrap();
    assert_eq!((row.get(0), row.get(1)), ("5MB", "logical"));
    client
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .unwrap();
    cluster.restart(Stop::Immediate).unwrap();
    let mut client = cluster.connect("postgres", "postgres").unwrap();
    assert_eq!(
        client
            .query_one("SELECT a FROM t", &[])
            .unwrap()
            .get::<_, i32>(0),
        1
    );
    let output = cluster
        .psql("postgres", "postgres", &["-Atc", "SELECT a FROM t"])
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let (pid, directory) = (
        cluster.postmaster_pid().unwrap(),
        cluster.directory().to_owned(),
    );
    assert!(pid_lives(pid));
    drop(cluster);
    assert!(!directory.exists());
    wait_until("the server's process is gone", || !pid_lives(pid));
}

#[test]
fn the_server_does_not_run_as_root() {
    let cluster = Cluster::shared();
    let status = std::fs::read_to_string(format!(
        "/proc/{}/status",
        cluster.postmaster_pid().unwrap()
    ))
    .unwrap();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .unwrap();
    assert_ne!(uid.split_whitespace().next(), Some("0"));
}

#[test]
fn a_killed_test_program_leaves_no_server() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_waits", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("serving ").map(str::to_owned))
        .unwrap();
    let (pid, directory) = line.split_once(' ').unwrap();
    let (pid, directory): (i32, PathBuf) = (pid.parse().unwrap(), directory.into());
    assert!(pid_lives(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the watchdog cleans up", || {
        !pid_lives(pid) && !directory.exists()
    });
}

/// Not a test by itself: what the test above kills.
#[test]
fn child_that_waits() {
    if std::env::var_os(CHILD).is_some() {
        let cluster = Cluster::shared();
        println!(
            "\nserving {} {}",
            cluster.postmaster_pid().unwrap(),
            cluster.directory().display()
        );
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
}
