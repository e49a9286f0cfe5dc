//! Carries bytes between a client and its server, through a [`Session`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::session::Session;
use crate::stream::Stream;

/// Bytes that are read at once.
const READ: usize = 1 << 16;

thread_local! {
    /// What is read passes on at once, so one buffer serves all connections of a thread, and an idle one needs none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// A client, its server, and what is under way between them.
#[derive(Debug)]
pub struct Relay {
    client: Stream,
    server: Stream,
    session: Session,
    upward: Way,
    downward: Way,
}

/// One of the two directions.
#[derive(Debug, Default)]
struct Way {
    /// Read, and not written yet.
    pending: Vec<u8>,
    /// How much of that is written.
    written: usize,
    unflushed: bool,
    end: End,
}

/// How far the end of a direction has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// Nothing more comes in.
    Read,
    /// And the other side was told.
    Told,
}

impl Way {
    /// Writes what is pending, and the end if it has come. Ready when more may be read.
    fn drain(&mut self, cx: &mut Context<'_>, into: &mut Stream) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let rest = &self.pending[self.written..];
            match Pin::new(&mut *into).poll_write(cx, rest)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(n) => self.written += n,
                Poll::Pending => return Poll::Pending,
            }
            self.unflushed = true;
        }
        // Its memory is given back, too: most of the time nothing is pending.
        self.pending = Vec::new();
        self.written = 0;
        if self.unflushed {
            match Pin::new(&mut *into).poll_flush(cx)? {
                Poll::Ready(()) => self.unflushed = false,
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.end == End::Read {
            match Pin::new(into).poll_shutdown(cx) {
                // That the other side is gone already it will say itself.
                Poll::Ready(_) => self.end = End::Told,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves what there is from one side to the other, until one of them has to be waited for.
    fn pump(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        into: &mut Stream,
        mut pass: impl for<'a> FnMut(&'a [u8], &mut Vec<u8>) -> Option<&'a [u8]>,
    ) -> io::Result<()> {
        loop {
            match self.drain(cx, into)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if self.end != End::Open => return Ok(()),
                Poll::Ready(()) => {}
            }
            // Whether more may be read is asked without input.
            if pass(&[], &mut self.pending).is_none() {
                return Ok(());
            }
            let waits = SCRATCH.with_borrow_mut(|scratch| -> io::Result<bool> {
                let mut buffer = ReadBuf::new(scratch);
                if Pin::new(&mut *from)
                    .poll_read(cx, &mut buffer)?
                    .is_pending()
                {
                    return Ok(true);
                }
                if buffer.filled().is_empty() {
                    self.end = End::Read;
                    return Ok(false);
                }
                let mut direct = pass(buffer.filled(), &mut self.pending).unwrap_or_default();
                if !direct.is_empty() {
                    if let Poll::Ready(n) = Pin::new(&mut *into).poll_write(cx, direct)? {
                        direct = &direct[n..];
                        self.unflushed = true;
                    }
                    self.pending.extend_from_slice(direct);
                }
                Ok(false)
            })?;
            if waits {
                return Ok(());
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty() && !self.unflushed
    }
}

impl Relay {
    /// Of two connections whose authentication is over, with what was read from them since.
    pub fn new(client: (Stream, &[u8]), server: (Stream, &[u8]), mut session: Session) -> Relay {
        let (mut upward, mut downward) = (Way::default(), Way::default());
        let rest = session.from_server(server.1, &mut downward.pending);
        downward.pending.extend_from_slice(rest);
        let rest = session.from_client(client.1, &mut upward.pending);
        upward.pending.extend_from_slice(rest);
        Relay {
            client: client.0,
            server: server.0,
            session,
            upward,
            downward,
        }
    }

    /// Runs until the server has closed its side, or either connection broke.
    pub async fn run(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let session = RefCell::new(&mut self.session);
        loop {
            self.upward
                .pump(cx, &mut self.client, &mut self.server, |input, out| {
                    let mut session = session.borrow_mut();
                    session
                        .takes_more()
                        .then(|| session.from_client(input, out))
                })?;
            let full = !session.borrow().takes_more();
            self.downward
                .pump(cx, &mut self.server, &mut self.client, |input, out| {
                    Some(session.borrow_mut().from_server(input, out))
                })?;
            if self.downward.end == End::Told {
                return Poll::Ready(Ok(()));
            }
            // The client was not listened to, and now may be.
            if !(full && session.borrow().takes_more()) {
                return Poll::Pending;
            }
        }
    }

    /// Ends the session with a last message to the client, if one can be said.
    pub async fn end(mut self, message: &[u8]) {
        if self.downward.is_idle() && self.session.client_is_between_messages() {
            // A client that is gone already misses nothing.
            if self.client.write_all(message).await.is_ok() {
                let _ = self.client.shutdown().await;
            }
        }
    }
}
