//! The least of a client: logs in without a password, asks simply, throws answers away.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use pg_ambassador::app::cluster::SUPERUSER;

use crate::peers::DATABASE;

/// How long a peer may say nothing.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// Enough that the client is not what is measured.
const READ_AT_ONCE: usize = 64 * 1024;
const PROTOCOL_3_0: u32 = 3 << 16;

/// A logged-in client.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of loopback, without TLS.
    ///
    /// # Errors
    /// When it is refused or gets no answer.
    pub fn login(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        let mut client = Self {
            stream: BufReader::with_capacity(READ_AT_ONCE, stream),
        };
        let body = format!("user\0{SUPERUSER}\0database\0{DATABASE}\0\0");
        client.send(
            &[],
            &[&PROTOCOL_3_0.to_be_bytes(), body.as_bytes()].concat(),
        )?;
        client.read_until_ready()?;
        Ok(client)
    }

    /// Runs statements and tells how many bytes the answer had.
    ///
    /// # Errors
    /// When they fail, or the client is cut off.
    pub fn ask(&mut self, sql: &str) -> io::Result<u64> {
        self.send(b"Q", &[sql.as_bytes(), b"\0"].concat())?;
        self.read_until_ready()
    }

    fn send(&mut self, tag: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let frame = [tag, &length.to_be_bytes(), body].concat();
        self.stream.get_mut().write_all(&frame)
    }

    fn read_until_ready(&mut self) -> io::Result<u64> {
        let mut read = 0;
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header)?;
            let [tag, length @ ..] = header;
            let body = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
            read += 5 + body;
            match tag {
                b'E' => return Err(self.error(body)),
                b'Z' => return self.skip(body).map(|()| read),
                _ => self.skip(body)?,
            }
        }
    }

    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let there = self.stream.fill_buf()?.len();
            if there == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let used = usize::try_from(bytes).map_or(there, |bytes| bytes.min(there));
            self.stream.consume(used);
            bytes -= used as u64;
        }
        Ok(())
    }

    fn error(&mut self, bytes: u64) -> io::Error {
        let mut body = Vec::new();
        match self.stream.by_ref().take(bytes).read_to_end(&mut body) {
            Ok(_) => io::Error::other(String::from_utf8_lossy(&body).replace('\0', " ")),
            Err(error) => error,
        }
    }
}
