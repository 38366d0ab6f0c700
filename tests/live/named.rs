//! Statements that SQL names: PREPARE, EXECUTE and DEALLOCATE, without a connection of one's own.

use crate::{
    deferred::standby,
    stage::{Stage, connections, eventually, observer},
    statements::{asked, at_once},
    support::Served,
    wire::{
        Wire, again, bind, close_statement, describe_statement, error, execute, message, parse,
        query, said, sync, unnamed,
    },
};

/// What each of these is answered, one after another.
fn answers(wire: &mut Wire, texts: &[&str]) -> Vec<Vec<String>> {
    texts.iter().map(|sql| said(&wire.query(sql))).collect()
}

/// The same in the extended protocol, through the unnamed statement.
fn extended(wire: &mut Wire, texts: &[&str]) -> Vec<Vec<String>> {
    let ask = |sql: &&str| said(&wire.ask(&[unnamed(sql, &[]), sync()]));
    texts.iter().map(ask).collect()
}

const MINE: &[&str] = &[
    "prepare p as select 'mine'",
    "execute p",
    "prepare p as select 'again'",
    "prepare q (int, text) as select $1 + 1, $2",
    "execute q(1, 'a')",
    "execute q('x')",
    "explain (costs off) execute p",
    "deallocate p",
    "execute p",
    "deallocate p",
    "deallocate prepare q",
    "execute q(1, 'a')",
    "prepare broken as select nothing",
    "execute broken",
    "prepare \"P q\" as select 'odd'",
    "execute \"P q\"",
    "execute p",
    "deallocate all",
    "execute \"P q\"",
    "prepare p as select 'anew'",
    "discard plans",
    "execute p",
    "discard all",
    "execute p",
];

const THEIRS: &[&str] = &[
    "prepare p as select 'theirs' as t, 2",
    "execute p",
    "deallocate q",
    "prepare q as select 'q of theirs'",
    "execute q",
    "deallocate broken",
];

/// Two clients take turns on one connection, and each sees what it would see alone.
fn in_turns(act: fn(&mut Wire, &[&str]) -> Vec<Vec<String>>) {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    let (mut first, mut second) = (stage.direct(), stage.direct());
    for (at, text) in MINE.iter().enumerate() {
        assert_eq!(act(&mut one, &[text]), act(&mut first, &[text]), "{text}");
        let text = THEIRS[at % THEIRS.len()];
        assert_eq!(
            act(&mut other, &[text]),
            act(&mut second, &[text]),
            "{text}, of the other"
        );
        // Two of them are direct.
        assert_eq!(stage.connections(), 3, "{text}");
    }
}

#[test]
fn clients_that_prepare_in_sql_share_one_connection_and_none_sees_the_others_statements() {
    in_turns(answers);
}

#[test]
fn they_do_in_the_extended_protocol() {
    in_turns(extended);
}

#[test]
fn what_is_prepared_outlives_a_rollback_and_what_failed_leaves_no_name() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    stage.same(|wire| {
        let mut seen = answers(
            wire,
            &[
                "begin",
                "prepare p as select 1",
                "savepoint s",
                "prepare q as select 2",
                "prepare r as selekt",
                "rollback to s",
                "execute q",
                "rollback",
            ],
        );
        other.query("prepare p as select 'others'");
        seen.extend(answers(
            wire,
            &["begin", "execute p", "execute q", "rollback"],
        ));
        other.query("deallocate p");
        seen.extend(answers(wire, &["begin", "deallocate p", "rollback"]));
        other.query("prepare p as select 'others'");
        seen.extend(answers(wire, &["execute p", "execute r", "execute q"]));
        other.query("deallocate all");
        seen
    });
}

#[test]
fn of_several_commands_in_a_text_those_count_that_were_reached() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    for (at, texts) in [
        &["prepare a as select 1; prepare b as select 2; execute a; deallocate a; execute b"][..],
        &["prepare a as select 1; select 1/0; prepare b as select 2"],
        &["prepare a as select 1; prepare a as select 2; prepare b as select 3"],
        &[
            "prepare a as select 1",
            "deallocate a; prepare a as select 'new'; execute a",
        ],
        &["prepare a as select 1; prepare b as select 2; deallocate all"],
        &[
            "prepare a as select 1",
            "execute a; deallocate all; execute a",
        ],
        &["begin; prepare a as select 1; rollback; execute a; deallocate b"],
    ]
    .into_iter()
    .enumerate()
    {
        stage.same(|wire| {
            let mut seen = answers(wire, texts);
            other.query(&format!("prepare a as select 'other {at}'; deallocate a"));
            seen.extend(answers(wire, &["execute a", "execute b"]));
            seen
        });
    }
}

#[test]
fn a_statement_whose_table_is_gone_fails_as_it_does_directly_and_takes_nothing_else_along() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    stage.same(|wire| {
        wire.run("create table t (a int)");
        wire.run("prepare p as select a from t");
        other.query("prepare p as select 'others'");
        wire.run("drop table t");
        let mut seen = answers(wire, &["select 1; execute p", "select 2", "begin"]);
        seen.extend(answers(wire, &["execute p", "select 3", "rollback"]));
        seen.push(said(&at_once(
            wire,
            &[query("execute p"), query("select 4")],
        )));
        wire.run("create table t (a int, b int)");
        seen.extend(answers(wire, &["execute p", "drop table t"]));
        seen.extend(answers(wire, &["execute p", "deallocate p"]));
        seen.extend(answers(
            wire,
            &[
                "prepare p as select 1 as a",
                "create table made as execute p",
                "table made",
                "drop table made",
            ],
        ));
        seen
    });
}

#[test]
fn messages_of_the_protocol_may_name_what_sql_has_prepared() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    stage.same(|wire| {
        let mut seen = answers(wire, &["prepare p (int) as select $1 + 1"]);
        other.query("prepare p as select 'others'");
        seen.push(said(&wire.ask(&[
            describe_statement("p"),
            again("p", &["4"]),
            sync(),
        ])));
        other.query("deallocate p");
        other.ask(&[parse("p", "select 'others'"), sync()]);
        seen.push(said(&wire.ask(&[parse("p", "select 1"), sync()])));
        seen.push(said(&wire.ask(&[again("p", &["5"]), sync()])));
        seen.push(said(&wire.ask(&[close_statement("p"), sync()])));
        seen.push(said(&wire.ask(&[again("p", &["5"]), sync()])));
        seen.extend(answers(
            wire,
            &["execute p(1)", "prepare p as select 'new'"],
        ));
        seen.extend(answers(wire, &["execute p", "deallocate all"]));
        seen.push(said(&wire.ask(&[describe_statement("p"), sync()])));
        other.query("deallocate all");
        seen
    });
}

#[test]
fn sql_may_name_what_the_protocol_has_prepared() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    stage.same(|wire| {
        wire.ask(&[parse("p", "select 'mine', $1::int"), sync()]);
        other.query("prepare p as select 'others'");
        let mut seen = answers(wire, &["execute p(1)", "explain (costs off) execute p(1)"]);
        other.query("execute p");
        seen.extend(answers(
            wire,
            &[
                "begin",
                "execute p(2)",
                "commit",
                "prepare p as select 1",
                "select 1; deallocate p",
                "execute p(3)",
            ],
        ));
        seen.push(said(&wire.ask(&[again("p", &["5"]), sync()])));
        wire.ask(&[parse("P", "select 'upper'"), sync()]);
        seen.extend(answers(
            wire,
            &["execute P", "execute \"P\"", "deallocate \"P\""],
        ));
        seen.push(said(&wire.ask(&[again("P", &[]), sync()])));
        other.query("deallocate all");
        seen
    });
}

#[test]
fn in_a_batch_names_mean_what_they_do_at_their_place() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.run("prepare p as select 'others'");
    other.run("prepare q as select 'others'");
    stage.same(|wire| {
        let seen = at_once(
            wire,
            &asked(&[
                vec![
                    unnamed("prepare p as select 'mine'", &[]),
                    unnamed("execute p", &[]),
                    again("p", &[]),
                ],
                vec![
                    unnamed("select 1/0", &[]),
                    unnamed("prepare q as select 1", &[]),
                ],
                vec![unnamed("execute q", &[])],
                vec![unnamed("deallocate p", &[]), unnamed("execute p", &[])],
                vec![unnamed("execute p", &[])],
                vec![parse("s", "execute t"), sync()],
                vec![
                    parse("t", "select 'of the protocol'"),
                    unnamed("execute t", &[]),
                ],
                vec![again("s", &[])],
                vec![
                    parse("", "prepare p as select 'late'"),
                    bind("door", "", &[]),
                    execute("door", 0),
                    execute("door", 0),
                ],
                vec![
                    unnamed("execute p", &[]),
                    close_statement("p"),
                    again("p", &[]),
                ],
                vec![unnamed("deallocate all", &[])],
            ]),
        );
        said(&seen)
    });
    assert_eq!(other.value("execute p"), "others");
}

#[test]
fn what_is_executed_first_in_a_transaction_whose_begin_fails_does_not_run_outside_of_one() {
    let standby = standby();
    let served = Served::ambassador(&standby, &["--workers", "1", "--pool-size", "1"]);
    let [mut client, mut other] =
        [0; 2].map(|_| Wire::login(served.port(), "postgres", &[]).unwrap());
    client.run("prepare p as select 'mine'");
    other.run("prepare p as select 'others'");
    client.run("begin isolation level serializable");
    let seen = said(&client.query("execute p"));
    assert_eq!(
        seen,
        [
            "0A000 cannot use serializable mode in a hot standby",
            "ready E"
        ]
    );
    client.run("rollback");
    assert_eq!(client.value("execute p"), "mine");
}

#[test]
fn texts_of_one_write_are_answered_as_they_are_directly() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.run("prepare p as select 'others'");
    stage.same(|wire| {
        let texts = [
            "prepare p as select 1",
            "execute p",
            "prepare p as select 2",
            "deallocate p",
            "prepare p as select 3",
            "execute p",
            "begin",
            "execute p",
            "select 1/0",
            "execute p",
            "rollback",
            "execute p",
            "deallocate all",
            "execute p",
        ];
        said(&at_once(wire, &texts.map(query)))
    });
}

#[test]
fn what_is_executed_does_to_the_session_what_it_does_directly() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.run("prepare sets as select set_config('work_mem', '3MB', false)");
    one.run("prepare locks as select pg_advisory_lock(1)");
    assert_eq!(stage.connections(), 1);
    one.run("execute sets");
    assert_eq!(other.value("show work_mem"), "4MB");
    assert_eq!(one.value("show work_mem"), "3MB");
    one.run("execute locks");
    let held =
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";
    assert_eq!(other.value(held), "0");
    assert_eq!(one.value(held), "1");
}

#[test]
fn what_is_prepared_is_read_by_the_settings_of_its_time() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    let them = ["discard all", "prepare p as select 'others'"];
    stage.same(|wire| {
        wire.run("set datestyle = 'ISO, DMY'");
        wire.run("set client_encoding = 'latin1'");
        let text = b"prepare p as select '01/02/2000'::date, 'M\xe4rz'\0";
        let mut seen = vec![said(&wire.ask(&[message(b'Q', text)]))];
        seen.extend(answers(
            wire,
            &["reset client_encoding", "set datestyle = 'ISO, MDY'"],
        ));
        for acts in [
            &["execute p"][..],
            &["begin", "execute p", "show datestyle", "commit"],
            &[
                "begin",
                "set local datestyle = 'SQL'",
                "execute p",
                "show datestyle",
                "commit",
            ],
            &[
                "begin; select 1",
                "savepoint s",
                "execute p",
                "rollback to s",
                "commit",
            ],
            &[
                "select 1; execute p",
                "show datestyle",
                "show client_encoding",
            ],
        ] {
            answers(&mut other, &them);
            seen.extend(answers(wire, acts));
            answers(&mut other, &them);
            seen.push(said(&at_once(
                wire,
                &acts.iter().map(|sql| query(sql)).collect::<Vec<_>>(),
            )));
        }
        for acts in [
            &["execute p"][..],
            &["begin", "execute p", "show datestyle", "commit"],
        ] {
            answers(&mut other, &them);
            seen.extend(extended(wire, acts));
        }
        let begun = answers(
            wire,
            &[
                "begin",
                "set datestyle = 'SQL, DMY'",
                "prepare q as select '03/04/2000'::date",
                "commit",
                "set datestyle = 'SQL, MDY'",
            ],
        );
        seen.extend(begun);
        answers(
            &mut other,
            &["deallocate all", "prepare q as select 'others'"],
        );
        seen.extend(answers(wire, &["execute q", "deallocate q"]));
        seen
    });
}

#[test]
fn a_search_path_that_changes_is_the_one_that_counts() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    for sql in [
        "create schema one",
        "create schema two",
        "create table one.t as select 'one' as a",
        "create table two.t as select 'two' as a",
    ] {
        stage.directly(sql);
    }
    stage.same(|wire| {
        let mut seen = answers(
            wire,
            &["set search_path = one", "prepare p as select a from t"],
        );
        for path in ["two", "one", "nowhere", "one"] {
            answers(
                &mut other,
                &["deallocate all", "prepare p as select 'others'"],
            );
            let path = format!("set search_path = {path}");
            seen.extend(answers(
                wire,
                &[&path, "execute p", "begin", "execute p", "rollback"],
            ));
        }
        seen
    });
}

#[test]
fn a_client_is_shown_its_own_statements_and_no_others() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.run("prepare p as select 'others'");
    other.ask(&[parse("theirs", "select 'others'"), sync()]);
    let shown = "select name, statement, from_sql, parameter_types from pg_prepared_statements \
                 order by name";
    stage.same(|wire| {
        wire.run("prepare p (int) as select 'mine', $1");
        wire.run("prepare dropped as select 1");
        wire.run("deallocate dropped");
        wire.ask(&[
            parse("s", "select 's', $1::int"),
            parse("looks", shown),
            sync(),
        ]);
        other.query("execute p");
        let mut seen = answers(wire, &[shown, "begin", shown, "commit"]);
        seen.push(said(&wire.ask(&[again("looks", &[]), sync()])));
        seen.push(said(&wire.ask(&[
            again("s", &["3"]),
            unnamed(shown, &[]),
            sync(),
        ])));
        other.query("execute p");
        wire.run(&format!("prepare sees as {shown}"));
        seen.extend(answers(wire, &["execute sees", "execute p(4)"]));
        seen.push(said(&wire.ask(&[
            again("sees", &[]),
            again("s", &["5"]),
            sync(),
        ])));
        seen
    });
    assert_eq!(other.value("execute p"), "others");
    assert!(said(&other.ask(&[again("theirs", &[]), sync()])).contains(&"row others".to_owned()));
    assert_eq!(
        other.value("select count(*) from pg_prepared_statements"),
        "2"
    );
}

#[test]
fn who_listens_goes_on_listening_behind_a_deallocate() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        wire.run("listen news");
        wire.run("prepare p as select 1");
        wire.ask(&[parse("s", "select 2"), sync()]);
        let mut seen = answers(
            wire,
            &["deallocate p", "deallocate s", "execute p", "execute s"],
        );
        seen.push(said(&wire.ask(&[again("s", &[]), sync()])));
        seen.extend(answers(wire, &["select pg_listening_channels()"]));
        seen
    });
}

#[test]
fn a_client_that_leaves_leaves_no_name_behind() {
    let stage = Stage::with_pool_of(1);
    let mut one = stage.client();
    one.run("prepare p as select 'left'");
    one.bye();
    let mut other = stage.client();
    assert_eq!(other.failure("execute p").code(), "26000");
    other.run("prepare p as select 'other'");
    assert_eq!(other.value("execute p"), "other");
    let mut gone = stage.client();
    gone.send(&query("prepare q as select 'half'; select pg_sleep(0.01)"));
    gone.reset();
    assert_eq!(other.failure("execute q").code(), "26000");
    assert_eq!(
        error(&other.ask(&[again("q", &[]), sync()])).code(),
        "26000"
    );
}

#[test]
fn a_killed_connection_is_not_noticed_by_who_prepared_on_it() {
    let stage = Stage::with_pool_of(1);
    let mut client = stage.client();
    client.run("prepare p as select 'there'");
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{}'";
    observer().run(&kill.replace("{}", &stage.database));
    eventually("it is gone", || stage.connections() == 0);
    assert_eq!(client.value("execute p"), "there");
}

#[test]
fn forty_clients_that_prepare_in_sql_need_no_more_than_a_pool_of_four() {
    let stage = Stage::with_pool_of(4);
    let mut clients: Vec<Wire> = (0..40).map(|_| stage.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.run(&format!("prepare p as select 'client {at}'"));
        client.run("prepare same (int) as select $1 + 1");
    }
    let mut most = 0;
    for _ in 0..2 {
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.value("execute p"), format!("client {at}"));
            assert_eq!(client.value("execute same(41)"), "42");
        }
        most = most.max(connections(&mut observer(), &stage.database));
    }
    assert!(most <= 4, "{most}");
}
