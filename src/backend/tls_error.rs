//! What is said when TLS to a backend fails: which side, which file, which check, what to set.

use std::{fmt, path::Path};

use super::{Encryption, secure::Words};
use crate::net::tls::{Authorities, ClientSettings, Keys, Mode, Refusal};

/// Why a backend is not reached by TLS.
#[derive(Debug)]
pub struct TlsError {
    pub why: Why,
    settings: ClientSettings,
    /// What was asked for, and by which key.
    name: (String, String),
    words: Words,
}

/// On what it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// By the handshake, or by the first thing behind it.
    Refused(Refusal),
    /// It has no TLS.
    NotOffered,
    /// It answers the request for TLS with an error.
    Error,
    /// Bytes came unencrypted behind its answer.
    Injected,
    /// It closed the connection where TLS came without a request.
    LostDirect,
}

impl TlsError {
    pub(super) fn new(encryption: &Encryption, host: &str, why: Why) -> Self {
        let name = match &encryption.server_name {
            Some(name) => (name.clone(), encryption.words.key("server_name")),
            None => (host.to_owned(), encryption.words.address()),
        };
        Self {
            why,
            settings: encryption.client.settings().clone(),
            name,
            words: encryption.words.clone(),
        }
    }

    /// Whether trying again soon may help, without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self.why {
            // As from a server that could not start a process.
            Why::Error => true,
            Why::Refused(_) | Why::NotOffered | Why::Injected | Why::LostDirect => false,
        }
    }

    fn key(&self, key: &str) -> String {
        self.words.key(key)
    }

    /// The file of authorities and the key that names it.
    fn authorities(&self) -> String {
        let key = self.key("ca_file");
        match &self.settings.authorities {
            Authorities::System => format!("those that this system trusts ({key})"),
            Authorities::File(path) => format!("{} ({key})", path.display()),
        }
    }

    fn ours(&self) -> String {
        let identity = self.settings.identity.as_ref();
        let path = identity.map_or_else(|| Path::new("none"), |files| &files.certificate);
        format!("{} ({})", path.display(), self.key("cert_file"))
    }

    fn refused(&self, why: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, identity) = (self.key("mode"), self.settings.identity.is_some());
        match why {
            Refusal::UnknownAuthority => write!(
                f,
                "server certificate is of no authority in {}; add its authority's certificate there, and to the server's own file those in between",
                self.authorities()
            ),
            Refusal::OtherName { asked, shown } => self.other_name(asked, shown, f),
            Refusal::Expired(day) => {
                f.write_str("server certificate, or one that vouches for it, has expired")?;
                day.map_or(Ok(()), |day| write!(f, " on {day}"))?;
                f.write_str("; renew it on the server")
            }
            Refusal::NotYetValid(day) => {
                f.write_str("server certificate, or one that vouches for it, is not valid yet")?;
                day.map_or(Ok(()), |day| write!(f, ", but from {day} on"))?;
                f.write_str("; check the clocks of both machines, or renew it on the server")
            }
            Refusal::Authority => write!(
                f,
                "server certificate is an authority's own (CA:TRUE) and is not itself in {}; put it there, or have the server show one that was issued for it",
                self.authorities()
            ),
            Refusal::Purpose => f.write_str(
                "server certificate is not meant for servers (its extended key usage); have it issued for serverAuth",
            ),
            Refusal::FirstVersion => f.write_str(
                "server certificate is of X.509 version 1, which is not supported; issue it anew as version 3, e.g. with subjectAltName by openssl's -extfile",
            ),
            Refusal::Signature => f.write_str(
                "server certificate is not proven: a signature on it, or by its key, is wrong",
            ),
            Refusal::Certificate(why) => write!(f, "server certificate cannot be used: {why}"),
            Refusal::WantsCertificate if identity => {
                write!(f, "server cannot use our certificate {} and wants another", self.ours())
            }
            Refusal::WantsCertificate => write!(
                f,
                "server asks for a client certificate; set {} and {}",
                self.key("cert_file"),
                self.key("key_file")
            ),
            Refusal::OursUnknownAuthority if identity => write!(
                f,
                "server does not know the authority of our certificate {}; have it issued by one in the server's ssl_ca_file",
                self.ours()
            ),
            Refusal::OursExpired if identity => {
                write!(f, "server says that our certificate {} has expired; renew it", self.ours())
            }
            Refusal::OursRevoked if identity => {
                write!(f, "server says that our certificate {} is revoked", self.ours())
            }
            Refusal::OursRefused if identity => write!(
                f,
                "server refuses our certificate {}; its log says why",
                self.ours()
            ),
            Refusal::OursUnknownAuthority
            | Refusal::OursExpired
            | Refusal::OursRevoked
            | Refusal::OursRefused => {
                f.write_str("server refuses the handshake for a certificate; its log says why")
            }
            Refusal::Version => write!(
                f,
                "there is no version of TLS that both speak; compare {} with the server's ssl_min_protocol_version and ssl_max_protocol_version",
                self.key("min_version")
            ),
            Refusal::Algorithms => f.write_str(
                "there is no cipher, key exchange or signature that both know; see the server's ssl_ciphers and the kind of its key",
            ),
            Refusal::Protocol => write!(
                f,
                "server does not say that it speaks postgresql within TLS (ALPN); set {} = \"postgres\"",
                self.key("negotiation")
            ),
            Refusal::NotTls => f.write_str("what answers there does not speak TLS"),
            Refusal::Alert(alert) => write!(f, "server ended the handshake: {alert}"),
            Refusal::Other(why) => write!(f, "{why} ({mode})"),
        }
    }

    /// E.g. "server certificate is for db-1.internal, configuration asks for db-0.internal
    /// (databases.app.backends.address); set …".
    fn other_name(&self, asked: &str, shown: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match shown {
            [] => "nobody by name".to_owned(),
            names => names.join(", "),
        };
        let (_, key) = &self.name;
        write!(
            f,
            "server certificate is for {shown}, configuration asks for {asked} ({key}); "
        )?;
        match &self.words {
            Words::Table(_) => {
                write!(f, "set {} or mode = \"verify-ca\"", self.key("server_name"))
            }
            Words::Url => f.write_str("correct the URL's host, or set sslmode=verify-ca"),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = self.key("mode");
        match &self.why {
            Why::Refused(why) => {
                f.write_str("TLS failed: ")?;
                self.refused(why, f)
            }
            Why::NotOffered => write!(
                f,
                "server offers no TLS (its ssl is off), and {mode} = \"{}\" asks for it",
                word(self.settings.mode)
            ),
            Why::Error => f.write_str("server answers the request for TLS with an error"),
            Why::Injected => write!(
                f,
                "bytes came unencrypted behind the answer to the request for TLS: somebody in between may have put them there ({mode})"
            ),
            Why::LostDirect => write!(
                f,
                "server closed the connection when TLS began without a request, which needs PostgreSQL 17; set {} = \"postgres\"",
                self.key("negotiation")
            ),
        }
    }
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Disable => "disable",
        Mode::Prefer => "prefer",
        Mode::Require => "require",
        Mode::VerifyCa => "verify-ca",
        Mode::VerifyFull => "verify-full",
    }
}

impl Words {
    /// A key of `upstream_tls`, in full, or the URL's parameter for it.
    pub fn key(&self, key: &str) -> String {
        let parameter = match (self, key) {
            (Self::Table(table), _) => return format!("{table}.upstream_tls.{key}"),
            (Self::Url, "mode") => "sslmode",
            (Self::Url, "ca_file") => "sslrootcert",
            (Self::Url, "cert_file") => "sslcert",
            (Self::Url, "key_file") => "sslkey",
            (Self::Url, "negotiation") => "sslnegotiation",
            (Self::Url, "min_version") => "ssl_min_protocol_version",
            (Self::Url, key) => key,
        };
        format!("the URL's {parameter}")
    }

    /// What the files' table is called, and their keys.
    pub fn papers(&self) -> (String, Keys) {
        match self {
            Self::Table(table) => (format!("{table}.upstream_tls"), Keys::default()),
            Self::Url => (
                "url".to_owned(),
                Keys {
                    authorities: "sslrootcert",
                    certificate: "sslcert",
                    key: "sslkey",
                },
            ),
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Table(table) => format!("{table}.backends.address"),
            Self::Url => "the URL's host".to_owned(),
        }
    }
}
