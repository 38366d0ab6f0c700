//! An authenticated socket to a backend.

use std::{
    cell::Cell,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::Memory;
use crate::net::{Detached, Ends, Link};
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
    pub badge: Rc<Badge>,
}

/// What can be seen of a connection while somebody else holds it.
#[derive(Debug)]
pub struct Badge {
    pub id: ConnectionId,
    pub pid: i32,
    pub ends: Ends,
    /// When it was dialled.
    pub since: Instant,
    /// The session that it was last lent to.
    pub holder: Cell<Option<u64>>,
    /// The shared statements that it had when it was last lent.
    pub prepared: Cell<usize>,
}

impl Badge {
    pub fn new(id: ConnectionId, pid: i32, ends: Ends, since: Instant) -> Rc<Self> {
        Rc::new(Self {
            id,
            pid,
            ends,
            since,
            holder: Cell::default(),
            prepared: Cell::default(),
        })
    }
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
    ends: Ends,
    since: Instant,
}

impl Connection {
    /// Notes who has it from now on.
    #[inline]
    pub fn lent_to(&self, session: u64) {
        self.badge.holder.set(Some(session));
        self.badge.prepared.set(self.memory.statements());
    }

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
            ends: self.badge.ends,
            since: self.badge.since,
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
            badge: Badge::new(id, self.pid, self.ends, self.since),
        })
    }
}

/// The places for connections to one backend, of all pools and workers.
#[derive(Debug, Default)]
pub struct Seats {
    taken: AtomicUsize,
    /// A request waits for one, and no idle connection has been closed for it yet.
    short: AtomicBool,
}

impl Seats {
    /// Says that a request waits and found no place.
    pub fn ask_room(&self) {
        self.short.store(true, Ordering::Relaxed);
    }

    /// Whether an idle connection is to be closed for who waits elsewhere; true once for each
    /// time that somebody asked.
    pub fn claim_room(&self) -> bool {
        self.short.load(Ordering::Relaxed) && self.short.swap(false, Ordering::Relaxed)
    }

    pub fn are_taken(&self, limit: usize) -> bool {
        limit > 0 && self.taken.load(Ordering::Relaxed) >= limit
    }
}

/// A place among all connections to one backend; dropping it frees the place.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Seat {
    /// Takes a place; `None`: all `limit` are taken. 0: no limit.
    pub fn take(seats: &Arc<Seats>, limit: usize) -> Option<Self> {
        let more = |have: usize| (limit == 0 || have < limit).then_some(have + 1);
        let relaxed = Ordering::Relaxed;
        seats.taken.fetch_update(relaxed, relaxed, more).ok()?;
        Some(Self(Arc::clone(seats)))
    }

    /// The place of a connection that counts for nobody.
    pub fn outside() -> Self {
        let seats = Seats::default();
        seats.taken.store(1, Ordering::Relaxed);
        Self(Arc::new(seats))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
