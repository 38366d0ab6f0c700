//! Whom we believe: certificate authorities.

use std::path::Path;

use rustls::RootCertStore;

use super::{FileError, Unusable, identity::certificates_in};

/// The authorities of a PEM file, all of them.
///
/// # Errors
/// Names the file, and the certificate in it that is none.
pub fn roots_of(path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for (at, certificate) in certificates_in(path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|why| {
            let number = at + 1;
            FileError::new(path, Unusable::BadCertificate { number, why })
        })?;
    }
    Ok(roots)
}

/// The authorities that the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
///
/// # Errors
/// There are none that can be read.
pub fn system_roots() -> Result<RootCertStore, FileError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that rustls does not understand is no reason to do without the others.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or_else(
            || "there are none; set ca_file".to_owned(),
            ToString::to_string,
        );
        return Err(FileError::new(
            Path::new("system"),
            Unusable::NoSystemRoots(why),
        ));
    }
    Ok(roots)
}
