//! A Postgres that asks for passwords in every way, and ambassadors with a file before it.

use std::{fs, path::PathBuf, process::Command, sync::OnceLock};

use pg_ambassador::app::cluster::Cluster;
use tempfile::TempDir;

use crate::support::{self, Served, clients};

const HBA: &str = "\
host all postgres,open 127.0.0.1/32 trust
host all hashed 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all all 127.0.0.1/32 scram-sha-256
";

/// Everybody's password but `nobody`'s, who has none.
pub const PASSWORD: &str = "p@ss'wörd";

/// Another one.
pub const WRONG: &str = "wr0ng-secret";

/// Verifiers come from the backend, by the query that the reference shows.
pub const ASKING: &str = "
auth.method = \"scram-sha-256\"
auth.allow_md5 = true
auth.query = \"SELECT usename, passwd FROM pg_shadow WHERE usename = $1 AND (valuntil > now()) IS NOT FALSE\"
auth.query_user = \"asker\"
users.asker.password = \"PASSWORD\"
";

/// A Postgres with the database `shop`.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let password = PASSWORD.replace('\'', "''");
        let cluster = support::guarded_cluster(
            HBA,
            &format!(
                "create role scrammed login password '{password}';
                 create role other login password '{password}';
                 create role asker superuser login password '{password}';
                 create role open login password '{password}';
                 create role clear login password '{password}';
                 create role late login password '{password}' valid until '2000-01-01';
                 create role nobody login;
                 set password_encryption = 'md5';
                 create role hashed login password '{password}'"
            ),
        );
        support::psql(cluster.port(), "postgres", "create database shop");
        cluster
    })
}

pub fn sql(statement: &str) -> String {
    support::psql(cluster().port(), "shop", statement)
}

/// What Postgres keeps of somebody's password.
pub fn stored(name: &str) -> String {
    sql(&format!(
        "select rolpassword from pg_authid where rolname = '{name}'"
    ))
}

/// An ambassador with this in its table of `[databases.shop]`, where PASSWORD and FOLDER are
/// replaced. The folder has a file `secret`, and the ambassador a variable SECRET.
pub struct House {
    pub served: Served,
    folder: TempDir,
}

impl House {
    pub fn new(auth: &str) -> Self {
        Self::with(auth, &[])
    }

    pub fn with(auth: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("house.toml");
        let port = cluster().port();
        fs::write(folder.path().join("secret"), format!("{PASSWORD}\n")).unwrap();
        let auth = auth
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("PASSWORD", PASSWORD);
        let text = format!(
            "[databases.shop]\nbackends = [{{ address = \"127.0.0.1:{port}\" }}]\n{auth}\n"
        );
        fs::write(&path, text).unwrap();
        let served = Served::start(|port| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
            command
                .args(["--config", path.to_str().unwrap()])
                .args(["--listen", &format!("127.0.0.1:{port}"), "--admin", ""])
                .args(args)
                .env("SECRET", PASSWORD);
            command
        });
        Self { served, folder }
    }

    pub fn port(&self) -> u16 {
        self.served.port()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Who somebody is upstream, or the error that it hears.
    pub fn try_as(&self, user: &str, password: &str) -> Result<String, String> {
        try_login(self.port(), "shop", user, password)
    }

    /// Who somebody is upstream that logs in with the right password.
    #[track_caller]
    pub fn is(&self, user: &str) -> String {
        let who = self.try_as(user, PASSWORD);
        who.unwrap_or_else(|told| panic!("{user}: {told}"))
    }

    /// What somebody hears that is not let in.
    #[track_caller]
    pub fn refuses(&self, user: &str, password: &str) -> String {
        let told = self.try_as(user, password);
        told.err().unwrap_or_else(|| panic!("it let {user} in"))
    }
}

/// psql's `current_user`, or the error without where the server was found.
pub fn try_login(port: u16, database: &str, user: &str, password: &str) -> Result<String, String> {
    let ended = clients::psql_as(port, database, user, password, "select current_user");
    if ended.status.success() {
        return Ok(String::from_utf8(ended.stdout).unwrap().trim().to_owned());
    }
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    let at = told.find("FATAL").unwrap_or_default();
    Err(told[at..].trim().to_owned())
}

/// What Postgres says to a wrong password.
pub fn wrong(user: &str) -> String {
    format!("FATAL:  password authentication failed for user \"{user}\"")
}
