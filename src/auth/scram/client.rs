//! The side that logs in: here, the ambassador towards a backend.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::message::{self, Attributes};
use super::{Binding, Error, Keys, Nonce, Recipe, Refusal};
use crate::auth::Secret;

/// What a login is proven with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Stretched anew for this login.
    Password(Secret),
    /// With keys of an earlier login **with this password**: they serve if the server still names
    /// their recipe, else the password is stretched anew.
    Remembered { password: Secret, keys: Keys },
    /// Keys alone, from a client's own exchange: pass-through.
    Keys(Keys),
}

impl Credential {
    /// Whether the keys are at hand.
    fn fits(&self, recipe: &Recipe) -> bool {
        match self {
            Self::Password(_) => false,
            Self::Remembered { keys, .. } | Self::Keys(keys) => keys.recipe() == recipe,
        }
    }

    fn keys(self, recipe: Recipe) -> Result<Keys, Error> {
        let fits = self.fits(&recipe);
        match self {
            Self::Remembered { keys, .. } | Self::Keys(keys) if fits => Ok(keys),
            Self::Password(password) | Self::Remembered { password, .. } => {
                Ok(Keys::derive(&password, recipe))
            }
            Self::Keys(_) => Err(Error::KeysDoNotFit),
        }
    }
}

/// A login that has not begun.
#[derive(Debug)]
pub struct Client {
    credential: Credential,
    nonce: Nonce,
    binding: Binding,
    /// Empty but in the RFC's examples: Postgres takes the name from the start-up packet.
    name: &'static str,
}

impl Client {
    /// Without channel binding.
    pub fn new(credential: Credential, nonce: Nonce) -> Self {
        Self {
            credential,
            nonce,
            binding: Binding::Unsupported,
            name: "",
        }
    }

    /// Ties the login to the TLS connection under it, or says that this could have been done.
    #[must_use]
    pub fn bound(self, binding: Binding) -> Self {
        Self { binding, ..self }
    }

    #[cfg(test)]
    pub(super) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Begins: the bytes are client-first-message, for SASLInitialResponse.
    pub fn first(self) -> (AwaitServerFirst, Vec<u8>) {
        let bare = format!("n={},r={}", self.name, self.nonce.as_str());
        let message = format!("{}{bare}", self.binding.gs2_header());
        let next = AwaitServerFirst {
            credential: self.credential,
            nonce: self.nonce,
            binding: self.binding,
            bare,
        };
        (next, message.into_bytes())
    }
}

/// Sent its first message; AuthenticationSASLContinue comes next.
#[derive(Debug)]
pub struct AwaitServerFirst {
    credential: Credential,
    nonce: Nonce,
    binding: Binding,
    /// client-first-message-bare
    bare: String,
}

impl AwaitServerFirst {
    /// Reads server-first-message and answers it with client-final-message, for SASLResponse.
    ///
    /// May take as long as [`Keys::derive`]; who must not wait goes by [`Self::challenge`].
    ///
    /// # Errors
    /// As [`Self::challenge`] and [`Challenge::answer`].
    pub fn server_first(self, message: &[u8]) -> Result<(AwaitServerFinal, Vec<u8>), Error> {
        self.challenge(message)?.answer()
    }

    /// Reads server-first-message and stops before what is costly.
    ///
    /// # Errors
    /// A message that is malformed, continues another nonce, or passes a limit of this module.
    pub fn challenge(self, message: &[u8]) -> Result<Challenge, Error> {
        let text = message::text(message)?;
        let mut attributes = Attributes::of(text);
        let nonce = message::check_nonce(attributes.take('r')?)?;
        let salt = attributes.take('s')?;
        let iterations = attributes.take('i')?;
        attributes.end()?;
        if !nonce.starts_with(self.nonce.as_str()) {
            return Err(Error::NonceForeign);
        }
        let without_proof = format!("c={},r={nonce}", self.binding.attribute());
        Ok(Challenge {
            recipe: message::recipe(salt, iterations)?,
            auth_message: format!("{},{text},{without_proof}", self.bare),
            credential: self.credential,
            without_proof,
        })
    }
}

/// Knows what the server asks; has not done the work.
#[derive(Debug, Clone)]
pub struct Challenge {
    credential: Credential,
    recipe: Recipe,
    auth_message: String,
    /// client-final-message-without-proof
    without_proof: String,
}

impl Challenge {
    /// What would have to be stretched for it; `None`: there are keys alone.
    pub fn password(&self) -> Option<&Secret> {
        match &self.credential {
            Credential::Password(password) | Credential::Remembered { password, .. } => {
                Some(password)
            }
            Credential::Keys(_) => None,
        }
    }

    /// With keys **of its password** that another login has worked out meanwhile.
    #[must_use]
    pub fn remembering(self, keys: Keys) -> Self {
        let credential = match self.credential {
            Credential::Password(password) | Credential::Remembered { password, .. } => {
                Credential::Remembered { password, keys }
            }
            Credential::Keys(own) => Credential::Keys(own),
        };
        Self { credential, ..self }
    }

    /// How many iterations the answer costs: none if the keys are at hand.
    pub fn work(&self) -> u32 {
        if self.credential.fits(&self.recipe) {
            0
        } else {
            self.recipe.iterations()
        }
    }

    /// The bytes are client-final-message, for SASLResponse.
    ///
    /// # Errors
    /// [`Error::KeysDoNotFit`] if there are keys alone, and of another recipe.
    pub fn answer(self) -> Result<(AwaitServerFinal, Vec<u8>), Error> {
        let keys = self.credential.keys(self.recipe)?;
        let proof = STANDARD.encode(keys.proof(&self.auth_message));
        let message = format!("{},p={proof}", self.without_proof);
        let next = AwaitServerFinal {
            keys,
            auth_message: self.auth_message,
        };
        Ok((next, message.into_bytes()))
    }
}

/// Sent its proof; AuthenticationSASLFinal comes next. An AuthenticationOk without it is a
/// server that never showed that it knows the password.
pub struct AwaitServerFinal {
    keys: Keys,
    auth_message: String,
}

impl AwaitServerFinal {
    /// What the password became, or the keys that were given. Whether the server takes them is
    /// another matter.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Reads server-final-message. Only with `Ok` is the server proven; the keys are then worth
    /// keeping for [`Credential::Remembered`].
    ///
    /// # Errors
    /// The server refused, its signature is wrong, or the message is malformed.
    pub fn server_final(self, message: &[u8]) -> Result<Keys, Error> {
        let text = message::text(message)?;
        if let Ok(refusal) = Attributes::of(text).take('e') {
            return Err(Error::Refused(Refusal::from_value(refusal)));
        }
        let mut attributes = Attributes::of(text);
        let signature = message::decode('v', attributes.take('v')?)?;
        attributes.end()?;
        if !self.keys.signed(&self.auth_message, &signature) {
            return Err(Error::WrongSignature);
        }
        Ok(self.keys)
    }
}

impl fmt::Debug for AwaitServerFinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitServerFinal").finish_non_exhaustive()
    }
}
