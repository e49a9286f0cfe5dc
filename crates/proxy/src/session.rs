//! A session after its authentication, without input and output: which messages are changed, and how.
//!
//! What the client sends is kept track of in a queue, one small entry for each message that the server answers, so that an
//! error can be put into the terms of the text that it is about. What comes of DDLX is told by [`Mark`] alone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::frame::{Fate, Framer, HEAD, Reader};
use crate::message::{self, Report, c_string, command_complete};
use crate::rewrite::{Mark, Protocol, Rewrite};
use crate::text::Encoding;

/// Entries that may wait for an answer before the client has to. The server holds back the answers to fewer than that.
const QUEUE: usize = 1 << 14;
/// Prepared DDLX statements whose errors are put into the client's terms.
const STATEMENTS: usize = 1000;
/// Bytes of a message in which the names of statement and portal must end to be read.
const NAMES: usize = 1024;
/// Bytes of the longest answer that can be about DDLX.
const ANSWER: usize = 256;
/// Bytes of the longest error and parameter that are looked at.
const REPORT: usize = 1 << 16;

/// A message that the server answers. What is known of it is left out while the session has no DDLX.
#[derive(Debug)]
enum Sent {
    Query(About),
    Parse(About, Option<Box<[u8]>>),
    /// Names of portal and statement.
    Bind(Option<Box<(Vec<u8>, Vec<u8>)>>),
    Describe(Option<Box<Named>>),
    Execute(Option<Box<[u8]>>),
    Close(Option<Box<Named>>),
    Sync,
    FunctionCall,
    /// CopyDone or CopyFail, which themselves have no answer.
    CopyEnd,
}

/// What is known of a text.
#[derive(Debug, Clone)]
enum About {
    Nothing,
    /// It may change how the server reads the texts after it: until it is answered nobody knows.
    Settings,
    Ddlx(Arc<Rewrite>),
    /// It was too long.
    Unread,
}

/// A statement (`S`) or a portal (`P`), and its name.
#[derive(Debug)]
struct Named {
    kind: u8,
    name: Vec<u8>,
}

impl Sent {
    fn is_counted(&self) -> bool {
        matches!(self, Self::Query(about) | Self::Parse(about, _) if !matches!(about, About::Nothing))
    }

    fn ends_with_ready(&self) -> bool {
        matches!(self, Self::Sync | Self::Query(_) | Self::FunctionCall)
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    upward: Framer,
    downward: Framer,
    state: State,
}

#[derive(Debug)]
struct State {
    mark: Mark,
    limit: usize,
    encoding: Encoding,
    /// `standard_conforming_strings`, without which texts are read in another way.
    conforming: bool,
    queue: VecDeque<Sent>,
    /// Entries in the queue that are about DDLX.
    counted: usize,
    statements: HashMap<Vec<u8>, Arc<Rewrite>>,
    portals: HashMap<Vec<u8>, Arc<Rewrite>>,
    /// There are more statements than are kept.
    more: bool,
    /// The tag of the DDLX statement that has run and not completed.
    tag: Option<Vec<u8>>,
    /// DDLX statements of the current text that have completed.
    done: usize,
    /// The server reads rows, and passes over Sync.
    copying: bool,
    /// The server passes over everything until Sync.
    skipping: bool,
}

impl Session {
    /// A session whose mark is made of those random bytes, and which reads texts of up to `limit` bytes.
    pub fn new(random: [u8; 16], limit: usize) -> Session {
        Session {
            upward: Framer::default(),
            downward: Framer::default(),
            state: State {
                mark: Mark::new(random),
                limit,
                encoding: Encoding::default(),
                conforming: true,
                queue: VecDeque::new(),
                counted: 0,
                statements: HashMap::new(),
                portals: HashMap::new(),
                more: false,
                tag: None,
                done: 0,
                copying: false,
                skipping: false,
            },
        }
    }

    /// Whether the client may be read from: not while the server owes too many answers.
    pub fn takes_more(&self) -> bool {
        self.state.queue.len() < QUEUE
    }

    /// Takes what the client sent; what the server gets is what is added to `out` and then what is returned.
    pub fn from_client<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        self.upward.feed(&mut Upward(&mut self.state), input, out)
    }

    /// Takes what the server sent; what the client gets is what is added to `out` and then what is returned.
    pub fn from_server<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        self.downward
            .feed(&mut Downward(&mut self.state), input, out)
    }

    /// Whether a message of our own can be sent to the client.
    pub fn client_is_between_messages(&self) -> bool {
        self.downward.between_messages()
    }
}

impl State {
    /// Whether anything that is under way or prepared can be DDLX.
    fn is_live(&self) -> bool {
        self.counted > 0 || !self.statements.is_empty() || !self.portals.is_empty() || self.more
    }

    fn push(&mut self, sent: Sent) {
        match sent {
            Sent::Sync if self.copying => return,
            Sent::CopyEnd if self.copying || self.queue.is_empty() => {
                self.copying = false;
                return;
            }
            Sent::Sync => self.skipping = false,
            _ if self.skipping => return,
            _ => {}
        }
        self.counted += usize::from(sent.is_counted());
        self.queue.push_back(sent);
    }

    fn pop(&mut self) -> Option<Sent> {
        let sent = self.queue.pop_front()?;
        self.counted -= usize::from(sent.is_counted());
        Some(sent)
    }

    /// The message that the server answers now.
    fn current(&mut self) -> Option<&Sent> {
        while let Some(Sent::CopyEnd) = self.queue.front() {
            self.queue.pop_front();
        }
        self.queue.front()
    }

    /// Takes the first entry like that, and those before it, which the server passed over, if it comes before any like `stop`.
    fn take(&mut self, like: fn(&Sent) -> bool, stop: fn(&Sent) -> bool) -> Option<Sent> {
        let at = self.queue.iter().position(|it| like(it) || stop(it))?;
        if !like(&self.queue[at]) {
            return None;
        }
        for _ in 0..at {
            self.pop();
        }
        self.pop()
    }

    fn rewrite(&mut self, text: &[u8], protocol: Protocol) -> Option<(Vec<u8>, Rewrite)> {
        let depends = |byte: &u8| *byte == b'\\' || !byte.is_ascii();
        if !self.conforming && text.contains(&b'\\')
            || self.awaits_settings() && text.iter().any(depends)
        {
            return None;
        }
        Rewrite::of(text, self.encoding, &self.mark, protocol)
    }

    /// Whether the server has yet to answer a text that may change how it reads others.
    fn awaits_settings(&self) -> bool {
        let about = |sent: &Sent| match sent {
            Sent::Query(about) | Sent::Parse(about, _) => {
                matches!(about, About::Settings | About::Unread)
            }
            _ => false,
        };
        self.counted > 0 && self.queue.iter().any(about)
    }

    /// What the current message has to do with DDLX.
    fn about(&mut self) -> About {
        let known = |map: &HashMap<Vec<u8>, Arc<Rewrite>>, name: &[u8]| {
            map.get(name).cloned().map_or(About::Nothing, About::Ddlx)
        };
        // Two borrows: `current` drops what is answered.
        self.current();
        match self.queue.front() {
            Some(Sent::Query(about) | Sent::Parse(about, _)) => about.clone(),
            Some(Sent::Bind(Some(names))) => known(&self.statements, &names.1),
            Some(Sent::Execute(Some(name))) => known(&self.portals, name),
            Some(Sent::Describe(Some(named))) if named.kind == b'S' => {
                known(&self.statements, &named.name)
            }
            Some(Sent::Describe(Some(named))) => known(&self.portals, &named.name),
            _ => About::Nothing,
        }
    }

    fn remember(&mut self, name: Box<[u8]>, about: About) {
        match about {
            About::Ddlx(rewrite) if self.statements.len() < STATEMENTS => {
                self.statements.insert(name.into(), rewrite);
            }
            About::Ddlx(_) => self.more = true,
            _ => {
                self.statements.remove(&*name);
            }
        }
    }
}

fn total(bytes: &[u8]) -> usize {
    let length: Option<[u8; 4]> = bytes.get(1..HEAD).and_then(|it| it.try_into().ok());
    length.map_or(0, |it| u32::from_be_bytes(it) as usize + 1)
}

/// Reads what the client sends.
struct Upward<'a>(&'a mut State);

impl Reader for Upward<'_> {
    fn need(&mut self, kind: u8, total: usize) -> usize {
        match kind {
            b'Q' | b'P' if total <= self.0.limit => total,
            b'B' | b'D' | b'E' | b'C' if self.0.is_live() => total.min(NAMES),
            _ => HEAD,
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Fate {
        let body = &bytes[HEAD..];
        let named = || {
            let (kind, rest) = body.split_first()?;
            let (name, _) = c_string(rest)?;
            Some(Box::new(Named {
                kind: *kind,
                name: name.to_vec(),
            }))
        };
        let sent = match bytes[0] {
            b'Q' | b'P' if bytes.len() < total(bytes) => {
                let unread = About::Unread;
                if bytes[0] == b'Q' {
                    Sent::Query(unread)
                } else {
                    Sent::Parse(unread, None)
                }
            }
            b'Q' => return self.query(body),
            b'P' => return self.parse(body),
            b'B' => Sent::Bind((|| {
                let (portal, rest) = c_string(body)?;
                let (statement, _) = c_string(rest)?;
                Some(Box::new((portal.to_vec(), statement.to_vec())))
            })()),
            b'D' => Sent::Describe(named()),
            b'E' => Sent::Execute(c_string(body).map(|(name, _)| name.into())),
            b'C' => Sent::Close(named()),
            b'S' => Sent::Sync,
            b'F' => Sent::FunctionCall,
            b'c' | b'f' => Sent::CopyEnd,
            _ => return Fate::Pass,
        };
        self.0.push(sent);
        Fate::Pass
    }
}

impl Upward<'_> {
    fn query(&mut self, body: &[u8]) -> Fate {
        let rewritten = match c_string(body) {
            Some((text, [])) => self.0.rewrite(text, Protocol::Simple),
            _ => None,
        };
        let Some((mut text, rewrite)) = rewritten else {
            self.0.push(Sent::Query(of_text(body)));
            return Fate::Pass;
        };
        self.0.push(Sent::Query(About::Ddlx(Arc::new(rewrite))));
        text.push(0);
        Fate::Replace(message::message(b'Q', &text))
    }

    fn parse(&mut self, body: &[u8]) -> Fate {
        let parts = (|| {
            let (name, rest) = c_string(body)?;
            let (text, rest) = c_string(rest)?;
            Some((name, text, rest))
        })();
        let rewritten = parts.and_then(|(_, text, _)| self.0.rewrite(text, Protocol::Extended));
        let name = parts.map(|(name, ..)| name).unwrap_or_default();
        let (Some((text, rewrite)), Some((_, _, types))) = (rewritten, parts) else {
            let kept = self.0.is_live().then(|| name.into());
            self.0.push(Sent::Parse(of_text(body), kept));
            return Fate::Pass;
        };
        self.0.push(Sent::Parse(
            About::Ddlx(Arc::new(rewrite)),
            Some(name.into()),
        ));
        let body = [name, b"\0", &text, b"\0", types].concat();
        Fate::Replace(message::message(b'P', &body))
    }
}

/// Reads what the server sends.
struct Downward<'a>(&'a mut State);

impl Reader for Downward<'_> {
    fn need(&mut self, kind: u8, total: usize) -> usize {
        match kind {
            b'T' | b'D' | b'C' if total <= ANSWER && self.0.is_live() => total,
            b'E' | b'N' if total <= REPORT && self.0.is_live() => total,
            b'S' if total <= REPORT => total,
            b'Z' => total.min(HEAD + 1),
            _ => HEAD,
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Fate {
        let whole = bytes.len() == total(bytes);
        match bytes[0] {
            b'D' if whole => return self.row(bytes),
            b'T' => return self.description(bytes),
            b'C' | b'I' | b's' => return self.completed(bytes),
            b'E' => return self.error(bytes),
            b'N' if whole => return self.report(bytes),
            b'n' => self.described(),
            b'1' => {
                let parsed = self.0.take(|it| matches!(it, Sent::Parse(..)), |_| false);
                if let Some(Sent::Parse(about, Some(name))) = parsed {
                    self.0.remember(name, about);
                }
            }
            b'2' => self.bound(),
            b'3' => self.closed(),
            b'S' if whole => self.parameter(&bytes[HEAD..]),
            b'G' => self.copies(),
            b'Z' => self.ready(bytes.get(HEAD).copied()),
            _ => {}
        }
        Fate::Pass
    }
}

impl Downward<'_> {
    /// A row of a call is not for the client: it has the tag.
    fn row(&mut self, bytes: &[u8]) -> Fate {
        let mark = self.0.mark.value();
        let tag = (|| {
            let rest = bytes[HEAD..].strip_prefix(&[0, 2])?;
            let length = u32::try_from(mark.len()).ok()?;
            let rest = rest.strip_prefix(&length.to_be_bytes())?;
            rest.strip_prefix(mark)?.get(4..)
        })();
        match tag {
            Some(tag) => {
                self.0.tag = Some(tag.to_vec());
                Fate::Replace(vec![])
            }
            None => Fate::Pass,
        }
    }

    fn description(&mut self, bytes: &[u8]) -> Fate {
        let name = bytes[HEAD..]
            .strip_prefix(&[0, 2])
            .and_then(c_string)
            .map(|(name, _)| name);
        let is = |protocol| name == Some(self.0.mark.column(protocol).as_bytes());
        // Names are compared where they can be ours.
        let ours = name.is_some_and(|name| name.starts_with(b"electric_"));
        let (simple, extended) = if ours {
            (is(Protocol::Simple), is(Protocol::Extended))
        } else {
            (false, false)
        };
        let asked = !matches!(self.0.current(), Some(Sent::Query(_)));
        self.described();
        match (simple, extended) {
            // A statement has no rows to describe where nobody asked.
            (true, _) => Fate::Replace(vec![]),
            (_, true) if !asked => Fate::Replace(vec![]),
            (_, true) => Fate::Replace(message::no_data()),
            _ => Fate::Pass,
        }
    }

    fn described(&mut self) {
        self.0.take(
            |it| matches!(it, Sent::Describe(_)),
            |it| matches!(it, Sent::Query(_)),
        );
    }

    fn completed(&mut self, bytes: &[u8]) -> Fate {
        let executed = self.0.take(
            |it| matches!(it, Sent::Execute(_)),
            |it| matches!(it, Sent::Query(_)),
        );
        if matches!(&bytes[HEAD..], b"DISCARD ALL\0" | b"DEALLOCATE ALL\0") {
            self.0.statements.clear();
        }
        // A portal that was asked for one row stops behind it; all is done by then.
        match self.0.tag.take() {
            Some(tag) => {
                // A text that is executed has no other statement.
                self.0.done += usize::from(executed.is_none());
                Fate::Replace(command_complete(&tag))
            }
            None => Fate::Pass,
        }
    }

    fn report(&mut self, bytes: &[u8]) -> Fate {
        let about = self.0.about();
        let Some(mut report) = Report::parse(bytes) else {
            return Fate::Pass;
        };
        match about {
            About::Ddlx(rewrite) => rewrite.translate(&mut report, self.0.done),
            About::Unread if report.get(b'C') == Some(b"42601") && names_us(&report) => {
                let limit = self.0.limit;
                report.set(
                    b'H',
                    format!("The proxy looks for DDLX in texts of up to {limit} bytes, and this one is longer."),
                );
            }
            _ => return Fate::Pass,
        }
        Fate::Replace(report.message())
    }

    fn error(&mut self, bytes: &[u8]) -> Fate {
        let fate = if bytes.len() == total(bytes) {
            self.report(bytes)
        } else {
            Fate::Pass
        };
        self.0.tag = None;
        self.0.copying = false;
        if self.0.current().is_some_and(|it| !it.ends_with_ready()) {
            while self
                .0
                .queue
                .front()
                .is_some_and(|it| !matches!(it, Sent::Sync))
            {
                self.0.pop();
            }
            self.0.skipping = self.0.queue.is_empty();
        }
        fate
    }

    fn bound(&mut self) {
        let bound = self.0.take(|it| matches!(it, Sent::Bind(_)), |_| false);
        if let Some(Sent::Bind(Some(names))) = bound {
            let (portal, statement) = *names;
            match self.0.statements.get(&statement).cloned() {
                Some(rewrite) if self.0.portals.len() < STATEMENTS => {
                    self.0.portals.insert(portal, rewrite);
                }
                Some(_) => self.0.more = true,
                None => {
                    self.0.portals.remove(&portal);
                }
            }
        }
    }

    fn closed(&mut self) {
        let closed = self.0.take(|it| matches!(it, Sent::Close(_)), |_| false);
        if let Some(Sent::Close(Some(named))) = closed {
            if named.kind == b'S' {
                self.0.statements.remove(&named.name);
            } else {
                self.0.portals.remove(&named.name);
            }
        }
    }

    fn parameter(&mut self, body: &[u8]) {
        let Some((name, rest)) = c_string(body) else {
            return;
        };
        let value = c_string(rest).map(|(value, _)| value).unwrap_or_default();
        match name {
            b"client_encoding" => self.0.encoding = Encoding::of_setting(value),
            b"standard_conforming_strings" => self.0.conforming = value != b"off",
            _ => {}
        }
    }

    /// From here on the server reads rows. In the extended protocol it passes over a Sync until they end.
    fn copies(&mut self) {
        if !matches!(self.0.current(), Some(Sent::Execute(_))) {
            return;
        }
        let end = self
            .0
            .queue
            .iter()
            .position(|it| matches!(it, Sent::CopyEnd));
        self.0.copying = end.is_none();
        let mut index = 0;
        self.0.queue.retain(|it| {
            let before = end.is_none_or(|end| index <= end);
            index += 1;
            !(before && matches!(it, Sent::Sync | Sent::CopyEnd))
        });
    }

    fn ready(&mut self, status: Option<u8>) {
        self.0.take(Sent::ends_with_ready, |_| false);
        self.0.current();
        self.0.done = 0;
        self.0.tag = None;
        self.0.copying = false;
        if status == Some(b'I') {
            self.0.portals.clear();
        }
    }
}

/// What a text that is passed on as it is may do to those after it.
fn of_text(text: &[u8]) -> About {
    const NAMES: [&[u8]; 3] = [b"standard_conforming_strings", b"client_encoding", b"names"];
    let says = |name: &&[u8]| {
        text.windows(name.len())
            .any(|part| part.eq_ignore_ascii_case(name))
    };
    match NAMES.iter().any(says) {
        true => About::Settings,
        false => About::Nothing,
    }
}

/// Whether the error is about the word ELECTRIC.
fn names_us(report: &Report) -> bool {
    report.get(b'M').is_some_and(electric_ddlx::mentions)
}
