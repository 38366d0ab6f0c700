//! Asking for a connection, waiting for one, and dialling when there are too few.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    Lease, Pool, Refusal,
    shelf::{self, Shelf},
};
use crate::backend::{ConnectError, Connection, ConnectionId, Opening, Seat, connect};
use crate::protocol::Parameters;
use crate::resilience::{Backoff, jittered};
use crate::telemetry::events;

/// Dials of one pool that may be under way at once on one worker.
const PARALLEL_DIALS: usize = 8;
/// Rests between dials that fail.
pub(super) const REST: Backoff = Backoff {
    base: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// Which connection a request would like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    pub home: Option<ConnectionId>,
    /// What it should wear already: settings cost the backend something.
    pub wearing: Option<&'a Arc<Parameters>>,
    /// Wait for the home while it lives, even if others are idle.
    pub only_home: bool,
}

/// What asking brings.
pub enum Acquired {
    Lease(Lease),
    Wait(Ticket),
    Refused(Refusal),
}

/// A place in the queue; dropping it leaves the queue.
pub struct Ticket {
    pool: Rc<Pool>,
    waiter: Rc<Waiter>,
}

/// One that waits.
pub(super) struct Waiter {
    /// Grows over all workers: the smaller, the longer it has waited.
    number: u64,
    pub since: Instant,
    /// The same exactly; only some waits are measured.
    began: Option<Instant>,
    deadline: Cell<Option<Instant>>,
    only: Cell<Option<ConnectionId>>,
    state: RefCell<State>,
}

enum State {
    Waiting(Waker),
    Given(Box<Connection>),
    Refused(Refusal),
    /// Has left the queue, or has been served.
    Gone,
}

impl Waiter {
    pub fn is_waiting(&self) -> bool {
        matches!(*self.state.borrow(), State::Waiting(_))
    }

    fn takes(&self, id: ConnectionId) -> bool {
        self.only.get().is_none_or(|only| only == id) && self.is_waiting()
    }

    /// Its time begins anew.
    pub fn wait_until(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    pub fn forget_home(&self, id: ConnectionId) {
        if self.only.get() == Some(id) {
            self.only.set(None);
        }
    }

    fn settle(&self, pool: &Pool, state: State) {
        let traffic = pool.traffic();
        traffic.waits.add(1);
        traffic.wait_time.add(self.since, pool.clock.now());
        if let Some(began) = self.began {
            traffic.wait_times.observe(began.elapsed());
        }
        if let State::Waiting(waker) = self.state.replace(state) {
            waker.wake();
        }
    }
}

impl Pool {
    /// Lends a connection at once, or gives a place in the queue.
    pub fn acquire(self: &Rc<Self>, wish: Wish<'_>) -> Acquired {
        let only = {
            let mut shelf = self.shelf.borrow_mut();
            let only = wish
                .home
                .filter(|&home| wish.only_home && shelf.is_member(home));
            let taken = match only {
                Some(home) => shelf.take_exactly(home),
                None => shelf.take(wish.home, wish.wearing),
            };
            if let Some(connection) = taken {
                drop(shelf);
                shelf::publish(self);
                return Acquired::Lease(Lease::new(self, connection));
            }
            only
        };
        match self.refusal() {
            Some(refusal) => Acquired::Refused(refusal),
            None => Acquired::Wait(self.enqueue(only)),
        }
    }

    /// Waits for a connection, wherever a future may wait.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn acquire_async(self: &Rc<Self>, wish: Wish<'_>) -> Result<Lease, Refusal> {
        match self.acquire(wish) {
            Acquired::Lease(lease) => Ok(lease),
            Acquired::Wait(ticket) => std::future::poll_fn(|cx| ticket.poll(cx)).await,
            Acquired::Refused(refusal) => Err(refusal),
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        let shelf = self.shelf.borrow();
        let limit = self.settings.max_waiting;
        if limit > 0 && shelf.waiters.len() >= limit {
            return Some(Refusal::TooManyWaiting { limit });
        }
        // A login that was refused a moment ago is not tried again for everyone who asks.
        let resting = shelf
            .rest_until
            .is_some_and(|until| self.clock.now() < until);
        let failure = shelf.failure.as_ref()?;
        let hopeless = resting && shelf.open == 0 && !failure.is_passing();
        hopeless.then(|| Refusal::Rejected(Rc::clone(failure)))
    }

    fn enqueue(self: &Rc<Self>, only: Option<ConnectionId>) -> Ticket {
        // A tick more or less is nothing to who waits, and reading the clock is not free.
        let since = self.clock.now();
        let limit = self.settings.acquire_timeout;
        let waiter = Rc::new(Waiter {
            number: self.exchange.next_number(),
            since,
            began: self.clock.precise(),
            deadline: Cell::new((!limit.is_zero()).then(|| since + limit)),
            only: Cell::new(only),
            state: RefCell::new(State::Waiting(Waker::noop().clone())),
        });
        self.shelf
            .borrow_mut()
            .waiters
            .push_back(Rc::clone(&waiter));
        dial_where_needed(self);
        shelf::publish(self);
        if self.shelf.borrow().dialling == 0 {
            self.exchange.ask(&self.key, self.worker);
        }
        Ticket {
            pool: Rc::clone(self),
            waiter,
        }
    }
}

impl Ticket {
    /// Ready with the connection, or with the reason why there will be none.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Lease, Refusal>> {
        let mut state = self.waiter.state.borrow_mut();
        if let State::Waiting(waker) = &mut *state {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Gone) {
            State::Given(connection) => Poll::Ready(Ok(Lease::new(&self.pool, connection))),
            State::Refused(refusal) => Poll::Ready(Err(refusal)),
            State::Waiting(_) | State::Gone => Poll::Pending,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let state = self.waiter.state.replace(State::Gone);
        if let State::Given(connection) = state {
            // Given and never looked at: as clean as it came.
            shelf::put_back(&self.pool, connection);
        }
    }
}

/// Who waits longest, its number; those that left are forgotten on the way.
pub(super) fn front(shelf: &mut Shelf) -> Option<u64> {
    while let Some(waiter) = shelf.waiters.front() {
        if waiter.is_waiting() {
            return Some(waiter.number);
        }
        shelf.waiters.pop_front();
    }
    None
}

/// Hands a connection to the first that waits for it; gives it back where nobody does.
pub(super) fn deliver(
    pool: &Pool,
    shelf: &mut Shelf,
    connection: Box<Connection>,
) -> Option<Box<Connection>> {
    if front(shelf).is_none() {
        return Some(connection);
    }
    let id = connection.id;
    let at = shelf.waiters.iter().position(|waiter| waiter.takes(id));
    let Some(waiter) = at.and_then(|at| shelf.waiters.remove(at)) else {
        return Some(connection);
    };
    waiter.settle(pool, State::Given(connection));
    if !pool.exchange.is_alone() {
        let front = front(shelf);
        pool.exchange.publish(pool.worker, front, shelf.slack());
    }
    None
}

/// Refuses those whose time is over.
pub(super) fn expire(pool: &Pool, now: Instant) {
    let mut shelf = pool.shelf.borrow_mut();
    // Those that left from the middle of the queue.
    shelf.waiters.retain(|waiter| waiter.is_waiting());
    if shelf.paused {
        // Nobody waits in vain: who paused it is to end the pause.
        return;
    }
    let due = |waiter: &Rc<Waiter>| {
        waiter
            .deadline
            .get()
            .is_some_and(|deadline| deadline <= now)
    };
    if !shelf.waiters.iter().any(due) {
        return;
    }
    let failure = shelf.failure.clone();
    let failure = failure.filter(|error| shelf.open == 0 || error.is_of_number());
    let limit = pool.settings.max_backend_connections;
    let full = shelf.open < shelf.share && pool.exchange.seats().are_taken(limit);
    let (late, rest): (Vec<_>, Vec<_>) = shelf.waiters.drain(..).partition(due);
    shelf.waiters = rest.into();
    drop(shelf);
    for waiter in late {
        let waited = now.saturating_duration_since(waiter.since);
        let size = pool.settings.pool_size;
        let refusal = match &failure {
            Some(error) if error.is_of_number() => Refusal::ServerFull {
                waited,
                error: Rc::clone(error),
                pins: pool.pins_of_backend(),
            },
            Some(failure) => Refusal::Unreachable(Rc::clone(failure)),
            None if full => Refusal::BackendFull {
                waited,
                limit,
                pins: pool.pins_of_backend(),
            },
            None => Refusal::Saturated {
                waited,
                size,
                pins: pool.pins_within(),
            },
        };
        if waiter.is_waiting() {
            waiter.settle(pool, State::Refused(refusal));
        }
    }
}

/// Dials as long as more wait than are being dialled, within the share and [`PARALLEL_DIALS`].
pub(super) fn dial_where_needed(pool: &Rc<Pool>) {
    while may_dial(pool) {
        let limit = pool.settings.max_backend_connections;
        let Some(seat) = pool.exchange.take_seat(limit) else {
            if front(&mut pool.shelf.borrow_mut()).is_some() {
                pool.exchange.seats().ask_room();
            }
            return;
        };
        let mut shelf = pool.shelf.borrow_mut();
        shelf.open += 1;
        shelf.dialling += 1;
        drop(shelf);
        tokio::task::spawn_local(dial(Rc::clone(pool), seat));
    }
}

/// Asks the other workers once more for those who wait: what they had to spare when we first
/// asked is not what they have now.
pub(super) fn ask_again(pool: &Pool) {
    if pool.exchange.is_alone() {
        return;
    }
    shelf::publish(pool);
    let shelf = pool.shelf.borrow();
    if !shelf.waiters.is_empty() && shelf.dialling == 0 && shelf.open >= shelf.share {
        pool.exchange.ask(&pool.key, pool.worker);
    }
}

fn may_dial(pool: &Pool) -> bool {
    let mut shelf = pool.shelf.borrow_mut();
    if shelf.paused || shelf.open >= shelf.share {
        return false;
    }
    let wanted = match front(&mut shelf) {
        Some(_) => shelf.waiters.len(),
        None => 0,
    };
    let least = pool.exchange.least(pool.worker);
    let wanted = wanted.max(least.saturating_sub(shelf.open - shelf.dialling));
    let rested = shelf.rest_until.is_none_or(|until| Instant::now() >= until);
    rested && shelf.dialling < wanted.min(PARALLEL_DIALS)
}

async fn dial(pool: Rc<Pool>, seat: Seat) {
    let id = pool.exchange.next_connection();
    let opening = Opening {
        parameters: &Parameters::default(),
        switches: None,
        replication: None,
    };
    let begun = Instant::now();
    match connect(&pool.target, &pool.login, opening, id, seat).await {
        Ok(opened_now) => {
            pool.traffic.connected(begun.elapsed());
            opened(&pool, Box::new(opened_now.connection));
        }
        Err(error) => failed(&pool, error),
    }
}

fn opened(pool: &Rc<Pool>, mut connection: Box<Connection>) {
    let (key, failures) = (&pool.key, pool.shelf.borrow().failures);
    let pid = connection.pid;
    events::connected(&key.backend, &key.database, &key.user, pid, failures);
    pool.note(&connection.statuses);
    let lifetime = pool.settings.server_lifetime;
    if !lifetime.is_zero() {
        connection.expires = Some(Instant::now() + jittered(lifetime, fastrand::f64()));
    }
    let mut shelf = pool.shelf.borrow_mut();
    shelf.dialling -= 1;
    shelf.failure = None;
    shelf.failures = 0;
    shelf.rest_until = None;
    shelf.join(&connection);
    drop(shelf);
    shelf::put_back(pool, connection);
    dial_where_needed(pool);
}

fn failed(pool: &Rc<Pool>, error: ConnectError) {
    let key = &pool.key;
    pool.traffic.connects.add(error.word());
    let mut shelf = pool.shelf.borrow_mut();
    let former = shelf.failure.as_ref().map(|former| former.to_string());
    let is_news = former != Some(error.to_string());
    events::connect_failed(&key.backend, &key.database, &key.user, &error, is_news);
    let error = Rc::new(error);
    shelf.open -= 1;
    shelf.dialling -= 1;
    shelf.rest_until = Some(Instant::now() + REST.delay(shelf.failures, fastrand::f64()));
    shelf.failures = shelf.failures.saturating_add(1);
    shelf.failure = Some(Rc::clone(&error));
    // While others are open, those who wait still get one of them.
    let hopeless = !error.is_passing() && shelf.open == 0;
    let refused: Vec<_> = match hopeless {
        true => shelf.waiters.drain(..).collect(),
        false => Vec::new(),
    };
    drop(shelf);
    for waiter in refused.iter().filter(|waiter| waiter.is_waiting()) {
        waiter.settle(pool, State::Refused(Refusal::Rejected(Rc::clone(&error))));
    }
    shelf::publish(pool);
}

impl Pool {
    /// Takes what another worker gave: a share, and perhaps the connection that fills it.
    pub fn receive(self: &Rc<Self>, parcel: Option<crate::backend::Parcel>) {
        self.shelf.borrow_mut().share += 1;
        let id = self.exchange.next_connection();
        match parcel.and_then(|parcel| parcel.unpack(id).ok()) {
            Some(connection) => {
                let mut shelf = self.shelf.borrow_mut();
                shelf.open += 1;
                shelf.join(&connection);
                drop(shelf);
                shelf::put_back(self, Box::new(connection));
            }
            None => dial_where_needed(self),
        }
        shelf::publish(self);
    }

    /// Another worker's requests wait: gives it a connection or a share, if one is free.
    pub fn asked(self: &Rc<Self>, by: usize) {
        let mut shelf = self.shelf.borrow_mut();
        if front(&mut shelf).is_some() {
            return;
        }
        if let Some(connection) = shelf.take(None, None) {
            drop(shelf);
            shelf::give_away(self, connection, by);
        } else if shelf.open < shelf.share {
            shelf.share -= 1;
            drop(shelf);
            shelf::publish(self);
            self.exchange.give(&self.key, by, None);
        }
    }
}
