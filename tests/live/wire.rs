//! The protocol by hand, for what no driver does.
//! Never hides a message: what came is what a test sees.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use crate::stage::PATIENCE;

/// 3.0
pub const VERSION: i32 = 196_608;

/// A message of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// The field of an error or a notice.
    pub fn field(&self, code: u8) -> String {
        let mut fields = self.body.split(|&byte| byte == 0);
        let field = fields.find(|field| field.first() == Some(&code));
        text(field.and_then(|field| field.get(1..)).unwrap_or_default())
    }

    /// SQLSTATE
    pub fn code(&self) -> String {
        self.field(b'C')
    }

    pub fn message(&self) -> String {
        self.field(b'M')
    }

    /// The values of a row; NULL is told as `NULL`.
    fn values(&self) -> Vec<String> {
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut values = Vec::new();
        while let Some((len, after)) = rest.split_first_chunk() {
            let len = i32::from_be_bytes(*len);
            let len_here = usize::try_from(len).unwrap_or(0).min(after.len());
            let (value, after) = after.split_at(len_here);
            values.push(if len < 0 {
                "NULL".to_owned()
            } else {
                text(value)
            });
            rest = after;
        }
        values
    }
}

/// In few words: what a test compares by eye.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            b'1' => f.write_str("parsed"),
            b'2' => f.write_str("bound"),
            b'3' => f.write_str("closed"),
            b'n' => f.write_str("no data"),
            b'I' => f.write_str("empty"),
            b's' => f.write_str("suspended"),
            b'T' => f.write_str("columns"),
            b't' => f.write_str("parameters"),
            b'G' => f.write_str("copy in"),
            b'H' => f.write_str("copy out"),
            b'c' => f.write_str("copy done"),
            b'd' => write!(f, "data {}", text(&self.body).trim_end()),
            b'D' => write!(f, "row {}", self.values().join(" ")),
            b'C' => f.write_str(text(&self.body).trim_end_matches('\0')),
            b'E' => write!(f, "{} {}", self.code(), self.message()),
            b'N' => write!(f, "notice {}", self.message()),
            b'Z' => write!(f, "ready {}", text(&self.body)),
            b'S' => write!(f, "status {}", text(&self.body).replace('\0', " ").trim()),
            tag => write!(f, "{} {}", tag.escape_ascii(), self.body.escape_ascii()),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self} | {}]", self.body.escape_ascii())
    }
}

/// Each in few words.
pub fn said(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(Frame::to_string).collect()
}

/// The only error among them.
#[track_caller]
pub fn error(frames: &[Frame]) -> &Frame {
    let mut errors = frames.iter().filter(|frame| frame.tag == b'E');
    let error = errors.next();
    assert!(errors.next().is_none(), "several errors: {frames:?}");
    error.unwrap_or_else(|| panic!("no error: {frames:?}"))
}

/// A connection to a server, not forever patient.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// What the start-up reported, in the order in which it came.
    pub statuses: Vec<(String, String)>,
    /// All other frames of the start-up up to ReadyForQuery, without the key.
    pub greeting: Vec<Frame>,
    pub pid: i32,
    pub key: Vec<u8>,
}

impl Wire {
    /// Connected, and nothing said.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            inbox: Vec::new(),
            statuses: Vec::new(),
            greeting: Vec::new(),
            pid: 0,
            key: Vec::new(),
        }
    }

    /// Logged in as the superuser.
    ///
    /// # Errors
    /// The error that the server answered with.
    pub fn login(port: u16, database: &str, settings: &[(&str, &str)]) -> Result<Self, Frame> {
        let who = [("user", "postgres"), ("database", database)];
        let mut wire = Self::open(port);
        wire.send(&startup(VERSION, &[&who, settings].concat()));
        wire.welcomed()?;
        Ok(wire)
    }

    /// Reads what follows a start-up packet.
    ///
    /// # Errors
    /// The error that the server answered with.
    pub fn welcomed(&mut self) -> Result<(), Frame> {
        loop {
            let frame = self.frame();
            match frame.tag {
                b'E' => return Err(frame),
                b'Z' => return Ok(()),
                b'S' => {
                    let body = text(&frame.body);
                    let mut parts = body.split('\0').map(str::to_owned);
                    let status = (parts.next().unwrap(), parts.next().unwrap());
                    self.statuses.push(status);
                }
                b'K' => {
                    let (pid, key) = frame.body.split_first_chunk().unwrap();
                    self.pid = i32::from_be_bytes(*pid);
                    self.key = key.to_owned();
                }
                _ => self.greeting.push(frame),
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// As [`Wire::send`], to a server that may be gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// How long the next reads wait.
    pub fn be_patient(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// The next frame; that none comes is the test's failure.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        match self.try_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => panic!("the server closed the connection"),
            Err(error) => panic!("no message came: {error}"),
        }
    }

    /// The next frame, or `None` when the server closed the connection.
    ///
    /// # Errors
    /// Nothing came in time.
    pub fn try_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((head, rest)) = self.inbox.split_first_chunk::<5>() {
                let len = usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]]));
                let len = len.unwrap() - 4;
                if let Some(body) = rest.get(..len) {
                    let (tag, body) = (head[0], body.to_owned());
                    self.inbox.drain(..5 + len);
                    return Ok(Some(Frame { tag, body }));
                }
            }
            if self.read_more()? == 0 {
                return Ok(None);
            }
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let read = match self.stream.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other?,
        };
        self.inbox.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// Whether what has been read and not been looked at ends so.
    pub fn has(&self, end: &[u8]) -> bool {
        self.inbox.ends_with(end)
    }

    /// One byte that is no frame: the answer to a request for encryption.
    pub fn byte(&mut self) -> u8 {
        self.try_byte().unwrap().unwrap()
    }

    /// As [`Wire::byte`], or `None` when the server closed the connection.
    ///
    /// # Errors
    /// Nothing came in time.
    pub fn try_byte(&mut self) -> io::Result<Option<u8>> {
        while self.inbox.is_empty() {
            if self.read_more()? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.inbox.remove(0)))
    }

    /// All bytes up to the server's end.
    pub fn everything(&mut self) -> Vec<u8> {
        while self.read_more().unwrap() > 0 {}
        std::mem::take(&mut self.inbox)
    }

    /// Everything up to the server's end.
    pub fn until_closed(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.try_frame().unwrap() {
            frames.push(frame);
        }
        frames
    }

    /// Everything up to and with the next ReadyForQuery.
    #[track_caller]
    pub fn until_ready(&mut self) -> Vec<Frame> {
        self.until(b'Z')
    }

    /// Everything up to and with the next message of this kind.
    #[track_caller]
    pub fn until(&mut self, tag: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame();
            let last = frame.tag == tag;
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    /// Sends the messages and reads up to ReadyForQuery.
    #[track_caller]
    pub fn ask(&mut self, messages: &[Vec<u8>]) -> Vec<Frame> {
        self.send(&messages.concat());
        self.until_ready()
    }

    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Vec<Frame> {
        self.ask(&[query(sql)])
    }

    /// The query succeeds.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        let frames = self.query(sql);
        assert!(frames.iter().all(|frame| frame.tag != b'E'), "{frames:?}");
    }

    /// The one value of the one row.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        let frames = self.query(sql);
        let mut rows = frames.iter().filter(|frame| frame.tag == b'D');
        let row = rows.next().unwrap_or_else(|| panic!("{sql}: {frames:?}"));
        assert!(rows.next().is_none(), "{sql}: {frames:?}");
        row.values().join(" ")
    }

    /// The query fails; its error.
    #[track_caller]
    pub fn failure(&mut self, sql: &str) -> Frame {
        error(&self.query(sql)).clone()
    }

    /// Whether nothing comes for a while.
    pub fn is_silent(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let came = self.try_frame();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        came.is_err()
    }

    /// What the start-up said of a setting.
    pub fn status(&self, name: &str) -> &str {
        let mut statuses = self.statuses.iter();
        let status = statuses.find(|(one, _)| one == name);
        status.map_or("", |(_, value)| value)
    }

    /// Leaves as a client does whose machine has started anew.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Leaves as a client does that knows how to.
    pub fn bye(mut self) {
        self.send(&terminate());
        self.until_closed();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag], &length(body.len())[..], body].concat()
}

fn length(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).unwrap().to_be_bytes()
}

/// A start-up packet.
pub fn startup(version: i32, settings: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in settings {
        body.extend_from_slice(&strings(&[name, value]));
    }
    body.push(0);
    [&length(body.len())[..], &body].concat()
}

/// A packet of nothing but a number: a request for encryption.
pub fn request(number: i32) -> Vec<u8> {
    [length(4), number.to_be_bytes()].concat()
}

/// Asks on a connection of its own to cancel what a session runs; ends when the server has read it.
pub fn cancel(port: u16, pid: i32, key: &[u8]) {
    let number: i32 = 80_877_102;
    let body = [&number.to_be_bytes()[..], &pid.to_be_bytes(), key].concat();
    let mut wire = Wire::open(port);
    wire.send(&[&length(body.len())[..], &body].concat());
    assert!(wire.until_closed().is_empty());
}

fn strings(parts: &[&str]) -> Vec<u8> {
    let mut bytes = parts.join("\0").into_bytes();
    bytes.push(0);
    bytes
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &strings(&[sql]))
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[strings(&[name, sql]), vec![0, 0]].concat())
}

/// Values and results are text.
pub fn bind(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = strings(&[portal, statement]);
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

pub fn describe_statement(name: &str) -> Vec<u8> {
    message(b'D', &[b"S".to_vec(), strings(&[name])].concat())
}

pub fn describe_portal(name: &str) -> Vec<u8> {
    message(b'D', &[b"P".to_vec(), strings(&[name])].concat())
}

pub fn close_statement(name: &str) -> Vec<u8> {
    message(b'C', &[b"S".to_vec(), strings(&[name])].concat())
}

pub fn close_portal(name: &str) -> Vec<u8> {
    message(b'C', &[b"P".to_vec(), strings(&[name])].concat())
}

/// 0 rows: all.
pub fn execute(portal: &str, rows: i32) -> Vec<u8> {
    let body = [strings(&[portal]), rows.to_be_bytes().to_vec()].concat();
    message(b'E', &body)
}

pub fn flush() -> Vec<u8> {
    message(b'H', &[])
}

pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub fn copy_data(data: &str) -> Vec<u8> {
    message(b'd', data.as_bytes())
}

pub fn copy_done() -> Vec<u8> {
    message(b'c', &[])
}

pub fn copy_fail(why: &str) -> Vec<u8> {
    message(b'f', &strings(&[why]))
}

pub fn terminate() -> Vec<u8> {
    message(b'X', &[])
}

/// Parse, Bind and Execute of the unnamed statement, without a Sync.
pub fn unnamed(sql: &str, values: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", values), execute("", 0)].concat()
}

/// Bind and Execute of a statement that was parsed before, without a Sync.
pub fn again(statement: &str, values: &[&str]) -> Vec<u8> {
    [bind("", statement, values), execute("", 0)].concat()
}
