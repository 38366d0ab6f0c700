//! The time as of the last tick: reading it costs nothing.

use std::{cell::Cell, time::Instant};

/// Exact readings between two ticks. At ten ticks a second and two readings of 25 ns for each
/// thing measured they cost less than 25 µs a second, however much there is to do.
const READINGS: u32 = 50;

/// A worker's coarse clock, moved on by the worker's ticker.
#[derive(Debug)]
pub struct Clock {
    now: Cell<Instant>,
    /// Exact readings left until the next tick.
    left: Cell<u32>,
}

impl Clock {
    pub fn new(now: Instant) -> Self {
        Self {
            now: Cell::new(now),
            left: Cell::new(READINGS),
        }
    }

    /// The time of the last tick.
    #[inline]
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// The very time, for the first few who ask between two ticks: of what comes often, enough
    /// is measured to tell how long it takes, and of what comes rarely everything.
    #[inline]
    pub fn precise(&self) -> Option<Instant> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        Some(Instant::now())
    }

    pub fn set(&self, now: Instant) {
        self.now.set(now);
        self.left.set(READINGS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_ticks_there_are_only_so_many_exact_readings() {
        let clock = Clock::new(Instant::now());
        for _ in 0..2 {
            for _ in 0..READINGS {
                assert!(clock.precise().is_some());
            }
            assert_eq!(clock.precise(), None);
            clock.set(Instant::now());
        }
    }
}
