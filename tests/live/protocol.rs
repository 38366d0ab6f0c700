//! Messages, one by one: each conversation runs directly and through, and every byte is compared.

use std::time::Duration;

use crate::{
    stage::{Stage, eventually},
    wire::{
        Wire, again, bind, close_portal, close_statement, copy_data, copy_done, copy_fail,
        describe_portal, describe_statement, error, execute, flush, message, parse, query, said,
        startup, sync, terminate, unnamed,
    },
};

#[test]
fn a_simple_query_is_answered_byte_for_byte() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        [
            wire.query("select 1 as one, null::text as nothing, 'x' || repeat('y', 3)"),
            wire.query("select 1; select 'two' where false; create table t (a int); drop table t"),
            wire.query("select 1; select 1/0; select 3"),
            wire.query("selekt"),
            wire.query(""),
            wire.query(" ; ;-- nothing\n;"),
            wire.query("do $$ begin raise notice 'told'; end $$"),
            wire.query("begin; select 1; commit; select 2"),
            wire.query("begin; select 1/0; select 3"),
            wire.query("select 4"),
            wire.query("rollback"),
        ]
    });
    assert_eq!(
        said(&seen[0]),
        ["columns", "row 1 NULL xyyy", "SELECT 1", "ready I"]
    );
    assert_eq!(error(&seen[9]).code(), "25P02");
}

#[test]
fn extended_messages_are_answered_byte_for_byte() {
    let stage = Stage::with_pool_of(1);
    // Made once: a table's number shows in what Describe tells.
    stage.directly("create table things (a int)");
    let seen = stage.same(|wire| {
        [
            wire.ask(&[
                parse("one", "select $1::int + 1 as next"),
                describe_statement("one"),
                bind("door", "one", &["41"]),
                describe_portal("door"),
                execute("door", 0),
                close_portal("door"),
                close_statement("one"),
                sync(),
            ]),
            wire.ask(&[unnamed("", &[]), sync()]),
            wire.ask(&[unnamed("truncate things", &[]), sync()]),
            wire.ask(&[
                unnamed("insert into things values ($1::int)", &["7"]),
                sync(),
            ]),
            wire.ask(&[
                unnamed("update things set a = a + 1 returning a", &[]),
                sync(),
            ]),
            wire.ask(&[describe_statement(""), describe_statement("none"), sync()]),
            wire.ask(&[describe_portal("none"), sync()]),
            wire.ask(&[execute("none", 0), sync()]),
            wire.ask(&[unnamed("create temp table more ()", &[]), sync()]),
        ]
    });
    assert_eq!(
        said(&seen[0]),
        [
            "parsed",
            "parameters",
            "columns",
            "bound",
            "columns",
            "row 42",
            "SELECT 1",
            "closed",
            "closed",
            "ready I"
        ]
    );
}

#[test]
fn a_flush_is_answered_before_there_is_a_sync() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        wire.send(&[parse("", "select $1::text"), flush()].concat());
        let parsed = wire.until(b'1');
        wire.send(&[bind("", "", &["x"]), describe_portal(""), flush()].concat());
        let bound = wire.until(b'T');
        wire.send(&[execute("", 0), flush()].concat());
        let row = wire.until(b'C');
        [parsed, bound, row, wire.ask(&[sync()])]
    });
    assert_eq!(said(&seen.concat()).last().unwrap(), "ready I");
}

#[test]
fn an_error_in_a_pipeline_skips_to_the_next_sync_and_no_further() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        wire.send(
            &[
                unnamed("select 1", &[]),
                sync(),
                parse("", "select 1/0"),
                bind("", "", &[]),
                execute("", 0),
                parse("skipped", "select 5"),
                query("select 'skipped too'"),
                close_portal("skipped"),
                sync(),
                unnamed("select 3", &[]),
                sync(),
                query("select 4"),
                query("select 5"),
            ]
            .concat(),
        );
        [(); 5].map(|()| wire.until_ready())
    });
    assert_eq!(error(&seen[1]).code(), "22012");
    assert_eq!(
        said(&seen[2]),
        ["parsed", "bound", "row 3", "SELECT 1", "ready I"]
    );
}

#[test]
fn what_comes_after_an_error_and_before_its_sync_is_dropped_even_if_it_comes_late() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        wire.send(&[parse("", "select wrong"), flush()].concat());
        let failed = wire.until(b'E');
        wire.send(&[bind("", "", &[]), query("select 1"), flush()].concat());
        assert!(wire.is_silent(Duration::from_millis(100)));
        [
            failed,
            wire.ask(&[parse("dropped", "select 2"), sync()]),
            wire.ask(&[again("dropped", &[]), sync()]),
        ]
    });
    assert_eq!(said(&seen[1]), ["ready I"]);
    assert_eq!(error(&seen[2]).code(), "26000");
}

#[test]
fn a_name_that_is_taken_or_unknown_is_refused_under_the_clients_own_name() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        [
            wire.ask(&[parse("mine", "select $1::int"), sync()]),
            wire.ask(&[parse("mine", "select 2"), sync()]),
            wire.ask(&[again("mine", &["6"]), sync()]),
            wire.ask(&[again("mine", &[]), sync()]),
            wire.ask(&[again("other", &[]), sync()]),
            wire.ask(&[describe_statement("other"), sync()]),
            wire.ask(&[close_statement("other"), sync()]),
            wire.ask(&[close_statement("mine"), sync()]),
            wire.ask(&[again("mine", &["6"]), sync()]),
            wire.ask(&[parse("mine", "select 'anew'"), again("mine", &[]), sync()]),
            wire.ask(&[parse("bad", "select wrong"), sync()]),
            wire.ask(&[again("bad", &[]), sync()]),
            wire.ask(&[parse("bad", "select 'good'"), again("bad", &[]), sync()]),
        ]
    });
    let errors = |at: usize| error(&seen[at]).to_string();
    assert_eq!(
        errors(1),
        "42P05 prepared statement \"mine\" already exists"
    );
    assert_eq!(
        errors(3),
        "08P01 bind message supplies 0 parameters, but prepared statement \"mine\" requires 1"
    );
    assert_eq!(
        errors(4),
        "26000 prepared statement \"other\" does not exist"
    );
    assert_eq!(
        errors(8),
        "26000 prepared statement \"mine\" does not exist"
    );
}

#[test]
fn a_parse_in_a_failed_transaction_leaves_no_name() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        wire.query("begin");
        wire.query("select 1/0");
        [
            wire.ask(&[parse("late", "select 1"), sync()]),
            wire.query("rollback"),
            wire.ask(&[again("late", &[]), sync()]),
        ]
    });
    assert_eq!(error(&seen[0]).code(), "25P02");
    assert_eq!(error(&seen[2]).code(), "26000");
}

#[test]
fn statements_outlive_the_transaction_that_made_them_even_when_it_is_rolled_back() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        wire.query("begin");
        let made = wire.ask(&[parse("kept", "select 'kept'"), sync()]);
        wire.query("rollback");
        [made, wire.ask(&[again("kept", &[]), sync()])]
    });
}

#[test]
fn the_unnamed_statement_survives_to_a_later_bind_on_the_same_connection_used_by_others() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.ask(&[parse("", "select 'mine ' || $1"), sync()]);
    other.ask(&[unnamed("select 'not mine'", &[]), sync()]);
    let bound = one.ask(&[again("", &["a"]), sync()]);
    assert_eq!(said(&bound), ["bound", "row mine a", "SELECT 1", "ready I"]);
    other.query("select 'a simple query destroys it'");
    let bound = one.ask(&[describe_statement(""), again("", &["b"]), sync()]);
    assert_eq!(said(&bound)[3], "row mine b");
}

#[test]
fn the_unnamed_statement_survives_to_a_later_bind_on_another_connection() {
    let stage = Stage::with_pool_of(2);
    let mut one = stage.client();
    one.ask(&[parse("", "select 'mine ' || $1"), sync()]);
    assert_eq!(stage.connections(), 1);
    let mut other = stage.client();
    other.query("begin; select 1");
    assert_eq!(stage.connections(), 1);
    let bound = one.ask(&[again("", &["a"]), sync()]);
    assert_eq!(said(&bound), ["bound", "row mine a", "SELECT 1", "ready I"]);
    assert_eq!(stage.connections(), 2);
}

#[test]
fn the_unnamed_statement_ends_with_a_simple_query_a_close_or_a_failed_parse() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        let unnamed = || parse("", "select 1");
        let mut seen = vec![wire.ask(&[again("", &[]), sync()])];
        wire.ask(&[unnamed(), sync()]);
        wire.query("select 2");
        seen.push(wire.ask(&[again("", &[]), sync()]));
        wire.ask(&[unnamed(), sync()]);
        seen.push(wire.ask(&[close_statement(""), again("", &[]), sync()]));
        wire.ask(&[unnamed(), sync()]);
        wire.ask(&[parse("", "select wrong"), sync()]);
        seen.push(wire.ask(&[again("", &[]), sync()]));
        seen
    });
    for frames in &seen {
        assert_eq!(error(frames).code(), "26000");
    }
}

#[test]
fn a_named_statement_follows_its_client_to_every_connection() {
    let stage = Stage::with_pool_of(3);
    let mut one = stage.client();
    one.ask(&[parse("mine", "select 'mine ' || $1"), sync()]);
    let mut others = Vec::new();
    for number in 0..3 {
        let text = number.to_string();
        let bound = one.ask(&[again("mine", &[&text]), sync()]);
        assert_eq!(said(&bound)[1], format!("row mine {number}"));
        if number < 2 {
            let mut other = stage.client();
            other.ask(&[parse("mine", "select 'another'"), sync()]);
            other.query("begin; select 1");
            others.push(other);
        }
    }
    assert_eq!(stage.connections(), 3);
    for other in &mut others {
        let bound = other.ask(&[again("mine", &[]), sync()]);
        assert_eq!(said(&bound)[1], "row another");
    }
}

#[test]
fn a_portal_with_a_row_limit_goes_on_in_its_transaction() {
    let stage = Stage::with_pool_of(2);
    let seen = stage.same(|wire| {
        wire.query("begin");
        let text = "select generate_series(1, $1::int)";
        wire.ask(&[parse("", text), bind("p", "", &["5"]), sync()]);
        let first = wire.ask(&[execute("p", 2), sync()]);
        let second = wire.ask(&[execute("p", 2), sync()]);
        // Somebody else's work in between goes elsewhere.
        assert_eq!(stage.client().value("select 'between'"), "between");
        let last = wire.ask(&[execute("p", 0), sync()]);
        let over = wire.ask(&[execute("p", 0), sync()]);
        wire.query("commit");
        let gone = wire.ask(&[execute("p", 0), sync()]);
        [first, second, last, over, gone]
    });
    assert_eq!(said(&seen[0]), ["row 1", "row 2", "suspended", "ready T"]);
    assert_eq!(said(&seen[1]), ["row 3", "row 4", "suspended", "ready T"]);
    assert_eq!(said(&seen[2]), ["row 5", "SELECT 1", "ready T"]);
    assert_eq!(error(&seen[4]).code(), "34000");
}

#[test]
fn a_portal_outside_a_transaction_ends_with_its_sync() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        let text = "select generate_series(1, 3)";
        let first = wire.ask(&[parse("", text), bind("p", "", &[]), execute("p", 2), sync()]);
        [first, wire.ask(&[execute("p", 2), sync()])]
    });
    assert_eq!(said(&seen[0])[4], "suspended");
    assert_eq!(error(&seen[1]).code(), "34000");
}

#[test]
fn a_client_that_writes_byte_by_byte_is_understood() {
    let stage = Stage::with_pool_of(1);
    let mut wire = Wire::open(stage.port());
    let who = [("user", "postgres"), ("database", &*stage.database)];
    let mut bytes = startup(crate::wire::VERSION, &who);
    bytes.extend(parse("tiny", "select 'in pieces ' || $1"));
    bytes.extend(
        [
            again("tiny", &["a"]),
            sync(),
            query("select 2"),
            query("select 3"),
        ]
        .concat(),
    );
    for byte in bytes {
        wire.send(&[byte]);
    }
    wire.welcomed().unwrap();
    let answer = wire.until_ready();
    assert_eq!(
        said(&answer),
        ["parsed", "bound", "row in pieces a", "SELECT 1", "ready I"]
    );
    assert_eq!(said(&wire.until_ready())[1], "row 2");
    assert_eq!(said(&wire.until_ready())[1], "row 3");
}

#[test]
fn requests_that_come_with_the_start_up_are_answered() {
    let stage = Stage::with_pool_of(1);
    let mut wire = Wire::open(stage.port());
    let who = [("user", "postgres"), ("database", &*stage.database)];
    wire.send(&[startup(crate::wire::VERSION, &who), query("select 'early'")].concat());
    wire.welcomed().unwrap();
    assert_eq!(said(&wire.until_ready())[1], "row early");
}

#[test]
fn a_simple_query_joins_extended_messages_that_have_no_sync() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        let mixed = wire.ask(&[unnamed("select 1", &[]), query("select 2")]);
        [mixed, wire.ask(&[sync()]), wire.query("select 3")]
    });
}

#[test]
fn a_function_call_has_its_answer_and_its_ready() {
    let stage = Stage::with_pool_of(1);
    // abs(int4) of -7, in text.
    let mut body = 1397_u32.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 1, 0, 0, 0, 2, b'-', b'7', 0, 0]);
    let seen = stage.same(|wire| [wire.ask(&[message(b'F', &body)]), wire.query("select 1")]);
    assert_eq!(seen[0].len(), 2, "{seen:?}");
    assert_eq!(said(&seen[1])[1], "row 1");
}

#[test]
fn an_unknown_message_ends_the_session_as_it_does_directly() {
    let stage = Stage::with_pool_of(1);
    for wire in [&mut stage.direct(), &mut stage.client()] {
        wire.send(&message(b'?', b"what"));
        assert_eq!(error(&wire.until_closed()).code(), "08P01");
    }
    assert_eq!(stage.client().value("select 1"), "1");
}

#[test]
fn copy_in_ignores_syncs_and_flushes_and_ends_in_order() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int, b text)");
    let seen = stage.same(|wire| {
        wire.run("truncate t");
        wire.send(&query("copy t from stdin; select count(*) from t"));
        let begun = wire.until(b'G');
        wire.send(
            &[
                copy_data("1\tone\n2\tt"),
                flush(),
                sync(),
                copy_data("wo\n"),
            ]
            .concat(),
        );
        let simple = wire.ask(&[copy_done()]);
        wire.send(&[unnamed("copy t from stdin", &[]), flush()].concat());
        let extended = wire.until(b'G');
        let done = wire.ask(&[copy_data("3\tthree\n"), copy_done(), sync()]);
        [
            begun,
            simple,
            extended,
            done,
            wire.query("select count(*) from t"),
        ]
    });
    assert_eq!(
        said(&seen[1]),
        ["COPY 2", "columns", "row 2", "SELECT 1", "ready I"]
    );
    assert_eq!(said(&seen[3]), ["COPY 1", "ready I"]);
}

#[test]
fn what_a_client_still_copies_after_the_servers_error_is_swallowed() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let seen = stage.same(|wire| {
        wire.send(&query("copy t from stdin"));
        wire.until(b'G');
        wire.send(&copy_data("wrong\n"));
        wire.send(&copy_data(&"1\n".repeat(50_000)));
        let failed = wire.until_ready();
        wire.send(&[copy_data("2\n"), copy_data("3\n"), copy_done()].concat());
        let next = wire.query("select count(*) from t");
        wire.send(&[unnamed("copy t from stdin", &[]), flush()].concat());
        wire.until(b'G');
        wire.send(&copy_data("wrong again\n"));
        let error = wire.until(b'E');
        wire.send(&[copy_data("2\n"), copy_done(), query("select 'dropped'")].concat());
        let ready = wire.ask(&[sync()]);
        [failed, next, error, ready, wire.query("select 2")]
    });
    assert_eq!(error(&seen[0]).code(), "22P02");
    assert_eq!(said(&seen[1])[1], "row 0");
    assert_eq!(said(&seen[3]), ["ready I"]);
}

#[test]
fn a_copy_that_the_client_gives_up_fails_with_the_clients_words() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let seen = stage.same(|wire| {
        wire.send(&query("copy t from stdin"));
        wire.until(b'G');
        [
            wire.ask(&[copy_data("1\n"), copy_fail("changed my mind")]),
            wire.query("select 1"),
        ]
    });
    assert_eq!(error(&seen[0]).code(), "57014");
    assert!(error(&seen[0]).message().contains("changed my mind"));
}

#[test]
fn copy_out_comes_byte_for_byte() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        let text = "copy (select g, repeat('x', g) from generate_series(1, 3) g) to stdout";
        let simple = wire.query(&format!("{text}; select 1"));
        let extended = wire.ask(&[unnamed(text, &[]), sync()]);
        let failing = wire.query("copy (select 1/(3-g) from generate_series(1, 3) g) to stdout");
        [simple, extended, failing]
    });
    assert_eq!(said(&seen[0])[3], "data 3\txxx");
    assert_eq!(error(&seen[2]).code(), "22012");
}

#[test]
fn a_goodbye_inside_a_transaction_rolls_it_back() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut leaves = stage.client();
    leaves.run("begin; select 1");
    leaves.run("insert into t values (1)");
    leaves.bye();
    let mut next = stage.client();
    assert_eq!(next.value("select count(*) from t"), "0");
    next.run("insert into t values (2)");
    assert_eq!(stage.directly("select a from t"), "2");
}

#[test]
fn a_goodbye_right_behind_a_request_does_not_keep_it_from_running() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    stage
        .client()
        .send(&[query("insert into t values (1)"), terminate()].concat());
    eventually("the row is there", || {
        stage.directly("select count(*) from t") == "1"
    });
}

#[test]
fn statements_of_a_client_that_left_before_its_sync_are_nobody_elses() {
    let stage = Stage::with_pool_of(1);
    let mut leaves = stage.client();
    leaves.send(
        &[
            parse("left", "select 'behind'"),
            bind("p", "left", &[]),
            flush(),
        ]
        .concat(),
    );
    leaves.until(b'2');
    drop(leaves);
    let mut next = stage.client();
    assert_eq!(next.value("select 1"), "1");
    let frames = next.ask(&[again("left", &[]), sync()]);
    assert_eq!(error(&frames).code(), "26000");
    let frames = next.ask(&[execute("p", 0), sync()]);
    assert_eq!(error(&frames).code(), "34000");
}

#[test]
fn session_pooling_speaks_the_same_protocol() {
    let stage = Stage::new(&[
        "--pool-size",
        "1",
        "--workers",
        "1",
        "--pool-mode",
        "session",
    ]);
    let seen = stage.same(|wire| {
        [
            wire.ask(&[parse("mine", "select $1::int"), sync()]),
            wire.ask(&[parse("mine", "select 2"), sync()]),
            wire.ask(&[again("mine", &["6"]), sync()]),
            wire.ask(&[again("mine", &[]), sync()]),
            wire.query("execute mine(5)"),
            wire.query("deallocate mine"),
            wire.ask(&[again("mine", &["6"]), sync()]),
        ]
    });
    assert_eq!(said(&seen[4])[1], "row 5");
    assert_eq!(error(&seen[6]).code(), "26000");
}
