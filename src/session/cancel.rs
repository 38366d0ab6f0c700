//! Which session does a CancelRequest mean?

use std::{
    collections::HashMap,
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
    places: HashMap<(i32, KeyHandle), (Rest, Place)>,
    /// Randomness of the system's, asked for many keys at once.
    dice: Vec<u8>,
}

/// The first four bytes of a key, or all there are before protocol 3.2. With the process id they
/// tell sessions apart, which are often told the same one.
pub type KeyHandle = u32;

/// The other bytes of a key of protocol 3.2: as long altogether as a server's own.
type Rest = Option<Box<[u8; 28]>>;

/// Bytes of randomness asked for at once.
const DICE: usize = 256;

/// The first minor version of the protocol that has long keys.
const LONG_SINCE: u32 = 2;

/// Where a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub worker: usize,
    pub session: SessionId,
}

impl CancelKeys {
    /// Makes a key that cannot be guessed for a session that is told `pid` and speaks this minor
    /// version of the protocol: 4 bytes, or 32 where keys may be long. Gives the key, and what
    /// revokes it.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn issue(&self, pid: i32, minor: u32, place: Place) -> io::Result<(Vec<u8>, KeyHandle)> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest: Rest = match minor {
            LONG_SINCE.. => Some(Box::new(keys.throw()?)),
            _ => None,
        };
        let handle = loop {
            let handle = KeyHandle::from_be_bytes(keys.throw()?);
            if !keys.places.contains_key(&(pid, handle)) {
                break handle;
            }
        };
        let mut key = handle.to_be_bytes().to_vec();
        key.extend(rest.iter().flat_map(|rest| rest.iter()));
        keys.places.insert((pid, handle), (rest, place));
        Ok((key, handle))
    }

    pub fn revoke(&self, pid: i32, handle: KeyHandle) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.places.remove(&(pid, handle));
    }

    /// The session that was given this key. How long it takes tells nothing of the keys: the map
    /// hashes with a secret of its own, and the rest is compared to its end.
    pub fn find(&self, pid: i32, key: &[u8]) -> Option<Place> {
        let (handle, shown) = key.split_first_chunk::<4>()?;
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rest, place) = keys.places.get(&(pid, KeyHandle::from_be_bytes(*handle)))?;
        let rest = rest.as_deref().map_or(&[][..], |rest| rest);
        same(rest, shown).then_some(*place)
    }
}

/// In constant time for what is of one length; lengths are no secret.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = |sum, (a, b): (&u8, &u8)| sum | (a ^ b);
    let sum = one.iter().zip(other).fold(0, differ);
    one.len() == other.len() && std::hint::black_box(sum) == 0
}

impl Keys {
    fn throw<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        if self.dice.len() < N {
            let mut fresh = [0; DICE];
            getrandom::fill(&mut fresh)?;
            self.dice.extend_from_slice(&fresh);
        }
        let rest = self.dice.len() - N;
        let thrown = self.dice.split_off(rest);
        thrown.try_into().map_err(|_| io::ErrorKind::Other.into())
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test"
)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        worker: 0,
        session: 7,
    };

    #[test]
    fn a_key_finds_its_session_until_it_is_revoked() {
        let keys = CancelKeys::default();
        for minor in 0..=2 {
            let (key, handle) = keys.issue(42, minor, PLACE).unwrap();
            assert_eq!(key.len(), if minor < 2 { 4 } else { 32 });
            assert_eq!(keys.find(42, &key), Some(PLACE));
            assert_eq!(keys.find(43, &key), None);
            keys.revoke(42, handle);
            assert_eq!(keys.find(42, &key), None);
        }
    }

    #[test]
    fn fact_7_a_key_with_one_bit_wrong_or_of_another_length_finds_nothing() {
        let keys = CancelKeys::default();
        for minor in [0, 2] {
            let (key, _) = keys.issue(42, minor, PLACE).unwrap();
            for bit in 0..key.len() * 8 {
                let mut wrong = key.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(keys.find(42, &wrong), None, "{minor} {bit}");
            }
            for len in (0..256).filter(|len| *len != key.len()) {
                let mut wrong = key.clone();
                wrong.resize(len, 0);
                assert_eq!(keys.find(42, &wrong), None, "{minor} {len}");
            }
        }
    }

    #[test]
    fn sessions_with_one_process_id_have_keys_of_their_own() {
        let keys = CancelKeys::default();
        let other = Place {
            session: 8,
            ..PLACE
        };
        let (first, _) = keys.issue(1, 0, PLACE).unwrap();
        let (second, _) = keys.issue(1, 0, other).unwrap();
        assert_ne!(first, second);
        assert_eq!(keys.find(1, &second), Some(other));
    }
}
