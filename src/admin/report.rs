//! What one worker has at the moment.

use std::{rc::Rc, time::Instant};

use super::Census;
use crate::pool::{self, Pool};
use crate::session::{self, Shared};

/// How much is to be told. Naming ten thousand clients takes a worker some milliseconds, in which
/// it serves none of them; exporters ask for pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Pools,
    Clients,
    /// Pools, and where the texts went that are remembered.
    Paths,
}

/// What one worker has: plain data, made on the worker's own thread when somebody asks
/// ([`House::reports`](super::House::reports)). Nothing is kept for it: it reads what sessions and
/// pools know anyway.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which worker it is, from 0.
    pub worker: usize,
    /// When it was made; what is said of times is to be compared with it.
    pub now: Instant,
    /// The worker's part of each pool: a key that several workers have comes several times.
    pub pools: Vec<pool::View>,
    /// Their clients, counted.
    pub census: Census,
    /// All that are logged in, the console's too.
    pub sessions: usize,
    /// Each of them, if that was asked for.
    pub clients: Vec<session::View>,
    /// Where texts went, by the names of their databases, if that was asked for.
    pub paths: Vec<(String, session::Path)>,
}

impl Report {
    /// Looks at everything that the worker has.
    pub fn make<'a>(
        shared: &Shared,
        pools: impl Iterator<Item = &'a Rc<Pool>>,
        now: Instant,
        detail: Detail,
    ) -> Self {
        let pools: Vec<_> = pools.collect();
        let sessions = shared.sessions.len();
        let mut clients = Vec::new();
        match detail {
            Detail::Pools | Detail::Paths => {}
            Detail::Clients => {
                clients.reserve(sessions);
                shared.sessions.each(|handle| clients.push(handle.view()));
            }
        }
        Self {
            worker: shared.worker,
            now,
            census: Census::take(shared, pools.iter().copied()),
            sessions,
            pools: pools.into_iter().map(|pool| pool.view(now)).collect(),
            clients,
            paths: Vec::new(),
        }
    }
}
