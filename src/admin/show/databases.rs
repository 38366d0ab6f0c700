//! SHOW DATABASES and SHOW USERS.

use std::collections::BTreeSet;

use super::{
    super::{
        House,
        house::Database,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
};
use crate::pool::Key;
use crate::topology::Address;

pub const COLUMNS: &[Column] = &[
    text("name"),
    text("host"),
    number("port"),
    text("database"),
    text("force_user"),
    number("pool_size"),
    number("min_pool_size"),
    number("reserve_pool_size"),
    number("server_lifetime"),
    text("pool_mode"),
    text("load_balance_hosts"),
    number("max_connections"),
    number("current_connections"),
    number("max_client_connections"),
    number("current_client_connections"),
    number("paused"),
    number("disabled"),
];

pub const USERS: &[Column] = &[
    text("name"),
    text("pool_size"),
    text("reserve_pool_size"),
    text("pool_mode"),
    number("max_user_connections"),
    number("current_connections"),
    number("max_user_client_connections"),
    number("current_client_connections"),
];

/// A row for each database of the configuration, and each that came through `"*"`.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let configured = facts.house.databases().iter();
    let named = configured.filter(|database| database.name != "*");
    let mut rows: Vec<Row> = named
        .map(|database| row(facts, database, &database.name))
        .collect();
    if let Some(any) = facts.entry("*") {
        rows.extend(
            facts
                .passed_through()
                .iter()
                .map(|name| row(facts, any, name)),
        );
    }
    rows
}

fn row(facts: &Facts<'_, impl House>, database: &Database, name: &str) -> Row {
    let ours = |key: &Key| key.entry == database.name && key.name() == name;
    let (mut servers, mut clients) = (0, 0);
    for report in &facts.reports {
        for counted in report.census.pools.iter().filter(|pool| ours(&pool.key)) {
            servers += counted.connections.open + counted.connections.pinned;
            let of_pool = counted.clients;
            clients += of_pool.active + of_pool.waiting + of_pool.idle;
        }
    }
    let primary = facts.primary(&database.name);
    let (host, port) = match &primary {
        Some(Address::Tcp { host, port }) => (host.clone(), *port),
        Some(Address::Unix { folder, port }) => (folder.clone(), *port),
        None => (database.host.clone(), database.port),
    };
    let dbname = database.dbname.clone().unwrap_or_else(|| name.to_owned());
    vec![
        name.to_owned().into(),
        host.into(),
        port.into(),
        dbname.into(),
        database.force_user.clone().into(),
        database.pool_size.into(),
        database.min_pool_size.into(),
        0_usize.into(),
        database.server_lifetime.as_secs().into(),
        database.pool_mode.into(),
        Cell::Null,
        database.max_backend_connections.into(),
        servers.into(),
        0_usize.into(),
        clients.into(),
        facts.pauses.cover(name).into(),
        false.into(),
    ]
}

/// A row for each user of the configuration, and each that is here.
pub fn users(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let mut names = user_names(facts);
    for report in &facts.reports {
        names.extend(report.clients.iter().map(|client| client.user.clone()));
    }
    names.into_iter().map(|name| user(facts, name)).collect()
}

/// The users of the configuration, and those that there are pools for.
pub fn user_names(facts: &Facts<'_, impl House>) -> BTreeSet<String> {
    let configured = facts.house.databases().iter();
    let mut names: BTreeSet<String> = configured
        .flat_map(|database| database.users.iter().chain(&database.force_user))
        .cloned()
        .collect();
    for report in &facts.reports {
        let upstream = report.pools.iter().map(|pool| &pool.key.user);
        names.extend(upstream.map(|user| String::from_utf8_lossy(user).into_owned()));
    }
    names
}

fn user(facts: &Facts<'_, impl House>, name: String) -> Row {
    let (mut servers, mut clients) = (0, 0);
    for report in &facts.reports {
        let pools = report.pools.iter();
        let pools = pools.filter(|pool| pool.key.user == name.as_bytes());
        servers += pools
            .map(|pool| pool.counts.open + pool.counts.pinned)
            .sum::<usize>();
        let own = report.clients.iter().filter(|client| client.user == name);
        clients += own.count();
    }
    vec![
        name.into(),
        "".into(),
        "".into(),
        Cell::Null,
        0_usize.into(),
        servers.into(),
        0_usize.into(),
        clients.into(),
    ]
}

impl<H: House> Facts<'_, H> {
    /// A database of the configuration by its entry's name.
    pub fn entry(&self, name: &str) -> Option<&Database> {
        let mut databases = self.house.databases().iter();
        databases.find(|database| database.name == name)
    }

    /// Where writes go, where that is known.
    fn primary(&self, entry: &str) -> Option<Address> {
        let (_, fleet) = self.fleets.iter().find(|(name, _)| name == entry)?;
        let primary = fleet.members().get(fleet.primary()?)?;
        Some(primary.backend.address.clone())
    }

    /// Names of databases that came through `"*"`.
    pub fn passed_through(&self) -> BTreeSet<String> {
        let pools = self.reports.iter().flat_map(|report| &report.pools);
        let any = pools.filter(|pool| pool.key.entry == "*");
        any.map(|pool| pool.name.clone()).collect()
    }
}
