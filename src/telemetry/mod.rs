//! What operators see: one function for each event, and the coarse clock that stamps it.
//! Never sees a statement's literals or a secret.

mod clock;
pub mod events;

pub use clock::Clock;
