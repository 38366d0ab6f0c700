//! Asks a backend what the file does not have: a user's verifier, by the auth query.
//!
//! The connection that asks carries nothing of the client but the name that is looked up. It is
//! made for the question, and serves the others that wait; a worker has one at a time for each
//! database of the configuration.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use super::{Database, worker::Worker};
use crate::auth::{Known, Query, Secret, Stored, scram};
use crate::backend::{
    AskError, ConnectError, Connection, ConnectionId, Login, Opening, Row, Seat, Target, connect,
};
use crate::protocol::Parameters;
use crate::telemetry::events;

/// How long an answer is trusted.
const TRUSTED: Duration = Duration::from_secs(30);
/// Answers kept; strangers' names fill it as well.
const KEPT: usize = 10_000;
const APPLICATION: &[u8] = b"ambassador auth";
/// Where the query of `[databases."*"]` runs.
const ANYWHERE: &str = "postgres";

/// What a backend says of a name.
#[derive(Debug, Clone)]
pub enum Verifier {
    /// It has this.
    Known(Known),
    /// Its password is NULL: it cannot log in.
    Null,
    /// It has something that is beyond our limits.
    Unfit(scram::Error),
    /// There is no row.
    Unknown,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("no answer within {0:?} (connect_timeout)")]
    Late(Duration),
    #[error("it gives {0} columns, and has to give name and verifier")]
    Columns(usize),
}

/// There is no answer; the log has been told why.
#[derive(Debug)]
pub struct NotAsked;

/// The answers that a worker remembers, by the database's entry.
#[derive(Default)]
pub struct Verifiers(RefCell<HashMap<String, Rc<Asker>>>);

impl Verifiers {
    /// The verifier of `name`.
    ///
    /// # Errors
    /// The backend could not be asked.
    pub async fn of(
        &self,
        worker: &Worker,
        database: &Database,
        query: &Query,
        name: &str,
    ) -> Result<Verifier, NotAsked> {
        let entry = database.entry().to_owned();
        let asker = {
            let mut askers = self.0.borrow_mut();
            let asker = askers.entry(entry);
            Rc::clone(asker.or_insert_with(|| Rc::new(Asker::new(worker, database, query))))
        };
        asker.of(name).await
    }

    /// A login failed: the answer may be out of date.
    pub fn doubt(&self, database: &Database, name: &str) {
        if let Some(asker) = self.0.borrow().get(database.entry()) {
            asker
                .known
                .borrow_mut()
                .entry(name.to_owned())
                .and_modify(|answer| answer.doubted = true);
        }
    }
}

/// Who asks for one database.
struct Asker {
    entry: String,
    query: String,
    target: Target,
    login: Rc<Login>,
    known: RefCell<HashMap<String, Answer>>,
    /// Held by who asks; the others wait, and mostly find the answer then.
    line: Mutex<Option<Connection>>,
    waiting: Cell<usize>,
    failed: Cell<Option<Instant>>,
}

/// What was answered, and when.
struct Answer {
    verifier: Verifier,
    at: Instant,
    /// Somebody could not log in with it.
    doubted: bool,
}

impl Asker {
    fn new(worker: &Worker, database: &Database, query: &Query) -> Self {
        // The configuration has checked that the entry is there.
        let entry = database.auth.users.get(&query.user);
        let upstream = entry.and_then(|entry| entry.upstream_user.as_deref());
        let user = upstream.unwrap_or(&query.user).as_bytes().to_owned();
        let credential = entry.map(|entry| entry.upstream(&query.user, None));
        let own = database.dbname.as_deref().or(database.name.as_deref());
        let dbname = query.database.as_deref().or(own).unwrap_or(ANYWHERE);
        let dbname = dbname.as_bytes().to_owned();
        Self {
            entry: database.entry().to_owned(),
            query: query.text.clone(),
            target: worker.target(database),
            login: Rc::new(Login::new(user, dbname, credential.unwrap_or_default())),
            known: RefCell::default(),
            line: Mutex::default(),
            waiting: Cell::default(),
            failed: Cell::default(),
        }
    }

    async fn of(&self, name: &str) -> Result<Verifier, NotAsked> {
        let arrived = Instant::now();
        if let Some(verifier) = self.known(name, arrived) {
            return Ok(verifier);
        }
        // Dropped after the line.
        let _waiting = Waiting::new(self);
        let mut line = self.line.lock().await;
        if let Some(verifier) = self.known(name, arrived) {
            return Ok(verifier);
        }
        if self.failed.get().is_some_and(|at| at >= arrived) {
            return Err(NotAsked);
        }
        match self.ask(&mut line, name).await {
            Ok(verifier) => {
                self.remember(name, verifier.clone());
                Ok(verifier)
            }
            Err(failure) => {
                self.failed.set(Some(Instant::now()));
                events::verifier_not_asked(&self.entry, &failure);
                Err(NotAsked)
            }
        }
    }

    /// What is known, or was learnt since `arrived`.
    fn known(&self, name: &str, arrived: Instant) -> Option<Verifier> {
        let known = self.known.borrow();
        let answer = known.get(name)?;
        let fresh = !answer.doubted && answer.at.elapsed() < TRUSTED;
        (fresh || answer.at >= arrived).then(|| answer.verifier.clone())
    }

    fn remember(&self, name: &str, verifier: Verifier) {
        let mut known = self.known.borrow_mut();
        if known.len() >= KEPT {
            known.clear();
        }
        let answer = Answer {
            verifier,
            at: Instant::now(),
            doubted: false,
        };
        known.insert(name.to_owned(), answer);
    }

    /// The connection is put back into the line only after a whole answer.
    async fn ask(&self, line: &mut Option<Connection>, name: &str) -> Result<Verifier, Failure> {
        if let Some(mut connection) = line.take() {
            match self.rows(&mut connection, name).await {
                // It ended while nobody looked.
                Err(Failure::Ask(AskError::Lost(_))) => {}
                rows => {
                    let verifier = verifier(&rows?, name)?;
                    *line = Some(connection);
                    return Ok(verifier);
                }
            }
        }
        let mut connection = self.connect().await?;
        let verifier = verifier(&self.rows(&mut connection, name).await?, name)?;
        *line = Some(connection);
        Ok(verifier)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let mut parameters = Parameters::default();
        parameters.set(b"application_name", APPLICATION);
        // Names and verifiers are UTF-8 here.
        parameters.set(b"client_encoding", b"UTF8");
        let opening = Opening {
            parameters: &parameters,
            switches: None,
            replication: None,
        };
        // Of no pool: it has no number that anybody asks for, and counts for none.
        let number = ConnectionId(0);
        let seat = Seat::outside();
        let opened = connect(&self.target, &self.login, opening, number, seat).await?;
        Ok(opened.connection)
    }

    async fn rows(&self, connection: &mut Connection, name: &str) -> Result<Vec<Row>, Failure> {
        let name = [Some(name.as_bytes())];
        let asking = connection.ask(&self.query, &name);
        let limit = self.target.settings.connect_timeout;
        if limit.is_zero() {
            return Ok(asking.await?);
        }
        match timeout(limit, asking).await {
            Ok(rows) => Ok(rows?),
            Err(_) => Err(Failure::Late(limit)),
        }
    }
}

/// Counts who waits or asks; the last one closes the connection.
struct Waiting<'a>(&'a Asker);

impl<'a> Waiting<'a> {
    fn new(asker: &'a Asker) -> Self {
        asker.waiting.set(asker.waiting.get() + 1);
        Self(asker)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.0.waiting.get().saturating_sub(1);
        self.0.waiting.set(left);
        if left == 0
            && let Ok(mut line) = self.0.line.try_lock()
            && let Some(mut connection) = line.take()
        {
            connection.farewell();
        }
    }
}

/// What the query's rows say of `name`.
fn verifier(rows: &[Row], name: &str) -> Result<Verifier, Failure> {
    let Some(row) = rows.first() else {
        return Ok(Verifier::Unknown);
    };
    let [found, text, ..] = row.as_slice() else {
        return Err(Failure::Columns(row.len()));
    };
    // A query that finds somebody else, or several, proves nothing.
    let named = found
        .as_ref()
        .is_some_and(|found| **found == name.as_bytes());
    if !named || rows.len() > 1 {
        return Ok(Verifier::Unknown);
    }
    let text = text.as_ref().and_then(|text| str::from_utf8(text).ok());
    let stored = text.map(|text| Stored::read(&Secret::new(text.to_owned())));
    Ok(match stored {
        Some(Ok(Some(stored))) => Verifier::Known(Known::new(stored)),
        Some(Ok(None)) | None => Verifier::Null,
        Some(Err(why)) => Verifier::Unfit(why),
    })
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a failed test")]
mod tests {
    use super::*;

    fn says(rows: &[&[Option<&str>]]) -> &'static str {
        let own = |text: &str| zeroize::Zeroizing::new(text.as_bytes().to_owned());
        let row = |row: &&[Option<&str>]| row.iter().map(|value| value.map(own)).collect();
        let rows: Vec<Row> = rows.iter().map(row).collect();
        match verifier(&rows, "app") {
            Ok(Verifier::Known(_)) => "known",
            Ok(Verifier::Null) => "null",
            Ok(Verifier::Unfit(_)) => "unfit",
            Ok(Verifier::Unknown) => "unknown",
            Err(Failure::Columns(_)) => "columns",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn only_the_one_row_of_this_very_name_counts() {
        let app: &[Option<&str>] = &[Some("app"), Some("secret")];
        assert_eq!(says(&[app]), "known");
        assert_eq!(says(&[]), "unknown");
        assert_eq!(says(&[app, app]), "unknown");
        assert_eq!(says(&[&[Some("App"), Some("secret")]]), "unknown");
        assert_eq!(says(&[&[None, Some("secret")]]), "unknown");
    }

    #[test]
    fn a_password_that_is_null_or_empty_or_beyond_the_limits_lets_nobody_in() {
        assert_eq!(says(&[&[Some("app"), None]]), "null");
        assert_eq!(says(&[&[Some("app"), Some("")]]), "null");
        let costly = "SCRAM-SHA-256$999999999:c2FsdA==$AAAA:AAAA";
        assert_eq!(says(&[&[Some("app"), Some(costly)]]), "unfit");
        assert_eq!(says(&[&[Some("app")]]), "columns");
    }
}
