//! What all workers share: settings, counts, and the way from one to another.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    Database, OwnLogin, Settings, console, numbers::Marks, rotation::Rotation, verdicts::Place,
    worker::Mail,
};
use crate::admin::{self, Pauses};
use crate::auth::Seed;
use crate::backend::{ConnectionId, Dialect, Fleet, Parcel, Seats};
use crate::net::Detached;
use crate::pool::{self, Exchange, Key, Pins, Post};
use crate::session::{CancelKeys, Snapshot};
use crate::telemetry::counters::{Doorbook, Totals};

/// What all workers share.
pub struct Plan {
    pub settings: Settings,
    /// As the console shows them.
    pub databases: Vec<admin::Database>,
    pub pauses: Mutex<Pauses>,
    /// What had been done when.
    pub marks: Mutex<Marks>,
    /// An operator wants the process to end.
    pub asked_to_end: Notify,
    pub cancels: Arc<CancelKeys>,
    pub statements: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    /// Sockets of clients on each worker, those still at the door too.
    clients: Arc<[AtomicUsize]>,
    /// Clients that have shown a start-up, for `max_clients`.
    admitted: Arc<AtomicUsize>,
    mail: Arc<Mailboxes>,
    /// What sessions keep to themselves.
    pins: Arc<Pins>,
    exchanges: Mutex<Exchanges>,
    /// By the backend's address as written.
    backends: Mutex<HashMap<String, Known>>,
    /// The end has been announced; everything still works.
    leaving: AtomicBool,
    closed: AtomicBool,
    /// Each worker's.
    doorbooks: Box<[Doorbook]>,
    pub rotation: Rotation,
    /// What makes up the salts and the secrets of those who do not exist.
    pub seed: Seed,
    /// What keeps texts from being made to share a fingerprint.
    pub print_seed: u64,
    /// What is known of the backends of each database that has several, by its entry's name.
    fleets: HashMap<String, Arc<Fleet>>,
    /// What is known of each database's names.
    snapshots: Mutex<HashMap<Place, Weak<Snapshot>>>,
    /// As whom a client of a database with several backends came last, by its entry's name.
    logins: Mutex<HashMap<String, OwnLogin>>,
}

/// What the workers' pools share, by their keys.
#[derive(Default)]
pub struct Exchanges {
    pub live: HashMap<Key, Arc<Exchange>>,
    /// What has been done by those that are forgotten: what is counted never shrinks.
    pub past: HashMap<Key, Totals>,
}

impl Plan {
    /// Also gives each worker's inbox.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(settings: Settings) -> io::Result<(Self, Vec<UnboundedReceiver<Mail>>)> {
        let mut seed = Seed::default();
        getrandom::fill(&mut seed)?;
        let print_seed = getrandom::u64()?;
        let workers = settings.workers.max(1);
        let (boxes, inboxes) = (0..workers).map(|_| unbounded_channel()).unzip();
        let doorbook = |_| Doorbook::new(settings.databases.len());
        let doorbooks = (0..workers).map(doorbook).collect();
        let plan = Self {
            databases: console::databases(&settings),
            fleets: fleets(&settings),
            logins: Mutex::default(),
            rotation: Rotation::of(&settings),
            pauses: Mutex::default(),
            marks: Mutex::new(Marks::new(Instant::now())),
            asked_to_end: Notify::new(),
            settings,
            cancels: Arc::default(),
            statements: Arc::default(),
            connections: Arc::default(),
            clients: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            admitted: Arc::default(),
            mail: Arc::new(Mailboxes(boxes)),
            pins: Arc::default(),
            exchanges: Mutex::default(),
            backends: Mutex::default(),
            leaving: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            doorbooks,
            seed,
            print_seed,
            snapshots: Mutex::default(),
        };
        Ok((plan, inboxes))
    }

    /// The entry for a database's name: its own, else `"*"`.
    pub fn database(&self, name: &str) -> Option<&Database> {
        let databases = &self.settings.databases;
        let named = |database: &&Database| database.name.as_deref() == Some(name);
        let any = |database: &&Database| database.name.is_none();
        databases.iter().find(named).or(databases.iter().find(any))
    }

    /// What the workers' pools of this key share.
    pub fn exchange(&self, key: &Key, settings: &pool::Settings) -> Arc<Exchange> {
        let mut exchanges = self.exchanges();
        let exchange = exchanges.live.entry(key.clone()).or_insert_with(|| {
            let seats = self.known(&key.backend).seats;
            Arc::new(Exchange::new(
                settings.pool_size,
                settings.min_pool_size,
                self.clients.len(),
                Arc::clone(&self.connections),
                seats,
                Arc::clone(&self.pins),
                Arc::clone(&self.mail) as Arc<dyn Post>,
            ))
        });
        Arc::clone(exchange)
    }

    /// Forgets what the workers' pools of this key shared, once none of them has it any more.
    pub fn forget_exchange(&self, key: &Key) {
        let mut exchanges = self.exchanges();
        let is_used = |exchange: &Arc<Exchange>| Arc::strong_count(exchange) > 1;
        if exchanges.live.get(key).is_none_or(is_used) {
            return;
        }
        if let Some(exchange) = exchanges.live.remove(key) {
            let totals = exchange.totals();
            let key = admin::remembered_as(key, &totals);
            *exchanges.past.entry(key).or_default() += &totals;
        }
    }

    /// What all workers know of a database's names, and whether nobody has asked before: the one
    /// who does is to see to it that there is something.
    pub fn snapshot(&self, place: &Place) -> (Arc<Snapshot>, bool) {
        let snapshots = self.snapshots.lock();
        let mut snapshots = snapshots.unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = snapshots.get(place).and_then(Weak::upgrade) {
            return (known, false);
        }
        snapshots.retain(|_, snapshot| snapshot.strong_count() > 0);
        let snapshot = Arc::default();
        snapshots.insert(place.clone(), Arc::downgrade(&snapshot));
        (snapshot, true)
    }

    /// What all pools of a backend have in common.
    pub fn known(&self, backend: &str) -> Known {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        backends.entry(backend.to_owned()).or_default().clone()
    }

    /// What is known of the backends of a database; `None`: it has but one.
    pub fn fleet(&self, database: &Database) -> Option<&Arc<Fleet>> {
        self.fleets.get(database.entry())
    }

    /// All of them, in the order of the configuration.
    pub fn fleets(&self) -> Vec<(String, Arc<Fleet>)> {
        let databases = self.settings.databases.iter();
        let known = |one: &Database| {
            let fleet = self.fleet(one)?;
            Some((one.entry().to_owned(), Arc::clone(fleet)))
        };
        databases.filter_map(known).collect()
    }

    /// A client has shown what logs in upstream: it may serve where ours does not.
    pub fn remember_login(&self, database: &Database, login: impl FnOnce() -> OwnLogin) {
        if self.fleet(database).is_some() {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            logins.insert(database.entry().to_owned(), login());
        }
    }

    /// The login that was remembered last.
    pub fn remembered_login(&self, database: &Database) -> Option<OwnLogin> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.get(database.entry()).cloned()
    }

    /// A number for a connection outside of every pool.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// A place for a new client, on the worker with the fewest.
    pub fn seat(&self) -> ClientSeat {
        let counts = self.clients.iter().enumerate();
        let fewest = counts.min_by_key(|(_, count)| count.load(Ordering::Relaxed));
        let worker = fewest.map_or(0, |(worker, _)| worker);
        ClientSeat::take(&self.clients, worker)
    }

    pub fn clients(&self) -> usize {
        let counts = self.clients.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Counts a client that has shown its start-up; `false`: there are `max_clients` already.
    /// Who is silent at the door takes no place from those who come to work.
    pub fn admit(&self, seat: &mut ClientSeat) -> bool {
        let limit = self.settings.max_clients;
        let more = |have: usize| (limit == 0 || have < limit).then_some(have + 1);
        let (relaxed, admitted) = (Ordering::Relaxed, &self.admitted);
        let taken = admitted.fetch_update(relaxed, relaxed, more).is_ok();
        if taken {
            seat.admitted = Some(Arc::clone(admitted));
        }
        taken
    }

    pub fn workers(&self) -> usize {
        self.clients.len()
    }

    pub fn hand_over(&self, stream: Detached, seat: ClientSeat) {
        self.mail.send(seat.worker, Mail::Client(stream, seat));
    }

    pub fn tell(&self, worker: usize, mail: Mail) {
        self.mail.send(worker, mail);
    }

    pub fn tell_all(&self, mail: impl Fn() -> Mail) {
        for worker in 0..self.clients.len() {
            self.mail.send(worker, mail());
        }
    }

    /// The counters that this worker writes.
    pub fn doorbook(&self, worker: usize) -> Option<&Doorbook> {
        self.doorbooks.get(worker)
    }

    /// What the workers' pools share. The lock is not to be held for long: a worker that opens a
    /// pool wants it.
    pub fn exchanges(&self) -> MutexGuard<'_, Exchanges> {
        let exchanges = self.exchanges.lock();
        exchanges.unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of each worker.
    pub fn doorbooks(&self) -> &[Doorbook] {
        &self.doorbooks
    }

    pub fn announce_end(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

fn fleets(settings: &Settings) -> HashMap<String, Arc<Fleet>> {
    let several = settings
        .databases
        .iter()
        .filter(|one| one.backends.len() > 1);
    let fleet = |one: &Database| (one.entry().to_owned(), Arc::new(Fleet::new(&one.backends)));
    several.map(fleet).collect()
}

/// One backend, as all workers know it.
#[derive(Clone, Default)]
pub struct Known {
    /// Connections to it, of all pools.
    pub seats: Arc<Seats>,
    pub dialect: Arc<Dialect>,
}

/// The ways to the workers.
struct Mailboxes(Vec<UnboundedSender<Mail>>);

impl Mailboxes {
    fn send(&self, worker: usize, mail: Mail) {
        if let Some(mailbox) = self.0.get(worker) {
            // A worker that is gone has no use for mail.
            mailbox.send(mail).ok();
        }
    }
}

impl Post for Mailboxes {
    fn ask(&self, worker: usize, key: &Key, by: usize) {
        let key = key.clone();
        self.send(worker, Mail::Ask { key, by });
    }

    fn give(&self, worker: usize, key: &Key, parcel: Option<Parcel>) {
        let (key, parcel) = (key.clone(), parcel.map(Box::new));
        self.send(worker, Mail::Give { key, parcel });
    }
}

/// A client's place on a worker; dropping it frees the place.
pub struct ClientSeat {
    clients: Arc<[AtomicUsize]>,
    worker: usize,
    /// The count of those let in, once this one is.
    admitted: Option<Arc<AtomicUsize>>,
}

impl ClientSeat {
    fn take(clients: &Arc<[AtomicUsize]>, worker: usize) -> Self {
        if let Some(count) = clients.get(worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            clients: Arc::clone(clients),
            worker,
            admitted: None,
        }
    }

    pub fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for ClientSeat {
    fn drop(&mut self) {
        if let Some(count) = self.clients.get(self.worker) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(admitted) = &self.admitted {
            admitted.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
