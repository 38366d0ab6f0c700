//! Drivers of other languages in transaction pooling, with more clients than connections.
//!
//! Each has a script of scenarios in `tests/live/drivers`, and prints what an application sees of
//! them. It runs twice, on Postgres and through the ambassador, each time with many clients at
//! once, and the two transcripts are the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use pg_ambassador::app::cluster::{Cluster, client};

use crate::support::{self, Served, papers::Authority};

const CLIENTS: u32 = 20;
/// How often each client does every scenario.
const ROUNDS: &str = "1";
const POOL: &str = "4";
/// Longer than a script takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

struct Driver {
    interpreter: PathBuf,
    script: &'static str,
    /// Scenarios that differ so far.
    without: &'static [&'static str],
}

#[test]
fn psycopg_sees_no_difference() {
    if let Some(driver) = Driver::of_python("with_psycopg.py") {
        driver.sees_no_difference(Wrapping::Plain);
    }
}

#[test]
fn asyncpg_sees_no_difference() {
    if let Some(driver) = Driver::of_python("with_asyncpg.py") {
        driver.sees_no_difference(Wrapping::Plain);
    }
}

#[test]
fn node_postgres_sees_no_difference() {
    if let Some(driver) = Driver::of_node() {
        driver.sees_no_difference(Wrapping::Plain);
    }
}

#[test]
fn psycopg_sees_no_difference_by_tls() {
    if let Some(driver) = Driver::of_python("with_psycopg.py") {
        driver.sees_no_difference(Wrapping::Tls);
    }
}

#[test]
fn asyncpg_sees_no_difference_by_tls() {
    if let Some(driver) = Driver::of_python("with_asyncpg.py") {
        driver.sees_no_difference(Wrapping::Tls);
    }
}

#[test]
fn node_postgres_sees_no_difference_by_tls() {
    if let Some(driver) = Driver::of_node() {
        driver.sees_no_difference(Wrapping::Tls);
    }
}

/// How the ambassador is talked to; Postgres itself is without TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Plain,
    /// The ambassador wants it, and the driver verifies whom it talks to.
    Tls,
}

/// What `.ci/provide` has put into the target folder.
pub fn provided(what: &str) -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    Some(target.join("drivers").join(what)).filter(|path| path.exists())
}

/// One for this file's tests; it knows transactions in two phases.
fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let options = support::options()
            .with("max_connections", "200")
            .with("max_prepared_transactions", "50");
        support::own_cluster(options)
    })
}

impl Driver {
    fn of_python(script: &'static str) -> Option<Self> {
        let Some(interpreter) = provided("python/bin/python") else {
            support::skip(&format!(
                "the driver of {script} is not there: .ci/provide python"
            ));
            return None;
        };
        Some(Self {
            interpreter,
            script,
            without: &[],
        })
    }

    fn of_node() -> Option<Self> {
        if provided("node/provided").is_none() {
            support::skip("node-postgres is not there: .ci/provide node");
            return None;
        }
        Some(Self {
            interpreter: PathBuf::from("node"),
            script: "with_pg.mjs",
            without: &[],
        })
    }

    fn sees_no_difference(&self, wrapping: Wrapping) {
        let seed = seed();
        eprintln!("seed {seed}; DRIVERS_SEED={seed} repeats it");
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let mut args = ["--workers", "1", "--pool-size", POOL]
            .map(str::to_owned)
            .to_vec();
        let mut asked = String::new();
        if wrapping == Wrapping::Tls {
            let authority = Authority::new("the authority");
            fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
            authority
                .issue("ambassador", &["127.0.0.1"])
                .write(folder.path(), "server");
            for key in [
                "tls_mode=require".to_owned(),
                format!("tls_cert_file={at}/server.pem"),
                format!("tls_key_file={at}/server.key"),
            ] {
                args.extend(["--set".to_owned(), format!("listen.{key}")]);
            }
            asked = format!("?sslmode=verify-full&sslrootcert={at}/ca.pem");
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ambassador = Served::ambassador(cluster(), &args);
        let direct = self.transcript(cluster().port(), seed, "");
        let through = self.transcript(ambassador.port(), seed, &asked);
        let scenarios: Vec<&str> = direct.lines().map(scenario).collect();
        let distinct: std::collections::BTreeSet<_> = scenarios.iter().collect();
        assert!(distinct.len() >= 10, "only {distinct:?} were played");
        assert!(!direct.contains("unexpected"), "{}", parted(&direct, ""));
        assert!(direct == through, "{}", parted(&direct, &through));
    }

    /// What the script prints, in a database of its own.
    fn transcript(&self, port: u16, seed: u64, asked: &str) -> String {
        let database = support::database(cluster());
        let url = format!(
            "postgres://{}@127.0.0.1:{port}/{database}{asked}",
            pg_ambassador::app::cluster::SUPERUSER
        );
        let ended = client::finish(&mut self.command(&url, seed), self.script, PATIENCE).unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {said}", self.script);
        String::from_utf8(ended.stdout).unwrap()
    }

    fn command(&self, url: &str, seed: u64) -> Command {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/drivers");
        let mut command = Command::new(&self.interpreter);
        command
            .arg(folder.join(self.script))
            .args([url, &seed.to_string(), &CLIENTS.to_string(), ROUNDS])
            .args(self.without)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DRIVERS", provided("node").unwrap_or_default());
        command
    }
}

fn seed() -> u64 {
    match std::env::var("DRIVERS_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(fastrand::u32(..)),
    }
}

/// The second word of a line: `3 copies: …`.
fn scenario(line: &str) -> &str {
    line.split([' ', ':']).nth(1).unwrap_or_default()
}

/// Where two transcripts part, with what came before.
fn parted(direct: &str, through: &str) -> String {
    let (direct, through): (Vec<_>, Vec<_>) = (direct.lines().collect(), through.lines().collect());
    let same = direct.iter().zip(&through).take_while(|(a, b)| a == b);
    let at = same.count();
    let around = |lines: &[&str]| {
        let shown = lines.iter().skip(at.saturating_sub(3)).take(8);
        shown
            .map(|line| line.chars().take(300).collect::<String>() + "\n")
            .collect::<String>()
    };
    format!(
        "at line {at}\n--- directly\n{}--- through the ambassador\n{}",
        around(&direct),
        around(&through)
    )
}
