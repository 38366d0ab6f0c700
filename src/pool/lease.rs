//! The guard that a session holds on a connection.

use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
};

use super::{Home, Pool, shelf};
use crate::backend::Connection;
use crate::telemetry::events;

/// A connection lent to one session. Dropping it closes the connection: a cancelled future
/// cannot vouch for the wire. Only [`Lease::release`] gives it back.
pub struct Lease {
    pool: Rc<Pool>,
    connection: Option<Box<Connection>>,
    pinned: bool,
}

impl Lease {
    pub(super) fn new(pool: &Rc<Pool>, connection: Box<Connection>) -> Self {
        Self {
            pool: Rc::clone(pool),
            connection: Some(connection),
            pinned: false,
        }
    }

    /// A connection that was never the pool's to lend.
    pub(super) fn own(pool: &Rc<Pool>, connection: Box<Connection>) -> Self {
        Self {
            pool: Rc::clone(pool),
            connection: Some(connection),
            pinned: true,
        }
    }

    /// Gives a clean connection back: nothing owed, outside a transaction.
    pub fn release(mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // A pinned one for which the pool has no room any more is closed.
        if !self.pinned || shelf::unpin(&self.pool, &connection) {
            shelf::put_back(&self.pool, connection);
        }
    }

    /// Keeps the connection. It leaves the pool, which may dial another in its place, where there
    /// are not `max_pinned` such already.
    pub fn pin(&mut self) {
        if let Some(connection) = self.connection.as_deref()
            && !self.pinned
        {
            self.pinned = true;
            shelf::pin(&self.pool, &connection.badge);
        }
    }

    /// The connection as a home.
    pub fn home(&self) -> Home {
        Home {
            id: self.id,
            pid: self.pid,
        }
    }

    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }
}

impl Deref for Lease {
    type Target = Connection;

    #[expect(
        clippy::expect_used,
        reason = "only release and drop take the connection, and both end the lease"
    )]
    fn deref(&self) -> &Connection {
        self.connection
            .as_deref()
            .expect("a lease has a connection")
    }
}

impl DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "as in deref")]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
            .as_deref_mut()
            .expect("a lease has a connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            events::connection_discarded(&self.pool.key.backend, connection.pid);
            if !self.pinned || !shelf::forget_beyond(&self.pool, connection.id) {
                shelf::discard(&self.pool, connection.id);
            }
        }
    }
}
