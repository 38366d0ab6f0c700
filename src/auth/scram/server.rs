//! The side that lets in: here, the ambassador towards an application.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::{self, Key};
use super::message::{self, Attributes};
use super::{Binding, Error, Keys, MECHANISM, MECHANISM_PLUS, Nonce, Verifier};

/// A login that a client may begin.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    nonce: Nonce,
    /// What a client can be bound to.
    end_point: Option<Vec<u8>>,
    /// It chose to be.
    bound: bool,
}

impl Server {
    /// `verifier` is that of the user of the start-up packet, or [`Verifier::mock`].
    pub fn new(verifier: Verifier, nonce: Nonce) -> Self {
        Self {
            verifier,
            nonce,
            end_point: None,
            bound: false,
        }
    }

    /// Offers the binding to this hash of our certificate, [`MECHANISM_PLUS`].
    pub fn offering(self, end_point: Option<Vec<u8>>) -> Self {
        Self { end_point, ..self }
    }

    /// The mechanisms to name, the best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.end_point {
            Some(_) => &[MECHANISM_PLUS, MECHANISM],
            None => &[MECHANISM],
        }
    }

    /// With what the client chose; `None`: that was not offered.
    pub fn chosen(mut self, mechanism: &[u8]) -> Option<Self> {
        let mut offered = self.mechanisms().iter();
        let chosen = offered.find(|one| one.as_bytes() == mechanism)?;
        self.bound = *chosen == MECHANISM_PLUS;
        Some(self)
    }

    /// Reads client-first-message; the bytes are server-first-message, for
    /// AuthenticationSASLContinue. The name in the message is ignored, as Postgres does.
    ///
    /// # Errors
    /// The message is malformed, too long, or asks for what Postgres does not know.
    pub fn client_first(self, message: &[u8]) -> Result<(AwaitClientFinal, Vec<u8>), Error> {
        let (binding, bare) = self.gs2(message::text(message)?)?;
        let mut attributes = Attributes::of(bare);
        attributes.take('n')?;
        let theirs = message::check_nonce(attributes.take('r')?)?;
        attributes.extensions()?;
        let nonce = format!("{theirs}{}", self.nonce.as_str());
        let recipe = self.verifier.recipe();
        let salt = STANDARD.encode(recipe.salt());
        let first = format!("r={nonce},s={salt},i={}", recipe.iterations());
        let next = AwaitClientFinal {
            verifier: self.verifier,
            binding,
            nonce,
            firsts: format!("{bare},{first}"),
        };
        Ok((next, first.into_bytes()))
    }

    /// The gs2 header, and client-first-message-bare behind it.
    ///
    /// Source: `read_client_first_message` of the server.
    fn gs2<'a>(&self, message: &'a str) -> Result<(Binding, &'a str), Error> {
        let (flag, rest) = message.split_once(',').ok_or(Error::Gs2Header)?;
        let (identity, bare) = rest.split_once(',').ok_or(Error::Gs2Header)?;
        let kind = flag.strip_prefix("p=");
        let binding = match (flag, kind, &self.end_point) {
            ("n" | "y", _, _) if self.bound => return Err(Error::BindingMissing),
            ("n", _, _) => Binding::Unsupported,
            ("y", _, None) => Binding::Unoffered,
            ("y", _, Some(_)) => return Err(Error::BindingRemoved),
            (_, Some(_), _) if !self.bound => return Err(Error::BindingNotOffered),
            (_, Some(END_POINT), Some(hash)) => Binding::ServerEndPoint(hash.clone()),
            (_, Some(_), _) => return Err(Error::BindingUnknown),
            (_, None, _) => return Err(Error::Gs2Header),
        };
        match identity {
            "" => Ok((binding, bare)),
            other if other.starts_with("a=") => Err(Error::AuthorizationIdentity),
            _ => Err(Error::Gs2Header),
        }
    }
}

/// The one kind of binding that Postgres knows (RFC 5929, section 4).
const END_POINT: &str = "tls-server-end-point";

/// Sent salt and nonce; the client's proof comes next.
#[derive(Debug)]
pub struct AwaitClientFinal {
    verifier: Verifier,
    binding: Binding,
    nonce: String,
    /// client-first-message-bare and server-first-message
    firsts: String,
}

impl AwaitClientFinal {
    /// Reads client-final-message; the bytes are server-final-message, for
    /// AuthenticationSASLFinal. The keys are the client's own, fit to log in elsewhere as it.
    ///
    /// # Errors
    /// [`Error::WrongProof`], or the message is malformed or belongs to another exchange.
    pub fn client_final(self, message: &[u8]) -> Result<(Keys, Vec<u8>), Error> {
        let text = message::text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Error::Missing('p'))?;
        let mut attributes = Attributes::of(without_proof);
        let binding = attributes.take('c')?;
        let nonce = attributes.take('r')?;
        attributes.extensions()?;
        if binding != self.binding.attribute() {
            return Err(match self.binding {
                Binding::ServerEndPoint(_) => Error::BindingWrong,
                Binding::Unsupported | Binding::Unoffered => Error::BindingDiffers,
            });
        }
        if nonce != self.nonce {
            return Err(Error::NonceForeign);
        }
        let auth_message = format!("{},{without_proof}", self.firsts);
        let keys = self.verifier.check(&auth_message, read_proof(proof)?)?;
        let signature = keys::sign(keys.server(), auth_message.as_bytes());
        let message = format!("v={}", STANDARD.encode(*signature));
        Ok((keys, message.into_bytes()))
    }
}

fn read_proof(base64: &str) -> Result<Key, Error> {
    let bytes = Zeroizing::new(message::decode('p', base64)?);
    let proof = bytes
        .as_slice()
        .try_into()
        .map_err(|_| Error::ProofLength)?;
    Ok(Zeroizing::new(proof))
}
