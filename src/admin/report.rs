//! What one worker has at the moment.

use std::{rc::Rc, time::Instant};

use crate::pool::{self, Pool};
use crate::session::{self, Shared};

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
    /// The clients that are logged in, the console's too.
    pub clients: Vec<session::View>,
}

impl Report {
    /// Looks at everything that the worker has.
    pub fn make<'a>(
        shared: &Shared,
        pools: impl Iterator<Item = &'a Rc<Pool>>,
        now: Instant,
    ) -> Self {
        let mut clients = Vec::with_capacity(shared.sessions.len());
        shared.sessions.each(|handle| clients.push(handle.view()));
        Self {
            worker: shared.worker,
            now,
            pools: pools.map(|pool| pool.view(now)).collect(),
            clients,
        }
    }
}
