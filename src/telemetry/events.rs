//! One event, one function; what is logged has one wording.

use core::fmt::Display;

use tracing::{debug, info, warn};

/// A backend could not be reached or did not let us in.
pub fn connect_failed(backend: &str, database: &[u8], user: &[u8], error: &dyn Display) {
    let (database, user) = (name(database), name(user));
    warn!(backend, %database, %user, "cannot connect upstream: {error}");
}

/// A backend takes no start-up of our protocol version, but one of 3.0.
pub fn older_protocol(backend: &dyn Display, why: &dyn Display) {
    info!(%backend, "from now on protocol 3.0 is spoken with it: {why}");
}

/// A connection was made.
pub fn connected(backend: &str, database: &[u8], user: &[u8], pid: i32) {
    let (database, user) = (name(database), name(user));
    debug!(backend, %database, %user, pid, "connected upstream");
}

/// An idle connection ended or said something unasked.
pub fn idle_connection_lost(backend: &str, pid: i32, said: &str) {
    info!(backend, pid, "an idle connection ended: {said}");
}

/// A connection with a lease on it was lost.
pub fn connection_lost(backend: &str, pid: i32, why: &dyn Display) {
    warn!(backend, pid, "a connection in use was lost: {why}");
}

/// A CancelRequest did not get through.
pub fn cancel_failed(backend: &dyn Display, pid: i32, error: &dyn Display) {
    warn!(%backend, pid, "cannot cancel upstream: {error}");
}

/// A client got in.
pub fn client_in(database: &[u8], user: &[u8]) {
    let (database, user) = (name(database), name(user));
    debug!(%database, %user, "client logged in");
}

/// A client did not get in.
pub fn client_refused(why: &dyn Display) {
    info!("client refused: {why}");
}

/// A client is not let in; it hears less than this.
pub fn login_denied(user: &str, why: &dyn Display) {
    info!(user, "login failed: {why}");
}

/// A verifier could not be asked for.
pub fn verifier_not_asked(database: &str, why: &dyn Display) {
    warn!(database, "the auth query failed: {why}");
}

/// A password's file could not be read anew.
pub fn secret_not_read(why: &dyn Display) {
    warn!("the password of before counts: {why}");
}

/// A client left, or was sent away.
pub fn client_out(why: &dyn Display) {
    debug!("client left: {why}");
}

/// A session keeps its connection beyond the transaction.
pub fn pinned(database: &[u8], user: &[u8], reason: &str) {
    let (database, user) = (name(database), name(user));
    info!(%database, %user, reason, "session pinned");
}

/// A session ended by a defect of ours.
pub fn session_panicked() {
    tracing::error!("a session panicked; the others go on");
}

fn name(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
