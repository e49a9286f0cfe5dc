//! `cargo run -p electric_tests --bin hostile -- [--seconds N] [--seed N]`: calls every function of the extension with hostile
//! values, in a server that has little memory, until the time is over or the server ends.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use electric_tests::hostile::{Until, attack};

fn main() -> ExitCode {
    let (mut seconds, mut seed) = (600, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), number) {
            ("--seconds", Some(number)) => seconds = number,
            ("--seed", Some(number)) => seed = Some(number),
            _ => {
                eprintln!("usage: hostile [--seconds N] [--seed N]");
                return ExitCode::FAILURE;
            }
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = seed.unwrap_or_else(|| now.map_or(1, |now| now.as_secs()));
    println!("seed {seed}, for {seconds} seconds");
    match attack(seed, Until::Time(Duration::from_secs(seconds))) {
        Ok(outcome) => {
            println!("{outcome:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
