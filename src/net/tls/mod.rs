//! TLS: who the peer is, and nobody listens.
//!
//! rustls throughout, with one provider of cryptography, which is passed on and never the
//! process's default.

mod certificate;
mod client;
mod der;
mod error;
mod handshake;
mod identity;
mod listen;
mod papers;
mod refusal;
mod stream;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "in a test a failed step is a failed test"
)]
mod tests;
mod trust;
mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use certificate::{Alternative, Certificate, end_point};
pub use client::{Authorities, Client, ClientSettings, Keys, MinVersion, Mode};
pub use error::{FileError, Unusable, in_error};
pub use handshake::{HandshakeError, accept, connect};
pub use identity::{Identity, IdentityFiles};
pub use listen::{CERTIFICATE, CLIENT_CA, KEY, Offer, listen};
pub use papers::{Flaw, Flaws, Paper, Papers, PapersFile, Renewable, State};
pub use refusal::{Day, Refusal};
pub use stream::{Detached, Spoken, Tls};
pub use trust::Trust;

/// What a client and a server of Postgres' protocol agree on where TLS comes first.
pub const ALPN: &[u8] = b"postgresql";

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
