//! A session keeps its connection, keeps it no longer, or is not allowed to.

use super::{
    Fault, Keep, OnPin, Session, fault,
    forward::Step,
    handle::Pinned,
    pin::{self, Cause, Reason},
    sabotage::{Part, without},
    splice::Splice,
};
use crate::backend::SOMEBODYS;
use crate::pool::Pool;
use crate::protocol::frontend::Kind;
use crate::sql::Reading;
use crate::telemetry::events;

impl Session {
    /// Keeps the connection beyond the transaction.
    pub(super) fn pin(&mut self, cause: Cause) {
        self.flow.pinned_anew = Some(cause);
        let anew = match self.flow.keep {
            Keep::No | Keep::Unsettled => true,
            Keep::Pinned(before) => cause.reason.is_hard() && !before.is_hard(),
            Keep::Session => false,
        };
        if anew && let Some(lease) = &mut self.lease {
            lease.pin();
            self.flow.keep = Keep::Pinned(cause.reason);
            self.note_pin(cause);
        }
    }

    /// The reason why the connection is kept is gone, and this is another.
    pub(super) fn pin_on(&mut self, cause: Cause) {
        self.flow.keep = Keep::Pinned(cause.reason);
        self.note_pin(cause);
    }

    fn note_pin(&self, cause: Cause) {
        let now = self.shared.clock.now();
        let pinned = pinned(&self.pool, self.handle.id, cause, self.settings.on_pin, now);
        self.handle.set_pinned(Some(pinned));
    }

    /// Nothing is left that only this connection has, but what was sent behind.
    pub(super) fn unpin(&mut self) {
        if without(Part::Unpin) {
            return;
        }
        let was_pinned = match self.flow.keep {
            Keep::Pinned(_) => true,
            Keep::Unsettled => false,
            Keep::No | Keep::Session => return,
        };
        let anew = self.flow.pinned_anew.take().filter(|_| was_pinned);
        if let Some(cause) = anew {
            return self.pin_on(cause);
        }
        if was_pinned {
            self.handle.set_pinned(None);
        }
        self.flow.keep = match self.flow.watch {
            Some(_) => Keep::Unsettled,
            None => Keep::No,
        };
        // It may have an unnamed statement still, one that was too large to be remembered.
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed.get_or_insert(SOMEBODYS);
        }
    }

    /// Refuses what says that it will keep the connection, where no session is to keep one
    /// (`on_pin = "reject"`). `None`: it may go on.
    #[inline]
    pub(super) fn forbid(
        &mut self,
        kind: Kind,
        reading: &Reading,
        text: impl FnOnce(&Self) -> Vec<u8>,
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        if self.settings.on_pin != OnPin::Reject || !reading.touches.any(pin::STAYING) {
            return None;
        }
        let reason = pin::foretold(reading, &text(self))?;
        self.forbid_pin(kind, reason, splice)
    }

    /// As [`Self::forbid`], of what is known to keep the connection.
    pub(super) fn forbid_pin(
        &mut self,
        kind: Kind,
        reason: Reason,
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        if self.settings.on_pin != OnPin::Reject || self.flow.keep == Keep::Session {
            return None;
        }
        let fault = Fault::PinRejected {
            database: fault::database(&self.pool),
            reason: reason.name(),
        };
        self.refuse_text(kind, fault, splice)
    }
}

/// Counts and tells of a pin; what comes of it says so for as long as it is kept.
pub(super) fn pinned(
    pool: &Pool,
    session: u64,
    cause: Cause,
    on_pin: OnPin,
    now: std::time::Instant,
) -> Pinned {
    let reason = cause.reason.name();
    pool.traffic().pins.add(reason);
    let (note, is_news) = pool.note_pin(reason, cause.print);
    let key = pool.key();
    let print = cause.print.map(|print| print.to_string());
    let event = events::Pin {
        session,
        database: &key.database,
        user: &key.user,
        reason,
        fingerprint: print.as_deref().unwrap_or_default(),
    };
    match on_pin {
        _ if !is_news => events::pinned_again(&event),
        OnPin::Allow => events::pinned(&event),
        OnPin::Warn | OnPin::Reject => events::pinned_unwanted(&event),
    }
    Pinned {
        cause,
        since: now,
        note,
    }
}
