//! TLS with a client, from before its start-up on.

use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ServerConfig};

use crate::net::{
    Link, Stream,
    tls::{self, HandshakeError},
};

/// Why there is no TLS with a client.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the TLS handshake failed: {}", explained(.0))]
    Handshake(#[source] HandshakeError),
    /// As the server says it.
    #[error(
        "received direct SSL connection request without ALPN protocol negotiation extension; the client has to offer \"postgresql\""
    )]
    NoAlpn,
}

/// Begins TLS with a client that has shown this much of its handshake already. `direct`: it did
/// so without asking, and has to say that it means Postgres' protocol.
///
/// # Errors
/// See [`TlsError`]. The socket is closed then, and by a dropped call: after half a handshake
/// nothing can be said that would be understood.
pub async fn encrypt(
    link: Link,
    settings: Arc<ServerConfig>,
    ahead: Vec<u8>,
    direct: bool,
) -> Result<Link, TlsError> {
    let socket = match link.into_stream() {
        Stream::Tcp(socket) => socket,
        // Neither is ever offered TLS.
        other @ (Stream::Unix(_) | Stream::Tls(_)) => return Ok(Link::new(other)),
    };
    let tls = tls::accept(socket, settings, ahead);
    let mut tls = tls.await.map_err(TlsError::Handshake)?;
    if direct && tls.session().alpn_protocol().is_none() {
        tls.farewell();
        return Err(TlsError::NoAlpn);
    }
    Ok(Link::new(Stream::Tls(Box::new(tls))))
}

/// Which check failed, whose it is, and where to look.
fn explained(error: &HandshakeError) -> String {
    let refused = match error {
        HandshakeError::Refused(refused) => refused,
        HandshakeError::Lost(_) => return error.to_string(),
    };
    let advice = if let rustls::Error::InvalidCertificate(why) = refused {
        of_the_clients_certificate(why)
    } else if let rustls::Error::AlertReceived(alert) = refused {
        of_ours(*alert)
    } else if *refused == rustls::Error::NoApplicationProtocol {
        "the client offers other protocols than \"postgresql\" (ALPN)"
    } else if matches!(refused, rustls::Error::InvalidMessage(_)) {
        "what the client sent is not TLS"
    } else {
        return refused.to_string();
    };
    format!("{advice}: {refused}")
}

fn of_the_clients_certificate(why: &CertificateError) -> &'static str {
    if *why == CertificateError::UnknownIssuer {
        "the client's certificate is not signed by an authority in listen.tls_client_ca_file"
    } else if is_expired(why) {
        "the client's certificate has expired"
    } else if is_early(why) {
        "the client's certificate is not valid yet"
    } else {
        "the client's certificate is refused"
    }
}

fn is_expired(why: &CertificateError) -> bool {
    *why == CertificateError::Expired || matches!(why, CertificateError::ExpiredContext { .. })
}

fn is_early(why: &CertificateError) -> bool {
    *why == CertificateError::NotValidYet
        || matches!(why, CertificateError::NotValidYetContext { .. })
}

/// What a client says of the certificate that we have shown.
fn of_ours(alert: AlertDescription) -> &'static str {
    use AlertDescription as Alert;
    if [Alert::UnknownCA, Alert::CertificateUnknown].contains(&alert) {
        "the client does not believe the certificate in listen.tls_cert_file"
    } else if alert == Alert::CertificateExpired {
        "to the client the certificate in listen.tls_cert_file has expired"
    } else if alert == Alert::BadCertificate {
        "the client refuses the certificate in listen.tls_cert_file, perhaps for its names"
    } else {
        "the client ended it"
    }
}
