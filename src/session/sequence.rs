//! `currval` and `lastval` answer with what this session has drawn, not with another's.
//!
//! A backend knows the last value of every sequence that was used on it, whoever did. So every
//! connection remembers which session may have used one there last, and a session which
//! connection it may have used one on last: its *claim*. Whether an INSERT uses a sequence its
//! text does not say; it may. `currval` and `lastval` go to the claimed connection. Unless all that
//! is there is the session's own, the backend is made to forget it first (`DISCARD SEQUENCES`),
//! and says itself that there is no value yet. Who has asked keeps the connection, and hears his
//! own from then on.

use super::{Session, adopt, splice::Splice};
use crate::backend::{ConnectionId, Used};
use crate::protocol::backend::Status;
use crate::sql::{Reading, Touches};

/// What a session knows of its own use of sequences.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// Where it may have used one last.
    claim: Option<ConnectionId>,
    /// In the transaction that is under way.
    now: bool,
}

const READS: Touches = Touches::SEQUENCE_READ;
const USES: Touches = Touches::SEQUENCE_USE
    .and(Touches::FUNCTION)
    .and(Touches::CALL)
    .and(Touches::EXECUTE);

impl Session {
    /// The connection that has what this text asks for.
    #[inline]
    pub(super) fn claimed(&self, reading: &Reading) -> Option<ConnectionId> {
        match reading.touches.any(READS) {
            true => self.flow.sequences.claim,
            false => None,
        }
    }

    /// Heeds that the text uses sequences, or asks for what they gave. It is not sent yet.
    #[inline]
    pub(super) fn use_sequences(&mut self, reading: &Reading, splice: &mut Splice<'_>) {
        let uses = reading.stake.writes || reading.touches.any(USES);
        if !(uses || reading.touches.any(READS)) || self.is_verbatim() {
            return;
        }
        if reading.touches.any(READS) {
            self.read_sequences(splice);
        }
        if uses {
            self.may_use_sequences();
        }
    }

    #[cold]
    fn read_sequences(&mut self, splice: &mut Splice<'_>) {
        let (me, claim) = (self.handle.id, self.flow.sequences.claim);
        let Some(lease) = &mut self.lease else { return };
        let own = claim == Some(lease.id);
        let trusted = match lease.memory.sequences {
            Used::Never => true,
            Used::By(session) => session == me && own,
            // What this transaction may have drawn is the last that was.
            Used::BySeveral { last } => last == me && own && self.flow.sequences.now,
        };
        if !trusted {
            self.forget_sequences(splice);
        } else if own {
            // It is nobody else's from now on.
            lease.memory.sequences = Used::By(me);
        }
    }

    #[inline]
    fn may_use_sequences(&mut self) {
        let me = self.handle.id;
        let Some(lease) = &mut self.lease else { return };
        lease.memory.sequences.also(me);
        self.flow.sequences = Sequences {
            claim: Some(lease.id),
            now: true,
        };
    }

    /// Has the backend forget all values. In a failed transaction it would not run, and neither
    /// would the question.
    fn forget_sequences(&mut self, splice: &mut Splice<'_>) {
        if self.flow.status == Status::Failed {
            return;
        }
        // A transaction of ours must not end one of the client's, also of a request under way.
        let inside = self.flow.status == Status::InTransaction || !self.ledger.is_empty();
        let Some(lease) = &mut self.lease else { return };
        let mut registry = self.shared.registry.borrow_mut();
        let (scope, ledger) = (self.identity.scope, &mut self.ledger);
        adopt::discard_sequences(lease, inside, &mut registry, scope, ledger, splice.insert());
        lease.memory.sequences = Used::Never;
    }

    /// The session has given up its values itself.
    pub(super) fn give_up_sequences(&mut self) {
        self.flow.sequences = Sequences::default();
    }

    /// A transaction has ended.
    #[inline]
    pub(super) fn end_sequences(&mut self) {
        self.flow.sequences.now = false;
    }
}
