//! What a TLS handshake with a client costs us, in full and where a session is taken up again: CPU
//! time of both sides in memory, without a socket.

#![expect(
    clippy::unwrap_used,
    reason = "here a failed step is a failed benchmark"
)]

use std::{fs, sync::Arc};

use pg_ambassador::net::tls::{self, IdentityFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, Connection, HandshakeKind, RootCertStore, ServerConnection,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// The system counts CPU time in steps of some milliseconds: only many tell the sides apart.
const TIMES: u32 = 10_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let files = IdentityFiles {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    let offer = tls::listen("listen".to_owned(), files.clone(), None).unwrap();
    let offer = offer.settings();
    let client = |resumes: bool| {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&files.certificate).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(tls::provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        if !resumes {
            config.resumption = rustls::client::Resumption::disabled();
        }
        Arc::new(config)
    };
    for (what, resumes) in [("full", false), ("resumed", true)] {
        let config = client(resumes);
        let (mut ours, mut theirs) = (0, 0);
        // The first gives the ticket.
        for at in 0..=TIMES {
            let (server, peer, taken_up) = shake(&offer.settings, &config);
            if at > 0 {
                assert_eq!(taken_up, resumes);
                ours += server;
                theirs += peer;
            }
        }
        let each = |nanos: u64| nanos / u64::from(TIMES) / 1000;
        println!(
            "{what}: {} µs of CPU for us, {} µs for the client",
            each(ours),
            each(theirs)
        );
    }
}

/// Nanoseconds of CPU of each side, and whether an earlier session was taken up.
fn shake(server: &Arc<rustls::ServerConfig>, client: &Arc<ClientConfig>) -> (u64, u64, bool) {
    let (mut ours, mut theirs) = (0, 0);
    let (begin, name) = (spent(), ServerName::try_from("localhost").unwrap());
    let mut client = Connection::Client(ClientConnection::new(Arc::clone(client), name).unwrap());
    theirs += spent() - begin;
    let begin = spent();
    let mut server = Connection::Server(ServerConnection::new(Arc::clone(server)).unwrap());
    ours += spent() - begin;
    // Up to the tickets, which come behind the end.
    for _ in 0..4 {
        theirs += turn(&mut client, &mut server, &mut ours);
        ours += turn(&mut server, &mut client, &mut theirs);
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    let kind = client.handshake_kind();
    (ours, theirs, kind == Some(HandshakeKind::Resumed))
}

/// What one has to say, to the other; costs of the first, those of the other are added.
fn turn(from: &mut Connection, to: &mut Connection, others: &mut u64) -> u64 {
    let begin = spent();
    let mut said = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut said).unwrap();
    }
    let mine = spent() - begin;
    let begin = spent();
    let mut rest = said.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets().unwrap();
    }
    *others += spent() - begin;
    mine
}

/// Nanoseconds that this thread has run, whoever else runs on this machine.
fn spent() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
