//! SHOW LISTS, CONFIG, STATE and HELP: the house as a whole.

use std::collections::HashSet;

use super::{
    super::{House, table::Row},
    Facts, databases,
};

pub fn lists(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let views = facts.reports.iter().flat_map(|report| &report.pools);
    let pools: HashSet<_> = views.clone().map(|pool| &pool.key).collect();
    let servers: usize = views
        .map(|pool| pool.counts.open + pool.counts.pinned)
        .sum();
    let logged_in: usize = facts.reports.iter().map(|report| report.sessions).sum();
    let items: [(&'static str, usize); 14] = [
        ("databases", databases::rows(facts).len()),
        ("users", databases::user_names(facts).len()),
        ("peers", 0),
        ("pools", pools.len()),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", logged_in),
        ("login_clients", facts.house.arriving(logged_in)),
        ("free_servers", 0),
        ("used_servers", servers),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    let row = |(list, items): (&'static str, usize)| vec![list.into(), items.into()];
    items.into_iter().map(row).collect()
}

pub fn config(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let keys = facts.house.settings().keys.iter();
    keys.map(|one| {
        vec![
            one.key.clone().into(),
            one.value.clone().into(),
            one.default.clone().into(),
            "no".into(),
        ]
    })
    .collect()
}

pub fn state(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let word = |yes| if yes { "yes" } else { "no" };
    let paused = facts.pauses.all;
    vec![
        vec!["active".into(), word(!paused).into()],
        vec!["paused".into(), word(paused).into()],
        vec!["suspended".into(), word(false).into()],
    ]
}

pub fn help() -> Vec<Row> {
    let lines: [(&'static str, &'static str); 23] = [
        ("SHOW POOLS", "clients and connections of each pool"),
        ("SHOW CLIENTS", "who is connected, and what they do"),
        (
            "SHOW SERVERS",
            "the connections to backends, and who has them",
        ),
        (
            "SHOW DATABASES",
            "the databases, and whether they are paused",
        ),
        (
            "SHOW STATS, STATS_TOTALS, STATS_AVERAGES",
            "what has been done for each database, in all and lately",
        ),
        (
            "SHOW USERS",
            "the users, and how many connections they have",
        ),
        ("SHOW LISTS", "how many there are of everything"),
        ("SHOW CONFIG", "every key of the configuration"),
        ("SHOW STATE", "whether everything is paused"),
        ("SHOW VERSION", "what runs here"),
        ("SHOW PINS", "who keeps a connection to himself, and why"),
        ("SHOW BACKENDS", "the backends, and how they are"),
        (
            "SHOW ROUTES",
            "the statements that run most: where they go, and why",
        ),
        (
            "SHOW CERTIFICATES",
            "the certificates in use, and when they expire",
        ),
        ("SHOW HELP", "this"),
        (
            "PAUSE [database]",
            "lends nothing, closes what is free, and waits until all is",
        ),
        ("RESUME [database]", "ends a pause"),
        (
            "RECONNECT [database]",
            "closes connections as soon as they are free",
        ),
        ("KILL_CLIENT id", "sends a client away"),
        ("SHUTDOWN", "ends the process, as SIGTERM does"),
        ("SET, RESET, DISCARD", "are taken and change nothing"),
        (
            "BEGIN, COMMIT, ROLLBACK",
            "are taken: there is nothing to undo",
        ),
        ("SELECT 1", "is answered"),
    ];
    let row = |(command, does): (&'static str, &'static str)| vec![command.into(), does.into()];
    lines.into_iter().map(row).collect()
}
