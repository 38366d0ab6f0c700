//! What has happened since the start.

use crate::pool::Key;
use crate::telemetry::counters::{Totals, Words};

/// What all workers have done together; read from their counters, which takes nothing from them.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub pools: Vec<PoolHistory>,
    /// Clients that did not get in, by the entry of their database and by the reason. The entry is
    /// empty for those that named none.
    pub refused: Vec<(String, Words)>,
    /// Sessions that ended by a defect of ours.
    pub panics: u64,
}

/// What has been done for one pool.
#[derive(Debug, Clone)]
pub struct PoolHistory {
    pub key: Key,
    /// `pool_size`.
    pub size: usize,
    pub totals: Totals,
}
