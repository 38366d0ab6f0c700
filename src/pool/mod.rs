//! Who holds which connection? Lends them and takes them back.
//! Never reads a frame: what travels over a lease is `session`'s.
//!
//! Every worker has a [`Pool`] of its own for each [`Key`], without a lock. Together they hold
//! at most `pool_size` connections: each has a share of the size, and [`exchange`] moves
//! shares, with the idle connection that fills them, to where requests wait.

mod acquire;
mod exchange;
mod lease;
mod listen;
mod operate;
mod own;
mod pins;
mod refusal;
mod settings;
mod shelf;
mod view;

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    ops::AddAssign,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use tokio::sync::Notify;

pub use acquire::{Acquired, Ticket, Wish};
pub use exchange::{Exchange, Post};
pub use lease::Lease;
pub use listen::{Ear, Listeners, Silence, Standing, Terms, quoted};
pub use pins::{PinNote, Pins};
pub use refusal::Refusal;
pub use settings::Settings;
pub use view::{ConnectionView, View};

use crate::auth::Credential;
use crate::backend::{ConnectionId, Login, Target};
use crate::protocol::Parameters;
use crate::telemetry::{Clock, counters::Traffic};
use shelf::Shelf;

/// What connections of one pool have in common. Never start-up parameters: those are adopted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The configuration's name for the database, which settings follow.
    pub entry: String,
    /// The backend's address as written.
    pub backend: String,
    /// The database's name upstream.
    pub database: Vec<u8>,
    /// The user's name upstream.
    pub user: Vec<u8>,
}

impl Key {
    /// What operators call the database: its entry's name, or the one that passed through `"*"`.
    pub fn name(&self) -> Cow<'_, str> {
        match self.entry.as_str() {
            "*" => String::from_utf8_lossy(&self.database),
            entry => entry.into(),
        }
    }
}

/// The connections of one key on one worker.
pub struct Pool {
    key: Key,
    target: Rc<Target>,
    login: Rc<Login>,
    settings: Settings,
    exchange: Arc<Exchange>,
    traffic: Arc<Traffic>,
    /// Which worker this is, from 0.
    worker: usize,
    clock: Rc<Clock>,
    shelf: RefCell<Shelf>,
    /// What the last connection reported at its login.
    reported: RefCell<Parameters>,
    epoch: Cell<u32>,
    /// Wakes the keeper of the idle connections; `None` until its first round.
    keeper: RefCell<Option<Waker>>,
    /// Tells those who are to dial one of their own that a pause is over.
    resumed: Notify,
}

/// A shared connection that a client was told the process id of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    pub id: ConnectionId,
    pub pid: i32,
}

impl Pool {
    pub fn new(
        key: Key,
        target: Rc<Target>,
        login: Rc<Login>,
        settings: Settings,
        exchange: Arc<Exchange>,
        worker: usize,
        clock: Rc<Clock>,
    ) -> Rc<Self> {
        let share = exchange.first_share(worker);
        let pool = Rc::new(Self {
            key,
            target,
            login,
            settings,
            traffic: exchange.traffic(worker),
            exchange,
            worker,
            clock,
            shelf: RefCell::new(Shelf::new(share)),
            reported: RefCell::default(),
            epoch: Cell::default(),
            keeper: RefCell::default(),
            resumed: Notify::new(),
        });
        shelf::keep(&pool);
        pool
    }

    /// What operators call the database.
    pub fn name(&self) -> Cow<'_, str> {
        self.key.name()
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub fn target(&self) -> &Rc<Target> {
        &self.target
    }

    pub fn login(&self) -> &Rc<Login> {
        &self.login
    }

    /// A client has shown what logs in upstream: what was refused without it is tried again.
    pub fn learn(&self, credential: Credential) {
        if self.login.learn(credential) {
            let mut shelf = self.shelf.borrow_mut();
            if shelf
                .failure
                .as_ref()
                .is_some_and(|error| !error.is_passing())
            {
                shelf.rest_until = None;
            }
        }
    }

    /// The counters of what this worker does for the pool.
    #[inline]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts how often a login reported other settings than the one before: another server may
    /// have taken the backend's place, or the same one was changed.
    pub fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    fn note(&self, reported: &Parameters) {
        if *self.reported.borrow() != *reported {
            self.reported.replace(reported.clone());
            self.epoch.set(self.epoch.get().wrapping_add(1));
        }
    }

    /// Chooses a living connection for a new session to call its home: the one with the fewest
    /// residents. `None`: there is none alive.
    pub fn settle(&self) -> Option<Home> {
        self.shelf.borrow_mut().settle(None)
    }

    /// Makes this connection the session's home, if it still is one of the pool's.
    pub fn settle_at(&self, id: ConnectionId) -> Option<Home> {
        self.shelf.borrow_mut().settle(Some(id))
    }

    /// Whether that connection is still one of the pool's.
    pub fn is_alive(&self, home: Home) -> bool {
        self.shelf.borrow().is_member(home.id)
    }

    /// The session no longer calls this connection its home.
    pub fn unsettle(&self, home: Home) {
        self.shelf.borrow_mut().unsettle(home.id);
    }

    /// A session has asked for its process id: idle reaping and lifetime spare the connection
    /// until it ends.
    pub fn cherish(&self, home: Home) {
        self.shelf.borrow_mut().cherish(home.id);
    }

    /// What is due by the clock: waiters past their time, connections past theirs, dials.
    pub fn tick(self: &Rc<Self>, now: Instant) {
        shelf::put_beyond(self);
        acquire::expire(self, now);
        shelf::reap(self, now);
        shelf::make_room(self);
        acquire::dial_where_needed(self);
        acquire::ask_again(self);
    }

    /// Whether a request would be lent a connection at once.
    pub fn has_idle(&self) -> bool {
        !self.shelf.borrow().idle.is_empty()
    }

    /// Whether there is no connection, and the last dial has failed.
    pub fn is_failing(&self) -> bool {
        let shelf = self.shelf.borrow();
        shelf.failure.is_some() && shelf.open == shelf.dialling
    }

    /// How many requests are under way here, or wait.
    pub fn load(&self) -> usize {
        let shelf = self.shelf.borrow();
        let lent = shelf.open.saturating_sub(shelf.idle.len() + shelf.dialling);
        lent + shelf.beyond.len() + shelf.waiters.len()
    }

    /// Whether nothing would be lost with it: it has no connection, nobody waits, and all that it
    /// knows is its share of the size, which is what it would begin with again.
    pub fn is_unused(&self) -> bool {
        let shelf = self.shelf.borrow();
        let resting = shelf
            .rest_until
            .is_some_and(|until| self.clock.now() < until);
        shelf.counts() == Counts::default()
            && !resting
            && shelf.share == self.exchange.first_share(self.worker)
            && self.exchange.least(self.worker) == 0
    }

    /// How many connections are lent, idle and being dialled; how many requests wait.
    pub fn counts(&self) -> Counts {
        self.shelf.borrow().counts()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The keeper ends with its pool.
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
    }
}

/// What a pool holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub open: usize,
    pub idle: usize,
    pub dialling: usize,
    pub pinned: usize,
    pub waiting: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.open += more.open;
        self.idle += more.idle;
        self.dialling += more.dialling;
        self.pinned += more.pinned;
        self.waiting += more.waiting;
    }
}
