//! A primary and a hot standby of it, with the schema of the fixtures and pgbench's tables.
//! Never writes on either once it stands: what the statements under test do is all that happens.

use std::{path::Path, time::Duration};

use pg_ambassador::app::cluster::{Cluster, client};

use crate::{fixture, support};

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
        let standby = primary.replica(&options).unwrap();
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
        self.standby.catch_up(&self.primary).unwrap();
    }
}

fn feed(primary: &Cluster, file: &Path) {
    let mut psql = primary.client("psql").unwrap();
    psql.args(["-X", "-q", "-d", &primary.url(DATABASE), "-f"]);
    psql.arg(file);
    client::finish(&mut psql, "psql", PATIENCE).unwrap();
}
