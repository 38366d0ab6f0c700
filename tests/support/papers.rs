//! Certificates and keys for the tests, made anew by each: authorities, and what they issue.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SanType, date_time_ymd,
};

/// Rcgen on ring makes no keys of RSA, so that all tests have this one.
const RSA: &str = include_str!("../../fixtures/tls/rsa.key");

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ecdsa,
    Ed25519,
    Rsa,
}

impl Kind {
    fn pair(self) -> KeyPair {
        match self {
            Self::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
            Self::Ed25519 => KeyPair::generate_for(&PKCS_ED25519).unwrap(),
            Self::Rsa => KeyPair::from_pkcs8_pem_and_sign_algo(RSA, &PKCS_RSA_SHA256).unwrap(),
        }
    }
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    /// To 2020-01-02.
    Past,
    /// From 2100-01-01 on.
    Future,
}

/// Somebody who issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::new_as(name, Kind::Ecdsa)
    }

    pub fn new_as(name: &str, kind: Kind) -> Self {
        let (params, key) = (authority(name), kind.pair());
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority that this one vouches for.
    pub fn under(&self, name: &str) -> Self {
        let (params, key) = (authority(name), Kind::Ecdsa.pair());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Issues a certificate to whom the common name says, for these hosts.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Papers {
        self.issue_as(name, hosts, Kind::Ecdsa, When::Now)
    }

    pub fn issue_as(&self, name: &str, hosts: &[&str], kind: Kind, when: When) -> Papers {
        self.sign(plain(name, hosts, when), kind)
    }

    /// The same as [`Authority::issue`], with more about it changed.
    pub fn issue_with(
        &self,
        name: &str,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Papers {
        let mut params = plain(name, hosts, When::Now);
        change(&mut params);
        self.sign(params, Kind::Ecdsa)
    }

    fn sign(&self, params: CertificateParams, kind: Kind) -> Papers {
        let key = kind.pair();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Papers::new(certificate.pem(), &key, kind)
    }
}

fn plain(name: &str, hosts: &[&str], when: When) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = hosts
        .iter()
        .map(|host| match host.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName((*host).try_into().unwrap()),
        })
        .collect();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    (params.not_before, params.not_after) = match when {
        When::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1)),
        When::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 1, 2)),
        When::Future => (date_time_ymd(2100, 1, 1), date_time_ymd(2100, 1, 2)),
    };
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = plain(name, &[], When::Now);
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A server's certificate that it has signed itself, an authority's at once, as openssl makes it.
pub fn self_signed(name: &str, hosts: &[&str]) -> Papers {
    let mut params = plain(name, hosts, When::Now);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = Kind::Ecdsa.pair();
    Papers::new(params.self_signed(&key).unwrap().pem(), &key, Kind::Ecdsa)
}

/// A server's certificate as openssl made it for long where nobody asked for more: X.509 version 1.
pub fn of_version_1() -> Papers {
    Papers {
        certificate: include_str!("../../fixtures/tls/version_1.pem").to_owned(),
        key: RSA.to_owned(),
        kind: Kind::Rsa,
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Papers {
    pub certificate: String,
    /// PKCS#8.
    pub key: String,
    kind: Kind,
}

impl Papers {
    fn new(certificate: String, key: &KeyPair, kind: Kind) -> Self {
        let key = match kind {
            // With ring's public half in it, openssl does not read it.
            Kind::Ed25519 => {
                let seed = &key.serialized_der()[..48][16..];
                let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
                pem("PRIVATE KEY", &[&head[..], seed].concat())
            }
            Kind::Ecdsa | Kind::Rsa => key.serialize_pem(),
        };
        Self {
            certificate,
            key,
            kind,
        }
    }

    /// With the certificate of whoever vouches for it behind its own.
    #[must_use]
    pub fn vouched_by(mut self, authority: &Authority) -> Self {
        self.certificate.push_str(&authority.pem);
        self
    }

    /// The key in the older form of its kind: PKCS#1 or SEC1, which lies within PKCS#8.
    #[must_use]
    pub fn in_older_form(mut self) -> Self {
        let label = match self.kind {
            Kind::Rsa => "RSA PRIVATE KEY",
            Kind::Ecdsa => "EC PRIVATE KEY",
            Kind::Ed25519 => panic!("Ed25519 has no older form"),
        };
        let text: String = self.key.lines().filter(|l| !l.starts_with('-')).collect();
        let der = STANDARD.decode(text).unwrap();
        self.key = pem(label, inner(&der));
        self
    }

    /// Writes `NAME.pem` and `NAME.key`, see [`replace`].
    pub fn write(&self, folder: &Path, name: &str) {
        replace(&folder.join(format!("{name}.pem")), &self.certificate);
        replace(&folder.join(format!("{name}.key")), &self.key);
    }
}

/// Puts a file in the place of another at once, as those do who rotate secrets with care; for
/// nobody else's eyes, or libpq takes no key from it.
pub fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// What the octet string of a PKCS#8 key holds: behind the version and the algorithm.
fn inner(der: &[u8]) -> &[u8] {
    let mut rest = content(der).0;
    for _ in 0..2 {
        rest = content(rest).1;
    }
    content(rest).0
}

/// The content of the first value of DER, and what lies behind it.
fn content(der: &[u8]) -> (&[u8], &[u8]) {
    let (from, length) = match der[1] {
        short @ ..=0x7f => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
    };
    der[from..].split_at(length)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64);
    let lines: String = lines
        .map(|line| format!("{}\n", str::from_utf8(line).unwrap()))
        .collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
