//! What the configuration says of pools.

use std::time::Duration;

/// Limits of one pool, exact over all workers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Shared connections per backend, database and upstream user; at least 1.
    pub pool_size: usize,
    /// Connections that sessions keep beyond `pool_size`; more of them are kept within it. 0: no
    /// limit.
    pub max_pinned: usize,
    pub min_pool_size: usize,
    /// All pools of one backend together; 0: no limit.
    pub max_backend_connections: usize,
    /// How long a request waits for a connection; zero: for ever.
    pub acquire_timeout: Duration,
    /// Requests that may wait per pool; 0: no limit.
    pub max_waiting: usize,
    /// Zero: connections grow as old as they like.
    pub server_lifetime: Duration,
    /// Zero: idle connections are kept.
    pub server_idle_timeout: Duration,
    /// Statements kept per connection, the least recently used go first; 0: none is shared.
    pub prepared_statements: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pool_size: 20,
            max_pinned: 0,
            min_pool_size: 0,
            max_backend_connections: 0,
            acquire_timeout: Duration::from_secs(30),
            max_waiting: 10_000,
            server_lifetime: Duration::from_secs(3600),
            server_idle_timeout: Duration::from_secs(600),
            prepared_statements: 500,
        }
    }
}
