//! From a proven identity to a conversation: what a client is told when it gets in.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    CancelKeys, End, Fault, Flow, Identity, Keep, Place, PoolMode, Session, Settings, Shared, Who,
    adopt, converse::converse, ledger::Ledger, names::Names, pin, prepared::Scope,
};
use crate::backend;
use crate::net::Link;
use crate::pool::{Home, Lease, Pool, Refusal, Wish};
use crate::protocol::{
    Parameters, SqlState,
    backend::{Kind, put_authentication_ok, put_key_data, put_parameter_status, put_ready},
    frontend, notice,
};

/// How long a welcome is trusted before it is asked for anew: defaults of roles and databases
/// may change.
const TRUSTED: Duration = Duration::from_secs(30);
/// How often a client that waits is looked after.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of BackendKeyData and ReadyForQuery.
const KEY_AND_READY: usize = 13 + 6;
/// Welcomes remembered for one pool.
const REMEMBERED: usize = 1000;

/// What a client's start-up asks for.
#[derive(Debug, Default)]
pub struct Wishes {
    pub parameters: Parameters,
    /// `options` that are no settings: only a connection of one's own can have them.
    pub switches: Option<Vec<u8>>,
    /// What is to be told before all else.
    pub preface: Vec<u8>,
    /// What the client has sent behind its start-up.
    pub ahead: Vec<u8>,
    /// The database's name and the user's as the client said them.
    pub names: (Box<[u8]>, Box<[u8]>),
}

/// What clients with the same start-up settings are told.
struct Welcome {
    parameters: Arc<Parameters>,
    scope: Scope,
    told: Rc<Parameters>,
    /// From AuthenticationOk to the last ParameterStatus, with the notices of the start-up.
    frames: Vec<u8>,
    since: Instant,
}

impl Welcome {
    fn new(
        shared: &Shared,
        parameters: Arc<Parameters>,
        told: &Parameters,
        notices: &[u8],
    ) -> Self {
        let mut frames = Vec::new();
        put_authentication_ok(&mut frames);
        frames.extend_from_slice(notices);
        for (name, value) in told.iter() {
            put_parameter_status(&mut frames, name, value);
        }
        let scope = shared.registry.borrow_mut().scope(&parameters);
        Self {
            parameters,
            scope,
            told: Rc::new(told.clone()),
            frames,
            since: shared.clock.now(),
        }
    }
}

/// Where the clients of one pool come in, and what they were told.
pub struct Lobby {
    pool: Rc<Pool>,
    settings: Rc<Settings>,
    known: RefCell<Welcomes>,
}

impl Lobby {
    pub fn new(pool: Rc<Pool>, settings: Rc<Settings>) -> Self {
        Self {
            pool,
            settings,
            known: RefCell::default(),
        }
    }

    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Whether no session is of this pool, and the pool has nothing.
    pub fn is_unused(&self) -> bool {
        Rc::strong_count(&self.pool) == 1 && self.pool.is_unused()
    }
}

/// The welcomes that are known.
#[derive(Default)]
struct Welcomes {
    known: HashMap<Parameters, Rc<Welcome>>,
    /// The one that served last: most clients of a pool are alike.
    last: Option<Rc<Welcome>>,
}

impl Welcomes {
    fn get(&mut self, parameters: &Parameters, now: Instant) -> Option<Rc<Welcome>> {
        let last = self.last.as_ref();
        let same = last.filter(|last| *last.parameters == *parameters);
        let welcome = Rc::clone(same.or_else(|| self.known.get(parameters))?);
        let fresh = now.saturating_duration_since(welcome.since) < TRUSTED;
        self.last = fresh.then(|| Rc::clone(&welcome));
        fresh.then_some(welcome)
    }

    /// Remembers it, under the very settings that were worn before if they are the same ones:
    /// connections that wear them go on fitting.
    fn put(&mut self, mut welcome: Welcome) -> Rc<Welcome> {
        if let Some(former) = self.known.get(&*welcome.parameters) {
            welcome.parameters = Arc::clone(&former.parameters);
        } else if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let welcome = Rc::new(welcome);
        let parameters = (*welcome.parameters).clone();
        self.known.insert(parameters, Rc::clone(&welcome));
        self.last = None;
        welcome
    }
}

/// Lets a client in: finds or asks what it is to be told, and tells it.
///
/// # Errors
/// No connection where one was needed, or the backend refused a start-up value; the client is to
/// be told. Cancel safe: a dropped call closes what it had.
pub async fn welcome(
    shared: &Rc<Shared>,
    lobby: &Lobby,
    mut wishes: Wishes,
    client: Link,
) -> Result<Box<Session>, (Link, End)> {
    let Lobby { pool, settings, .. } = lobby;
    let entrance = match enter(shared, lobby, &wishes, &client).await {
        Ok(entrance) => entrance,
        Err(end) => return Err((client, end)),
    };
    let (database, user) = std::mem::take(&mut wishes.names);
    let who = Who {
        database,
        user,
        ends: client.ends(),
        pool: Some(Rc::clone(pool)),
        told: Rc::clone(&entrance.welcome.told),
    };
    let now = shared.clock.now();
    let handle = shared.sessions.enter(now, settings, who);
    let place = Place {
        worker: shared.worker,
        session: handle.id,
    };
    let pid = entrance.pid();
    let key = match CancelKeys::issue(&shared.cancels, pid, place) {
        Ok(key) => key,
        Err(error) => {
            shared.sessions.leave(handle.id);
            return Err((client, Fault::Randomness(error).into()));
        }
    };
    let welcome = entrance.welcome;
    let mut reply = wishes.preface;
    reply.reserve_exact(welcome.frames.len() + KEY_AND_READY);
    reply.extend_from_slice(&welcome.frames);
    put_key_data(&mut reply, pid, key);
    put_ready(&mut reply, crate::protocol::backend::Status::Idle);
    let mut flow = Flow {
        resume: !wishes.ahead.is_empty(),
        ..Flow::default()
    };
    if settings.pool_mode == PoolMode::Session {
        flow.keep = Keep::Session;
    }
    if let Some(lease) = &entrance.own {
        lease.lent_to(handle.id);
        pool.traffic().pins.add(pin::Reason::Startup.name());
        handle.set_pinned(Some(pin::Reason::Startup), now);
        flow.keep = Keep::Pinned(pin::Reason::Startup);
        flow.tainted = true;
    }
    let mut session = Box::new(Session {
        shared: Rc::clone(shared),
        settings: Rc::clone(settings),
        pool: Rc::clone(pool),
        handle,
        client,
        inbox: wishes.ahead,
        lease: entrance.own,
        ticket: None,
        denied: None,
        ledger: Ledger::default(),
        names: Names::default(),
        identity: Identity {
            parameters: Arc::clone(&welcome.parameters),
            scope: welcome.scope,
            told: Rc::clone(&welcome.told),
            home: entrance.home,
            key: (pid, key),
            cherished: false,
        },
        flow,
        cancels: Rc::default(),
    });
    std::future::poll_fn(|cx| {
        session.handle.register(cx.waker());
        // A client that does not take it is found out by the first poll.
        session.client.send(cx, &reply).ok();
        std::task::Poll::Ready(())
    })
    .await;
    Ok(session)
}

/// What a login comes to.
struct Entrance {
    welcome: Rc<Welcome>,
    home: Option<Home>,
    /// A connection that nobody else can use.
    own: Option<Lease>,
}

impl Entrance {
    fn pid(&self) -> i32 {
        let own = self.own.as_ref().map(|lease| lease.pid);
        own.or(self.home.map(|home| home.pid)).unwrap_or_default()
    }
}

async fn enter(
    shared: &Shared,
    lobby: &Lobby,
    wishes: &Wishes,
    client: &Link,
) -> Result<Entrance, End> {
    let pool = &lobby.pool;
    if wishes.switches.is_some() {
        return Box::pin(enter_alone(shared, pool, wishes)).await;
    }
    let now = shared.clock.now();
    let known = lobby.known.borrow_mut().get(&wishes.parameters, now);
    if let Some(welcome) = known
        && let Some(home) = pool.settle()
    {
        return Ok(Entrance {
            welcome,
            home: Some(home),
            own: None,
        });
    }
    let lease = tokio::select! {
        biased;
        acquired = pool.acquire_async(Wish::default()) => acquired,
        () = gone(client) => return Err(End::Gone),
    };
    let lease = lease.map_err(|refusal| Fault::no_connection(pool, refusal))?;
    // Boxed, as all that is rare here: the future of every login has room for it.
    Box::pin(ask(shared, lobby, wishes, lease)).await
}

/// Ends when the client has: what it has sent ahead is not read while it waits.
async fn gone(client: &Link) {
    while !client.has_closed() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Puts the client's settings on a connection, to see what the backend makes of them.
async fn ask(
    shared: &Shared,
    lobby: &Lobby,
    wishes: &Wishes,
    mut lease: Lease,
) -> Result<Entrance, End> {
    let pool = &lobby.pool;
    let parameters = Arc::new(wishes.parameters.clone());
    let mut commands = Vec::new();
    {
        let mut registry = shared.registry.borrow_mut();
        let scope = registry.scope(&parameters);
        let mut ledger = Ledger::default();
        let out = &mut commands;
        adopt::adopt(
            &mut lease,
            &parameters,
            &mut registry,
            scope,
            &mut ledger,
            out,
        );
    }
    let mut notices = Vec::new();
    let mut error: Option<Vec<u8>> = None;
    if !commands.is_empty() {
        commands.extend_from_slice(frontend::SYNC);
        let visit = |kind, frame: &[u8]| {
            if kind == Kind::ErrorResponse {
                error = Some(crate::protocol::backend::body(frame).to_owned());
            } else {
                notices.extend_from_slice(frame);
            }
        };
        let talk = converse(&mut lease, &commands, 1, visit);
        within(pool, talk)
            .await
            .map_err(|error| lost(pool, &error))?;
    }
    if let Some(body) = error {
        drop(lease);
        let code = notice::sqlstate(&body);
        if code == Some(SqlState::CANT_CHANGE_NOW) {
            return Box::pin(enter_alone(shared, pool, wishes)).await;
        }
        let admitted = true;
        let error = Rc::new(backend::ConnectError::Rejected {
            code,
            body,
            admitted,
        });
        return Err(Fault::no_connection(pool, Refusal::Rejected(error)).into());
    }
    let welcome = Welcome::new(shared, parameters, &lease.statuses, &notices);
    let welcome = lobby.known.borrow_mut().put(welcome);
    lease.memory.wearing = Arc::clone(&welcome.parameters);
    let home = pool.settle_at(lease.id);
    lease.release();
    Ok(Entrance {
        welcome,
        home,
        own: None,
    })
}

/// What a start-up asks of a backend takes no longer than a login there may: `connect_timeout`.
async fn within<T>(
    pool: &Pool,
    talk: impl Future<Output = std::io::Result<T>>,
) -> std::io::Result<T> {
    let limit = pool.target().settings.connect_timeout;
    if limit.is_zero() {
        return talk.await;
    }
    match tokio::time::timeout(limit, talk).await {
        Ok(talk) => talk,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Dials a connection with the client's very start-up, for values that cannot be set later.
async fn enter_alone(shared: &Shared, pool: &Rc<Pool>, wishes: &Wishes) -> Result<Entrance, End> {
    let lease = pool
        .dial_own(&wishes.parameters, wishes.switches.as_deref())
        .await
        .map_err(|refusal| Fault::no_connection(pool, refusal))?;
    let parameters = Arc::clone(&lease.memory.wearing);
    let welcome = Welcome::new(shared, parameters, &lease.statuses, &[]);
    Ok(Entrance {
        welcome: Rc::new(welcome),
        home: None,
        own: Some(lease),
    })
}

fn lost(pool: &Pool, error: &std::io::Error) -> End {
    Fault::BackendLost {
        database: super::fault::database(pool),
        backend: pool.key().backend.clone(),
        why: error.to_string(),
        loss: super::fault::Loss::Undone,
    }
    .into()
}
