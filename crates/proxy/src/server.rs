//! The proxy as a whole: where it listens, whom it lets in, and how it ends.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::handshake::{End, handshake};
use crate::message::Refusal;
use crate::scram::Keys;
use crate::tls::{self, Verify};
use crate::{Error, log};

/// Connections beyond the limit that may be there to hear of it, or to cancel something.
const SPARE: usize = 100;

/// What a proxy is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The server.
    pub upstream: Upstream,
    /// What the proxy asks for where the server asks for nothing; without it such connections are refused.
    pub password: Option<String>,
    /// Files of the certificate and its key, for clients that want TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Sessions at a time.
    pub max_connections: usize,
    /// Bytes of the longest text that is searched for DDLX. Longer ones pass through.
    pub max_text: usize,
    /// How long a client may take until it is authenticated.
    pub handshake_timeout: Duration,
    /// How long the server may take to accept a connection.
    pub connect_timeout: Duration,
}

/// The server behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS towards it, and how its certificate is checked.
    pub tls: Option<Verify>,
}

impl Config {
    /// For that server, with defaults for all else.
    pub fn new(upstream: Upstream) -> Config {
        Config {
            upstream,
            password: None,
            tls: None,
            max_connections: 1000,
            max_text: 16 << 20,
            handshake_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A configuration made ready for use.
pub(crate) struct Settings {
    pub upstream: Upstream,
    pub password: Option<Keys>,
    pub tls: Option<TlsAcceptor>,
    pub connector: Option<TlsConnector>,
    pub max_connections: usize,
    pub max_text: usize,
    pub handshake_timeout: Duration,
    pub connect_timeout: Duration,
}

impl Settings {
    fn new(config: &Config) -> Result<Settings, Error> {
        let password = config.password.as_deref().filter(|it| !it.is_empty());
        let tls = config.tls.as_ref();
        Ok(Settings {
            upstream: config.upstream.clone(),
            password: password.and_then(Keys::new),
            tls: tls
                .map(|(certificate, key)| tls::acceptor(certificate, key))
                .transpose()?,
            connector: config
                .upstream
                .tls
                .as_ref()
                .map(tls::connector)
                .transpose()?,
            max_connections: config.max_connections,
            max_text: config.max_text,
            handshake_timeout: config.handshake_timeout,
            connect_timeout: config.connect_timeout,
        })
    }
}

/// How sessions are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Now,
}

struct Shared {
    settings: Mutex<Arc<Settings>>,
    /// Connections of any kind, and sessions among them.
    connections: AtomicUsize,
    sessions: AtomicUsize,
    stop: watch::Sender<Stop>,
}

impl Shared {
    fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.lock();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts one as long as it lives.
struct Counted(Arc<Shared>, fn(&Shared) -> &AtomicUsize);

impl Counted {
    fn new(shared: &Arc<Shared>, of: fn(&Shared) -> &AtomicUsize) -> (Counted, usize) {
        let before = of(shared).fetch_add(1, Ordering::Relaxed);
        (Counted(shared.clone(), of), before)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A running proxy. It needs a Tokio runtime around it.
pub struct Proxy {
    shared: Arc<Shared>,
    listeners: HashMap<SocketAddr, JoinHandle<()>>,
}

impl Proxy {
    /// A proxy that listens nowhere yet. Fails if a file of the configuration cannot be used.
    pub fn new(config: &Config) -> Result<Proxy, Error> {
        Ok(Proxy {
            shared: Arc::new(Shared {
                settings: Mutex::new(Arc::new(Settings::new(config)?)),
                connections: AtomicUsize::new(0),
                sessions: AtomicUsize::new(0),
                stop: watch::Sender::new(Stop::No),
            }),
            listeners: HashMap::new(),
        })
    }

    /// From here on new connections go by that configuration; those that are there stay as they are.
    pub fn configure(&self, config: &Config) -> Result<(), Error> {
        let settings = Arc::new(Settings::new(config)?);
        let mut current = self
            .shared
            .settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = settings;
        Ok(())
    }

    /// Listens at these places, and no longer at others; sessions stay. `*` is every address of the machine. Returns the
    /// addresses; those that cannot be had are reported and left out, unless there is no other: then it fails.
    pub async fn listen(&mut self, places: &[(String, u16)]) -> Result<Vec<SocketAddr>, Error> {
        let mut wanted = vec![];
        let mut failed = None;
        for (host, port) in places {
            match resolve(host, *port).await {
                Ok(addresses) => wanted.extend(addresses),
                Err(error) => failed = Some(Error::listen(format!("{host}:{port}"), error)),
            }
        }
        self.listeners.retain(|address, task| {
            let stays = wanted.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        // Their sockets close when the tasks are dropped.
        tokio::task::yield_now().await;
        let mut bound = vec![];
        for address in wanted {
            if self.listeners.contains_key(&address) {
                bound.push(address);
                continue;
            }
            match bind(address).and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((local, listener)) => {
                    let task = tokio::spawn(accept(listener, self.shared.clone()));
                    self.listeners.insert(local, task);
                    bound.push(local);
                }
                Err(error) => {
                    let error = Error::listen(address.to_string(), error);
                    if let Some(earlier) = failed.replace(error) {
                        log(&earlier.to_string());
                    }
                }
            }
        }
        match failed {
            Some(error) if bound.is_empty() => Err(error),
            Some(error) => {
                log(&error.to_string());
                Ok(bound)
            }
            None => Ok(bound),
        }
    }

    /// Sessions at this moment.
    pub fn sessions(&self) -> usize {
        self.shared.sessions.load(Ordering::Relaxed)
    }

    /// Ends everything. Sessions have that long to end by themselves, as they do when their server goes down; then their
    /// clients hear that the proxy does.
    pub async fn shut_down(mut self, grace: Duration) {
        for (_, task) in self.listeners.drain() {
            task.abort();
        }
        self.empty(grace).await;
        self.shared.stop.send_replace(Stop::Now);
        self.empty(Duration::from_secs(1)).await;
    }

    async fn empty(&self, within: Duration) {
        let end = tokio::time::Instant::now() + within;
        while self.shared.connections.load(Ordering::Relaxed) > 0
            && tokio::time::Instant::now() < end
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host == "*" {
        let any = ["0.0.0.0", "::"].iter().filter_map(|it| it.parse().ok());
        return Ok(any.map(|it: IpAddr| SocketAddr::new(it, port)).collect());
    }
    Ok(lookup_host((host, port)).await?.collect())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // What listens on the other family has the port there.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let (counted, before) = Counted::new(&shared, |it| &it.connections);
                if before >= shared.settings().max_connections + SPARE {
                    continue;
                }
                tokio::spawn(async move {
                    let shared = counted.0.clone();
                    serve(socket, &shared).await;
                    drop(counted);
                });
            }
            Err(error) => {
                // Out of files, most likely: others will end.
                log(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits until everything is to end.
async fn told(stop: &mut watch::Receiver<Stop>) {
    // The sender lives as long as any connection.
    let _ = stop.wait_for(|it| *it == Stop::Now).await;
}

/// One connection, from its first byte to its last.
async fn serve(socket: TcpStream, shared: &Arc<Shared>) {
    let settings = shared.settings();
    let _ = socket.set_nodelay(true);
    // A client that vanished without a word is noticed in the end.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(120))
        .with_interval(Duration::from_secs(30));
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    let mut stop = shared.stop.subscribe();
    let mut place = None;
    let begun = tokio::time::timeout(
        settings.handshake_timeout,
        handshake(socket, &settings, || {
            let (counted, before) = Counted::new(shared, |it| &it.sessions);
            if before >= settings.max_connections {
                return Err(
                    Refusal::new("53300", "sorry, too many clients already").detail(format!(
                        "The proxy takes {} at a time.",
                        settings.max_connections
                    )),
                );
            }
            place = Some(counted);
            Ok(())
        }),
    );
    let begun = tokio::select! {
        begun = begun => begun,
        () = told(&mut stop) => return,
    };
    match begun {
        // What took too long is closed without a word, as Postgres does.
        Err(_) | Ok(Err(End::Closed)) => {}
        Ok(Err(End::Refused(refused))) => {
            let (mut client, refusal) = *refused;
            let told = async {
                client.write_all(&refusal.to_message()).await?;
                client.shutdown().await
            };
            // A client that does not read is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(5), told).await;
        }
        Ok(Ok(mut relay)) => {
            drop(settings);
            tokio::select! {
                // Which of the two closed it the other one sees.
                _ = relay.run() => {}
                () = told(&mut stop) => {
                    let refusal = Refusal::new(
                        "57P01",
                        "terminating connection due to administrator command",
                    );
                    let last = refusal.to_message();
                    let ended = relay.end(&last);
                    let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
                }
            }
        }
    }
    drop(place);
}
