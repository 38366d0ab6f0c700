//! What has happened so far, in numbers that scrapes and the console read.
//!
//! Every number has one writer, the worker that it belongs to, so adding is a load and a store of
//! a cell that its core has at hand: no lock, no locked instruction, no allocation. Whoever reads
//! adds the workers up, and takes nothing from them.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// For the one thread whose number it is: two that add at once would lose something.
    #[inline]
    pub fn add(&self, more: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(more), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Time that has passed, in microseconds.
///
/// Two readings of the coarse clock differ by whole ticks, mostly by none; over many stretches
/// that begin anywhere between two ticks the sum comes out right all the same.
#[derive(Debug, Default)]
pub struct Spent(Count);

impl Spent {
    #[inline]
    pub fn add(&self, from: Instant, to: Instant) {
        if from != to {
            self.0.add(micros(to.saturating_duration_since(from)));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The upper bounds of a histogram's buckets, in microseconds; one more bucket takes the rest.
pub const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Count; BOUNDS.len()],
    beyond: Count,
    sum: Count,
}

impl Histogram {
    pub fn observe(&self, time: Duration) {
        let micros = micros(time);
        let at = BOUNDS.iter().position(|&bound| micros <= bound);
        let bucket = at.and_then(|at| self.buckets.get(at));
        bucket.unwrap_or(&self.beyond).add(1);
        self.sum.add(micros);
    }

    fn add_to(&self, times: &mut Times) {
        let buckets = self.buckets.iter().chain([&self.beyond]);
        for (sum, bucket) in times.buckets.iter_mut().zip(buckets) {
            *sum += bucket.get();
        }
        times.sum += self.sum.get();
    }
}

/// Words that a [`Tally`] has room for; what comes beyond is not counted.
const WORDS: usize = 20;

/// Counts by words, of which there are few, all of them ours.
#[derive(Debug, Default)]
pub struct Tally([(OnceLock<&'static str>, Count); WORDS]);

impl Tally {
    pub fn add(&self, word: &'static str) {
        let mut slots = self.0.iter();
        let slot = slots.find(|(taken, _)| *taken.get_or_init(|| word) == word);
        if let Some((_, count)) = slot {
            count.add(1);
        }
    }

    pub fn add_to(&self, sums: &mut Words) {
        for (word, count) in &self.0 {
            if let Some(word) = word.get() {
                *sums.entry(word).or_default() += count.get();
            }
        }
    }
}

/// Counts by place; which place means what, who counts knows. Takes no memory until then.
#[derive(Debug, Default)]
pub struct Row(OnceLock<Box<[Count]>>);

impl Row {
    /// `len`: how many places there are, the same every time.
    #[inline]
    pub fn add(&self, at: usize, len: usize, more: u64) {
        let counts = self.0.get_or_init(|| Self::of(len));
        if let Some(count) = counts.get(at) {
            count.add(more);
        }
    }

    #[cold]
    fn of(len: usize) -> Box<[Count]> {
        (0..len).map(|_| Count::default()).collect()
    }

    fn add_to(&self, sums: &mut Vec<u64>) {
        let counts = self.0.get().map(|counts| counts.iter().map(Count::get));
        add_each(sums, counts.into_iter().flatten());
    }
}

fn add_each(sums: &mut Vec<u64>, more: impl Iterator<Item = u64>) {
    for (at, count) in more.enumerate() {
        match sums.get_mut(at) {
            Some(sum) => *sum += count,
            None => sums.push(count),
        }
    }
}

/// What one worker has done for one pool. On cache lines of its own: another worker's numbers
/// are written at the same time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Traffic {
    /// Ended, whether by COMMIT or not; a statement outside of a block is one.
    pub transactions: Count,
    /// Ended by a ReadyForQuery.
    pub requests: Count,
    /// That a client asked for, of whatever kind, one by one.
    pub statements: Count,
    /// Connections lent to sessions.
    pub assignments: Count,
    /// Statements that clients have prepared.
    pub client_parses: Count,
    /// Statements that have been prepared upstream, for clients or on our own account.
    pub server_parses: Count,
    pub binds: Count,
    pub from_client: Count,
    pub to_client: Count,
    pub from_backend: Count,
    pub to_backend: Count,
    pub transaction_time: Spent,
    pub request_time: Spent,
    pub wait_time: Spent,
    /// Requests that had to wait for a connection, and have one or were refused.
    pub waits: Count,
    /// Clients that were let in.
    pub logins: Count,
    /// Dials, by what came of them.
    pub connects: Tally,
    /// Sessions that were pinned, by the reason.
    pub pins: Tally,
    /// Requests that a replica refused and that ran again elsewhere, by the error's code.
    pub misroutes: Tally,
    /// Of some requests, see [`Clock::precise`](super::Clock::precise): from their beginning
    /// upstream to their end.
    pub request_times: Histogram,
    /// Of some of those that had to wait.
    pub wait_times: Histogram,
    /// Of all dials that came to something, logins included.
    pub connect_times: Histogram,
    /// Statements that were judged, by the place of their class.
    pub classes: Row,
    /// Texts that were judged, by the place of where they go and why.
    pub decisions: Row,
    /// Texts whose verdict was remembered.
    pub verdict_hits: Count,
    /// Texts whose verdict had to be found.
    pub verdict_misses: Count,
}

/// How [`Traffic::connects`] calls a dial that came to a connection.
pub const CONNECTED: &str = "ok";

impl Traffic {
    /// A connection has been made.
    pub fn connected(&self, took: Duration) {
        self.connects.add(CONNECTED);
        self.connect_times.observe(took);
    }

    pub fn add_to(&self, totals: &mut Totals) {
        let counts = [
            (&mut totals.transactions, &self.transactions),
            (&mut totals.requests, &self.requests),
            (&mut totals.statements, &self.statements),
            (&mut totals.assignments, &self.assignments),
            (&mut totals.client_parses, &self.client_parses),
            (&mut totals.server_parses, &self.server_parses),
            (&mut totals.binds, &self.binds),
            (&mut totals.from_client, &self.from_client),
            (&mut totals.to_client, &self.to_client),
            (&mut totals.from_backend, &self.from_backend),
            (&mut totals.to_backend, &self.to_backend),
            (&mut totals.transaction_micros, &self.transaction_time.0),
            (&mut totals.request_micros, &self.request_time.0),
            (&mut totals.wait_micros, &self.wait_time.0),
            (&mut totals.waits, &self.waits),
            (&mut totals.logins, &self.logins),
            (&mut totals.verdict_hits, &self.verdict_hits),
            (&mut totals.verdict_misses, &self.verdict_misses),
        ];
        for (sum, count) in counts {
            *sum += count.get();
        }
        self.connects.add_to(&mut totals.connects);
        self.pins.add_to(&mut totals.pins);
        self.misroutes.add_to(&mut totals.misroutes);
        self.request_times.add_to(&mut totals.request_times);
        self.wait_times.add_to(&mut totals.wait_times);
        self.connect_times.add_to(&mut totals.connect_times);
        self.classes.add_to(&mut totals.classes);
        self.decisions.add_to(&mut totals.decisions);
    }
}

/// What one worker has done beside the traffic of its pools.
#[derive(Debug)]
pub struct Doorbook {
    /// Sessions that ended by a defect of ours.
    pub panics: Count,
    /// Clients that did not get in, by the reason; a tally for each entry of the configuration,
    /// in its order, and one for those that had named none of them.
    pub refused: Box<[Tally]>,
}

impl Doorbook {
    pub fn new(databases: usize) -> Self {
        Self {
            panics: Count::default(),
            refused: (0..=databases).map(|_| Tally::default()).collect(),
        }
    }

    /// Someone did not get in. `None`: to no database in particular.
    pub fn refused(&self, database: Option<usize>, why: &'static str) {
        let at = database.unwrap_or(self.refused.len().saturating_sub(1));
        if let Some(tally) = self.refused.get(at) {
            tally.add(why);
        }
    }
}

/// Counts by words, as read.
pub type Words = BTreeMap<&'static str, u64>;

/// A histogram, as read: a number a bucket, the last one for what is beyond [`BOUNDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Microseconds.
    pub sum: u64,
}

impl AddAssign<&Times> for Times {
    fn add_assign(&mut self, more: &Times) {
        for (sum, bucket) in self.buckets.iter_mut().zip(more.buckets) {
            *sum += bucket;
        }
        self.sum += more.sum;
    }
}

/// [`Traffic`], as read and added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub transactions: u64,
    pub requests: u64,
    pub statements: u64,
    pub assignments: u64,
    pub client_parses: u64,
    pub server_parses: u64,
    pub binds: u64,
    pub from_client: u64,
    pub to_client: u64,
    pub from_backend: u64,
    pub to_backend: u64,
    pub transaction_micros: u64,
    pub request_micros: u64,
    pub wait_micros: u64,
    pub waits: u64,
    pub logins: u64,
    pub connects: Words,
    pub pins: Words,
    pub misroutes: Words,
    pub request_times: Times,
    pub wait_times: Times,
    pub connect_times: Times,
    pub classes: Vec<u64>,
    pub decisions: Vec<u64>,
    pub verdict_hits: u64,
    pub verdict_misses: u64,
}

impl AddAssign<&Totals> for Totals {
    fn add_assign(&mut self, more: &Totals) {
        self.transactions += more.transactions;
        self.requests += more.requests;
        self.statements += more.statements;
        self.assignments += more.assignments;
        self.client_parses += more.client_parses;
        self.server_parses += more.server_parses;
        self.binds += more.binds;
        self.from_client += more.from_client;
        self.to_client += more.to_client;
        self.from_backend += more.from_backend;
        self.to_backend += more.to_backend;
        self.transaction_micros += more.transaction_micros;
        self.request_micros += more.request_micros;
        self.wait_micros += more.wait_micros;
        self.waits += more.waits;
        self.logins += more.logins;
        self.request_times += &more.request_times;
        self.wait_times += &more.wait_times;
        self.connect_times += &more.connect_times;
        add_each(&mut self.classes, more.classes.iter().copied());
        add_each(&mut self.decisions, more.decisions.iter().copied());
        self.verdict_hits += more.verdict_hits;
        self.verdict_misses += more.verdict_misses;
        let words = [
            (&mut self.connects, &more.connects),
            (&mut self.pins, &more.pins),
            (&mut self.misroutes, &more.misroutes),
        ];
        for (sums, more) in words {
            for (word, count) in more {
                *sums.entry(word).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_workers_did_is_added_up() {
        let (one, other) = (Traffic::default(), Traffic::default());
        one.transactions.add(2);
        one.pins.add("setting");
        one.connected(Duration::from_millis(3));
        other.transactions.add(3);
        other.pins.add("temp");
        other.pins.add("setting");
        let mut totals = Totals::default();
        one.add_to(&mut totals);
        other.add_to(&mut totals);
        assert_eq!(totals.transactions, 5);
        assert_eq!(totals.pins, Words::from([("setting", 2), ("temp", 1)]));
        assert_eq!(totals.connects, Words::from([("ok", 1)]));
        assert_eq!(totals.connect_times.sum, 3000);
    }

    #[test]
    fn a_row_takes_no_room_until_something_is_counted_and_none_beyond_its_length() {
        let (one, other) = (Traffic::default(), Traffic::default());
        one.classes.add(1, 3, 2);
        one.classes.add(7, 3, 1);
        other.classes.add(1, 3, 5);
        let mut totals = Totals::default();
        one.add_to(&mut totals);
        assert_eq!(
            (&totals.classes, totals.decisions.len()),
            (&vec![0, 2, 0], 0)
        );
        let mut others = Totals::default();
        other.add_to(&mut others);
        totals += &others;
        assert_eq!(totals.classes, [0, 7, 0]);
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut times = Times::default();
        histogram.add_to(&mut times);
        let (first, last) = (times.buckets.first_chunk(), times.buckets.last_chunk());
        assert_eq!((first, last), (Some(&[2, 1]), Some(&[1, 1])));
        assert_eq!(times.sum, 100 + 101 + 20_000_001);
    }

    #[test]
    fn more_words_than_there_is_room_for_harm_nobody() {
        let tally = Tally::default();
        let words: Vec<&'static str> = vec![
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",
            "r", "s", "t", "u", "v", "a",
        ];
        words.into_iter().for_each(|word| tally.add(word));
        let mut sums = Words::new();
        tally.add_to(&mut sums);
        assert_eq!((sums.len(), sums.get("a")), (WORDS, Some(&2)));
    }

    #[test]
    fn who_named_no_database_is_counted_too() {
        let book = Doorbook::new(1);
        book.refused(Some(0), "denied");
        book.refused(None, "protocol");
        let mut sums = Words::new();
        book.refused
            .iter()
            .skip(1)
            .for_each(|tally| tally.add_to(&mut sums));
        assert_eq!(sums, Words::from([("protocol", 1)]));
    }
}
