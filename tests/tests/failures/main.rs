//! The failure catalogue: cases that broke systems of this kind, each test by the number of its row there.
//!
//! Rows 19 and 21 are about Postgres subscribers; here is the half that needs none: records that name no role, and
//! what the extension itself runs. The other half is in the tests of subscribers.

mod neighbours;
mod routes;
mod sessions;
mod values;

use electric_tests::cluster::Cluster;
use electric_tests::database::Database;
use electric_tests::replica::ledger;

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

fn history_is_sound(database: &Database<'_>) {
    let migrations: Vec<_> = database
        .migrations()
        .into_iter()
        .map(|m| (m.id, m.version))
        .collect();
    ledger::verify(&migrations, &database.commands()).unwrap();
}
