//! How the ambassador ends, and what its clients hear of it.

use std::time::{Duration, Instant};

use crate::{
    admin::{get, scraped},
    stage::{PATIENCE, Stage, eventually},
    wire::{Wire, error, said},
};

fn stage(grace: &str, drain_timeout: &str) -> Stage {
    let grace = format!("shutdown.grace={grace}");
    let drain_timeout = format!("shutdown.drain_timeout={drain_timeout}");
    Stage::new(&["--workers", "2", "--set", &grace, "--set", &drain_timeout])
}

fn is_shutdown(frames: &[crate::wire::Frame]) -> bool {
    error(frames).code() == "57P01" && error(frames).field(b'S') == "FATAL"
}

#[test]
fn during_the_grace_everything_works_and_then_idle_clients_are_sent_away() {
    let mut stage = stage("700ms", "10s");
    let mut idle = stage.client();
    let begun = Instant::now();
    stage.served.signal("TERM");
    assert_eq!(idle.value("select 1"), "1");
    assert_eq!(stage.client().value("select 2"), "2");
    assert!(
        begun.elapsed() < Duration::from_millis(600),
        "too slow to tell"
    );
    assert!(is_shutdown(&idle.until_closed()));
    assert!(begun.elapsed() >= Duration::from_millis(690));
    assert!(stage.served.ended_within(PATIENCE).success());
}

#[test]
fn a_transaction_in_flight_finishes_and_new_clients_are_refused() {
    let mut stage = stage("0s", "10s");
    stage.directly("create table t (a int)");
    let mut works = stage.client();
    works.run("begin; insert into t values (1)");
    stage.served.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    let refused = Wire::login(stage.port(), &stage.database, &[]).unwrap_err();
    assert_eq!(refused.code(), "57P03");
    works.run("insert into t values (2)");
    let last = works.query("commit");
    assert_eq!(said(&last), ["COMMIT", "ready I"]);
    assert!(is_shutdown(&works.until_closed()));
    assert!(stage.served.ended_within(PATIENCE).success());
    assert_eq!(stage.directly("select count(*) from t"), "2");
}

#[test]
fn who_is_left_at_drain_timeout_is_cut_off() {
    let mut stage = stage("0s", "500ms");
    stage.directly("create table t (a int)");
    let (mut idles, mut runs) = (stage.client(), stage.client());
    idles.run("begin; insert into t values (1)");
    runs.send(&crate::wire::query("select pg_sleep(60)"));
    stage.served.signal("TERM");
    assert!(is_shutdown(&idles.until_closed()));
    assert!(is_shutdown(&runs.until_closed()));
    assert!(stage.served.ended_within(PATIENCE).success());
    assert_eq!(stage.directly("lock table t; select count(*) from t"), "0");
    let sleeps = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()";
    eventually("nothing runs on", || stage.directly(sleeps) == "0");
}

#[test]
fn an_interrupt_has_no_grace() {
    let mut stage = stage("20s", "20s");
    let mut idle = stage.client();
    stage.served.signal("INT");
    assert!(is_shutdown(&idle.until_closed()));
    assert!(stage.served.ended_within(Duration::from_secs(5)).success());
}

#[test]
fn the_grace_ends_with_the_last_client() {
    let mut stage = stage("20s", "25s");
    let client = stage.client();
    stage.served.signal("TERM");
    std::thread::sleep(Duration::from_millis(100));
    client.bye();
    assert!(stage.served.ended_within(Duration::from_secs(5)).success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut stage = stage("20s", "25s");
    let mut client = stage.client();
    client.run("begin; select 1");
    stage.served.signal("TERM");
    std::thread::sleep(Duration::from_millis(200));
    stage.served.signal("TERM");
    assert_eq!(
        stage.served.ended_within(Duration::from_secs(5)).code(),
        Some(130)
    );
}

#[test]
fn a_commit_after_the_grace_is_done_and_who_came_within_it_was_served() {
    let admin = ["--admin", "127.0.0.1:0", "--set", "shutdown.grace=2s"];
    let mut stage = Stage::new(&[&admin[..], &["--workers", "2"]].concat());
    let port = stage.admin();
    stage.directly("create table t (a int)");
    let mut works = stage.client();
    works.run("begin; insert into t values (1)");
    let begun = Instant::now();
    stage.served.signal("TERM");
    eventually("no new work is wanted", || get(port, "/readyz").0 == 503);
    assert_eq!(get(port, "/healthz").0, 200);
    let mut late = stage.client();
    late.run("insert into t values (2)");
    assert!(is_shutdown(&late.until_closed()));
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(get(port, "/readyz").0, 503);
    let committed = [("role", "primary"), ("database", stage.database.as_str())];
    let before = scraped(&stage).sum("ambassador_transactions_total", &committed);
    works.run("insert into t values (3)");
    assert_eq!(said(&works.query("commit")), ["COMMIT", "ready I"]);
    assert_eq!(before, 1.0);
    assert!(is_shutdown(&works.until_closed()));
    assert!(stage.served.ended_within(PATIENCE).success());
    assert_eq!(stage.directly("select count(*) from t"), "3");
    let log = stage.served.log();
    assert!(log.contains("shutting down clients=1"), "{log}");
    assert!(log.contains("all clients have left"), "{log}");
}

#[test]
fn a_drain_timeout_of_nothing_waits_for_the_last_transaction() {
    let mut stage = stage("0s", "0s");
    let mut works = stage.client();
    works.run("begin; select 1");
    stage.served.signal("TERM");
    eventually("no new client is let in", || {
        Wire::login(stage.port(), &stage.database, &[]).is_err()
    });
    assert_eq!(said(&works.query("commit")), ["COMMIT", "ready I"]);
    assert!(is_shutdown(&works.until_closed()));
    assert!(stage.served.ended_within(PATIENCE).success());
}

#[test]
fn an_interrupt_ends_the_grace_and_a_second_one_everything() {
    let mut stage = stage("20s", "25s");
    let (mut idle, mut works) = (stage.client(), stage.client());
    works.run("begin; select 1");
    stage.served.signal("TERM");
    eventually("it has heard", || {
        stage.served.log().contains("shutting down")
    });
    stage.served.signal("INT");
    assert!(is_shutdown(&idle.until_closed()));
    assert_eq!(works.value("select 1"), "1");
    stage.served.signal("INT");
    let ended = stage.served.ended_within(Duration::from_secs(5));
    assert_eq!(ended.code(), Some(130));
}

#[test]
fn a_hangup_is_survived() {
    let stage = Stage::new(&[]);
    let mut client = stage.client();
    stage.served.signal("HUP");
    eventually("it is told that nothing is reloaded", || {
        stage
            .served
            .log()
            .contains("SIGHUP: certificates and keys were read again")
    });
    assert_eq!(client.value("select 1"), "1");
}
