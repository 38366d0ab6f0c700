//! SHOW BACKENDS.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{
    super::{
        House,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
};
use crate::backend::{Fleet, Member, Standing};
use crate::topology::Role;

pub const COLUMNS: &[Column] = &[
    text("address"),
    number("shard"),
    text("role"),
    text("health"),
    text("breaker"),
    number("lag"),
    number("connections"),
    text("error"),
    number("lag_bytes"),
];

#[derive(Default)]
struct Backend {
    role: &'static str,
    /// `None`: it is not watched.
    health: Option<&'static str>,
    /// Of one that follows: whole seconds, and bytes.
    lag: Option<(u64, u64)>,
    connections: usize,
    failure: Option<String>,
}

/// A row for each backend; what is not known is NULL.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let mut backends: BTreeMap<String, Backend> = BTreeMap::new();
    for database in facts.house.databases() {
        let backend = backends.entry(database.backend.clone()).or_default();
        backend.role = database.role;
    }
    for (_, fleet) in &facts.fleets {
        for (at, member) in fleet.members().iter().enumerate() {
            let address = member.backend.address.to_string();
            backends.insert(address, Backend::watched(fleet, at, member));
        }
    }
    for pool in facts.reports.iter().flat_map(|report| &report.pools) {
        let backend = backends.entry(pool.key.backend.clone()).or_default();
        let counts = pool.counts;
        backend.connections += (counts.open + counts.pinned).saturating_sub(counts.dialling);
        backend.failure = backend.failure.take().or_else(|| pool.failure.clone());
    }
    let row = |(address, backend): (String, Backend)| {
        let (lag, lag_bytes) = backend.lag.unzip();
        vec![
            address.into(),
            Cell::Null,
            backend.role.into(),
            backend.health().into(),
            Cell::Null,
            lag.into(),
            backend.connections.into(),
            backend.failure.into(),
            lag_bytes.into(),
        ]
    };
    backends.into_iter().map(row).collect()
}

impl Backend {
    fn watched(fleet: &Fleet, at: usize, member: &Member) -> Self {
        let standing = member.standing();
        let lag = || {
            let millis = member.lag_millis.load(Ordering::Relaxed);
            (millis / 1000, member.lag_bytes.load(Ordering::Relaxed))
        };
        let follows = matches!(standing, Standing::Replica | Standing::Lagging);
        Self {
            role: match (standing, member.backend.role) {
                (Standing::Primary, _) => "primary",
                (Standing::Replica | Standing::Lagging, _) => "replica",
                (Standing::Down | Standing::Unknown, _) if fleet.primary() == Some(at) => "primary",
                (Standing::Down | Standing::Unknown, Role::Primary | Role::Replica) => "replica",
                (Standing::Down | Standing::Unknown, Role::Auto) => "auto",
            },
            health: Some(match standing {
                Standing::Primary | Standing::Replica => "up",
                Standing::Down | Standing::Lagging | Standing::Unknown => standing.name(),
            }),
            lag: follows.then(lag),
            connections: 0,
            failure: member.trouble(),
        }
    }

    /// Of one that is not watched the connections tell.
    fn health(&self) -> &'static str {
        let of_connections = match (self.connections, &self.failure) {
            (0, Some(_)) => "down",
            (0, None) => "unknown",
            _ => "up",
        };
        self.health.unwrap_or(of_connections)
    }
}
