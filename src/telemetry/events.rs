//! One event, one function; what is logged has one wording, and one line.

use core::fmt::{self, Display, Write};
use std::path::Path;

use tracing::{debug, info, warn};

/// A backend could not be reached or did not let us in. Told loudly once: as long as the reason
/// stays the same, it is no news.
pub fn connect_failed(
    backend: &str,
    database: &[u8],
    user: &[u8],
    error: &dyn Display,
    is_news: bool,
) {
    let (database, user, error) = (Name(database), Name(user), Line(error));
    if is_news {
        warn!(backend, %database, %user, "cannot connect upstream: {error}");
    } else {
        debug!(backend, %database, %user, "still cannot connect upstream: {error}");
    }
}

/// A backend takes no start-up of our protocol version, but one of 3.0.
pub fn older_protocol(backend: &dyn Display, why: &dyn Display) {
    info!(%backend, "from now on protocol 3.0 is spoken with it: {}", Line(why));
}

/// The default mode of TLS believes whoever answers.
pub fn unverified(backend: &dyn Display) {
    warn!(
        %backend,
        "connections to it are encrypted, and nobody verifies who answers (upstream_tls.mode = \"prefer\"); verify-full does"
    );
}

/// The default mode of TLS does without it.
pub fn without_tls(backend: &dyn Display, why: &dyn Display) {
    warn!(
        %backend,
        "connections to it are not encrypted (upstream_tls.mode = \"prefer\"); require insists on TLS, disable says that this is meant: {}",
        Line(why)
    );
}

/// A connection was made, after so many failures in a row.
pub fn connected(backend: &str, database: &[u8], user: &[u8], pid: i32, failures: u32) {
    let (database, user) = (Name(database), Name(user));
    if failures > 0 {
        info!(backend, %database, %user, pid, failures, "connected upstream again");
    } else {
        debug!(backend, %database, %user, pid, "connected upstream");
    }
}

/// A connection was closed: it is too old, has been idle for too long, or is one too many.
pub fn connection_closed(backend: &str, pid: i32) {
    debug!(backend, pid, "closed an upstream connection");
}

/// A connection was closed because whoever had it could not give it back clean.
pub fn connection_discarded(backend: &str, pid: i32) {
    debug!(backend, pid, "gave up an upstream connection");
}

/// An idle connection ended or said something unasked.
pub fn idle_connection_lost(backend: &str, pid: i32, said: &str) {
    info!(backend, pid, "an idle connection ended: {}", Line(&said));
}

/// A connection with a lease on it was lost.
pub fn connection_lost(backend: &str, pid: i32, why: &dyn Display) {
    warn!(backend, pid, "a connection in use was lost: {}", Line(why));
}

/// A CancelRequest did not get through.
pub fn cancel_failed(backend: &dyn Display, pid: i32, error: &dyn Display) {
    warn!(%backend, pid, "cannot cancel upstream: {}", Line(error));
}

/// What a backend of a database is now. `trouble`: what keeps it from being used.
pub fn backend_is(database: &str, backend: &dyn Display, what: &str, trouble: Option<&str>) {
    match trouble {
        Some(trouble) => {
            warn!(database, %backend, standing = what, "{}", Line(&trouble));
        }
        None => info!(database, %backend, standing = what, "a backend is {what}"),
    }
}

/// Another backend takes the writes from now on.
pub fn failed_over(database: &str, from: &dyn Display, to: &dyn Display) {
    warn!(database, %from, %to, "another backend is the primary now");
}

/// A client got in; `session` is its number in what is told of it later.
pub fn client_in(session: u64, client: &dyn Display, database: &[u8], user: &[u8]) {
    let (database, user) = (Name(database), Name(user));
    debug!(session, %client, %database, %user, "client logged in");
}

/// A client did not get in.
pub fn client_refused(client: &dyn Display, why: &dyn Display) {
    info!(%client, "client refused: {}", Line(why));
}

/// A client left before it was in.
pub fn client_lost(client: &dyn Display, why: &dyn Display) {
    debug!(%client, "client left during its login: {}", Line(why));
}

/// A client is not let in; it hears less than this.
pub fn login_denied(client: &dyn Display, user: &str, why: &dyn Display) {
    info!(%client, user = %Line(&user), "login failed: {}", Line(why));
}

/// A verifier could not be asked for.
pub fn verifier_not_asked(database: &str, why: &dyn Display) {
    warn!(database, "the auth query failed: {}", Line(why));
}

/// A hint has words that mean nothing here.
pub fn hint_not_understood(fingerprint: &dyn Display, words: &str) {
    warn!(%fingerprint, "a hint is not understood: {}", Line(&words));
}

/// A database's functions and relations could not be read: no text that names one is a proven read.
pub fn catalog_not_read(database: &str, why: &dyn Display) {
    warn!(database, "the catalog cannot be read: {}", Line(why));
}

/// A password's file could not be read anew.
pub fn secret_not_read(why: &dyn Display) {
    warn!("the password of before counts: {}", Line(why));
}

/// Certificates, keys or authorities were read anew.
pub fn papers_renewed(table: &str) {
    info!(
        table,
        "the certificates were read anew; new connections use them"
    );
}

/// The files are of no use as they are.
pub fn papers_refused(table: &str, why: &dyn Display) {
    warn!(
        table,
        "the certificates of before stay in use: {}",
        Line(why)
    );
}

/// A certificate expires in so many whole days; below 0: it has.
pub fn certificate_expires(file: &Path, subject: &str, days: i64) {
    let (file, subject) = (file.display(), Line(&subject));
    match days {
        ..0 => warn!(%file, %subject, "a certificate has expired"),
        days => warn!(%file, %subject, days, "a certificate expires soon"),
    }
}

/// A client left, or was sent away.
pub fn client_out(session: u64, why: &dyn Display) {
    debug!(session, "client left: {}", Line(why));
}

/// A session keeps its connection beyond the transaction.
pub struct Pin<'a> {
    pub session: u64,
    pub database: &'a [u8],
    pub user: &'a [u8],
    pub reason: &'a str,
    /// The statement's that it began with; `""`: none, or not seen in whole.
    pub fingerprint: &'a str,
}

/// The first of its database for that reason and by that statement.
pub fn pinned(pin: &Pin<'_>) {
    let (database, user) = (Name(pin.database), Name(pin.user));
    let (session, reason, fingerprint) = (pin.session, pin.reason, pin.fingerprint);
    info!(session, %database, %user, reason, fingerprint, "session pinned");
}

/// The same where it is unwanted.
pub fn pinned_unwanted(pin: &Pin<'_>) {
    let (database, user) = (Name(pin.database), Name(pin.user));
    let (session, reason, fingerprint) = (pin.session, pin.reason, pin.fingerprint);
    warn!(session, %database, %user, reason, fingerprint, "session pinned");
}

/// Not the first.
pub fn pinned_again(pin: &Pin<'_>) {
    let (database, user) = (Name(pin.database), Name(pin.user));
    let (session, reason, fingerprint) = (pin.session, pin.reason, pin.fingerprint);
    debug!(session, %database, %user, reason, fingerprint, "session pinned, as others were");
}

/// A connection listens from now on for all sessions of its key that do.
pub fn listening(backend: &str, pid: i32) {
    debug!(backend, pid, "a connection listens for the sessions");
}

/// Nobody listens any more, and so the connection that did is closed.
pub fn listening_ended(backend: &str, pid: i32) {
    debug!(backend, pid, "closed the connection that listened");
}

/// The connection that listens for the sessions was lost, or could not be made.
pub fn listening_lost(backend: &str, why: &dyn Display) {
    warn!(backend, "nothing is heard for the sessions: {}", Line(why));
}

/// A session ended by a defect of ours.
pub fn session_panicked() {
    tracing::error!("a session panicked; the others go on");
}

/// A name that a client made up.
struct Name<'a>(&'a [u8]);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Line(&String::from_utf8_lossy(self.0)).fmt(f)
    }
}

/// Text that others have a say in. It stays on its line: a control character is shown, not
/// obeyed, or a client could write lines of its own into the log.
struct Line<'a>(&'a dyn Display);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Shown(f), "{}", self.0)
    }
}

struct Shown<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Shown<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter.is_control() {
                true => write!(self.0, "{}", letter.escape_default())?,
                false => self.0.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_stays_on_its_line() {
        let name = Name(b"a\nb\r\x1b[31m\xff\xc3\xa9");
        assert_eq!(name.to_string(), "a\\nb\\r\\u{1b}[31m\u{fffd}é");
    }
}
