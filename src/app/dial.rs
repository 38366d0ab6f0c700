//! A short-lived connection of our own, to see whether somebody answers.

use std::{rc::Rc, sync::Arc};

use crate::backend::{ConnectError, ConnectionId, Login, Opening, Seat, Target, connect};
use crate::config::Own;
use crate::protocol::Parameters;
use crate::server::Database;
use crate::topology::Backend;

/// What a backend says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub version: String,
    /// It takes no writes.
    pub is_standby: bool,
}

/// Dials, logs in under this application's name, and leaves.
///
/// # Errors
/// See [`ConnectError`].
pub async fn look(
    database: &Database,
    backend: &Backend,
    own: &Own,
    application: &str,
) -> Result<Seen, ConnectError> {
    let target = Target {
        address: backend.address.clone(),
        settings: database.backend.clone(),
        dialect: Arc::default(),
    };
    let (user, name) = (own.user.clone().into(), own.database.clone().into());
    let login = Rc::new(Login::new(user, name, own.credential.clone()));
    let mut parameters = Parameters::default();
    parameters.set(b"application_name", application.as_bytes());
    let id = ConnectionId(0);
    // Outside of all pools and their limits.
    let seat = Seat::outside();
    let opening = Opening {
        parameters: &parameters,
        switches: None,
        replication: None,
    };
    let mut connection = connect(&target, &login, opening, id, seat)
        .await?
        .connection;
    connection.farewell();
    let status = |name: &[u8]| connection.statuses.get(name).unwrap_or_default();
    Ok(Seen {
        version: String::from_utf8_lossy(status(b"server_version")).into_owned(),
        is_standby: status(b"in_hot_standby") == b"on",
    })
}
