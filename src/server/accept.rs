//! The listening sockets.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Listen, StartError, plan::Plan, worker::Worker};
use crate::net::Stream;

/// Connections that the kernel holds for us.
const BACKLOG: i32 = 4096;
/// How long to leave the door alone after running out of file descriptors.
const REST: Duration = Duration::from_millis(50);

/// Whoever may reach the folder may connect, as with Postgres' own (`unix_socket_permissions`).
const OPEN_TO_ALL: u32 = 0o777;

/// An open address, on no runtime yet.
pub enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// Opens every address.
pub fn bind(addresses: &[Listen]) -> Result<Vec<Listener>, StartError> {
    addresses.iter().map(open).collect()
}

fn open(listen: &Listen) -> Result<Listener, StartError> {
    match listen {
        Listen::Tcp(address) => {
            let address = *address;
            let opened = listener(address).map(|socket| Listener::Tcp(socket.into()));
            opened.map_err(|source| StartError::Listen { address, source })
        }
        Listen::Unix { folder, port } => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            let opened = unix_listener(&path);
            let opened = opened.map(|(socket, file)| Listener::Unix(socket.into(), file));
            opened.map_err(|source| StartError::ListenUnix { path, source })
        }
    }
}

/// A socket's file; dropped, it is removed, unless somebody has put another there meanwhile.
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A socket that nobody answers any more is replaced; one that somebody answers is in use.
fn unix_listener(path: &Path) -> io::Result<(Socket, SocketFile)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let is_socket = |found: fs::Metadata| found.file_type().is_socket();
    if fs::symlink_metadata(path).is_ok_and(is_socket) {
        let asking = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        match asking.connect(&address) {
            Ok(()) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
    }
    socket.bind(&address)?;
    let inode = fs::symlink_metadata(path)?.ino();
    let path = path.to_owned();
    let file = SocketFile { path, inode };
    fs::set_permissions(&file.path, fs::Permissions::from_mode(OPEN_TO_ALL))?;
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

fn listener(address: SocketAddr) -> io::Result<Socket> {
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
    Ok(socket)
}

/// A listener on this thread's runtime.
enum Ear {
    Tcp(tokio::net::TcpListener),
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "goes with it")] SocketFile,
    ),
}

impl Ear {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(socket) => tokio::net::TcpListener::from_std(socket).map(Self::Tcp),
            Listener::Unix(socket, file) => {
                let socket = tokio::net::UnixListener::from_std(socket)?;
                Ok(Self::Unix(socket, file))
            }
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => Ok(Stream::Tcp(socket.accept().await?.0)),
            Self::Unix(socket, _) => Ok(Stream::Unix(socket.accept().await?.0)),
        }
    }
}

/// Accepts for all workers, and gives each client to the one with the fewest.
pub async fn accept(listener: Listener, plan: Arc<Plan>, here: Rc<Worker>) {
    let listener = match Ear::new(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("cannot accept clients: {error}");
            return;
        }
    };
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failing = false;
                let seat = plan.seat();
                if seat.worker() == here.index() {
                    here.serve(stream, seat);
                } else if let Ok(stream) = stream.detach() {
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
