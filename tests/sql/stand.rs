//! A primary and a hot standby of it, with the schema of the fixtures and pgbench's tables.
//! Never writes on either once it stands: what the statements under test do is all that happens.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::{Cluster, Options, Stop, client};

use crate::{fixture, support, wire::Wire};

/// Longer than a copy and a replay of so little takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where everything is.
pub const DATABASE: &str = "fixtures";

/// Dropping it removes both.
pub struct Stand {
    pub primary: Cluster,
    pub standby: Cluster,
}

impl Stand {
    /// Both stand, and the standby has replayed all that these files of SQL and pgbench made.
    /// What of the files fails is passed over; that is for those who know to say.
    pub fn with(files: &[&Path]) -> Self {
        let options = support::options()
            .with("max_wal_senders", "4")
            .with("max_prepared_transactions", "4")
            .with("autovacuum", "off")
            .with("max_standby_streaming_delay", "-1");
        let primary = support::own_cluster(options.clone());
        let create = format!("create database {DATABASE}");
        support::psql(primary.port(), "postgres", &create);
        for file in files {
            feed(&primary, file);
        }
        support::clients::run_pgbench(primary.port(), DATABASE, &["-i", "-q", "-s", "1"]);
        // What is frozen and whose visibility is known is not touched by those who read it.
        let _ = support::try_psql(primary.port(), DATABASE, "vacuum (freeze, analyze)");
        let standby = standby_of(&primary, options);
        let stand = Self { primary, standby };
        stand.catch_up();
        stand
    }

    /// The stand of the fixtures.
    pub fn new() -> Self {
        let schema = fixture::path("schema.sql");
        Self::with(&[&schema])
    }

    /// Waits until the standby has replayed all that the primary has written.
    pub fn catch_up(&self) {
        let position = "select pg_current_wal_insert_lsn()";
        let position = support::psql(self.primary.port(), "postgres", position);
        let mut standby = Wire::login(self.standby.port(), "postgres", &[]).unwrap();
        let reached = format!("select pg_last_wal_replay_lsn() >= '{position}'");
        let begun = Instant::now();
        while standby.value(&reached) != "t" {
            assert!(begun.elapsed() < PATIENCE, "the standby lags");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn feed(primary: &Cluster, file: &Path) {
    let mut psql = primary.client("psql").unwrap();
    psql.args(["-X", "-q", "-d", &primary.url(DATABASE), "-f"]);
    psql.arg(file);
    client::finish(&mut psql, "psql", PATIENCE).unwrap();
}

/// A server whose data is replaced by a copy of the primary's, which it goes on to follow.
fn standby_of(primary: &Cluster, options: Options) -> Cluster {
    let mut standby = support::own_cluster(options);
    standby.stop(Stop::Immediate).unwrap();
    let data = standby.folder().join("data");
    fs::remove_dir_all(&data).unwrap();
    // The folder's user is the one whom the server runs as.
    let owner = fs::metadata(standby.folder()).unwrap();
    let mut copy = Command::new(primary.bin("pg_basebackup").unwrap());
    copy.args(["--checkpoint=fast", "--no-sync", "--wal-method=stream"])
        .args(["--write-recovery-conf", "--pgdata"])
        .arg(&data)
        .arg("--dbname")
        .arg(primary.url("postgres"))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .uid(owner.uid())
        .gid(owner.gid());
    client::succeed(&mut copy, "pg_basebackup", PATIENCE).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let conf = data.join("postgresql.conf");
    let sockets = standby.folder().to_str().unwrap();
    let own = format!("\nunix_socket_directories = '{sockets}'\n");
    let text = fs::read_to_string(&conf).unwrap() + &own;
    fs::write(&conf, text).unwrap();
    standby.run().unwrap();
    standby
}
