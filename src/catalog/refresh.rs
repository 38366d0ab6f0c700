//! When to ask again.

use std::time::{Duration, Instant};

/// From one look to the next, when nothing has happened.
const INTERVAL: Duration = Duration::from_secs(10);
/// From the end of a look to the next after DDL was seen, at least.
const AFTER_DDL: Duration = Duration::from_millis(200);
/// The same after an unknown name, or a failure; doubles as long as looks bring nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Looks may take this part of the backend's time, one in so many, however many names are
/// unknown and however much DDL passes by.
const SHARE: u32 = 20;
/// The same when nothing has happened.
const IDLE_SHARE: u32 = 50;

/// Why to look before the interval is over; the order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// A statement names what is not known.
    Unknown,
    /// DDL has been committed by somebody whose statements we see.
    Ddl,
    /// The operator has reloaded, or the server is another one.
    Reload,
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Another picture.
    Changed,
    /// The same picture as before.
    Same,
    /// None.
    Failed,
}

/// When to look at one database's catalog. Never reads the clock.
#[derive(Debug)]
pub struct Refresh {
    phase: Phase,
    /// Noted and not looked after.
    wanted: Option<Occasion>,
    /// What unknown names and failures have to wait.
    patience: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Nobody has looked.
    New,
    Looking {
        since: Instant,
    },
    Resting {
        since: Instant,
        took: Duration,
        outcome: Outcome,
    },
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            phase: Phase::New,
            wanted: None,
            patience: PATIENCE,
        }
    }
}

impl Refresh {
    /// Something has happened. What happens during a look asks for another after it, for that
    /// one may not have seen it.
    pub fn note(&mut self, occasion: Occasion) {
        self.wanted = self.wanted.max(Some(occasion));
    }

    /// When the next look is due; `None`: one is under way.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let (since, took, outcome) = match self.phase {
            Phase::New => return Some(now),
            Phase::Looking { .. } => return None,
            Phase::Resting {
                since,
                took,
                outcome,
            } => (since, took, outcome),
        };
        let rest = match (self.wanted, outcome) {
            (Some(Occasion::Reload), _) => Duration::ZERO,
            (Some(_) | None, Outcome::Failed) => self.patience,
            (Some(Occasion::Ddl), _) => AFTER_DDL.max(took * SHARE),
            (Some(Occasion::Unknown), _) => self.patience.max(took * SHARE),
            (None, _) => INTERVAL.max(took * IDLE_SHARE),
        };
        Some(since + rest)
    }

    /// A look begins.
    pub fn begin(&mut self, now: Instant) {
        self.wanted = None;
        self.phase = Phase::Looking { since: now };
    }

    /// The look has ended so.
    pub fn end(&mut self, now: Instant, outcome: Outcome) {
        let took = match self.phase {
            Phase::Looking { since } => now.saturating_duration_since(since),
            Phase::New | Phase::Resting { .. } => Duration::ZERO,
        };
        self.patience = match outcome {
            Outcome::Changed => PATIENCE,
            Outcome::Same | Outcome::Failed => match self.phase {
                Phase::Looking { .. } => (self.patience * 2).min(INTERVAL),
                Phase::New | Phase::Resting { .. } => self.patience,
            },
        };
        self.phase = Phase::Resting {
            since: now,
            took,
            outcome,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A look of 5 ms that began at `now`; what it returns is its end.
    fn look(refresh: &mut Refresh, now: Instant, outcome: Outcome) -> Instant {
        refresh.begin(now);
        assert_eq!(refresh.due(now), None);
        let end = now + 5 * MS;
        refresh.end(end, outcome);
        end
    }

    #[test]
    fn the_first_look_is_due_at_once_and_then_every_ten_seconds() {
        let mut refresh = Refresh::default();
        let now = Instant::now();
        assert_eq!(refresh.due(now), Some(now));
        let end = look(&mut refresh, now, Outcome::Changed);
        assert_eq!(refresh.due(end), Some(end + INTERVAL));
    }

    #[test]
    fn ddl_brings_a_look_at_once_but_not_one_each() {
        let mut refresh = Refresh::default();
        let end = look(&mut refresh, Instant::now(), Outcome::Changed);
        refresh.note(Occasion::Ddl);
        refresh.note(Occasion::Ddl);
        assert_eq!(refresh.due(end + INTERVAL / 2), Some(end + AFTER_DDL));
        let end = look(&mut refresh, end + AFTER_DDL, Outcome::Changed);
        assert_eq!(refresh.due(end), Some(end + INTERVAL));
    }

    #[test]
    fn what_happens_during_a_look_brings_another() {
        let mut refresh = Refresh::default();
        let now = Instant::now();
        refresh.begin(now);
        refresh.note(Occasion::Ddl);
        assert_eq!(refresh.due(now), None);
        refresh.end(now, Outcome::Changed);
        assert_eq!(refresh.due(now), Some(now + AFTER_DDL));
    }

    #[test]
    fn names_that_stay_unknown_are_asked_for_ever_more_seldom() {
        let mut refresh = Refresh::default();
        let mut end = look(&mut refresh, Instant::now(), Outcome::Changed);
        let mut rests = Vec::new();
        for _ in 0..6 {
            refresh.note(Occasion::Unknown);
            let due = refresh.due(end).unwrap_or(end);
            rests.push((due - end).as_secs());
            end = look(&mut refresh, due, Outcome::Same);
        }
        assert_eq!(rests, [1, 2, 4, 8, 10, 10]);
        refresh.note(Occasion::Ddl);
        let due = refresh.due(end).unwrap_or(end);
        assert_eq!(due, end + AFTER_DDL);
        let end = look(&mut refresh, due, Outcome::Changed);
        refresh.note(Occasion::Unknown);
        assert_eq!(refresh.due(end), Some(end + PATIENCE));
    }

    #[test]
    fn a_backend_that_answers_slowly_is_asked_seldom() {
        let mut refresh = Refresh::default();
        let now = Instant::now();
        refresh.begin(now);
        let end = now + 2000 * MS;
        refresh.end(end, Outcome::Changed);
        assert_eq!(refresh.due(end), Some(end + 100_000 * MS));
        refresh.note(Occasion::Ddl);
        assert_eq!(refresh.due(end), Some(end + 40_000 * MS));
        refresh.note(Occasion::Reload);
        assert_eq!(refresh.due(end), Some(end));
    }

    #[test]
    fn a_failed_look_is_tried_again_with_patience() {
        let mut refresh = Refresh::default();
        let end = look(&mut refresh, Instant::now(), Outcome::Failed);
        refresh.note(Occasion::Ddl);
        let due = end + PATIENCE * 2;
        assert_eq!(refresh.due(end), Some(due));
        let end = look(&mut refresh, due, Outcome::Failed);
        assert_eq!(refresh.due(end), Some(end + PATIENCE * 4));
    }
}
