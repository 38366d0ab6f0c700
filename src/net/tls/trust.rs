//! Whom we believe: certificate authorities.

use std::path::Path;

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{Authorities, FileError, Unusable, identity::certificates_in};

/// Certificates that vouch for others, or for themselves.
#[derive(Debug)]
pub struct Trust {
    pub roots: RootCertStore,
    /// The file's, as they are: one that a peer shows itself is believed as it is.
    pub itself: Vec<CertificateDer<'static>>,
}

impl Default for Trust {
    /// Nobody.
    fn default() -> Self {
        Self {
            roots: RootCertStore::empty(),
            itself: Vec::new(),
        }
    }
}

impl Trust {
    /// Reads them.
    ///
    /// # Errors
    /// Names the file that cannot be used, and why.
    pub fn load(authorities: &Authorities) -> Result<Self, FileError> {
        match authorities {
            Authorities::System => system(),
            Authorities::File(path) => file(path),
        }
    }
}

/// The authorities of a PEM file, all of them.
fn file(path: &Path) -> Result<Trust, FileError> {
    let itself = certificates_in(path)?;
    let mut roots = RootCertStore::empty();
    for (at, certificate) in itself.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|why| {
            let number = at + 1;
            FileError::new(path, Unusable::BadCertificate { number, why })
        })?;
    }
    Ok(Trust { roots, itself })
}

/// The authorities that the system trusts; SSL_CERT_FILE and SSL_CERT_DIR name others.
fn system() -> Result<Trust, FileError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that rustls does not understand is no reason to do without the others.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "there are none".to_owned(),
        };
        return Err(FileError::new(
            Path::new("system"),
            Unusable::NoSystemRoots(why),
        ));
    }
    let itself = Vec::new();
    Ok(Trust { roots, itself })
}
