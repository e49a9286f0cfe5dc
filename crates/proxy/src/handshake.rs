//! From a client's first byte to the end of its authentication. The server asks for the proof and checks it; the proxy sees
//! to it that one was asked for.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Error;
use crate::frame::HEAD;
use crate::message::{Refusal, Report, message};
use crate::relay::Relay;
use crate::scram::{self, Keys};
use crate::server::Settings;
use crate::session::Session;
use crate::startup::{self, Startup};
use crate::stream::Stream;

/// Bytes of the longest message before the end of authentication: Postgres' own limit for its clients.
const LONGEST: usize = 65_535;

/// Why there is no session.
#[derive(Debug)]
pub enum End {
    /// One of the two closed the connection, or it broke; or it was there to cancel something, which was done.
    Closed,
    /// The proxy says no. The client hears why.
    Refused(Box<(Stream, Refusal)>),
}

/// Why a client is not let in.
enum Denied {
    Closed,
    Refused(Refusal),
}

impl From<io::Error> for Denied {
    fn from(_: io::Error) -> Denied {
        Denied::Closed
    }
}

impl Denied {
    fn end(self, client: Stream) -> End {
        match self {
            Denied::Closed => End::Closed,
            Denied::Refused(refusal) => End::Refused(Box::new((client, refusal))),
        }
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Closed
    }
}

/// A connection that is read message by message.
struct Messages {
    stream: Stream,
    read: BytesMut,
}

impl Messages {
    fn new(stream: Stream) -> Messages {
        Messages {
            stream,
            read: BytesMut::new(),
        }
    }

    /// The next message. What was read of it is kept if the caller stops waiting.
    async fn next(&mut self) -> io::Result<BytesMut> {
        loop {
            if let Some(length) = self.read.get(1..HEAD) {
                let total = length.to_owned().as_slice().get_u32() as usize + 1;
                if !(HEAD..=LONGEST).contains(&total) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if self.read.len() >= total {
                    return Ok(self.read.split_to(total));
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

/// Leads a new connection to a session. `admits` says no if there are too many already.
pub async fn handshake(
    socket: TcpStream,
    settings: &Settings,
    admits: impl FnOnce() -> Result<(), Refusal>,
) -> Result<Relay, End> {
    let (client, startup) = begin(Stream::Plain(socket), settings).await?;
    if startup.replication {
        let refusal = Refusal::new(
            "0A000",
            "replication connections do not go through the migrations proxy",
        )
        .hint("Connect to the server itself.");
        return Err(Denied::Refused(refusal).end(client));
    }
    if let Err(refusal) = admits() {
        return Err(Denied::Refused(refusal).end(client));
    }
    let mut server = match connect(settings).await {
        Ok(server) => Messages::new(server),
        Err(refusal) => return Err(Denied::Refused(refusal).end(client)),
    };
    server.send(&startup.packet).await?;
    let mut client = Messages::new(client);
    if let Err(denied) = authenticate(&mut client, &mut server, settings, &startup.user).await {
        return Err(denied.end(client.stream));
    }
    let session = Session::new(random()?, settings.max_text);
    Ok(Relay::new(
        (client.stream, &client.read),
        (server.stream, &server.read),
        session,
    ))
}

/// Answers what comes before the session's own first packet.
async fn begin(mut client: Stream, settings: &Settings) -> Result<(Stream, startup::Session), End> {
    // Once for each kind of encryption, and the session.
    for _ in 0..3 {
        match startup::read(&mut client).await? {
            Startup::Session(session) => return Ok((client, session)),
            Startup::Cancel(packet) => {
                cancel(settings, &packet).await;
                return Err(End::Closed);
            }
            Startup::Tls => match (client, &settings.tls) {
                (Stream::Plain(mut socket), Some(acceptor)) => {
                    // Nothing was read behind the request, so nothing unencrypted is taken for encrypted.
                    socket.write_all(b"S").await?;
                    client = Stream::Client(Box::new(acceptor.accept(socket).await?));
                }
                (other, _) => {
                    client = other;
                    client.write_all(b"N").await?;
                    client.flush().await?;
                }
            },
            Startup::Gss => {
                client.write_all(b"N").await?;
                client.flush().await?;
            }
        }
    }
    Err(End::Closed)
}

/// Hands the request on as it is: the server looks at the key.
async fn cancel(settings: &Settings, packet: &[u8]) {
    if let Ok(mut server) = connect(settings).await {
        // The server answers by closing the connection, if at all.
        if server.write_all(packet).await.is_ok() && server.flush().await.is_ok() {
            let _ = server.read(&mut [0]).await;
        }
    }
}

async fn connect(settings: &Settings) -> Result<Stream, Refusal> {
    try_connect(settings).await.map_err(|error| {
        Refusal::new("08001", "the proxy cannot reach the server")
            .detail(error.to_string())
            .hint("Is the server running, and does it listen on TCP?")
    })
}

async fn try_connect(settings: &Settings) -> Result<Stream, Error> {
    let upstream = &settings.upstream;
    let address = (upstream.host.as_str(), upstream.port);
    let connecting = TcpStream::connect(address);
    let mut socket = tokio::time::timeout(settings.connect_timeout, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    socket.set_nodelay(true)?;
    let Some(connector) = &settings.connector else {
        return Ok(Stream::Plain(socket));
    };
    socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    if socket.read_u8().await? != b'S' {
        return Err(Error::Tls("the server does not offer TLS".to_owned()));
    }
    let name = ServerName::try_from(upstream.host.clone())
        .map_err(|error| Error::Tls(error.to_string()))?;
    let stream = connector.connect(name, socket).await?;
    Ok(Stream::Server(Box::new(stream)))
}

/// Carries the exchange between the two until the server lets the client in.
async fn authenticate(
    client: &mut Messages,
    server: &mut Messages,
    settings: &Settings,
    user: &str,
) -> Result<(), Denied> {
    let mut asked = false;
    let mut expects = false;
    loop {
        let said = tokio::select! {
            said = server.next() => said?,
            said = client.next(), if expects => {
                expects = false;
                server.send(&said?).await?;
                continue;
            }
        };
        match said[0] {
            b'R' => match said.get(HEAD..HEAD + 4).map(|mut code| code.get_u32()) {
                Some(0) => {
                    if !asked {
                        ask(client, settings, user).await?;
                    }
                    client.send(&said).await?;
                    return Ok(());
                }
                Some(10) => {
                    (asked, expects) = (true, true);
                    client.send(&without_channel_binding(&said)).await?;
                }
                // Passwords in clear and by MD5, GSSAPI, SSPI and their continuations, SASL's continuation.
                Some(3 | 5 | 7 | 8 | 9 | 11) => {
                    (asked, expects) = (true, true);
                    client.send(&said).await?;
                }
                // The server's own proof, and what nobody knows.
                _ => client.send(&said).await?,
            },
            b'E' => {
                client.send(&explained(&said, client, server)).await?;
                return Err(Denied::Closed);
            }
            _ => client.send(&said).await?,
        }
    }
}

/// The list of mechanisms without SCRAM-SHA-256-PLUS: it proves that nobody is in between, and we are.
fn without_channel_binding(offer: &[u8]) -> Vec<u8> {
    let mut body = offer[HEAD..HEAD + 4].to_vec();
    for mechanism in offer[HEAD + 4..].split(|byte| *byte == 0) {
        if !mechanism.is_empty() && !mechanism.ends_with(b"-PLUS") {
            body.extend_from_slice(mechanism);
            body.push(0);
        }
    }
    body.push(0);
    message(b'R', &body)
}

/// With encryption on both sides client and server each see channel binding withheld, and must take that for an attack.
fn explained(error: &[u8], client: &Messages, server: &Messages) -> Vec<u8> {
    let both = client.stream.is_encrypted() && server.stream.is_encrypted();
    match Report::parse(error).filter(|_| both) {
        Some(mut report) if report.get(b'C') == Some(b"08P01") => {
            report.set(
                b'H',
                "Through a proxy there is no channel binding: connect with channel_binding=disable.",
            );
            report.message()
        }
        _ => error.to_vec(),
    }
}

/// The server lets anybody in who comes from the proxy. So the proxy asks for a password of its own, or lets nobody in.
async fn ask(client: &mut Messages, settings: &Settings, user: &str) -> Result<(), Denied> {
    let Some(keys) = &settings.password else {
        let refusal = Refusal::new(
            "28000",
            "the server asks no password of connections that come from the migrations proxy",
        )
        .detail("Whoever reaches the proxy would get in.")
        .hint("Have pg_hba.conf ask for scram-sha-256 where it says trust for the proxy's address, or give the proxy a password: electric.proxy_password, or PG_PROXY_PASSWORD for the program.");
        return Err(Denied::Refused(refusal));
    };
    match exchange(client, keys).await {
        Ok(()) => Ok(()),
        Err(Asked::Gone) => Err(Denied::Closed),
        Err(Asked::Failed(scram::Failure::Password)) => {
            let text = format!("password authentication failed for user \"{user}\"");
            let refusal = Refusal::new("28P01", text)
                .detail("It is the proxy that asks here, for its own password.");
            Err(Denied::Refused(refusal))
        }
        Err(Asked::Failed(scram::Failure::Protocol(what))) => {
            let refusal = Refusal::new("08P01", "malformed SCRAM message").detail(what);
            Err(Denied::Refused(refusal))
        }
    }
}

enum Asked {
    Gone,
    Failed(scram::Failure),
}

impl From<io::Error> for Asked {
    fn from(_: io::Error) -> Asked {
        Asked::Gone
    }
}

impl From<scram::Failure> for Asked {
    fn from(failure: scram::Failure) -> Asked {
        Asked::Failed(failure)
    }
}

async fn exchange(client: &mut Messages, keys: &Keys) -> Result<(), Asked> {
    let request = |code: u32, data: &[u8]| message(b'R', &[&code.to_be_bytes(), data].concat());
    let offer = [scram::MECHANISM, b"\0\0"].concat();
    client.send(&request(10, &offer)).await?;
    let first = password_message(client).await?;
    let first = first
        .strip_prefix(scram::MECHANISM)
        .and_then(|rest| rest.strip_prefix(b"\0"))
        .and_then(|rest| rest.get(4..))
        .ok_or(scram::Failure::Protocol("SCRAM-SHA-256 expected"))?
        .to_vec();
    let exchange = keys.begin(&first, random()?)?;
    client
        .send(&request(11, exchange.challenge.as_bytes()))
        .await?;
    let last = password_message(client).await?;
    let answer = keys.finish(&exchange, &last)?;
    client.send(&request(12, answer.as_bytes())).await?;
    Ok(())
}

async fn password_message(client: &mut Messages) -> Result<BytesMut, Asked> {
    let mut message = client.next().await?;
    if message[0] != b'p' {
        return Err(scram::Failure::Protocol("a password message expected").into());
    }
    Ok(message.split_off(HEAD))
}

/// Random bytes of the system.
fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_binding_is_not_offered() {
        let offer = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let expected = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(without_channel_binding(&offer), expected);
        assert_eq!(without_channel_binding(&expected), expected);
    }
}
