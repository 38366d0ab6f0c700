//! pgbench with many more clients than the pool has connections.

use std::thread;

use crate::{
    stage::{Census, connections, observer},
    support::{self, Served, pgbench},
};

const POOL: usize = 5;
const SCRIPTS: [&str; 3] = ["tpcb-like", "select-only", "simple-update"];

/// The three built-in scripts at once, each in a database, and so with a pool, of its own.
fn bench(mode: &str, workers: &str, seconds: &str) {
    let cluster = support::cluster();
    let template = support::pgbench_database(cluster, 1);
    let pool = POOL.to_string();
    let served = Served::ambassador(cluster, &["--pool-size", &pool, "--workers", workers]);
    let run = |script: &str| {
        let database = format!("{template}_{}", script.replace('-', "_"));
        let copy = format!("create database {database} template {template}");
        support::psql(cluster.port(), "postgres", &copy);
        let census = Census::of(&database);
        let args = ["-c", "50", "-M", mode, "-T", seconds, "-b", script];
        let bench = pgbench(served.port(), &database, &args);
        assert_eq!(bench.failed, 0, "{}", bench.report);
        assert!(bench.transactions > 50, "{}", bench.report);
        let most = census.most();
        assert!((1..=POOL).contains(&most), "{script}: {most} connections");
        assert!(connections(&mut observer(), &database) <= POOL);
        (database, bench.transactions)
    };
    let benches = thread::scope(|scope| {
        let running = SCRIPTS.map(|script| scope.spawn(move || run(script)));
        running.map(|running| running.join().unwrap())
    });
    for ((database, transactions), script) in benches.into_iter().zip(SCRIPTS) {
        adds_up(&database, transactions, script);
    }
}

/// Every transaction that pgbench counted was done once, and no other.
fn adds_up(database: &str, transactions: u64, script: &str) {
    let port = support::cluster().port();
    let seen = support::psql(port, database, "select count(*) from pgbench_history");
    let writes = if script == "select-only" {
        0
    } else {
        transactions
    };
    assert_eq!(seen, writes.to_string(), "{script}");
    let sums = "select sum(abalance) = (select coalesce(sum(delta), 0) from pgbench_history) \
                from pgbench_accounts";
    assert_eq!(support::psql(port, database, sums), "t", "{script}");
}

#[test]
fn simple_queries_of_50_clients_share_5_connections() {
    bench("simple", "1", "5");
}

#[test]
fn simple_queries_of_50_clients_share_5_connections_of_two_workers() {
    bench("simple", "2", "5");
}

#[test]
fn extended_queries_of_50_clients_share_5_connections() {
    bench("extended", "1", "5");
}

#[test]
fn extended_queries_of_50_clients_share_5_connections_of_two_workers() {
    bench("extended", "2", "5");
}

#[test]
fn prepared_statements_of_50_clients_share_5_connections() {
    bench("prepared", "1", "5");
}

#[test]
fn prepared_statements_of_50_clients_share_5_connections_of_two_workers() {
    bench("prepared", "2", "5");
}

#[test]
fn a_new_connection_for_every_transaction_is_served() {
    let cluster = support::cluster();
    let database = support::pgbench_database(cluster, 1);
    let served = Served::ambassador(cluster, &["--pool-size", "2"]);
    let bench = pgbench(
        served.port(),
        &database,
        &["-S", "-C", "-c", "8", "-t", "50"],
    );
    assert_eq!((bench.transactions, bench.failed), (400, 0));
}

#[test]
#[ignore = "long: six minutes of pgbench"]
fn a_minute_of_each_mode_with_one_and_with_two_workers() {
    for mode in ["simple", "extended", "prepared"] {
        for workers in ["1", "2"] {
            bench(mode, workers, "60");
        }
    }
}
