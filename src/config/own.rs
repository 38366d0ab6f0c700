//! As whom does the ambassador itself log in to a backend?

use super::{HealthSettings, KeyPath};
use crate::auth::{Credential, User};
use crate::server::Database;

/// Whom everyone trusts who trusts anybody.
const SUPERUSER: &str = "postgres";

/// A login upstream that the configuration knows of.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    pub user: String,
    pub database: String,
    pub credential: Credential,
    /// The key that gives the password, or would.
    pub key: String,
}

/// The login of our own connections to a database's backends.
pub fn own(database: &Database, health: &HealthSettings) -> Own {
    written(database, health).unwrap_or_else(|| Own {
        user: SUPERUSER.to_owned(),
        database: name(database, health),
        credential: Credential::Nothing,
        key: key_of(database, &["health", "user"]),
    })
}

/// The same, as far as the file names one.
pub fn written(database: &Database, health: &HealthSettings) -> Option<Own> {
    let name = name(database, health);
    if let Some(user) = &health.user {
        return Some(Own {
            user: user.clone(),
            database: name,
            credential: match &health.password {
                Some(password) => Credential::Password(password.clone()),
                None => Credential::Nothing,
            },
            key: key_of(database, &["health", "password_file"]),
        });
    }
    let mut known = known(database, &name);
    known.pop().filter(|_| known.is_empty())
}

/// The login upstream of a client of this name, if it is known before the client comes.
pub fn own_of(database: &Database, health: &HealthSettings, user: &str) -> Option<Own> {
    let entry = database.auth.users.get(user);
    let entry = entry.or(database.auth.everyone.as_ref())?;
    Some(Own {
        user: entry
            .upstream_user
            .clone()
            .unwrap_or_else(|| user.to_owned()),
        database: name(database, health),
        credential: entry.upstream(user, None),
        key: key_of(database, &["users", user, "upstream_password"]),
    })
}

/// Every login upstream that clients of a database may come to have, and our own.
pub fn logins(database: &Database, health: &HealthSettings) -> Vec<Own> {
    let mut all = known(database, &name(database, health));
    if health.user.is_some() || all.is_empty() {
        all.push(own(database, health));
    }
    all
}

/// Those that are known before a client comes. Not so where the client itself is to show what
/// logs in upstream: its verifier is all that there is, here or in the backend.
fn known(database: &Database, name: &str) -> Vec<Own> {
    let named = database.auth.users.iter();
    let named = named.map(|(entry, user)| (entry.as_str(), user, Some(entry.as_str())));
    // Everyone else logs in under a name that only the client knows.
    let everyone = database.auth.everyone.iter().map(|user| ("*", user, None));
    let asks = database.auth.method.asks();
    let login = |(entry, user, own): (&str, &User, Option<&str>)| {
        let credential = user.upstream(entry, None);
        let shown = asks && user.upstream_user.is_none() && credential == Credential::Nothing;
        if shown {
            return None;
        }
        Some(Own {
            user: user.upstream_user.as_deref().or(own)?.to_owned(),
            database: name.to_owned(),
            credential,
            key: key_of(database, &["users", entry, "upstream_password"]),
        })
    };
    named.chain(everyone).filter_map(login).collect()
}

fn name(database: &Database, health: &HealthSettings) -> String {
    let names = [
        &health.database,
        &database.dbname,
        &database.name,
        &database.default_dbname,
    ];
    let first = names.into_iter().flatten().next();
    first.map_or_else(|| SUPERUSER.to_owned(), String::clone)
}

/// A key of a database's table, in full.
pub fn key_of(database: &Database, keys: &[&str]) -> String {
    let entry = database.name.as_deref().unwrap_or("*");
    KeyPath::new(&[&["databases", entry], keys].concat()).to_string()
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::auth::{self, Method};
    use crate::backend;
    use crate::pool;
    use crate::session;

    fn database(users: &[(&str, Option<&str>)], everyone: Option<&str>) -> Database {
        let user = |upstream: Option<&str>| User::new(None, upstream.map(str::to_owned), None);
        let users = users
            .iter()
            .map(|(name, upstream)| ((*name).to_owned(), user(*upstream)));
        Database {
            name: Some("app".to_owned()),
            dbname: None,
            default_dbname: None,
            startup: Vec::new(),
            backends: Vec::new(),
            auth: auth::Settings {
                users: users.collect::<BTreeMap<_, _>>(),
                everyone: everyone.map(|name| user(Some(name))),
                ..auth::Settings::default()
            },
            backend: backend::Settings::default(),
            pool: pool::Settings::default(),
            session: session::Settings::default(),
            routing: crate::route::Settings::default(),
            own: None,
            health: crate::server::Health::default(),
        }
    }

    fn named(database: &Database, health: &HealthSettings) -> (String, String) {
        let own = own(database, health);
        (own.user, own.database)
    }

    fn pair(user: &str, database: &str) -> (String, String) {
        (user.to_owned(), database.to_owned())
    }

    #[test]
    fn our_own_login_is_the_one_for_health_else_the_only_one_else_the_superuser() {
        let nothing = HealthSettings::default();
        let only = database(&[("web", Some("shop"))], None);
        assert_eq!(named(&only, &nothing), pair("shop", "app"));
        let health = HealthSettings {
            user: Some("probe".to_owned()),
            database: Some("other".to_owned()),
            ..HealthSettings::default()
        };
        assert_eq!(named(&only, &health), pair("probe", "other"));
        let several = database(&[("web", None)], Some("shop"));
        assert_eq!(named(&several, &nothing), pair("postgres", "app"));
        let everyone = database(&[], Some("shop"));
        assert_eq!(named(&everyone, &nothing), pair("shop", "app"));
        assert_eq!(
            named(&database(&[], None), &nothing),
            pair("postgres", "app")
        );
    }

    #[test]
    fn a_login_that_only_its_client_can_show_is_none_of_ours() {
        let mut database = database(&[("web", None), ("job", Some("worker"))], None);
        let users = |database: &Database| -> Vec<String> {
            let all = logins(database, &HealthSettings::default());
            all.into_iter().map(|own| own.user).collect()
        };
        assert_eq!(users(&database), ["worker", "web"]);
        database.auth.method = Method::ScramSha256;
        assert_eq!(users(&database), ["worker"]);
    }

    #[test]
    fn every_login_that_is_known_is_there_with_the_key_of_its_password() {
        let users = database(&[("web", None), ("a b", Some("x"))], None);
        let all = logins(&users, &HealthSettings::default());
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|own| (own.user.as_str(), own.key.as_str()))
            .collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].0, "x");
        assert_eq!(all[0].1, "databases.app.users.\"a b\".upstream_password");
        assert_eq!(all[1], ("web", "databases.app.users.web.upstream_password"));
    }
}
