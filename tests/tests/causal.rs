//! Causal order under fire: whatever is done at the same time, and however often the server is killed under it, the
//! stream announces each column before the first row that has it, ids have no gap, and nothing is lost or doubled.
//!
//! The replica that follows refuses whatever breaks that: a row of another shape than the last one announced, a command
//! that does not continue the chain, a row that is there already or is not there.

use std::time::{Duration, Instant};

use anyhow::Result;
use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{Database, run};
use electric_tests::fire::{self, Fire, under_fire};
use electric_tests::replica::{Replica, ledger};
use electric_tests::replication::is_disconnect;

/// Sessions that migrate, and as many that only write.
const SESSIONS: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// Follows until that many more transactions were committed.
fn follow(replica: &mut Replica<'_>, fire: &Fire, transactions: usize) -> Result<()> {
    let (goal, end) = (fire.committed() + transactions, Instant::now() + PATIENCE);
    while fire.committed() < goal {
        assert!(Instant::now() < end, "the sessions do not get ahead");
        replica.poll(Duration::from_millis(20))?;
    }
    Ok(())
}

#[track_caller]
fn history_is_sound(database: &Database<'_>) {
    let migrations = database.migrations().into_iter();
    let migrations: Vec<_> = migrations.map(|m| (m.id, m.version)).collect();
    let commands = database.commands();
    ledger::verify(&migrations, &commands).unwrap();
    let undone = commands.iter().find(|c| c.query.contains("lost_"));
    assert!(undone.is_none(), "{undone:?}");
}

#[test]
fn sessions_that_migrate_write_and_undo_at_once() {
    let database = Cluster::shared().database();
    fire::prepare(&database);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let (followed, outcome) =
        under_fire(&database, SESSIONS, |fire| follow(&mut replica, fire, 150));
    followed.unwrap();
    replica.must_agree();
    outcome.check(&database);
    history_is_sound(&database);
}

#[test]
fn a_server_that_is_killed_again_and_again() {
    const KILLS: usize = 6;
    for preload in [false, true] {
        let cluster = Cluster::builder().preload(preload).start().unwrap();
        let database = cluster.database();
        fire::prepare(&database);
        let (mut replica, _) = Replica::follow_durably(&database).unwrap();
        let (followed, outcome) = under_fire(&database, SESSIONS, |fire| -> Result<()> {
            for kill in 0..KILLS {
                // Now and then nobody hears what comes right before the end.
                follow(&mut replica, fire, 5 + 5 * (kill % 3))?;
                cluster.restart(Stop::Immediate)?;
                let end = Instant::now() + PATIENCE;
                while let Err(error) = replica.resume() {
                    let again = is_disconnect(&error) && Instant::now() < end;
                    anyhow::ensure!(again, "the replica cannot resume: {error:#}");
                }
            }
            follow(&mut replica, fire, 20)
        });
        followed.unwrap();
        replica.must_agree();
        outcome.check(&database);
        history_is_sound(&database);
        // It all goes on.
        run(&mut database.client(), "ALTER TABLE t0 ADD COLUMN last int");
        replica.must_agree();
    }
}
