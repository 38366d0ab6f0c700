//! What the workers' pools of one key share: numbers for those who wait, and the way in which
//! a share of the pool's size moves to where it is needed.
//!
//! Nothing here is touched on the hot path of a worker that is alone, and only atomics where
//! there are several.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use super::{Key, Listeners, Pins, pins};
use crate::backend::{ConnectionId, Parcel, Seat, Seats};
use crate::telemetry::counters::{Totals, Traffic};

/// Takes messages to the workers. Implemented where the workers are.
pub trait Post: Send + Sync {
    /// `by`'s requests wait for a connection of this key; `worker` seems to have one to spare.
    fn ask(&self, worker: usize, key: &Key, by: usize);
    /// A share of the pool for `worker`, perhaps with the connection that fills it.
    fn give(&self, worker: usize, key: &Key, parcel: Option<Parcel>);
}

/// What the pools of one key share.
pub struct Exchange {
    size: usize,
    least: usize,
    desks: Vec<Desk>,
    /// What each worker has done.
    traffic: Vec<Arc<Traffic>>,
    numbers: AtomicU64,
    connections: Arc<AtomicU64>,
    seats: Arc<Seats>,
    pins: Arc<Pins>,
    /// Connections that sessions keep beyond the size.
    beyond: pins::Count,
    listeners: Arc<Listeners>,
    post: Arc<dyn Post>,
}

/// What the others see of one worker.
struct Desk {
    /// The number of the one that has waited longest; [`NOBODY`] if none waits.
    oldest: AtomicU64,
    /// Connections idle, or shares without a connection.
    slack: AtomicUsize,
}

const NOBODY: u64 = u64::MAX;

impl Exchange {
    /// `size` and `least` are the whole pool's; `connections` numbers all of the process,
    /// `seats` counts those to the same backend, `pins` is what sessions keep.
    pub fn new(
        size: usize,
        least: usize,
        workers: usize,
        connections: Arc<AtomicU64>,
        seats: Arc<Seats>,
        pins: Arc<Pins>,
        post: Arc<dyn Post>,
    ) -> Self {
        let desk = |worker| Desk {
            oldest: AtomicU64::new(NOBODY),
            slack: AtomicUsize::new(share(size, worker, workers)),
        };
        Self {
            size,
            least,
            desks: (0..workers).map(desk).collect(),
            traffic: (0..workers).map(|_| Arc::default()).collect(),
            numbers: AtomicU64::new(0),
            connections,
            seats,
            pins,
            beyond: pins::Count::default(),
            listeners: Arc::default(),
            post,
        }
    }

    /// The whole pool's.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The counters that a worker writes.
    pub(super) fn traffic(&self, worker: usize) -> Arc<Traffic> {
        self.traffic.get(worker).map(Arc::clone).unwrap_or_default()
    }

    /// What all workers have done together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for traffic in &self.traffic {
            traffic.add_to(&mut totals);
        }
        totals
    }

    /// Whether there is but one worker.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.desks.len() < 2
    }

    /// The share of the pool's size with which a worker begins; the shares add up to the size.
    pub fn first_share(&self, worker: usize) -> usize {
        share(self.size, worker, self.desks.len())
    }

    /// A worker's part of `min_pool_size`.
    pub fn least(&self, worker: usize) -> usize {
        share(self.least, worker, self.desks.len())
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that no other connection of the process has.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// A place among the backend's connections.
    pub fn take_seat(&self, limit: usize) -> Option<Seat> {
        Seat::take(&self.seats, limit)
    }

    /// Who listens to what.
    pub(super) fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    /// The places among the backend's connections.
    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// What the sessions of the process keep.
    pub(super) fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    pub(super) fn beyond(&self) -> &pins::Count {
        &self.beyond
    }

    pub(super) fn publish(&self, worker: usize, front: Option<u64>, slack: usize) {
        if let Some(desk) = self.desks.get(worker) {
            desk.oldest
                .store(front.unwrap_or(NOBODY), Ordering::Relaxed);
            desk.slack.store(slack, Ordering::Relaxed);
        }
    }

    /// A worker whose longest-waiting request came before ours by more than a pool's worth of
    /// others: it is to have the next free connection. Without one of ours: any that waits.
    #[inline]
    pub(super) fn overdue(&self, here: usize, ours: Option<u64>) -> Option<usize> {
        if self.is_alone() {
            return None;
        }
        let limit = match ours {
            Some(number) => number.saturating_sub(self.size as u64),
            None => NOBODY,
        };
        let others = self.desks.iter().enumerate().filter(|(at, _)| *at != here);
        others
            .map(|(at, desk)| (desk.oldest.load(Ordering::Relaxed), at))
            .filter(|(oldest, _)| *oldest < limit)
            .min()
            .map(|(_, at)| at)
    }

    /// Asks the worker with the most to spare, if there is one.
    pub(super) fn ask(&self, key: &Key, by: usize) {
        let others = self.desks.iter().enumerate().filter(|(at, _)| *at != by);
        let most = others
            .map(|(at, desk)| (desk.slack.load(Ordering::Relaxed), at))
            .max();
        if let Some((1.., worker)) = most {
            self.post.ask(worker, key, by);
        }
    }

    pub(super) fn give(&self, key: &Key, worker: usize, parcel: Option<Parcel>) {
        self.post.give(worker, key, parcel);
    }
}

/// The part of `whole` that falls to one of `count`.
fn share(whole: usize, at: usize, count: usize) -> usize {
    let count = count.max(1);
    whole / count + usize::from(at < whole % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Post for Nowhere {
        fn ask(&self, _: usize, _: &Key, _: usize) {}
        fn give(&self, _: usize, _: &Key, _: Option<Parcel>) {}
    }

    fn exchange(size: usize, workers: usize) -> Exchange {
        Exchange::new(
            size,
            0,
            workers,
            Arc::default(),
            Arc::default(),
            Arc::default(),
            Arc::new(Nowhere),
        )
    }

    #[test]
    fn shares_add_up_to_the_pool_size() {
        for workers in 1..5 {
            let exchange = exchange(7, workers);
            let sum: usize = (0..workers).map(|at| exchange.first_share(at)).sum();
            assert_eq!(sum, 7);
        }
    }

    #[test]
    fn a_worker_alone_owes_nobody() {
        assert_eq!(exchange(4, 1).overdue(0, None), None);
    }

    #[test]
    fn no_waiter_is_passed_by_more_than_a_pool_of_later_ones() {
        let exchange = exchange(4, 2);
        exchange.publish(1, Some(10), 0);
        assert_eq!(exchange.overdue(0, Some(14)), None);
        assert_eq!(exchange.overdue(0, Some(15)), Some(1));
        assert_eq!(exchange.overdue(0, None), Some(1));
    }
}
