//! SHOW POOLS.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        House,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
};
use crate::pool::Key;

pub const COLUMNS: &[Column] = &[
    text("database"),
    text("user"),
    number("cl_active"),
    number("cl_waiting"),
    number("cl_active_cancel_req"),
    number("cl_waiting_cancel_req"),
    number("sv_active"),
    number("sv_active_cancel"),
    number("sv_being_canceled"),
    number("sv_idle"),
    number("sv_used"),
    number("sv_tested"),
    number("sv_login"),
    number("maxwait"),
    number("maxwait_us"),
    text("pool_mode"),
    text("load_balance_hosts"),
    text("backend"),
    number("pool_size"),
    number("sv_pinned"),
];

/// A pool over all workers.
#[derive(Default)]
struct Pool {
    database: String,
    /// Clients that do not wait for a connection.
    active: usize,
    waiting: usize,
    lent: usize,
    idle: usize,
    dialling: usize,
    pinned: usize,
    size: usize,
    longest: Duration,
}

/// One row a pool, and one for the console, as PgBouncer has it.
pub fn rows(facts: &Facts<'_, impl House>) -> Vec<Row> {
    let mut pools: BTreeMap<&Key, Pool> = BTreeMap::new();
    for view in facts.reports.iter().flat_map(|report| &report.pools) {
        let pool = pools.entry(&view.key).or_default();
        let counts = view.counts;
        pool.database.clone_from(&view.name);
        pool.waiting += counts.waiting;
        pool.lent += counts.open.saturating_sub(counts.idle + counts.dialling);
        pool.idle += counts.idle;
        pool.dialling += counts.dialling;
        pool.pinned += counts.pinned;
        pool.size += view.share;
        pool.longest = pool.longest.max(view.longest_wait);
    }
    let mut console = 0;
    for report in &facts.reports {
        let mut of_pools = 0;
        for counted in &report.census.pools {
            let clients = counted.clients;
            of_pools += clients.active + clients.waiting + clients.idle;
            if let Some(pool) = pools.get_mut(&counted.key) {
                pool.active += clients.active + clients.idle;
            }
        }
        console += report.sessions.saturating_sub(of_pools);
    }
    let rows = pools.iter().map(|(key, pool)| row(facts, key, pool));
    rows.chain([of_the_console(console)]).collect()
}

fn row(facts: &Facts<'_, impl House>, key: &Key, pool: &Pool) -> Row {
    let mode = facts.entry(&key.entry).map(|database| database.pool_mode);
    vec![
        pool.database.clone().into(),
        String::from_utf8_lossy(&key.user).into_owned().into(),
        pool.active.into(),
        pool.waiting.into(),
        0_usize.into(),
        0_usize.into(),
        (pool.lent + pool.pinned).into(),
        0_usize.into(),
        0_usize.into(),
        pool.idle.into(),
        0_usize.into(),
        0_usize.into(),
        pool.dialling.into(),
        pool.longest.as_secs().into(),
        u64::from(pool.longest.subsec_micros()).into(),
        mode.into(),
        Cell::Null,
        key.backend.clone().into(),
        pool.size.into(),
        pool.pinned.into(),
    ]
}

fn of_the_console(clients: usize) -> Row {
    let mut row: Row = vec!["pgbouncer".into(), "pgbouncer".into(), clients.into()];
    row.resize(15, 0_usize.into());
    row.extend(["statement".into(), Cell::Null, Cell::Null]);
    row.extend([0_usize.into(), 0_usize.into()]);
    row
}
