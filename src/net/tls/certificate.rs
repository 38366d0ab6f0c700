//! What a certificate says. Whether it may be believed is for rustls to judge.

use std::net::{Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::der::{BOOLEAN, Der, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, seconds};

/// The common name's object identifier, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The alternative names' object identifier, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// Implicit tags of RFC 5280.
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// What a certificate (RFC 5280) says of whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// The subject's common name, the first if it has several.
    pub common_name: Option<String>,
    /// Alternative names, in the certificate's order.
    pub alternatives: Vec<Alternative>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970; good to this second itself.
    pub not_after: i64,
}

/// One of a subject's alternative names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alternative {
    Dns(String),
    Email(String),
    Uri(String),
    /// 4 or 16 bytes.
    Ip(Vec<u8>),
}

impl Certificate {
    /// Reads a certificate in DER; `None`: it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut parts = body(der)?;
        let mut validity = parts.enter(SEQUENCE)?;
        let mut subject = parts.enter(SEQUENCE)?;
        parts.content(SEQUENCE)?;
        let (not_before, not_after) = (validity.next()?, validity.next()?);
        Some(Self {
            common_name: subject.find_map(|(_, names)| common_name(names)),
            alternatives: parts
                .find(|(tag, _)| *tag == EXTENSIONS)
                .map(|(_, extensions)| alternatives(extensions))
                .unwrap_or_default(),
            not_before: seconds(not_before)?,
            not_after: seconds(not_after)?,
        })
    }

    /// What hosts it is for, to be shown: names and addresses, or the common name where there are
    /// none.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.alternatives.iter().filter_map(host).collect();
        if hosts.is_empty() {
            hosts.extend(self.common_name.clone());
        }
        hosts
    }

    /// Whether it names hosts elsewhere than in its common name.
    pub fn has_hosts(&self) -> bool {
        self.alternatives.iter().any(|name| host(name).is_some())
    }
}

fn host(name: &Alternative) -> Option<String> {
    match name {
        Alternative::Dns(name) => Some(name.clone()),
        Alternative::Ip(ip) => Some(
            match (<[u8; 4]>::try_from(&ip[..]), <[u8; 16]>::try_from(&ip[..])) {
                (Ok(ip), _) => Ipv4Addr::from(ip).to_string(),
                (_, Ok(ip)) => Ipv6Addr::from(ip).to_string(),
                (Err(_), Err(_)) => return None,
            },
        ),
        Alternative::Email(_) | Alternative::Uri(_) => None,
    }
}

/// What a certificate's `validity` and the rest comes from: its parts behind the issuer.
fn body(der: &[u8]) -> Option<Der<'_>> {
    let mut parts = Der(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
    // The version, which the oldest leave out.
    parts.content(0xa0);
    parts.content(INTEGER)?;
    parts.content(SEQUENCE)?;
    parts.content(SEQUENCE)?;
    Some(parts)
}

/// The common name among a relative distinguished name's attributes.
fn common_name(attributes: &[u8]) -> Option<String> {
    Der(attributes).find_map(|(_, attribute)| {
        let mut attribute = Der(attribute);
        let kind = attribute.content(OBJECT_IDENTIFIER)?;
        let (_, value) = attribute.next()?;
        (kind == COMMON_NAME).then(|| text(value))?
    })
}

/// A name; not one with a NUL in it, behind which somebody may hide another.
fn text(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

fn alternatives(extensions: &[u8]) -> Vec<Alternative> {
    let extension = |(_, extension)| {
        let mut extension = Der(extension);
        let kind = extension.content(OBJECT_IDENTIFIER)?;
        extension.content(BOOLEAN);
        let names = Der(extension.content(OCTET_STRING)?).enter(SEQUENCE)?;
        (kind == ALTERNATIVE_NAMES).then_some(names)
    };
    let names = Der(extensions)
        .enter(SEQUENCE)
        .and_then(|mut extensions| extensions.find_map(extension));
    let alternative = |(tag, value): (u8, &[u8])| match tag {
        EMAIL => text(value).map(Alternative::Email),
        DNS => text(value).map(Alternative::Dns),
        URI => text(value).map(Alternative::Uri),
        IP => Some(Alternative::Ip(value.to_owned())),
        _ => None,
    };
    names
        .into_iter()
        .flatten()
        .filter_map(alternative)
        .collect()
}

/// A certificate's public key, with what kind it is of (SubjectPublicKeyInfo).
pub(super) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let mut parts = body(der)?;
    parts.content(SEQUENCE)?;
    parts.content(SEQUENCE)?;
    let from_here = parts.0;
    parts.content(SEQUENCE)?;
    from_here.get(..from_here.len() - parts.0.len())
}

/// The hash of a server's certificate that SCRAM binds a login to (RFC 5929, 4.1
/// tls-server-end-point): by the hash that the certificate is signed with, or SHA-256 where that
/// one is MD5 or SHA-1. `None`: its kind of signature has no hash of its own (Ed25519), or is
/// none that we know.
pub fn end_point(der: &[u8]) -> Option<Vec<u8>> {
    let mut certificate = Der(der).enter(SEQUENCE)?;
    certificate.content(SEQUENCE)?;
    let mut algorithm = certificate.enter(SEQUENCE)?;
    let kind = algorithm.content(OBJECT_IDENTIFIER)?;
    Some(match signed_by(kind, algorithm)? {
        Hash::Sha224 => Sha224::digest(der).to_vec(),
        Hash::Sha256 => Sha256::digest(der).to_vec(),
        Hash::Sha384 => Sha384::digest(der).to_vec(),
        Hash::Sha512 => Sha512::digest(der).to_vec(),
    })
}

#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// PKCS #1's signatures, 1.2.840.113549.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// ANSI X9.62's signatures, 1.2.840.10045.4.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// NIST's hashes, 2.16.840.1.101.3.4.2.
const NIST_HASH: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// The hash of a signature's algorithm, with its parameters; RFC 8017 and RFC 5758.
fn signed_by(algorithm: &[u8], parameters: Der<'_>) -> Option<Hash> {
    if let Some(kind) = algorithm.strip_prefix(RSA) {
        return match kind {
            [4 | 5 | 11] => Some(Hash::Sha256),
            [12] => Some(Hash::Sha384),
            [13] => Some(Hash::Sha512),
            [14] => Some(Hash::Sha224),
            [10] => pss(parameters),
            _ => None,
        };
    }
    match algorithm.strip_prefix(ECDSA)? {
        [1] | [3, 2] => Some(Hash::Sha256),
        [3, 1] => Some(Hash::Sha224),
        [3, 3] => Some(Hash::Sha384),
        [3, 4] => Some(Hash::Sha512),
        _ => None,
    }
}

/// RSASSA-PSS names its hash among its parameters; SHA-1 where it does not.
fn pss(mut parameters: Der<'_>) -> Option<Hash> {
    let Some(mut hash) = parameters.enter(SEQUENCE)?.enter(0xa0) else {
        return Some(Hash::Sha256);
    };
    let kind = hash.enter(SEQUENCE)?.content(OBJECT_IDENTIFIER)?;
    match kind.strip_prefix(NIST_HASH)? {
        [1] => Some(Hash::Sha256),
        [2] => Some(Hash::Sha384),
        [3] => Some(Hash::Sha512),
        [4] => Some(Hash::Sha224),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        change(&mut params);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_times_are_read() {
        let der = made(|params| {
            params
                .distinguished_name
                .push(DnType::OrganizationName, "House");
            params.distinguished_name.push(DnType::CommonName, "app");
            params.subject_alt_names = vec![
                SanType::DnsName("db.internal".try_into().unwrap()),
                SanType::Rfc822Name("app@internal".try_into().unwrap()),
                SanType::URI("spiffe://house/app".try_into().unwrap()),
                SanType::IpAddress("127.0.0.1".parse().unwrap()),
            ];
            params.not_before = date_time_ymd(1970, 1, 2);
            params.not_after = date_time_ymd(2100, 1, 1);
        });
        let certificate = Certificate::read(&der).unwrap();
        assert_eq!(certificate.common_name.as_deref(), Some("app"));
        assert_eq!(certificate.hosts(), ["db.internal", "127.0.0.1"]);
        assert_eq!(
            certificate.alternatives.get(1..).unwrap(),
            [
                Alternative::Email("app@internal".to_owned()),
                Alternative::Uri("spiffe://house/app".to_owned()),
                Alternative::Ip(vec![127, 0, 0, 1]),
            ]
        );
        assert_eq!(certificate.not_before, 86_400);
        assert_eq!(certificate.not_after, 4_102_444_800);
    }

    #[test]
    fn a_certificate_without_alternative_names_is_for_its_common_name() {
        let der = made(|params| {
            params
                .distinguished_name
                .push(DnType::CommonName, "db.internal");
        });
        assert_eq!(Certificate::read(&der).unwrap().hosts(), ["db.internal"]);
    }

    #[test]
    fn what_is_cut_short_is_no_certificate() {
        let der = made(|_| ());
        assert!(Certificate::read(&der).is_some());
        for length in 0..der.len() {
            let cut = der.get(..length).unwrap();
            assert_eq!(Certificate::read(cut), None);
            assert_eq!(end_point(cut), None);
        }
    }

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        let der = made(|_| ());
        assert_eq!(end_point(&der).unwrap(), Sha384::digest(&der).to_vec());
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let params = CertificateParams::new(vec![]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(end_point(&der), None);
    }

    #[test]
    fn the_hash_of_each_kind_of_signature_is_known() {
        let of = |hex: &str, parameters: &[u8]| {
            let bytes: Vec<u8> = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2).unwrap(), 16).unwrap())
                .collect();
            signed_by(&bytes, Der(parameters)).map(|hash| format!("{hash:?}"))
        };
        for (oid, hash) in [
            ("2a864886f70d010104", "Sha256"),
            ("2a864886f70d010105", "Sha256"),
            ("2a864886f70d01010b", "Sha256"),
            ("2a864886f70d01010c", "Sha384"),
            ("2a864886f70d01010d", "Sha512"),
            ("2a864886f70d01010e", "Sha224"),
            ("2a8648ce3d0401", "Sha256"),
            ("2a8648ce3d040301", "Sha224"),
            ("2a8648ce3d040302", "Sha256"),
            ("2a8648ce3d040303", "Sha384"),
            ("2a8648ce3d040304", "Sha512"),
        ] {
            assert_eq!(of(oid, b"").as_deref(), Some(hash), "{oid}");
        }
        let pss = "2a864886f70d01010a";
        assert_eq!(of(pss, b"\x30\x00").as_deref(), Some("Sha256"));
        let sha512 =
            b"\x30\x11\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00";
        assert_eq!(of(pss, sha512).as_deref(), Some("Sha512"));
        assert_eq!(of("2b6570", b""), None);
        assert_eq!(of("2b6571", b""), None);
    }
}
