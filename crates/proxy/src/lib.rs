//! The migrations proxy: everything a Postgres client and its server say to each other passes through, byte for byte, but
//! DDLX statements, which become calls of `electric.ddlx`. Free of any server's internals.
//!
//! * [`Session`] is the protocol, without input and output.
//! * [`Proxy`] listens, connects, authenticates and carries bytes.
//! * [`run_supervised`] is a proxy that another process tells what to do.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod frame;
mod handshake;
mod message;
mod relay;
mod rewrite;
mod scram;
mod server;
mod session;
mod startup;
mod stream;
mod supervised;
mod text;
mod tls;

use std::fmt::Display;
use std::io;
use std::path::Path;

pub use server::{Config, Proxy, Upstream};
pub use session::Session;
pub use supervised::{Order, State, run_supervised};
pub use tls::Verify;

/// Why the proxy cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot listen there.
    #[error("cannot listen on {place}: {source}")]
    Listen {
        /// Where.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// A certificate, a key or a server with TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// A connection.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    fn tls(path: &Path, why: &dyn Display) -> Error {
        Error::Tls(format!("{}: {why}", path.display()))
    }

    fn listen(place: String, source: io::Error) -> Error {
        Error::Listen { place, source }
    }
}

/// Says something to whoever runs the proxy.
fn log(text: &str) {
    eprintln!("electric proxy: {text}");
}
