//! Settings that the backend reports, and what the client is told of them.

use std::rc::Rc;

use super::{
    Keep, Session,
    adopt::with_identities_of,
    relay::{Break, GATHER, Step},
    splice::Splice,
};
use crate::backend::MAX_STATUSES;
use crate::protocol::{
    backend,
    frame::{HEADER, Header},
};

/// They change with who the session acts as.
const TELL_WHO: [&[u8]; 2] = [b"is_superuser", b"session_authorization"];

impl Session {
    /// A reported setting is told when it differs from what the client was last told, whoever
    /// caused the report.
    pub(super) fn status(&mut self, header: Header, seen: &[u8]) -> Result<Step, Break> {
        if seen.len() < header.len && header.len <= GATHER {
            return Ok(Step::Gather);
        }
        let body = seen.get(HEADER..).unwrap_or_default();
        let Some((name, value)) = backend::parameter_status(body) else {
            return Ok(Step::Pass);
        };
        if let Some(lease) = &mut self.lease {
            lease.statuses.set(name, value);
            if lease.statuses.len() > MAX_STATUSES {
                return Err(Break::Lost("it reports settings without an end".to_owned()));
            }
        }
        // Behind settings of ours the backend does not report all that the client is to be told:
        // at its end, all of it is, in the server's order.
        let later = self.flow.adopted && !backend::is_backends_own(name);
        if later || self.identity.told.get(name) == Some(value) {
            return Ok(Step::Swallow);
        }
        self.has_told(name, value);
        Ok(Step::Pass)
    }

    /// The client knows that a reported setting has this value.
    fn has_told(&mut self, name: &[u8], value: &[u8]) {
        self.give_up_trial();
        // What a transaction has set is undone should it be lost.
        if self.flow.keep == Keep::No
            && let Some(former) = self.identity.told.get(name)
            && self.flow.reports.get(name).is_none()
        {
            self.flow.reports.set(name, former);
        }
        if name == b"application_name" {
            self.handle.rename(value);
        }
        self.identity.tell(name, value);
    }

    /// The server reports at ReadyForQuery what is not as it last reported. A request that sets
    /// what the settings ahead of it have just taken away changes nothing in its eyes; the client
    /// is told all the same.
    pub(super) fn tell_unreported(&mut self, splice: &mut Splice<'_>) {
        let Some(lease) = &self.lease else {
            return;
        };
        let told = &self.identity.told;
        let differs = |(name, value): &(&[u8], &[u8])| {
            told.get(name) != Some(value) && !backend::is_backends_own(name)
        };
        let own = |(name, value): (&[u8], &[u8])| (name.to_owned(), value.to_owned());
        let untold: Vec<_> = lease.statuses.iter().filter(differs).map(own).collect();
        for (name, value) in untold {
            backend::put_parameter_status(splice.insert(), &name, &value);
            self.has_told(&name, &value);
        }
    }

    /// Settings that were taken back here alone: the client is told, as the server would.
    pub(super) fn retell(&mut self, splice: &mut Splice<'_>) {
        let first = Rc::clone(&self.identity.told_first);
        let parameters = &self.identity.parameters;
        let identities = with_identities_of((*self.identity.start).clone(), parameters);
        let acts_as_other = identities != *self.identity.start;
        for (name, value) in first.iter() {
            let stays = acts_as_other && TELL_WHO.contains(&name);
            if stays
                || self.identity.told.get(name) == Some(value)
                || backend::is_backends_own(name)
            {
                continue;
            }
            backend::put_parameter_status(splice.insert(), name, value);
            self.has_told(name, value);
        }
    }

    /// What a transaction set for itself is undone with it: the reports that say so.
    pub(super) fn take_back_reports(&mut self, inside: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let reports = std::mem::take(&mut self.flow.reports);
        for (name, former) in reports.iter().filter(|_| inside) {
            backend::put_parameter_status(&mut out, name, former);
            if name == b"application_name" {
                self.handle.rename(former);
            }
            self.identity.tell(name, former);
        }
        out
    }
}
