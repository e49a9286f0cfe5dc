//! Ports of 127.0.0.1 that servers of tests have to themselves.
//!
//! A port that the system hands out and that is given back is anybody's until the server listens, and again while a
//! server is restarted: another test's server takes it, or a client's end of a connection. So ports are taken from
//! below those that systems give to connections, and whoever has one holds the UDP port of the same number, which
//! nothing here speaks: no other process that asks here gets it, and the lock goes with its process, however it ends.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where Linux (32768) and the BSDs (49152) begin to take ports for connections is above.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that no other holder of a `Port` has.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: UdpSocket,
}

impl Port {
    /// Takes a port that nobody listens on.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where all are taken.
    pub fn take() -> io::Result<Self> {
        static TRIED: AtomicU16 = AtomicU16::new(0);
        // Processes that begin at the same time begin at different places.
        let begin = std::process::id().wrapping_mul(97);
        for _ in 0..COUNT {
            let step = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
            let offset = begin.wrapping_add(step) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).expect("less than COUNT");
            let address = (Ipv4Addr::LOCALHOST, number);
            let Ok(_lock) = UdpSocket::bind(address) else {
                continue;
            };
            if TcpListener::bind(address).is_ok() {
                return Ok(Self { number, _lock });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_nobody_elses_while_it_is_held() {
        let (one, two) = (Port::take().unwrap(), Port::take().unwrap());
        assert_ne!(one.number(), two.number());
        let address = (Ipv4Addr::LOCALHOST, one.number());
        assert!(UdpSocket::bind(address).is_err());
        TcpListener::bind(address).unwrap();
    }
}
