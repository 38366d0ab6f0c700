//! Why is there no connection?

use std::{rc::Rc, time::Duration};

use crate::backend::ConnectError;

/// Why a request gets no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("{limit} requests wait for a connection already (max_waiting)")]
    TooManyWaiting { limit: usize },
    #[error(
        "no connection became free within {waited:?} (acquire_timeout): all {size} are in use (pool_size)"
    )]
    Saturated {
        waited: Duration,
        size: usize,
        /// What sessions keep of them, in words; empty: nothing.
        pins: String,
    },
    #[error(
        "no connection became free within {waited:?}: the backend has {limit} from here already (max_backend_connections)"
    )]
    BackendFull {
        waited: Duration,
        limit: usize,
        pins: String,
    },
    #[error("no connection became free within {waited:?}, and the backend takes no more: {error}")]
    ServerFull {
        waited: Duration,
        error: Rc<ConnectError>,
        pins: String,
    },
    #[error(
        "no connection became free within {waited:?}: {limit} are kept beyond pool_size already (max_pinned)"
    )]
    PinsFull {
        waited: Duration,
        limit: usize,
        pins: String,
    },
    #[error("cannot reach the backend: {0}")]
    Unreachable(Rc<ConnectError>),
    /// The backend refuses this login, and would again.
    #[error("{0}")]
    Rejected(Rc<ConnectError>),
}

impl Refusal {
    /// No other connection would do, so there is nothing to wait for.
    pub fn full(limit: usize) -> Self {
        Self::BackendFull {
            waited: Duration::ZERO,
            limit,
            pins: String::new(),
        }
    }

    /// Why a connection that only one client can use was not made. What the backend itself says
    /// is that client's to hear, for no other connection would do.
    pub fn alone(error: ConnectError) -> Self {
        let said = matches!(error, ConnectError::Rejected { .. });
        if said || !error.is_passing() {
            Self::Rejected(Rc::new(error))
        } else {
            Self::Unreachable(Rc::new(error))
        }
    }
}
