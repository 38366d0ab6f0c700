//! PostgreSQL's own regression suite gives the same through transaction pooling as directly, while
//! other clients do as they please with the same pool.
//!
//! It runs twice, each time on a cluster of its own and as its schedule says, groups side by side.
//! What is compared is what psql prints, byte for byte; no `expected` file is asked, so what is
//! missing on this machine (the suite's own functions in C) fails alike. What differs is listed
//! with its cause ([`LISTED`]); anything else is a failure.

mod churn;
mod differences;
mod play;

use std::path::Path;

use pg_ambassador::app::cluster::Cluster;

use self::{churn::Churn, differences::unlisted};
use crate::support::{self, Served, suite};

/// Where the suite's tables are; some of its answers have the name in them.
const DATABASE: &str = "regression";

/// So many clients churn the pool.
const OTHERS: u32 = 4;

/// Sessions of a group are as many as the pool has connections, and others come on top.
fn ambassador(cluster: &Cluster, folder: &Path) -> Served {
    let file = folder.join("ambassador.toml");
    let port = cluster.port();
    let text = format!(
        r#"
[listen]
workers = 2
[databases."*"]
pool_mode = "transaction"
pool_size = 20
auth = {{ method = "trust" }}
[[databases."*".backends]]
address = "127.0.0.1:{port}"
role = "primary"
"#
    );
    std::fs::write(&file, text).unwrap();
    Served::ambassador_with(&["--config", file.to_str().unwrap()])
}

fn cluster() -> Cluster {
    let options = support::options()
        .with("max_connections", "200")
        .with("max_prepared_transactions", "2")
        .with("autovacuum", "off");
    let cluster = support::own_cluster(options);
    let create = format!("create database {DATABASE} template template0");
    support::psql(cluster.port(), "postgres", &create);
    // As the suite's own driver has them.
    for setting in [
        "lc_messages to 'C'",
        "lc_monetary to 'C'",
        "lc_numeric to 'C'",
        "lc_time to 'C'",
        "bytea_output to 'hex'",
        "timezone_abbreviations to 'Default'",
    ] {
        let alter = format!("alter database {DATABASE} set {setting}");
        support::psql(cluster.port(), "postgres", &alter);
    }
    cluster
}

#[test]
#[ignore = "long: runs PostgreSQL's regression suite twice"]
fn postgres_own_suite_gives_the_same_through_transaction_pooling() {
    let Some(folder) = suite::folder() else {
        return;
    };
    let play = |port: u16, cluster: &Cluster| {
        let churn = Churn::of(OTHERS, port, DATABASE);
        let printed = play::all(folder.path(), port, cluster);
        (printed, churn.end())
    };
    let direct = cluster();
    let (expected, _) = play(direct.port(), &direct);
    drop(direct);
    let behind = cluster();
    let served = ambassador(&behind, folder.path());
    let (seen, visits) = play(served.port(), &behind);
    assert!(visits > 20, "only {visits} visits of others");
    let unlisted = unlisted(&expected, &seen);
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}
