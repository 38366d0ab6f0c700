//! An authenticated socket to a backend.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::Memory;
use crate::net::{Detached, Link};
use crate::protocol::Parameters;

/// Names a connection for as long as it lives on one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// An authenticated socket to a backend, and all that is known of its session. No `Debug`: the
/// key is a secret.
pub struct Connection {
    pub id: ConnectionId,
    pub link: Link,
    /// The process id that the backend gave itself.
    pub pid: i32,
    /// What a CancelRequest must show.
    pub key: Vec<u8>,
    /// The backend's reported settings, as last reported.
    pub statuses: Parameters,
    pub memory: Memory,
    /// The beginning of a frame whose end has not come yet.
    pub inbox: Vec<u8>,
    /// When it is to be closed for its age; `None`: never.
    pub expires: Option<Instant>,
    /// Since when it has been idle, on the coarse clock.
    pub idle_since: Option<Instant>,
    /// Its place among the backend's connections.
    pub seat: Seat,
}

/// A connection on its way to another worker.
pub struct Parcel {
    socket: Detached,
    pid: i32,
    key: Vec<u8>,
    statuses: Parameters,
    memory: Memory,
    expires: Option<Instant>,
    seat: Seat,
}

impl Connection {
    /// Takes the connection off this thread. Only a clean one, with nothing half read.
    pub fn pack(self) -> io::Result<Parcel> {
        Ok(Parcel {
            socket: self.link.detach()?,
            pid: self.pid,
            key: self.key,
            statuses: self.statuses,
            memory: self.memory,
            expires: self.expires,
            seat: self.seat,
        })
    }
}

impl Parcel {
    /// Puts the connection on this thread.
    pub fn unpack(self, id: ConnectionId) -> io::Result<Connection> {
        Ok(Connection {
            id,
            link: Link::new(self.socket.attach()?),
            pid: self.pid,
            key: self.key,
            statuses: self.statuses,
            memory: self.memory,
            inbox: Vec::new(),
            expires: self.expires,
            idle_since: None,
            seat: self.seat,
        })
    }
}

/// A place among all connections to one backend; dropping it frees the place.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Seat {
    /// Takes a place; `None`: all `limit` are taken. 0: no limit.
    pub fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let more = |have: usize| (limit == 0 || have < limit).then_some(have + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
