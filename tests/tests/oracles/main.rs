//! S6: whatever tables there are and whatever becomes of them by additive changes, a Postgres and a SQLite that run
//! the records have what the server has.
//!
//! The cases of a run are the same every time, so that a failure is the fault of what was changed. To look for more:
//!
//! * `ELECTRIC_ORACLE_CASES=1000` tries that many of each, however long it takes;
//! * `ELECTRIC_ORACLE_SEED=7` tries others;
//! * `ELECTRIC_ORACLE_SHOW=1`, with `--nocapture`, shows the scripts.
//!
//! A failure prints the script that reproduces it, shrunk. It becomes a plain test in `found.rs`.

mod found;
mod plan;

use std::time::{Duration, Instant};

use electric_tests::oracle::{Item, Oracle, check};
use plan::Plans;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Cases of each oracle in an ordinary run.
const CASES: u32 = 40;
/// The most steps of a script.
const STEPS: usize = 30;
/// An ordinary run ends after that time, whatever cases are left, so that a slow machine is not held up.
const TIME: Duration = Duration::from_secs(90);
/// How long a failure may be shrunk.
const SHRINKING: Duration = Duration::from_secs(180);

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

fn holds(oracle: Oracle) {
    let wanted = number("ELECTRIC_ORACLE_CASES");
    let config = Config {
        cases: wanted.unwrap_or(CASES),
        max_shrink_time: u32::try_from(SHRINKING.as_millis()).unwrap_or(u32::MAX),
        max_shrink_iters: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [match oracle {
        Oracle::Postgres => 1,
        Oracle::Sqlite => 2,
    }; 32];
    seed[..4].copy_from_slice(&number("ELECTRIC_ORACLE_SEED").unwrap_or(0).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let begin = Instant::now();
    let mut ran = 0;
    let plans = Plans { steps: STEPS };
    let outcome = (0..wanted.unwrap_or(CASES)).try_for_each(|_| {
        if wanted.is_none() && begin.elapsed() > TIME {
            return Ok(());
        }
        ran += 1;
        let plan = plans.new_tree(&mut runner).map_err(TestError::Abort)?;
        let test = |plan: Vec<Item>| check(&plan, oracle).map_err(TestCaseError::fail);
        runner.run_one(plan, test).map(|_| ())
    });
    println!("{ran} scripts in {:?}", begin.elapsed());
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(TestError::Abort(reason)) => panic!("no plan: {reason}"),
    }
}

#[test]
fn a_postgres_that_runs_the_records_has_the_schema_of_the_server() {
    holds(Oracle::Postgres);
}

#[test]
fn a_sqlite_that_runs_the_records_has_the_schema_of_a_new_replica_and_all_rows() {
    holds(Oracle::Sqlite);
}
