//! SHOW ROUTES.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use super::{
    super::{
        House,
        table::{Column, Row, number, text},
    },
    Facts,
};
use crate::route::Role;
use crate::session::Path;

pub const COLUMNS: &[Column] = &[
    text("database"),
    text("fingerprint"),
    text("class"),
    text("role"),
    text("reason"),
    text("because_of"),
    number("total_count"),
    number("primary_count"),
    number("replica_count"),
    number("avg_time"),
    text("statement"),
];

/// As many are shown, the most frequent.
const TOP: usize = 100;

/// A row for each fingerprint; its role and reason are those of the last time.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let mut all: HashMap<(&str, u64), Path> = HashMap::new();
    let told = facts.reports.iter().flat_map(|report| &report.paths);
    for (database, path) in told {
        let key = (database.as_str(), path.fingerprint.bits());
        all.entry(key)
            .and_modify(|sum| add(sum, path))
            .or_insert_with(|| path.clone());
    }
    let mut all: Vec<_> = all.into_iter().collect();
    let count = |path: &Path| path.counts.iter().sum::<u64>();
    all.sort_by_key(|((database, print), path)| (Reverse(count(path)), *database, *print));
    all.truncate(TOP);
    let rows = all.into_iter().map(|((database, _), path)| {
        let of = |role: Role| path.counts.get(role as usize).copied().unwrap_or_default();
        let requests = u32::try_from(path.requests).unwrap_or(u32::MAX);
        let mean = path.time.checked_div(requests).unwrap_or(Duration::ZERO);
        vec![
            database.to_owned().into(),
            path.fingerprint.to_string().into(),
            path.class.name().into(),
            path.role.name().into(),
            path.reason.name().into(),
            path.subject.as_deref().map(str::to_owned).into(),
            count(&path).into(),
            of(Role::Primary).into(),
            of(Role::Replica).into(),
            u64::try_from(mean.as_micros()).unwrap_or(u64::MAX).into(),
            String::from(path.text).into(),
        ]
    });
    rows.collect()
}

/// The same of another worker.
fn add(sum: &mut Path, more: &Path) {
    for (sum, more) in sum.counts.iter_mut().zip(more.counts) {
        *sum += more;
    }
    sum.time += more.time;
    sum.requests += more.requests;
}
