//! Is there a usable primary for every database? Asked by a probe, so answered anew, but not more
//! often than there is news to expect.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, task::JoinSet};

use super::dial::{self, Seen};
use crate::admin::metrics::Fleets;
use crate::backend::{ConnectError, Fleet, Member, Standing};
use crate::config::{Config, HealthSettings, Own, own};
use crate::protocol::SqlState;
use crate::server::Database;
use crate::topology::Role;

/// How the connections call themselves to the backend.
const APPLICATION: &str = "ambassador health";
/// How long an answer counts: whoever asks in between hears the same.
const FRESH: Duration = Duration::from_secs(1);

/// The databases of the configuration and what was last seen of their primaries.
pub struct Primaries {
    databases: Vec<Database>,
    health: BTreeMap<String, HealthSettings>,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Primaries {
    pub fn new(config: &Config) -> Self {
        Self {
            databases: config.server.databases.clone(),
            health: config.health.clone(),
            last: Mutex::default(),
        }
    }

    /// Those that cannot be used, each with the reason.
    /// Of a database whose backends are watched that is known already, by its fleet.
    pub async fn missing(self: &Rc<Self>, fleets: Fleets) -> Vec<String> {
        // Who comes while somebody asks waits for that answer.
        let mut last = self.last.lock().await;
        if let Some((when, missing)) = &*last
            && when.elapsed() < FRESH
        {
            return missing.clone();
        }
        let missing = self.ask(&fleets).await;
        *last = Some((Instant::now(), missing.clone()));
        missing
    }

    async fn ask(self: &Rc<Self>, fleets: &Fleets) -> Vec<String> {
        let mut asked = HashSet::new();
        let mut dials = JoinSet::new();
        let mut watched = BTreeSet::new();
        for (at, database) in self.databases.iter().enumerate() {
            if let Some((_, fleet)) = fleets.iter().find(|(entry, _)| entry == database.entry()) {
                watched.extend(without(fleet));
                continue;
            }
            let backends = database.backends.iter();
            let addresses: Vec<_> = backends.map(|one| &one.address).collect();
            // Several databases of one server are one question.
            if asked.insert(addresses) {
                let these = Rc::clone(self);
                dials.spawn_local(these.ask_one(at));
            }
        }
        watched.extend(dials.join_all().await.into_iter().flatten());
        watched.into_iter().collect()
    }

    /// `None`: one of its backends can be used.
    async fn ask_one(self: Rc<Self>, at: usize) -> Option<String> {
        let mut dials = JoinSet::new();
        for place in 0..self.databases.get(at)?.backends.len() {
            let these = Rc::clone(&self);
            dials.spawn_local(async move { these.ask_backend(at, place).await });
        }
        // One without a word against it is enough.
        let against: Option<Vec<String>> = dials.join_all().await.into_iter().collect();
        let mut against = against?;
        against.sort();
        Some(against.join("\n"))
    }

    async fn ask_backend(&self, at: usize, place: usize) -> Option<String> {
        let database = self.databases.get(at)?;
        let backend = database.backends.get(place)?;
        let entry = database.name.as_deref().unwrap_or("*");
        let health = self.health.get(entry).cloned().unwrap_or_default();
        let own: Own = own(database, &health);
        let seen = dial::look(database, backend, &own, APPLICATION).await;
        let why = judge(seen, backend.role)?;
        Some(format!("{}: no usable primary: {why}", backend.address))
    }
}

/// What speaks against each of these backends; `None`: one is the primary.
fn without(fleet: &Fleet) -> Option<String> {
    let members = fleet.members();
    if let Some(primary) = fleet.primary().and_then(|at| members.get(at))
        && primary.standing() != Standing::Down
    {
        return None;
    }
    let against = |member: &Member| {
        let why = match member.standing() {
            Standing::Replica => "it is a standby".to_owned(),
            Standing::Unknown => "it has not answered yet".to_owned(),
            Standing::Down | Standing::Lagging | Standing::Primary => {
                member.trouble().unwrap_or_else(|| "it is down".to_owned())
            }
        };
        format!("{}: no usable primary: {why}", member.backend.address)
    };
    Some(members.iter().map(against).collect::<Vec<_>>().join("\n"))
}

/// What speaks against a primary. A login of ours that is refused does not: the server is there,
/// and the clients' logins may well work.
/// Only of a replica it is then not known that it is none.
fn judge(seen: Result<Seen, ConnectError>, role: Role) -> Option<String> {
    match seen {
        Err(error) if role == Role::Replica => Some(error.to_string()),
        Ok(Seen { is_standby, .. }) => is_standby.then(|| "it is a standby".to_owned()),
        Err(error) if error.code() == Some(SqlState::TOO_MANY_CONNECTIONS) => None,
        // TLS that fails does so for everybody.
        Err(error @ ConnectError::Tls(_)) => Some(error.to_string()),
        Err(error) => error.is_passing().then(|| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn rejected(code: &[u8]) -> ConnectError {
        ConnectError::Rejected {
            admitted: false,
            code: SqlState::of(code),
            body: b"Mno\0\0".to_vec(),
        }
    }

    fn seen(is_standby: bool) -> Seen {
        Seen {
            version: "18".to_owned(),
            is_standby,
        }
    }

    #[test]
    fn a_server_that_answers_is_a_primary_unless_it_is_a_standby_or_starts_or_stops() {
        assert_eq!(judge(Ok(seen(false)), Role::Auto), None);
        assert_eq!(
            judge(Ok(seen(true)), Role::Primary),
            Some("it is a standby".to_owned())
        );
        for fine in [&b"28P01"[..], b"3D000", b"53300"] {
            assert_eq!(judge(Err(rejected(fine)), Role::Primary), None);
        }
        assert_eq!(judge(Err(ConnectError::NoPassword), Role::Auto), None);
        assert!(judge(Err(ConnectError::NoPassword), Role::Replica).is_some());
        assert_eq!(judge(Ok(seen(false)), Role::Replica), None);
        assert!(judge(Err(rejected(b"57P03")), Role::Auto).is_some());
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(judge(Err(ConnectError::Dial(refused)), Role::Auto).is_some());
    }
}
