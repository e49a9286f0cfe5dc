//! A proxy that another process started and tells what to do, over a socket between the two. Each line is JSON: down come
//! orders, up go states. When the socket closes, the proxy ends.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};

use crate::server::{Config, Proxy};
use crate::{Error, log};

/// How often a place to listen is tried again, and how old what is said of sessions may be.
const EVERY: Duration = Duration::from_secs(2);
/// Sessions have that long to hear from their server that it goes down.
const GRACE: Duration = Duration::from_secs(1);

/// What a proxy is to do from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// For new connections.
    pub config: Config,
    /// Where to listen.
    pub listen: Vec<(String, u16)>,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Where it listens.
    pub listening: Vec<String>,
    /// Sessions at the moment, or shortly before.
    pub sessions: usize,
    /// Why it does not do what it was told.
    pub error: Option<String>,
}

/// Runs until the other end of the channel closes, or SIGTERM comes.
pub fn run_supervised(channel: StdStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        channel.set_nonblocking(true)?;
        let (orders, states) = UnixStream::from_std(channel)?.into_split();
        let mut orders = BufReader::new(orders).lines();
        let mut terminate = signal(SignalKind::terminate())?;
        let Some(first) = next(&mut orders).await else {
            return Ok(());
        };
        let mut supervised = Supervised {
            proxy: None,
            order: first,
            done: None,
            state: State::default(),
            said: None,
            states,
        };
        loop {
            supervised.obey().await;
            if supervised.report().await.is_err() {
                break;
            }
            tokio::select! {
                order = next(&mut orders) => match order {
                    Some(order) => supervised.order = order,
                    None => break,
                },
                _ = terminate.recv() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        if let Some(proxy) = supervised.proxy {
            proxy.shut_down(GRACE).await;
        }
        Ok(())
    })
}

async fn next(orders: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Order> {
    let line = orders.next_line().await.ok().flatten()?;
    serde_json::from_str(&line).ok()
}

struct Supervised {
    proxy: Option<Proxy>,
    order: Order,
    /// The order that is carried out.
    done: Option<Order>,
    state: State,
    /// What was said last.
    said: Option<State>,
    states: OwnedWriteHalf,
}

impl Supervised {
    /// Does what is ordered, unless that is done already. What fails is tried again with the next call.
    async fn obey(&mut self) {
        if self.done.as_ref() != Some(&self.order) {
            let tried = self.carry_out().await;
            self.state.error = tried.as_ref().err().map(ToString::to_string);
            self.done = tried.is_ok().then(|| self.order.clone());
        }
        self.state.sessions = self.proxy.as_ref().map_or(0, Proxy::sessions);
    }

    async fn carry_out(&mut self) -> Result<(), Error> {
        let proxy = match &mut self.proxy {
            Some(proxy) => {
                proxy.configure(&self.order.config)?;
                proxy
            }
            None => self.proxy.insert(Proxy::new(&self.order.config)?),
        };
        self.state.listening.clear();
        let addresses = proxy.listen(&self.order.listen).await?;
        self.state.listening = addresses.iter().map(ToString::to_string).collect();
        Ok(())
    }

    /// Says how it goes, if that is news.
    async fn report(&mut self) -> io::Result<()> {
        if self.said.as_ref() == Some(&self.state) {
            return Ok(());
        }
        if let Some(error) = &self.state.error
            && self
                .said
                .as_ref()
                .is_none_or(|said| said.error.as_ref() != Some(error))
        {
            log(error);
        }
        let line = serde_json::to_string(&self.state)? + "\n";
        self.states.write_all(line.as_bytes()).await?;
        self.said = Some(self.state.clone());
        Ok(())
    }
}
