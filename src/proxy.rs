//! The background worker of the migrations proxy: it starts the proxy, tells it the settings, and starts it anew if it ends.
//!
//! The proxy runs in a process of its own, which is no child of the postmaster and has let go of the server's memory: if it
//! is killed, or runs out of memory, no session of the server is harmed. The worker itself does next to nothing, because a
//! worker that is killed takes the server through crash recovery.

use std::time::{Duration, Instant};

use electric_proxy::{Config, Order, State, Upstream};
use serde_json::{Value, json};

use crate::pg::worker::{self, Child, Event};
use crate::settings::{PROXY_LISTEN_ADDRESSES, PROXY_MAX_CONNECTIONS, PROXY_PASSWORD, PROXY_PORT};

/// How long the proxy may take to end. It gives its sessions one second to hear why.
const END: Duration = Duration::from_secs(3);
/// How soon a proxy that ended by itself is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the settings say now; nothing if there is to be no proxy.
fn order() -> Result<Option<Order>, String> {
    let Ok(port @ 1..) = u16::try_from(PROXY_PORT.get()) else {
        return Ok(None);
    };
    let server = worker::server();
    let host = reachable(&server.listen_addresses)
        .ok_or("the migrations proxy reaches the server over TCP, and listen_addresses is empty")?;
    let mut config = Config::new(Upstream {
        host,
        port: server.port,
        tls: None,
    });
    let text = |setting: Option<std::ffi::CString>| {
        setting
            .and_then(|it| it.into_string().ok())
            .unwrap_or_default()
    };
    let password = text(PROXY_PASSWORD.get());
    config.password = if password.is_empty() {
        std::env::var("PG_PROXY_PASSWORD").ok()
    } else {
        Some(password)
    };
    config.tls = server.tls;
    config.handshake_timeout = server.authentication_timeout;
    config.max_connections = match usize::try_from(PROXY_MAX_CONNECTIONS.get()) {
        Ok(limit @ 1..) => limit,
        _ => server.max_connections,
    };
    let addresses = text(PROXY_LISTEN_ADDRESSES.get());
    let listen = listed(&addresses).map(|it| (it.to_owned(), port)).collect();
    Ok(Some(Order { config, listen }))
}

fn listed(addresses: &str) -> impl Iterator<Item = &str> {
    let parts = addresses.split(',');
    parts
        .map(|it| it.trim().trim_matches('"'))
        .filter(|it| !it.is_empty())
}

/// An address by which the server is reached from its own machine: by the loopback interface, if it listens there.
fn reachable(listen_addresses: &str) -> Option<String> {
    let rank = |address: &str| match address {
        "*" | "0.0.0.0" | "localhost" | "127.0.0.1" => (0, "127.0.0.1".to_owned()),
        "::" | "::1" => (1, "::1".to_owned()),
        other => (2, other.to_owned()),
    };
    let best = listed(listen_addresses).map(rank).min_by_key(|it| it.0);
    best.map(|(_, address)| address)
}

/// What the worker does from its start to its end.
pub fn supervise() {
    let mut child: Option<Child> = None;
    let mut not_before = Instant::now();
    let mut ordered = order();
    tell(&ordered);
    loop {
        match (&ordered, &child) {
            (Ok(Some(order)), None) if Instant::now() >= not_before => {
                child = start(order);
                not_before = Instant::now() + AGAIN;
            }
            (Ok(None) | Err(_), Some(_)) => {
                end(child.take());
                // The port is closed by now.
                tell(&ordered);
            }
            _ => {}
        }
        let waits = matches!((&ordered, &child), (Ok(Some(_)), None));
        match worker::wait(child.as_ref(), waits.then_some(AGAIN)) {
            Event::Woken => {}
            Event::Reload => {
                let new = order();
                if new != ordered {
                    ordered = new;
                    tell(&ordered);
                    if let (Ok(Some(order)), Some(child)) = (&ordered, &mut child) {
                        give(order, child);
                    }
                }
            }
            Event::Said => {
                let heard = child.as_mut().and_then(Child::heard);
                match heard {
                    Some(lines) => {
                        if let Some(line) = lines.last() {
                            worker::publish(line);
                        }
                    }
                    None => {
                        let how = child.take().map(|it| it.reap(Duration::ZERO));
                        worker::warn(&format!(
                            "the migrations proxy ended ({}) and is started again",
                            how.unwrap_or_default()
                        ));
                        let error = Some("it ended, and is started again".to_owned());
                        worker::publish(&state(error));
                    }
                }
            }
            Event::End => {
                end(child.take());
                return;
            }
        }
    }
}

fn state(error: Option<String>) -> String {
    let state = State {
        error,
        ..State::default()
    };
    serde_json::to_string(&state).unwrap_or_default()
}

/// Makes known that there is no proxy, and why, where that is so.
fn tell(ordered: &Result<Option<Order>, String>) {
    match ordered {
        Ok(Some(_)) => {}
        Ok(None) => worker::publish(""),
        Err(why) => {
            worker::warn(why);
            worker::publish(&state(Some(why.clone())));
        }
    }
}

fn start(order: &Order) -> Option<Child> {
    let started = Child::start(|channel| {
        if let Err(error) = electric_proxy::run_supervised(channel) {
            eprintln!("electric proxy: {error}");
        }
    });
    match started {
        Ok(mut child) => {
            give(order, &mut child);
            Some(child)
        }
        Err(error) => {
            worker::warn(&format!("the migrations proxy cannot be started: {error}"));
            None
        }
    }
}

fn give(order: &Order, child: &mut Child) {
    // One that cannot be told anything has ended, which shows soon.
    if let Ok(line) = serde_json::to_string(order) {
        let _ = child.say(&line);
    }
}

fn end(child: Option<Child>) {
    if let Some(child) = child {
        child.reap(END);
    }
}

/// The part of `electric.status()`: null where there is to be no proxy.
pub fn status() -> Value {
    let Some(line) = worker::published().filter(|line| !line.is_empty()) else {
        return Value::Null;
    };
    let state: State = serde_json::from_str(&line).unwrap_or_default();
    json!({
        "port": PROXY_PORT.get(),
        "listening": state.listening,
        "sessions": state.sessions,
        "error": state.error,
    })
}
