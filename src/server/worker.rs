//! A thread, its runtime, its clients and its pools.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc::UnboundedReceiver, oneshot},
    task::spawn_local,
};

use super::{
    Database, OwnLogin,
    accept::{self, Listener},
    client,
    numbers::APART,
    plan::{ClientSeat, Plan},
    rotation,
    verdicts::Judges,
    verifiers::Verifiers,
    watcher,
};
use crate::admin::{Census, Detail, House, Report};
use crate::auth::{Credential, User};
use crate::backend::{Login, Parcel, Seat, Target};
use crate::net::{Detached, Link, Stream};
use crate::pool::{Key, Pool};
use crate::protocol::startup::Replication;
use crate::session::{
    self, Lobby, PendingCancel, Pools, Preferences, SessionId, Shared, Signal, Upstream,
};
use crate::telemetry::{Clock, counters::Doorbook};
use crate::topology::Address;

/// How often what is due by the clock is looked after.
const TICK: Duration = Duration::from_millis(100);

/// Who comes to a database, and how he is known upstream.
pub struct Caller<'a> {
    /// The database's name as the client said it.
    pub name: &'a [u8],
    /// As whom he logged in.
    pub user: &'a [u8],
    /// What is said of him here.
    pub is: &'a User,
    pub credential: Credential,
}

impl Caller<'_> {
    /// The names upstream: the database's and the user's.
    fn upstream(&self, database: &Database) -> (Vec<u8>, Vec<u8>) {
        let dbname = database.dbname.as_deref().map(str::as_bytes);
        let user = self.is.upstream_user.as_deref().map(str::as_bytes);
        (
            dbname.unwrap_or(self.name).to_owned(),
            user.unwrap_or(self.user).to_owned(),
        )
    }
}

/// What one thread tells another.
pub enum Mail {
    /// A client to serve.
    Client(Detached, ClientSeat),
    /// A client asked to cancel what this session runs.
    Cancel(SessionId, PendingCancel),
    /// Worker `by` lacks a connection of this key.
    Ask { key: Key, by: usize },
    /// A share of the pool, perhaps with its connection.
    Give {
        key: Key,
        parcel: Option<Box<Parcel>>,
    },
    /// Sessions are to leave when they are idle.
    Drain,
    /// Sessions are to leave now.
    Terminate,
    /// Which databases are paused has changed.
    Pauses,
    /// Connections of this database (`None`: of all) from before the moment are to go.
    Renew {
        database: Option<String>,
        moment: Instant,
    },
    /// An operator sends this session away.
    Kill(SessionId),
    /// Somebody wants to know what the worker has.
    Report(Detail, oneshot::Sender<Report>),
    /// Somebody wants to know how much the worker has.
    Census(oneshot::Sender<Census>),
    /// The worker ends.
    Stop,
}

/// Lobbies found without looking far.
const RECENT: usize = 8;

/// What a client asked for, and where that led.
struct Recent {
    entry: String,
    name: Vec<u8>,
    user: Vec<u8>,
    lobby: Rc<Lobby>,
}

/// One worker, on its own thread.
pub struct Worker {
    plan: Arc<Plan>,
    shared: Rc<Shared>,
    /// By the keys of their presumed primaries' pools.
    lobbies: RefCell<HashMap<Key, Rc<Lobby>>>,
    /// Those that clients came to last, by what the clients asked for.
    recent: RefCell<Vec<Recent>>,
    /// Each database's session settings, by its entry's name.
    sessions: HashMap<String, Rc<session::Settings>>,
    verifiers: Verifiers,
    judges: Judges,
}

/// Runs a worker until it is told to stop, and `until` is over.
///
/// # Errors
/// The system gave no runtime.
pub fn run<T>(
    index: usize,
    plan: Arc<Plan>,
    inbox: UnboundedReceiver<Mail>,
    listeners: Vec<Listener>,
    until: impl AsyncFnOnce() -> T,
) -> io::Result<T> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let told = Arc::clone(&plan);
    Ok(runtime.block_on(async {
        let work = spawn_local(work(index, plan, inbox, listeners));
        let result = until().await;
        if index == 0 {
            told.tell(0, Mail::Stop);
        }
        // A worker that panicked has said so already.
        work.await.ok();
        result
    }))
}

async fn work(
    index: usize,
    plan: Arc<Plan>,
    mut inbox: UnboundedReceiver<Mail>,
    listeners: Vec<Listener>,
) {
    let worker = Rc::new(Worker::new(index, plan));
    worker.open_known();
    if worker.index() == 0 {
        watcher::watch_all(&worker.plan);
    }
    spawn_local(tick(Rc::clone(&worker)));
    for listener in listeners {
        let plan = Arc::clone(&worker.plan);
        spawn_local(accept::accept(listener, plan, Rc::clone(&worker)));
    }
    while let Some(mail) = inbox.recv().await {
        match mail {
            Mail::Client(stream, seat) => match stream.attach() {
                Ok(stream) => worker.serve(stream, seat),
                Err(error) => tracing::warn!("cannot take a client over: {error}"),
            },
            Mail::Cancel(session, pending) => worker.shared.sessions.cancel(session, pending),
            Mail::Ask { key, by } => worker.with_pool(&key, |pool| pool.asked(by)),
            Mail::Give { key, parcel } => {
                worker.with_pool(&key, |pool| pool.receive(parcel.map(|parcel| *parcel)));
            }
            Mail::Drain => worker.signal_all(Signal::Drain),
            Mail::Terminate => worker.signal_all(Signal::Terminate),
            Mail::Pauses => worker.heed_pauses(),
            Mail::Renew { database, moment } => worker.renew(database.as_deref(), moment),
            Mail::Kill(session) => worker.shared.sessions.signal(session, Signal::Kill),
            Mail::Report(detail, reply) => {
                // Who asked may have left.
                reply.send(worker.report(detail)).ok();
            }
            Mail::Census(reply) => {
                reply.send(worker.census()).ok();
            }
            Mail::Stop => return,
        }
    }
}

impl Worker {
    fn new(index: usize, plan: Arc<Plan>) -> Self {
        let clock = Rc::new(Clock::new(Instant::now()));
        let (statements, cancels) = (Arc::clone(&plan.statements), Arc::clone(&plan.cancels));
        let shared = Rc::new(Shared::new(index, clock, statements, cancels));
        let databases = plan.settings.databases.iter();
        let sessions = databases
            .map(|database| {
                (
                    database.entry().to_owned(),
                    Rc::new(database.session.clone()),
                )
            })
            .collect();
        Self {
            plan,
            shared,
            lobbies: RefCell::default(),
            recent: RefCell::default(),
            sessions,
            verifiers: Verifiers::default(),
            judges: Judges::default(),
        }
    }

    pub fn verifiers(&self) -> &Verifiers {
        &self.verifiers
    }

    pub fn index(&self) -> usize {
        self.shared.worker
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The counters of what is no pool's.
    pub fn doorbook(&self) -> Option<&Doorbook> {
        self.plan.doorbook(self.index())
    }

    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// The session settings of a database.
    fn session_settings(&self, database: &Database) -> Rc<session::Settings> {
        let settings = self.sessions.get(database.entry()).map(Rc::clone);
        settings.unwrap_or_else(|| Rc::new(database.session.clone()))
    }

    /// Serves a client on this thread.
    pub fn serve(self: &Rc<Self>, stream: Stream, seat: ClientSeat) {
        let link = Link::new(stream);
        spawn_local(client::serve(Rc::clone(self), link, seat));
    }

    /// Where a client of `database` comes in.
    pub fn lobby(&self, database: &Database, who: Caller<'_>) -> Rc<Lobby> {
        let entry = database.entry();
        let Caller { name, user, .. } = who;
        let mut recent = self.recent.borrow_mut();
        let same = |one: &&Recent| one.entry == entry && one.name == name && one.user == user;
        if let Some(one) = recent.iter().find(same) {
            one.lobby.learn(&who.credential);
            return Rc::clone(&one.lobby);
        }
        let lobby = self.find_lobby(database, who);
        if recent.len() >= RECENT {
            recent.remove(0);
        }
        recent.push(Recent {
            entry: entry.to_owned(),
            name: name.to_owned(),
            user: user.to_owned(),
            lobby: Rc::clone(&lobby),
        });
        lobby
    }

    fn find_lobby(&self, database: &Database, who: Caller<'_>) -> Rc<Lobby> {
        let (dbname, user) = who.upstream(database);
        self.plan.remember_login(database, || OwnLogin {
            user: String::from_utf8_lossy(&user).into_owned(),
            credential: who.credential.clone(),
        });
        let key = Key {
            entry: database.entry().to_owned(),
            backend: address(database).to_string(),
            database: dbname,
            user,
        };
        if let Some(lobby) = self.lobbies.borrow().get(&key) {
            lobby.learn(&who.credential);
            return Rc::clone(lobby);
        }
        self.open(database, key, who.credential)
    }

    /// Opens the pools that keep connections ready, where the login upstream is known already;
    /// the others begin with the first client.
    fn open_known(&self) {
        let plan = Arc::clone(&self.plan);
        for database in &plan.settings.databases {
            let name = database.dbname.as_ref().or(database.name.as_ref());
            let (Some(name), true) = (name, database.pool.min_pool_size > 0) else {
                continue;
            };
            let open = |user: &str, entry: &User| {
                let who = Caller {
                    name: name.as_bytes(),
                    user: user.as_bytes(),
                    is: entry,
                    credential: entry.upstream(user, None),
                };
                self.find_lobby(database, who);
            };
            for (user, entry) in &database.auth.users {
                open(user, entry);
            }
            if let Some(entry) = &database.auth.everyone
                && let Some(user) = &entry.upstream_user
            {
                open(user, entry);
            }
        }
    }

    /// How the database's backend is dialled, the presumed primary of several.
    pub fn target(&self, database: &Database) -> Target {
        self.target_at(database, address(database))
    }

    fn target_at(&self, database: &Database, address: Address) -> Target {
        let known = self.plan.known(&address.to_string());
        Target {
            address,
            settings: database.backend.clone(),
            dialect: known.dialect,
        }
    }

    /// Where a replication connection of a client goes.
    pub fn replicate(&self, database: &Database, who: Caller<'_>, kind: Replication) -> Upstream {
        let target = self.target(database);
        let (dbname, user) = who.upstream(database);
        let login = Login::new(user, dbname, who.credential);
        let limit = database.pool.max_backend_connections;
        let seats = self.plan.known(&target.address.to_string()).seats;
        Upstream {
            target: Rc::new(target),
            login: Rc::new(login),
            kind,
            id: self.plan.next_connection(),
            seat: Seat::take(&seats, limit).ok_or(limit),
        }
    }

    fn open(&self, database: &Database, key: Key, credential: Credential) -> Rc<Lobby> {
        let target = self.target(database);
        let pool = self.open_pool(database, key.clone(), target.clone(), &credential);
        let judges = &self.judges;
        let verdicts = judges.get(&self.plan, database, &target, pool.login());
        let settings = self.session_settings(database);
        let mut lobby = Lobby::new(Rc::clone(&pool), settings, verdicts);
        if let Some(fleet) = self.plan.fleet(database) {
            let members = fleet.members().iter();
            let pools = members.map(|member| {
                let address = member.backend.address.clone();
                let backend = address.to_string();
                if backend == key.backend {
                    return Rc::clone(&pool);
                }
                let key = Key {
                    backend,
                    ..key.clone()
                };
                let target = self.target_at(database, address);
                self.open_pool(database, key, target, &credential)
            });
            let preferences = Preferences::from(&database.routing);
            lobby = lobby.among(Pools::new(Arc::clone(fleet), preferences, pools.collect()));
        }
        let lobby = Rc::new(lobby);
        self.lobbies.borrow_mut().insert(key, Rc::clone(&lobby));
        lobby
    }

    fn open_pool(
        &self,
        database: &Database,
        key: Key,
        target: Target,
        credential: &Credential,
    ) -> Rc<Pool> {
        let exchange = self.plan.exchange(&key, &database.pool);
        let login = Login::new(key.user.clone(), key.database.clone(), credential.clone());
        let pool = Pool::new(
            key,
            Rc::new(target),
            Rc::new(login),
            database.pool.clone(),
            exchange,
            self.index(),
            Rc::clone(&self.shared.clock),
        );
        pool.set_paused(self.plan.pauses().cover(&pool.name()));
        pool
    }

    /// The pool of a key that another worker speaks of; made here if it is not yet.
    fn with_pool(&self, key: &Key, act: impl FnOnce(&Rc<Pool>)) {
        let named = |database: &&Database| database.entry() == key.entry;
        let Some(database) = self.plan.settings.databases.iter().find(named) else {
            return;
        };
        let door = Key {
            backend: address(database).to_string(),
            ..key.clone()
        };
        let known = self.lobbies.borrow().get(&door).map(Rc::clone);
        let lobby = known.unwrap_or_else(|| {
            let credential = database.auth.upstream(&key.user);
            self.open(database, door, credential)
        });
        if let Some(pool) = lobby.each_pool().find(|pool| pool.key() == key) {
            act(pool);
        }
    }

    /// Forgets the pools that are out of use: clients may ask for any number of names.
    fn forget_unused(&self) {
        let unused = |lobby: &Rc<Lobby>| Rc::strong_count(lobby) == 1 && lobby.is_unused();
        let mut lobbies = self.lobbies.borrow_mut();
        let forgotten: Vec<_> = lobbies.extract_if(|_, lobby| unused(lobby)).collect();
        drop(lobbies);
        for (_, lobby) in forgotten {
            let keys: Vec<Key> = lobby.each_pool().map(|pool| pool.key().clone()).collect();
            drop(lobby);
            for key in keys {
                self.plan.forget_exchange(&key);
            }
        }
        self.judges.forget_unused();
    }

    fn heed_pauses(&self) {
        let pauses = self.plan.pauses();
        for pool in self.pools() {
            pool.set_paused(pauses.cover(&pool.name()));
        }
    }

    fn renew(&self, database: Option<&str>, moment: Instant) {
        for pool in self.pools() {
            if database.is_none_or(|database| database == pool.name()) {
                pool.renew(moment);
            }
        }
    }

    fn pools(&self) -> Vec<Rc<Pool>> {
        let lobbies = self.lobbies.borrow();
        let pools = lobbies.values().flat_map(|lobby| lobby.each_pool());
        pools.map(Rc::clone).collect()
    }

    fn census(&self) -> Census {
        let lobbies = self.lobbies.borrow();
        let pools = lobbies.values().flat_map(|lobby| lobby.each_pool());
        Census {
            verdicts: self.judges.remembered(),
            ..Census::take(&self.shared, pools)
        }
    }

    fn report(&self, detail: Detail) -> Report {
        let lobbies = self.lobbies.borrow();
        let pools = lobbies.values().flat_map(|lobby| lobby.each_pool());
        let report = Report::make(&self.shared, pools, Instant::now(), detail);
        Report {
            paths: match detail {
                Detail::Paths => self.judges.paths(),
                Detail::Pools | Detail::Clients => Vec::new(),
            },
            ..report
        }
    }

    fn signal_all(&self, signal: Signal) {
        self.shared.sessions.each(|handle| handle.signal(signal));
    }
}

/// Everything goes to the primary. The configuration gives every database one that may be it.
fn address(database: &Database) -> Address {
    let backend = database.presumed_primary();
    backend.map_or_else(Address::nowhere, |one| one.address.clone())
}

/// Moves the coarse clock on and looks after what is due by it.
async fn tick(worker: Rc<Worker>) {
    let limited = worker
        .sessions
        .values()
        .any(|settings| settings.has_limits());
    let mut marked = Instant::now();
    let mut looked = marked;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        worker.shared.clock.set(now);
        if worker.index() == 0 && now.saturating_duration_since(marked) >= APART {
            marked = now;
            worker.plan.mark(now);
        }
        if worker.index() == 0 && now.saturating_duration_since(looked) >= rotation::APART {
            looked = now;
            worker.plan.rotation.look(false);
        }
        worker.shared.sessions.look();
        let lobbies: Vec<Rc<Lobby>> = worker.lobbies.borrow().values().map(Rc::clone).collect();
        for lobby in lobbies {
            for pool in lobby.each_pool() {
                pool.tick(now);
            }
            drop(lobby);
        }
        worker.forget_unused();
        if limited {
            worker.shared.sessions.each(|handle| handle.check(now));
        }
    }
}
