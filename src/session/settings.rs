//! What the configuration says of sessions.

use std::time::Duration;

/// How long a session keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PoolMode {
    Session,
    #[default]
    Transaction,
    /// BEGIN is refused with 0A000.
    Statement,
}

impl PoolMode {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// What becomes of a session that keeps its connection beyond the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnPin {
    #[default]
    Allow,
    /// The log says so as a warning.
    Warn,
    /// What says beforehand that it will is refused with 0A000.
    Reject,
}

/// Limits of one session.
#[derive(Debug, Clone)]
pub struct Settings {
    pub pool_mode: PoolMode,
    pub on_pin: OnPin,
    /// Cancels upstream, the client gets 57014; zero: no limit.
    pub query_timeout: Duration,
    /// 25P03; zero: no limit.
    pub idle_in_transaction_timeout: Duration,
    /// 57P05; zero: no limit.
    pub client_idle_timeout: Duration,
    /// Bytes of one frame, its length word included; 0: no limit.
    pub max_message_size: u64,
}

impl Settings {
    /// Whether any phase of a session is limited in time.
    pub fn has_limits(&self) -> bool {
        let limits = [
            self.query_timeout,
            self.idle_in_transaction_timeout,
            self.client_idle_timeout,
        ];
        limits.iter().any(|limit| !limit.is_zero())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pool_mode: PoolMode::Transaction,
            on_pin: OnPin::Allow,
            query_timeout: Duration::ZERO,
            idle_in_transaction_timeout: Duration::ZERO,
            client_idle_timeout: Duration::ZERO,
            max_message_size: 1 << 30,
        }
    }
}
