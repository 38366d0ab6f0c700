//! The families that tell of backends that are watched: where a database has several.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{
    Figures, number,
    page::{Kind, Page, seconds},
};
use crate::backend::{Member, Standing};

pub(super) fn backends(page: &mut Page, figures: &Figures) {
    let members = figures.fleets.iter().flat_map(|(_, fleet)| fleet.members());
    let named = members.map(|member| (member.backend.address.to_string(), member));
    // Several databases of one server see it alike.
    let watched: BTreeMap<String, &Member> = named.collect();
    let mut gauge = |name, help, value: &dyn Fn(&Member) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for (backend, member) in &watched {
            if let Some(value) = value(member) {
                page.sample(&[("backend", backend)], value);
            }
        }
    };
    gauge(
        "backend_up",
        "1 if the backend answers and is of use; told where a database has more than one.",
        &|member| match member.standing() {
            Standing::Unknown => None,
            Standing::Down => Some(0.0),
            Standing::Primary | Standing::Replica | Standing::Lagging => Some(1.0),
        },
    );
    gauge(
        "backend_role",
        "1 for a primary, 0 for a replica, as it says itself.",
        &|member| match member.standing() {
            Standing::Unknown | Standing::Down => None,
            Standing::Primary => Some(1.0),
            Standing::Replica | Standing::Lagging => Some(0.0),
        },
    );
    let follows = |member: &Member| {
        let standing = member.standing();
        matches!(standing, Standing::Replica | Standing::Lagging)
    };
    gauge(
        "replica_lag_bytes",
        "How much of the primary's log a replica has not replayed.",
        &|member| follows(member).then(|| number(member.lag_bytes.load(Ordering::Relaxed))),
    );
    gauge(
        "replica_lag_seconds",
        "How long ago the oldest of what a replica has not replayed was there.",
        &|member| {
            let millis = member.lag_millis.load(Ordering::Relaxed);
            follows(member).then(|| seconds(millis.saturating_mul(1000)))
        },
    );
    page.family(
        "failovers_total",
        Kind::Counter,
        "Times that another backend took the place of a database's primary.",
    );
    for (database, fleet) in &figures.fleets {
        page.sample(&[("database", database)], number(fleet.failovers()));
    }
}
