//! What servers exist? Addresses and roles, and where in the log each was when it was asked.
//! Never dials, never resolves a name, never asks.

mod address;
mod layout;
mod samples;

pub use address::Address;
pub use layout::Layout;
pub use samples::{Position, Samples};

/// One Postgres that we forward to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub address: Address,
    pub role: Role,
    /// How much of what replicas take it takes, beside the others; at least 1.
    pub weight: u32,
}

/// What a backend is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    Primary,
    Replica,
    /// Asks the server; with a single backend, the same as [`Role::Primary`].
    #[default]
    Auto,
}
