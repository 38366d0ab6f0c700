//! A connection of our own that reads a database's catalog.

use std::rc::Rc;

use crate::backend::{
    AskError, ConnectError, Connection, ConnectionId, Login, Opening, Seat, Target, connect,
};
use crate::catalog::{Ask, Row};
use crate::protocol::Parameters;

/// What it says of itself, and what keeps it from doing harm: it only reads, names nothing that
/// a user's schema could hide, and gives up.
const SETTINGS: &[(&[u8], &[u8])] = &[
    (b"application_name", b"ambassador catalog"),
    // Clients' statements are compared with what it reads.
    (b"client_encoding", b"UTF8"),
    (b"default_transaction_read_only", b"on"),
    (b"search_path", b""),
    (b"statement_timeout", b"30s"),
    (b"lock_timeout", b"1s"),
    // Planned once and run once.
    (b"jit", b"off"),
];

/// A catalog of half a million relations is read; what is longer has something wrong with it.
const LONGEST: usize = 256 * 1024 * 1024;

/// Asks about a catalog. Dropped, it tells the backend that it leaves.
pub struct Reader(Connection);

impl Reader {
    /// Dials and logs in.
    ///
    /// # Errors
    /// As for every connection.
    pub async fn open(target: &Target, login: &Rc<Login>) -> Result<Self, ConnectError> {
        let mut parameters = Parameters::default();
        for (name, value) in SETTINGS {
            parameters.set(name, value);
        }
        let opening = Opening {
            parameters: &parameters,
            switches: None,
            replication: None,
        };
        // Of no pool: it has no number that anybody asks for, and counts for none.
        let opened = connect(target, login, opening, ConnectionId(0), Seat::outside()).await?;
        Ok(Self(opened.connection))
    }
}

impl Ask for Reader {
    type Error = AskError;

    async fn ask(
        &mut self,
        statement: &str,
        show: &mut dyn FnMut(&Row<'_>),
    ) -> Result<(), AskError> {
        self.0.ask_each(statement, &[], LONGEST, show).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.farewell();
    }
}
