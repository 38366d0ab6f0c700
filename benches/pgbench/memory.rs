//! What a proxy weighs, alone and with a thousand clients that have nothing to do.

use std::{io, time::Duration};

use crate::{
    client::Client,
    error::BenchError,
    machine::resident_kib,
    peers::{Ground, Peer},
};

/// How many idle clients are weighed.
pub const CLIENTS: usize = 1000;

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
            let client = asked_once(service.port());
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
fn asked_once(port: u16) -> io::Result<Client> {
    let mut client = Client::login(port)?;
    client.ask("SELECT 1")?;
    Ok(client)
}
