//! What a proxy weighs, alone and with a thousand clients that have nothing to do.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use pg_ambassador::app::cluster::SUPERUSER;

use crate::{
    error::BenchError,
    machine::resident_kib,
    peers::{DATABASE, Ground, Peer},
};

/// How many idle clients are weighed.
pub const CLIENTS: usize = 1000;
const REPLY_LIMIT: Duration = Duration::from_secs(10);
const PROTOCOL_3_0: u32 = 3 << 16;

/// Resident memory of a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Just started, in KiB.
    pub idle: f64,
    /// With [`CLIENTS`] logged-in clients that each ran one statement, in KiB.
    pub full: f64,
}

impl Memory {
    /// Weighs a peer that is started for this alone.
    ///
    /// # Errors
    /// When it does not start, or cuts a client off.
    pub fn weigh(ground: &Ground, peer: Peer) -> Result<Self, BenchError> {
        let service = ground.start(peer)?;
        // Whatever it does at its start, such as dialling, is over then.
        std::thread::sleep(Duration::from_millis(500));
        let idle = resident_kib(service.pid())?;
        let mut clients = Vec::with_capacity(CLIENTS);
        for number in 0..CLIENTS {
            ground.stop().check()?;
            let client = IdleClient::login(service.port());
            clients.push(client.map_err(|source| BenchError::Client { number, source })?);
        }
        let full = resident_kib(service.pid())?;
        drop(clients);
        Ok(Self {
            idle: idle as f64,
            full: full as f64,
        })
    }

    /// KiB that one idle client adds.
    pub fn per_client(self) -> f64 {
        (self.full - self.idle) / CLIENTS as f64
    }
}

/// A logged-in client that has asked once and now waits.
struct IdleClient {
    stream: TcpStream,
}

impl IdleClient {
    fn login(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        let mut client = Self { stream };
        let body = format!("user\0{SUPERUSER}\0database\0{DATABASE}\0\0");
        client.send(
            &[],
            &[&PROTOCOL_3_0.to_be_bytes(), body.as_bytes()].concat(),
        )?;
        client.read_until_ready()?;
        client.send(b"Q", b"SELECT 1\0")?;
        client.read_until_ready()?;
        Ok(client)
    }

    fn send(&mut self, tag: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.stream
            .write_all(&[tag, &length.to_be_bytes(), body].concat())
    }

    fn read_until_ready(&mut self) -> io::Result<()> {
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header)?;
            let [tag, length @ ..] = header;
            let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
            let mut body = vec![0; length.saturating_sub(4)];
            self.stream.read_exact(&mut body)?;
            match tag {
                b'Z' => return Ok(()),
                b'E' => {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&body).replace('\0', " "),
                    ));
                }
                _ => {}
            }
        }
    }
}
