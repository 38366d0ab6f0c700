//! Notifications, and whether the client hears them from here or from there.

use std::task::Context;

use super::{
    End, Fault, Keep, Session, fault,
    relay::{Break, GATHER, Step},
    splice::Splice,
};
use crate::pool::{Silence, Terms};
use crate::protocol::{
    backend::{self, Status},
    frame::Header,
};

impl Session {
    /// A notification on the lease.
    pub(super) fn notified(
        &mut self,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, Break> {
        // Only who listens is told.
        let shared = self.flow.keep == Keep::No && !self.flow.listens;
        if shared || self.is_verbatim() {
            return Ok(if shared { Step::Swallow } else { Step::Pass });
        }
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        let (Some(lease), Some((pid, channel, payload))) =
            (&self.lease, backend::notification(backend::body(seen)))
        else {
            return Err(Break::Lost("it sent half a notification".to_owned()));
        };
        let own = pid == lease.pid;
        // What the shared connection has heard by now came before, most likely.
        let handed = self
            .listening
            .as_ref()
            .is_some_and(|one| one.fresh.is_empty());
        if handed && self.flow.watch.is_none() {
            let mut out = Vec::new();
            while self.put_heard(&mut out)? {}
            splice.insert().extend_from_slice(&out);
        }
        if let Some(listening) = &mut self.listening {
            if listening.is_marker(channel) {
                listening.fresh.clear();
                return Ok(Step::Swallow);
            }
            if !listening.fresh.contains(channel) && listening.is_handed(channel) {
                if listening.take_early(seen) {
                    return Ok(Step::Swallow);
                }
                listening.had.push_back(seen.into());
            }
        }
        let told = match own {
            true => self.identity.key.0,
            false => self.identity.house.listeners().told(pid),
        };
        if told == pid {
            return Ok(Step::Pass);
        }
        backend::put_notification(splice.insert(), told, channel, payload);
        Ok(Step::Replaced)
    }

    /// Outside of a request: the client is told what the shared connection has heard for it.
    pub(super) fn hear(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(listening) = &self.listening else {
            return Ok(());
        };
        let ear = std::sync::Arc::clone(&listening.ear);
        ear.register(cx.waker());
        let at_rest = self.is_idle() && self.flow.failed.is_none() && !self.flow.refusing;
        if at_rest && self.flow.watch.is_none() {
            let mut out = Vec::new();
            while !self.client.is_backed_up() && self.put_heard(&mut out)? {
                self.tell(cx, &out)?;
                out.clear();
            }
        }
        match ear.silence() {
            Some(silence) if !self.hears_alone() => Err(self.deaf(silence).into()),
            Some(_) | None => Ok(()),
        }
    }

    /// The end of a transaction: what was heard meanwhile comes ahead of its ReadyForQuery.
    pub(super) fn hear_ahead(&mut self, splice: &mut Splice<'_>) -> Result<(), End> {
        let outside = self.flow.status == Status::Idle && !self.ledger.owes_the_client();
        if outside && self.flow.watch.is_none() && !self.ledger.is_looking() {
            let mut out = Vec::new();
            while self.put_heard(&mut out)? {}
            splice.insert().extend_from_slice(&out);
        }
        Ok(())
    }

    /// Appends some of what the shared connection has heard. False: there is no more.
    fn put_heard(&mut self, out: &mut Vec<u8>) -> Result<bool, End> {
        let Some(listening) = &mut self.listening else {
            return Ok(false);
        };
        let Some(frame) = listening.ear.take() else {
            return Ok(false);
        };
        let Some((pid, channel, payload)) = backend::notification(backend::body(&frame)) else {
            return Ok(true);
        };
        if listening.is_marker(channel) {
            let handed = listening.handing.take();
            listening.heard.extend(handed.into_iter().flatten());
            return Ok(true);
        }
        if !listening.heard.contains(channel) {
            return Ok(true);
        }
        if let Some(at) = listening.had.iter().position(|had| **had == *frame) {
            listening.had.remove(at);
            return Ok(true);
        }
        let encoding = listening.terms.as_ref().map(|terms| &*terms.encoding);
        if !backend::body(&frame).get(4..).is_some_and(<[u8]>::is_ascii)
            && self.identity.told.get(b"client_encoding") != encoding
        {
            return Err(self.deaf(Silence::Unspeakable).into());
        }
        match self.identity.house.listeners().told(pid) {
            told if told == pid => out.extend_from_slice(&frame),
            told => backend::put_notification(out, told, channel, payload),
        }
        if self.flow.listens {
            listening.early.push_back(frame);
        }
        Ok(true)
    }

    /// Whether the lease is all that the session listens by.
    fn hears_alone(&self) -> bool {
        let listening = self.listening.as_ref();
        listening.is_none_or(|one| one.heard.is_empty() && one.handing.is_none())
    }

    fn deaf(&self, why: Silence) -> Fault {
        Fault::Deaf {
            database: fault::database(&self.pool),
            why,
        }
    }
}

impl super::listen::Listening {
    /// Whether the client has had this by the shared connection.
    fn take_early(&mut self, frame: &[u8]) -> bool {
        let at = self.early.iter().position(|early| **early == *frame);
        at.and_then(|at| self.early.remove(at)).is_some()
    }

    fn is_marker(&self, channel: &[u8]) -> bool {
        let marker = self.terms.as_ref().map(|terms: &Terms| &*terms.marker);
        marker == Some(channel)
    }
}
