//! From a proven identity to a conversation: what a client is told when it gets in.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    End, Fault, Flow, Handle, Identity, Keep, KeyHandle, Lobby, OnPin, Place, PoolMode, Session,
    Shared, Who, adopt,
    converse::converse,
    fault,
    keep::pinned,
    ledger::Ledger,
    lobby::{Greeting, Welcome},
    names::Names,
    own, pin,
    verdicts::Spelling,
    way::Way,
};
use crate::backend;
use crate::net::Link;
use crate::pool::{Home, Lease, Pool, Refusal, Wish};
use crate::protocol::{
    Parameters, SqlState,
    backend::{Kind, Status, put_key_data, put_ready},
    frontend, notice,
};

/// How often a client that waits is looked after.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of BackendKeyData and ReadyForQuery, at most.
const KEY_AND_READY: usize = 41 + 6;

/// What a client's start-up asks for.
#[derive(Debug, Default)]
pub struct Wishes {
    pub parameters: Parameters,
    /// `options` that are no settings: only a connection of one's own can have them.
    pub switches: Option<Vec<u8>>,
    /// The minor version of the protocol that is spoken with the client.
    pub minor: u32,
    /// What is to be told before all else.
    pub preface: Vec<u8>,
    /// What the client has sent behind its start-up.
    pub ahead: Vec<u8>,
    /// The database's name and the user's as the client said them.
    pub names: (Box<[u8]>, Box<[u8]>),
}

/// A client that is not let in: what it is to be told before all else, and why it is not.
pub type Turned = (Link, Vec<u8>, End);

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
) -> Result<Box<Session>, Turned> {
    let pool = Rc::clone(lobby.pool());
    let entrance = match enter(shared, lobby, &pool, &wishes, &client).await {
        Ok(entrance) => entrance,
        Err(end) => return Err((client, wishes.preface, end)),
    };
    let who = Who {
        database: std::mem::take(&mut wishes.names.0),
        user: std::mem::take(&mut wishes.names.1),
        ends: client.ends(),
        pool: Some(Rc::clone(&pool)),
        told: Rc::clone(&entrance.welcome.told),
    };
    let now = shared.clock.now();
    let handle = shared.sessions.enter(now, &lobby.settings, who);
    let place = Place {
        worker: shared.worker,
        session: handle.id,
    };
    let pid = entrance.pid();
    let (key, number) = match shared.cancels.issue(pid, wishes.minor, place) {
        Ok(issued) => issued,
        Err(error) => {
            shared.sessions.leave(handle.id);
            return Err((client, wishes.preface, Fault::Randomness(error).into()));
        }
    };
    let reply = reply(wishes.preface, &entrance.welcome, pid, &key);
    if let Some(lease) = &entrance.own {
        hold_own(lease, &handle, lobby.settings.on_pin, now);
    }
    let mut session = Box::new(Session {
        shared: Rc::clone(shared),
        settings: Rc::clone(&lobby.settings),
        way: lobby
            .pools()
            .map(|pools| Box::new(Way::from(Rc::clone(pools), &pool))),
        identity: entrance.identity((pid, number), &pool),
        pool,
        handle,
        client,
        ticket: None,
        denied: None,
        ledger: Ledger::default(),
        names: Names::default(),
        verdicts: lobby.verdicts.clone(),
        listening: None,
        calls: Rc::clone(&lobby.calls),
        flow: flow(lobby, &entrance, !wishes.ahead.is_empty()),
        inbox: wishes.ahead,
        lease: entrance.own,
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

/// All that the client is told at once.
fn reply(preface: Vec<u8>, welcome: &Welcome, pid: i32, key: &[u8]) -> Vec<u8> {
    let mut reply = preface;
    reply.reserve_exact(welcome.frames.len() + KEY_AND_READY);
    reply.extend_from_slice(&welcome.frames);
    put_key_data(&mut reply, pid, key);
    put_ready(&mut reply, Status::Idle);
    reply
}

/// The session has a connection that nobody else can use.
fn hold_own(lease: &Lease, handle: &Handle, on_pin: OnPin, now: Instant) {
    let cause = pin::Cause::unwritten(pin::Reason::Startup);
    lease.lent_to(handle.id);
    handle.set_pinned(Some(pinned(lease.pool(), handle.id, cause, on_pin, now)));
}

/// Where the streams begin; `ahead`: the client has sent something already.
fn flow(lobby: &Lobby, entrance: &Entrance, ahead: bool) -> Flow {
    let own = entrance.own.is_some();
    Flow {
        resume: ahead,
        keep: match lobby.settings.pool_mode {
            _ if own => Keep::Pinned(pin::Reason::Startup),
            PoolMode::Session => Keep::Session,
            PoolMode::Transaction | PoolMode::Statement => Keep::No,
        },
        tainted: own,
        ..Flow::default()
    }
}

/// What a login comes to.
struct Entrance {
    welcome: Rc<Welcome>,
    home: Option<Home>,
    /// A connection that nobody else can use.
    own: Option<Lease>,
}

impl Entrance {
    /// What the client is told. Programs take it for a positive number, as Postgres' are.
    fn pid(&self) -> i32 {
        let own = self.own.as_ref().map(|lease| lease.pid);
        let pid = own.or(self.home.map(|home| home.pid));
        pid.unwrap_or_default() & i32::MAX
    }

    /// What the session is to the outside; `key` is what its client was told.
    fn identity(&self, key: (i32, KeyHandle), house: &Rc<Pool>) -> Identity {
        Identity {
            parameters: Arc::clone(&self.welcome.parameters),
            start: Arc::clone(&self.welcome.parameters),
            scope: self.welcome.scope,
            wish: own::wish_in(&self.welcome.parameters),
            spelling: Spelling::of(&self.welcome.told),
            told: Rc::clone(&self.welcome.told),
            told_first: Rc::clone(&self.welcome.told),
            home: self.home,
            house: Rc::clone(house),
            key,
            cherished: false,
        }
    }
}

async fn enter(
    shared: &Shared,
    lobby: &Lobby,
    pool: &Rc<Pool>,
    wishes: &Wishes,
    client: &Link,
) -> Result<Entrance, End> {
    own::check(&wishes.parameters, || fault::database(pool))?;
    if wishes.switches.is_some() || lobby.known.borrow().is_alone(&wishes.parameters) {
        return Box::pin(enter_alone(shared, lobby, pool, wishes, client)).await;
    }
    let now = shared.clock.now();
    let known = &lobby.known;
    let known = known
        .borrow_mut()
        .get(&wishes.parameters, now, pool.epoch());
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
    Box::pin(ask(shared, lobby, wishes, client, lease)).await
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
    client: &Link,
    mut lease: Lease,
) -> Result<Entrance, End> {
    let pool = &Rc::clone(lease.pool());
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
            lobby.known.borrow_mut().put_alone(&wishes.parameters);
            return Box::pin(enter_alone(shared, lobby, pool, wishes, client)).await;
        }
        let admitted = true;
        let error = Rc::new(backend::ConnectError::Rejected {
            code,
            body,
            admitted,
        });
        return Err(Fault::no_connection(pool, Refusal::Rejected(error)).into());
    }
    let welcome = Welcome::new(
        shared,
        pool,
        parameters,
        &lease.statuses,
        Greeting::Notices(&notices),
    );
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
async fn enter_alone(
    shared: &Shared,
    lobby: &Lobby,
    pool: &Rc<Pool>,
    wishes: &Wishes,
    client: &Link,
) -> Result<Entrance, End> {
    if lobby.settings.on_pin == OnPin::Reject {
        let (database, reason) = (super::fault::database(pool), pin::Reason::Startup.name());
        return Err(Fault::PinRejected { database, reason }.into());
    }
    let dialled = tokio::select! {
        biased;
        dialled = pool.dial_own(&wishes.parameters, wishes.switches.as_deref()) => dialled,
        () = gone(client) => return Err(End::Gone),
    };
    let (lease, greeting) = dialled.map_err(|refusal| Fault::no_connection(pool, refusal))?;
    let parameters = Arc::clone(&lease.memory.wearing);
    let welcome = Welcome::new(
        shared,
        pool,
        parameters,
        &lease.statuses,
        Greeting::Whole(&greeting),
    );
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
