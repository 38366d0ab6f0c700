//! The connections of one pool on one worker: idle ones, and the count of all.

use std::{
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{Counts, Home, Pool, acquire, acquire::Waiter, pins::Beyond};
use crate::backend::{Badge, ConnectError, Connection, ConnectionId};
use crate::protocol::{Parameters, backend::body, notice};
use crate::telemetry::events;

/// What a pool holds. Its borrow never outlives a call, and no call under it waits.
pub(super) struct Shelf {
    /// How many shared connections this worker may hold.
    pub share: usize,
    /// Shared connections: idle, lent, being dialled.
    pub open: usize,
    pub dialling: usize,
    /// Connections that sessions keep, beyond the share.
    pub beyond: Vec<(Rc<Badge>, Beyond)>,
    /// Those that they keep within it, as there are `max_pinned` beyond; open they are, too.
    within: Vec<Rc<Badge>>,
    /// The most recently used last. Boxed, for they move between leases with every transaction.
    #[expect(clippy::vec_box, reason = "a lease and a waiter hold the same box")]
    pub idle: Vec<Box<Connection>>,
    /// Those that wait, first come first served.
    pub waiters: VecDeque<Rc<Waiter>>,
    /// Why the last dial failed, if none has succeeded since.
    pub failure: Option<Rc<ConnectError>>,
    pub failures: u32,
    /// No dial before this.
    pub rest_until: Option<Instant>,
    /// None is lent and none is dialled.
    pub paused: bool,
    /// Connections dialled before this are closed when they are given back.
    pub renewed: Option<Instant>,
    members: Vec<Member>,
}

/// A living shared connection, idle or lent.
struct Member {
    home: Home,
    badge: Rc<Badge>,
    residents: usize,
    /// Sessions that know its process id and have asked for it.
    cherished: usize,
}

impl Shelf {
    pub fn new(share: usize) -> Self {
        Self {
            share,
            open: 0,
            dialling: 0,
            beyond: Vec::new(),
            within: Vec::new(),
            idle: Vec::new(),
            waiters: VecDeque::new(),
            failure: None,
            failures: 0,
            rest_until: None,
            paused: false,
            renewed: None,
            members: Vec::new(),
        }
    }

    pub fn counts(&self) -> Counts {
        Counts {
            open: self.open.saturating_sub(self.within.len()),
            idle: self.idle.len(),
            dialling: self.dialling,
            pinned: self.beyond.len() + self.within.len(),
            waiting: self.waiting().count(),
        }
    }

    /// Those that still wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        let waiters = self.waiters.iter().map(|waiter| &**waiter);
        waiters.filter(|waiter| waiter.is_waiting())
    }

    /// The living shared connections, idle or lent.
    pub fn members(&self) -> impl Iterator<Item = &Rc<Badge>> {
        self.members.iter().map(|member| &member.badge)
    }

    /// Whether a connection that is given back is to be closed instead.
    fn is_over(&self, connection: &Connection, now: Instant) -> bool {
        let outdated = self.is_outdated(&connection.badge);
        let expired = connection.expires.is_some_and(|expires| expires <= now);
        outdated || self.open > self.share || expired && !self.is_cherished(connection.id)
    }

    /// Whether it was dialled before all of them were to be made anew, or none is to be open.
    pub fn is_outdated(&self, badge: &Badge) -> bool {
        self.paused || self.renewed.is_some_and(|renewed| badge.since < renewed)
    }

    /// Takes an idle connection: of those that wear what is wished for, or else of all, the one
    /// asked for, or else the most recently used.
    pub fn take(
        &mut self,
        home: Option<ConnectionId>,
        wearing: Option<&Arc<Parameters>>,
    ) -> Option<Box<Connection>> {
        let fits = |one: &Connection| {
            wearing.is_none_or(|wished| {
                Arc::ptr_eq(&one.memory.wearing, wished) || one.memory.wearing == *wished
            })
        };
        let at_home = home.and_then(|home| self.idle.iter().position(|one| one.id == home));
        let fitting = at_home.filter(|at| self.idle.get(*at).is_some_and(|one| fits(one)));
        let fitting = fitting.or_else(|| self.idle.iter().rposition(|one| fits(one)));
        match fitting.or(at_home) {
            Some(at) => Some(self.idle.remove(at)),
            None => self.idle.pop(),
        }
    }

    pub fn take_exactly(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let at = self.idle.iter().position(|one| one.id == id)?;
        Some(self.idle.remove(at))
    }

    pub fn is_member(&self, id: ConnectionId) -> bool {
        self.members.iter().any(|member| member.home.id == id)
    }

    pub fn join(&mut self, connection: &Connection) {
        self.members.push(Member {
            home: Home {
                id: connection.id,
                pid: connection.pid,
            },
            badge: Rc::clone(&connection.badge),
            residents: 0,
            cherished: 0,
        });
    }

    pub fn settle(&mut self, id: Option<ConnectionId>) -> Option<Home> {
        let wanted = |member: &&mut Member| id.is_none_or(|id| member.home.id == id);
        let members = self.members.iter_mut().filter(wanted);
        let member = members.min_by_key(|member| member.residents)?;
        member.residents += 1;
        Some(member.home)
    }

    pub fn unsettle(&mut self, id: ConnectionId) {
        if let Some(member) = self.member(id) {
            member.residents = member.residents.saturating_sub(1);
            member.cherished = member.cherished.min(member.residents);
        }
    }

    pub fn cherish(&mut self, id: ConnectionId) {
        if let Some(member) = self.member(id) {
            member.cherished += 1;
        }
    }

    fn member(&mut self, id: ConnectionId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.home.id == id)
    }

    fn is_cherished(&self, id: ConnectionId) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.home.id == id && member.cherished > 0)
    }

    /// A shared connection is gone: closed, given to another worker, or pinned.
    fn leave(&mut self, id: ConnectionId) {
        self.open = self.open.saturating_sub(1);
        self.members.retain(|member| member.home.id != id);
        self.within.retain(|badge| badge.id != id);
        // Who waited for just this one takes any from now on.
        for waiter in &self.waiters {
            waiter.forget_home(id);
        }
    }

    /// Whether a session keeps this connection.
    pub fn is_pinned(&self, badge: &Badge) -> bool {
        self.within.iter().any(|one| one.id == badge.id)
    }

    pub fn slack(&self) -> usize {
        self.idle.len() + self.share.saturating_sub(self.open)
    }
}

/// Starts the one task that watches the pool's idle connections.
pub(super) fn keep(pool: &Rc<Pool>) {
    let pool: Weak<Pool> = Rc::downgrade(pool);
    tokio::task::spawn_local(std::future::poll_fn(move |cx| match pool.upgrade() {
        Some(pool) => {
            watch(&pool, cx);
            Poll::Pending
        }
        None => Poll::Ready(()),
    }));
}

/// Drops idle connections that ended or said something.
fn watch(pool: &Rc<Pool>, cx: &mut Context<'_>) {
    pool.keeper.replace(Some(cx.waker().clone()));
    let idle = std::mem::take(&mut pool.shelf.borrow_mut().idle);
    for mut connection in idle {
        if is_quiet(pool, &mut connection, cx) {
            pool.shelf.borrow_mut().idle.push(connection);
        } else {
            discard(pool, connection.id);
        }
    }
}

/// Whether an idle connection has nothing to say. Leaves the waker with it.
fn is_quiet(pool: &Pool, connection: &mut Connection, cx: &mut Context<'_>) -> bool {
    if connection.link.poll_readable(cx).is_pending() {
        return true;
    }
    let mut said = [0; 1024];
    let said = match connection.link.poll_read(cx, &mut said) {
        // Ready for nothing: the last read had filled its buffer exactly.
        Poll::Pending => return true,
        Poll::Ready(Ok(0)) => "the backend closed it".to_owned(),
        Poll::Ready(Ok(read)) => {
            let message = notice::message(body(said.get(..read).unwrap_or_default()));
            String::from_utf8_lossy(message.unwrap_or(b"it spoke unasked")).into_owned()
        }
        Poll::Ready(Err(error)) => error.to_string(),
    };
    events::idle_connection_lost(&pool.key.backend, connection.pid, &said);
    false
}

/// Takes a clean connection: to the next that waits, to a worker whose requests have waited too
/// long, or onto the shelf.
pub(super) fn put_back(pool: &Rc<Pool>, connection: Box<Connection>) {
    let now = pool.clock.now();
    let mut shelf = pool.shelf.borrow_mut();
    if shelf.is_over(&connection, now) {
        drop(shelf);
        close(pool, connection);
        return;
    }
    if let Some(worker) = pool
        .exchange
        .overdue(pool.worker, acquire::front(&mut shelf))
    {
        drop(shelf);
        give_away(pool, connection, worker);
        return;
    }
    let Some(mut connection) = acquire::deliver(pool, &mut shelf, connection) else {
        return;
    };
    connection.idle_since = Some(now);
    // Its readiness wakes the keeper from now on, no longer the session that had it.
    drop(shelf);
    let quiet = match &*pool.keeper.borrow() {
        Some(keeper) => is_quiet(pool, &mut connection, &mut Context::from_waker(keeper)),
        // The keeper's first round, still to come, finds it on the shelf.
        None => true,
    };
    if quiet {
        pool.shelf.borrow_mut().idle.push(connection);
        publish(pool);
    } else {
        discard(pool, connection.id);
    }
}

/// Says good-bye to a shared connection and closes it.
pub(super) fn close(pool: &Rc<Pool>, mut connection: Box<Connection>) {
    connection.farewell();
    events::connection_closed(&pool.key.backend, connection.pid);
    discard(pool, connection.id);
}

/// A shared connection is gone.
pub(super) fn discard(pool: &Rc<Pool>, id: ConnectionId) {
    pool.shelf.borrow_mut().leave(id);
    serve_idle(pool);
    acquire::dial_where_needed(pool);
}

/// Who waited for just the connection that is gone takes one that is idle.
fn serve_idle(pool: &Rc<Pool>) {
    let idle = {
        let mut shelf = pool.shelf.borrow_mut();
        acquire::front(&mut shelf).and_then(|_| shelf.take(None, None))
    };
    if let Some(connection) = idle {
        put_back(pool, connection);
    }
}

/// A shared connection becomes one session's own: beyond the pool's size if there may be one more
/// of those, else within it.
pub(super) fn pin(pool: &Rc<Pool>, badge: &Rc<Badge>) {
    let room = Beyond::take(&pool.exchange, pool.settings.max_pinned);
    {
        let mut shelf = pool.shelf.borrow_mut();
        let Some(room) = room else {
            shelf.within.push(Rc::clone(badge));
            return;
        };
        shelf.leave(badge.id);
        shelf.beyond.push((Rc::clone(badge), room));
    }
    serve_idle(pool);
    acquire::dial_where_needed(pool);
}

/// Where `max_pinned` has room again, what is kept within the pool's size leaves it.
pub(super) fn put_beyond(pool: &Rc<Pool>) {
    loop {
        let badge = pool.shelf.borrow().within.first().map(Rc::clone);
        let Some(badge) = badge else { return };
        let Some(room) = Beyond::take(&pool.exchange, pool.settings.max_pinned) else {
            return;
        };
        let mut shelf = pool.shelf.borrow_mut();
        shelf.leave(badge.id);
        shelf.beyond.push((badge, room));
        drop(shelf);
        acquire::dial_where_needed(pool);
    }
}

/// Makes a pinned connection a shared one again; false: there is no room for it.
pub(super) fn unpin(pool: &Pool, connection: &Connection) -> bool {
    let was_beyond = forget_beyond(pool, connection.id);
    let mut shelf = pool.shelf.borrow_mut();
    if !was_beyond {
        shelf.within.retain(|badge| badge.id != connection.id);
        return true;
    }
    let room = shelf.open < shelf.share;
    if room {
        shelf.open += 1;
        shelf.join(connection);
    }
    room
}

/// A connection is not kept beyond the pool's size any more; false: it was not.
pub(super) fn forget_beyond(pool: &Pool, id: ConnectionId) -> bool {
    let mut shelf = pool.shelf.borrow_mut();
    let before = shelf.beyond.len();
    shelf.beyond.retain(|(badge, _)| badge.id != id);
    shelf.beyond.len() < before
}

/// Closes idle connections that are too old or have been idle for too long.
pub(super) fn reap(pool: &Rc<Pool>, now: Instant) {
    let limit = pool.settings.server_idle_timeout;
    let least = pool.exchange.least(pool.worker);
    let due: Vec<ConnectionId> = {
        let shelf = pool.shelf.borrow();
        let mut spare = shelf.open.saturating_sub(least);
        let idle = shelf.idle.iter().filter(|one| !shelf.is_cherished(one.id));
        idle.filter(|one| {
            if one.expires.is_some_and(|expires| expires <= now) {
                return true;
            }
            let idle = one
                .idle_since
                .map(|since| now.saturating_duration_since(since));
            let due = spare > 0 && !limit.is_zero() && idle.is_some_and(|idle| idle >= limit);
            spare -= usize::from(due);
            due
        })
        .map(|one| one.id)
        .collect()
    };
    for id in due {
        let connection = pool.shelf.borrow_mut().take_exactly(id);
        if let Some(connection) = connection {
            close(pool, connection);
        }
    }
}

/// Where another pool's requests wait for a place among the backend's connections
/// (`max_backend_connections`), one that is idle here makes room.
pub(super) fn make_room(pool: &Rc<Pool>) {
    let idle = {
        let mut shelf = pool.shelf.borrow_mut();
        let spare = !shelf.idle.is_empty() && shelf.open > pool.exchange.least(pool.worker);
        let room = spare && pool.exchange.seats().claim_room();
        // The one that has been idle for longest.
        room.then(|| shelf.idle.remove(0))
    };
    if let Some(connection) = idle {
        close(pool, connection);
    }
}

/// Moves a connection, and the share that it fills, to another worker.
pub(super) fn give_away(pool: &Rc<Pool>, connection: Box<Connection>, worker: usize) {
    let id = connection.id;
    let parcel = connection.pack();
    pool.shelf.borrow_mut().share -= 1;
    discard(pool, id);
    publish(pool);
    // A socket that could not be moved is closed; the share moves all the same.
    pool.exchange.give(&pool.key, worker, parcel.ok());
}

/// Lets the other workers see what is free here and who waits.
pub(super) fn publish(pool: &Pool) {
    if pool.exchange.is_alone() {
        return;
    }
    let mut shelf = pool.shelf.borrow_mut();
    let front = acquire::front(&mut shelf);
    pool.exchange.publish(pool.worker, front, shelf.slack());
}
