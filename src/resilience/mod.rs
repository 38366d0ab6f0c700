//! How long until the next try? Waits between attempts, spread so that many callers do not come at once.
//! Never sleeps, never reads a clock, never throws dice: a throw comes as an argument.

mod backoff;

pub use backoff::{Backoff, jittered};
