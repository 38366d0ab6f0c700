//! Plays a conversation against a port and writes down what was heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    time::{Duration, Instant},
};

use super::{
    crowd::Crowd,
    script::{self, Act, Conversation, Key, Line},
};
use crate::wire::{Frame, Wire};

/// What a client heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Frame(Frame),
    /// The answer to a request for encryption.
    Byte(u8),
    /// The server closed the connection.
    Closed,
    /// Nothing came where something was to come.
    Silence,
    /// A line could not be followed; that is the conversation's mistake.
    Mistake(String),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(frame) => frame.fmt(f),
            Self::Byte(byte) => write!(f, "byte {}", byte.escape_ascii()),
            Self::Closed => f.write_str("closed"),
            Self::Silence => f.write_str("nothing came"),
            Self::Mistake(what) => f.write_str(what),
        }
    }
}

/// What was heard, by whom, and after which line.
#[derive(Debug, Clone)]
pub struct Entry {
    pub client: char,
    pub heard: Heard,
    pub place: String,
    /// It is a part of the login.
    pub greeting: bool,
}

/// What a play came to.
#[derive(Debug, Default)]
pub struct Transcript {
    pub entries: Vec<Entry>,
    /// The process ids of the backends that served each client.
    pub backends: BTreeMap<char, BTreeSet<i32>>,
}

impl Transcript {
    /// The most backends that served one of the clients.
    pub fn most_backends(&self) -> usize {
        let counts = self.backends.values().map(BTreeSet::len);
        counts.max().unwrap_or_default()
    }
}

/// Where a play takes place.
pub struct Scene<'a> {
    pub port: u16,
    pub database: &'a str,
    /// A connection past whoever is played through.
    pub direct: &'a mut Wire,
    /// Those who take the connections away in between.
    pub crowd: Option<&'a mut Crowd>,
    pub patience: Duration,
}

struct Client {
    wire: Wire,
    out: Vec<u8>,
    /// In a transaction, or something is still to come.
    busy: bool,
    /// The backends that served it last.
    latest: BTreeSet<i32>,
}

/// Plays a conversation.
pub fn play<'a>(conversation: &'a Conversation, scene: Scene<'a>) -> Transcript {
    let mut player = Player {
        scene,
        clients: BTreeMap::new(),
        pids: Vec::new(),
        transcript: Transcript::default(),
        conversation,
        place: String::new(),
        greets: false,
        waits_since: None,
    };
    for line in &conversation.lines {
        player.place.clone_from(&line.place);
        if player.follow(line).is_err() {
            break;
        }
    }
    player.end();
    player.transcript
}

/// The play cannot go on.
struct Over;

struct Player<'a> {
    scene: Scene<'a>,
    clients: BTreeMap<char, Client>,
    /// The process ids told at login, also of those who left.
    pids: Vec<(i32, char)>,
    transcript: Transcript,
    conversation: &'a Conversation,
    place: String,
    /// A client logs in.
    greets: bool,
    /// When the current request was sent, while the crowd holds a connection that it may want.
    waits_since: Option<Instant>,
}

/// After this the crowd lets the connection go that it holds: the request may want this very one.
const HOLD: Duration = Duration::from_millis(60);

impl Player<'_> {
    fn follow(&mut self, line: &Line) -> Result<(), Over> {
        let database = self.scene.database.to_owned();
        let pids = &self.pids;
        let text = script::fill(&line.text, &mut |name| match name {
            "db" => database.clone(),
            name => {
                let whose = name.chars().next();
                let mut found = pids.iter().rev();
                let found = found.find(|(_, client)| Some(*client) == whose);
                found.map_or(0, |(pid, _)| *pid).to_string()
            }
        });
        let act = match script::act(&text, &database) {
            Ok(act) => act,
            Err(wrong) => return self.mistake(line.client, &wrong),
        };
        let who = line.client;
        if !line.text.starts_with("given") && !self.clients.contains_key(&who) && needs_login(&act)
        {
            let login = script::act("connect", &database);
            self.perform(who, login.unwrap())?;
        }
        self.perform(who, act)
    }

    fn perform(&mut self, who: char, act: Act) -> Result<(), Over> {
        match act {
            Act::Say(bytes) => self.client(who)?.out.extend(bytes),
            Act::Send => self.flush(who)?,
            Act::Open => self.open(who),
            Act::Connect(packet) => {
                self.open(who);
                self.client(who)?.out.extend(packet);
                self.greets = true;
                let welcomed = self.read_ready(who, 1);
                self.greets = false;
                welcomed?;
            }
            Act::Ready(count) => self.read_ready(who, count)?,
            Act::Until(tag) => self.read_until(who, |frame| frame.tag == tag)?,
            Act::Byte => self.read_byte(who)?,
            Act::Closed => self.read_until(who, |_| false)?,
            Act::Vanish => {
                self.flush(who)?;
                self.clients.remove(&who);
            }
            Act::Cancel { whose, key } => self.cancel(who, whose, key)?,
            Act::Direct(sql) => self.direct(who, &sql)?,
            Act::Wait(sql) => self.wait(who, &sql)?,
        }
        Ok(())
    }

    fn open(&mut self, who: char) {
        let wire = Wire::open(self.scene.port);
        let client = Client {
            wire,
            out: Vec::new(),
            busy: false,
            latest: BTreeSet::new(),
        };
        self.clients.insert(who, client);
    }

    fn client(&mut self, who: char) -> Result<&mut Client, Over> {
        self.clients.get_mut(&who).ok_or(Over)
    }

    fn mistake(&mut self, who: char, what: &str) -> Result<(), Over> {
        self.hear(who, Heard::Mistake(what.to_owned()));
        Err(Over)
    }

    /// Sends what was said, after the crowd has had its turn.
    fn flush(&mut self, who: char) -> Result<(), Over> {
        let client = self.client(who)?;
        let bytes = std::mem::take(&mut client.out);
        if bytes.is_empty() {
            return Ok(());
        }
        let latest = client.latest.clone();
        let busy = self.clients.values().filter(|client| client.busy).count();
        if let Some(crowd) = &mut self.scene.crowd {
            crowd.come(busy, &latest);
            self.waits_since = Some(Instant::now());
        }
        let client = self.client(who)?;
        client.busy = true;
        // Who is gone is seen at the next read.
        let _ = client.wire.try_send(&bytes);
        Ok(())
    }

    fn read_ready(&mut self, who: char, count: usize) -> Result<(), Over> {
        let mut left = count;
        self.read_until(who, |frame| {
            left -= usize::from(frame.tag == b'Z');
            left == 0
        })
    }

    /// Reads up to a frame that is the last, or to the server's end.
    fn read_until(&mut self, who: char, mut last: impl FnMut(&Frame) -> bool) -> Result<(), Over> {
        self.flush(who)?;
        loop {
            let came = self.next(who, |wire| wire.try_frame())?;
            let Some(frame) = came else {
                self.client(who)?.busy = false;
                self.hear(who, Heard::Closed);
                break;
            };
            let client = self.client(who)?;
            client.busy = frame.tag != b'Z' || frame.body != b"I";
            let end = last(&frame);
            let frame = self.normalised(who, frame)?;
            self.hear(who, Heard::Frame(frame));
            if end {
                break;
            }
        }
        self.served(who);
        Ok(())
    }

    fn read_byte(&mut self, who: char) -> Result<(), Over> {
        self.flush(who)?;
        match self.next(who, |wire| wire.try_byte())? {
            Some(byte) => self.hear(who, Heard::Byte(byte)),
            None => self.hear(who, Heard::Closed),
        }
        Ok(())
    }

    /// The next frame or byte; the crowd steps back when it takes long.
    fn next<T>(
        &mut self,
        who: char,
        read: impl Fn(&mut Wire) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, Over> {
        let patience = self.scene.patience;
        let begun = Instant::now();
        loop {
            let brief = match self.waits_since {
                Some(since) => HOLD.saturating_sub(since.elapsed()),
                None => patience.saturating_sub(begun.elapsed()),
            };
            let client = self.client(who)?;
            client.wire.be_patient(brief.max(Duration::from_millis(1)));
            match read(&mut client.wire) {
                Ok(came) => return Ok(came),
                Err(_) if self.waits_since.is_some() => self.step_back(),
                Err(_) => {
                    self.hear(who, Heard::Silence);
                    return Err(Over);
                }
            }
        }
    }

    fn step_back(&mut self) {
        self.waits_since = None;
        if let Some(crowd) = &mut self.scene.crowd {
            crowd.step_back();
        }
    }

    /// A step is over: notes who served it.
    fn served(&mut self, who: char) {
        let Some(crowd) = &mut self.scene.crowd else {
            return;
        };
        let others = self
            .clients
            .iter()
            .any(|(one, client)| *one != who && client.busy);
        let pids = crowd.served();
        if self.waits_since.is_some() {
            self.step_back();
        }
        if others || pids.is_empty() {
            return;
        }
        let all = self.transcript.backends.entry(who).or_default();
        all.extend(pids.iter().copied());
        if let Some(client) = self.clients.get_mut(&who) {
            client.latest = pids;
        }
    }

    fn hear(&mut self, client: char, heard: Heard) {
        let place = self.place.clone();
        self.transcript.entries.push(Entry {
            client,
            heard,
            place,
            greeting: self.greets,
        });
    }

    /// Without what must differ: process ids, keys, and numbers of tables where the conversation
    /// says so.
    fn normalised(&mut self, who: char, mut frame: Frame) -> Result<Frame, Over> {
        match frame.tag {
            b'K' => {
                let Some((pid, key)) = frame.body.split_first_chunk::<4>() else {
                    return Ok(frame);
                };
                let pid = i32::from_be_bytes(*pid);
                let wire = &mut self.client(who)?.wire;
                wire.pid = pid;
                wire.key = key.to_owned();
                self.pids.push((pid, who));
                let len = frame.body.len();
                frame.body = format!("a process id and a key, {len} bytes").into_bytes();
            }
            b'A' => {
                let Some((pid, rest)) = frame.body.split_first_chunk::<4>() else {
                    return Ok(frame);
                };
                let pid = i32::from_be_bytes(*pid);
                let from = self.pids.iter().find(|(one, _)| *one == pid);
                let from = from.map_or('?', |(_, client)| *client);
                frame.body = [format!("from {from}: ").as_bytes(), rest].concat();
            }
            b'T' if self.conversation.masks_oids => mask_oids(&mut frame.body),
            b'E' if self.conversation.masks_source => mask_source(&mut frame.body),
            b'E' => mask_line_of_stale_plan(&mut frame.body),
            _ => {}
        }
        Ok(frame)
    }

    fn cancel(&mut self, who: char, whose: char, key: Key) -> Result<(), Over> {
        self.flush(whose)?;
        let wire = &self.client(whose)?.wire;
        let (mut pid, mut secret) = (wire.pid, wire.key.clone());
        match key {
            Key::Right => {}
            Key::Wrong => secret[0] ^= 1,
            Key::OfNobody => pid = i32::MAX,
            Key::Longer => secret.extend([0; 28]),
            Key::Empty => secret.clear(),
        }
        let number: i32 = 80_877_102;
        let body = [&number.to_be_bytes()[..], &pid.to_be_bytes(), &secret].concat();
        let len = u32::try_from(body.len() + 4).unwrap();
        let mut wire = Wire::open(self.scene.port);
        wire.be_patient(self.scene.patience);
        wire.send(&[&len.to_be_bytes()[..], &body].concat());
        let heard = match wire.try_frame() {
            Ok(Some(frame)) => Heard::Frame(frame),
            Ok(None) => Heard::Closed,
            Err(_) => Heard::Silence,
        };
        self.hear(who, heard);
        Ok(())
    }

    fn direct(&mut self, who: char, sql: &str) -> Result<(), Over> {
        let frames = self.scene.direct.query(sql);
        match frames.iter().find(|frame| frame.tag == b'E') {
            Some(error) => self.mistake(who, &format!("{sql}: {error}")),
            None => Ok(()),
        }
    }

    fn wait(&mut self, who: char, sql: &str) -> Result<(), Over> {
        self.flush(who)?;
        let begun = Instant::now();
        while self.scene.direct.value(sql) != "t" {
            if begun.elapsed() > HOLD && self.waits_since.is_some() {
                self.step_back();
            }
            if begun.elapsed() > self.scene.patience {
                return self.mistake(who, &format!("never: {sql}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whoever is still there leaves; what they held is free for the next.
    fn end(&mut self) {
        if let Some(crowd) = &mut self.scene.crowd {
            crowd.step_back();
        }
        for (_, mut client) in std::mem::take(&mut self.clients) {
            let _ = client.wire.try_send(&crate::wire::terminate());
        }
    }
}

fn needs_login(act: &Act) -> bool {
    match act {
        Act::Say(_)
        | Act::Send
        | Act::Ready(_)
        | Act::Until(_)
        | Act::Byte
        | Act::Closed
        | Act::Vanish => true,
        Act::Open | Act::Connect(_) | Act::Cancel { .. } | Act::Direct(_) | Act::Wait(_) => false,
    }
}

/// Blots out the numbers of tables in a RowDescription.
fn mask_oids(body: &mut [u8]) {
    let mut at = 2;
    while let Some(len) = body
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == 0))
    {
        let oid = at + len + 1;
        if let Some(oid) = body.get_mut(oid..oid + 4) {
            oid.fill(0);
        }
        at = oid + 18;
    }
}

/// A connection that never had the statement does not say where in the server's source it would
/// have been refused, and that differs from version to version: told in the README.
fn mask_line_of_stale_plan(body: &mut Vec<u8>) {
    let mut fields = body.split(|byte| *byte == 0);
    if fields.any(|field| field == b"RRevalidateCachedQuery") {
        let fields = body.split_inclusive(|byte| *byte == 0);
        let kept = fields.filter(|field| field[0] != b'L');
        *body = kept.flatten().copied().collect();
    }
}

/// Leaves out where in the server's source an error arose: the fields F, L and R.
fn mask_source(body: &mut Vec<u8>) {
    let fields = body.split_inclusive(|byte| *byte == 0);
    let kept = fields.filter(|field| !b"FLR".contains(&field[0]));
    *body = kept.flatten().copied().collect();
}
