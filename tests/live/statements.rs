//! Prepared statements in pipelines that do not wait: what a name means is decided where the
//! server decides it, whatever failed, was skipped or deallocated before.

use crate::{
    stage::{Stage, eventually},
    wire::{
        Frame, Wire, again, bind, close_statement, describe_statement, execute, parse, query, said,
        sync, terminate, unnamed,
    },
};

/// Everything in one write; the answers, up to the one to a last request of its own.
pub fn at_once(wire: &mut Wire, messages: &[Vec<u8>]) -> Vec<Frame> {
    wire.send(&[messages.concat(), query("select 'the end'")].concat());
    let mut seen = Vec::new();
    while !said(&seen).contains(&"row the end".to_owned()) {
        seen.extend(wire.until_ready());
    }
    seen
}

pub fn asked(messages: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for batch in messages {
        all.extend(batch.iter().cloned());
        all.push(sync());
    }
    all
}

#[test]
fn fact_24_a_name_whose_parse_is_skipped_is_unknown_to_the_next_batch_of_the_same_write() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![unnamed("select 1/0", &[]), parse("skipped", "select 5")],
                vec![again("skipped", &[])],
                vec![parse("skipped", "select 6"), again("skipped", &[])],
                vec![again("skipped", &[])],
            ]),
        )
    });
    let seen = said(&seen).join(", ");
    assert!(
        seen.contains("prepared statement \"skipped\" does not exist"),
        "{seen}"
    );
    assert!(seen.contains("row 6"), "{seen}");
}

#[test]
fn fact_25_a_name_whose_parse_fails_is_unknown_to_the_next_batch_of_the_same_write() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("failed", "selekt"), again("failed", &[])],
                vec![describe_statement("failed")],
                vec![close_statement("failed")],
                vec![parse("failed", "select 1"), parse("failed", "select 2")],
                vec![again("failed", &[])],
            ]),
        )
    });
}

#[test]
fn fact_24_a_name_whose_close_is_skipped_is_known_to_the_next_batch_of_the_same_write() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("kept", "select 1/0")],
                vec![again("kept", &[]), close_statement("kept")],
                vec![again("kept", &[])],
                vec![close_statement("kept")],
                vec![again("kept", &[])],
            ]),
        )
    });
}

#[test]
fn fact_24_a_statement_that_was_to_be_prepared_anew_and_was_skipped_is_prepared_for_the_next() {
    let stage = Stage::with_pool_of(2);
    let seen = stage.same(|wire| {
        let mut seen = at_once(
            wire,
            &asked(&[vec![
                parse("one", "select 'one' || $1"),
                parse("two", "select 'two'"),
            ]]),
        );
        // The next runs on another connection, where neither is.
        let mut other = stage.client();
        other.run("begin; select 1");
        seen.extend(at_once(
            wire,
            &asked(&[
                vec![again("one", &[]), again("two", &[])],
                vec![again("two", &[]), again("one", &["!"])],
            ]),
        ));
        seen
    });
    assert!(said(&seen).join(", ").contains("row one!"));
}

#[test]
fn fact_25_a_name_that_is_taken_costs_no_connection() {
    let stage = Stage::with_pool_of(1);
    let mut client = stage.client();
    let pid = client.value("select pg_backend_pid()");
    for _ in 0..3 {
        let said = said(&at_once(
            &mut client,
            &asked(&[
                vec![parse("s", "select 1"), parse("s", "select 2")],
                vec![again("s", &[])],
            ]),
        ));
        assert!(said.join(", ").contains("already exists"), "{said:?}");
        assert_eq!(client.value("select pg_backend_pid()"), pid);
        client.run("deallocate s");
        // Nothing of that name is left for others.
        let mut other = stage.client();
        let said = crate::wire::said(&other.ask(&[again("s", &[]), sync()]));
        assert!(said[0].contains("does not exist"), "{said:?}");
    }
}

#[test]
fn fact_31a_of_two_names_for_one_text_the_server_shows_the_one_that_was_meant() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![
                    parse("one", "select $1::int"),
                    parse("two", "select $1::int"),
                ],
                vec![again("two", &[])],
                vec![again("one", &[])],
                vec![again("two", &["1", "2"]), close_statement("two")],
            ]),
        )
    });
}

#[test]
fn fact_31a_the_server_shows_a_name_that_was_closed_meanwhile() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("s", "select $1::int")],
                vec![again("s", &[])],
                vec![close_statement("s")],
            ]),
        )
    });
}

#[test]
fn a_client_cannot_touch_the_statements_that_sessions_share() {
    let stage = Stage::with_pool_of(1);
    let mut victim = stage.client();
    let run = |wire: &mut Wire| said(&wire.ask(&[again("mine", &[]), sync()])).join(", ");
    victim.ask(&[parse("mine", "select 'secret'"), sync()]);
    // In a function it is not noticed that all of the connection's are shown.
    stage.directly(
        "create function ours() returns text language sql as \
         $$ select name from pg_prepared_statements where statement = 'select ''secret''' $$",
    );
    let ours = stage.client().value("select ours()");
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![again(&ours, &[])],
                vec![describe_statement(&ours)],
                vec![close_statement(&ours)],
                vec![unnamed(&format!("deallocate \"{ours}\""), &[])],
                vec![unnamed(&format!("execute \"{ours}\""), &[])],
                vec![parse(&ours, "select 'own'"), again(&ours, &[])],
                vec![parse(&ours, "select 'own'")],
                vec![close_statement(&ours), again(&ours, &[])],
            ]),
        )
    });
    assert!(run(&mut victim).contains("row secret"));
}

#[test]
fn names_of_statements_count_to_their_63rd_byte() {
    let stage = Stage::with_pool_of(1);
    let long = "n".repeat(63);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse(&format!("{long}1"), "select 1")],
                vec![parse(&format!("{long}2"), "select 2")],
                vec![again(&long, &[])],
                vec![close_statement(&format!("{long}3")), again(&long, &[])],
            ]),
        )
    });
}

#[test]
fn fact_28_the_unnamed_statement_is_the_one_that_the_server_took() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("", "select 'first'")],
                vec![parse("bad", "selekt"), parse("", "select 'skipped'")],
                vec![again("", &[])],
                vec![parse("", "selekt")],
                vec![again("", &[])],
                vec![parse("", "select 'second'")],
                vec![parse("bad", "selekt"), query("select 'skipped'")],
                vec![again("", &[])],
                vec![parse("bad", "selekt"), close_statement("")],
                vec![again("", &[])],
            ])[..],
        )
    });
}

#[test]
fn a_client_that_leaves_with_requests_held_back_has_them_answered_by_nobody() {
    let stage = Stage::with_pool_of(1);
    let mut client = stage.client();
    client.send(
        &[
            asked(&[
                vec![unnamed("select pg_sleep(0.2)", &[]), parse("s", "select 1")],
                vec![again("s", &[])],
            ])
            .concat(),
            terminate(),
        ]
        .concat(),
    );
    client.until_closed();
    let mut other = stage.client();
    other.run("select 1");
    eventually("one connection", || stage.connections() == 1);
}

/// What two clients see of a table that changes under their statements. Between the steps another
/// client takes the connection that was used last, so that each runs on another.
fn schema_change(stage: &Stage, table: &str, connect: impl Fn() -> Wire) -> Vec<Vec<String>> {
    let sql = format!("select * from {table} where a > $1");
    let mut first = connect();
    let mut second = connect();
    let step = |wire: &mut Wire, messages: &[Vec<u8>]| {
        let mut seen = said(&wire.ask(&[messages.concat(), sync()]));
        seen.insert(0, "-".to_owned());
        let mut other = stage.client();
        other.run("begin; select 1");
        seen.extend(said(&wire.ask(&[messages.concat(), sync()])));
        other.run("commit");
        seen
    };
    let insert = format!("insert into {table} values ($1)");
    let mut seen = vec![
        step(&mut first, &[parse("s", &sql), describe_statement("s")]),
        step(
            &mut first,
            &[parse("i", &insert), close_statement("s"), parse("s", &sql)],
        ),
        step(&mut first, &[again("s", &["0"])]),
    ];
    let mut alter = |change: &str| {
        stage.directly(&format!("alter table {table} {change}"));
        seen.push(step(&mut first, &[again("s", &["0"])]));
        seen.push(step(&mut first, &[describe_statement("s")]));
        seen.push(step(
            &mut second,
            &[parse("s", &sql), again("s", &["0"]), close_statement("s")],
        ));
        seen.push(step(
            &mut second,
            &[parse("", &sql), bind("", "", &["0"]), execute("", 0)],
        ));
        seen.push(step(&mut first, &[again("i", &["1"])]));
        seen.push(step(&mut first, &[again("s", &["0"])]));
    };
    alter("add b text default 'b'");
    alter("alter a type bigint");
    alter("rename b to c");
    alter("drop c");
    alter("alter a type int");
    alter("alter a type text");
    seen.push(step(
        &mut first,
        &[close_statement("s"), parse("s", &sql), again("s", &["0"])],
    ));
    seen.push(step(&mut second, &[parse("s", &sql)]));
    seen.push(step(&mut second, &[again("s", &["0"])]));
    stage.directly(&format!(
        "drop table {table}; create table {table} (a text)"
    ));
    seen.push(step(&mut second, &[again("s", &["0"])]));
    stage.directly(&format!("drop table {table}"));
    seen.push(step(&mut second, &[again("s", &["0"])]));
    seen.push(step(
        &mut second,
        &[again("s", &["0"]), close_statement("s"), parse("s", &sql)],
    ));
    seen
}

#[test]
fn fact_32_after_a_schema_change_old_statements_fail_and_new_ones_fit_on_every_connection() {
    let stage = Stage::with_pool_of(2);
    let make = |table: &str| stage.directly(&format!("create table {table} (a int)"));
    make("things");
    let direct = schema_change(&stage, "things", || stage.direct());
    make("things");
    let through = schema_change(&stage, "things", || stage.client());
    for (at, (through, direct)) in through.iter().zip(&direct).enumerate() {
        assert_eq!(through, direct, "step {at}");
    }
    let stale = |seen: &&Vec<String>| seen.join(" ").contains("0A000");
    assert!(direct.iter().filter(stale).count() > 5);
}

#[test]
fn fact_32_a_statement_is_compared_before_it_runs_where_it_has_just_been_prepared() {
    let stage = Stage::with_pool_of(2);
    stage.directly("create table t (a int); insert into t values (1)");
    let mut client = stage.client();
    let insert = "insert into t values (2) returning *";
    client.ask(&[parse("s", insert), describe_statement("s"), sync()]);
    stage.directly("alter table t add b int");
    // On a connection that has never seen it, in a pipeline, inside a transaction.
    let mut other = stage.client();
    other.run("begin; select 1");
    let seen = at_once(
        &mut client,
        &[
            query("begin"),
            unnamed("insert into t values (3)", &[]),
            again("s", &[]),
            unnamed("insert into t values (4)", &[]),
            sync(),
            query("rollback"),
            again("s", &[]),
            sync(),
        ],
    );
    let seen = said(&seen).join(", ");
    assert_eq!(
        seen.matches("cached plan must not change result type")
            .count(),
        2,
        "{seen}"
    );
    assert!(seen.contains("ready E, ROLLBACK, ready I"), "{seen}");
    assert!(!seen.contains("_ambassador_"), "{seen}");
    assert_eq!(stage.directly("select count(*) from t"), "1");
}

#[test]
fn fact_32_what_was_accepted_before_a_schema_change_is_asked_for_anew_even_in_a_crowd() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let prepare = [parse("s", "select * from t"), sync()];
    let mut client = stage.client();
    client.ask(&prepare);
    stage.directly("alter table t add b int");
    let stale = said(&client.ask(&[again("s", &[]), sync()]));
    assert!(stale.join(" ").contains("0A000"), "{stale:?}");
    client.run("deallocate all");
    // All connections are in use: a Parse alone could be answered from what is known.
    let mut other = stage.client();
    other.run("begin");
    client.send(&prepare.concat());
    other.run("commit");
    client.until_ready();
    let fresh = said(&client.ask(&[again("s", &[]), sync()]));
    assert_eq!(fresh, ["bound", "SELECT 0", "ready I"]);
}

#[test]
fn fact_28_what_a_later_query_drops_does_not_come_back_with_one_that_was_skipped() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &[
                parse("", "select 'first'"),
                execute("nowhere", 0),
                query("select 'skipped'"),
                sync(),
                query("select 'run'"),
                again("", &[]),
                sync(),
            ],
        )
    });
}

#[test]
fn fact_28_what_a_skipped_query_would_have_dropped_is_back_only_if_its_parse_had_not_failed() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        let use_it = [bind("", "", &[]), execute("", 0), sync()].concat();
        at_once(
            wire,
            &[
                [parse("", "select 1"), sync()].concat(),
                [execute("nobody", 0), query("select 2"), sync()].concat(),
                use_it.clone(),
                [parse("", "selekt"), sync()].concat(),
                [execute("nobody", 0), query("select 3"), sync()].concat(),
                use_it,
            ],
        )
    });
}

#[test]
fn fact_29_what_we_slip_in_and_what_we_put_back_keep_their_place_among_the_servers_replies() {
    let stage = Stage::with_pool_of(2);
    // Known already, so that each Parse has a Close of ours ahead of it.
    stage.client().ask(&[parse("x", "select $1::int"), sync()]);
    let seen = stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![
                    close_statement("nobody"),
                    parse("s", "select $1::int"),
                    bind("", "s", &["1"]),
                    close_statement("nobody"),
                    execute("", 0),
                    parse("t", "select $1::int"),
                    describe_statement("t"),
                    unnamed("deallocate s", &[]),
                    again("t", &["2"]),
                    unnamed("deallocate all", &[]),
                    parse("s", "select $1::int"),
                    again("s", &["3"]),
                    again("t", &["4"]),
                    again("s", &["5"]),
                ],
                vec![again("s", &["6"])],
            ]),
        )
    });
    let rows: Vec<String> = said(&seen)
        .into_iter()
        .filter(|one| one.starts_with("row"))
        .collect();
    assert_eq!(rows, ["row 1", "row 2", "row 3", "row 6", "row the end"]);
}

#[test]
fn of_two_names_for_one_text_the_elder_stays_stale_behind_the_parse_of_the_younger() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        wire.run("drop table if exists t; create table t (a int); insert into t values (7)");
        wire.ask(&[parse("a", "select * from t"), sync()]);
        wire.run("alter table t add column b int default 5");
        let younger = [parse("b", "select * from t"), again("a", &[]), sync()];
        [
            said(&wire.ask(&younger)),
            said(&wire.ask(&[again("b", &[]), sync()])),
        ]
    });
}

#[test]
fn a_name_whose_close_is_skipped_means_what_its_parse_found() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        wire.run("drop table if exists t; create table t (a int); insert into t values (7)");
        wire.ask(&[parse("elder", "select * from t"), sync()]);
        wire.run("alter table t add column b int default 5");
        let fails = execute("nobody", 0);
        let batch = [
            parse("c", "select * from t"),
            fails,
            close_statement("c"),
            sync(),
        ];
        [
            said(&wire.ask(&batch)),
            said(&wire.ask(&[again("c", &[]), sync()])),
        ]
    });
}
