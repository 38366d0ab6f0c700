//! The time as of the last tick: reading it costs nothing.

use std::{cell::Cell, time::Instant};

/// A worker's coarse clock, moved on by the worker's ticker.
#[derive(Debug)]
pub struct Clock(Cell<Instant>);

impl Clock {
    pub fn new(now: Instant) -> Self {
        Self(Cell::new(now))
    }

    /// The time of the last tick.
    #[inline]
    pub fn now(&self) -> Instant {
        self.0.get()
    }

    pub fn set(&self, now: Instant) {
        self.0.set(now);
    }
}
