//! The migrations proxy as a program, and a client that says to it whatever a test wants, byte by byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::BytesMut;
use postgres::{Client, NoTls};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;

use crate::cluster::Cluster;

/// What the proxies of the tests ask for, where the server trusts everybody.
pub const PASSWORD: &str = "of-the-proxy";

/// The program `electric`, built once.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--quiet", "--package", "electric_cli"]);
            let status = cargo.status().expect("cargo can be run");
            assert!(status.success(), "the program electric cannot be built");
            let own = std::env::current_exe().expect("a program knows where it is");
            let mut directory = own.parent().expect("programs are in directories");
            // Tests are below the other programs.
            if directory.ends_with("deps") {
                directory = directory.parent().unwrap_or(directory);
            }
            directory.join("electric")
        })
        .clone()
}

/// A proxy as a process of its own. It ends with the value.
pub struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    /// A proxy before that server, with the password of the tests.
    pub fn before(cluster: &Cluster) -> Proxy {
        Proxy::with(cluster, Some(PASSWORD), &[])
    }

    /// A proxy before that server.
    pub fn with(cluster: &Cluster, password: Option<&str>, options: &[&str]) -> Proxy {
        let upstream = format!("postgres://127.0.0.1:{}", cluster.port());
        Proxy::to(&upstream, password, options)
    }

    /// A proxy before whatever is at that URL.
    pub fn to(upstream: &str, password: Option<&str>, options: &[&str]) -> Proxy {
        let mut command = Command::new(program());
        command.args(["proxy", "--listen", "127.0.0.1:0", "--upstream", upstream]);
        command.args(options).env_remove("PG_PROXY_PASSWORD");
        if let Some(password) = password {
            command.env("PG_PROXY_PASSWORD", password);
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the proxy starts");
        let output = child.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says where it listens");
        let port = line
            .split_whitespace()
            .find_map(|word| word.rsplit_once(':')?.1.parse().ok());
        let Some(port) = port else {
            panic!("the proxy does not start: {line}");
        };
        Proxy { child, port }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it was running");
    }

    /// The settings of a connection through it, to add to.
    pub fn config(&self, database: &str, user: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .dbname(database)
            .user(user)
            .password(PASSWORD)
            .connect_timeout(Duration::from_secs(20))
            .notice_callback(|_| ());
        config
    }

    /// A connection through it as superuser.
    #[track_caller]
    pub fn client(&self, database: &str) -> Client {
        match self.config(database, "postgres").connect(NoTls) {
            Ok(client) => client,
            Err(error) => panic!(
                "cannot connect through the proxy: {}",
                crate::errors::describe(&error)
            ),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message of the server: its kind and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Kind.
    pub kind: char,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// The field of an error or a notice.
    pub fn field(&self, letter: char) -> Option<String> {
        let mut fields = self.body.split(|byte| *byte == 0);
        let field = fields.find(|field| field.first() == Some(&(letter as u8)))?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    }

    /// The body as text, without NULs at its end.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.trim_end_matches('\0').to_owned()
    }
}

/// A client that sends bytes and reads messages.
pub struct Raw {
    /// The connection.
    pub stream: TcpStream,
    /// Process id and key, as the server sent them.
    pub key: Vec<u8>,
}

impl Raw {
    /// A session with that server or proxy.
    #[track_caller]
    pub fn connect(port: u16, database: &str, user: &str, password: &str) -> Raw {
        Raw::try_connect(port, &[("user", user), ("database", database)], password)
            .unwrap_or_else(|message| panic!("refused: {message:?}"))
    }

    /// A connection on which nothing was said yet.
    pub fn open(port: u16) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("sockets have timeouts");
        stream.set_nodelay(true).expect("sockets have this");
        Raw {
            stream,
            key: vec![],
        }
    }

    /// A session with those parameters, or the error that there is none; of the kind `!` if the connection broke.
    pub fn try_connect(
        port: u16,
        parameters: &[(&str, &str)],
        password: &str,
    ) -> Result<Raw, Message> {
        let mut raw = Raw::open(port);
        let mut buffer = BytesMut::new();
        frontend::startup_message(parameters.iter().copied(), &mut buffer)
            .expect("parameters without NUL");
        raw.send(&buffer);
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let message = raw.read().map_err(|error| Message {
                kind: '!',
                body: error.to_string().into(),
            })?;
            let mut answer = BytesMut::new();
            match (message.kind, message.body.get(3)) {
                ('R', Some(10)) => {
                    frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), &mut answer)
                        .expect("short enough");
                }
                ('R', Some(11)) => {
                    scram.update(&message.body[4..]).expect("a challenge");
                    frontend::sasl_response(scram.message(), &mut answer).expect("short enough");
                }
                ('R', Some(12)) => scram.finish(&message.body[4..]).expect("the server knows"),
                ('R', Some(3)) => {
                    frontend::password_message(password.as_bytes(), &mut answer)
                        .expect("short enough");
                }
                ('K', _) => raw.key = message.body,
                ('E', _) => return Err(message),
                ('Z', _) => return Ok(raw),
                _ => {}
            }
            raw.send(&answer);
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the other side reads");
    }

    /// The next message; an error if the connection was closed.
    pub fn read(&mut self) -> io::Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        self.stream.read_exact(&mut body)?;
        Ok(Message {
            kind: char::from(head[0]),
            body,
        })
    }

    /// Messages up to that many ReadyForQuery.
    #[track_caller]
    pub fn read_ready(&mut self, times: usize) -> Vec<Message> {
        let mut all = vec![];
        let mut ready = 0;
        while ready < times {
            match self.read() {
                Ok(message) => {
                    ready += usize::from(message.kind == 'Z');
                    all.push(message);
                }
                Err(error) => panic!("{error} after {all:?}"),
            }
        }
        all
    }

    /// Runs a Query and returns what comes of it.
    #[track_caller]
    pub fn query(&mut self, text: &str) -> Vec<Message> {
        self.send(&query(text));
        self.read_ready(1)
    }
}

/// The kinds of the messages, as one word.
pub fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| message.kind).collect()
}

fn built(build: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    build(&mut buffer).expect("a valid message");
    buffer.to_vec()
}

/// Query.
pub fn query(text: &str) -> Vec<u8> {
    built(|buffer| frontend::query(text, buffer))
}

/// Parse, without types.
pub fn parse(name: &str, text: &str) -> Vec<u8> {
    built(|buffer| frontend::parse(name, text, [], buffer))
}

/// Bind, without parameters.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    let none: [&[u8]; 0] = [];
    built(|buffer| {
        let bound = frontend::bind(
            portal,
            statement,
            [],
            none,
            |_, _| Ok(postgres_protocol::IsNull::Yes),
            [],
            buffer,
        );
        bound.map_err(|_| io::ErrorKind::InvalidData.into())
    })
}

/// Describe of a statement (`S`) or a portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    built(|buffer| frontend::describe(kind, name, buffer))
}

/// Execute.
pub fn execute(portal: &str, rows: i32) -> Vec<u8> {
    built(|buffer| frontend::execute(portal, rows, buffer))
}

/// Close of a statement (`S`) or a portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    built(|buffer| frontend::close(kind, name, buffer))
}

/// Sync.
pub fn sync() -> Vec<u8> {
    built(|buffer| {
        frontend::sync(buffer);
        Ok(())
    })
}

/// Flush.
pub fn flush() -> Vec<u8> {
    built(|buffer| {
        frontend::flush(buffer);
        Ok(())
    })
}

/// A message of that kind with that body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short enough");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}
