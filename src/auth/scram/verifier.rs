//! What a server keeps of a password: enough to check a proof, not enough to make one.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::{self, Key};
use super::{Error, Keys, MECHANISM, Recipe, message};

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as `pg_authid.rolpassword` has it
/// (PostgreSQL docs, "pg_authid"). With it one can pose as the server: `Debug` shows none of it,
/// and there is no `Display`.
#[derive(Clone)]
pub struct Verifier {
    recipe: Recipe,
    stored: Key,
    server: Key,
}

impl Verifier {
    /// # Errors
    /// [`Error::NotAVerifier`] if the text has another shape; else what is wrong with its parts.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (recipe, keys) = text
            .strip_prefix(MECHANISM)
            .and_then(|rest| rest.strip_prefix('$'))
            .and_then(|rest| rest.split_once('$'))
            .ok_or(Error::NotAVerifier)?;
        let (iterations, salt) = recipe.split_once(':').ok_or(Error::NotAVerifier)?;
        let (stored, server) = keys.split_once(':').ok_or(Error::NotAVerifier)?;
        Ok(Self {
            recipe: message::recipe(salt, iterations)?,
            stored: key(stored)?,
            server: key(server)?,
        })
    }

    /// The verifier of a user who does not exist: every attempt meets the same salt, no proof
    /// fits, and the dialogue is that of a user who does. `seed` stays the same for as long as
    /// anyone might compare, and stays secret.
    pub fn mock(seed: &[u8; 32], user: &str) -> Self {
        let seed = Zeroizing::new(*seed);
        let part = |label: &str| keys::sign(&seed, format!("{label}:{user}").as_bytes());
        Self {
            recipe: Recipe::made_up(&seed, user),
            stored: part("stored"),
            server: part("server"),
        }
    }

    /// The text as Postgres would store it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let part = |bytes: &[u8]| Zeroizing::new(STANDARD.encode(bytes));
        Zeroizing::new(format!(
            "{MECHANISM}${}:{}${}:{}",
            self.recipe.iterations(),
            *part(self.recipe.salt()),
            *part(&*self.stored),
            *part(&*self.server),
        ))
    }

    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The keys, if `proof` shows that the client knows them. In constant time.
    pub(super) fn check(&self, auth_message: &str, proof: Key) -> Result<Keys, Error> {
        let signature = keys::sign(&self.stored, auth_message.as_bytes());
        let client = keys::xor(&proof, &signature);
        if !keys::same(&keys::hash(&client), &self.stored) {
            return Err(Error::WrongProof);
        }
        Ok(Keys::proven(
            self.recipe.clone(),
            client,
            self.server.clone(),
        ))
    }
}

impl From<&Keys> for Verifier {
    fn from(keys: &Keys) -> Self {
        Self {
            recipe: keys.recipe().clone(),
            stored: keys.stored(),
            server: keys.server().clone(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

fn key(base64: &str) -> Result<Key, Error> {
    let bytes = Zeroizing::new(STANDARD.decode(base64).map_err(|_| Error::NotAVerifier)?);
    let key = bytes
        .as_slice()
        .try_into()
        .map_err(|_| Error::NotAVerifier)?;
    Ok(Zeroizing::new(key))
}
