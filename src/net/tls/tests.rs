//! Both sides of TLS, over sockets of this machine.

use std::{
    fs,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519,
};
use rustls::{ServerConfig, sign::SingleCertAndKey};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::net::{Link, Stream, watch::Looked};

/// An authority, a server's identity from it, and where both are.
struct House {
    folder: TempDir,
    key: KeyPair,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let certificate = authority.self_signed(&authority_key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["db.internal".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        fs::write(folder.path().join("server.pem"), server.pem()).unwrap();
        fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
        Self { folder, key }
    }

    fn files(&self) -> IdentityFiles {
        IdentityFiles {
            certificate: self.folder.path().join("server.pem"),
            key: self.folder.path().join("server.key"),
        }
    }

    fn server(&self) -> Arc<ServerConfig> {
        let identity = Identity::load(&self.files(), &provider()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
        Arc::new(config)
    }

    fn client(&self) -> Client {
        let authorities = Authorities::File(self.folder.path().join("ca.pem"));
        let mode = Mode::VerifyFull;
        Client::load(ClientSettings {
            mode,
            authorities,
            ..ClientSettings::default()
        })
        .unwrap()
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}

/// The two ends of a connection with TLS on it, ours first.
async fn ends(client: &Client, server: Arc<ServerConfig>) -> (Link, Link) {
    let (ours, theirs) = sockets().await;
    let (ours, theirs) = tokio::join!(
        client.connect(ours, "db.internal"),
        accept(theirs, server, Vec::new())
    );
    let link = |tls: Result<Tls, HandshakeError>| Link::new(Stream::Tls(Box::new(tls.unwrap())));
    (link(ours), link(theirs))
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 7 % 251) as u8).collect()
}

/// Sends all of it and reads as much on the other side, `at_once` bytes at a time.
async fn cross(from: &mut Link, to: &mut Link, bytes: &[u8], at_once: usize) -> Vec<u8> {
    let mut sent = false;
    let mut got = Vec::new();
    let mut buffer = vec![0; at_once];
    poll_fn(|cx| {
        if !sent {
            sent = true;
            from.send(cx, bytes).unwrap();
        }
        let _ = from.poll_flush(cx).map(Result::unwrap);
        while got.len() < bytes.len() {
            match to.poll_read(cx, &mut buffer) {
                Poll::Ready(read) => got.extend_from_slice(&buffer[..read.unwrap()]),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    got
}

#[tokio::test]
async fn what_is_sent_arrives_however_it_is_read() {
    let house = House::new();
    let (mut ours, mut theirs) = ends(&house.client(), house.server()).await;
    for length in [1, 100, 16_384, 16_385, 70_000, 5_000_000] {
        let bytes = noise(length);
        for at_once in [1, 7, 1024, 16_383, 16_384, 65_536, 100_000] {
            if length / at_once > 100_000 {
                continue;
            }
            let got = cross(&mut ours, &mut theirs, &bytes, at_once).await;
            assert!(got == bytes, "{length} there by {at_once}");
            let got = cross(&mut theirs, &mut ours, &bytes, at_once).await;
            assert!(got == bytes, "{length} back by {at_once}");
        }
    }
}

#[tokio::test]
async fn what_is_decrypted_and_not_yet_read_makes_a_connection_readable() {
    let house = House::new();
    let (mut ours, mut theirs) = ends(&house.client(), house.server()).await;
    assert_eq!(cross(&mut ours, &mut theirs, b"one", 64).await, b"one");
    let mut half = [0; 2];
    let read = poll_fn(|cx| {
        ours.send(cx, b"four").unwrap();
        Poll::Ready(())
    });
    read.await;
    poll_fn(|cx| theirs.poll_read(cx, &mut half)).await.unwrap();
    assert_eq!(&half, b"fo");
    // The socket has no more; the rest lies decrypted in the session.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(theirs.poll_readable(&mut cx).is_ready());
    assert!(theirs.poll_read(&mut cx, &mut half).is_ready());
    assert_eq!(&half, b"ur");
    assert!(theirs.poll_read(&mut cx, &mut half).is_pending());
    assert!(theirs.poll_readable(&mut cx).is_pending());
}

#[tokio::test]
async fn the_tickets_of_a_session_are_nothing_that_an_idle_connection_says() {
    let house = House::new();
    let (mut ours, _theirs) = ends(&house.client(), house.server()).await;
    poll_fn(|cx| ours.poll_readable(cx)).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 1024];
    while ours.poll_readable(&mut cx).is_ready() {
        assert!(ours.poll_read(&mut cx, &mut buffer).is_pending());
    }
}

#[tokio::test]
async fn more_than_the_socket_takes_waits_and_leaves_later() {
    let house = House::new();
    let (mut ours, mut theirs) = ends(&house.client(), house.server()).await;
    let bytes = noise(20_000_000);
    let mut cx = Context::from_waker(Waker::noop());
    ours.send(&mut cx, &bytes).unwrap();
    assert!(ours.is_backed_up());
    assert!(ours.poll_flush(&mut cx).is_pending());
    let got = cross(&mut ours, &mut theirs, b"", 65_536).await;
    assert!(got.is_empty());
    let mut got = Vec::new();
    let mut buffer = vec![0; 65_536];
    poll_fn(|cx| {
        while got.len() < bytes.len() {
            let _ = ours.poll_flush(cx).map(Result::unwrap);
            match theirs.poll_read(cx, &mut buffer) {
                Poll::Ready(read) => got.extend_from_slice(&buffer[..read.unwrap()]),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    assert!(got == bytes);
    assert!(!ours.is_backed_up());
}

#[tokio::test]
async fn the_end_is_the_end_with_and_without_a_word_of_tls() {
    let house = House::new();
    for polite in [true, false] {
        let (mut ours, mut theirs) = ends(&house.client(), house.server()).await;
        let mut cx = Context::from_waker(Waker::noop());
        theirs.send(&mut cx, b"last words").unwrap();
        if polite {
            theirs.farewell();
        }
        drop(theirs);
        for length in [10, 0, 0] {
            let mut buffer = [0; 64];
            let read = poll_fn(|cx| ours.poll_read(cx, &mut buffer)).await.unwrap();
            assert_eq!(read, length, "{polite}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_tls_end_the_connection_behind_what_came_before_them() {
    let house = House::new();
    let (ours, theirs) = sockets().await;
    let (client, server) = (house.client(), house.server());
    // A man in the middle, who lets the handshake pass and then speaks himself.
    let (middle, far) = sockets().await;
    let (ours, theirs, socket) = tokio::join!(
        client.connect(ours, "db.internal"),
        accept(far, server, Vec::new()),
        pass_until_idle(theirs, middle),
    );
    let (mut ours, theirs) = (ours.unwrap(), theirs.unwrap());
    let (mut client_side, mut server_side) = socket;
    let mut theirs = Link::new(Stream::Tls(Box::new(theirs)));
    let mut cx = Context::from_waker(Waker::noop());
    theirs.send(&mut cx, b"genuine").unwrap();
    let mut record = [0; 1024];
    let read = server_side.read(&mut record).await.unwrap();
    client_side.write_all(&record[..read]).await.unwrap();
    client_side.write_all(b"injected").await.unwrap();
    let mut buffer = vec![0; 65_536];
    let read = poll_fn(|cx| ours.poll_read(cx, &mut buffer)).await.unwrap();
    assert_eq!(&buffer[..read], b"genuine");
    for _ in 0..2 {
        let refused = poll_fn(|cx| ours.poll_read(cx, &mut buffer)).await;
        assert!(in_error(&refused.unwrap_err()).is_some());
    }
}

/// Carries bytes both ways until nothing has come for a while.
async fn pass_until_idle(mut one: TcpStream, mut other: TcpStream) -> (TcpStream, TcpStream) {
    let (mut there, mut back) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = one.read(&mut there) => other.write_all(&there[..read.unwrap()]).await.unwrap(),
            read = other.read(&mut back) => one.write_all(&back[..read.unwrap()]).await.unwrap(),
            () = tokio::time::sleep(std::time::Duration::from_millis(300)) => return (one, other),
        }
    }
}

#[tokio::test]
async fn what_was_read_ahead_of_the_handshake_is_a_part_of_it() {
    let house = House::new();
    let (client, server) = (house.client(), house.server());
    let (ours, mut theirs) = sockets().await;
    let (ours, theirs) = tokio::join!(client.connect(ours, "db.internal"), async {
        let mut ahead = vec![0; 100];
        theirs.read_exact(&mut ahead).await.unwrap();
        accept(theirs, server, ahead).await
    });
    let link = |tls: Tls| Link::new(Stream::Tls(Box::new(tls)));
    let (mut ours, mut theirs) = (link(ours.unwrap()), link(theirs.unwrap()));
    assert_eq!(cross(&mut ours, &mut theirs, b"hello", 64).await, b"hello");
}

#[tokio::test]
async fn a_connection_goes_on_when_it_has_moved() {
    let house = House::new();
    let (mut ours, mut theirs) = ends(&house.client(), house.server()).await;
    assert_eq!(cross(&mut ours, &mut theirs, b"here", 64).await, b"here");
    let moved = ours.detach().unwrap();
    let mut ours = Link::new(moved.attach().unwrap());
    assert_eq!(cross(&mut ours, &mut theirs, b"there", 64).await, b"there");
    assert_eq!(
        cross(&mut theirs, &mut ours, b"and back", 64).await,
        b"and back"
    );
}

#[tokio::test]
async fn a_second_connection_takes_up_the_session_of_the_first() {
    let house = House::new();
    let (client, server) = (house.client(), house.server());
    let kind = |link: &Link| link.tls().unwrap().session().handshake_kind();
    let (mut ours, mut theirs) = ends(&client, Arc::clone(&server)).await;
    assert_eq!(kind(&ours), Some(rustls::HandshakeKind::Full));
    // The ticket comes with the first bytes.
    cross(&mut theirs, &mut ours, b"welcome", 64).await;
    let (ours, _theirs) = ends(&client, Arc::clone(&server)).await;
    assert_eq!(kind(&ours), Some(rustls::HandshakeKind::Resumed));
    // What it is bound to is known all the same.
    assert_eq!(ours.tls().unwrap().certificates().len(), 1);
    // Who we are is asked anew with another identity.
    let ca = house.folder.path().join("ca.pem");
    let text = fs::read_to_string(&ca).unwrap();
    fs::write(&ca, format!("{text}\n")).unwrap();
    assert!(matches!(client.papers().look(true), Looked::Renewed));
    let (ours, _theirs) = ends(&client, server).await;
    assert_eq!(kind(&ours), Some(rustls::HandshakeKind::Full));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let house = House::new();
    let folder = house.folder.path();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let load = |certificate: &std::path::Path, key: &std::path::Path| {
        let files = IdentityFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let error = Identity::load(&files, &provider()).unwrap_err();
        error.to_string().replace(folder.to_str().unwrap(), "")
    };
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let empty = write("empty", "");
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let other = write("other.key", &other.serialize_pem());
    let locked = write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let half = fs::read_to_string(&key).unwrap();
    let half = write("half.key", half.split_at(half.len() / 2).0);
    let gone = folder.join("gone");
    for (said, expected) in [
        (
            load(&gone, &key),
            "/gone: cannot be read: No such file or directory (os error 2)",
        ),
        (
            load(&empty, &key),
            "/empty: has no certificate (-----BEGIN CERTIFICATE-----)",
        ),
        (
            load(&key, &key),
            "/server.key: has no certificate (-----BEGIN CERTIFICATE-----)",
        ),
        (
            load(&certificate, &empty),
            "/empty: has no private key (-----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY)",
        ),
        (
            load(&certificate, &locked),
            "/locked.key: its private key is encrypted with a passphrase, which is not supported; decrypt it",
        ),
        (
            load(&certificate, &other),
            "/other.key: is not the key of the certificate in /server.pem",
        ),
    ] {
        assert_eq!(said, expected);
    }
    assert!(load(&certificate, &half).starts_with("/half.key: is not PEM: "));
    let none = Trust::load(&Authorities::File(key))
        .unwrap_err()
        .to_string();
    assert!(none.contains("has no certificate"), "{none}");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    assert_ne!(key.serialize_pem(), house.key.serialize_pem());
}
