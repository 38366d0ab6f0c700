//! Postgres goes, and comes back.

use std::time::{Duration, Instant};

use pg_ambassador::app::cluster::{Cluster, Stop};

use crate::{
    stage::eventually,
    support::{self, Served},
    wire::{Wire, again, error, parse, query, said, sync},
};

fn cluster() -> Cluster {
    support::own_cluster(support::options())
}

fn login(served: &Served) -> Wire {
    Wire::login(served.port(), "postgres", &[]).unwrap()
}

#[test]
fn a_restart_while_clients_idle_is_noticed_by_nobody() {
    let mut cluster = cluster();
    let served = Served::ambassador(&cluster, &["--workers", "1", "--pool-size", "2"]);
    let mut clients: Vec<_> = (0..4).map(|_| login(&served)).collect();
    for client in &mut clients {
        client.ask(&[parse("s", "select 'kept'"), sync()]);
    }
    cluster.restart().unwrap();
    for client in &mut clients {
        assert_eq!(said(&client.ask(&[again("s", &[]), sync()]))[1], "row kept");
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn what_runs_when_the_server_dies_is_lost_and_the_session_is_not() {
    let mut cluster = cluster();
    let served = Served::ambassador(&cluster, &["--workers", "1", "--pool-size", "2"]);
    let mut client = login(&served);
    client.send(&query("select pg_sleep(60)"));
    let running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'";
    eventually("it runs", || {
        support::psql(cluster.port(), "postgres", running) == "1"
    });
    cluster.stop(Stop::Immediate).unwrap();
    let frames = client.until_ready();
    assert!(frames.iter().any(|frame| frame.tag == b'E'), "{frames:?}");
    cluster.run().unwrap();
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn a_server_that_is_down_at_the_start_is_said_to_be_and_served_when_it_is_up() {
    let mut cluster = cluster();
    cluster.stop(Stop::Fast).unwrap();
    let served = Served::ambassador(
        &cluster,
        &["--set", "databases.\"*\".acquire_timeout=500ms"],
    );
    let begun = Instant::now();
    let refused = Wire::login(served.port(), "postgres", &[]).unwrap_err();
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_millis(400) && waited < Duration::from_secs(5),
        "{waited:?}"
    );
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("57P03".into(), "FATAL".into())
    );
    assert!(refused.message().starts_with("ambassador: "), "{refused}");
    assert!(
        refused.message().contains(&cluster.port().to_string()),
        "{refused}"
    );
    cluster.run().unwrap();
    eventually("it serves", || {
        Wire::login(served.port(), "postgres", &[]).is_ok()
    });
    assert_eq!(login(&served).value("select 1"), "1");
}

#[test]
fn a_client_that_waits_while_the_server_starts_gets_in() {
    let mut cluster = cluster();
    cluster.stop(Stop::Fast).unwrap();
    let served = Served::ambassador(&cluster, &[]);
    let port = served.port();
    let waits = std::thread::spawn(move || Wire::login(port, "postgres", &[]).unwrap());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waits.is_finished());
    cluster.run().unwrap();
    assert_eq!(waits.join().unwrap().value("select 1"), "1");
}

#[test]
fn a_request_while_the_server_is_down_fails_and_the_session_lives() {
    let mut cluster = cluster();
    let served = Served::ambassador(
        &cluster,
        &["--set", "databases.\"*\".acquire_timeout=500ms"],
    );
    let mut client = login(&served);
    client.run("select 1");
    cluster.stop(Stop::Fast).unwrap();
    let frames = client.query("select 1");
    assert_eq!(error(&frames).code(), "57P03");
    assert_eq!(said(&frames).last().unwrap(), "ready I");
    cluster.run().unwrap();
    eventually("it works again", || {
        client
            .query("select 1")
            .iter()
            .any(|frame| frame.tag == b'D')
    });
}
