//! Somebody between us and the server: who only looks, who speaks before TLS, and who speaks TLS
//! himself.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::{
    Encrypted, FULL, PASSWORD, encrypted, enter,
    middle::{Middle, Ways},
};
use crate::{
    stage::eventually,
    support::papers::{Authority, Kind, When},
    wire::{self, message, request},
};

const SSL: i32 = 80_877_103;

/// Passes everything on to a server, and keeps what the client said on each connection.
struct Recorder {
    port: u16,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    carry(from, to, |bytes| {
                        kept.lock().unwrap()[number].extend_from_slice(bytes);
                    })
                });
                thread::spawn(move || carry(server, client, |_| ()));
            }
        });
        Self { port, said }
    }

    fn said(&self) -> Vec<Vec<u8>> {
        self.said.lock().unwrap().clone()
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, see: impl Fn(&[u8])) {
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        see(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// What lies before the TLS records; what follows is nothing else.
fn before_tls(said: &[u8]) -> &[u8] {
    let (before, mut rest) = said.split_at(said.len().min(8));
    while let [kind, 3, minor, high, low, behind @ ..] = rest {
        assert!((20..=23).contains(kind) && *minor <= 4, "{rest:?}");
        let length = usize::from(*high) << 8 | usize::from(*low);
        rest = behind.get(length..).unwrap_or_default();
    }
    assert!(rest.is_empty(), "{rest:?}");
    before
}

#[test]
fn nothing_but_the_request_for_tls_leaves_before_it_and_nothing_beside_it() {
    let server = encrypted();
    let marker = "a-word-that-nobody-is-to-see";
    for mode in ["require", "verify-ca", "verify-full"] {
        let recorder = Recorder::before(server.cluster.port());
        let authorities = match mode {
            "require" => "",
            _ => "upstream_tls.ca_file = 'FOLDER/ca.pem'",
        };
        let table = format!(
            "backends = [{{ address = 'localhost:{}' }}]\nusers.app = {{}}\nupstream_tls.mode = '{mode}'\n{authorities}",
            recorder.port
        );
        let served = server.served(&table, &["--workers", "1"]);
        let mut client = enter(&served, "app").unwrap();
        assert_eq!(client.value(&format!("select '{marker}'")), marker);
        let (pid, key) = (client.pid, client.key.clone());
        client.send(&wire::query("select pg_sleep(60)"));
        let asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'";
        let port = server.cluster.port();
        eventually("it sleeps", || {
            crate::support::psql(port, "postgres", asleep) == "1"
        });
        wire::cancel(served.port(), pid, &key);
        assert_eq!(wire::error(&client.until_ready()).code(), "57014");
        client.bye();
        drop(served);
        let said = recorder.said();
        assert!(
            said.len() >= 2,
            "the cancel came by a connection of its own"
        );
        for said in said {
            assert_eq!(before_tls(&said), request(SSL));
            assert!(said.len() > 200);
            let seen = said
                .windows(marker.len())
                .any(|part| part == marker.as_bytes());
            assert!(!seen);
        }
    }
}

#[test]
fn where_tls_is_declined_or_not_believed_nothing_of_the_login_leaves() {
    let plain = Encrypted::without_tls();
    let recorder = Recorder::before(plain.cluster.port());
    let address = format!("backends = [{{ address = 'localhost:{}' }}]", recorder.port);
    plain
        .check(&format!("mode = 'require'\n{address}"))
        .unwrap_err();
    assert_eq!(recorder.said(), [request(SSL)]);
    let server = encrypted();
    server.write("strangers.pem", &Authority::new("strangers").pem);
    let recorder = Recorder::before(server.cluster.port());
    let address = format!("backends = [{{ address = 'localhost:{}' }}]", recorder.port);
    let tls = FULL.replace("ca.pem", "strangers.pem");
    server.check(&format!("{tls}\n{address}")).unwrap_err();
    let said = recorder.said();
    assert_eq!(said.len(), 1);
    assert_eq!(before_tls(&said[0]), request(SSL));
}

/// A server that answers the first packet with these bytes, and whoever comes then without TLS as
/// a good Postgres. Gives its port and what came after the answer.
fn answering(answer: &[u8]) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.to_owned();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            let mut first = [0; 1024];
            let read = stream.read(&mut first).unwrap();
            if first[..read] == request(SSL) {
                stream.write_all(&answer).unwrap();
                let mut rest = Vec::new();
                let patience = Some(std::time::Duration::from_secs(5));
                stream.set_read_timeout(patience).unwrap();
                let _ = stream.read_to_end(&mut rest);
                kept.lock().unwrap().push(rest);
                continue;
            }
            let key = message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
            let ok = message(b'R', &[0; 4]);
            let ready = message(b'Z', b"I");
            stream.write_all(&[ok, key, ready].concat()).unwrap();
        }
    });
    (port, heard)
}

#[test]
fn bytes_behind_the_answer_to_the_request_are_refused() {
    let server = encrypted();
    let check = |answer: &[u8], mode: &str| {
        let (port, heard) = answering(answer);
        let address = format!("backends = [{{ address = 'localhost:{port}' }}]");
        let told = server.check(&format!("mode = '{mode}'\n{address}"));
        let told = told.map_err(|told| told.replace(&format!(":{port}"), ""));
        (
            told,
            heard.lock().unwrap().first().cloned().unwrap_or_default(),
        )
    };
    let ready = message(b'Z', b"I");
    let (told, heard) = check(&[b"S", &ready[..]].concat(), "require");
    assert_eq!(
        told.unwrap_err(),
        "localhost: bytes came unencrypted behind the answer to the request for TLS: somebody in between may have put them there (databases.postgres.upstream_tls.mode)"
    );
    assert_eq!(heard, b"", "not even the handshake");
    // An answer of the sort that comes a moment later is taken for a part of the handshake.
    let (port, _) = late(&ready);
    let address = format!("backends = [{{ address = 'localhost:{port}' }}]");
    let told = server
        .check(&format!("mode = 'require'\n{address}"))
        .unwrap_err();
    assert!(
        told.contains("TLS failed: what answers there does not speak TLS"),
        "{told}"
    );
}

/// A server that says `S`, and these bytes when the handshake has begun.
fn late(bytes: &[u8]) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let bytes = bytes.to_owned();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 1024];
        assert_eq!(stream.read(&mut said).unwrap(), 8);
        stream.write_all(b"S").unwrap();
        assert!(stream.read(&mut said).unwrap() > 8);
        stream.write_all(&bytes).unwrap();
        let _ = stream.read(&mut said);
    });
    (port, server)
}

#[test]
fn fact_4_an_error_in_answer_to_the_request_is_refused_and_its_text_is_nobodys_to_hear() {
    let server = encrypted();
    let error = message(b'E', b"SFATAL\0C57P03\0Mobey me\0\0");
    for mode in ["require", "verify-full"] {
        let (port, _) = answering(&error);
        let address = format!("backends = [{{ address = 'localhost:{port}' }}]");
        let tls = match mode {
            "require" => "mode = 'require'",
            _ => FULL,
        };
        let told = server.check(&format!("{tls}\n{address}")).unwrap_err();
        assert!(
            told.ends_with("server answers the request for TLS with an error"),
            "{told}"
        );
    }
    let (port, _) = answering(&error);
    let address = format!("backends = [{{ address = 'localhost:{port}' }}]");
    server.works(&format!("mode = 'prefer'\n{address}"));
}

/// As `scrammed`, through somebody in between who speaks TLS with both.
fn through(server: &Encrypted, middle: &Middle, tls: &str) -> Result<String, String> {
    let who = format!("users.scrammed = {{ upstream_password = '{PASSWORD}' }}");
    let address = format!("backends = [{{ address = 'localhost:{}' }}]", middle.port());
    server.check(&format!("{tls}\n{address}\n{who}"))
}

#[test]
fn a_login_is_bound_to_the_certificate_so_that_nobody_in_between_can_pass_it_on() {
    let server = encrypted();
    let who = format!("users.scrammed = {{ upstream_password = '{PASSWORD}' }}");
    server.works(&format!("mode = 'require'\n{who}"));
    server.works(&format!("{FULL}\n{who}"));
    let papers = |kind| Authority::new("strangers").issue_as("db", &["localhost"], kind, When::Now);
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let middle = Middle::before(server.cluster.port(), &papers(kind), Ways::default());
        let told = through(server, &middle, "mode = 'require'").unwrap_err();
        assert!(
            told.contains("SCRAM channel binding check failed"),
            "{told}"
        );
        // Who takes the offer of it away is found out as well.
        let strips = Ways {
            strips: true,
            ..Ways::default()
        };
        let middle = Middle::before(server.cluster.port(), &papers(kind), strips);
        let told = through(server, &middle, "mode = 'require'").unwrap_err();
        assert!(told.contains("channel binding"), "{told}");
    }
    // With the very certificate of the server it would pass: that is what the binding is about.
    let own = server.shown();
    let middle = Middle::before(server.cluster.port(), &own, Ways::default());
    through(server, &middle, "mode = 'require'").unwrap();
}

#[test]
fn decision_21_a_certificate_signed_by_ed25519_binds_nothing() {
    let mut server = Encrypted::without_tls();
    let mut own = Authority::new_as("servers", Kind::Ed25519);
    let papers = own.issue_as("db", &["localhost"], Kind::Ed25519, When::Now);
    std::mem::swap(&mut server.ca, &mut own);
    server.write("ca.pem", &server.ca.pem);
    server.shows(&papers, &[]);
    let who = format!("users.scrammed = {{ upstream_password = '{PASSWORD}' }}");
    server.works(&format!("{FULL}\n{who}"));
    let told = server.fails(&format!("{FULL}\nchannel_binding = 'require'\n{who}"));
    assert!(
        told.contains("it offers no login that is bound to its certificate"),
        "{told}"
    );
}

#[test]
fn where_a_login_is_to_be_bound_no_other_kind_will_do() {
    let server = encrypted();
    let bound = "channel_binding = 'require'";
    let who = format!("users.scrammed = {{ upstream_password = '{PASSWORD}' }}");
    server.works(&format!("mode = 'require'\n{bound}\n{who}"));
    server.works(&format!(
        "mode = 'require'\nchannel_binding = 'disable'\n{who}"
    ));
    let said = "it offers no login that is bound to its certificate (SCRAM-SHA-256-PLUS), which upstream_tls.channel_binding asks for";
    // Who would let us in without asking, and who cannot bind.
    assert!(
        server
            .fails(&format!("mode = 'require'\n{bound}"))
            .contains(said)
    );
    let stranger = Authority::new_as("strangers", Kind::Ed25519);
    let papers = stranger.issue_as("db", &["localhost"], Kind::Ed25519, When::Now);
    let middle = Middle::before(server.cluster.port(), &papers, Ways::default());
    // He passes for the server without it.
    through(server, &middle, "mode = 'require'").unwrap();
    let told = through(server, &middle, &format!("mode = 'require'\n{bound}"));
    assert!(told.unwrap_err().contains(said));
}

#[test]
fn tls_begins_at_once_where_that_is_wished_and_says_what_it_carries() {
    let server = encrypted();
    let papers = server.ca.issue("db", &["localhost"]);
    let check = |ways: Ways| {
        let middle = Middle::before(server.cluster.port(), &papers, ways);
        let address = format!("backends = [{{ address = 'localhost:{}' }}]", middle.port());
        server.check(&format!("{FULL}\nnegotiation = 'direct'\n{address}"))
    };
    let direct = Ways {
        direct: true,
        ..Ways::default()
    };
    check(Ways {
        alpn: true,
        ..direct
    })
    .unwrap();
    let told = check(direct).unwrap_err();
    let said = "server does not say that it speaks postgresql within TLS (ALPN); set databases.postgres.upstream_tls.negotiation = \"postgres\"";
    assert!(told.ends_with(said), "{told}");
    // Postgres before 17 takes it for a start-up.
    let told = server
        .check(&format!("{FULL}\nnegotiation = 'direct'"))
        .unwrap_err();
    assert_eq!(
        told,
        "localhost: server closed the connection when TLS began without a request, which needs PostgreSQL 17; set databases.postgres.upstream_tls.negotiation = \"postgres\""
    );
}
