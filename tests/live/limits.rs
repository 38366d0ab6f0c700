//! What is limited, and what a client hears that meets a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    stage::Stage,
    wire::{Frame, Wire, again, cancel, error, parse, query, said, sync, unnamed},
};

#[test]
fn who_gets_no_connection_in_time_is_told_and_lives_on() {
    let stage = Stage::with(1, &["acquire_timeout=300ms"]);
    let (mut holder, mut waits) = (stage.client(), stage.client());
    holder.run("begin; select 1");
    let begun = Instant::now();
    let frames = waits.query("select 1");
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_millis(190) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    let refused = error(&frames);
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("53300".into(), "ERROR".into())
    );
    let message = refused.message();
    assert!(message.starts_with("ambassador: database \""), "{message}");
    assert!(
        message.contains(&stage.database) && message.contains("acquire_timeout"),
        "{message}"
    );
    assert!(!refused.field(b'H').is_empty());
    assert_eq!(said(&frames).last().unwrap(), "ready I");
    let frames = waits.ask(&[parse("s", "select 1"), again("s", &[]), sync()]);
    assert_eq!(error(&frames).code(), "53300");
    assert_eq!(frames.len(), 2);
    holder.run("commit");
    assert_eq!(waits.value("select 2"), "2");
    assert_eq!(
        error(&waits.ask(&[again("s", &[]), sync()])).code(),
        "26000"
    );
}

#[test]
fn each_request_of_a_pipeline_that_gets_no_connection_is_answered() {
    let stage = Stage::with(1, &["acquire_timeout=200ms"]);
    let (mut holder, mut waits) = (stage.client(), stage.client());
    holder.run("begin; select 1");
    waits.send(
        &[
            query("select 1"),
            unnamed("select 2", &[]),
            sync(),
            query("select 3"),
        ]
        .concat(),
    );
    for _ in 0..3 {
        let frames = waits.until_ready();
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert_eq!(error(&frames).code(), "53300");
    }
    holder.run("commit");
    assert_eq!(waits.value("select 4"), "4");
}

#[test]
fn no_more_than_max_waiting_wait() {
    let stage = Stage::with(1, &["max_waiting=2"]);
    let mut holder = stage.client();
    let mut waiting = [stage.client(), stage.client()];
    let mut late = stage.client();
    holder.run("begin; select 1");
    for wire in &mut waiting {
        wire.send(&query("select 'waited'"));
    }
    thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    let refused = late.failure("select 1");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(refused.code(), "53300");
    names_the_limit(&stage, &refused, "max_waiting");
    holder.run("commit");
    for wire in &mut waiting {
        assert_eq!(said(&wire.until_ready())[1], "row waited");
    }
    assert_eq!(late.value("select 2"), "2");
}

#[test]
fn a_cancel_of_a_request_that_waits_is_answered_at_once() {
    let stage = Stage::with_pool_of(1);
    let (mut holder, mut waits) = (stage.client(), stage.client());
    holder.run("begin; select 1");
    waits.send(&query("select 1"));
    thread::sleep(Duration::from_millis(100));
    cancel(stage.port(), waits.pid, &waits.key);
    let frames = waits.until_ready();
    assert_eq!(
        said(&frames),
        ["57014 canceling statement due to user request", "ready I"]
    );
    // In the extended protocol up to its Sync, and what comes behind goes on waiting.
    waits.send(&[unnamed("select 1", &[]), sync(), query("select 2")].concat());
    thread::sleep(Duration::from_millis(100));
    cancel(stage.port(), waits.pid, &waits.key);
    assert_eq!(said(&waits.until_ready()).len(), 2);
    holder.run("commit");
    assert_eq!(said(&waits.until_ready())[1], "row 2");
}

#[test]
fn a_cancel_hits_a_query_that_its_settings_or_its_statement_go_ahead_of() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client_with(&[("DateStyle", "German")]);
    let mut other = stage.client();
    wire.ask(&[parse("s", "select pg_sleep($1::int)"), sync()]);
    let requests = [
        vec![query("select pg_sleep(30)")],
        vec![again("s", &["30"]), sync()],
        vec![unnamed("select pg_sleep(30)", &[]), sync()],
    ];
    for request in requests {
        other.run("discard plans");
        wire.send(&request.concat());
        crate::isolation::sees_running(&stage, "pg_sleep");
        let begun = Instant::now();
        cancel(stage.port(), wire.pid, &wire.key);
        let cancelled = wire.until_ready();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(error(&cancelled).code(), "57014");
        assert_eq!(wire.value("show datestyle"), "German, DMY");
        assert_eq!(other.value("show datestyle"), "ISO, MDY");
    }
}

#[test]
fn a_cancel_of_an_idle_session_hits_nobody() {
    let stage = Stage::with_pool_of(1);
    let (mut idle, mut busy) = (stage.client(), stage.client());
    assert_eq!(idle.pid, busy.pid);
    idle.run("select 1");
    busy.send(&query("select pg_sleep(1)"));
    for _ in 0..20 {
        cancel(stage.port(), idle.pid, &idle.key);
    }
    assert_eq!(said(&busy.until_ready())[2], "SELECT 1");
    assert_eq!(idle.value("select 2"), "2");
}

#[test]
fn cancels_race_with_the_end_of_queries_and_never_hit_the_next_client() {
    let stage = Stage::with_pool_of(1);
    let mut victim = stage.client();
    let mut other = stage.client();
    for round in 0..60 {
        victim.send(&query("select pg_sleep(0.003)"));
        thread::sleep(Duration::from_micros(200 * round % 5000));
        cancel(stage.port(), victim.pid, &victim.key);
        victim.until_ready();
        assert_eq!(
            said(&other.query("select pg_sleep(0.002), 1"))[2],
            "SELECT 1"
        );
    }
}

#[test]
fn a_query_that_runs_too_long_is_cancelled() {
    let stage = Stage::with(1, &["query_timeout=300ms"]);
    let mut wire = stage.client();
    let begun = Instant::now();
    let refused = wire.failure("select pg_sleep(30)");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("57014".into(), "ERROR".into())
    );
    // Nobody cancelled it: the message has to say who did.
    names_the_limit(&stage, &refused, "query_timeout");
    assert_eq!(wire.value("select 1"), "1");
}

#[test]
fn a_transaction_that_idles_too_long_is_ended() {
    let stage = Stage::with(1, &["idle_in_transaction_timeout=300ms"]);
    stage.directly("create table t (a int)");
    let (mut idles, mut other) = (stage.client(), stage.client());
    idles.run("begin; insert into t values (1)");
    assert_eq!(other.value("select count(*) from t"), "0");
    let ended = idles.until_closed();
    assert_eq!(
        (error(&ended).code(), error(&ended).field(b'S')),
        ("25P03".into(), "FATAL".into())
    );
    names_the_limit(&stage, error(&ended), "idle_in_transaction_timeout");
    other.run("begin; select pg_sleep(0.6); commit");
}

#[test]
fn a_client_that_idles_too_long_is_sent_away() {
    let stage = Stage::new(&["--set", "listen.client_idle_timeout=300ms"]);
    let (mut idles, mut works) = (stage.client(), stage.client());
    works.run("select pg_sleep(0.7)");
    let ended = idles.until_closed();
    assert_eq!(
        (error(&ended).code(), error(&ended).field(b'S')),
        ("57P05".into(), "FATAL".into())
    );
    names_the_limit(&stage, error(&ended), "client_idle_timeout");
}

/// Whose limit it is, which, and what to do.
#[track_caller]
fn names_the_limit(stage: &Stage, told: &Frame, limit: &str) {
    let text = told.message();
    assert!(text.starts_with("ambassador: database \""), "{text}");
    assert!(
        text.contains(&stage.database) && text.contains(limit),
        "{text}"
    );
    assert!(!told.field(b'H').is_empty(), "{text}: no hint");
}

#[test]
fn there_are_no_more_than_max_clients() {
    let stage = Stage::new(&["--workers", "2", "--set", "listen.max_clients=3"]);
    let mut clients: Vec<_> = (0..3).map(|_| stage.client()).collect();
    let refused = Wire::login(stage.port(), &stage.database, &[]).unwrap_err();
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("53300".into(), "FATAL".into())
    );
    assert!(refused.message().contains("max_clients"), "{refused}");
    for client in &mut clients {
        assert_eq!(client.value("select 1"), "1");
    }
    drop(clients.pop());
    crate::stage::eventually("a seat is free", || {
        Wire::login(stage.port(), &stage.database, &[]).is_ok()
    });
}

#[test]
fn a_login_that_takes_too_long_is_ended() {
    let stage = Stage::new(&["--set", "listen.login_timeout=300ms"]);
    let mut slow = Wire::open(stage.port());
    slow.send(&[0, 0]);
    let begun = Instant::now();
    let ended = slow.until_closed();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (error(&ended).code(), error(&ended).field(b'S')),
        ("08006".into(), "FATAL".into())
    );
    assert_eq!(stage.client().value("select pg_sleep(0.5), 1"), " 1");
}

#[test]
fn a_message_beyond_max_message_size_ends_its_session() {
    let stage = Stage::new(&["--set", "listen.max_message_size=64KiB"]);
    let (mut one, mut other) = (stage.client(), stage.client());
    let fits = "x".repeat(60_000);
    assert_eq!(one.value(&format!("select length('{fits}')")), "60000");
    let too_large = "x".repeat(70_000);
    one.send(&query(&format!("select length('{too_large}')")));
    let ended = one.until_closed();
    assert_eq!(
        (error(&ended).code(), error(&ended).field(b'S')),
        ("54000".into(), "FATAL".into())
    );
    names_the_limit(&stage, error(&ended), "max_message_size");
    assert_eq!(other.value("select 1"), "1");
}

#[test]
fn statement_pooling_refuses_transactions_and_goes_on() {
    let stage = Stage::new(&["--pool-size", "1", "--pool-mode", "statement"]);
    let mut wire = stage.client();
    for frames in [
        wire.query("begin"),
        wire.query("start transaction"),
        wire.query("select 1; begin"),
        wire.ask(&[unnamed("begin", &[]), sync()]),
        wire.ask(&[parse("b", "BEGIN"), sync()]),
    ] {
        assert_eq!(error(&frames).code(), "0A000");
        assert_eq!(said(&frames).last().unwrap(), "ready I");
    }
    assert_eq!(wire.value("select 1"), "1");
    assert_eq!(
        said(&wire.ask(&[unnamed("select 2", &[]), sync()]))[2],
        "row 2"
    );
}

#[test]
fn statement_pooling_refuses_a_transaction_amid_a_pipeline_in_its_place() {
    let stage = Stage::new(&["--pool-size", "1", "--pool-mode", "statement"]);
    stage.directly("create table t (a int)");
    let insert = "insert into t values (1)";
    let mut wire = stage.client();
    let count = |wire: &mut Wire| wire.value("select count(*) from t");
    // What the batch has done is undone, and what follows up to the Sync is skipped.
    let frames = wire.ask(&[
        unnamed(insert, &[]),
        parse("b", "begin"),
        again("b", &[]),
        parse("s", "select 'skipped'"),
        sync(),
    ]);
    assert_eq!(said(&frames)[..3], ["parsed", "bound", "INSERT 0 1"]);
    let refused = error(&frames);
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("0A000".into(), "ERROR".into())
    );
    assert!(refused.message().contains(&stage.database), "{refused}");
    assert!(!refused.field(b'H').is_empty());
    assert_eq!(said(&frames)[4..], ["ready I"]);
    assert_eq!(count(&mut wire), "0");
    for name in ["b", "s"] {
        let frames = wire.ask(&[again(name, &[]), sync()]);
        assert_eq!(error(&frames).code(), "26000");
    }
    // A Query ends the batch that it stands in.
    let frames = wire.ask(&[unnamed(insert, &[]), query("begin")]);
    assert_eq!(error(&frames).code(), "0A000");
    assert_eq!(said(&frames).last().unwrap(), "ready I");
    assert_eq!(count(&mut wire), "0");
    // Among requests that are each for themselves, it is one of them.
    wire.send(&[query(insert), query("select 1; begin"), query("select 2")].concat());
    assert_eq!(said(&wire.until_ready())[0], "INSERT 0 1");
    let frames = wire.until_ready();
    assert_eq!((error(&frames).code(), frames.len()), ("0A000".into(), 2));
    assert_eq!(said(&wire.until_ready())[1], "row 2");
    assert_eq!(count(&mut wire), "1");
    // What is skipped is not refused.
    let frames = wire.ask(&[unnamed("select 1/0", &[]), unnamed("begin", &[]), sync()]);
    assert_eq!(error(&frames).code(), "22012");
    assert_eq!(said(&frames).last().unwrap(), "ready I");
    assert_eq!(count(&mut wire), "1");
}
