//! What operators see: one function for each event, the counters, and the coarse clock that stamps
//! both.
//! Never sees a statement's literals or a secret.

mod clock;
pub mod counters;
pub mod events;

pub use clock::Clock;
