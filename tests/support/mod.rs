//! What the tests against a real Postgres stand on: a cluster, the ambassador, and clients for both.
//! Never leaves a process or a folder behind, however a test ends.
//!
//! In `tests/NAME.rs`: `mod support;`, in `tests/NAME/main.rs`: `#[path = "../support/mod.rs"]`.
//!
//! Tests of the long set (a minute and more) are `#[ignore = "long: …"]`: every runner counts them,
//! and `make test-long` runs them too.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test binary uses its part; here a failure is a failed test"
)]

pub mod clients;
pub mod papers;
mod served;
pub mod suite;

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use pg_ambassador::app::cluster::{Cluster, Options};

pub use self::{
    clients::{Bench, connect, pgbench, psql, psql_table, try_psql},
    served::Served,
};

/// The cluster that the tests of this process share; see [`database`].
///
/// Nothing drops a static, but the cluster's guardian sees our end. Under cargo-nextest each test
/// is a process with a cluster of its own, under `cargo test` each test binary is.
pub fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| own_cluster(options().with("max_connections", "200")))
}

/// A cluster of Postgres 18, for tests of the long set that need what came with it. `None`: there
/// is none, which is told, and a failure in CI.
pub fn cluster_18() -> Option<Cluster> {
    let home = home_of_18();
    let provided = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/provide"))
        .arg("postgresql-18")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", home.parent().unwrap())
        .output();
    let why = match provided {
        Ok(ended) if ended.status.success() => {
            return Some(own_cluster(Options {
                programs: Some(home.join("bin")),
                ..options()
            }));
        }
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skip(&format!("there is no Postgres 18: {why}"));
    None
}

/// Where Postgres 18 is put, with `bin` and `lib`.
pub fn home_of_18() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("postgres-18")
}

/// A cluster for a test that stops it, or needs settings of its own.
pub fn own_cluster(options: Options) -> Cluster {
    Cluster::start(&options).unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

/// A cluster of its own that asks for passwords as `hba` says; `roles` has run in it.
pub fn guarded_cluster(hba: &str, roles: &str) -> Cluster {
    let cluster = own_cluster(Options {
        hba: Some(hba.to_owned()),
        ..options()
    });
    psql(cluster.port(), "postgres", roles);
    cluster
}

/// The default options, with a template that saves most of the time a start takes.
pub fn options() -> Options {
    Options {
        template: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))),
        ..Options::default()
    }
}

/// A new, empty database of a name that no other test has.
pub fn database(cluster: &Cluster) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    psql(
        cluster.port(),
        "postgres",
        &format!("create database {name}"),
    );
    name
}

/// A new database with pgbench's tables, `scale` times 100000 accounts.
pub fn pgbench_database(cluster: &Cluster, scale: u32) -> String {
    let name = database(cluster);
    let scale = scale.to_string();
    clients::run_pgbench(cluster.port(), &name, &["-i", "-q", "-s", &scale]);
    name
}

/// Says that a check cannot run here. It has not passed: with CI=true that is a failure.
///
/// Use as `return skip("there is no …")`.
pub fn skip(reason: &str) {
    let in_ci = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!in_ci, "a check that CI must run cannot run: {reason}");
    eprintln!("skipped: {reason}");
}

/// A port on loopback that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
