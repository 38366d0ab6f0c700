//! What servers exist? Addresses and roles, nothing of how they are today.
//! Never dials and never resolves a name.

mod address;

pub use address::Address;

/// One Postgres that we forward to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub address: Address,
    pub role: Role,
}

/// What a backend is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    Primary,
    /// Asks the server; until roles are asked, the same as [`Role::Primary`].
    #[default]
    Auto,
}
