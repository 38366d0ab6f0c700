//! What was promised, what was measured, and whether the promise was kept. Never bends a bound.

use crate::{
    cases::Case,
    memory::CLIENTS,
    peers::Peer,
    results::{CPU, Results, TPS, USER, median},
};

/// Calls per transaction below which we say "none": a blocked write now and then is no pattern.
const NONE: f64 = 0.001;

/// A promise with what became of it.
pub struct Bound {
    /// In words.
    pub promise: String,
    limit: f64,
    sense: Sense,
    unit: &'static str,
    /// One a round, sorted; the median counts.
    rounds: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Sense {
    AtMost,
    AtLeast,
}

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Kept.
    Ok,
    /// Not kept.
    Missed,
    /// Nobody knows.
    NotMeasured,
}

impl Verdict {
    /// As printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missed => "missed",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Bound {
    fn at_most(promise: &str, limit: f64, unit: &'static str, rounds: Vec<f64>) -> Self {
        Self {
            promise: promise.to_owned(),
            limit,
            sense: Sense::AtMost,
            unit,
            rounds,
        }
    }

    fn at_least(promise: &str, limit: f64, unit: &'static str, rounds: Vec<f64>) -> Self {
        Self {
            sense: Sense::AtLeast,
            ..Self::at_most(promise, limit, unit, rounds)
        }
    }

    /// Whether it was kept: unrounded.
    pub fn verdict(&self) -> Verdict {
        let kept = |measured| match self.sense {
            Sense::AtMost => measured <= self.limit,
            Sense::AtLeast => measured >= self.limit,
        };
        match median(&self.rounds) {
            None => Verdict::NotMeasured,
            Some(measured) if kept(measured) => Verdict::Ok,
            Some(_) => Verdict::Missed,
        }
    }

    /// "at most 0.93".
    pub fn limit(&self) -> String {
        match self.sense {
            Sense::AtMost if self.limit == NONE => "none".to_owned(),
            Sense::AtMost => format!("at most {}{}", self.limit, self.unit),
            Sense::AtLeast => format!("at least {}{}", self.limit, self.unit),
        }
    }

    /// "0.914 (0.901 … 0.930)": the median, and what single rounds showed.
    pub fn measured(&self) -> String {
        let (Some(median), [first, .., last]) = (median(&self.rounds), self.rounds.as_slice())
        else {
            let only = self.rounds.first();
            return only.map_or("–".to_owned(), |only| format!("{only:.3}{}", self.unit));
        };
        format!("{median:.3}{} ({first:.3} … {last:.3})", self.unit)
    }
}

/// Every promise about cost, against what was measured.
pub fn all(results: &Results, pgbouncer_prepares: bool) -> Vec<Bound> {
    let mut bounds = cpu(results, pgbouncer_prepares);
    bounds.extend(verdicts(results));
    bounds.extend(settings(results));
    bounds.extend(throughput(results));
    bounds.extend(tls(results));
    bounds.extend(calls(results));
    bounds.extend(memory(results));
    bounds
}

fn cpu(results: &Results, pgbouncer_prepares: bool) -> Vec<Bound> {
    let ratio = |case| results.ratios(case, Peer::Ambassador, CPU);
    let above = |case| results.above_relay(case, Peer::Ambassador, CPU);
    let prepared = if pgbouncer_prepares {
        ("CPU per transaction, prepared-32, to PgBouncer", 0.80)
    } else {
        (
            "CPU per transaction, prepared-32, to its own simple-32",
            1.0,
        )
    };
    let user = results.values(Case::SIMPLE_32, Peer::Ambassador, USER);
    vec![
        Bound::at_most(
            "CPU per transaction, simple-32, to PgBouncer",
            0.93,
            "",
            ratio(Case::SIMPLE_32),
        ),
        Bound::at_most(
            "CPU per transaction, extended-32, to PgBouncer",
            0.93,
            "",
            ratio(Case::EXTENDED_32),
        ),
        Bound::at_most(prepared.0, prepared.1, "", ratio(Case::PREPARED_32)),
        Bound::at_most(
            "CPU per transaction, simple-200, to PgBouncer",
            0.86,
            "",
            ratio(Case::SIMPLE_200),
        ),
        Bound::at_most(
            "CPU above the C relay, simple-32",
            1.2,
            " µs",
            above(Case::SIMPLE_32),
        ),
        Bound::at_most(
            "CPU above the C relay, extended-32",
            1.2,
            " µs",
            above(Case::EXTENDED_32),
        ),
        Bound::at_most(
            "user-space CPU per transaction, simple-32",
            2.0,
            " µs",
            user,
        ),
        Bound::at_most(
            "CPU per connection, connect-8, to PgBouncer",
            1.0,
            "",
            ratio(Case::CONNECT),
        ),
    ]
}

fn verdicts(results: &Results) -> Vec<Bound> {
    let bound = |case: Case| {
        let promise = format!("CPU per transaction, {}, verdicts to none", case.name);
        Bound::at_most(&promise, 1.04, "", results.judging(case, CPU))
    };
    Case::JUDGED.map(bound).into()
}

fn settings(results: &Results) -> Vec<Bound> {
    let groups = results.ratios(Case::GROUPS_32, Peer::Ambassador, CPU);
    vec![
        Bound::at_most(
            "CPU per transaction, groups-32, to PgBouncer",
            1.0,
            "",
            groups,
        ),
        Bound::at_most(
            "CPU per transaction, own-16, to the same clients without settings",
            1.1,
            "",
            results.settled(CPU),
        ),
    ]
}

fn throughput(results: &Results) -> Vec<Bound> {
    let two = results.ratios(Case::TWO_WORKERS, Peer::TwoWorkers, TPS);
    let connects = results.ratios(Case::CONNECT, Peer::Ambassador, TPS);
    vec![
        Bound::at_least(
            "throughput with two workers, 32 clients, to PgBouncer",
            1.2,
            "",
            two,
        ),
        Bound::at_least(
            "connections per second, connect-8, to PgBouncer",
            1.0,
            "",
            connects,
        ),
    ]
}

fn tls(results: &Results) -> Vec<Bound> {
    let ratio = |case, figure| results.ratios(case, Peer::TlsAmbassador, figure);
    vec![
        Bound::at_most(
            "CPU per transaction, tls-32, to PgBouncer",
            1.0,
            "",
            ratio(Case::TLS_32, CPU),
        ),
        Bound::at_least(
            "throughput of one result, tls-copy, to PgBouncer",
            1.0,
            "",
            ratio(Case::TLS_COPY, TPS),
        ),
    ]
}

fn calls(results: &Results) -> Vec<Bound> {
    let calls = results.calls.get(&Peer::Ambassador);
    let of = |name| calls.map(|calls| calls.of(name)).into_iter().collect();
    let total = calls.map(|calls| calls.total()).into_iter().collect();
    vec![
        Bound::at_most("system calls per transaction, simple-32", 4.3, "", total),
        Bound::at_most("epoll_ctl in the steady state", NONE, "", of("epoll_ctl")),
        Bound::at_most("futex in the steady state", NONE, "", of("futex")),
    ]
}

fn memory(results: &Results) -> Vec<Bound> {
    let memory = results.memory.get(&Peer::Ambassador);
    let idle = memory
        .map(|memory| memory.idle / 1024.0)
        .into_iter()
        .collect();
    let more = memory
        .map(|memory| memory.per_client())
        .into_iter()
        .collect();
    vec![
        Bound::at_most("resident memory, idle", 8.0, " MiB", idle),
        Bound::at_most(
            &format!("resident memory per idle client, of {CLIENTS}"),
            4.0,
            " KiB",
            more,
        ),
    ]
}
