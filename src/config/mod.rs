//! What does the operator want? TOML, flags, variables and a URL become each room's settings.
//! Never serves and never dials, and below this room nobody knows of files or flags.
//!
//! The way through: `cli` reads the command line; [`load()`] lays variables and flags over the
//! file's `tree`, or over nothing but an `--upstream` `url`; `schema` knows every key of the
//! contract; `resolve` asks one `section` after the other for its values. Whatever is wrong
//! is a [`Mistake`] with its place; reading goes on, so that all are told at once.

mod backends;
mod cli;
mod encryption;
mod listen_tls;
mod load;
mod login;
mod mistake;
mod own;
mod passfile;
mod replicas;
mod resolve;
mod routing;
mod schema;
mod secret_file;
mod section;
mod shown;
mod tree;
mod units;
mod url;
mod url_hosts;
mod url_tls;
mod workers;

use core::fmt;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

pub use cli::{Check, Cli, Command, Demo, Format, Health, Hidden, Route, Run};
pub use load::{World, from_environment, load};
pub use mistake::{Hint, KeyPath, Mistake, Mistakes, Origin, Refusal, Warning, Wrong};
pub use own::{Own, key_of, logins, own, own_of};
pub use tree::Variable;
pub use url::UrlWrong;
pub use workers::cpus;

use crate::auth::Password;
use crate::server;

/// All that was asked for, checked: past this room it cannot be wrong.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: server::Settings,
    pub log: LogSettings,
    pub admin: AdminSettings,
    /// `[databases.NAME.health]` by NAME. The login of our own connections.
    pub health: BTreeMap<String, HealthSettings>,
    /// The `--upstream` URL as a log may show it; `None`: there is a file.
    pub upstream: Option<String>,
    /// For the log, each once.
    pub warnings: Vec<Warning>,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: Level,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The least important line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// The word in the file, which is also a filter of `tracing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// `None`: no HTTP.
    pub address: Option<AdminAddress>,
    /// Who may do everything on the console.
    pub console_users: Vec<String>,
    /// Who may look there.
    pub stats_users: Vec<String>,
}

/// Where the admin's HTTP listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminAddress {
    /// `None`: on every address (`:9127`).
    pub ip: Option<IpAddr>,
    pub port: u16,
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// `[databases.NAME.health]`: the login of our own connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthSettings {
    /// How often backends are asked, and how long they may take.
    pub rhythm: server::Rhythm,
    pub user: Option<String>,
    pub password: Option<Password>,
    pub database: Option<String>,
}
