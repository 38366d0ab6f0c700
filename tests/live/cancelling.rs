//! Cancels: they hit what they were meant for, as directly, and nothing else.

use std::time::Duration;

use crate::{
    isolation::sees_running,
    stage::{Stage, alike},
    support,
    wire::{Frame, Wire, cancel, error, message, query, said, sync, unnamed},
};

const SLEEP: &str = "select pg_sleep(60)";

/// The same directly and through the ambassador, with the port on which to cancel.
#[track_caller]
fn same(stage: &Stage, act: impl Fn(&mut Wire, u16) -> Vec<Vec<Frame>>) -> Vec<Vec<Frame>> {
    let expected = act(&mut stage.direct(), support::cluster().port());
    let seen = act(&mut stage.client(), stage.port());
    // Where in its data a COPY was when the cancel came is by chance.
    let words = |seen: &[Vec<Frame>]| seen.iter().map(|one| said(one)).collect::<Vec<_>>();
    alike(&words(&seen), &words(&expected));
    seen
}

#[test]
fn fact_09_a_cancel_amid_a_pipeline_hits_the_request_that_runs() {
    let stage = Stage::with_pool_of(1);
    let seen = same(&stage, |wire, port| {
        wire.send(&[query("select 1"), query(SLEEP), query("select 2")].concat());
        let first = wire.until_ready();
        sees_running(&stage, "pg_sleep");
        cancel(port, wire.pid, &wire.key);
        vec![first, wire.until_ready(), wire.until_ready()]
    });
    assert_eq!(error(&seen[1]).code(), "57014");
    assert_eq!(said(&seen[2])[1], "row 2");
}

#[test]
fn fact_09_a_cancel_amid_batches_fails_the_one_that_runs_up_to_its_sync() {
    let stage = Stage::with_pool_of(1);
    let seen = same(&stage, |wire, port| {
        let (one, two) = (unnamed("select 1", &[]), unnamed("select 2", &[]));
        let sleep = unnamed(SLEEP, &[]);
        wire.send(&[one, sleep, two.clone(), sync(), two, sync()].concat());
        sees_running(&stage, "pg_sleep");
        cancel(port, wire.pid, &wire.key);
        vec![wire.until_ready(), wire.until_ready()]
    });
    assert_eq!(error(&seen[0]).code(), "57014");
    assert_eq!(said(&seen[1])[2], "row 2");
}

#[test]
fn fact_09_a_cancel_of_a_copy_ends_it_with_the_next_data() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let seen = same(&stage, |wire, port| {
        wire.send(&query("copy t from stdin"));
        wire.until(b'G');
        cancel(port, wire.pid, &wire.key);
        wire.send(&crate::wire::copy_data("1\n"));
        let failed = wire.until_ready();
        wire.send(&crate::wire::copy_done());
        vec![failed, wire.query("select count(*) from t")]
    });
    assert_eq!(error(&seen[0]).code(), "57014");
    assert_eq!(said(&seen[1])[1], "row 0");
}

#[test]
fn fact_09_a_cancel_finds_a_session_on_whatever_connection_it_is() {
    let stage = Stage::with_pool_of(2);
    let (mut one, mut other) = (stage.client(), stage.client());
    assert_eq!(one.pid, other.pid);
    // Whoever comes second is away from the home that both were told.
    other.run("begin; select 1");
    one.run("begin; select 1");
    one.send(&query(SLEEP));
    sees_running(&stage, "pg_sleep");
    other.send(&query("select pg_sleep(0.5), 1"));
    cancel(stage.port(), one.pid, &one.key);
    assert_eq!(error(&one.until_ready()).code(), "57014");
    assert_eq!(said(&other.until_ready())[1], "row  1");
    one.run("rollback");
    other.send(&query(SLEEP));
    sees_running(&stage, "pg_sleep");
    cancel(stage.port(), other.pid, &other.key);
    assert_eq!(error(&other.until_ready()).code(), "57014");
    assert_eq!(stage.connections(), 2);
}

#[test]
fn fact_09_what_is_sent_after_a_cancel_has_ended_is_not_hit_by_it() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    for round in 0..40 {
        wire.send(&query("select pg_sleep(0.002)"));
        std::thread::sleep(Duration::from_micros(100 * round));
        for _ in 0..2 {
            cancel(stage.port(), wire.pid, &wire.key);
        }
        wire.until_ready();
        assert_eq!(wire.value("select pg_sleep(0.002), 1"), " 1", "{round}");
    }
    assert_eq!(stage.connections(), 1);
}

#[test]
fn fact_09_a_cancel_with_a_key_that_is_none_has_no_answer_and_no_effect() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.send(&query("select pg_sleep(1), 1"));
    sees_running(&stage, "pg_sleep");
    for port in [support::cluster().port(), stage.port()] {
        for len in [0, 3, 4, 5, 32, 256, 257, 9000] {
            cancel(port, wire.pid, &vec![7; len]);
        }
        // Another session's, and nobody's.
        cancel(port, wire.pid + 1, &wire.key);
        cancel(port, 0, &[0; 4]);
    }
    assert_eq!(said(&wire.until_ready())[1], "row  1");
    // Neither is it a message of a session.
    wire.send(&message(b'?', b""));
    wire.until_closed();
}

#[test]
fn fact_09_a_cancel_of_a_session_that_waits_or_idles_in_its_transaction_disturbs_nobody() {
    let stage = Stage::with_pool_of(1);
    let (mut holder, mut waits) = (stage.client(), stage.client());
    holder.run("begin; select 1");
    waits.send(&[query("select 1"), query("select 2")].concat());
    cancel(stage.port(), holder.pid, &holder.key);
    std::thread::sleep(Duration::from_millis(100));
    cancel(stage.port(), waits.pid, &waits.key);
    let cancelled = waits.until_ready();
    assert_eq!(error(&cancelled).code(), "57014");
    holder.run("select 3");
    holder.run("commit");
    assert_eq!(said(&waits.until_ready())[1], "row 2");
}

#[test]
fn a_request_that_is_longer_than_what_is_read_while_it_waits_is_cancelled_too() {
    let stage = Stage::with_pool_of(1);
    let (mut holder, mut waits) = (stage.client(), stage.client());
    holder.run("begin; select 1");
    let long = "x".repeat(1_000_000);
    let sends = query(&format!("select 1 /* {long} */"));
    waits.send(&sends[..300_000]);
    std::thread::sleep(Duration::from_millis(100));
    cancel(stage.port(), waits.pid, &waits.key);
    assert_eq!(error(&waits.until_ready()).code(), "57014");
    waits.send(&sends[300_000..]);
    holder.run("commit");
    assert_eq!(waits.value("select 2"), "2");
}
