//! The listening sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Listen, StartError, plan::Plan, worker::Worker};

/// Connections that the kernel holds for us.
const BACKLOG: i32 = 4096;
/// How long to leave the door alone after running out of file descriptors.
const REST: Duration = Duration::from_millis(50);

/// Opens every address.
pub fn bind(addresses: &[Listen]) -> Result<Vec<TcpListener>, StartError> {
    let open = |listen: &Listen| match listen {
        Listen::Tcp(address) => listener(*address).map_err(|source| StartError::Listen {
            address: *address,
            source,
        }),
        Listen::Unix { .. } => Err(StartError::Unix),
    };
    addresses.iter().map(open).collect()
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Linux hands both down to the sockets that it accepts.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts for all workers, and gives each client to the one with the fewest.
pub async fn accept(listener: TcpListener, plan: Arc<Plan>, here: Rc<Worker>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("cannot accept clients: {error}");
            return;
        }
    };
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                let seat = plan.seat();
                if seat.worker() == here.index() {
                    here.serve(stream, seat);
                } else if let Ok(stream) = stream.into_std() {
                    plan.hand_over(stream, seat);
                }
            }
            // The client has gone again before we looked, as probes do.
            Err(error) if concerns_that_client(&error) => {}
            Err(error) => {
                // Mostly too many open files: what is connected goes on. Said once, not with
                // every try.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("cannot accept clients: {error}");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Whether the next client may well be accepted: Linux reports here what is wrong with the new
/// socket (accept(2), "Error handling").
fn concerns_that_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}
