//! The backends of a database, where it has several, and this worker's pools of them.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use crate::backend::{Fleet, Mark, Standing};
use crate::pool::Pool;
use crate::route::{self, Balance, Consistency};

/// What picks one of several backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preferences {
    pub consistency: Consistency,
    pub balance: Balance,
    /// Reads go to the primary when no replica qualifies.
    pub falls_back: bool,
}

impl From<&route::Settings> for Preferences {
    fn from(settings: &route::Settings) -> Self {
        Self {
            consistency: settings.consistency,
            balance: settings.balance,
            falls_back: settings.replica_fallback,
        }
    }
}

/// One worker's pools of a database for one user, in the order of the [`Fleet`]'s members.
pub struct Pools {
    fleet: Arc<Fleet>,
    preferences: Preferences,
    pools: Box<[Rc<Pool>]>,
    records: Box<[Record]>,
    /// Whose turn it is, of those that are alike.
    next: Cell<usize>,
}

/// What is remembered of a backend.
#[derive(Debug, Default)]
struct Record {
    /// What it has coming, in turns.
    credit: Cell<i64>,
    /// What a request took there, in microseconds: the longest, which fades.
    pace: Cell<u64>,
}

/// What a replica must be to answer a read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Need {
    /// Nothing older than these may be shown.
    pub marks: [Option<Mark>; 2],
    /// It answered the session's last read, and goes on if it can.
    pub last: Option<usize>,
    /// These have failed already, a bit for each.
    pub without: u64,
}

/// Why no replica answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// None can be used.
    Replica,
    /// None shows what it must.
    Fresh,
}

impl Pools {
    /// `pools` has one of each of the fleet's members, in their order.
    pub fn new(fleet: Arc<Fleet>, preferences: Preferences, pools: Box<[Rc<Pool>]>) -> Self {
        Self {
            fleet,
            preferences,
            records: pools.iter().map(|_| Record::default()).collect(),
            pools,
            next: Cell::new(0),
        }
    }

    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.pools.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Rc<Pool>> {
        self.pools.get(at)
    }

    /// Where clients come in: at the primary, or where there is none, at any that is up.
    pub(super) fn entrance(&self) -> Option<usize> {
        let up = |at: &usize| self.may_read(*at);
        let primary = self.fleet.primary();
        primary.or_else(|| (0..self.pools.len()).find(up))
    }

    /// Whether reads may go there at all.
    fn may_read(&self, at: usize) -> bool {
        let member = self.fleet.members().get(at);
        member.is_some_and(|member| member.standing() == Standing::Replica)
    }

    /// Whether reads may go there, and a connection is to be had.
    pub(super) fn is_usable(&self, at: usize) -> bool {
        let reachable = self.pools.get(at).is_some_and(|pool| !pool.is_failing());
        reachable && self.may_read(at)
    }

    /// The replica that answers a read.
    pub(super) fn pick(&self, need: &Need) -> Result<usize, Lack> {
        let shows = |at: usize| {
            let mut marks = need.marks.iter().flatten();
            marks.all(|&mark| self.fleet.shows(at, mark))
        };
        let usable = |at: &usize| at_bit(*at) & need.without == 0 && self.is_usable(*at);
        if let Some(last) = need.last.filter(|last| usable(last) && shows(*last)) {
            return Ok(last);
        }
        let count = self.pools.len();
        let first = self.next.get();
        let order = || (0..count).map(|step| (first + step) % count);
        let best = order()
            .filter(|at| usable(at) && shows(*at))
            .min_by_key(|at| self.burden(*at));
        let Some(best) = best else {
            let any = order().any(|at| usable(&at));
            return Err(if any { Lack::Fresh } else { Lack::Replica });
        };
        // Of those that are alike each has its turn.
        self.next.set((best + 1) % count);
        self.chosen(best, order().filter(usable));
        Ok(best)
    }

    /// The lower, the sooner it should be asked.
    fn burden(&self, at: usize) -> i64 {
        let (Some(pool), Some(record)) = (self.pools.get(at), self.records.get(at)) else {
            return i64::MAX;
        };
        let load = i64::try_from(pool.load()).unwrap_or(i64::MAX - 1) + 1;
        let share = |cost: i64| cost.saturating_mul(SCALE) / self.weight(at);
        match self.preferences.balance {
            Balance::RoundRobin => -(record.credit.get() + self.weight(at)),
            Balance::LeastLoaded => share(load),
            Balance::Latency => {
                let pace = i64::try_from(record.pace.get()).unwrap_or(i64::MAX);
                share(load.saturating_mul(pace.max(1)))
            }
        }
    }

    fn weight(&self, at: usize) -> i64 {
        let member = self.fleet.members().get(at);
        member.map_or(1, |member| i64::from(member.backend.weight.max(1)))
    }

    /// One of these has been chosen: the others have more coming, and what they took fades.
    fn chosen(&self, best: usize, among: impl Iterator<Item = usize>) {
        let mut total = 0;
        for at in among {
            total += self.weight(at);
            if let Some(record) = self.records.get(at) {
                record.credit.set(record.credit.get() + self.weight(at));
                if at != best {
                    record
                        .pace
                        .set(record.pace.get() - record.pace.get() / FADES);
                }
            }
        }
        if let Some(record) = self.records.get(best) {
            record.credit.set(record.credit.get() - total);
        }
    }

    /// Whether it is of use to know what requests take.
    pub(super) fn is_timed(&self) -> bool {
        self.preferences.balance == Balance::Latency
    }

    /// A request took so long there.
    pub(super) fn took(&self, at: usize, time: Duration) {
        if let Some(record) = self.records.get(at) {
            let (pace, took) = (record.pace.get(), time.as_micros());
            let took = u64::try_from(took).unwrap_or(u64::MAX);
            // A peak counts at once, and is forgotten slowly.
            let mean = pace - pace / GENTLY + took / GENTLY;
            record.pace.set(took.max(mean));
        }
    }
}

/// What one that is passed over keeps of its pace: all but one such part.
const FADES: u64 = 64;
/// How much of a new pace counts, where it is lower.
const GENTLY: u64 = 8;
/// Shares are compared as whole numbers.
const SCALE: i64 = 1000;

/// The bit of a backend among others; those beyond the last have none.
pub(super) fn at_bit(at: usize) -> u64 {
    let shift = u32::try_from(at).unwrap_or(u32::MAX);
    1u64.checked_shl(shift).unwrap_or(0)
}
