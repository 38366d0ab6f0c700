//! What has happened since the start.

use crate::pool::Key;
use crate::telemetry::counters::{CONNECTED, Totals, Words};

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
    /// `pool_size`; `None`: the pool is out of use and forgotten, but for what it has done.
    pub size: Option<usize>,
    pub totals: Totals,
}

/// The name of a database and a user that nobody has let in.
pub const MADE_UP: &str = "*";

/// Under which key a pool's numbers are kept and told. What a client makes up is no name: those
/// that come through `"*"` are told once a backend has let somebody in under them.
pub fn remembered_as(key: &Key, totals: &Totals) -> Key {
    let mut key = key.clone();
    if key.entry == "*" && !totals.connects.contains_key(CONNECTED) {
        key.database = MADE_UP.into();
        key.user = MADE_UP.into();
    }
    key
}
