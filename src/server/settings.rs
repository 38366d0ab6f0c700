//! What the configuration says of listening and of databases.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::admin;
use crate::auth;
use crate::backend;
use crate::pool;
use crate::session;
use crate::topology;

/// Where we listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    /// The folder in which `.s.PGSQL.<port>` is made.
    Unix {
        folder: PathBuf,
        port: u16,
    },
}

/// `[listen]`, `[shutdown]`, the databases, and the console.
#[derive(Debug, Clone)]
pub struct Settings {
    pub addresses: Vec<Listen>,
    /// At least 1, already resolved from 0 by the configuration.
    pub workers: usize,
    /// 0: no limit.
    pub max_clients: usize,
    /// TLS, start-up and authentication together; zero: no limit.
    pub login_timeout: Duration,
    pub shutdown: Shutdown,
    pub databases: Vec<Database>,
    pub admin: admin::Settings,
}

/// `[shutdown]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    pub grace: Duration,
    /// From the signal on.
    pub drain_timeout: Duration,
}

/// One `[databases.NAME]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// What the application asks for; `None`: every other name (`"*"`).
    pub name: Option<String>,
    /// The name upstream; `None`: the same.
    pub dbname: Option<String>,
    /// The name taken by a client that names none, before its user's name is (`--upstream` alone).
    pub default_dbname: Option<String>,
    /// Start-up settings that the URL asks for and the client may override (application_name, options).
    pub startup: Vec<(String, String)>,
    /// At least one.
    pub backends: Vec<topology::Backend>,
    pub auth: auth::Settings,
    pub backend: backend::Settings,
    pub pool: pool::Settings,
    pub session: session::Settings,
}

impl Database {
    /// What names its entry.
    pub fn entry(&self) -> &str {
        self.name.as_deref().unwrap_or("*")
    }
}
