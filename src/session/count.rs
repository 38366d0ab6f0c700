//! What a session adds to the counters of its pool.

use std::time::Instant;

use super::{Phase, Session};
use crate::protocol::backend::Status;

/// When what runs began.
#[derive(Default)]
pub(super) struct Began {
    /// The transaction, on the coarse clock.
    transaction: Option<Instant>,
    /// The request, exactly; only some are measured.
    request: Option<Instant>,
}

impl Session {
    /// A transaction begins whose BEGIN is not sent yet.
    pub(super) fn transaction_begins(&mut self) {
        self.flow.began.transaction = Some(self.shared.clock.now());
    }

    /// A request begins, while nothing is under way on its connection.
    #[inline]
    pub(super) fn request_begins(&mut self) {
        let clock = &self.shared.clock;
        let now = clock.now();
        self.handle.enter(Phase::Active, now);
        if self.flow.status == Status::Idle {
            self.flow.began.transaction = Some(now);
        }
        self.flow.began.request = clock.precise();
    }

    /// The backend is ready again after a request of the client's.
    #[inline]
    pub(super) fn request_ended(&mut self) {
        let traffic = self.pool.traffic();
        let now = self.shared.clock.now();
        traffic.requests.add(1);
        traffic.request_time.add(self.handle.since(), now);
        if let Some(verdict) = self.flow.running.take()
            && let Some(seen) = &verdict.seen
        {
            seen.took(now.saturating_duration_since(self.handle.since()));
        }
        if self.flow.status == Status::Idle {
            traffic.transactions.add(1);
            let began = self.flow.began.transaction.take();
            traffic.transaction_time.add(began.unwrap_or(now), now);
        }
        if let Some(began) = self.flow.began.request.take() {
            traffic.request_times.observe(began.elapsed());
        }
    }
}
