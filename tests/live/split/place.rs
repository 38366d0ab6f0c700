//! Which server each kind of statement runs on.

use super::{Troupe, marked};

const SCHEMA: &str = "
    create unlogged table fleeting (a int);
    create sequence numbers;
    create view seen as select a from watched;
    create function looks() returns bigint stable language sql as 'select count(*) from watched';
    create function acts() returns int language plpgsql as 'begin return 1; end';
    create function shy(int) returns int immutable language sql as 'select 1';
    create function shy(text) returns int language plpgsql as 'begin return 2; end'";

/// Statements, each with the one place where it runs.
const PLACES: &[(&str, &str)] = &[
    // Reads.
    ("select a from watched", "replica"),
    (
        "/* a comment */ -- and another\n select a from watched",
        "replica",
    ),
    (
        "select * from watched as w, lateral (select w.a + 1) as x",
        "replica",
    ),
    ("values (1), (2)", "replica"),
    ("table watched", "replica"),
    ("select a from watched union select 2", "replica"),
    (
        "with x as (select a from watched) select * from x",
        "replica",
    ),
    ("select a from seen", "replica"),
    ("select looks()", "replica"),
    ("select lower(b), now() from watched", "replica"),
    ("select random() > 2, clock_timestamp() is null", "replica"),
    ("select a from watched; select b from watched", "replica"),
    ("explain select a from watched", "replica"),
    ("explain analyze select a from watched", "replica"),
    ("copy watched to stdout", "replica"),
    ("copy (select a from watched) to stdout", "replica"),
    // What no proof can be given of.
    ("selec a from watched", "primary"),
    ("select acts()", "primary"),
    ("select shy('x')", "primary"),
    ("select no_such_function()", "primary"),
    ("select a from no_such_table", "primary"),
    ("", "primary"),
    // What writes, and hides it.
    ("insert into watched values (2)", "primary"),
    ("update watched set b = 'x'", "primary"),
    ("delete from watched where a = 3", "primary"),
    ("truncate fleeting", "primary"),
    ("analyze watched", "primary"),
    (
        "with x as (insert into watched values (4) returning a) select * from x",
        "primary",
    ),
    ("select a into new_one from watched", "primary"),
    ("explain analyze insert into watched values (5)", "primary"),
    (
        "select a from watched; delete from watched where a = 6",
        "primary",
    ),
    ("/* select */ delete from watched where a = 7", "primary"),
    ("do 'begin end'", "primary"),
    // What locks.
    ("select a from watched for update", "primary"),
    ("select a from watched for no key update", "primary"),
    ("select a from watched for share", "primary"),
    (
        "select * from (select a from watched for key share) as x",
        "primary",
    ),
    ("lock table watched", "primary"),
    // What a standby would do, with the wrong effect, and what is the server's own.
    (
        "select pg_advisory_lock(1), pg_advisory_unlock(1)",
        "primary",
    ),
    ("select nextval('numbers')", "primary"),
    ("select last_value from numbers", "primary"),
    ("select set_config('app.x', 'y', true)", "primary"),
    ("select pg_is_in_recovery()", "primary"),
    ("select count(*) from pg_stat_activity", "primary"),
    ("select txid_current_if_assigned()", "primary"),
    ("select a from fleeting", "primary"),
    ("show work_mem", "primary"),
    ("set local work_mem = '3MB'", "primary"),
    ("copy watched to program 'cat > /dev/null'", "primary"),
];

#[test]
fn each_kind_of_statement_runs_where_it_can_do_no_harm() {
    let troupe = Troupe::eventual(SCHEMA);
    troupe.settle();
    let mut wrong = Vec::new();
    for (sql, place) in PLACES {
        let mut client = troupe.client();
        let ran = troupe.ran_on(|| drop(client.query(&marked(sql))));
        if ran != [*place] {
            wrong.push(format!("{sql}: {ran:?} instead of {place}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(troupe.counted("misroutes_total", &[]), 0);
}

#[test]
fn a_transaction_stays_in_one_place_from_its_first_statement_to_its_last() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let ran = troupe.ran_on(|| {
        client.run("begin");
        client.run(&marked("select a from watched"));
        client.run(&marked("update watched set b = 'two'"));
        assert_eq!(client.value(&marked("select b from watched")), "two");
        client.run("commit");
    });
    assert_eq!(ran, ["primary"]);
    let ran = troupe.ran_on(|| client.run(&marked("select b from watched")));
    assert_eq!(ran, ["replica"]);
}

#[test]
fn a_transaction_in_one_message_is_run_in_whole() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    client.run("begin; update watched set b = 'done'; commit");
    assert_eq!(troupe.primary.ask("select b from watched").unwrap(), "done");
}

#[test]
fn temporary_tables_are_found_by_reads() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    client.run("create temp table mine (a int)");
    client.run("insert into mine values (7)");
    assert_eq!(client.value("select a from mine"), "7");
    // So is one that hides a table of all.
    client.run("create temp table watched as select 9 as a");
    assert_eq!(client.value("select a from watched"), "9");
}

#[test]
fn what_hints_say_of_a_read_is_done() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let ran =
        troupe.ran_on(|| client.run(&marked("/* ambassador: primary */ select a from watched")));
    assert_eq!(ran, ["primary"]);
    let ran = troupe.ran_on(|| {
        client.run(&marked(
            "/* ambassador: replica */ select pg_is_in_recovery()",
        ))
    });
    assert_eq!(ran, ["replica"]);
}

#[test]
fn the_metrics_tell_where_texts_went_and_why() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let reads = || {
        troupe.counted(
            "route_decisions_total",
            &["role=\"replica\"", "proven_read"],
        )
    };
    let before = reads();
    client.run("select a from watched");
    client.run("begin");
    client.run("select a from watched");
    client.run("commit");
    assert_eq!(reads(), before + 1);
    let inside = ["role=\"primary\"", "reason=\"in_transaction\""];
    assert_eq!(troupe.counted("route_decisions_total", &inside), 1);
    let written = ["role=\"primary\"", "reason=\"write\""];
    client.run("delete from watched");
    assert_eq!(troupe.counted("route_decisions_total", &written), 1);
}

#[test]
fn a_replica_that_is_busy_is_none_that_failed() {
    let keys = ["routing.consistency=\"eventual\"", "pool_size=1"];
    let troupe = Troupe::new(1, "", &keys);
    let (mut busy, mut other) = (troupe.client(), troupe.client());
    busy.send(&crate::wire::query("select pg_sleep(0.5)"));
    let ran = troupe.ran_on(|| other.run(&marked("select a from watched")));
    assert_eq!(ran, ["replica"]);
    busy.until_ready();
}

#[test]
fn a_session_is_told_where_its_last_statement_ran() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let show = "show ambassador.last_backend";
    assert_eq!(client.value(show), "NULL NULL NULL NULL");
    let address = |port: u16| format!("127.0.0.1:{port}");
    client.run("select a from watched");
    let replica = address(troupe.replicas[0].port());
    assert_eq!(
        client.value(show),
        format!("{replica} replica NULL proven_read")
    );
    client.run("delete from watched");
    let primary = address(troupe.primary.port());
    assert_eq!(client.value(show), format!("{primary} primary NULL write"));
}
