//! Where in the log a server was, and when that was asked: positions in the order of the
//! questions, without a clock.
//!
//! Who did something there remembers how many questions had been asked by then ([`Samples::mark`]).
//! The answer to any later question is a position at or beyond what it saw or wrote.

use std::sync::atomic::{AtomicU64, Ordering};

/// A byte of the write-ahead log, as `pg_lsn` counts them.
pub type Position = u64;

/// Questions whose answers are remembered.
const REMEMBERED: usize = 256;
/// Asked, and not answered.
const UNKNOWN: Position = u64::MAX;

/// The positions of one server, written by one task and read by all workers.
#[derive(Debug)]
pub struct Samples {
    asked: AtomicU64,
    /// All questions up to this number are answered, or never will be.
    settled: AtomicU64,
    /// The answer to question `n` is at `n % REMEMBERED`.
    answers: Box<[AtomicU64]>,
    latest: AtomicU64,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            asked: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            answers: (0..REMEMBERED).map(|_| AtomicU64::new(UNKNOWN)).collect(),
            latest: AtomicU64::new(0),
        }
    }
}

impl Samples {
    /// Begins a question; to be called before it is sent. One is settled before the next begins.
    pub fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Settles the question; `None`: there was no answer.
    pub fn settle(&self, question: u64, answer: Option<Position>) {
        if let Some(slot) = self.slot(question) {
            slot.store(answer.unwrap_or(UNKNOWN), Ordering::Release);
        }
        if let Some(position) = answer {
            self.latest.store(position, Ordering::Release);
        }
        self.settled.store(question, Ordering::Release);
    }

    /// Nothing is known any more of where the server is: it may have gone back.
    pub fn forget(&self) {
        self.latest.store(0, Ordering::Release);
    }

    /// How many questions have been asked: what was done here before this is below the answer to
    /// any later one.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// A position at or beyond all that was done before the mark, as low as is known; `None`: it
    /// has not been asked since.
    pub fn after(&self, mark: u64) -> Option<Position> {
        let settled = self.settled.load(Ordering::Acquire);
        let oldest = (settled + 1).saturating_sub(REMEMBERED as u64);
        let answer = |question| Some(self.slot(question)?.load(Ordering::Acquire));
        let mut answers = (oldest.max(mark + 1)..=settled).filter_map(answer);
        answers.find(|&position| position != UNKNOWN)
    }

    /// The position that was told last: the server has reached it. 0: none was.
    #[inline]
    pub fn latest(&self) -> Position {
        self.latest.load(Ordering::Acquire)
    }

    fn slot(&self, question: u64) -> Option<&AtomicU64> {
        let place = usize::try_from(question % REMEMBERED as u64).ok()?;
        self.answers.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(samples: &Samples, answer: Option<Position>) {
        let question = samples.ask();
        samples.settle(question, answer);
    }

    #[test]
    fn only_a_question_asked_later_says_where_something_done_before_it_lies() {
        let samples = Samples::default();
        sample(&samples, Some(10));
        let under_way = samples.ask();
        let mark = samples.mark();
        samples.settle(under_way, Some(20));
        assert_eq!(samples.after(mark), None);
        sample(&samples, None);
        assert_eq!(samples.after(mark), None);
        sample(&samples, Some(30));
        sample(&samples, Some(40));
        assert_eq!(samples.after(mark), Some(30));
        assert_eq!(samples.after(0), Some(10));
        assert_eq!(samples.latest(), 40);
    }

    #[test]
    fn what_is_older_than_all_that_is_remembered_is_below_the_oldest() {
        let samples = Samples::default();
        for position in 1..=1000 {
            sample(&samples, Some(position));
        }
        assert_eq!(samples.after(0), Some(1000 - 255));
        assert_eq!(samples.after(1000), None);
    }
}
