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
    pub health: Health,
}

/// How the backends of a database are watched, where there are several.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub rhythm: Rhythm,
    /// As whom, and where.
    pub login: OwnLogin,
    pub database: String,
    /// The key that gives its password, or would.
    pub key: String,
}

/// When backends are asked how they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// From one question to the next; above zero.
    pub interval: Duration,
    /// What is not answered within that is down; above zero.
    pub timeout: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
        }
    }
}

/// As whom the ambassador itself logs in upstream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnLogin {
    pub user: String,
    pub credential: auth::Credential,
}

impl Database {
    /// Who is taken for the primary as long as nobody has asked: who is said to be it, else the
    /// first that may be.
    pub fn presumed_primary(&self) -> Option<&topology::Backend> {
        let said = |one: &&topology::Backend| one.role == topology::Role::Primary;
        let may_be = |one: &&topology::Backend| one.role == topology::Role::Auto;
        let mut backends = self.backends.iter();
        let said = backends.clone().find(said);
        said.or_else(|| backends.find(may_be))
    }

    /// What names its entry.
    pub fn entry(&self) -> &str {
        self.name.as_deref().unwrap_or("*")
    }
}
