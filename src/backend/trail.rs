//! Where the primary's log ended when: what a replica has not reached yet is as old as that.
//! Nobody's clock but ours counts, and a primary that writes nothing lets nobody fall behind.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::topology::Position;

/// Nothing is gained by knowing it more exactly.
const APART: Duration = Duration::from_millis(50);
/// So many are remembered; of more, every second one is forgotten.
const MOST: usize = 1024;

/// Positions in the order in which they were heard, each above the one before.
#[derive(Debug, Default)]
pub struct Trail {
    steps: VecDeque<(Instant, Position)>,
    end: Position,
}

impl Trail {
    /// The log ended there when that was asked, or later.
    pub fn note(&mut self, asked: Instant, end: Position) {
        self.end = end;
        // A primary that crashed may have lost the end of its log.
        while self.steps.back().is_some_and(|(_, step)| *step > end) {
            self.steps.pop_back();
        }
        let near = |&(when, step): &(Instant, Position)| {
            step == end || asked.saturating_duration_since(when) < APART
        };
        if self.steps.back().is_some_and(near) {
            return;
        }
        if self.steps.len() >= MOST {
            let mut keeps = false;
            self.steps.retain(|_| {
                keeps = !keeps;
                keeps
            });
        }
        self.steps.push_back((asked, end));
    }

    /// What who has come so far lacks: bytes, and the age of the oldest of them that we know of.
    pub fn lag(&self, position: Position, now: Instant) -> (u64, Duration) {
        let bytes = self.end.saturating_sub(position);
        let first = self.steps.partition_point(|(_, step)| *step <= position);
        let missed = self.steps.get(first);
        let age = missed.map(|(when, _)| now.saturating_duration_since(*when));
        (bytes, age.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_replica_is_as_far_behind_as_the_oldest_step_that_it_has_not_reached() {
        let (start, mut trail) = (Instant::now(), Trail::default());
        for (second, end) in [(0, 100), (1, 200), (2, 200), (3, 300)] {
            trail.note(start + SECOND * second, end);
        }
        let lag = |position| trail.lag(position, start + SECOND * 4);
        assert_eq!(lag(300), (0, Duration::ZERO));
        assert_eq!(lag(350), (0, Duration::ZERO));
        assert_eq!(lag(299), (1, SECOND));
        assert_eq!(lag(150), (150, SECOND * 3));
        assert_eq!(lag(0), (300, SECOND * 4));
    }

    #[test]
    fn nobody_falls_behind_a_primary_that_writes_nothing() {
        let (start, mut trail) = (Instant::now(), Trail::default());
        for second in 0..100 {
            trail.note(start + SECOND * second, 100);
        }
        assert_eq!(trail.lag(100, start + SECOND * 100), (0, Duration::ZERO));
    }

    #[test]
    fn what_a_crash_has_taken_from_the_log_is_missed_by_nobody() {
        let (start, mut trail) = (Instant::now(), Trail::default());
        trail.note(start, 100);
        trail.note(start + SECOND, 200);
        trail.note(start + SECOND * 2, 150);
        assert_eq!(trail.lag(150, start + SECOND * 3), (0, Duration::ZERO));
        assert_eq!(trail.lag(120, start + SECOND * 3), (30, SECOND));
    }

    #[test]
    fn of_a_long_trail_the_oldest_step_is_kept() {
        let (start, mut trail) = (Instant::now(), Trail::default());
        for step in 0..10_000_u32 {
            trail.note(start + SECOND * step, u64::from(step) + 1);
        }
        assert!(trail.steps.len() <= MOST);
        assert_eq!(trail.lag(0, start + SECOND * 10_000).1, SECOND * 10_000);
    }
}
