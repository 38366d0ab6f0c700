//! What a replica refuses runs on the primary, and nobody knows.

use super::{Troupe, marked};
use crate::{
    stage::eventually,
    wire::{bind, close_statement, error, execute, parse, query, said, sync, unnamed},
};

const SCHEMA: &str = "
    create unlogged table fleeting (a int);
    insert into fleeting values (8);
    create function looks() returns bigint stable language sql as 'select count(*) from watched';
    create function tricky() returns bigint language plpgsql as
    'begin insert into watched values (2, ''two''); return 7; end'";

/// A hint sends to a replica what nobody could prove.
fn troupe() -> Troupe {
    let troupe = Troupe::eventual(SCHEMA);
    troupe.settle();
    troupe
}

fn tricky() -> String {
    marked("/* ambassador: replica */ select tricky()")
}

/// Undoes what it does.
fn anew(troupe: &Troupe) {
    troupe
        .primary
        .ask("delete from watched where a = 2")
        .unwrap();
}

fn misroutes(troupe: &Troupe, code: &str) -> u64 {
    troupe.counted("misroutes_total", &[&format!("sqlstate=\"{code}\"")])
}

#[test]
fn what_a_replica_refuses_runs_on_the_primary_and_from_then_on_there_at_once() {
    let troupe = troupe();
    let mut client = troupe.client();
    let ran = troupe.ran_on(|| assert_eq!(client.value(&tricky()), "7"));
    assert_eq!(ran, ["primary", "replica"]);
    assert_eq!(misroutes(&troupe, "25006"), 1);
    anew(&troupe);
    let ran = troupe.ran_on(|| assert_eq!(client.value(&tricky()), "7"));
    assert_eq!(ran, ["primary"]);
    let last = client.value("show ambassador.last_backend");
    assert!(last.ends_with("primary NULL healed"), "{last}");
    assert_eq!(misroutes(&troupe, "25006"), 1);
    // What else there is goes on as before.
    let ran = troupe.ran_on(|| client.run(&marked("select a from watched")));
    assert_eq!(ran, ["replica"]);
}

#[test]
fn rows_that_came_with_the_error_are_told_once() {
    let troupe = troupe();
    let mut client = troupe.client();
    let sql = "/* ambassador: replica */ select 1 as x; select tricky()";
    assert_eq!(
        said(&client.query(sql)),
        [
            "columns", "row 1", "SELECT 1", "columns", "row 7", "SELECT 1", "ready I"
        ]
    );
}

#[test]
fn a_batch_runs_again_as_a_whole() {
    let troupe = troupe();
    let mut client = troupe.client();
    let batch = [
        unnamed(
            "/* ambassador: replica */ select a from watched where a = 1",
            &[],
        ),
        unnamed(&marked("select tricky()"), &[]),
        unnamed("select 3", &[]),
        sync(),
    ];
    let mut answer = Vec::new();
    let ran = troupe.ran_on(|| answer = said(&client.ask(&batch)));
    assert_eq!(ran, ["primary", "replica"]);
    let rows: Vec<_> = answer.iter().filter(|one| one.starts_with("row")).collect();
    assert_eq!(rows, ["row 1", "row 7", "row 3"]);
    assert_eq!(answer.last().unwrap(), "ready I");
}

#[test]
fn statements_that_the_request_names_are_named_once() {
    let troupe = troupe();
    let mut client = troupe.client();
    let run = |name: &str| [bind("", name, &[]), execute("", 0)].concat();
    let batch = [parse("s", &tricky()), run("s"), sync()];
    assert_eq!(
        said(&client.ask(&batch)),
        ["parsed", "bound", "row 7", "SELECT 1", "ready I"]
    );
    anew(&troupe);
    assert_eq!(
        said(&client.ask(&[run("s"), sync()])),
        ["bound", "row 7", "SELECT 1", "ready I"]
    );
    // The name is taken now, and free once it is closed.
    let again = client.ask(&[parse("s", "select 1"), sync()]);
    assert_eq!(error(&again).code(), "42P05");
    anew(&troupe);
    let batch = [
        close_statement("s"),
        parse("s", "select 4"),
        run("s"),
        sync(),
    ];
    assert_eq!(
        said(&client.ask(&batch)),
        ["closed", "parsed", "bound", "row 4", "SELECT 1", "ready I"]
    );
}

#[test]
fn a_statement_that_was_prepared_before_runs_again_too() {
    let troupe = troupe();
    let mut client = troupe.client();
    client.ask(&[parse("s", &tricky()), sync()]);
    let batch = [bind("", "s", &[]), execute("", 0), sync()];
    let ran = troupe.ran_on(|| {
        assert_eq!(
            said(&client.ask(&batch)),
            ["bound", "row 7", "SELECT 1", "ready I"]
        );
    });
    assert_eq!(ran, ["primary", "replica"]);
    anew(&troupe);
    let ran = troupe.ran_on(|| drop(client.ask(&batch)));
    assert_eq!(ran, ["primary"]);
}

#[test]
fn what_it_wrote_is_seen_by_the_next_read() {
    let troupe = Troupe::new(1, SCHEMA, &[]);
    troupe.settle();
    let mut client = troupe.client();
    client.run(&tricky());
    assert_eq!(client.value("select b from watched where a = 2"), "two");
}

#[test]
fn an_error_that_the_primary_has_too_is_told_once() {
    let troupe = troupe();
    troupe
        .primary
        .ask("insert into watched values (2)")
        .unwrap();
    let mut client = troupe.client();
    assert_eq!(client.failure(&tricky()).code(), "23505");
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn a_session_that_is_read_only_by_its_own_will_hears_so() {
    let troupe = troupe();
    let mut client = troupe.client_with(&[("default_transaction_read_only", "on")]);
    assert_eq!(client.failure(&tricky()).code(), "25006");
    let mut client = troupe.client();
    client.run("set default_transaction_read_only = on");
    assert_eq!(client.failure(&tricky()).code(), "25006");
    client.run("begin read only");
    assert_eq!(client.failure(&tricky()).code(), "25006");
    client.run("rollback");
    assert_eq!(misroutes(&troupe, "25006"), 0);
}

#[test]
fn a_request_in_a_pipeline_is_answered_in_its_place() {
    let troupe = troupe();
    let mut client = troupe.client();
    client.send(&[query("select 1"), query(&tricky()), query("select 3")].concat());
    let answers: Vec<_> = (0..3).map(|_| said(&client.until_ready())).collect();
    assert_eq!(answers[0][1], "row 1");
    // Whether it ran again or was refused, it is answered once.
    assert_eq!(answers[1].last().unwrap(), "ready I");
    assert_eq!(answers[2][1], "row 3");
}

#[test]
fn a_table_that_a_standby_has_nothing_of_is_read_on_the_primary() {
    let troupe = troupe();
    let mut client = troupe.client();
    let sql = "/* ambassador: replica */ select a from fleeting";
    assert_eq!(client.value(sql), "8");
    assert_eq!(misroutes(&troupe, "0A000"), 1);
    // For what its transactions are, a session that is read-only can read it, too.
    let mut client = troupe.client_with(&[("default_transaction_read_only", "on")]);
    assert_eq!(client.value(sql), "8");
}

#[test]
fn what_only_the_primary_can_tell_is_asked_of_it() {
    let troupe = troupe();
    let mut client = troupe.client();
    let sql = "/* ambassador: replica */ select pg_current_wal_lsn() is not null";
    assert_eq!(client.value(sql), "t");
    assert_eq!(misroutes(&troupe, "55000"), 1);
}

#[test]
fn what_the_catalog_does_not_know_yet_does_no_harm() {
    let troupe = troupe();
    let change = "create or replace function looks() returns bigint language plpgsql as
        'begin delete from watched where a = 3; return 9; end'";
    troupe.primary.ask(change).unwrap();
    troupe.settle();
    assert_eq!(troupe.client().value("select looks()"), "9");
}

#[test]
fn what_recovery_needs_of_a_replica_goes_another_way() {
    let troupe = Troupe::new(2, "", &["routing.consistency=\"eventual\""]);
    for replica in &troupe.replicas {
        let set = "alter system set max_standby_streaming_delay = 0";
        replica.ask(set).unwrap();
        replica.reload().unwrap();
    }
    let mut client = troupe.client();
    let sql = "select case when b = 'one' then pg_sleep(600)::text else b end from watched";
    client.send(&query(sql));
    let (busy, other) = busy_and_other(&troupe);
    troupe.replicas[busy].pause_replay().unwrap();
    troupe.primary.ask("update watched set b = 'two'").unwrap();
    troupe.primary.ask("truncate watched").unwrap();
    troupe
        .primary
        .ask("insert into watched values (1, 'three')")
        .unwrap();
    troupe.replicas[other].catch_up(&troupe.primary).unwrap();
    troupe.replicas[busy].resume_replay().unwrap();
    assert_eq!(said(&client.until_ready())[1], "row three");
    let last = client.value("show ambassador.last_backend");
    let port = troupe.replicas[other].port();
    assert_eq!(last, format!("127.0.0.1:{port} replica NULL proven_read"));
    assert_eq!(misroutes(&troupe, "40001"), 1);
}

/// Which of two replicas runs what the client has sent, and which does not.
fn busy_and_other(troupe: &Troupe) -> (usize, usize) {
    let asks = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    let busy = || {
        let mut replicas = troupe.replicas.iter();
        replicas.position(|one| one.ask(asks).unwrap() == "1")
    };
    eventually("a replica runs it", || busy().is_some());
    let busy = busy().unwrap();
    (busy, 1 - busy)
}
