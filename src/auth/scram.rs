//! SCRAM-SHA-256 as Postgres speaks it (RFC 5802, RFC 7677; PostgreSQL docs, "SASL Authentication").
//!
//! Each side is a chain of states; a message consumes one and yields the next:
//!
//! ```text
//! Client ─ first() → AwaitServerFirst ─ server_first() → AwaitServerFinal ─ server_final() → Keys
//! Server ─ client_first() → AwaitClientFinal ─ client_final() → Keys
//! ```
//!
//! The peer is not a friend: every size and count it names has a limit here, and an unknown
//! attribute where none may be ends the exchange. Nothing is sent again and nothing is retried.

mod client;
mod keys;
mod message;
mod saslprep;
mod server;
#[cfg(test)]
mod tests;
mod verifier;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use client::{AwaitServerFinal, AwaitServerFirst, Challenge, Client, Credential};
pub use keys::{Keys, Recipe};
pub use server::{AwaitClientFinal, Server};
pub use verifier::Verifier;

/// The mechanism's name in SASL messages.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The same with channel binding.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The iterations of Postgres' own verifiers, where `scram_iterations` says nothing else.
pub const DEFAULT_ITERATIONS: u32 = 4096;
/// The most iterations a server may ask for.
///
/// Each costs two blocks of SHA-256: a million take a second or less, billions would hold the
/// caller for an hour. Present advice for PBKDF2-HMAC-SHA256 is 600,000; that must pass.
pub const MAX_ITERATIONS: u32 = 1_000_000;
/// The longest salt in bytes (Postgres' has 16).
pub const MAX_SALT: usize = 1024;
/// The longest nonce in characters, both sides' together (Postgres' have 24 each).
pub const MAX_NONCE: usize = 1024;
/// The longest message in bytes, as for all of the authentication.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Why an exchange ends. Shows attributes and numbers, nothing that the peer wrote as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a SCRAM message of {length} bytes is longer than {}", MAX_MESSAGE)]
    MessageTooLong { length: usize },
    #[error("a SCRAM message is not UTF-8")]
    NotUtf8,
    #[error("a SCRAM message has no attribute `{0}` where it belongs")]
    Missing(char),
    #[error("a SCRAM message goes on after its end")]
    Trailing,
    #[error("the peer demands a SCRAM extension, and none is supported")]
    MandatoryExtension,
    #[error("the SCRAM attribute `{0}` is not base64")]
    NotBase64(char),
    #[error("a SCRAM nonce is empty or has unprintable characters")]
    NonceMalformed,
    #[error("a SCRAM nonce of {length} characters is longer than {}", MAX_NONCE)]
    NonceTooLong { length: usize },
    #[error("the peer's SCRAM nonce does not continue ours")]
    NonceForeign,
    #[error(
        "a SCRAM salt of {length} bytes is not between 1 and {} bytes long",
        MAX_SALT
    )]
    SaltLength { length: usize },
    #[error(
        "the SCRAM iteration count is not a number from 1 to {}",
        MAX_ITERATIONS
    )]
    Iterations,
    #[error("the keys at hand belong to another salt or iteration count, and there is no password")]
    KeysDoNotFit,
    #[error("the server refused: {0}")]
    Refused(Refusal),
    #[error("the server's signature is wrong: it does not know the password")]
    WrongSignature,
    #[error("the client's gs2 header is malformed")]
    Gs2Header,
    #[error("the client asks to act as somebody else, which Postgres does not know")]
    AuthorizationIdentity,
    #[error("the client binds to a channel, which was not offered")]
    BindingNotOffered,
    #[error("the client chose SCRAM-SHA-256-PLUS and binds to no channel")]
    BindingMissing,
    #[error("the client does not know that binding was offered: somebody may have removed it")]
    BindingRemoved,
    #[error("the client binds to a channel of a kind that Postgres does not know")]
    BindingUnknown,
    #[error("the client is bound to another channel: somebody is in between")]
    BindingWrong,
    #[error("the client's channel binding differs from what it began with")]
    BindingDiffers,
    #[error("the client's proof is not 32 bytes long")]
    ProofLength,
    #[error("the client's proof is wrong")]
    WrongProof,
    #[error("this is not a SCRAM-SHA-256 verifier")]
    NotAVerifier,
}

/// What a server may say instead of its signature (RFC 5802, section 7, `server-error-value`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("invalid encoding")]
    InvalidEncoding,
    #[error("extensions not supported")]
    ExtensionsNotSupported,
    #[error("invalid proof")]
    InvalidProof,
    #[error("channel bindings do not match")]
    ChannelBindingsDontMatch,
    #[error("the server does support channel binding")]
    ServerDoesSupportChannelBinding,
    #[error("channel binding not supported")]
    ChannelBindingNotSupported,
    #[error("unsupported channel binding type")]
    UnsupportedChannelBindingType,
    #[error("unknown user")]
    UnknownUser,
    #[error("invalid user name encoding")]
    InvalidUsernameEncoding,
    #[error("no resources")]
    NoResources,
    /// `other-error`, and whatever the RFC does not list.
    #[error("other error")]
    Other,
}

impl Refusal {
    fn from_value(value: &str) -> Self {
        match value {
            "invalid-encoding" => Self::InvalidEncoding,
            "extensions-not-supported" => Self::ExtensionsNotSupported,
            "invalid-proof" => Self::InvalidProof,
            "channel-bindings-dont-match" => Self::ChannelBindingsDontMatch,
            "server-does-support-channel-binding" => Self::ServerDoesSupportChannelBinding,
            "channel-binding-not-supported" => Self::ChannelBindingNotSupported,
            "unsupported-channel-binding-type" => Self::UnsupportedChannelBindingType,
            "unknown-user" => Self::UnknownUser,
            "invalid-username-encoding" => Self::InvalidUsernameEncoding,
            "no-resources" => Self::NoResources,
            _ => Self::Other,
        }
    }
}

/// One side's share of the nonce: printable, without comma, never used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// A nonce of 24 characters, as Postgres' own. The bytes must come from the system's
    /// generator: a nonce that can be foretold lets old exchanges be played again.
    pub fn from_random(bytes: [u8; 18]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// A nonce as somebody else chose it.
    ///
    /// # Errors
    /// Empty, longer than [`MAX_NONCE`], or with a character that RFC 5802 does not allow.
    pub fn parse(text: &str) -> Result<Self, Error> {
        message::check_nonce(text).map(|text| Self(text.to_owned()))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// What ties an exchange to the TLS connection under it (RFC 5929; RFC 5802, section 6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Binding {
    /// `n`: we cannot: no TLS, or a certificate without a binding hash (Ed25519).
    #[default]
    Unsupported,
    /// `y`: we could, but the server did not offer [`MECHANISM_PLUS`]. A server that did offer
    /// it learns by this that somebody removed the offer.
    Unoffered,
    /// `p=tls-server-end-point`: the hash of the server's certificate.
    ServerEndPoint(Vec<u8>),
}

impl Binding {
    /// The mechanism to name in SASLInitialResponse.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Unsupported | Self::Unoffered => MECHANISM,
            Self::ServerEndPoint(_) => MECHANISM_PLUS,
        }
    }

    fn gs2_header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::Unoffered => "y,,",
            Self::ServerEndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The value of `c=`: the gs2 header again, now signed, and the channel's data.
    fn attribute(&self) -> String {
        let mut input = self.gs2_header().as_bytes().to_vec();
        match self {
            Self::Unsupported | Self::Unoffered => {}
            Self::ServerEndPoint(hash) => input.extend_from_slice(hash),
        }
        STANDARD.encode(input)
    }
}
