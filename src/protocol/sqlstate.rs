//! The five characters that tell a program what went wrong.
//! Source: PostgreSQL documentation, "PostgreSQL Error Codes".

use core::fmt;

/// An error code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    pub const TRANSACTION_RESOLUTION_UNKNOWN: Self = Self(*b"08007");
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    pub const INVALID_CURSOR_NAME: Self = Self(*b"34000");
    pub const INVALID_PARAMETER_VALUE: Self = Self(*b"22023");
    pub const READ_ONLY_TRANSACTION: Self = Self(*b"25006");
    pub const NO_ACTIVE_TRANSACTION: Self = Self(*b"25P01");
    pub const IN_FAILED_TRANSACTION: Self = Self(*b"25P02");
    pub const UNDEFINED_STATEMENT: Self = Self(*b"26000");
    pub const IDLE_IN_TRANSACTION_TIMEOUT: Self = Self(*b"25P03");
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    pub const SERIALIZATION_FAILURE: Self = Self(*b"40001");
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    pub const UNDEFINED_OBJECT: Self = Self(*b"42704");
    pub const DUPLICATE_STATEMENT: Self = Self(*b"42P05");
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    pub const NOT_IN_STATE: Self = Self(*b"55000");
    pub const CANT_CHANGE_NOW: Self = Self(*b"55P02");
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// The code in an error's `C` field; `None`: not five characters.
    pub fn of(field: &[u8]) -> Option<Self> {
        field.try_into().ok().map(Self)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The class, its first two characters.
    pub fn class(&self) -> &[u8] {
        self.0.first_chunk::<2>().map_or(&[], |class| class)
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or("?????"))
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
