//! Is what `sql` says of a statement true? By the verdicts of `fixtures/sql`, made by hand, and by
//! a primary and its standby, which know better.
//! Never looks at how a verdict is come by.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "here a failure is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../live/wire.rs"]
#[allow(dead_code, reason = "made for the tests of the protocol")]
mod wire;

/// What the wire expects of those who use it.
mod stage {
    /// Longer than a statement may take.
    pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
}

mod corpus;
mod crosscheck;
mod fixture;
mod hostile;
mod known;
mod oracle;
mod proof;
mod regress;
mod run;
mod server_names;
mod stand;
mod verdicts;
