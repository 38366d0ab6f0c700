//! What do sessions keep to themselves, and how is whoever finds nothing left told of it?
//! Never asks why a session does: the reason is a word of `session`'s.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Exchange, Key, Pool};
use crate::sql::Fingerprint;

/// What the sessions of the process keep. Locked when a session begins or ends to keep a
/// connection, never on the way of a request.
#[derive(Debug, Default)]
pub struct Pins(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<Pin, usize>,
    /// What was told of a database; clients' texts have a say in how much that is.
    told: HashSet<(String, &'static str, Option<Fingerprint>)>,
}

/// Pins of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pin {
    key: Key,
    reason: &'static str,
    print: Option<Fingerprint>,
}

/// Kinds of pins that are told of, each once.
const TOLD: usize = 10_000;
/// Kinds of pins that an error names.
const NAMED: usize = 3;

/// Says that a session keeps a connection, until it is dropped.
#[derive(Debug)]
pub struct PinNote {
    pins: Arc<Pins>,
    pin: Pin,
}

impl Drop for PinNote {
    fn drop(&mut self) {
        let mut state = self.pins.lock();
        if let Some(count) = state.kept.get_mut(&self.pin) {
            *count -= 1;
            if *count == 0 {
                state.kept.remove(&self.pin);
            }
        }
    }
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of the keys that are meant, the most frequent kinds by name; empty: nothing.
    fn tell(&self, meant: impl Fn(&Key) -> bool) -> String {
        let state = self.lock();
        let mut kinds: BTreeMap<(&'static str, Option<Fingerprint>), usize> = BTreeMap::new();
        for (pin, count) in state.kept.iter().filter(|(pin, _)| meant(&pin.key)) {
            *kinds.entry((pin.reason, pin.print)).or_default() += count;
        }
        drop(state);
        if kinds.is_empty() {
            return String::new();
        }
        let sum: usize = kinds.values().sum();
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, count)| Reverse(*count));
        let mut told = format!("Sessions keep {sum} of them to themselves: ");
        for (at, ((reason, print), count)) in kinds.iter().take(NAMED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            // Writing to a text cannot fail.
            let _ = write!(told, "{comma}{count} by {reason}");
            if let Some(print) = print {
                let _ = write!(told, " (statement {print})");
            }
        }
        if kinds.len() > NAMED {
            told.push_str(", …");
        }
        told.push_str(". SHOW PINS in the console names them all.");
        told
    }

    /// How many are kept of one key.
    fn count(&self, key: &Key) -> usize {
        let state = self.lock();
        let own = state.kept.iter().filter(|(pin, _)| pin.key == *key);
        own.map(|(_, count)| count).sum()
    }
}

/// Room for one connection beyond the pool's size; dropping it gives it back.
pub struct Beyond(Arc<Exchange>);

impl Beyond {
    /// `None`: there are `limit` already. 0: no limit.
    pub fn take(exchange: &Arc<Exchange>, limit: usize) -> Option<Self> {
        let more = |have: usize| (limit == 0 || have < limit).then_some(have + 1);
        let relaxed = Ordering::Relaxed;
        exchange
            .beyond()
            .fetch_update(relaxed, relaxed, more)
            .ok()?;
        Some(Self(Arc::clone(exchange)))
    }
}

impl Drop for Beyond {
    fn drop(&mut self) {
        self.0.beyond().fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// Notes that a session keeps a connection of this pool. True: nobody did for this reason
    /// and by this statement before.
    pub fn note_pin(&self, reason: &'static str, print: Option<Fingerprint>) -> (PinNote, bool) {
        let pins = self.exchange.pins();
        let pin = Pin {
            key: self.key.clone(),
            reason,
            print,
        };
        let mut state = pins.lock();
        *state.kept.entry(pin.clone()).or_default() += 1;
        let news = (self.name().into_owned(), reason, print);
        let is_news = state.told.len() < TOLD && state.told.insert(news);
        drop(state);
        let pins = Arc::clone(pins);
        (PinNote { pins, pin }, is_news)
    }

    /// What sessions keep of this pool's size, for whoever waits for it in vain; empty: nothing.
    pub(super) fn pins_within(&self) -> String {
        let pins = self.exchange.pins();
        let beyond = self.exchange.beyond().load(Ordering::Relaxed);
        match pins.count(&self.key) > beyond {
            true => pins.tell(|key| *key == self.key),
            false => String::new(),
        }
    }

    /// What sessions keep of the backend's connections, whatever pool they are of.
    pub(super) fn pins_of_backend(&self) -> String {
        let backend = &self.key.backend;
        self.exchange.pins().tell(|key| key.backend == *backend)
    }
}

/// The connections beyond the size, as an exchange counts them.
pub(super) type Count = AtomicUsize;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &[u8]) -> Key {
        Key {
            entry: "app".to_owned(),
            backend: "db:5432".to_owned(),
            database: b"app".to_vec(),
            user: user.to_vec(),
        }
    }

    fn note(pins: &Arc<Pins>, user: &[u8], reason: &'static str) -> PinNote {
        let pin = Pin {
            key: key(user),
            reason,
            print: None,
        };
        *pins.lock().kept.entry(pin.clone()).or_default() += 1;
        let pins = Arc::clone(pins);
        PinNote { pins, pin }
    }

    #[test]
    fn the_most_frequent_pins_are_named_first_and_those_that_ended_not_at_all() {
        let pins = Arc::default();
        let kept = [
            note(&pins, b"a", "temp"),
            note(&pins, b"a", "listen"),
            note(&pins, b"b", "listen"),
        ];
        drop(note(&pins, b"a", "load"));
        assert_eq!(
            pins.tell(|_| true),
            "Sessions keep 3 of them to themselves: 2 by listen, 1 by temp. \
             SHOW PINS in the console names them all."
        );
        assert_eq!(pins.count(&key(b"a")), 2);
        drop(kept);
        assert_eq!(pins.tell(|_| true), "");
    }
}
