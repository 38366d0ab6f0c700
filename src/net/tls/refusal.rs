//! On which check a handshake failed.

use core::fmt;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::der::day;

/// What one side did not like about the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The peer's certificate is of nobody whom we believe.
    UnknownAuthority,
    /// The peer's certificate, or one that vouches for it; since when.
    Expired(Option<Day>),
    NotYetValid(Option<Day>),
    /// The peer's certificate is for others than the one that was asked for.
    OtherName {
        asked: String,
        shown: Vec<String>,
    },
    /// The peer's certificate is an authority's.
    Authority,
    /// The peer's certificate is not meant for this side of TLS.
    Purpose,
    /// The peer's certificate is of X.509's first version.
    FirstVersion,
    /// The peer does not have the key of the certificate that it shows.
    Signature,
    /// What else is wrong with the peer's certificate.
    Certificate(String),
    /// The peer asks for a certificate, and we have none, or none that it can use.
    WantsCertificate,
    /// The peer does not know the authority of our certificate.
    OursUnknownAuthority,
    OursExpired,
    OursRevoked,
    /// The peer does not like our certificate, and does not say why.
    OursRefused,
    /// There is no version of TLS that both speak.
    Version,
    /// There is no algorithm that both know.
    Algorithms,
    /// The peer does not speak Postgres' protocol within TLS, by its own words (ALPN).
    Protocol,
    /// What came is not TLS.
    NotTls,
    /// The peer ended it, in TLS' own word for it.
    Alert(String),
    Other(String),
}

/// A day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = day(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Day {
    /// The day of this second since 1970.
    pub fn of(seconds: i64) -> Self {
        Self(seconds.div_euclid(24 * 60 * 60))
    }

    fn from_unsigned(seconds: u64) -> Option<Self> {
        i64::try_from(seconds).ok().map(Self::of)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls' own enums, most of which is shown as it is"
)]
impl Refusal {
    pub fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::PeerIncompatible(why) => Self::of_peer(why),
            Error::NoApplicationProtocol => Self::Protocol,
            Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => Self::NotTls,
            other => Self::Other(other.to_string()),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Expired(Day::from_unsigned(not_after.as_secs()))
            }
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(Day::from_unsigned(not_before.as_secs()))
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::OtherName {
                asked: expected.to_str().into_owned(),
                shown: presented.clone(),
            },
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            CertificateError::BadSignature => Self::Signature,
            // webpki's errors that rustls has no words for: they say no more than their names.
            CertificateError::Other(other) => match other.to_string().as_str() {
                "CaUsedAsEndEntity" => Self::Authority,
                "UnsupportedCertVersion" => Self::FirstVersion,
                other => Self::Certificate(other.to_owned()),
            },
            other => Self::Certificate(other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired => Self::WantsCertificate,
            AlertDescription::UnknownCA => Self::OursUnknownAuthority,
            AlertDescription::CertificateExpired => Self::OursExpired,
            AlertDescription::CertificateRevoked => Self::OursRevoked,
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => Self::OursRefused,
            AlertDescription::ProtocolVersion => Self::Version,
            AlertDescription::NoApplicationProtocol => Self::Protocol,
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                Self::Algorithms
            }
            other => Self::Alert(format!("{other:?}")),
        }
    }

    fn of_peer(why: &PeerIncompatible) -> Self {
        match why {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::Version,
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
            | PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon => Self::Algorithms,
            other => Self::Other(format!("{other:?}")),
        }
    }
}
