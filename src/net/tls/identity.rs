//! Who we are: certificates and the key that proves that they are ours.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{FileError, Unusable};

/// Where an identity is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityFiles {
    /// PEM: our certificate, then those between it and the authority's.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase.
    pub key: PathBuf,
}

/// Certificates and their key, which fit.
#[derive(Debug, Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// Names the file and what is wrong with it, or that the key is another certificate's.
    pub fn load(files: &IdentityFiles, provider: &CryptoProvider) -> Result<Self, FileError> {
        let chain = certificates_in(&files.certificate)?;
        let key = key_in(&files.key)?;
        let amiss = |why| FileError::new(&files.key, why);
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| amiss(Unusable::BadKey(error)))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // A key that does not tell its public half is believed.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(certified)))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(amiss(Unusable::OtherKey {
                certificate: files.certificate.clone(),
            })),
            Err(why) => Err(FileError::new(
                &files.certificate,
                Unusable::BadCertificate { number: 1, why },
            )),
        }
    }

    /// Our certificate first, then those between it and the authority's.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// As rustls takes it.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

/// The certificates of a PEM file, in its order; at least one.
///
/// # Errors
/// The file cannot be read, is not PEM, or has none.
pub(super) fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| FileError::new(path, not_pem(&error)))?;
    if found.is_empty() {
        return Err(FileError::new(path, Unusable::NoCertificate));
    }
    Ok(found)
}

pub(super) fn key_in(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = read(path)?;
    let why = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => return Ok(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(&text) => Unusable::EncryptedKey,
        Err(pem::Error::NoItemsFound) => Unusable::NoKey,
        Err(_) if is_encrypted(&text) => Unusable::EncryptedKey,
        Err(error) => not_pem(&error),
    };
    Err(FileError::new(path, why))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| FileError::new(path, Unusable::Unreadable(error)))
}

/// Whether a key has a passphrase: PKCS#8's label says so, the older formats' header.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn not_pem(error: &pem::Error) -> Unusable {
    Unusable::NotPem(error.to_string())
}
