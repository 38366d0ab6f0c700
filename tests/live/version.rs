//! Which version of the protocol is spoken with a client, whatever the server speaks.

use std::time::Duration;

use pg_ambassador::app::cluster::{Cluster, client};

use crate::{
    stage::{Stage, eventually},
    support::{self, Served},
    wire::{VERSION, Wire, cancel, error, query, startup},
};

/// Versions that clients ask for, with protocol options of theirs: what libpq sends with
/// `max_protocol_version` at 3.0 and 3.2, its grease of 3.9999, and what nobody should send.
const ASKED: &[(i32, &[(&str, &str)])] = &[
    (0, &[]),
    (1, &[]),
    (2, &[]),
    (3, &[]),
    (9999, &[("_pq_.test_protocol_negotiation", "")]),
    (0xffff, &[]),
    (0, &[("_pq_.one", "1"), ("_pq_.two", "")]),
    (1, &[("_pq_.one", "1")]),
    (2, &[("_pq_.one", "1")]),
];

fn enter(port: u16, database: &str, minor: i32, options: &[(&str, &str)]) -> Wire {
    let who = [("user", "postgres"), ("database", database)];
    let mut wire = Wire::open(port);
    wire.send(&startup(VERSION + minor, &[&who, options].concat()));
    wire.welcomed().unwrap();
    wire
}

/// The messages before ReadyForQuery that speak of the version, and how long the key is.
fn greeted(port: u16, minor: i32, options: &[(&str, &str)]) -> (String, usize) {
    let mut wire = enter(port, "postgres", minor, options);
    assert_eq!(wire.value("select 1"), "1");
    (format!("{:?}", wire.greeting), wire.key.len())
}

#[test]
fn fact_6_a_newer_minor_version_and_unknown_options_are_negotiated_once() {
    let stage = Stage::with_pool_of(1);
    for (minor, options) in ASKED {
        let wire = enter(stage.port(), &stage.database, *minor, options);
        let told: Vec<_> = wire
            .greeting
            .iter()
            .filter(|frame| frame.tag == b'v')
            .collect();
        let negotiated = *minor > 2 || !options.is_empty();
        assert_eq!(told.len(), usize::from(negotiated), "{minor} {options:?}");
        if let Some(frame) = told.first() {
            let spoken = u8::try_from(*minor.min(&2)).unwrap();
            let mut expected = vec![
                0,
                3,
                0,
                spoken,
                0,
                0,
                0,
                u8::try_from(options.len()).unwrap(),
            ];
            for (name, _) in *options {
                expected.extend_from_slice(name.as_bytes());
                expected.push(0);
            }
            assert_eq!(frame.body, expected);
            assert_eq!(wire.greeting[0].tag, b'v', "not the first");
        }
    }
}

#[test]
fn fact_7_a_client_of_protocol_3_2_has_a_long_key_and_cancels_with_it_alone() {
    let stage = Stage::with_pool_of(1);
    for (minor, length) in [(0, 4), (1, 4), (2, 32), (9999, 32)] {
        let mut wire = enter(stage.port(), &stage.database, minor, &[]);
        assert_eq!(wire.key.len(), length, "3.{minor}");
        assert!(wire.pid > 0);
        wire.send(&query("select pg_sleep(60)"));
        crate::isolation::sees_running(&stage, "pg_sleep");
        let mut wrong = wire.key.clone();
        wrong[length - 1] ^= 1;
        let longer = [&wire.key[..], &[0]].concat();
        for key in [&wrong[..], &wire.key[..3 + length / 32], &longer, &[0; 256]] {
            cancel(stage.port(), wire.pid, key);
        }
        assert!(wire.is_silent(Duration::from_millis(200)));
        cancel(stage.port(), wire.pid, &wire.key);
        assert_eq!(error(&wire.until_ready()).code(), "57014");
    }
}

fn with_18(test: impl FnOnce(Cluster, Served)) {
    if let Some(cluster) = support::cluster_18() {
        let served = Served::ambassador(&cluster, &["--workers", "1", "--pool-size", "1"]);
        test(cluster, served);
    }
}

#[test]
#[ignore = "long: fetches Postgres 18"]
fn fact_6_every_version_is_answered_as_postgres_18_answers_it() {
    with_18(|cluster, served| {
        for (minor, options) in ASKED {
            let direct = greeted(cluster.port(), *minor, options);
            assert_eq!(greeted(served.port(), *minor, options), direct, "{minor}");
        }
        let refuse = |port| {
            let mut wire = Wire::open(port);
            wire.send(&startup(4 << 16, &[("user", "postgres")]));
            wire.until_closed()[0].message()
        };
        assert_eq!(refuse(served.port()), refuse(cluster.port()));
    });
}

#[test]
#[ignore = "long: fetches Postgres 18"]
fn fact_7_a_cancel_reaches_a_server_that_gave_a_long_key() {
    with_18(|cluster, served| {
        for minor in [0, 2] {
            let mut wire = enter(served.port(), "postgres", minor, &[]);
            wire.send(&query("select pg_sleep(60)"));
            let mut observer = Wire::login(cluster.port(), "postgres", &[]).unwrap();
            eventually("the query runs", || {
                let count = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
                observer.value(count) == "1"
            });
            cancel(served.port(), wire.pid, &wire.key);
            assert_eq!(error(&wire.until_ready()).code(), "57014");
            assert_eq!(wire.value("select 1"), "1");
        }
    });
}

#[test]
#[ignore = "long: fetches Postgres 18"]
fn fact_6_psql_with_the_libpq_of_postgres_18_gets_in_with_every_version_it_asks_for() {
    with_18(|cluster, served| {
        let libraries = support::home_of_18().join("lib");
        for (port, version) in [
            (cluster.port(), "latest"),
            (served.port(), "3.0"),
            (served.port(), "3.2"),
            (served.port(), "latest"),
        ] {
            let url = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
            let mut psql = cluster.client("psql").unwrap();
            psql.env("LD_LIBRARY_PATH", &libraries)
                .args(["-X", "-A", "-t", "-c", "select 'in'", "-d"])
                .arg(format!("{url} max_protocol_version={version}"));
            let told = client::succeed(&mut psql, "psql", Duration::from_secs(20)).unwrap();
            assert_eq!(told.trim(), "in", "{version}");
        }
    });
}
