//! `pg-ambassador check`: is the configuration right, and with `--connect`, does it work?

use std::process::ExitCode;

use tokio::runtime::Builder;

use super::dial::{self, Seen};
use crate::backend::ConnectError;
use crate::config::{Config, Own, key_of, logins};
use crate::server::Database;
use crate::topology::{Address, Backend, Role};

/// How the connections call themselves to the backend.
const APPLICATION: &str = "ambassador check";

/// Tells what is to be told of a configuration without a mistake.
pub fn check(config: &Config, connect: bool) -> ExitCode {
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    println!("the configuration is valid");
    if !connect {
        return ExitCode::SUCCESS;
    }
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pg-ambassador: cannot connect to anybody: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(connect_to_all(config)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Whether everything that was tried works.
async fn connect_to_all(config: &Config) -> bool {
    let mut works = true;
    for database in &config.server.databases {
        let entry = database.name.as_deref().unwrap_or("*");
        let health = config.health.get(entry).cloned().unwrap_or_default();
        let mut roles = Roles::default();
        for backend in &database.backends {
            for own in logins(database, &health) {
                let place = Place {
                    config,
                    database,
                    backend,
                    own: &own,
                };
                match place.visit().await {
                    Ok(seen) => {
                        println!("{}", place.said(&seen));
                        roles.note(&backend.address, seen.is_standby);
                    }
                    Err(wrong) => {
                        eprintln!("{}", wrong.said);
                        works = false;
                        roles.is_complete = false;
                        if wrong.whole {
                            break;
                        }
                    }
                }
            }
        }
        // A lone one may be a standby on purpose, for who only reads.
        if database.backends.len() > 1
            && let Some(wrong) = roles.wrong(entry)
        {
            eprintln!("{wrong}");
            works = false;
        }
    }
    works
}

/// Which backends of a database take writes.
struct Roles {
    primaries: Vec<String>,
    /// All have been asked.
    is_complete: bool,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            primaries: Vec::new(),
            is_complete: true,
        }
    }
}

impl Roles {
    fn note(&mut self, address: &Address, is_standby: bool) {
        let address = address.to_string();
        if !is_standby && !self.primaries.contains(&address) {
            self.primaries.push(address);
        }
    }

    /// What is wrong with them together.
    fn wrong(&self, entry: &str) -> Option<String> {
        match self.primaries.as_slice() {
            [] if self.is_complete => Some(format!(
                "database {entry:?}: all its backends are standbys: nobody takes writes"
            )),
            [] | [_] => None,
            several => Some(format!(
                "database {entry:?}: {} are no standbys: which of them is the primary? take the others out",
                several.join(", ")
            )),
        }
    }
}

/// What keeps a login from working.
struct Wrong {
    said: String,
    /// No other login would fare better.
    whole: bool,
}

/// One login to try.
struct Place<'a> {
    config: &'a Config,
    database: &'a Database,
    backend: &'a Backend,
    own: &'a Own,
}

impl Place<'_> {
    async fn visit(&self) -> Result<Seen, Wrong> {
        let Self { own, backend, .. } = self;
        let seen = dial::look(self.database, backend, own, APPLICATION).await;
        let seen = seen.map_err(|error| Wrong {
            said: match self.advice(&error).as_str() {
                "" => format!("{}: {error}", self.whom(&error)),
                advice => format!("{}: {error}; {advice}", self.whom(&error)),
            },
            whole: is_of_the_address(&error),
        })?;
        if seen.is_standby && backend.role == Role::Primary {
            let key = self.path(&["backends", "role"]);
            return Err(Wrong {
                said: format!(
                    "{}: it is a standby and takes no writes; {key} says primary",
                    backend.address
                ),
                whole: true,
            });
        }
        Ok(seen)
    }

    fn said(&self, seen: &Seen) -> String {
        let Self { own, backend, .. } = self;
        format!(
            "{}: logged in as {:?} to {:?}, PostgreSQL {}{}",
            backend.address,
            own.user,
            own.database,
            seen.version,
            if seen.is_standby { ", a standby" } else { "" },
        )
    }

    /// Whom the error is about.
    fn whom(&self, error: &ConnectError) -> String {
        let Self { own, backend, .. } = self;
        match is_of_the_address(error) {
            true => backend.address.to_string(),
            false => format!(
                "{}, user {:?}, database {:?}",
                backend.address, own.user, own.database
            ),
        }
    }

    /// What to do about it.
    fn advice(&self, error: &ConnectError) -> String {
        let (key, url) = (&self.own.key, self.config.upstream.is_some());
        match error {
            ConnectError::Dial(_)
            | ConnectError::Lost(_)
            | ConnectError::Negotiated { .. }
            | ConnectError::Protocol => {
                format!(
                    "check that a Postgres listens there, and {}",
                    self.path(&["backends", "address"])
                )
            }
            ConnectError::TimedOut(_) => format!(
                "check the network and {}, or raise {}",
                self.path(&["backends", "address"]),
                self.path(&["connect_timeout"])
            ),
            ConnectError::NoPassword | ConnectError::Scram(_) | ConnectError::Unproven if url => {
                "check the URL's password".to_owned()
            }
            ConnectError::NoPassword => format!("set {key}, or its _file or _env"),
            ConnectError::Scram(_) | ConnectError::Unproven => format!("check {key}"),
            ConnectError::Cleartext | ConnectError::Unsupported(_) | ConnectError::NoMechanism => {
                "let pg_hba.conf ask this user for scram-sha-256".to_owned()
            }
            ConnectError::NotAllowed(_) => format!(
                "let pg_hba.conf ask this user for scram-sha-256, or change {}",
                self.path(&["upstream_tls", "require_auth"])
            ),
            ConnectError::Unbound => format!(
                "let pg_hba.conf ask this user for scram-sha-256 by TLS, or change {}",
                self.path(&["upstream_tls", "channel_binding"])
            ),
            ConnectError::Rejected { .. } => self.rejected(error),
            // It says itself what to do.
            ConnectError::Tls(_) => String::new(),
        }
    }

    fn rejected(&self, error: &ConnectError) -> String {
        let (key, url) = (&self.own.key, self.config.upstream.is_some());
        let class = error.code().map(|code| code.class().to_owned());
        match class.as_deref() {
            Some(b"28") if url => "check the URL's user and password".to_owned(),
            Some(b"28") => format!("check {key} and the server's pg_hba.conf"),
            Some(b"3D") if url => "check the URL's database".to_owned(),
            Some(b"3D") => format!("set {} to one that exists", self.path(&["dbname"])),
            Some(_) | None => "that is the server's own word".to_owned(),
        }
    }

    /// A key of the database's table. The address is the URL's, where there is one.
    fn path(&self, keys: &[&str]) -> String {
        match self.config.upstream {
            Some(_) if keys.first() == Some(&"backends") => "the URL".to_owned(),
            Some(_) | None => key_of(self.database, keys),
        }
    }
}

fn is_of_the_address(error: &ConnectError) -> bool {
    match error {
        ConnectError::Dial(_)
        | ConnectError::Tls(_)
        | ConnectError::Lost(_)
        | ConnectError::TimedOut(_)
        | ConnectError::Negotiated { .. }
        | ConnectError::Protocol => true,
        ConnectError::Rejected { .. }
        | ConnectError::NoPassword
        | ConnectError::Cleartext
        | ConnectError::NotAllowed(_)
        | ConnectError::Unbound
        | ConnectError::Unsupported(_)
        | ConnectError::NoMechanism
        | ConnectError::Scram(_)
        | ConnectError::Unproven => false,
    }
}
