//! What the configuration says of reaching a backend.

use std::time::Duration;

/// How a backend is dialled and logged in to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Dial, TLS and login together. Zero: no limit.
    pub connect_timeout: Duration,
    /// TCP keep-alive as libpq's `keepalives*` and `tcp_user_timeout` say it.
    pub keepalive: Keepalive,
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
        }
    }
}
