//! Errors and notices of the backend: what they mean for us, and whether the client hears them.

use super::{
    End, Session,
    failed::ENDED,
    names,
    prepared::PREFIX,
    relay::{Break, GATHER, Step},
    role::{Naming, Role},
    splice::Splice,
};
use crate::protocol::{
    SqlState, backend,
    frame::Header,
    notice::{self, Severity},
};
use crate::telemetry::events;

impl Session {
    pub(super) fn error(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        let body = backend::body(seen);
        let whole = seen.len() == header.len;
        if whole && notice::message(body).is_none() {
            return Err(Break::Lost(
                "it reported an error without a word".to_owned(),
            ));
        }
        if notice::is_fatal(body) {
            return Err(self.ended(whole, seen, splice));
        }
        let Some(front) = self.ledger.front() else {
            return Err(Break::Lost("it reported an error unasked".to_owned()));
        };
        if matches!(front.role, Role::Guards) {
            return Err(Break::Guard(body.to_owned()));
        }
        if matches!(front.role, Role::Begins) {
            return Err(Break::Begin(body.to_owned()));
        }
        if matches!(front.role, Role::Looks(_)) {
            self.undo_failed();
            return Ok(Step::Swallow);
        }
        if let Role::Refuses(fault) = &front.role {
            fault.put(splice.insert(), Severity::Error);
            self.undo_failed();
            return Ok(Step::Replaced);
        }
        if matches!(front.role, Role::Naming(Naming::Adopts(_))) && self.ledger.is_cut_off() {
            // What follows goes on, lacks what it names, and is told why.
            if seen.len() == header.len {
                self.flow.unput.get_or_insert_with(|| seen.to_owned());
            }
            self.undo_failed();
            return Ok(Step::Swallow);
        }
        let (by_client, wording) = (front.role.is_client(), front.wording());
        if whole && self.heals(body, splice) {
            return Ok(Step::Swallow);
        }
        if by_client {
            self.pool.traffic().statements.add(1);
        }
        // Data that the client still sends is read over by the backend, as it is here once the
        // connection is given back.
        self.flow.copying = false;
        if let Some(watch) = &mut self.flow.watch {
            watch.failed();
        }
        self.undo_failed();
        self.learn(body);
        // Who did not cancel is told why it was.
        if self.flow.overdue && notice::sqlstate(body) == Some(SqlState::QUERY_CANCELED) {
            self.cancelled().put(splice.insert(), Severity::Error);
            return Ok(Step::Replaced);
        }
        if lacks(body)
            && let Some(error) = self.flow.unput.take()
        {
            splice.insert().extend_from_slice(&error);
            return Ok(Step::Replaced);
        }
        Ok(self.reword(header, seen, wording, splice))
    }

    /// The backend ends the connection, and tells why.
    fn ended(&mut self, whole: bool, seen: &[u8], splice: &mut Splice<'_>) -> Break {
        let body = backend::body(seen);
        let code = notice::sqlstate(body);
        let is_direct = !self.may_outlive() || code == Some(SqlState::PROTOCOL_VIOLATION);
        if is_direct && whole {
            return Break::End(self.dismissed(seen, body, splice));
        }
        let said = notice::message(body).unwrap_or(b"it ended the connection");
        Break::Lost(String::from_utf8_lossy(said).into_owned())
    }

    /// What an error says of more than the message that failed.
    fn learn(&mut self, body: &[u8]) {
        let code = notice::sqlstate(body);
        if code == Some(SqlState::FEATURE_NOT_SUPPORTED) {
            // A plan that must not change may be why.
            self.shared.registry.borrow().doubt();
        }
        if code == Some(SqlState::UNDEFINED_STATEMENT) {
            self.missed(body);
        }
    }

    /// A statement of ours is gone unseen: a function has deallocated it, and others perhaps. They
    /// are not to be missed one by one, by whoever has the connection next.
    fn missed(&mut self, body: &[u8]) {
        let message = notice::message(body).unwrap_or_default();
        let at = notice::find(message, PREFIX);
        let from = at.and_then(|at| message.get(at..)).unwrap_or_default();
        let (name, _) = names::said(from);
        if let Some(lease) = &mut self.lease
            && lease.memory.lose(name)
        {
            self.flow.tainted = true;
        }
    }

    /// The backend ends the client's session, as it would without us: what was lost is the
    /// session's own, or the client broke the protocol.
    fn dismissed(&mut self, seen: &[u8], body: &[u8], splice: &mut Splice<'_>) -> End {
        splice.pass(seen.len());
        let said = String::from_utf8_lossy(notice::message(body).unwrap_or_default()).into_owned();
        if let Some(lease) = self.lease.take() {
            events::connection_lost(&self.pool.key().backend, lease.pid, &said);
        }
        End::Dismissed(said)
    }

    pub(super) fn notice(&mut self, header: Header, seen: &[u8], splice: &mut Splice<'_>) -> Step {
        if seen.len() < header.len && header.len <= GATHER {
            return Step::Gather;
        }
        match self.ledger.front() {
            Some(owed) if !owed.role.is_client() => Step::Swallow,
            // The end of a transaction that was lost: the client has had one.
            Some(owed)
                if owed
                    .role
                    .change()
                    .is_some_and(|change| change.tag == Some(ENDED))
                    && notice::sqlstate(backend::body(seen))
                        == Some(SqlState::NO_ACTIVE_TRANSACTION) =>
            {
                Step::Swallow
            }
            Some(_) | None => self.rename(header, seen, None, splice),
        }
    }
}

/// Whether an error may be due to what could not be prepared ahead of the message that failed.
fn lacks(body: &[u8]) -> bool {
    matches!(
        notice::sqlstate(body),
        Some(SqlState::UNDEFINED_STATEMENT | SqlState::IN_FAILED_TRANSACTION)
    )
}
