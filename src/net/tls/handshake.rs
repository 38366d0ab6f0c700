//! From a socket to an encrypted one.

use std::{future::poll_fn, io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use tokio::net::TcpStream;

use super::{Tls, in_error};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Either side did not like what the other showed, or said.
    #[error("{0}")]
    Refused(#[source] rustls::Error),
    #[error("the connection was lost during the TLS handshake: {0}")]
    Lost(#[source] io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match in_error(&error) {
            Some(refused) => Self::Refused(refused.clone()),
            None => Self::Lost(error),
        }
    }
}

/// Begins TLS as the client.
///
/// In TLS 1.3 the server judges the client's certificate after the client's part is over: a
/// refusal comes with the first read, as an error in which [`in_error`] finds the alert.
///
/// # Errors
/// See [`HandshakeError`]. Cancel safe: a dropped call closes the socket.
pub async fn connect(
    socket: TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Tls, HandshakeError> {
    let session = ClientConnection::new(config, name).map_err(HandshakeError::Refused)?;
    run(Tls::new(socket, Connection::Client(session), Vec::new())).await
}

/// Begins TLS as the server. `ahead`: what was read of the client's handshake already.
///
/// # Errors
/// See [`HandshakeError`]. Cancel safe: a dropped call closes the socket.
pub async fn accept(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    ahead: Vec<u8>,
) -> Result<Tls, HandshakeError> {
    let session = ServerConnection::new(config).map_err(HandshakeError::Refused)?;
    run(Tls::new(socket, Connection::Server(session), ahead)).await
}

async fn run(mut tls: Tls) -> Result<Tls, HandshakeError> {
    poll_fn(|cx| tls.poll_handshake(cx)).await?;
    Ok(tls)
}
