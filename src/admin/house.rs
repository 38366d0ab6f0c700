//! What the console may ask of the house. Implemented where the workers are.

use super::Report;

/// The running ambassador, as operators may look at it and move it.
pub trait House {
    /// Asks every worker what it has, and waits for all. A worker that is gone is left out.
    fn reports(&self) -> impl Future<Output = Vec<Report>>;
}
