//! Which runs are compared: without the extension, and with it, alone or among other people's libraries.

use clap::ValueEnum;

/// What a run of the suite is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// What it is called, in file names too.
    pub name: String,
    /// `shared_preload_libraries`, in this order.
    pub preload: Vec<&'static str>,
    /// The extensions that are created in the database of the tests, before them.
    pub create: Vec<&'static str>,
    /// Further lines of postgresql.conf.
    pub settings: String,
    /// Whether tables are electrified before the tests run. The tables are there in any case.
    pub electrified: bool,
    /// How the tests reach the server.
    pub access: Access,
}

/// How the tests reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By a socket.
    Socket,
    /// Over TCP.
    Tcp,
    /// Over TCP, through the migrations proxy.
    Proxy,
}

/// A library that other people preload beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Library {
    /// Writes an audit log; hooks into utility statements and the executor as we do
    #[value(name = "pgaudit")]
    PgAudit,
    /// Counts statements; hooks into parsing, utility statements and the executor
    #[value(name = "pg_stat_statements")]
    PgStatStatements,
}

impl Library {
    /// What `shared_preload_libraries` and `CREATE EXTENSION` call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgAudit => "pgaudit",
            Self::PgStatStatements => "pg_stat_statements",
        }
    }

    /// The Debian package that has it.
    pub fn package(self, version: u16) -> String {
        match self {
            Self::PgAudit => format!("postgresql-{version}-pgaudit"),
            // Debian has contrib in the server's package.
            Self::PgStatStatements => format!("postgresql-{version}"),
        }
    }

    /// Lets it do all it can.
    fn settings(self) -> &'static str {
        match self {
            Self::PgAudit => "pgaudit.log = 'all'\n",
            Self::PgStatStatements => "pg_stat_statements.track = 'all'\n",
        }
    }
}

/// Where the other libraries stand in `shared_preload_libraries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Before the extension
    Before,
    /// After the extension
    After,
}

/// The run without the extension, and those to compare with it: where nobody uses it, and where some tables beside those of
/// the tests are electrified. Among other libraries, or `electrified_only`, the latter alone: it asks for more.
pub fn variants(
    with: &[Library],
    order: Option<Order>,
    electrified_only: bool,
) -> (Variant, Vec<Variant>) {
    let names: Vec<&'static str> = with.iter().map(|library| library.name()).collect();
    let settings: String = with.iter().map(|library| library.settings()).collect();
    let ours = "electric";
    let variant = |name: String, preload: Vec<&'static str>, electrified: bool| Variant {
        name,
        // Ours last, whatever the order of preloading: so the others have the same OIDs as without it.
        create: names
            .iter()
            .chain(preload.contains(&ours).then_some(&ours))
            .copied()
            .collect(),
        preload,
        settings: settings.clone(),
        electrified,
        access: Access::Socket,
    };
    let electrified = |preload: Vec<&'static str>| {
        let name = format!("{}-electrified", preload.join("+"));
        variant(name, preload, true)
    };
    if names.is_empty() {
        let mut others = vec![electrified(vec![ours])];
        if !electrified_only {
            others.insert(0, variant(ours.into(), vec![ours], false));
        }
        return (variant("stock".into(), vec![], false), others);
    }
    let orders = order.map_or(vec![Order::Before, Order::After], |order| vec![order]);
    let others = orders.into_iter().map(|order| {
        let preload = match order {
            Order::Before => [&names[..], &[ours]],
            Order::After => [&[ours], &names[..]],
        };
        electrified(preload.concat())
    });
    let others = others.collect();
    (variant(names.join("+"), names.clone(), false), others)
}

/// The run over TCP, and the one through the proxy to compare with it.
pub fn proxied() -> (Variant, Vec<Variant>) {
    let variant = |name: &str, access| Variant {
        name: name.to_owned(),
        preload: vec!["electric"],
        create: vec!["electric"],
        settings: String::new(),
        electrified: true,
        access,
    };
    let direct = variant("electric-tcp", Access::Tcp);
    (direct, vec![variant("electric-proxy", Access::Proxy)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_compared_with_the_extension() {
        let (baseline, others) = variants(&[], None, false);
        assert_eq!(
            (baseline.name.as_str(), &baseline.preload[..]),
            ("stock", &[][..])
        );
        assert!(others.iter().all(|other| other.preload == ["electric"]));
        let electrified: Vec<_> = others.iter().map(|other| other.electrified).collect();
        assert_eq!(electrified, [false, true]);
        assert_eq!(variants(&[], None, true).1, others[1..]);
    }

    #[test]
    fn other_libraries_stand_before_or_after() {
        let libraries = [Library::PgAudit, Library::PgStatStatements];
        let (baseline, others) = variants(&libraries, None, false);
        assert_eq!(baseline.create, ["pgaudit", "pg_stat_statements"]);
        assert!(
            others
                .iter()
                .all(|other| other.settings == baseline.settings && other.electrified)
        );
        assert!(
            others
                .iter()
                .all(|other| other.create == ["pgaudit", "pg_stat_statements", "electric"])
        );
        let preloads: Vec<_> = others.into_iter().map(|other| other.preload).collect();
        assert_eq!(
            preloads,
            [
                ["pgaudit", "pg_stat_statements", "electric"],
                ["electric", "pgaudit", "pg_stat_statements"]
            ]
        );
        assert_eq!(variants(&libraries, Some(Order::After), false).1.len(), 1);
    }
}
