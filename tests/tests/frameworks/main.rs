//! S5: rows in the books of migration frameworks name migrations. What frameworks send is sent here by hand; the
//! frameworks themselves run in `cargo xtask frameworks`.

mod books;
mod ecto;
mod naming;
mod sessions;

use electric_tests::cluster::Cluster;
use electric_tests::database::Database;
use electric_tests::replica::ledger;

/// A database with an electrified table `items`, by a migration of its own.
fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

/// `source framework framework_version version` of each migration after the first; of an automatic version the word.
fn named(database: &Database<'_>) -> Vec<String> {
    let migrations = database.migrations();
    let rows: Vec<_> = migrations
        .iter()
        .map(|m| (m.id, m.version.clone()))
        .collect();
    ledger::verify(&rows, &database.commands()).unwrap();
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let shown = |m: &electric_tests::database::MigrationRow| {
        let version = if m.source == "auto" {
            assert!(
                m.version.starts_with("20") && m.version.len() >= 17,
                "{m:?}"
            );
            "auto"
        } else {
            &m.version
        };
        format!(
            "{} {} {} {version}",
            m.source,
            or_none(&m.framework),
            or_none(&m.framework_version)
        )
    };
    migrations.iter().skip(1).map(shown).collect()
}
