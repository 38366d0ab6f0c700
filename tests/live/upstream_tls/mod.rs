//! TLS to a Postgres with `ssl = on`: who is believed, who is not, and what is said of it.

mod between;
mod middle;
mod ours;
mod theirs;
mod traffic;

use std::{fs, process::Command, sync::OnceLock};

use pg_ambassador::app::cluster::{Cluster, Options};
use tempfile::TempDir;

use crate::{
    support::{
        self, Served,
        papers::{Authority, Papers},
    },
    wire::{Frame, VERSION, Wire, startup},
};

/// `app` comes by TLS alone, `plain` without it alone, `named` with a certificate of its name.
const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
hostssl all,replication app 127.0.0.1/32 trust
hostnossl all plain 127.0.0.1/32 trust
hostssl all named 127.0.0.1/32 trust clientcert=verify-full
hostssl all scrammed 127.0.0.1/32 scram-sha-256
hostssl all clear 127.0.0.1/32 password
";

const PASSWORD: &str = "p@ss-word";

/// A Postgres that speaks TLS, the authorities behind both sides, and a folder for our files,
/// with `ca.pem` in it.
struct Encrypted {
    cluster: Cluster,
    folder: TempDir,
    ca: Authority,
    client_ca: Authority,
    shown: Option<Papers>,
}

impl Encrypted {
    /// With a good certificate for localhost.
    fn new() -> Self {
        let encrypted = Self::without_tls();
        let good = encrypted.ca.issue("db", &["localhost", "127.0.0.1"]);
        encrypted.with(&good, &[])
    }

    fn without_tls() -> Self {
        let options = Options {
            hba: Some(HBA.to_owned()),
            ..support::options()
        };
        let cluster = support::own_cluster(options.with("wal_level", "logical"));
        let roles = format!(
            "create role app superuser login; create role plain login; create role named login;
             create role scrammed login password '{PASSWORD}';
             create role clear login password '{PASSWORD}'"
        );
        support::psql(cluster.port(), "postgres", &roles);
        let (ca, client_ca) = (Authority::new("servers"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &ca.pem).unwrap();
        Self {
            cluster,
            folder,
            ca,
            client_ca,
            shown: None,
        }
    }

    fn with(mut self, papers: &Papers, settings: &[(&str, &str)]) -> Self {
        self.shows(papers, settings);
        self
    }

    /// Has the server show these, and set these.
    fn shows(&mut self, papers: &Papers, settings: &[(&str, &str)]) {
        let write = |name: &str, text: &str| self.cluster.write(name, text).unwrap();
        write("server.crt", &papers.certificate);
        write("server.key", &papers.key);
        write("clients.crt", &self.client_ca.pem);
        let base = [("ssl", "on"), ("ssl_ca_file", "clients.crt")];
        let lines: String = base
            .iter()
            .chain(settings)
            .map(|(name, value)| format!("{name} = '{value}'\n"))
            .collect();
        write("postgresql.auto.conf", &lines);
        self.cluster.restart().unwrap();
        self.shown = Some(papers.clone());
    }

    /// The server's certificate and key.
    fn shown(&self) -> Papers {
        self.shown.clone().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A file with a database `postgres` and this in its table, where FOLDER is replaced.
    fn file(&self, table: &str) -> String {
        let (port, folder) = (self.cluster.port(), self.folder.path().to_str().unwrap());
        let table = table.replace("FOLDER", folder);
        let backends = match table.contains("backends") {
            true => String::new(),
            false => format!("backends = [{{ address = \"localhost:{port}\" }}]\n"),
        };
        let path = self.folder.path().join("ambassador.toml");
        let text = format!("[databases.postgres]\n{backends}{table}\n");
        fs::write(&path, text.replace("PORT", &port.to_string())).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What `check --connect` says with this in the table of `upstream_tls`; as `app`, where
    /// nobody else is named. An error is without where the server is and where our files are.
    fn check(&self, tls: &str) -> Result<String, String> {
        let who = match tls.contains("users.") {
            true => "",
            false => "users.app = {}",
        };
        let tls: String = tls
            .lines()
            .map(|line| match line.trim().split_once('.') {
                Some(("users", _)) => format!("{line}\n"),
                _ if line.trim().is_empty() || line.starts_with("backends") => format!("{line}\n"),
                _ => format!("upstream_tls.{}\n", line.trim()),
            })
            .collect();
        let file = self.file(&format!("{tls}{who}"));
        let mut check = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
        check.args(["check", "--connect", "--config", &file]);
        let ended = check.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match ended.status.success() {
            true => Ok(text(ended.stdout)),
            false => {
                let folder = format!("{}/", self.folder.path().display());
                let port = format!(":{}", self.cluster.port());
                let told = text(ended.stderr).replace(&folder, "");
                Err(told.replace(&port, "").trim().to_owned())
            }
        }
    }

    /// `check`, and what is wrong with TLS.
    #[track_caller]
    fn fails(&self, tls: &str) -> String {
        let told = self.check(tls).unwrap_err();
        told.replace("localhost: TLS failed: ", "")
    }

    #[track_caller]
    fn works(&self, tls: &str) {
        if let Err(told) = self.check(tls) {
            panic!("{tls}: {told}");
        }
    }

    /// An ambassador before it with this in the database's table.
    fn served(&self, table: &str, args: &[&str]) -> Served {
        let file = self.file(table);
        Served::ambassador_with(&[&["--config", &file], args].concat())
    }
}

/// For the tests that change nothing about it.
fn encrypted() -> &'static Encrypted {
    static SHARED: OnceLock<Encrypted> = OnceLock::new();
    SHARED.get_or_init(Encrypted::new)
}

/// Logs in to the ambassador.
fn enter(served: &Served, user: &str) -> Result<Wire, Frame> {
    let mut wire = Wire::open(served.port());
    let who = [("user", user), ("database", "postgres")];
    wire.send(&startup(VERSION, &who));
    wire.welcomed()?;
    Ok(wire)
}

const FULL: &str = "mode = 'verify-full'\nca_file = 'FOLDER/ca.pem'";
