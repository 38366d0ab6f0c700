//! What the functions do that every Postgres has.

/// What is known of a function by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Every overload of it is free of effects, and answers the same on every server.
    Passes,
    /// On the silent list: a standby would do it, with the wrong effect.
    Denied,
    /// Its answer names the server.
    Server,
    /// Volatile, and not known to be harmless.
    Volatile,
}

/// What the server's own function of this name does; `None`: it has none.
pub fn builtin(_name: &[u8]) -> Option<Builtin> {
    None
}
