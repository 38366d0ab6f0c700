//! What is wrong with a file of keys or certificates.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub struct FileError {
    pub path: PathBuf,
    pub why: Unusable,
}

impl FileError {
    pub(super) fn new(path: &Path, why: Unusable) -> Self {
        Self {
            path: path.to_owned(),
            why,
        }
    }

    /// Our own versions and ciphers do not fit together.
    pub(super) fn impossible(error: rustls::Error) -> Self {
        Self::new(Path::new("TLS"), Unusable::Impossible(error))
    }
}

/// Why a file of keys or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("is not PEM: {0}")]
    NotPem(String),
    #[error("has no certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("has no private key (-----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY)")]
    NoKey,
    #[error("its private key is encrypted with a passphrase, which is not supported; decrypt it")]
    EncryptedKey,
    #[error("has a private key that cannot be used: {0}")]
    BadKey(rustls::Error),
    #[error("certificate {number} in it is not one: {why}")]
    BadCertificate { number: usize, why: rustls::Error },
    #[error("is not the key of the certificate in {certificate}", certificate = certificate.display())]
    OtherKey { certificate: PathBuf },
    #[error("the system's certificate authorities could not be read: {0}")]
    NoSystemRoots(String),
    #[error("{0}")]
    Impossible(rustls::Error),
}

/// What TLS says in an error of a socket.
pub fn in_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
