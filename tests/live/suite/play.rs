//! Runs the files of the suite as its own driver, pg_regress, does.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::{Cluster, SUPERUSER};

use super::DATABASE;
use crate::support::{self, suite};

/// Longer than any file takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What psql printed, by file.
pub type Printed = BTreeMap<String, String>;

/// Plays all files against this port. The cluster is the one behind it.
pub fn all(folder: &Path, port: u16, cluster: &Cluster) -> Printed {
    let results = folder.join("results");
    fs::create_dir_all(&results).unwrap();
    // The server writes there, as another user.
    fs::set_permissions(&results, fs::Permissions::from_mode(0o777)).unwrap();
    let libraries = "select setting from pg_config where name = 'PKGLIBDIR'";
    let libraries = support::psql(cluster.port(), "postgres", libraries);
    let mut printed = Printed::new();
    for group in suite::groups(folder) {
        thread::scope(|scope| {
            for name in &group {
                let mut psql = psql(cluster, folder, port, name);
                psql.env("PG_LIBDIR", &libraries);
                scope.spawn(move || run(psql, name));
            }
        });
        for name in group {
            let bytes = fs::read(results.join(format!("{name}.out"))).unwrap();
            printed.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    printed
}

/// psql as pg_regress starts it, but that a column's width is no matter of its rows.
fn psql(cluster: &Cluster, folder: &Path, port: u16, name: &str) -> Command {
    let mut psql = cluster.client("psql").unwrap();
    let sql = File::open(folder.join(format!("sql/{name}.sql"))).unwrap();
    let out = File::create(folder.join(format!("results/{name}.out"))).unwrap();
    psql.args(["-X", "-a", "-q", "-A", "-d", DATABASE])
        .args(["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"])
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", port.to_string())
        .env("PGUSER", SUPERUSER)
        .env("PGAPPNAME", format!("pg_regress/{name}"))
        .env("PGTZ", "PST8PDT")
        .env("PGDATESTYLE", "Postgres, MDY")
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
        .env("PG_ABS_SRCDIR", folder)
        .env("PG_ABS_BUILDDIR", folder)
        .env("PG_DLSUFFIX", ".so")
        .current_dir(folder)
        .stdin(Stdio::from(sql))
        .stdout(Stdio::from(out.try_clone().unwrap()))
        .stderr(Stdio::from(out));
    psql
}

fn run(mut psql: Command, name: &str) {
    let mut process = psql.spawn().unwrap();
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = process.kill();
            let _ = process.wait();
            panic!("{name} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
