//! From a password to keys: the costly step, and what it yields.

use core::fmt;

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{DEFAULT_ITERATIONS, Error, MAX_SALT, message, saslprep};
use crate::auth::Secret;

/// The length of the salts that Postgres chooses, in bytes.
const DEFAULT_SALT: usize = 16;

/// 32 bytes that leave no trace in memory.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// What a password is stretched with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipe {
    salt: Box<[u8]>,
    iterations: u32,
}

impl Recipe {
    /// # Errors
    /// A salt that is empty or longer than [`MAX_SALT`]; iterations outside
    /// 1..=[`MAX_ITERATIONS`](super::MAX_ITERATIONS).
    pub fn new(salt: Vec<u8>, iterations: u32) -> Result<Self, Error> {
        if !(1..=MAX_SALT).contains(&salt.len()) {
            return Err(Error::SaltLength { length: salt.len() });
        }
        Ok(Self {
            salt: salt.into(),
            iterations: message::check_iterations(iterations)?,
        })
    }

    /// With a salt that is computed from the name: the same for as long as the seed is, and
    /// foretold by nobody who does not know it.
    pub fn made_up(seed: &[u8; 32], name: &str) -> Self {
        let seed = Zeroizing::new(*seed);
        let salt = sign(&seed, format!("salt:{name}").as_bytes());
        Self {
            salt: salt.iter().copied().take(DEFAULT_SALT).collect(),
            iterations: DEFAULT_ITERATIONS,
        }
    }

    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }
}

/// What a password becomes under one [`Recipe`]: enough to log in with, and all that is kept of
/// it, so that PBKDF2 is paid once. As secret as the password itself: `Debug` shows none of it.
#[derive(Clone)]
pub struct Keys {
    recipe: Recipe,
    client: Key,
    server: Key,
}

impl Keys {
    /// Stretches a password. Takes [`Recipe::iterations`] rounds of HMAC: a millisecond or more
    /// under a usual recipe, up to a second under the costliest.
    pub fn derive(password: &Secret, recipe: Recipe) -> Self {
        let prepared = saslprep::prepare(password.expose());
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&prepared, &recipe.salt, recipe.iterations, &mut *salted);
        Self {
            client: sign(&salted, b"Client Key"),
            server: sign(&salted, b"Server Key"),
            recipe,
        }
    }

    /// From an exchange in which the client has proven its key.
    pub(super) fn proven(recipe: Recipe, client: Key, server: Key) -> Self {
        Self {
            recipe,
            client,
            server,
        }
    }

    /// The salt and iterations that they belong to.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    pub(super) fn stored(&self) -> Key {
        hash(&self.client)
    }

    pub(super) fn server(&self) -> &Key {
        &self.server
    }

    /// ClientProof := ClientKey XOR HMAC(StoredKey, AuthMessage)
    pub(super) fn proof(&self, auth_message: &str) -> [u8; 32] {
        *xor(&self.client, &sign(&self.stored(), auth_message.as_bytes()))
    }

    /// Whether `signature` is HMAC(ServerKey, AuthMessage). In constant time.
    pub(super) fn signed(&self, auth_message: &str, signature: &[u8]) -> bool {
        keyed(&self.server)
            .chain_update(auth_message)
            .verify_slice(signature)
            .is_ok()
    }
}

/// In constant time.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.recipe == other.recipe
            && same(&self.client, &other.client)
            && same(&self.server, &other.server)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// HMAC-SHA-256.
pub(super) fn sign(key: &Key, text: &[u8]) -> Key {
    Zeroizing::new(keyed(key).chain_update(text).finalize().into_bytes().into())
}

/// SHA-256.
pub(super) fn hash(key: &Key) -> Key {
    Zeroizing::new(Sha256::digest(**key).into())
}

pub(super) fn xor(left: &Key, right: &Key) -> Key {
    let mut both = left.clone();
    both.iter_mut()
        .zip(right.iter())
        .for_each(|(byte, other)| *byte ^= other);
    both
}

/// In constant time.
pub(super) fn same(left: &Key, right: &Key) -> bool {
    let output = |key: &Key| CtOutput::<Sha256>::new((**key).into());
    output(left) == output(right)
}

/// RFC 2104 fills a short key with zeroes to the block size; a key of that size cannot be refused,
/// while `new_from_slice` has an error to handle that never comes.
fn keyed(key: &Key) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block
        .iter_mut()
        .zip(key.iter())
        .for_each(|(to, from)| *to = *from);
    Hmac::new((&*block).into())
}
