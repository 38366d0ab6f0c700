//! The metrics, by their names, in Prometheus' text format. Nobody outside of this module knows a name.

mod backends;
mod certificates;
mod page;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::task::yield_now;

use self::page::{Kind, Page};
use super::{Census, Clients, History, PoolHistory, remembered_as};
use crate::backend::{Fleet, Member};
use crate::net::tls::State;
use crate::pool::{Counts, Key};
use crate::route::{CLASSES, Decision};
use crate::telemetry::counters::{CONNECTED, Times, Totals};

/// Of the format, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of the process as a whole.
#[derive(Debug, Clone)]
pub struct Process {
    pub version: &'static str,
    /// The same for the same configuration; below 2^53, which a metric's value keeps exactly.
    pub config_hash: u64,
}

/// The backends of the databases that have several, by the names of their entries.
pub type Fleets = Vec<(String, Arc<Fleet>)>;

/// A family: writes its lines.
type Family = fn(&mut Page, &Figures);

const FAMILIES: &[Family] = &[
    client_connections,
    client_logins,
    pool_connections,
    pool_size,
    pool_waiting,
    pool_waits,
    transactions,
    statements,
    statement_times,
    route_decisions,
    misroutes,
    verdict_cache,
    pins,
    pinned_sessions,
    upstream_connects,
    upstream_connect_times,
    received,
    sent,
    backends::backends,
    certificates::certificates,
    process,
];

/// Writes all that is known. Lets others of its thread go on in between: nobody waits for a
/// whole page.
pub async fn render(
    process: &Process,
    history: History,
    census: Vec<Census>,
    papers: Vec<State>,
    fleets: Fleets,
) -> String {
    let mut figures = Figures {
        papers,
        ..Figures::new(process.clone(), history, census)
    };
    figures.heed(fleets);
    let mut page = Page::default();
    for family in FAMILIES {
        family(&mut page, &figures);
        yield_now().await;
    }
    page.finish()
}

/// Everything that is told, by pools.
struct Figures {
    process: Process,
    pools: Vec<Pool>,
    refused: Vec<(String, BTreeMap<&'static str, u64>)>,
    panics: u64,
    papers: Vec<State>,
    fleets: Fleets,
    /// Remembered.
    verdicts: usize,
}

/// One pool, all workers together.
struct Pool {
    entry: String,
    database: String,
    role: &'static str,
    backend: String,
    user: String,
    size: Option<usize>,
    totals: Totals,
    connections: Counts,
    clients: Clients,
    pinned: BTreeMap<&'static str, usize>,
}

impl Figures {
    fn new(process: Process, history: History, census: Vec<Census>) -> Self {
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut pools: Vec<Pool> = Vec::new();
        for pool in history.pools {
            places.insert(pool.key.clone(), pools.len());
            pools.push(Pool::new(pool));
        }
        let verdicts = census.iter().map(|census| census.verdicts).sum();
        for part in census.into_iter().flat_map(|census| census.pools) {
            let place = places.get(&part.key).copied();
            let Some(pool) = place.and_then(|at| pools.get_mut(at)) else {
                continue;
            };
            pool.connections += part.connections;
            pool.clients.active += part.clients.active;
            pool.clients.waiting += part.clients.waiting;
            pool.clients.idle += part.clients.idle;
            for (reason, sessions) in part.pinned {
                *pool.pinned.entry(reason).or_default() += sessions;
            }
        }
        Self {
            process,
            pools,
            refused: history.refused,
            panics: history.panics,
            papers: Vec::new(),
            fleets: Vec::new(),
            verdicts,
        }
    }

    /// Takes in what is known of backends. A pool's role is its backend's: what was counted before
    /// a failover goes with it.
    fn heed(&mut self, fleets: Fleets) {
        for pool in &mut self.pools {
            let fleet = fleets.iter().find(|(entry, _)| *entry == pool.entry);
            let primary = fleet.and_then(|(_, fleet)| fleet.members().get(fleet.primary()?));
            let is_primary = |one: &Member| one.backend.address.to_string() == pool.backend;
            if fleet.is_some() && !primary.is_some_and(is_primary) {
                pool.role = "replica";
            }
        }
        self.fleets = fleets;
    }

    /// The values of one family: of pools that its labels do not tell apart, the sum.
    fn sums<'a, const N: usize, I>(
        &'a self,
        each: impl Fn(&'a Pool) -> I,
    ) -> BTreeMap<[&'a str; N], u64>
    where
        I: IntoIterator<Item = ([&'a str; N], u64)>,
    {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.pools.iter().flat_map(each) {
            *sums.entry(labels).or_default() += value;
        }
        sums
    }

    /// The same of times.
    fn times<'a, const N: usize>(
        &'a self,
        each: impl Fn(&'a Pool) -> ([&'a str; N], &'a Times),
    ) -> BTreeMap<[&'a str; N], Times> {
        let mut sums: BTreeMap<[&'a str; N], Times> = BTreeMap::new();
        for (labels, times) in self.pools.iter().map(each) {
            *sums.entry(labels).or_default() += times;
        }
        sums
    }
}

impl Pool {
    fn new(history: PoolHistory) -> Self {
        let PoolHistory { key, size, totals } = history;
        let key = remembered_as(&key, &totals);
        Self {
            database: key.name().into_owned(),
            role: "primary",
            entry: key.entry,
            user: String::from_utf8_lossy(&key.user).into_owned(),
            backend: key.backend,
            size,
            totals,
            connections: Counts::default(),
            clients: Clients::default(),
            pinned: BTreeMap::new(),
        }
    }

    fn labels(&self) -> [&str; 3] {
        [&self.database, &self.backend, &self.user]
    }
}

/// Writes the values under these labels.
fn samples<const N: usize>(
    page: &mut Page,
    names: [&'static str; N],
    values: BTreeMap<[&str; N], u64>,
) {
    for (labels, value) in values {
        page.sample(&paired(names, labels), number(value));
    }
}

fn histograms<const N: usize>(
    page: &mut Page,
    names: [&'static str; N],
    values: BTreeMap<[&str; N], Times>,
) {
    for (labels, times) in values {
        page.histogram(&paired(names, labels), &times);
    }
}

fn paired<'a, const N: usize>(
    names: [&'static str; N],
    labels: [&'a str; N],
) -> Vec<(&'a str, &'a str)> {
    names.into_iter().zip(labels).collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn number(value: u64) -> f64 {
    value as f64
}

fn client_connections(page: &mut Page, figures: &Figures) {
    page.family(
        "client_connections",
        Kind::Gauge,
        "Clients that are logged in: in a request or transaction, waiting for a connection, idle.",
    );
    let values = figures.sums(|pool| {
        let (name, clients) = (pool.database.as_str(), pool.clients);
        [
            ([name, "active"], clients.active as u64),
            ([name, "waiting"], clients.waiting as u64),
            ([name, "idle"], clients.idle as u64),
        ]
    });
    samples(page, ["database", "state"], values);
}

fn client_logins(page: &mut Page, figures: &Figures) {
    page.family(
        "client_logins_total",
        Kind::Counter,
        "Clients that were let in (ok), or why not; the database is empty where it was not known.",
    );
    let mut values =
        figures.sums(|pool| [([pool.database.as_str(), CONNECTED], pool.totals.logins)]);
    for (entry, words) in &figures.refused {
        for (word, count) in words {
            *values.entry([entry.as_str(), word]).or_default() += count;
        }
    }
    samples(page, ["database", "result"], values);
}

const POOL: [&str; 3] = ["database", "backend", "user"];

fn pool_connections(page: &mut Page, figures: &Figures) {
    page.family(
        "pool_connections",
        Kind::Gauge,
        "Connections to the backend: lent, idle, being dialled, or kept by a pinned session.",
    );
    let values = figures.sums(|pool| {
        let [database, backend, user] = pool.labels();
        let counts = pool.connections;
        let lent = counts.open.saturating_sub(counts.idle + counts.dialling);
        [
            ([database, backend, user, "active"], lent as u64),
            ([database, backend, user, "idle"], counts.idle as u64),
            (
                [database, backend, user, "connecting"],
                counts.dialling as u64,
            ),
            ([database, backend, user, "pinned"], counts.pinned as u64),
        ]
    });
    samples(page, ["database", "backend", "user", "state"], values);
}

fn pool_size(page: &mut Page, figures: &Figures) {
    page.family(
        "pool_size",
        Kind::Gauge,
        "Shared connections that the pool may have.",
    );
    let values = figures.sums(|pool| pool.size.map(|size| (pool.labels(), size as u64)));
    samples(page, POOL, values);
}

fn pool_waiting(page: &mut Page, figures: &Figures) {
    page.family(
        "pool_waiting",
        Kind::Gauge,
        "Requests and logins that wait for a connection.",
    );
    let values = figures.sums(|pool| [(pool.labels(), pool.connections.waiting as u64)]);
    samples(page, POOL, values);
}

fn pool_waits(page: &mut Page, figures: &Figures) {
    page.family(
        "pool_wait_seconds",
        Kind::Histogram,
        "How long those waited that had to; under load a sample, some hundred a second.",
    );
    let values = figures.times(|pool| ([pool.database.as_str()], &pool.totals.wait_times));
    histograms(page, ["database"], values);
}

fn transactions(page: &mut Page, figures: &Figures) {
    page.family(
        "transactions_total",
        Kind::Counter,
        "Transactions that ended; a statement outside of a block is one.",
    );
    let values = figures.sums(|pool| {
        let [database, backend, _] = pool.labels();
        [([database, backend, pool.role], pool.totals.transactions)]
    });
    samples(page, ["database", "backend", "role"], values);
}

/// With a class where texts are judged, without one where they are not.
fn statements(page: &mut Page, figures: &Figures) {
    page.family(
        "statements_total",
        Kind::Counter,
        "Statements that clients ran, those that failed too; by class where they are judged.",
    );
    let values = figures.sums(|pool| {
        let is_judged = !pool.totals.classes.is_empty();
        let labels = [pool.database.as_str(), pool.role];
        (!is_judged).then_some((labels, pool.totals.statements))
    });
    samples(page, ["database", "role"], values);
    let values = figures.sums(|pool| {
        let counts = CLASSES.iter().zip(&pool.totals.classes);
        let counts = counts.filter(|(_, count)| **count > 0);
        counts.map(|(class, &count)| ([pool.database.as_str(), pool.role, class.name()], count))
    });
    samples(page, ["database", "role", "class"], values);
}

fn route_decisions(page: &mut Page, figures: &Figures) {
    page.family(
        "route_decisions_total",
        Kind::Counter,
        "Texts by where they go (any: there is one backend) and why; where they are judged.",
    );
    let values = figures.sums(|pool| {
        let counts = Decision::places().zip(&pool.totals.decisions);
        let counts = counts.filter(|(_, count)| **count > 0);
        counts.map(|((role, reason), &count)| {
            let labels = [pool.database.as_str(), role.name(), reason.name()];
            (labels, count)
        })
    });
    samples(page, ["database", "role", "reason"], values);
}

fn misroutes(page: &mut Page, figures: &Figures) {
    page.family(
        "misroutes_total",
        Kind::Counter,
        "Requests that a replica refused and that ran again, unseen, by the code of the error.",
    );
    let values = figures.sums(|pool| {
        let misroutes = pool.totals.misroutes.iter();
        misroutes.map(|(code, &count)| ([pool.database.as_str(), *code], count))
    });
    samples(page, ["database", "sqlstate"], values);
}

fn verdict_cache(page: &mut Page, figures: &Figures) {
    page.family(
        "verdict_cache_entries",
        Kind::Gauge,
        "Verdicts that are remembered, each for all texts that differ in their values alone.",
    );
    page.sample(&[], number(figures.verdicts as u64));
    let sum = |one: fn(&Totals) -> u64| number(figures.pools.iter().map(|p| one(&p.totals)).sum());
    page.family(
        "verdict_cache_hits_total",
        Kind::Counter,
        "Texts whose verdict was remembered.",
    );
    page.sample(&[], sum(|totals| totals.verdict_hits));
    page.family(
        "verdict_cache_misses_total",
        Kind::Counter,
        "Texts whose verdict had to be found.",
    );
    page.sample(&[], sum(|totals| totals.verdict_misses));
}

fn statement_times(page: &mut Page, figures: &Figures) {
    page.family(
        "statement_seconds",
        Kind::Histogram,
        "From sending a request upstream to its end; under load a sample, some hundred a second.",
    );
    let values = figures.times(|pool| {
        (
            [pool.database.as_str(), pool.role],
            &pool.totals.request_times,
        )
    });
    histograms(page, ["database", "role"], values);
}

fn pins(page: &mut Page, figures: &Figures) {
    page.family(
        "pins_total",
        Kind::Counter,
        "Sessions that began to keep their connection beyond the transaction, by the reason.",
    );
    let values = figures.sums(|pool| {
        let pins = pool.totals.pins.iter();
        pins.map(|(reason, &count)| ([pool.database.as_str(), *reason], count))
    });
    samples(page, ["database", "reason"], values);
}

fn pinned_sessions(page: &mut Page, figures: &Figures) {
    page.family(
        "pinned_sessions",
        Kind::Gauge,
        "Sessions that keep their connection beyond the transaction, by the reason.",
    );
    let values = figures.sums(|pool| {
        let pinned = pool.pinned.iter();
        pinned.map(|(reason, &count)| ([pool.database.as_str(), *reason], count as u64))
    });
    samples(page, ["database", "reason"], values);
}

fn upstream_connects(page: &mut Page, figures: &Figures) {
    page.family(
        "upstream_connects_total",
        Kind::Counter,
        "Attempts to connect and log in to the backend, by what came of them.",
    );
    let values = figures.sums(|pool| {
        let connects = pool.totals.connects.iter();
        connects.map(|(result, &count)| ([pool.backend.as_str(), *result], count))
    });
    samples(page, ["backend", "result"], values);
}

fn upstream_connect_times(page: &mut Page, figures: &Figures) {
    page.family(
        "upstream_connect_seconds",
        Kind::Histogram,
        "How long it took to connect and log in to the backend, where that succeeded.",
    );
    let values = figures.times(|pool| ([pool.backend.as_str()], &pool.totals.connect_times));
    histograms(page, ["backend"], values);
}

fn received(page: &mut Page, figures: &Figures) {
    page.family(
        "received_bytes_total",
        Kind::Counter,
        "Bytes read from clients and from backends, logins not counted.",
    );
    let values = figures.sums(|pool| {
        [
            (["client"], pool.totals.from_client),
            (["backend"], pool.totals.from_backend),
        ]
    });
    samples(page, ["side"], values);
}

fn sent(page: &mut Page, figures: &Figures) {
    page.family(
        "sent_bytes_total",
        Kind::Counter,
        "Bytes written to clients and to backends, logins not counted.",
    );
    let values = figures.sums(|pool| {
        [
            (["client"], pool.totals.to_client),
            (["backend"], pool.totals.to_backend),
        ]
    });
    samples(page, ["side"], values);
}

fn process(page: &mut Page, figures: &Figures) {
    page.family(
        "session_panics_total",
        Kind::Counter,
        "Sessions that ended by a defect of the ambassador; please report it with the log.",
    );
    page.sample(&[], number(figures.panics));
    page.family(
        "config_hash",
        Kind::Gauge,
        "A number that is the same where the configuration is the same; secrets do not count.",
    );
    page.sample(&[], number(figures.process.config_hash));
    page.family(
        "build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    );
    page.sample(&[("version", figures.process.version)], 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counters::Words;

    fn pool(entry: &str, database: &str, user: &str, connects: Words) -> PoolHistory {
        PoolHistory {
            key: Key {
                entry: entry.to_owned(),
                backend: "db:5432".to_owned(),
                database: database.into(),
                user: user.into(),
            },
            size: Some(20),
            totals: Totals {
                transactions: 1,
                connects,
                ..Totals::default()
            },
        }
    }

    async fn told(pools: Vec<PoolHistory>) -> String {
        let process = Process {
            version: "1",
            config_hash: 1,
        };
        let history = History {
            pools,
            ..History::default()
        };
        render(&process, history, Vec::new(), Vec::new(), Vec::new()).await
    }

    #[tokio::test]
    async fn a_name_that_no_backend_knows_is_no_label() {
        let good = Words::from([(CONNECTED, 1)]);
        let bad = Words::from([("rejected", 1)]);
        let told = told(vec![
            pool("*", "known", "app", good),
            pool("*", "made\nup", "who", bad.clone()),
            pool("*", "invented", "ever", bad.clone()),
            pool("shop", "upstream", "app", bad),
        ])
        .await;
        let line = |database: &str, value: u64| {
            format!(
                "ambassador_transactions_total{{database=\"{database}\",backend=\"db:5432\",role=\"primary\"}} {value}\n"
            )
        };
        for line in [line("known", 1), line("*", 2), line("shop", 1)] {
            assert!(told.contains(&line), "{line} in {told}");
        }
        assert!(!told.contains("made") && !told.contains("ever"), "{told}");
    }
}
