//! From what is written to each room's settings; contradictions are found here.

use std::{
    cell::RefCell, collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration,
};

use super::{
    AdminAddress, AdminSettings, Config, HealthSettings, Level, LogFormat, LogSettings, listen_tls,
    load::{Given, World},
    mistake::{Notes, Origin, Wrong},
    own, routing,
    secret_file::SecretFile,
    section::Section,
    shown,
    tree::{Node, Value},
    units, workers,
};
use crate::auth::Password;
use crate::backend;
use crate::pool;
use crate::server::{self, Database, Health, Listen, OwnLogin, Rhythm, Shutdown};
use crate::session::{self, OnPin, PoolMode};

const LISTEN: &str = "127.0.0.1:5432";
pub const ADMIN: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9127);
const MAX_CLIENTS: usize = 10_000;
const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);
const GRACE: Duration = Duration::from_secs(5);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// Reads the whole; what is wrong is noted and replaced by its default.
pub fn config(
    root: &Node,
    upstream: Option<Given>,
    world: &World<'_>,
    notes: &RefCell<Notes>,
) -> Config {
    let written = root;
    let root = Section::root(root, notes);
    let listen = root.table("listen");
    let default = session::Settings::default();
    let reader = Reader {
        // Written once for all, asked by every session.
        client_idle_timeout: listen.duration("client_idle_timeout", default.client_idle_timeout),
        max_message_size: listen.size("max_message_size", default.max_message_size),
        listen,
        upstream,
        world,
    };
    let addresses = reader.addresses();
    let sections = root.table("databases").named();
    if root.get("databases").is_none_or(is_empty_table) {
        root.mistake("databases", Wrong::NoDatabase);
    }
    let mut health = BTreeMap::new();
    let mut databases = Vec::new();
    for (name, section) in &sections {
        let settings = reader.health(section);
        let mut database = reader.database(name, section);
        let login = |own: own::Own| OwnLogin {
            user: own.user,
            credential: own.credential,
        };
        database.own = own::written(&database, &settings).map(login);
        let own = own::own(&database, &settings);
        database.health.rhythm = settings.rhythm;
        database.health.database.clone_from(&own.database);
        database.health.key.clone_from(&own.key);
        database.health.login = login(own);
        health.insert((*name).to_owned(), settings);
        databases.push(database);
        reader.check_against_listeners(section, databases.last(), &addresses);
        if let Some(database) = databases.last() {
            listen_tls::check_method(&reader.listen, section, database);
        }
    }
    let admin = admin(&root.table("admin"), &addresses);
    let workers = reader.workers(&sections, &databases);
    Config {
        server: server::Settings {
            workers,
            max_clients: reader.listen.count("max_clients", 0, MAX_CLIENTS),
            login_timeout: reader.listen.duration("login_timeout", LOGIN_TIMEOUT),
            shutdown: shutdown(&root.table("shutdown")),
            tls: listen_tls::tls(&reader.listen),
            addresses: addresses.into_iter().map(|(listen, ..)| listen).collect(),
            databases,
            admin: crate::admin::Settings {
                console_users: admin.console_users.clone(),
                stats_users: admin.stats_users.clone(),
                keys: shown::settings(written),
            },
        },
        log: log(&root.table("log")),
        admin,
        health,
        upstream: reader.upstream.map(|given| given.upstream.to_string()),
        warnings: Vec::new(),
    }
}

fn is_empty_table(node: &Node) -> bool {
    matches!(&node.value, Value::Table(table) if table.is_empty())
}

/// What every database needs to know beside its own table.
pub(super) struct Reader<'a> {
    pub(super) listen: Section<'a>,
    client_idle_timeout: Duration,
    max_message_size: u64,
    pub(super) upstream: Option<Given>,
    pub(super) world: &'a World<'a>,
}

/// What we listen on, as it was written, and where.
pub(super) type Listener = (Listen, String, Origin);

impl Reader<'_> {
    fn addresses(&self) -> Vec<Listener> {
        let key = "addresses";
        let Some(node) = self.listen.get(key) else {
            let at = self.listen.at.clone();
            return units::listen(LISTEN)
                .map(|listen| vec![(listen, LISTEN.to_owned(), at)])
                .unwrap_or_default();
        };
        if is_empty_array(node) {
            self.listen.mistake(key, Wrong::NoListener);
        }
        let mut found: Vec<Listener> = Vec::new();
        for (text, item) in self.listen.texts(key).unwrap_or_default() {
            match units::listen(&text) {
                Ok(listen) if found.iter().any(|(other, ..)| *other == listen) => {
                    self.listen.wrong(item, key, Wrong::Duplicate);
                }
                Ok(listen) => found.push((listen, text, item.at.clone())),
                Err(wrong) => self.listen.wrong(item, key, wrong),
            }
        }
        found
    }

    fn database(&self, name: &str, section: &Section<'_>) -> Database {
        if name.is_empty() {
            section.mistake_here(Wrong::NamelessDatabase);
        }
        let upstream = self.upstream.as_ref().map(|given| &given.upstream);
        Database {
            name: (name != "*").then(|| name.to_owned()),
            dbname: section.text("dbname"),
            default_dbname: upstream
                .filter(|_| name == "*")
                .and_then(|upstream| upstream.dbname.clone()),
            startup: upstream.map_or_else(Vec::new, |upstream| upstream.startup.clone()),
            backends: self.backends(section),
            auth: self.auth(section),
            backend: self.backend(section),
            pool: pool(section),
            session: self.session(section),
            routing: routing::routing(&section.table("routing")),
            own: None,
            health: Health::default(),
        }
    }

    fn backend(&self, section: &Section<'_>) -> backend::Settings {
        let mut default = backend::Settings::default();
        if let Some(given) = &self.upstream {
            default.keepalive = given.upstream.keepalive.clone();
            if let Some(limit) = given.upstream.connect_timeout {
                default.connect_timeout = limit;
            }
        }
        let require_auth = self.require_auth(section);
        backend::Settings {
            connect_timeout: section.duration("connect_timeout", default.connect_timeout),
            keepalive: default.keepalive,
            require_auth,
            channel_binding: self.channel_binding(section),
            tls: self.encryption(section, require_auth),
        }
    }

    fn session(&self, section: &Section<'_>) -> session::Settings {
        let modes = [
            ("session", Some(PoolMode::Session)),
            ("transaction", Some(PoolMode::Transaction)),
            ("statement", Some(PoolMode::Statement)),
        ];
        let pins = [
            ("allow", Some(OnPin::Allow)),
            ("warn", Some(OnPin::Warn)),
            ("reject", Some(OnPin::Reject)),
        ];
        let default = session::Settings::default();
        session::Settings {
            pool_mode: section.choice("pool_mode", &modes, default.pool_mode),
            on_pin: section.choice("on_pin", &pins, default.on_pin),
            query_timeout: section.duration("query_timeout", default.query_timeout),
            idle_in_transaction_timeout: section.duration(
                "idle_in_transaction_timeout",
                default.idle_in_transaction_timeout,
            ),
            client_idle_timeout: self.client_idle_timeout,
            max_message_size: self.max_message_size,
        }
    }

    fn health(&self, section: &Section<'_>) -> HealthSettings {
        let health = section.table("health");
        let key = "password_file";
        let path = health.text(key).map(PathBuf::from);
        let password = path.map(|path| SecretFile::open(&path));
        HealthSettings {
            rhythm: rhythm(&health),
            user: health.text("user"),
            password: password
                .and_then(|file| note(&health, key, file))
                .map(|file| Password::Kept(Arc::new(file))),
            database: health.text("database"),
        }
    }

    /// At least 1.
    fn workers(&self, sections: &[(&str, Section<'_>)], databases: &[Database]) -> usize {
        let asked = self.listen.count("workers", 0, 0);
        let pools = sections.iter().zip(databases);
        let smallest = pools.min_by_key(|(_, database)| database.pool.pool_size);
        let (other, value) = match smallest {
            Some(((_, section), database)) => {
                let other = section.path.join("pool_size").to_string();
                (other, database.pool.pool_size)
            }
            None => return asked.max(1),
        };
        if asked == 0 {
            return workers::choose(self.world.cpus, value);
        }
        if asked > value {
            let wrong = Wrong::MoreWorkersThanConnections { other, value };
            self.listen.mistake("workers", wrong);
        }
        asked
    }
}

pub(super) fn is_empty_array(node: &Node) -> bool {
    matches!(&node.value, Value::Array(items) if items.is_empty())
}

fn rhythm(health: &Section<'_>) -> Rhythm {
    let default = Rhythm::default();
    let time = |key, default| {
        let time = health.duration(key, default);
        if time.is_zero() {
            health.mistake(key, Wrong::ZeroTime);
        }
        time
    };
    Rhythm {
        interval: time("interval", default.interval),
        timeout: time("timeout", default.timeout),
    }
}

pub(super) fn note<T>(section: &Section<'_>, key: &str, result: Result<T, Wrong>) -> Option<T> {
    result.map_err(|wrong| section.mistake(key, wrong)).ok()
}

fn pool(section: &Section<'_>) -> pool::Settings {
    let default = pool::Settings::default();
    let count = |key, least, default| section.count(key, least, default);
    let settings = pool::Settings {
        pool_size: count("pool_size", 1, default.pool_size),
        max_pinned: count("max_pinned", 0, default.max_pinned),
        min_pool_size: count("min_pool_size", 0, default.min_pool_size),
        max_backend_connections: count(
            "max_backend_connections",
            0,
            default.max_backend_connections,
        ),
        acquire_timeout: section.duration("acquire_timeout", default.acquire_timeout),
        max_waiting: count("max_waiting", 0, default.max_waiting),
        server_lifetime: section.duration("server_lifetime", default.server_lifetime),
        server_idle_timeout: section.duration("server_idle_timeout", default.server_idle_timeout),
        prepared_statements: count("prepared_statements", 0, default.prepared_statements),
    };
    let limits = [
        ("pool_size", settings.pool_size),
        ("max_backend_connections", settings.max_backend_connections),
    ];
    for (other, limit) in limits {
        if limit > 0 && settings.min_pool_size > limit {
            let (other, value) = (other.to_owned(), limit.to_string());
            section.mistake("min_pool_size", Wrong::Exceeds { other, value });
        }
    }
    settings
}

fn shutdown(section: &Section<'_>) -> Shutdown {
    let shutdown = Shutdown {
        grace: section.duration("grace", GRACE),
        drain_timeout: section.duration("drain_timeout", DRAIN_TIMEOUT),
    };
    if !shutdown.drain_timeout.is_zero() && shutdown.grace > shutdown.drain_timeout {
        if section.get("grace").is_some() {
            let other = "drain_timeout".to_owned();
            let value = format!("{:?}", shutdown.drain_timeout);
            section.mistake("grace", Wrong::Exceeds { other, value });
        } else {
            let other = "grace".to_owned();
            let value = format!("{:?}", shutdown.grace);
            section.mistake("drain_timeout", Wrong::Below { other, value });
        }
    }
    shutdown
}

fn log(section: &Section<'_>) -> LogSettings {
    let formats = [
        ("text", Some(LogFormat::Text)),
        ("json", Some(LogFormat::Json)),
    ];
    let levels = [
        ("error", Some(Level::Error)),
        ("warn", Some(Level::Warn)),
        ("info", Some(Level::Info)),
        ("debug", Some(Level::Debug)),
        ("trace", Some(Level::Trace)),
    ];
    LogSettings {
        format: section.choice("format", &formats, LogFormat::Text),
        level: section.choice("level", &levels, Level::Info),
    }
}

fn admin(section: &Section<'_>, listeners: &[Listener]) -> AdminSettings {
    let key = "address";
    let off = matches!(
        section.get(key).map(|node| &node.value),
        Some(Value::Text(text)) if text.is_empty()
    );
    let written = match off {
        true => None,
        false => section
            .parsed(key, units::admin)
            .or(Some((Some(ADMIN.0), ADMIN.1))),
    };
    let address = written.map(|(ip, port)| AdminAddress { ip, port });
    let clash = address.is_some_and(|address| {
        listeners.iter().any(|(listen, ..)| match listen {
            Listen::Tcp(socket) => {
                socket.port() == address.port && address.ip.is_none_or(|ip| ip == socket.ip())
            }
            Listen::Unix { .. } => false,
        })
    });
    if clash && address.is_some_and(|address| address.port != 0) {
        section.mistake(key, Wrong::AdminOnListener);
    }
    AdminSettings {
        address,
        console_users: names(section, "console_users"),
        stats_users: names(section, "stats_users"),
    }
}

fn names(section: &Section<'_>, key: &str) -> Vec<String> {
    let names = section.texts(key).unwrap_or_default();
    names.into_iter().map(|(name, _)| name).collect()
}
