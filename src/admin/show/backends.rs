//! SHOW BACKENDS.

use std::collections::BTreeMap;

use super::{
    super::{
        House,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
};

pub const COLUMNS: &[Column] = &[
    text("address"),
    number("shard"),
    text("role"),
    text("health"),
    text("breaker"),
    number("lag"),
    number("connections"),
    text("error"),
];

#[derive(Default)]
struct Backend {
    role: &'static str,
    connections: usize,
    failure: Option<String>,
}

/// A row for each backend; what is not known yet is NULL.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let mut backends: BTreeMap<&str, Backend> = BTreeMap::new();
    for database in facts.house.databases() {
        backends.entry(&database.backend).or_default().role = database.role;
    }
    for pool in facts.reports.iter().flat_map(|report| &report.pools) {
        let backend = backends.entry(&pool.key.backend).or_default();
        let counts = pool.counts;
        backend.connections += (counts.open + counts.pinned).saturating_sub(counts.dialling);
        backend.failure = backend.failure.take().or_else(|| pool.failure.clone());
    }
    let row = |(address, backend): (&str, Backend)| {
        let health = match (backend.connections, &backend.failure) {
            (0, Some(_)) => "down",
            (0, None) => "unknown",
            _ => "up",
        };
        vec![
            address.to_owned().into(),
            Cell::Null,
            backend.role.into(),
            health.into(),
            Cell::Null,
            Cell::Null,
            backend.connections.into(),
            backend.failure.into(),
        ]
    };
    backends.into_iter().map(row).collect()
}
