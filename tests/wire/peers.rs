//! Both peers of the ambassador, byte by byte: a backend that follows a script, and a raw client.
//! Neither understands a statement, and neither waits for ever.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use pg_ambassador::protocol::{
    backend::{self, Status, put_ready},
    frame, frontend, startup,
};

use crate::support::Served;

/// Longer than anything that works.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process id and the key that a CancelRequest showed.
type Shown = (i32, Vec<u8>);

/// A backend that does what its script says, once for each connection.
pub struct Backend {
    port: u16,
    connections: Arc<AtomicUsize>,
    cancels: Arc<Mutex<Vec<Shown>>>,
    startups: Arc<Mutex<Vec<startup::Startup>>>,
}

impl Backend {
    /// `script` gets each connection after its start-up packet, and its number from 1. An error
    /// ends the connection.
    pub fn start(
        script: impl Fn(&mut Wire, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::with_cancels(script, |_| ())
    }

    /// The same; `cancelled` gets the number, from 1, of each cancel that has come, and the
    /// cancel's connection is closed when it returns.
    pub fn with_cancels(
        script: impl Fn(&mut Wire, usize) -> io::Result<()> + Send + Sync + 'static,
        cancelled: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let backend = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            cancels: Arc::default(),
            startups: Arc::default(),
        };
        let (connections, cancels, startups) = (
            Arc::clone(&backend.connections),
            Arc::clone(&backend.cancels),
            Arc::clone(&backend.startups),
        );
        let (script, cancelled) = (Arc::new(script), Arc::new(cancelled));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut wire = Wire::new(stream.unwrap());
                let Ok(packet) = wire.packet() else { continue };
                match startup::read(&packet).unwrap() {
                    startup::First::Cancel { pid, key } => {
                        let number = {
                            let mut cancels = cancels.lock().unwrap();
                            cancels.push((pid, key));
                            cancels.len()
                        };
                        let cancelled = Arc::clone(&cancelled);
                        thread::spawn(move || {
                            cancelled(number);
                            drop(wire);
                        });
                        continue;
                    }
                    startup::First::Startup(startup) => {
                        wire.minor = startup.minor;
                        startups.lock().unwrap().push(startup);
                    }
                    // Declined already.
                    startup::First::Ssl | startup::First::GssEncryption => continue,
                }
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let script = Arc::clone(&script);
                thread::spawn(move || script(&mut wire, number));
            }
        });
        backend
    }

    /// The ambassador in front of it, with one worker.
    pub fn served(&self, args: &[&str]) -> Served {
        let upstream = format!("postgresql://app@127.0.0.1:{}/app", self.port);
        let own = ["--upstream", &upstream, "--workers", "1"];
        Served::ambassador_with(&[&own, args].concat())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn cancels(&self) -> usize {
        self.cancelled().len()
    }

    /// The start-ups that came.
    pub fn startups(&self) -> Vec<startup::Startup> {
        self.startups.lock().unwrap().clone()
    }

    /// What the CancelRequests that came have shown.
    pub fn cancelled(&self) -> Vec<Shown> {
        self.cancels.lock().unwrap().clone()
    }
}

/// One socket, frame by frame.
pub struct Wire {
    stream: TcpStream,
    /// Process id and secret, as they were told.
    key: Vec<u8>,
    /// The minor version that the start-up asked for, at a backend.
    pub minor: u32,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            key: Vec::new(),
            minor: 0,
        }
    }

    /// Asks to cancel what `whom` runs; gives the connection on which that was asked.
    pub fn cancel(port: u16, whom: &Self) -> Self {
        let mut wire = Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
        let (pid, key) = whom.key.split_first_chunk().unwrap();
        let mut packet = Vec::new();
        startup::put_cancel(&mut packet, i32::from_be_bytes(*pid), key);
        wire.send(&packet).unwrap();
        wire
    }

    /// A raw client that has sent its start-up and read nothing.
    pub fn knock(port: u16, database: &str) -> Self {
        Self::knock_with(port, database, &[])
    }

    /// The same with settings.
    pub fn knock_with(port: u16, database: &str, settings: &[(&str, &str)]) -> Self {
        let who = [("user", "postgres"), ("database", database)];
        Self::knock_as(port, &[&who, settings].concat())
    }

    /// The same with this start-up.
    pub fn knock_as(port: u16, pairs: &[(&str, &str)]) -> Self {
        let mut wire = Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
        let mut packet = Vec::new();
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        startup::put(&mut packet, 0, pairs);
        wire.send(&packet).unwrap();
        wire
    }

    /// A raw client that is in.
    pub fn client(port: u16, database: &str) -> Self {
        let mut wire = Self::knock(port, database);
        let welcome = wire.answer();
        assert!(welcome.ends_with("Z I"), "{welcome}");
        wire
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame: tag and body.
    pub fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; frame::HEADER];
        self.stream.read_exact(&mut header)?;
        let header = frame::peek(&header).unwrap().unwrap();
        let mut body = vec![0; header.len - frame::HEADER];
        self.stream.read_exact(&mut body)?;
        Ok((header.tag, body))
    }

    /// Everything up to a ReadyForQuery or the end, in words: tags, an error's severity and
    /// code, the first column of a row, a command's tag.
    pub fn answer(&mut self) -> String {
        self.answer_to(b'Z')
    }

    /// The same up to another message.
    pub fn answer_to(&mut self, last: u8) -> String {
        let mut words = Vec::new();
        loop {
            let Ok((tag, body)) = self.frame() else {
                words.push("end".to_owned());
                break;
            };
            words.push(word(tag, &body));
            if tag == b'K' {
                self.key.clone_from(&body);
            }
            if tag == last {
                break;
            }
        }
        words.join(", ")
    }

    /// Reads on to a ReadyForQuery or the end, and keeps nothing.
    pub fn skip_to_end_or_ready(&mut self) {
        let mut header = [0; frame::HEADER];
        while self.stream.read_exact(&mut header).is_ok() && header[0] != b'Z' {
            let header = frame::peek(&header).unwrap().unwrap();
            let body = (header.len - frame::HEADER) as u64;
            let read = io::copy(&mut (&mut self.stream).take(body), &mut io::sink());
            if read.ok() != Some(body) {
                return;
            }
        }
    }

    /// The answer to a Query.
    pub fn query(&mut self, text: &str) -> String {
        self.send(&query(text)).unwrap();
        self.answer()
    }

    /// All bytes up to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        self.stream.read_to_end(&mut bytes).ok();
        bytes
    }

    /// Sends until nobody takes more for a while.
    pub fn fill(&mut self, bytes: &[u8]) {
        let while_full = Some(Duration::from_millis(500));
        self.stream.set_write_timeout(while_full).unwrap();
        while self.send(bytes).is_ok() {}
    }

    /// Closes the half of the connection that sends.
    pub fn close_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection as a machine does that has started anew.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The same socket once more, for another thread.
    pub fn twin(&self) -> Self {
        Self::new(self.stream.try_clone().unwrap())
    }

    /// Whether nothing comes within this time.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        peeked.is_err()
    }

    /// The next untagged packet; a request for encryption before it is declined.
    fn packet(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let packet = self.any_packet()?;
            match startup::read(&packet).unwrap() {
                startup::First::Ssl | startup::First::GssEncryption => {
                    self.stream.write_all(startup::NO_ENCRYPTION)?;
                }
                startup::First::Startup(_) | startup::First::Cancel { .. } => return Ok(packet),
            }
        }
    }

    fn any_packet(&mut self) -> io::Result<Vec<u8>> {
        let mut packet = vec![0; 4];
        self.stream.read_exact(&mut packet)?;
        let len = startup::len(&packet).unwrap().unwrap();
        packet.resize(len, 0);
        self.stream.read_exact(&mut packet[4..])?;
        Ok(packet)
    }

    /// Lets the ambassador in; `before` comes between AuthenticationOk and ReadyForQuery.
    pub fn welcome_with(&mut self, before: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        backend::put_authentication_ok(&mut bytes);
        bytes.extend_from_slice(before);
        backend::put_parameter_status(&mut bytes, b"server_version", b"15.0");
        backend::put_key_data(&mut bytes, 4711, &[0, 0, 0, 1]);
        put_ready(&mut bytes, Status::Idle);
        self.send(&bytes)
    }

    pub fn welcome(&mut self) -> io::Result<()> {
        self.welcome_with(b"")
    }

    /// Answers every Query until the other side leaves, those that begin with `odd` with that.
    pub fn serve(&mut self, odd: &[u8], answer: &[u8]) -> io::Result<()> {
        loop {
            let (tag, body) = self.frame()?;
            match tag {
                b'Q' if !odd.is_empty() && body.starts_with(odd) => self.send(answer)?,
                b'Q' => self.send(&done())?,
                _ => return Ok(()),
            }
        }
    }
}

fn word(tag: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let field = |letter: u8| {
        let mut fields = body.split(|&byte| byte == 0);
        let found = fields.find(|field| field.first() == Some(&letter));
        found.map_or(String::new(), |field| text(&field[1..]))
    };
    let shown = match tag {
        b'E' | b'N' => format!("{} {}", field(b'V'), field(b'C')),
        b'Z' => text(body),
        b'C' => text(&body[..body.len() - 1]),
        b'D' if body.len() > 6 => text(&body[6..body.len().min(40)]),
        _ => return char::from(tag).to_string(),
    };
    format!("{} {shown}", char::from(tag))
}

pub fn query(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frontend::put_query(&mut out, text.as_bytes());
    out
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frontend::put_parse(
        &mut out,
        name.as_bytes(),
        &frontend::parse_rest(text.as_bytes()),
    );
    out
}

/// Bind to the unnamed portal, and Execute.
pub fn run(statement: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frontend::put_bind(&mut out, b"", statement.as_bytes(), &[0; 6]);
    frontend::put_execute(&mut out);
    out
}

pub fn close(statement: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frontend::put_close_statement(&mut out, statement.as_bytes());
    out
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

/// What a backend says to a Query that went well.
pub fn done() -> Vec<u8> {
    let mut out = Vec::new();
    backend::put_command_complete(&mut out, "DONE");
    put_ready(&mut out, Status::Idle);
    out
}

/// An ErrorResponse or NoticeResponse.
pub fn report(tag: u8, severity: &str, code: &str) -> Vec<u8> {
    message(
        tag,
        format!("S{severity}\0V{severity}\0C{code}\0Mboom\0\0").as_bytes(),
    )
}
