//! What one worker has at the moment, counted.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use crate::pool::{Counts, Key, Pool};
use crate::session::{Phase, Shared};

/// What one worker has, in numbers alone: all that a scrape needs, and with many clients far
/// cheaper than a [`Report`](super::Report), which names each.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// The worker's part of each pool.
    pub pools: Vec<PoolCensus>,
    /// Verdicts that are remembered.
    pub verdicts: usize,
}

/// What one worker has of one pool.
#[derive(Debug, Clone)]
pub struct PoolCensus {
    pub key: Key,
    pub connections: Counts,
    pub clients: Clients,
    /// Sessions that keep their connection, by the reason.
    pub pinned: BTreeMap<&'static str, usize>,
}

/// Logged-in clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clients {
    /// In a request or in a transaction.
    pub active: usize,
    /// Their request waits for a connection.
    pub waiting: usize,
    pub idle: usize,
}

impl Census {
    /// Counts everything that the worker has, in one walk over its sessions.
    pub fn take<'a>(shared: &Shared, pools: impl Iterator<Item = &'a Rc<Pool>>) -> Self {
        let mut places = HashMap::new();
        let mut counted = Vec::new();
        for pool in pools {
            places.insert(Rc::as_ptr(pool), counted.len());
            counted.push(PoolCensus {
                key: pool.key().clone(),
                connections: pool.counts(),
                clients: Clients::default(),
                pinned: BTreeMap::new(),
            });
        }
        shared.sessions.each(|handle| {
            // Who talks with us, or replicates, is no pool's client.
            let place = handle.pool().and_then(|pool| places.get(&Rc::as_ptr(pool)));
            let Some(pool) = place.and_then(|&at| counted.get_mut(at)) else {
                return;
            };
            let clients = &mut pool.clients;
            let count = match handle.phase() {
                Phase::Active | Phase::InTransaction => &mut clients.active,
                Phase::Waiting => &mut clients.waiting,
                Phase::Idle => &mut clients.idle,
            };
            *count += 1;
            if let Some(reason) = handle.pinned() {
                *pool.pinned.entry(reason).or_default() += 1;
            }
        });
        Self {
            pools: counted,
            verdicts: 0,
        }
    }
}
