//! Which role does a text go to, and why?
//! Never reads a text and never knows how a server is today: the one is `sql`'s, the other comes in
//! as an argument.
//!
//! What a text does ([`Finding`](crate::sql::Finding)) and what the catalog made of it
//! ([`Judgement`](crate::sql::Judgement)) become a [`Decision`]: the primary, unless it is proven
//! to be a read.

mod class;
mod decide;
mod reason;
mod settings;

pub use class::CLASSES;
pub use decide::{Case, Catalog, Decision, Role, Wish, decide, names_anything};
pub use reason::{REASONS, Reason};
pub use settings::{Balance, Consistency, Reads, Rules, Settings, UserFunctions, Verdicts};
