//! What the console may ask of the house. Implemented where the workers are.

use std::{sync::Arc, time::Duration};

use super::{Detail, History, Report};
use crate::backend::Fleet;
use crate::net::tls::State;
use crate::session::SessionId;

/// The running ambassador, as operators may look at it and move it.
pub trait House {
    /// Asks every worker what it has, and waits for all. A worker that is gone is left out.
    fn reports(&self, detail: Detail) -> impl Future<Output = Vec<Report>>;

    /// What all workers have done since the start.
    fn history(&self) -> History;

    /// The same of a minute or two ago (of the start, where that is not so long ago), and how
    /// long ago that was.
    fn earlier(&self) -> (History, Duration);

    fn settings(&self) -> &Settings;

    /// The databases of the configuration, in its order.
    fn databases(&self) -> &[Database];

    /// The backends of the databases that have several, by the names of their entries.
    fn fleets(&self) -> Vec<(String, Arc<Fleet>)>;

    /// The certificates of both sides, and how their files are.
    fn papers(&self) -> Vec<State>;

    /// Clients that are connected and not logged in.
    fn arriving(&self, logged_in: usize) -> usize;

    /// Which databases are paused.
    fn pauses(&self) -> Pauses;

    /// Pauses a database, or all. False: it is paused already.
    fn pause(&self, database: Option<&str>) -> bool;

    /// Ends such a pause. False: there is none.
    fn resume(&self, database: Option<&str>) -> bool;

    /// Closes the connections of a database, or of all: idle ones now, others when they are
    /// given back.
    fn renew(&self, database: Option<&str>);

    /// Sends a client away.
    fn kill(&self, client: SessionId);

    /// Ends the process, as a SIGTERM does.
    fn shut_down(&self);
}

/// What the configuration says of the console.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Who may do everything.
    pub console_users: Vec<String>,
    /// Who may look.
    pub stats_users: Vec<String>,
    /// Every key as it counts. Never a secret.
    pub keys: Vec<Setting>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub default: String,
}

/// A database of the configuration.
#[derive(Debug, Clone)]
pub struct Database {
    /// `"*"`: every name that has no entry of its own.
    pub name: String,
    /// The backend's host, or the folder of its socket.
    pub host: String,
    pub port: u16,
    /// The backend's address as written.
    pub backend: String,
    pub role: &'static str,
    /// The name upstream; `None`: the same.
    pub dbname: Option<String>,
    /// The user upstream of everyone without an entry; `None`: the own name.
    pub force_user: Option<String>,
    /// The users with an entry.
    pub users: Vec<String>,
    pub pool_mode: &'static str,
    pub pool_size: usize,
    pub min_pool_size: usize,
    pub max_backend_connections: usize,
    pub server_lifetime: Duration,
}

/// Which databases are paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    pub all: bool,
    pub databases: Vec<String>,
}

impl Pauses {
    /// Whether nothing is lent for this database.
    pub fn cover(&self, database: &str) -> bool {
        self.all || self.databases.iter().any(|one| one == database)
    }

    /// Whether just this has been paused.
    pub fn contain(&self, database: Option<&str>) -> bool {
        match database {
            Some(database) => self.databases.iter().any(|one| one == database),
            None => self.all,
        }
    }

    /// False: it is paused already.
    pub fn add(&mut self, database: Option<&str>) -> bool {
        if self.contain(database) {
            return false;
        }
        match database {
            Some(database) => self.databases.push(database.to_owned()),
            None => self.all = true,
        }
        true
    }

    /// False: it was not paused.
    pub fn remove(&mut self, database: Option<&str>) -> bool {
        let there = self.contain(database);
        match database {
            Some(database) => self.databases.retain(|one| one != database),
            None => self.all = false,
        }
        there
    }
}

/// What somebody may do on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    All,
    /// SHOW alone.
    Look,
}

impl Rights {
    /// What a user may who has proven to be one; `None`: nothing. `trusted`: comes in without
    /// a proof, from this very machine, where the configuration trusts such clients.
    pub fn of(settings: &Settings, user: &str, trusted: bool) -> Option<Self> {
        let among = |users: &[String]| users.iter().any(|one| one == user);
        if trusted || among(&settings.console_users) {
            return Some(Self::All);
        }
        among(&settings.stats_users).then_some(Self::Look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_all_and_one_of_a_database_are_two() {
        let mut pauses = Pauses::default();
        assert!(pauses.add(Some("a")));
        assert!(!pauses.add(Some("a")));
        assert!(pauses.add(None));
        assert!(pauses.cover("b"));
        assert!(pauses.remove(None));
        assert!(!pauses.remove(None));
        assert!(pauses.cover("a") && !pauses.cover("b"));
    }

    #[test]
    fn rights_are_by_name_except_for_those_that_are_trusted() {
        let settings = Settings {
            console_users: vec!["ops".to_owned()],
            stats_users: vec!["exporter".to_owned()],
            keys: Vec::new(),
        };
        let rights = |user, trusted| Rights::of(&settings, user, trusted);
        assert_eq!(rights("ops", false), Some(Rights::All));
        assert_eq!(rights("exporter", false), Some(Rights::Look));
        assert_eq!(rights("app", false), None);
        assert_eq!(rights("app", true), Some(Rights::All));
    }
}
