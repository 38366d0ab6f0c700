//! Where a server listens, as `host:port` or as a folder with a socket in it.

use core::fmt;

/// An address as written, not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A name or a literal IPv4 or IPv6 address (without brackets), and a port.
    Tcp { host: String, port: u16 },
    /// The folder that holds `.s.PGSQL.<port>`.
    Unix { folder: String, port: u16 },
}

impl Address {
    /// An address that nobody has, and dialling which fails at once.
    pub fn nowhere() -> Self {
        Self::Unix {
            folder: String::new(),
            port: 0,
        }
    }

    /// The port, which for a Unix socket is a part of the file's name.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Unix { port, .. } => *port,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { folder, port } => write!(f, "unix:{folder}:{port}"),
        }
    }
}
