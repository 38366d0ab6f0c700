//! What others may see of a pool: plain data, put together when somebody asks.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{Counts, Key, Pool};
use crate::backend::Badge;
use crate::net::Ends;

/// One worker's part of a pool.
#[derive(Debug, Clone)]
pub struct View {
    pub key: Key,
    /// What operators call the database.
    pub name: String,
    pub counts: Counts,
    /// This worker's share of `pool_size`; the shares of all workers add up to it.
    pub share: usize,
    /// How long the request has waited that has waited longest.
    pub longest_wait: Duration,
    pub paused: bool,
    /// Why the last dial failed, if none has succeeded since.
    pub failure: Option<String>,
    /// Idle, lent and pinned; not those that are being dialled.
    pub connections: Vec<ConnectionView>,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionView {
    pub id: u64,
    /// The backend's process id.
    pub pid: i32,
    pub ends: Ends,
    /// When it was dialled.
    pub since: Instant,
    /// The session that has it; `None`: it is idle, or a login has it.
    pub holder: Option<u64>,
    pub idle: bool,
    /// Since when it has been idle.
    pub idle_since: Option<Instant>,
    pub pinned: bool,
    /// It is to be closed when it is given back.
    pub outdated: bool,
    /// Shared statements prepared on it.
    pub prepared: usize,
}

impl Pool {
    /// Looks at the pool; reads what is kept anyway.
    pub fn view(&self, now: Instant) -> View {
        let shelf = self.shelf.borrow();
        let waits = shelf.waiting();
        let waits = waits.map(|waiter| now.saturating_duration_since(waiter.since));
        let shared = shelf.members().map(|badge| (badge, shelf.is_pinned(badge)));
        let pinned = shelf.beyond.iter().map(|(badge, _)| (badge, true));
        let connections = shared.chain(pinned).map(|(badge, pinned)| {
            let idle = shelf.idle.iter().find(|one| one.id == badge.id);
            let prepared = idle.map_or(badge.prepared.get(), |one| one.memory.statements());
            ConnectionView {
                holder: badge.holder.get().filter(|_| idle.is_none()),
                idle: idle.is_some(),
                idle_since: idle.and_then(|one| one.idle_since),
                pinned,
                outdated: shelf.is_outdated(badge),
                prepared,
                ..ConnectionView::of(badge)
            }
        });
        View {
            key: self.key.clone(),
            name: self.name().into_owned(),
            counts: shelf.counts(),
            share: shelf.share,
            longest_wait: waits.max().unwrap_or_default(),
            paused: shelf.paused,
            failure: shelf.failure.as_ref().map(|error| error.to_string()),
            connections: connections.collect(),
        }
    }
}

impl ConnectionView {
    fn of(badge: &Rc<Badge>) -> Self {
        Self {
            id: badge.id.0,
            pid: badge.pid,
            ends: badge.ends,
            since: badge.since,
            holder: None,
            idle: false,
            idle_since: None,
            pinned: false,
            outdated: false,
            prepared: 0,
        }
    }
}
