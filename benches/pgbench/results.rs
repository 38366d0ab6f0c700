//! What was measured, and the ratios that follow from it.
//! Never mixes rounds: a ratio is taken within one, the median over all.

use std::collections::BTreeMap;

use crate::{
    calls::Calls,
    cases::{Case, Mode},
    load::Sample,
    memory::Memory,
    peers::Peer,
};

/// One figure of a sample.
pub type Figure = fn(&Sample) -> Option<f64>;

/// Transactions per second.
pub const TPS: Figure = |sample| Some(sample.tps);
/// Median latency.
pub const P50: Figure = |sample| sample.p50;
/// 99th percentile of the latency.
pub const P99: Figure = |sample| sample.p99;
/// Processor time per transaction.
pub const CPU: Figure = |sample| Some(sample.cpu);
/// User-space part of it.
pub const USER: Figure = |sample| sample.user;

/// Everything measured so far.
#[derive(Default)]
pub struct Results {
    /// Per case and peer, one entry a round; `None` is a run that failed.
    samples: BTreeMap<(Case, Peer), Vec<Option<Sample>>>,
    /// Why a peer did not run a case.
    refusals: BTreeMap<(Case, Peer), &'static str>,
    /// Calls per transaction.
    pub calls: BTreeMap<Peer, Calls>,
    /// Resident memory.
    pub memory: BTreeMap<Peer, Memory>,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

impl Results {
    /// Takes a round's run down.
    pub fn record(&mut self, case: Case, peer: Peer, sample: Option<Sample>) {
        self.samples.entry((case, peer)).or_default().push(sample);
    }

    /// Takes down that there is no run, and why.
    pub fn refuse(&mut self, case: Case, peer: Peer, why: &'static str) {
        self.refusals.insert((case, peer), why);
    }

    /// The part of the machine that strangers used, one figure a run.
    pub fn strangers(&self) -> Vec<f64> {
        let runs = self.samples.values().flatten().flatten();
        let counts = self.calls.values().map(Calls::strangers);
        runs.map(|sample| sample.strangers).chain(counts).collect()
    }

    /// Whether a peer ran a case at all.
    pub fn ran(&self, case: Case, peer: Peer) -> bool {
        self.samples.contains_key(&(case, peer))
    }

    /// Why peers did not run cases, each reason once.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<_> = self.refusals.values().copied().collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// The rounds' ratios to [`Results::baseline`], sorted.
    pub fn ratios(&self, case: Case, peer: Peer, figure: Figure) -> Vec<f64> {
        let Some(base) = self.baseline(case, peer) else {
            return Vec::new();
        };
        self.compare((case, peer), base, figure, |mine, theirs| mine / theirs)
    }

    /// The rounds' differences to the C relay, sorted.
    pub fn above_relay(&self, case: Case, peer: Peer, figure: Figure) -> Vec<f64> {
        let relay = (case, Peer::Relay);
        self.compare((case, peer), relay, figure, |mine, theirs| mine - theirs)
    }

    /// A figure in each round, sorted.
    pub fn values(&self, case: Case, peer: Peer, figure: Figure) -> Vec<f64> {
        let rounds = self.rounds(case, peer).iter();
        sorted(rounds.flatten().filter_map(figure))
    }

    /// The rounds' ratios of judging every text to judging none, sorted.
    pub fn judging(&self, case: Case, figure: Figure) -> Vec<f64> {
        let (with, without) = ((case, Peer::Judging), (case, Peer::Ambassador));
        self.compare(with, without, figure, |with, without| with / without)
    }

    /// The rounds' ratios of clients that each have settings of their own to clients that have none,
    /// sorted.
    pub fn settled(&self, figure: Figure) -> Vec<f64> {
        let run = |case| (case, Peer::Ambassador);
        let (with, without) = (run(Case::OWN_16), run(Case::SAME_16));
        self.compare(with, without, figure, |with, without| with / without)
    }

    /// What a run is a ratio to: PgBouncer's in the same round; where that PgBouncer cannot prepare,
    /// the peer's own run of the simple protocol.
    pub fn baseline(&self, case: Case, peer: Peer) -> Option<(Case, Peer)> {
        if self.refusals.contains_key(&(case, Peer::PgBouncer)) && case.mode == Mode::Prepared {
            return case.in_simple().map(|simple| (simple, peer));
        }
        Some((case, Peer::PgBouncer.in_case(case)))
    }

    fn compare(
        &self,
        mine: (Case, Peer),
        theirs: (Case, Peer),
        figure: Figure,
        how: fn(f64, f64) -> f64,
    ) -> Vec<f64> {
        let rounds = self
            .rounds(mine.0, mine.1)
            .iter()
            .zip(self.rounds(theirs.0, theirs.1));
        let both = rounds.filter_map(|(mine, theirs)| {
            let mine = figure(mine.as_ref()?)?;
            Some(how(mine, figure(theirs.as_ref()?)?))
        });
        sorted(both)
    }

    fn rounds(&self, case: Case, peer: Peer) -> &[Option<Sample>] {
        self.samples.get(&(case, peer)).map_or(&[], Vec::as_slice)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The middle of sorted values.
pub fn median(values: &[f64]) -> Option<f64> {
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}
