//! TLS between clients and the ambassador.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::SUPERUSER;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    stage::{PATIENCE, eventually},
    support::{
        self, Served, clients,
        papers::{Authority, Kind, When},
    },
    wire::{VERSION, query, startup},
};

const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 48];

/// An ambassador with TLS before a Postgres that trusts it, and the papers for both sides.
pub struct Front {
    pub served: Served,
    pub folder: TempDir,
    pub authority: Authority,
}

impl Front {
    /// With these keys, of which `listen.tls_…_file` are given already, and these databases; in
    /// both FOLDER and PORT (of Postgres) are replaced.
    pub fn new(listen: &str, databases: &str) -> Self {
        Self::prepared(listen, databases, |_, _| ())
    }

    /// The same, with more done to the folder before the ambassador starts.
    pub fn prepared(
        listen: &str,
        databases: &str,
        prepare: impl FnOnce(&Path, &Authority),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("the authority");
        let at = folder.path();
        fs::write(at.join("ca.pem"), &authority.pem).unwrap();
        authority
            .issue("ambassador", &["localhost", "127.0.0.1"])
            .write(at, "server");
        authority.issue(SUPERUSER, &[]).write(at, "client");
        prepare(at, &authority);
        let path = at.join("front.toml");
        let text = format!(
            "[listen]\ntls_cert_file = \"FOLDER/server.pem\"\ntls_key_file = \"FOLDER/server.key\"\n\
             {listen}\n[databases.\"*\"]\nbackends = [{{ address = \"127.0.0.1:PORT\" }}]\n{databases}\n"
        );
        let port = support::cluster().port().to_string();
        let text = text
            .replace("FOLDER", at.to_str().unwrap())
            .replace("PORT", &port);
        fs::write(&path, text).unwrap();
        let served = Served::ambassador_with(&[
            "--config",
            path.to_str().unwrap(),
            "--workers",
            "1",
            "--admin",
            "127.0.0.1:0",
        ]);
        Self {
            served,
            folder,
            authority,
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// psql with these further words of a connection string, FOLDER replaced.
    pub fn psql(&self, words: &str, sql: &str) -> Output {
        let words = words.replace("FOLDER", self.folder.path().to_str().unwrap());
        let user = match words.contains("user=") {
            true => String::new(),
            false => format!("user={SUPERUSER}"),
        };
        let conninfo = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=postgres {user} {words}",
            self.served.port()
        );
        clients::psql_to(&conninfo, sql)
    }

    /// What psql prints.
    #[track_caller]
    pub fn told(&self, words: &str, sql: &str) -> String {
        let ended = self.psql(words, sql);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{words}: {said}");
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    /// Why psql is not let in.
    #[track_caller]
    pub fn refused(&self, words: &str) -> String {
        let ended = self.psql(words, "select 1");
        assert!(!ended.status.success(), "it let {words} in");
        String::from_utf8(ended.stderr).unwrap()
    }

    /// A client's TLS by hand that believes the authority. `certificate`: shows `NAME.pem`.
    pub fn client(&self, certificate: Option<&str>, alpn: &[&[u8]]) -> ClientConfig {
        let ca = CertificateDer::from_pem_file(self.at("ca.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::pem_file_iter(self.at(&format!("{name}.pem")));
                let chain = chain.unwrap().map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(self.at(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.served.port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A socket on which TLS may begin.
    pub fn asked(&self) -> TcpStream {
        let mut socket = self.socket();
        socket.write_all(SSL_REQUEST).unwrap();
        let mut answer = [0];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"S");
        socket
    }
}

/// TLS by hand; the handshake comes with the first byte.
pub type Secret = StreamOwned<ClientConnection, TcpStream>;

pub fn secret(config: ClientConfig, socket: TcpStream) -> Secret {
    secret_with(&Arc::new(config), socket)
}

pub fn secret_with(config: &Arc<ClientConfig>, socket: TcpStream) -> Secret {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    StreamOwned::new(session, socket)
}

/// Everything that comes up to the end, or an error's text.
fn all(mut stream: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

pub fn who() -> Vec<u8> {
    startup(VERSION, &[("user", SUPERUSER), ("database", "postgres")])
}

/// Logs in, asks for a sum, leaves; all that the server said.
fn visit(stream: &mut Secret) -> Vec<u8> {
    stream.write_all(&who()).unwrap();
    sum(stream)
}

/// Asks for a sum and leaves; all that the server said.
pub fn sum(stream: &mut Secret) -> Vec<u8> {
    stream.write_all(&query("select 40 + 2 as sum")).unwrap();
    stream.write_all(b"X\0\0\0\x04").unwrap();
    all(stream).unwrap()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

const VERIFIED: &str = "sslmode=verify-full sslrootcert=FOLDER/ca.pem";
const SHOWN: &str = "sslcert=FOLDER/client.pem sslkey=FOLDER/client.key";

#[test]
fn psql_verifies_the_ambassador_as_it_would_verify_postgres() {
    let front = Front::new("tls_mode = \"allow\"", "");
    let told = front.told(VERIFIED, "\\conninfo");
    assert!(told.contains("SSL connection (protocol: TLSv1.3"), "{told}");
    let older = format!("{VERIFIED} ssl_max_protocol_version=TLSv1.2");
    let told = front.told(&older, "\\conninfo");
    assert!(told.contains("SSL connection (protocol: TLSv1.2"), "{told}");
    assert_eq!(front.told("sslmode=disable", "select 1"), "1");
    assert_eq!(
        front.told("gssencmode=prefer sslmode=prefer", "select 1"),
        "1"
    );
    // A client that believes somebody else.
    let other = Authority::new("another one");
    front.write("other.pem", &other.pem);
    let refused = front.refused("sslmode=verify-full sslrootcert=FOLDER/other.pem");
    assert!(refused.contains("certificate verify failed"), "{refused}");
    eventually("the log says whose certificate is not believed", || {
        let log = front.served.log();
        log.contains("the client does not believe the certificate in listen.tls_cert_file")
    });
}

#[test]
fn where_tls_is_required_plaintext_is_refused_in_words_and_a_unix_socket_is_not() {
    let listen = "tls_mode = \"require\"\nmax_clients = 50";
    let front = Front::new(listen, "");
    let refused = front.refused("sslmode=disable");
    assert!(
        refused.contains("FATAL:  ambassador: connections without TLS are refused"),
        "{refused}"
    );
    let mut socket = front.socket();
    socket.write_all(&who()).unwrap();
    assert!(contains(&all(socket).unwrap(), "C28000"));
    // It tries first without.
    assert_eq!(front.told("sslmode=allow", "select 1"), "1");
    assert_eq!(front.told(VERIFIED, "select 1"), "1");
    let sockets = tempfile::tempdir().unwrap();
    let folder = sockets.path().to_str().unwrap();
    let config = front.at("front.toml");
    let _also = Served::ambassador_with(&[
        "--config",
        config.to_str().unwrap(),
        "--listen",
        &format!("unix:{folder}:5432"),
    ]);
    let unix = |mode: &str| {
        let to = format!("host={folder} port=5432 user={SUPERUSER} dbname=postgres {mode}");
        clients::psql_to(&to, "select 1")
    };
    assert!(unix("").status.success());
    let mut socket =
        std::os::unix::net::UnixStream::connect(sockets.path().join(".s.PGSQL.5432")).unwrap();
    socket.write_all(SSL_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
}

#[test]
fn fact_1_what_comes_in_plaintext_behind_a_request_for_tls_is_refused() {
    let front = Front::new("tls_mode = \"allow\"", "");
    for injected in [who(), vec![0], SSL_REQUEST.to_vec(), vec![0x16, 3, 1]] {
        let mut socket = front.socket();
        socket
            .write_all(&[SSL_REQUEST, &injected].concat())
            .unwrap();
        let told = all(socket).unwrap();
        assert_eq!(told.first(), Some(&b'E'), "{told:?}");
        assert!(contains(&told, "C08P01"), "{told:?}");
        assert!(
            contains(&told, "Mreceived unencrypted data after SSL request"),
            "{told:?}"
        );
    }
    // Not even when it comes later.
    let mut socket = front.asked();
    socket.write_all(&who()).unwrap();
    let told = all(socket).unwrap();
    assert!(told.iter().all(|byte| *byte != b'R'), "{told:?}");
    assert!(!contains(&told, "server_version"), "{told:?}");
}

#[test]
fn fact_2_each_kind_of_encryption_is_asked_for_once_and_never_inside_of_tls() {
    let front = Front::new("tls_mode = \"allow\"", "");
    let mut socket = front.socket();
    socket.write_all(GSS_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    socket.write_all(SSL_REQUEST).unwrap();
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"S");
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let mut stream = secret(front.client(None, &[]), front.asked());
        stream.write_all(request).unwrap();
        let told = all(stream).unwrap();
        assert!(
            contains(&told, "unsupported frontend protocol 1234.56"),
            "{told:?}"
        );
    }
    // TLS inside of TLS.
    let mut stream = secret(front.client(None, &[]), front.asked());
    stream.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0]).unwrap();
    assert_eq!(all(stream).unwrap(), b"");
    // Begun without a question, there is still a "no" to ask for.
    let mut stream = secret(front.client(None, &[b"postgresql"]), front.socket());
    stream.write_all(SSL_REQUEST).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    assert!(contains(&visit(&mut stream), "42"));
}

#[test]
fn fact_3_tls_may_begin_at_once_if_it_says_that_it_means_postgres() {
    let front = Front::new("tls_mode = \"require\"", "");
    let mut stream = secret(front.client(None, &[b"postgresql"]), front.socket());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[b"h2", b"postgresql"]), front.socket());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[]), front.socket());
    stream.write_all(&who()).ok();
    assert_eq!(all(stream).unwrap_or_default(), b"");
    let mut stream = secret(front.client(None, &[b"h2"]), front.socket());
    let refused = stream.write_all(&who()).unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let log = front.served.log();
    assert!(log.contains("without ALPN protocol negotiation"), "{log}");
    // Asked for, it may be left open what TLS is for, as before there was a direct way.
    let mut stream = secret(front.client(None, &[]), front.asked());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[b"h2"]), front.asked());
    assert!(stream.write_all(&who()).is_err());
}

#[test]
fn where_tls_is_off_a_client_that_begins_it_at_once_is_left_without_an_answer() {
    let served = Served::ambassador(support::cluster(), &[]);
    let mut socket = TcpStream::connect(("127.0.0.1", served.port())).unwrap();
    socket.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0]).unwrap();
    assert_eq!(all(socket).unwrap(), b"");
}

#[test]
fn a_cancel_may_come_inside_of_tls_or_without_it() {
    let front = Front::new("tls_mode = \"require\"", "");
    for inside in [true, false] {
        let mut stream = secret(front.client(None, &[]), front.asked());
        stream.write_all(&who()).unwrap();
        stream.write_all(&query("select pg_sleep(60)")).unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"Z\0\0\0\x05I") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            said.extend_from_slice(&byte);
        }
        // BackendKeyData: tag, length, process id, key.
        let at = said.windows(5).position(|window| window == b"K\0\0\0\x0c");
        let key = &said[at.unwrap() + 5..][..8];
        eventually("it runs", || {
            let running =
                "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'";
            front.told(VERIFIED, running) == "1"
        });
        let cancel = [&[0, 0, 0, 16, 4, 210, 22, 46][..], key].concat();
        if inside {
            let mut other = secret(front.client(None, &[]), front.asked());
            other.write_all(&cancel).unwrap();
            assert_eq!(all(other).unwrap(), b"");
        } else {
            let mut other = front.socket();
            other.write_all(&cancel).unwrap();
            assert_eq!(all(other).unwrap(), b"");
        }
        stream.write_all(b"X\0\0\0\x04").unwrap();
        assert!(contains(&all(stream).unwrap(), "57014"));
    }
}

#[test]
fn a_tls_handshake_that_takes_too_long_is_ended() {
    let front = Front::new("tls_mode = \"allow\"\nlogin_timeout = \"300ms\"", "");
    let begun = Instant::now();
    let silent = front.asked();
    assert_eq!(all(silent).unwrap(), b"");
    let mut torn = front.socket();
    torn.write_all(&[0x16, 3, 1]).unwrap();
    assert_eq!(all(torn).unwrap(), b"");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        front.served.log().contains("login_timeout"),
        "{}",
        front.served.log()
    );
}

const CERT: &str = "auth.method = \"cert\"";
const WITH_CA: &str = "tls_client_ca_file = \"FOLDER/ca.pem\"";

#[test]
fn a_certificate_lets_in_whom_it_names_and_nobody_else() {
    let front = Front::new(&format!("tls_mode = \"allow\"\n{WITH_CA}"), CERT);
    let shows =
        |name: &str| format!("{VERIFIED} sslcert=FOLDER/{name}.pem sslkey=FOLDER/{name}.key");
    assert_eq!(
        front.told(&shows("client"), "select current_user"),
        SUPERUSER
    );
    // By another name than its common one.
    let at = front.folder.path();
    front
        .authority
        .issue("somebody", &[SUPERUSER])
        .write(at, "named");
    assert_eq!(
        front.told(&shows("named"), "select current_user"),
        SUPERUSER
    );
    let denied = "FATAL:  certificate authentication failed for user";
    let refused = front.refused(&format!("{} user=alice", shows("client")));
    assert!(
        refused.contains(&format!("{denied} \"alice\"")),
        "{refused}"
    );
    front
        .authority
        .issue("Postgres", &["postgres.internal"])
        .write(at, "near");
    let refused = front.refused(&shows("near"));
    assert!(refused.contains(denied), "{refused}");
    let without = "FATAL:  connection requires a valid client certificate";
    for words in [VERIFIED, "sslmode=disable"] {
        let refused = front.refused(words);
        assert!(refused.contains(without), "{refused}");
    }
    let mut stream = secret(front.client(Some("near"), &[]), front.asked());
    stream.write_all(&who()).unwrap();
    assert!(contains(&all(stream).unwrap(), "C28000"));
    let log = front.served.log();
    assert!(log.contains("its certificate names somebody else"), "{log}");
}

#[test]
fn a_certificate_that_cannot_be_believed_is_refused_by_tls_and_the_log_says_which_check_failed() {
    let front = Front::new(&format!("tls_mode = \"allow\"\n{WITH_CA}"), "");
    let at = front.folder.path();
    let ended = rcgen::date_time_ymd(2021, 1, 1);
    let begins = rcgen::date_time_ymd(2089, 1, 1);
    Authority::new("another one")
        .issue(SUPERUSER, &[])
        .write(at, "stranger");
    front
        .authority
        .issue_with(SUPERUSER, &[], |params| params.not_after = ended)
        .write(at, "old");
    front
        .authority
        .issue_with(SUPERUSER, &[], |params| params.not_before = begins)
        .write(at, "young");
    for (name, why) in [
        (
            "stranger",
            "is not signed by an authority in listen.tls_client_ca_file",
        ),
        ("old", "the client's certificate has expired"),
        ("young", "the client's certificate is not valid yet"),
    ] {
        let shown = format!("{VERIFIED} sslcert=FOLDER/{name}.pem sslkey=FOLDER/{name}.key");
        front.refused(&shown);
        eventually(why, || front.served.log().contains(why));
    }
    // Nobody has to show one here.
    assert_eq!(front.told(VERIFIED, "select 1"), "1");
}

#[test]
fn where_certificates_are_demanded_a_client_without_one_is_refused_in_words() {
    let front = Front::new(&format!("tls_mode = \"verify-client\"\n{WITH_CA}"), "");
    let told = front.told(&format!("{VERIFIED} {SHOWN}"), "select 1");
    assert_eq!(told, "1");
    let refused = front.refused(VERIFIED);
    let words = "FATAL:  connection requires a valid client certificate";
    assert!(refused.contains(words), "{refused}");
    let refused = front.refused("sslmode=disable");
    assert!(
        refused.contains("connections without TLS are refused"),
        "{refused}"
    );
}

#[test]
fn an_operator_may_show_a_certificate_where_clients_log_in_by_that() {
    let listen =
        format!("tls_mode = \"allow\"\n{WITH_CA}\n[admin]\nstats_users = [\"ops\", \"exporter\"]");
    let front = Front::new(&listen, CERT);
    front
        .authority
        .issue("ops", &[])
        .write(front.folder.path(), "ops");
    let shown = "sslcert=FOLDER/ops.pem sslkey=FOLDER/ops.key dbname=ambassador";
    let told = front.told(&format!("{VERIFIED} {shown} user=ops"), "show version");
    assert!(told.contains("pg-ambassador"), "{told}");
    for words in [
        format!("{VERIFIED} {shown} user=exporter"),
        format!("{VERIFIED} dbname=ambassador user=ops"),
        "sslmode=disable dbname=ambassador user=ops".to_owned(),
    ] {
        // It is asked for a password, and has none.
        let refused = front.refused(&words);
        assert!(refused.contains("no password supplied"), "{refused}");
    }
}

#[tokio::test]
async fn tokio_postgres_works_by_tls_and_cancels_by_it() {
    let front = tokio::task::spawn_blocking(|| Front::new("tls_mode = \"require\"", ""));
    let front = front.await.unwrap();
    let tls = MakeRustlsConnect::new(front.client(None, &[b"postgresql"]));
    let to = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user={SUPERUSER} dbname=postgres",
        front.served.port()
    );
    for negotiation in ["postgres", "direct"] {
        let to = format!("{to} sslmode=require sslnegotiation={negotiation}");
        let (client, connection) = tokio_postgres::connect(&to, tls.clone()).await.unwrap();
        let connection = tokio::spawn(connection);
        let row = client
            .query_one("select $1::int + 2", &[&40])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), 42);
        // More than a record of TLS holds, both ways.
        let long = "x".repeat(5_000_000);
        let row = client.query_one("select $1::text", &[&long]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), long);
        let (slow, cancel) = (
            client.query("select pg_sleep(60)", &[]),
            client.cancel_token(),
        );
        let cancelling = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                cancel.cancel_query(tls.clone()).await.unwrap();
            }
        };
        let ended = tokio::select! {
            ended = slow => ended,
            () = cancelling => unreachable!(),
        };
        assert_eq!(ended.unwrap_err().code().unwrap().code(), "57014");
        drop(client);
        connection.await.unwrap().unwrap();
    }
}

#[test]
fn a_scram_login_is_bound_to_our_certificate_also_when_that_is_replaced() {
    let users = "auth.method = \"scram-sha-256\"\nusers.postgres.password = \"secret\"";
    let front = Front::new("tls_mode = \"allow\"", users);
    let with = |words: &str| format!("password=secret {words}");
    let bound = with("sslmode=require channel_binding=require");
    assert_eq!(front.told(&bound, "select 1"), "1");
    for free in [
        "sslmode=require channel_binding=disable",
        "sslmode=disable channel_binding=prefer",
    ] {
        assert_eq!(front.told(&with(free), "select 1"), "1");
    }
    let refused = front.refused("password=wrong sslmode=require channel_binding=require");
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    let refused = front.refused(&with("sslmode=disable channel_binding=require"));
    assert!(refused.contains("channel binding required"), "{refused}");
    front
        .authority
        .issue("ambassador", &["localhost"])
        .write(front.folder.path(), "server");
    eventually("the new one is in use", || {
        front.served.log().contains("new connections use them")
    });
    assert_eq!(front.told(&bound, "select 1"), "1");
    // One that no hash is known of.
    front
        .authority
        .issue_as("ambassador", &["localhost"], Kind::Ed25519, When::Now)
        .write(front.folder.path(), "server");
    // It is its authority's signature that counts, which is of another kind.
    eventually("that is in use too", || {
        front
            .served
            .log()
            .matches("new connections use them")
            .count()
            == 2
    });
    assert_eq!(front.told(&bound, "select 1"), "1");
}

#[test]
fn a_tls_session_is_taken_up_again_unless_certificates_of_clients_are_believed() {
    for (listen, kind) in [
        ("tls_mode = \"allow\"".to_owned(), HandshakeKind::Resumed),
        (
            format!("tls_mode = \"allow\"\n{WITH_CA}"),
            HandshakeKind::Full,
        ),
    ] {
        let front = Front::new(&listen, "");
        let config = Arc::new(front.client(Some("client"), &[]));
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = secret_with(&config, front.asked());
                assert!(contains(&visit(&mut stream), "42"));
                stream.conn.handshake_kind().unwrap()
            })
            .collect();
        assert_eq!(kinds, [HandshakeKind::Full, kind]);
    }
}

/// KiB of memory that a process has.
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn an_idle_client_with_tls_costs_little_more_than_one_without() {
    const CLIENTS: usize = 400;
    let front = Front::new("tls_mode = \"allow\"", "");
    let config = Arc::new(front.client(None, &[]));
    let mut kept = Vec::new();
    let mut secrets = Vec::new();
    // What the first ones need is there for all.
    for _ in 0..50 {
        secrets.push(logged_in(secret_with(&config, front.asked())));
        kept.push(logged_in(front.socket()));
    }
    let first = memory(front.served.pid());
    kept.extend((0..CLIENTS).map(|_| logged_in(front.socket())));
    let second = memory(front.served.pid());
    secrets.extend((0..CLIENTS).map(|_| logged_in(secret_with(&config, front.asked()))));
    let third = memory(front.served.pid());
    let each = |more: usize| more * 1024 / CLIENTS;
    let (plain, tls) = (each(second - first), each(third - second));
    eprintln!("an idle client costs {plain} bytes, with TLS {tls}");
    assert!(tls < plain + 16 * 1024, "{plain} and {tls} bytes");
}

/// Past its login.
fn logged_in<S: Read + Write>(mut stream: S) -> S {
    stream.write_all(&who()).unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.extend_from_slice(&byte);
    }
    stream
}
