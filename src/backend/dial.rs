//! From an address to a socket.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use super::Keepalive;
use crate::net::Stream;
use crate::topology::Address;

/// Resolves and connects; every address that a name has is tried in turn.
pub async fn dial(address: &Address, keepalive: &Keepalive) -> io::Result<Stream> {
    match address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            keep_alive(&stream, keepalive)?;
            Ok(Stream::Tcp(stream))
        }
        Address::Unix { folder, port } => {
            let path = format!("{folder}/.s.PGSQL.{port}");
            UnixStream::connect(path).await.map(Stream::Unix)
        }
    }
}

fn keep_alive(stream: &TcpStream, wish: &Keepalive) -> io::Result<()> {
    let socket = SockRef::from(stream);
    if wish.enabled {
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = wish.idle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = wish.interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = wish.count {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    if wish.user_timeout.is_some() {
        socket.set_tcp_user_timeout(wish.user_timeout)?;
    }
    Ok(())
}
