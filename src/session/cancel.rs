//! Which session does a CancelRequest mean?

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::{Mutex, PoisonError},
};

use super::SessionId;

/// The keys that clients were given, over all workers. Off the hot path: touched when a client
/// comes, goes, or cancels.
// No Debug: keys are secrets.
#[derive(Default)]
pub struct CancelKeys(Mutex<Keys>);

#[derive(Default)]
struct Keys {
    places: HashMap<(i32, u32), Place>,
    /// Randomness of the system's, asked for many keys at once.
    dice: Vec<u8>,
}

/// Bytes of randomness asked for at once.
const DICE: usize = 256;

/// Where a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub worker: usize,
    pub session: SessionId,
}

impl CancelKeys {
    /// Makes a key that cannot be guessed for a session that is told `pid`. Several sessions
    /// are told the same one, so the key alone tells them apart.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn issue(&self, pid: i32, place: Place) -> io::Result<u32> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let key = keys.throw()?;
            if let Entry::Vacant(entry) = keys.places.entry((pid, key)) {
                entry.insert(place);
                return Ok(key);
            }
        }
    }

    pub fn revoke(&self, pid: i32, key: u32) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.places.remove(&(pid, key));
    }

    /// The session that was given this key.
    pub fn find(&self, pid: i32, key: &[u8]) -> Option<Place> {
        let key = u32::from_be_bytes(key.try_into().ok()?);
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.places.get(&(pid, key)).copied()
    }
}

impl Keys {
    fn throw(&mut self) -> io::Result<u32> {
        if self.dice.len() < 4 {
            let mut fresh = [0; DICE];
            getrandom::fill(&mut fresh)?;
            self.dice.extend_from_slice(&fresh);
        }
        let rest = self.dice.len() - 4;
        let key = self.dice.split_off(rest);
        Ok(key.iter().fold(0, |key, &byte| key << 8 | u32::from(byte)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        worker: 0,
        session: 7,
    };

    #[test]
    fn a_key_finds_its_session_until_it_is_revoked() {
        let keys = CancelKeys::default();
        let key = keys.issue(42, PLACE).unwrap();
        assert_eq!(keys.find(42, &key.to_be_bytes()), Some(PLACE));
        assert_eq!(keys.find(43, &key.to_be_bytes()), None);
        assert_eq!(keys.find(42, &[1, 2, 3, 4, 5]), None);
        keys.revoke(42, key);
        assert_eq!(keys.find(42, &key.to_be_bytes()), None);
    }

    #[test]
    fn sessions_with_one_process_id_have_keys_of_their_own() {
        let keys = CancelKeys::default();
        let other = Place {
            session: 8,
            ..PLACE
        };
        let (first, second) = (keys.issue(1, PLACE).unwrap(), keys.issue(1, other).unwrap());
        assert_ne!(first, second);
        assert_eq!(keys.find(1, &second.to_be_bytes()), Some(other));
    }
}
