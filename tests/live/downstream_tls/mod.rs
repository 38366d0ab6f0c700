//! TLS between clients and the ambassador.

mod begin;
mod certificates;

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
