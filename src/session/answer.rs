//! What the connection was asked has been answered: the settings that it tells are the session's,
//! and what it has pins the session, or does no more.

use std::{rc::Rc, sync::Arc};

use super::{
    Keep, Session,
    adopt::{AUTHORIZATION, ROLE},
    look::{About, Looking, REASONS, Row},
    own,
    pin::Reason,
    sabotage::{Part, without},
};
use crate::protocol::Parameters;

impl Session {
    /// The answer to a question is complete.
    pub(super) fn saw(&mut self, looking: Looking) {
        match (looking.lost, &looking.about) {
            (true, _) => self.saw_nothing(&looking),
            (false, About::Settings) => self.saw_settings(&looking),
            (false, About::Holdings) => self.saw_holdings(&looking),
            (false, About::Channels { bare }) => {
                let (bare, cause) = (*bare, looking.cause(Reason::Listen));
                let rows = looking.rows.into_iter();
                let names = rows.filter_map(|row| row.into_iter().next().flatten());
                let names = names.map(Vec::into_boxed_slice).collect();
                self.saw_channels(names, !bare, cause);
            }
            (false, About::Handing) => {}
            (false, About::Code(asked)) => self.saw_code(asked, &looking.rows),
        }
        let outstanding = self.flow.watch.is_some() || self.ledger.is_looking();
        self.flow.resetting &= outstanding;
        if self.flow.keep == Keep::Unsettled && !outstanding {
            self.flow.keep = Keep::No;
        }
    }

    /// It could not be answered: the session stays where what it has is.
    pub(super) fn saw_nothing(&mut self, looking: &Looking) {
        self.flow.resetting = false;
        let reason = match looking.about {
            About::Settings => Reason::Setting,
            About::Holdings | About::Channels { .. } | About::Handing => Reason::Unclear,
            // It is asked again when they are called again.
            About::Code(_) => return,
        };
        self.pin(looking.cause(reason));
    }

    /// What it may have set is to be asked by name now, and who it calls.
    fn saw_code(&mut self, asked: &[Box<[u8]>], rows: &[Row]) {
        let code = rows.iter().filter_map(|row| {
            let [Some(name), body] = row.as_slice() else {
                return None;
            };
            Some((unhex(name)?, body.as_deref().and_then(unhex)))
        });
        let code: Vec<_> = code.collect();
        let now = self.shared.clock.now();
        let mut calls = self.calls.borrow_mut();
        calls.learn(asked, &code, now);
        let reach = calls.reach(&asked.iter().cloned().collect(), now);
        drop(calls);
        if !(reach.unread.is_empty() && reach.inside.settings.is_empty()) {
            let mut watch = self.flow.watch.take().unwrap_or_default();
            watch.guess(reach);
            self.flow.watch = Some(watch);
        }
    }

    fn saw_settings(&mut self, looking: &Looking) {
        let Some(lease) = &mut self.lease else { return };
        let pool = Rc::clone(&self.pool);
        let user = &pool.key().user;
        let mut wanted = (*self.identity.parameters).clone();
        let mut worn = (*lease.memory.wearing).clone();
        let mut seeded = false;
        for row in &looking.rows {
            let [Some(name), value, set] = row.as_slice() else {
                continue;
            };
            // Nobody is told what it is.
            let is_seed = name.eq_ignore_ascii_case(b"seed");
            seeded |= is_seed;
            if is_seed || is_of_transaction(name) {
                continue;
            }
            let value = value.as_deref().and_then(unhex);
            // A custom setting that was taken back is not gone, but empty.
            let gone = |value: &[u8]| value.is_empty() && name.eq_ignore_ascii_case(own::ROUTE);
            let value = value.filter(|value| set.as_deref() == Some(b"t") && !gone(value));
            let guessed = looking.guessed.iter().any(|one| one.as_bytes() == name);
            let unset = guessed && wanted.get(name).is_none();
            let value = value.filter(|value| !(unset && value.is_empty()));
            let plain = self.identity.start.get(name).is_none();
            match value.filter(|value| !(plain && is_nobody(name, value, user))) {
                Some(value) => {
                    wanted.set(name, &value);
                    worn.set(name, &value);
                }
                None if without(Part::TakeBack) => {}
                None => {
                    worn.remove(name);
                    match self.identity.start.get(name) {
                        Some(value) => wanted.set(name, value),
                        None => wanted.remove(name),
                    }
                }
            }
        }
        let wanted = self.become_of(wanted);
        self.names.settle(&wanted);
        if let Some(lease) = &mut self.lease {
            lease.memory.wearing = match worn == *wanted {
                true => wanted,
                false => Arc::new(worn),
            };
        }
        if seeded {
            self.pin(looking.cause(Reason::Seed));
        }
    }

    /// From here on every connection must wear these.
    pub(super) fn become_of(&mut self, wanted: Parameters) -> Arc<Parameters> {
        let start = &self.identity.start;
        let wanted = match wanted == **start {
            true => Arc::clone(start),
            false => Arc::new(wanted),
        };
        self.identity.scope = self.shared.registry.borrow_mut().scope(&wanted);
        self.identity.wish = own::wish_in(&wanted);
        self.identity.parameters = Arc::clone(&wanted);
        wanted
    }

    fn saw_holdings(&mut self, looking: &Looking) {
        let row = looking.rows.first().map(Vec::as_slice).unwrap_or_default();
        let held = row.iter().zip(REASONS);
        let held = held.filter(|(value, _)| value.as_deref() == Some(b"t"));
        let handed = self.listening.is_some();
        let held = held.map(|(_, reason)| reason);
        let held: Vec<Reason> = held
            .filter(|reason| *reason != Reason::Listen || !handed)
            .collect();
        match (held.first(), self.flow.keep) {
            (Some(&reason), Keep::Pinned(before)) if is_seen(before) => {
                if !held.contains(&before) {
                    self.pin_on(looking.cause(reason));
                }
            }
            (Some(&reason), _) => self.pin(looking.cause(reason)),
            (None, Keep::Pinned(reason)) if is_seen(reason) => self.unpin(),
            (None, _) => {}
        }
    }
}

/// Whether a look can tell that this is over.
pub(super) fn is_seen(reason: Reason) -> bool {
    REASONS.contains(&reason)
}

/// Whether it is the open transaction's, and every next one begins without it.
fn is_of_transaction(name: &[u8]) -> bool {
    let names: [&[u8]; 3] = [
        b"transaction_isolation",
        b"transaction_read_only",
        b"transaction_deferrable",
    ];
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether the value of an identity is that of who has taken on none.
fn is_nobody(name: &[u8], value: &[u8], user: &[u8]) -> bool {
    name.eq_ignore_ascii_case(ROLE) && value == b"none"
        || name.eq_ignore_ascii_case(AUTHORIZATION) && value == user
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_the_bytes_that_they_are() {
        assert_eq!(unhex(b"4d61c39f00"), Some(b"Ma\xc3\x9f\0".to_vec()));
        assert_eq!(unhex(b""), Some(Vec::new()));
        assert_eq!(unhex(b"4"), None);
        assert_eq!(unhex(b"4g"), None);
    }
}
