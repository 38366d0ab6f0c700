//! Whom a client's certificate names.

use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, x509::X509Name,
};

/// The names in a certificate. That it may be believed has been found out before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    common: Option<String>,
    alternative: Vec<String>,
}

impl Names {
    /// Reads a certificate in DER; one that cannot be read names nobody.
    pub fn read(der: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Self::default();
        };
        let extension = certificate.subject_alternative_name();
        let extension = extension.ok().flatten();
        let names = extension.iter().flat_map(|one| &one.value.general_names);
        Self {
            common: common_name(certificate.subject()),
            alternative: names.filter_map(text).filter(|one| fits(one)).collect(),
        }
    }

    /// Whether the user is one of them, to the letter: there are no patterns.
    pub fn contain(&self, user: &str) -> bool {
        let mut all = self.common.iter().chain(&self.alternative);
        all.any(|name| name == user)
    }
}

/// The first one, as the server takes it (`be-secure-openssl.c`, `be_tls_open_server`): one with a
/// zero byte in it is somebody's who wants to be taken for another.
fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let first = subject.iter_common_name().next()?;
    let name = str::from_utf8(first.as_slice()).ok()?;
    fits(name).then(|| name.to_owned())
}

/// What a subject alternative name says, of the kinds that can be a user's.
fn text(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) =
        name
    {
        Some((*text).to_owned())
    } else {
        None
    }
}

fn fits(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn names(common: &[&str], alternative: Vec<SanType>) -> Names {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = alternative;
        let key = KeyPair::generate().unwrap();
        Names::read(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn a_certificate_names_its_common_name_and_its_alternative_ones_to_the_letter() {
        let alternative = vec![
            SanType::DnsName("web.internal".try_into().unwrap()),
            SanType::Rfc822Name("web@internal".try_into().unwrap()),
            SanType::URI("spiffe://cluster/web".try_into().unwrap()),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        let names = names(&["alice"], alternative);
        for name in [
            "alice",
            "web.internal",
            "web@internal",
            "spiffe://cluster/web",
        ] {
            assert!(names.contain(name), "{name}");
        }
        for name in ["Alice", "alice ", "bob", "*", "", "internal", "127.0.0.1"] {
            assert!(!names.contain(name), "{name}");
        }
    }

    #[test]
    fn a_certificate_without_a_name_or_with_a_zero_byte_in_it_names_nobody() {
        assert_eq!(names(&[], Vec::new()), Names::default());
        assert_eq!(names(&[""], Vec::new()), Names::default());
        assert_eq!(names(&["alice\0.evil"], Vec::new()), Names::default());
        assert_eq!(Names::read(b"no certificate"), Names::default());
    }

    #[test]
    fn a_pattern_is_no_name_of_those_that_it_would_match() {
        let wild = vec![SanType::DnsName("*.internal".try_into().unwrap())];
        assert!(!names(&["*"], wild).contain("web.internal"));
    }
}
