//! Who knows better: a primary and a hot standby, which are asked by running the statement.
//!
//! What is judged a read runs on both. It is a *false read* when
//! - the standby refuses what the primary takes,
//! - the session or the server, either of them, is another afterwards,
//! - the answers differ, and the primary itself answers the same twice.
//!
//! What is judged no read runs on the standby alone. It is *missed* when the standby answers it as
//! a query, nothing is another afterwards, it does not name the server (`server_names`), and the
//! primary answers the same. Commands that are no queries, such as BEGIN or SHOW, are not counted
//! though a standby takes them: where those go is no matter of reading.

use std::collections::BTreeMap;

use crate::{
    run::{Outcome, Runner},
    server_names::{Names, is_fatal},
    stand::Stand,
};

/// So many are run between two looks at the state. Where it differs they are run again by one.
const BATCH: usize = 50;

/// Refusals of a standby that a primary would not give.
const REFUSALS: &[&str] = &["25006", "55000", "0A000"];

/// A statement and what is judged of it.
#[derive(Debug, Clone)]
pub struct Case {
    pub source: &'static str,
    pub text: String,
    /// Why it is no read; `None`: it is one.
    pub reason: Option<&'static str>,
}

/// How reads of a source were recognised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Share {
    pub recognised: usize,
    pub missed: usize,
}

impl Share {
    pub fn percent(self) -> f64 {
        let all = self.recognised + self.missed;
        100.0 * self.recognised as f64 / all.max(1) as f64
    }
}

/// What the oracle says.
#[derive(Debug, Default)]
pub struct Report {
    pub false_reads: Vec<String>,
    pub missed: Vec<String>,
    pub shares: BTreeMap<&'static str, Share>,
    /// Judged a read, and both servers refuse it alike.
    pub refused_alike: usize,
}

impl Report {
    pub fn whole(&self) -> Share {
        let add = |sum: Share, one: &Share| Share {
            recognised: sum.recognised + one.recognised,
            missed: sum.missed + one.missed,
        };
        self.shares.values().fold(Share::default(), add)
    }
}

/// Asks about all of them.
pub fn ask(stand: &Stand, cases: &[Case]) -> Report {
    let mut oracle = Oracle {
        names: Names::of(stand),
        primary: Runner::new(stand.primary.port()),
        cautious: Runner::read_only(stand.primary.port()),
        standby: Runner::new(stand.standby.port()),
        report: Report::default(),
    };
    let (reads, others): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.reason.is_none());
    oracle.reads(&reads);
    oracle.others(&others);
    oracle.report
}

struct Oracle {
    names: Names,
    primary: Runner,
    /// On the primary, in transactions that cannot write.
    cautious: Runner,
    standby: Runner,
    report: Report,
}

/// What came of a statement, and what it changed.
struct Tried {
    outcome: Outcome,
    changed: Option<String>,
}

impl Oracle {
    fn reads(&mut self, cases: &[&Case]) {
        let (fatal, cases): (Vec<&Case>, Vec<&Case>) =
            cases.iter().partition(|case| is_fatal(&case.text));
        for case in fatal {
            self.blame(case, "it would end the standby or hold it up");
        }
        let on_standby = try_all(&mut self.standby, &cases);
        let on_primary = try_all(&mut self.primary, &cases);
        for ((case, standby), primary) in cases.into_iter().zip(on_standby).zip(on_primary) {
            match self.fault(case, &standby, &primary) {
                Some(fault) => self.blame(case, &fault),
                None if !standby.outcome.is_well() => self.report.refused_alike += 1,
                None if self.names.are_in(&case.text) => {}
                None => self.share(case).recognised += 1,
            }
        }
    }

    /// What is wrong with a read that went so.
    fn fault(&mut self, case: &Case, standby: &Tried, primary: &Tried) -> Option<String> {
        let (there, here) = (&standby.outcome, &primary.outcome);
        let code = there.code.as_deref().unwrap_or_default();
        if there.code != here.code && REFUSALS.contains(&code) {
            return Some(format!("the standby refuses it with {code}"));
        }
        if let Some(changed) = &standby.changed {
            return Some(format!("on the standby it changes {changed}"));
        }
        if let Some(changed) = &primary.changed {
            return Some(format!("on the primary it changes {changed}"));
        }
        if let Some(left) = there.left.or(here.left) {
            return Some(left.to_owned());
        }
        if there == here {
            return None;
        }
        // Dice and clocks answer otherwise on one server too.
        if self.primary.run(&case.text) != *here {
            return None;
        }
        Some(format!(
            "the answers differ: {there:?}, the primary's {here:?}"
        ))
    }

    fn others(&mut self, cases: &[&Case]) {
        let cases: Vec<&Case> = cases
            .iter()
            .copied()
            .filter(|case| !is_fatal(&case.text))
            .collect();
        let tried = try_all(&mut self.standby, &cases);
        for (case, standby) in cases.into_iter().zip(tried) {
            let outcome = &standby.outcome;
            let ran = outcome.is_well() && outcome.is_query() && standby.changed.is_none();
            if !ran || self.names.are_in(&case.text) {
                continue;
            }
            let primary = self.cautious.run(&case.text);
            let is_servers_own = primary != *outcome && primary == self.cautious.run(&case.text);
            if !is_servers_own {
                self.share(case).missed += 1;
                let reason = case.reason.unwrap_or_default();
                self.report
                    .missed
                    .push(format!("{}, {reason}: {}", case.source, case.text));
            }
        }
    }

    fn share(&mut self, case: &Case) -> &mut Share {
        self.report.shares.entry(case.source).or_default()
    }

    fn blame(&mut self, case: &Case, fault: &str) {
        let told = format!("{}: {}\n    {fault}", case.source, case.text);
        self.report.false_reads.push(told);
    }
}

fn try_all(runner: &mut Runner, cases: &[&Case]) -> Vec<Tried> {
    let mut tried = Vec::with_capacity(cases.len());
    for batch in cases.chunks(BATCH) {
        let before = runner.state();
        let outcomes: Vec<Outcome> = batch.iter().map(|case| runner.run(&case.text)).collect();
        if runner.state() == before {
            let unchanged = |outcome| Tried {
                outcome,
                changed: None,
            };
            tried.extend(outcomes.into_iter().map(unchanged));
        } else {
            try_each(runner, batch, &mut tried);
        }
    }
    tried
}

/// Again, with a look behind each, and a new session behind each that changed something.
fn try_each(runner: &mut Runner, batch: &[&Case], tried: &mut Vec<Tried>) {
    runner.renew();
    let mut before = runner.state();
    for case in batch {
        let outcome = runner.run(&case.text);
        let after = runner.state();
        let changed = (after != before).then(|| difference(&before, &after));
        if changed.is_some() {
            runner.renew();
            before = runner.state();
        }
        tried.push(Tried { outcome, changed });
    }
    runner.renew();
}

/// The parts of a state that differ.
fn difference(before: &str, after: &str) -> String {
    let parts = before.split(" | ").zip(after.split(" | "));
    let differing: Vec<String> = parts
        .filter(|(before, after)| before != after)
        .map(|(before, after)| format!("{before:?} to {after:?}"))
        .collect();
    match differing.is_empty() {
        true => format!("{before:?} to {after:?}"),
        false => differing.join(", "),
    }
}
