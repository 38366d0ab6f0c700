//! What the configuration says of routing.

use std::time::Duration;

use super::Role;
use crate::topology::{self, Backend};

/// `[databases.NAME.routing]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub user_functions: UserFunctions,
    pub verdicts: Verdicts,
    pub reads: Reads,
    pub consistency: Consistency,
    pub balance: Balance,
    /// A replica further behind takes no reads; zero: however far it is.
    pub max_replica_lag: Duration,
    /// Reads go to the primary when no replica qualifies.
    pub replica_fallback: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_functions: UserFunctions::default(),
            verdicts: Verdicts::default(),
            reads: Reads::default(),
            consistency: Consistency::default(),
            balance: Balance::default(),
            max_replica_lag: Duration::from_secs(10),
            replica_fallback: true,
        }
    }
}

impl Settings {
    /// Whether every text is judged, where there are so many backends.
    pub fn judges(&self, backends: usize) -> bool {
        match self.verdicts {
            Verdicts::Auto => backends > 1,
            Verdicts::Always => true,
        }
    }
}

/// How far functions that users wrote are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserFunctions {
    /// As they are declared in pg_proc.
    #[default]
    TrustVolatility,
    /// Not at all: whatever calls one goes to the primary.
    Primary,
}

/// Which texts are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdicts {
    /// All, where something depends on it; none, where there is but one backend.
    #[default]
    Auto,
    /// All, for the metrics.
    Always,
}

/// Where the operator wants reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    Primary,
    /// On replicas, when there are any.
    #[default]
    Replicas,
}

/// What a read may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// What has not reached the replica yet.
    Eventual,
    /// Nothing that its session has written or seen.
    #[default]
    Session,
    /// Nothing that any session here has written, or its own has seen.
    Ambassador,
}

/// Which of the replicas that may answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// The one with the fewest requests under way for its weight.
    #[default]
    LeastLoaded,
    /// Each in its turn.
    RoundRobin,
    /// The one that answers soonest (peak EWMA of what requests took, times those under way).
    Latency,
}

/// What decides beside the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub reads: Reads,
    /// All of them, of whatever role.
    pub backends: usize,
    /// Some of them may be replicas.
    pub has_replicas: bool,
}

impl Rules {
    /// Those of a database with these backends, and reads where the operator wants them.
    pub fn of(backends: &[Backend], reads: Reads) -> Self {
        let may_follow = |one: &Backend| one.role != topology::Role::Primary;
        Self {
            reads,
            backends: backends.len(),
            has_replicas: backends.len() > 1 && backends.iter().any(may_follow),
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.backends < 2
    }

    /// With a single backend there is nothing to choose.
    pub(super) fn role(&self, role: Role) -> Role {
        match self.is_alone() {
            true => Role::Any,
            false => role,
        }
    }
}
