//! What the configuration says of listening and of databases.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::admin;
use crate::auth;
use crate::backend;
use crate::net::tls::{Offer, Papers};
use crate::pool;
use crate::route;
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
    /// `None`: no TLS with clients.
    pub tls: Option<Tls>,
    /// TLS, start-up and authentication together; zero: no limit.
    pub login_timeout: Duration,
    pub shutdown: Shutdown,
    pub databases: Vec<Database>,
    pub admin: admin::Settings,
}

/// TLS with clients; not on Unix sockets.
#[derive(Debug, Clone)]
pub struct Tls {
    pub demand: TlsDemand,
    pub papers: Arc<Papers<Offer>>,
}

/// What is asked of a client that comes over a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsDemand {
    /// Nothing: it may have TLS.
    Allow,
    /// TLS.
    Require,
    /// TLS, and a certificate of its own.
    VerifyClient,
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
    pub routing: route::Settings,
    /// Who reads the catalog; `None`: who comes first.
    pub own: Option<OwnLogin>,
}

/// As whom the ambassador itself logs in upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnLogin {
    pub user: String,
    pub credential: auth::Credential,
}

impl Database {
    /// What names its entry.
    pub fn entry(&self) -> &str {
        self.name.as_deref().unwrap_or("*")
    }
}
