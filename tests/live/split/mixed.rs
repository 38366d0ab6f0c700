//! Requests that overlap, settings, pins and prepared statements across servers.

use super::{Troupe, marked};
use crate::stage::eventually;
use crate::wire::{query, said, sync, unnamed};

#[test]
fn a_pipeline_of_reads_and_writes_keeps_its_order_and_its_answers() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let mut messages = Vec::new();
    for at in 0..30 {
        messages.extend(query("select a from watched where a = 1"));
        messages.extend(query(&format!("update watched set b = '{at}' where a = 1")));
        messages.extend([unnamed("select 7", &[]), sync()].concat());
        messages.extend(
            [
                unnamed(
                    &format!("update watched set b = b || 'x' where a = 1 and b = '{at}'"),
                    &[],
                ),
                sync(),
            ]
            .concat(),
        );
    }
    client.send(&messages);
    for _ in 0..30 {
        assert_eq!(
            said(&client.until_ready()),
            ["columns", "row 1", "SELECT 1", "ready I"]
        );
        assert_eq!(said(&client.until_ready()), ["UPDATE 1", "ready I"]);
        assert_eq!(
            said(&client.until_ready()),
            ["parsed", "bound", "row 7", "SELECT 1", "ready I"]
        );
        assert_eq!(
            said(&client.until_ready()),
            ["parsed", "bound", "UPDATE 1", "ready I"]
        );
    }
    assert_eq!(troupe.primary.ask("select b from watched").unwrap(), "29x");
}

#[test]
fn a_write_behind_a_read_that_is_under_way_waits_for_it_and_goes_to_the_primary() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let ran = troupe.ran_on(|| {
        client.send(
            &[
                query("select pg_sleep(0.2)"),
                query(&marked("delete from watched")),
            ]
            .concat(),
        );
        client.until_ready();
        assert_eq!(said(&client.until_ready()), ["DELETE 1", "ready I"]);
    });
    assert_eq!(ran, ["primary"]);
}

#[test]
fn a_pipelined_transaction_is_followed_by_what_may_go_elsewhere() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let texts = [
        "begin",
        "update watched set b = 'x'",
        "commit",
        "select a from watched",
        "delete from watched",
    ];
    let messages: Vec<Vec<u8>> = texts.iter().map(|text| query(text)).collect();
    client.send(&messages.concat());
    let ends = ["BEGIN", "UPDATE 1", "COMMIT", "SELECT 1", "DELETE 1"];
    for end in ends {
        let answer = said(&client.until_ready());
        assert!(answer.iter().any(|one| one == end), "{end}: {answer:?}");
    }
}

#[test]
fn settings_hold_on_whichever_server_a_statement_runs() {
    let troupe = Troupe::eventual(
        "create table moments (at timestamptz); insert into moments values ('2020-01-01 00:00+00')",
    );
    troupe.settle();
    let mut client = troupe.client_with(&[("timezone", "Asia/Tokyo")]);
    let read = |client: &mut crate::wire::Wire| client.value("select at from moments");
    assert_eq!(read(&mut client), "2020-01-01 09:00:00+09");
    client.run("set timezone = 'Europe/Berlin'");
    eventually("it reads from the replica", || {
        let read = marked("select at from moments");
        troupe.ran_on(|| assert_eq!(client.value(&read), "2020-01-01 01:00:00+01")) == ["replica"]
    });
    client.run("begin");
    assert_eq!(read(&mut client), "2020-01-01 01:00:00+01");
    client.run("commit");
    client.run("reset timezone");
    assert_eq!(read(&mut client), "2020-01-01 09:00:00+09");
    // Another session's are not met.
    let mut other = troupe.client_with(&[("timezone", "UTC")]);
    assert_eq!(read(&mut other), "2020-01-01 00:00:00+00");
    assert_eq!(read(&mut client), "2020-01-01 09:00:00+09");
}

#[test]
fn a_read_only_or_serializable_default_is_no_hindrance() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client_with(&[("default_transaction_read_only", "on")]);
    client.run("select a from watched");
    assert_eq!(client.failure("delete from watched").code(), "25006");
    let mut client = troupe.client_with(&[("default_transaction_isolation", "serializable")]);
    assert_eq!(client.value("select a from watched"), "1");
}

#[test]
fn a_session_that_keeps_its_connection_reads_there() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    client.run("select pg_advisory_lock(5)");
    let ran = troupe.ran_on(|| client.run(&marked("select a from watched")));
    assert_eq!(ran, ["primary"]);
    client.run("select pg_advisory_unlock(5)");
    eventually("it is free again", || {
        troupe.ran_on(|| client.run(&marked("select a from watched"))) == ["replica"]
    });
}

#[test]
fn a_client_s_process_id_stays_what_it_was_told() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let told = client.pid.to_string();
    assert_eq!(client.value("select pg_backend_pid()"), told);
    client.run("select a from watched");
    assert_eq!(client.value("select pg_backend_pid()"), told);
}

#[test]
fn a_cancel_reaches_what_runs_on_a_replica() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let (pid, key) = (client.pid, client.key.clone());
    client.send(&query("select pg_sleep(20)"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    crate::wire::cancel(troupe.served.port(), pid, &key);
    let answer = client.until_ready();
    assert_eq!(crate::wire::error(&answer).code(), "57014");
    assert_eq!(client.value("select a from watched"), "1");
}

#[test]
fn in_session_pooling_everything_is_the_primary_s() {
    let keys = ["routing.consistency=\"eventual\"", "pool_mode=\"session\""];
    let troupe = Troupe::unready(1, "", &keys);
    let mut client = troupe.client();
    for _ in 0..3 {
        let ran = troupe.ran_on(|| client.run(&marked("select a from watched")));
        assert_eq!(ran, ["primary"]);
    }
}
