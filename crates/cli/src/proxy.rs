//! `electric proxy`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use electric_proxy::{Config, Proxy, Upstream, Verify};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// Run the migrations proxy: DDLX as plain SQL, for any tool
///
/// Everything passes through as it is, but DDLX statements such as `ALTER TABLE items ENABLE ELECTRIC`, which become calls of
/// electric.ddlx. Clients authenticate with the server itself, with the server's roles and passwords. SIGTERM and Ctrl-C end it.
#[derive(clap::Args)]
pub struct Options {
    /// The server: postgres://host[:port][?sslmode=disable|require|verify-full][&sslrootcert=FILE]
    ///
    /// Without sslmode the connection to the server is not encrypted. `require` encrypts and checks no certificate; `verify-full` checks
    /// it by the authorities in sslrootcert, or by those that the system trusts.
    #[arg(long, value_name = "URL", value_parser = upstream)]
    upstream: Upstream,

    /// Where clients connect; may be repeated. `*` is every address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:65432", value_parser = place)]
    listen: Vec<(String, u16)>,

    /// What to ask for where the server trusts the proxy's address; without it such connections are refused
    ///
    /// The environment is the better place for it: other users see the arguments of programs.
    #[arg(long, env = "PG_PROXY_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// File with the certificate chain for clients that want TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// File with the key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Sessions at a time
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_connections: usize,

    /// Bytes of the longest text that is searched for DDLX; longer ones pass through
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = text_size)]
    max_text: usize,

    /// How long a client may take until it is authenticated
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    handshake_timeout: u64,
}

fn text_size(text: &str) -> Result<usize> {
    let bytes: usize = text.parse()?;
    // Postgres takes messages of up to a gigabyte, and the call makes them longer.
    if bytes > 512 << 20 {
        bail!("at most {}", 512 << 20);
    }
    Ok(bytes)
}

fn place(text: &str) -> Result<(String, u16)> {
    let (host, port) = text.rsplit_once(':').context("HOST:PORT is expected")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port
        .parse()
        .with_context(|| format!("{port:?} is no port"))?;
    if host.is_empty() {
        bail!("HOST:PORT is expected; every address is *:{port}");
    }
    Ok((host.to_owned(), port))
}

fn upstream(text: &str) -> Result<Upstream> {
    let url = Url::parse(text).context("a URL like postgres://host:5432 is expected")?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        bail!("a URL like postgres://host:5432 is expected");
    }
    if url.password().is_some() {
        bail!("there is a password in it: clients bring their own");
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.context("a host is expected: the server is reached over TCP")?;
    let (mut mode, mut authorities) = (None, None);
    for (name, value) in url.query_pairs() {
        match &*name {
            "sslmode" => mode = Some(value.into_owned()),
            "sslrootcert" => authorities = Some(PathBuf::from(value.into_owned())),
            _ => bail!("{name:?} is not known here, only sslmode and sslrootcert"),
        }
    }
    let tls = match (mode.as_deref(), authorities) {
        (None | Some("disable"), None) => None,
        (Some("require"), None) => Some(Verify::Nothing),
        (Some("verify-full"), None) => Some(Verify::System),
        (Some("require" | "verify-full"), Some(path)) => Some(Verify::Authorities(path)),
        (None | Some("disable"), Some(_)) => bail!("sslrootcert needs sslmode=verify-full"),
        (Some(other), _) => bail!("sslmode is disable, require or verify-full, not {other:?}"),
    };
    Ok(Upstream {
        host: host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port: url.port().unwrap_or(5432),
        tls,
    })
}

/// Runs until it is told to stop.
pub fn run(options: &Options) -> Result<()> {
    let mut config = Config::new(options.upstream.clone());
    config.password.clone_from(&options.password);
    config.tls = options.tls_cert.clone().zip(options.tls_key.clone());
    config.max_connections = options.max_connections;
    config.max_text = options.max_text;
    config.handshake_timeout = Duration::from_secs(options.handshake_timeout.max(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut proxy = Proxy::new(&config)?;
        for address in proxy.listen(&options.listen).await? {
            println!(
                "listening on {address} for {}:{}",
                config.upstream.host, config.upstream.port
            );
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        proxy.shut_down(Duration::ZERO).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_servers_are_read() {
        assert_eq!(place("[::1]:1").unwrap(), ("::1".to_owned(), 1));
        assert_eq!(place("*:65432").unwrap(), ("*".to_owned(), 65432));
        for wrong in ["", "x", ":1", "x:y", "x:99999"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        let it = upstream("postgresql://me@db.example/app?sslmode=verify-full").unwrap();
        let expected = ("db.example", 5432, Some(Verify::System));
        assert_eq!((it.host.as_str(), it.port, it.tls), expected);
        assert_eq!(upstream("postgres://[::1]:5").unwrap().host, "::1");
        for wrong in [
            "db",
            "http://db",
            "postgres:///x",
            "postgres://me:secret@db",
            "postgres://db?sslmode=prefer",
            "postgres://db?application_name=x",
            "postgres://db?sslrootcert=x",
        ] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }
}
