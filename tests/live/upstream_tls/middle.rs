//! Somebody who ends our TLS, begins his own with the server, and passes on what is in it.

use std::{
    future::poll_fn,
    net::Ipv4Addr,
    sync::{Arc, mpsc},
    task::Poll,
    thread,
};

use pg_ambassador::net::{
    Link, Stream,
    tls::{self, Client, ClientSettings, Identity, IdentityFiles, Mode},
};
use rustls::{ServerConfig, sign::SingleCertAndKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::LocalSet,
};

use crate::{support::papers::Papers, wire::request};

/// What he does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ways {
    /// He waits for no request for TLS.
    pub direct: bool,
    /// He says that he speaks Postgres' protocol.
    pub alpn: bool,
    /// He hides that logins can be bound to a certificate.
    pub strips: bool,
}

pub struct Middle {
    port: u16,
    _end: mpsc::Sender<()>,
}

impl Middle {
    pub fn before(server: u16, papers: &Papers, ways: Ways) -> Self {
        let folder = tempfile::tempdir().unwrap();
        papers.write(folder.path(), "his");
        let files = IdentityFiles {
            certificate: folder.path().join("his.pem"),
            key: folder.path().join("his.key"),
        };
        let identity = Identity::load(&files, &tls::provider()).unwrap();
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
        if ways.alpn {
            config.alpn_protocols = vec![tls::ALPN.to_vec()];
        }
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                tell.send(listener.local_addr().unwrap().port()).unwrap();
                let config = Arc::new(config);
                while ended.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                    let Ok((client, _)) = listener.accept().await else {
                        return;
                    };
                    let config = Arc::clone(&config);
                    tokio::task::spawn_local(
                        async move { pass(client, server, config, ways).await },
                    );
                }
            });
        });
        Self {
            port: told.recv().unwrap(),
            _end: end,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

const SSL: i32 = 80_877_103;

/// `None`: the client, or he, has given up.
async fn pass(
    mut client: TcpStream,
    server: u16,
    config: Arc<ServerConfig>,
    ways: Ways,
) -> Option<()> {
    if !ways.direct {
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await.ok()?;
        client.write_all(b"S").await.ok()?;
    }
    let client = tls::accept(client, config, Vec::new()).await.ok()?;
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))
        .await
        .unwrap();
    server.write_all(&request(SSL)).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'S');
    let mode = Mode::Require;
    let believes = Client::load(ClientSettings {
        mode,
        ..ClientSettings::default()
    })
    .unwrap();
    let server = believes.connect(server, "localhost").await.unwrap();
    let link = |tls| Link::new(Stream::Tls(Box::new(tls)));
    let (mut client, mut server) = (link(client), link(server));
    let mut buffer = vec![0; 65_536];
    poll_fn(|cx| {
        loop {
            let mut idle = true;
            if let Poll::Ready(read) = client.poll_read(cx, &mut buffer) {
                let Ok(read @ 1..) = read else {
                    return Poll::Ready(None);
                };
                if server.send(cx, &buffer[..read]).is_err() {
                    return Poll::Ready(None);
                }
                idle = false;
            }
            if let Poll::Ready(read) = server.poll_read(cx, &mut buffer) {
                let Ok(read @ 1..) = read else {
                    return Poll::Ready(None);
                };
                let said = buffer[..read].to_vec();
                let said = if ways.strips { stripped(said) } else { said };
                if client.send(cx, &said).is_err() {
                    return Poll::Ready(None);
                }
                idle = false;
            }
            let _ = (client.poll_flush(cx), server.poll_flush(cx));
            if idle {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// AuthenticationSASL without the mechanism that binds.
fn stripped(said: Vec<u8>) -> Vec<u8> {
    let plus = b"SCRAM-SHA-256-PLUS\0";
    let Some(at) = said.windows(plus.len()).position(|part| part == plus) else {
        return said;
    };
    // It is the first that is offered, and another message may go before.
    let (before, message) = said.split_at(at - 9);
    let body = [&message[5..9], &message[9 + plus.len()..]].concat();
    [before, &crate::wire::message(b'R', &body)].concat()
}
