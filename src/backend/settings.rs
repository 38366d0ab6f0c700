//! What the configuration says of reaching a backend.

use std::{fmt, time::Duration};

use super::Encryption;

/// How a backend is dialled and logged in to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Dial, TLS and login together. Zero: no limit.
    pub connect_timeout: Duration,
    /// TCP keep-alive as libpq's `keepalives*` and `tcp_user_timeout` say it.
    pub keepalive: Keepalive,
    pub require_auth: RequireAuth,
    pub channel_binding: ChannelBinding,
    /// `None`: no TLS.
    pub tls: Option<Encryption>,
}

/// How a backend may have us log in: what it asks for beside that is not answered, since it may
/// be somebody else who hopes for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequireAuth {
    pub scram_sha_256: bool,
    pub md5: bool,
    /// It may let us in without asking.
    pub none: bool,
    /// A password in clear, if TLS is there and verified.
    pub password: bool,
}

/// Whether a login is bound to the certificate that the backend shows, as libpq's
/// `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    Disable,
    /// Where it is offered.
    #[default]
    Prefer,
    /// Or there is no login.
    Require,
}

impl RequireAuth {
    pub fn allows(self, demand: Demand) -> bool {
        match demand {
            Demand::ScramSha256 => self.scram_sha_256,
            Demand::Md5 => self.md5,
            Demand::Nothing => self.none,
            Demand::Password => self.password,
        }
    }
}

impl Default for RequireAuth {
    fn default() -> Self {
        Self {
            scram_sha_256: true,
            md5: true,
            none: true,
            password: false,
        }
    }
}

/// What a backend asks of who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    ScramSha256,
    Md5,
    Nothing,
    Password,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScramSha256 => "asks for a login by scram-sha-256",
            Self::Md5 => "asks for a login by md5",
            Self::Password => "asks for the password in clear (password)",
            Self::Nothing => "lets us in without asking for a password (none)",
        })
    }
}

/// TCP keep-alive; `None` leaves the system's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    pub enabled: bool,
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub count: Option<u32>,
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            enabled: true,
            idle: None,
            interval: None,
            count: None,
            user_timeout: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            keepalive: Keepalive::default(),
            require_auth: RequireAuth::default(),
            channel_binding: ChannelBinding::default(),
            tls: None,
        }
    }
}
