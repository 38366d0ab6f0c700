//! Whether a server is who it says it is.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
};

use super::{Certificate, Mode, certificate::public_key, trust::Trust};

/// Verifies what the mode asks for. That a server has the key of the certificate that it shows is
/// verified in any mode: a login may be bound to that certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    mode: Mode,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub fn new(mode: Mode, trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            mode,
            trust,
            algorithms,
        }
    }

    fn check_issuer(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        // A self-signed server certificate, which is an authority's too where openssl made it,
        // is in the file itself, and no authority for rustls then.
        if self.trust.itself.iter().any(|one| one == shown) {
            return check_times(shown, now);
        }
        let parsed = ParsedCertificate::try_from(shown)?;
        let (roots, algorithms) = (&self.trust.roots, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.mode.verifies() {
            self.check_issuer(end_entity, intermediates, now)?;
        }
        if self.mode == Mode::VerifyFull {
            check_name(end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = verify_tls13_signature(message, cert, dss, &self.algorithms);
        if verified.is_ok() || self.mode.verifies() {
            return verified;
        }
        // Who believes anybody takes certificates that rustls does not read: of X.509's first
        // version, or with a serial number that is too long.
        let Some(key) = public_key(cert) else {
            return verified;
        };
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn check_times(shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = Certificate::read(shown).ok_or(CertificateError::BadEncoding)?;
    let of = |seconds: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds.max(0).unsigned_abs(),
        ))
    };
    let (not_before, not_after) = (of(certificate.not_before), of(certificate.not_after));
    if now < not_before {
        let time = now;
        return Err(CertificateError::NotValidYetContext { time, not_before }.into());
    }
    if now > not_after {
        let time = now;
        return Err(CertificateError::ExpiredContext { time, not_after }.into());
    }
    Ok(())
}

/// The alternative names; where there are none, the common name, as libpq does it (and rustls
/// does not).
fn check_name(shown: &CertificateDer<'_>, asked: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(shown)?;
    let Err(error) = verify_server_name(&parsed, asked) else {
        return Ok(());
    };
    let Some(certificate) = Certificate::read(shown) else {
        return Err(error);
    };
    let common = certificate.common_name.as_deref();
    let fits = common.is_some_and(|name| fits(name, &asked.to_str()));
    if fits && !certificate.has_hosts() {
        return Ok(());
    }
    Err(CertificateError::NotValidForNameContext {
        expected: asked.to_owned(),
        presented: certificate.hosts(),
    }
    .into())
}

/// Whether a common name is this host's; `*` stands for its first label.
fn fits(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(("*", name)), Some((label, rest))) = (name.split_once('.'), host.split_once('.'))
    else {
        return false;
    };
    !label.is_empty() && name.contains('.') && name.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("db.internal", "DB.internal"));
        assert!(fits("*.db.internal", "a.db.internal"));
        for (name, host) in [
            ("db.internal", "db.internal.evil"),
            ("*.db.internal", "a.b.db.internal"),
            ("*.db.internal", "db.internal"),
            ("*.db.internal", ".db.internal"),
            ("*.internal", "db.internal"),
            ("*", "db"),
            ("d*.db.internal", "da.db.internal"),
        ] {
            assert!(!fits(name, host), "{name} {host}");
        }
    }
}
