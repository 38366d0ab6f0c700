//! What a URL says of TLS, in libpq's words (PostgreSQL documentation, "SSL Support" of libpq).

use std::path::PathBuf;

use super::url::UrlWrong;
use crate::backend::{ChannelBinding, Negotiation};
use crate::net::tls::{Authorities, IdentityFiles, MinVersion, Mode};

/// The word for the authorities that the system trusts, in place of a file.
pub(super) const SYSTEM: &str = "system";

/// What a URL says of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UrlTls {
    pub mode: Option<Mode>,
    pub authorities: Option<Authorities>,
    pub identity: Option<IdentityFiles>,
    pub negotiation: Negotiation,
    pub channel_binding: ChannelBinding,
    pub min_version: MinVersion,
}

/// The parameters as they were written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub sslmode: Option<String>,
    pub sslrootcert: Option<String>,
    pub sslcert: Option<String>,
    pub sslkey: Option<String>,
    pub sslnegotiation: Option<String>,
    pub ssl_min_protocol_version: Option<String>,
    pub channel_binding: Option<String>,
}

impl Written {
    /// The parameter's place, if it is one of these.
    pub fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "sslcert" => &mut self.sslcert,
            "sslkey" => &mut self.sslkey,
            "sslnegotiation" => &mut self.sslnegotiation,
            "ssl_min_protocol_version" => &mut self.ssl_min_protocol_version,
            "channel_binding" => &mut self.channel_binding,
            _ => return None,
        })
    }

    /// Notes what is wrong with them.
    pub fn read(&self, wrong: &mut Vec<UrlWrong>) -> UrlTls {
        let authorities = self.sslrootcert.as_deref().map(|text| match text {
            SYSTEM => Authorities::System,
            path => Authorities::File(PathBuf::from(path)),
        });
        let mode = self.mode(authorities.as_ref(), wrong);
        let negotiation = match self.sslnegotiation.as_deref() {
            None | Some("postgres") => Negotiation::Postgres,
            Some("direct") => Negotiation::Direct,
            Some(_) => {
                wrong.push(UrlWrong::SslNegotiation);
                Negotiation::Postgres
            }
        };
        if negotiation == Negotiation::Direct && mode.unwrap_or_default() < Mode::Require {
            wrong.push(UrlWrong::DirectNeedsTls);
        }
        UrlTls {
            mode,
            authorities,
            identity: self.identity(mode, wrong),
            negotiation,
            channel_binding: self.channel_binding(wrong),
            min_version: self.min_version(wrong),
        }
    }

    fn mode(&self, authorities: Option<&Authorities>, wrong: &mut Vec<UrlWrong>) -> Option<Mode> {
        let system = authorities == Some(&Authorities::System);
        let mode = match self.sslmode.as_deref() {
            None if system => return Some(Mode::VerifyFull),
            None => return None,
            Some("disable") => Mode::Disable,
            // Both are had with and without TLS; only the order differs.
            Some("allow" | "prefer") => Mode::Prefer,
            // As libpq has it: who names authorities wants them asked.
            Some("require") if authorities.is_some() && !system => Mode::VerifyCa,
            Some("require") => Mode::Require,
            Some("verify-ca") => Mode::VerifyCa,
            Some("verify-full") => Mode::VerifyFull,
            Some(_) => {
                wrong.push(UrlWrong::SslMode);
                return None;
            }
        };
        if system && mode < Mode::VerifyFull {
            wrong.push(UrlWrong::WeakSystem);
        } else if mode == Mode::VerifyCa && authorities.is_none() {
            wrong.push(UrlWrong::NoRootCert);
        }
        Some(mode)
    }

    fn identity(&self, mode: Option<Mode>, wrong: &mut Vec<UrlWrong>) -> Option<IdentityFiles> {
        if mode == Some(Mode::Disable) {
            return None;
        }
        match (&self.sslcert, &self.sslkey) {
            (Some(certificate), Some(key)) => Some(IdentityFiles {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                wrong.push(UrlWrong::HalfIdentity);
                None
            }
        }
    }

    fn channel_binding(&self, wrong: &mut Vec<UrlWrong>) -> ChannelBinding {
        match self.channel_binding.as_deref() {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("require") => ChannelBinding::Require,
            Some("disable") => ChannelBinding::Disable,
            Some(_) => {
                wrong.push(UrlWrong::ChannelBinding);
                ChannelBinding::Prefer
            }
        }
    }

    fn min_version(&self, wrong: &mut Vec<UrlWrong>) -> MinVersion {
        match self.ssl_min_protocol_version.as_deref() {
            // Those before 1.2 are spoken by nobody here.
            None | Some("TLSv1" | "TLSv1.1" | "TLSv1.2") => MinVersion::Tls12,
            Some("TLSv1.3") => MinVersion::Tls13,
            Some(_) => {
                wrong.push(UrlWrong::MinVersion);
                MinVersion::Tls12
            }
        }
    }
}
