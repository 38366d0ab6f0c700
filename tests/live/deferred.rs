//! A transaction holds no connection before its first statement, and looks as it does directly.

use crate::{
    stage::Stage,
    support,
    wire::{
        Wire, again, bind, describe_portal, describe_statement, execute, parse, query, said, sync,
        unnamed,
    },
};
use pg_ambassador::app::cluster::{Cluster, Stop};

/// As libpq sends what has to be one statement: psycopg its BEGINs and COMMITs.
fn batch(sql: &str) -> Vec<u8> {
    let parts = [
        parse("", sql),
        bind("", "", &[]),
        describe_portal(""),
        execute("", 0),
        sync(),
    ];
    parts.concat()
}

#[test]
fn a_transaction_that_has_run_nothing_holds_no_connection() {
    let stage = Stage::with_pool_of(1);
    let mut first = stage.client();
    let mut second = stage.client();
    for begin in [
        "begin",
        "start transaction read only",
        "BEGIN ISOLATION LEVEL SERIALIZABLE;",
    ] {
        first.run(begin);
        assert_eq!(second.value("select 1"), "1");
        first.run("commit");
    }
    first.run("begin");
    first.run("select 1");
    first.run("rollback");
    assert_eq!(second.value("select 1"), "1");
}

#[test]
fn a_batch_that_opens_a_transaction_holds_no_connection() {
    let stage = Stage::with_pool_of(1);
    let mut first = stage.client();
    let mut second = stage.client();
    let prepared = [
        first.ask(&[parse("b", "begin"), describe_statement("b"), sync()]),
        first.ask(&[parse("c", "commit"), sync()]),
    ];
    assert_eq!(
        said(&prepared[0]),
        ["parsed", "parameters", "no data", "ready I"]
    );
    for (begin, commit) in [
        (batch("begin"), batch("commit")),
        (
            [again("b", &[]), sync()].concat(),
            [again("c", &[]), sync()].concat(),
        ),
        (
            [unnamed("start transaction read only", &[]), sync()].concat(),
            batch("rollback"),
        ),
    ] {
        let begun = first.ask(&[begin]);
        assert_eq!(said(&begun).last().unwrap(), "ready T");
        assert_eq!(second.value("select 1"), "1");
        let ended = first.ask(&[commit]);
        assert_eq!(said(&ended).last().unwrap(), "ready I");
    }
    first.ask(&[batch("begin")]);
    first.ask(&[batch("select 1")]);
    first.ask(&[batch("rollback")]);
    assert_eq!(second.value("select 1"), "1");
}

#[test]
fn batches_of_transactions_look_as_they_do_directly() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    for texts in [
        &["begin", "commit"][..],
        &["commit", "rollback", "begin", "begin", "commit", "commit"],
        &[
            "start transaction read only",
            "insert into t values (1)",
            "select 1",
            "commit",
        ],
        &["begin", "selekt", "select 1", "begin", "commit", "select 1"],
        &["begin", "", "commit and chain", "select 1", "rollback"],
        &[
            "begin",
            "set transaction read only",
            "show transaction_read_only",
            "rollback",
        ],
        &[
            "set transaction read only",
            "select 1",
            "begin",
            "set transaction read only",
            "end",
        ],
        &["begin isolation level chaos", "select 1"],
        &["begin", "set work_mem = '3MB'", "rollback", "show work_mem"],
        &["begin", "discard all", "rollback"],
        &[
            "truncate t",
            "begin",
            "insert into t values (2)",
            "commit",
            "select * from t",
        ],
    ] {
        let all = |wire: &mut Wire, message: fn(&str) -> Vec<u8>| {
            let heard = texts.iter().map(|text| wire.ask(&[message(text)]));
            heard.map(|frames| said(&frames)).collect::<Vec<_>>()
        };
        stage.same(|wire| {
            (
                all(wire, batch),
                all(wire, |text| [unnamed(text, &[]), sync()].concat()),
            )
        });
        // One protocol begins, the other goes on.
        stage.same(|wire| {
            let heard = texts.iter().enumerate().map(|(at, text)| match at % 2 {
                0 => wire.ask(&[batch(text)]),
                _ => wire.query(text),
            });
            heard.map(|frames| said(&frames)).collect::<Vec<_>>()
        });
    }
}

#[test]
fn odd_batches_of_a_begin_look_as_they_do_directly() {
    let stage = Stage::with_pool_of(1);
    let begin = || parse("", "begin");
    for batches in [
        &[
            vec![begin(), sync()],
            vec![bind("", "", &[]), sync()],
            vec![execute("", 0), sync()],
        ][..],
        &[
            vec![begin(), bind("p", "", &[]), execute("p", 0), sync()],
            vec![execute("p", 0), sync()],
        ],
        &[
            vec![begin(), bind("", "", &[]), execute("", 1), sync()],
            vec![execute("", 0), sync()],
        ],
        &[vec![begin(), bind("", "", &["1"]), execute("", 0), sync()]],
        &[
            vec![
                begin(),
                describe_statement(""),
                bind("", "", &[]),
                describe_statement(""),
                execute("", 0),
                sync(),
            ],
            vec![again("", &[]), sync()],
        ],
        &[vec![
            begin(),
            bind("", "", &[]),
            describe_portal(""),
            sync(),
        ]],
        &[vec![again("", &[]), sync()], vec![again("b", &[]), sync()]],
        &[
            vec![unnamed("begin", &[]), unnamed("select 1", &[]), sync()],
            vec![batch("commit")],
        ],
        &[
            vec![unnamed("begin", &[]), unnamed("selekt", &[]), sync()],
            vec![batch("commit")],
        ],
        &[
            vec![unnamed("begin", &[]), unnamed("commit", &[]), sync()],
            vec![batch("commit")],
        ],
        &[
            vec![parse("s", "begin"), again("s", &[]), sync()],
            vec![again("s", &[]), sync()],
            vec![batch("end")],
            vec![again("s", &[]), sync()],
            vec![parse("s", "begin"), sync()],
        ],
        &[
            vec![batch("begin")],
            vec![again("", &[]), sync()],
            vec![batch("end")],
            vec![again("", &[]), sync()],
        ],
        &[
            vec![batch("begin")],
            vec![sync()],
            vec![unnamed("select 1/0", &[]), sync()],
            vec![batch("select 1")],
            vec![batch("commit")],
        ],
    ] {
        stage.same(|wire| {
            let heard = batches.iter().map(|batch| said(&wire.ask(batch)));
            let mut heard = heard.collect::<Vec<_>>();
            heard.push(said(&wire.query("rollback")));
            heard
        });
    }
}

#[test]
fn a_pipeline_of_batches_is_answered_in_order() {
    let stage = Stage::with_pool_of(1);
    let texts = [
        "begin", "select 1", "commit", "begin", "commit", "begin", "selekt", "select 2",
        "rollback", "select 3", "begin",
    ];
    stage.same(|wire| {
        wire.send(&texts.map(batch).concat());
        let first = texts.map(|_| said(&wire.until_ready()));
        // It has not left, and more than one request comes behind it.
        wire.send(
            &["select 4", "select 1/0", "select 5", "rollback"]
                .map(batch)
                .concat(),
        );
        (first, [0; 4].map(|_| said(&wire.until_ready())))
    });
}

/// A server that takes reads alone: it follows nobody.
pub fn standby() -> Cluster {
    let mut standby = support::own_cluster(support::options());
    standby.stop(Stop::Fast).unwrap();
    standby.write("standby.signal", "").unwrap();
    standby.run().unwrap();
    standby
}

#[test]
fn what_the_server_says_of_a_begin_is_told_at_the_first_statement() {
    let standby = standby();
    let served = support::Served::ambassador(&standby, &["--workers", "1", "--pool-size", "1"]);
    let mut wire = Wire::login(served.port(), "postgres", &[]).unwrap();
    for (begin, why) in [
        (
            "begin isolation level serializable",
            "0A000 cannot use serializable mode in a hot standby",
        ),
        (
            "begin read write",
            "0A000 cannot set transaction read-write mode during recovery",
        ),
    ] {
        let direct = Wire::login(standby.port(), "postgres", &[])
            .unwrap()
            .failure(begin);
        let aborted = "25P02 current transaction is aborted, commands ignored until end of \
                       transaction block";
        // A failed BEGIN is no transaction; of the one that was answered, the client knows that
        // it is in it.
        for message in [query, batch] {
            assert_eq!(
                said(&wire.ask(&[message(begin)])).last().unwrap(),
                "ready T"
            );
            let mut heard = wire.ask(&[message("select 1")]);
            assert_eq!(said(&heard), [why, "ready E"]);
            assert_eq!(heard.remove(0).body, direct.body);
            assert_eq!(
                said(&wire.ask(&[message("select 1")])),
                [aborted, "ready E"]
            );
            assert_eq!(
                said(&wire.ask(&[message("commit")])).last().unwrap(),
                "ready I"
            );
            // Nothing that was sent ahead runs outside of the transaction.
            wire.ask(&[message(begin)]);
            wire.send(&["select 1", "select 2", "commit"].map(message).concat());
            let heard = [0; 3].map(|_| said(&wire.until_ready()));
            assert_eq!(heard[0], [why, "ready E"]);
            assert_eq!(heard[1], [aborted, "ready E"]);
            assert_eq!(heard[2].last().unwrap(), "ready I");
        }
    }
    assert_eq!(wire.value("select 1"), "1");
}

#[test]
fn transactions_look_as_they_do_directly() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    for texts in [
        &["begin", "commit"][..],
        &["begin", "end"],
        &["start transaction", "rollback"],
        &["begin work", "abort and no chain"],
        &["commit", "rollback", "begin", "begin", "commit", "commit"],
        &["begin", "commit and chain", "rollback"],
        &["begin", "selekt", "select 1", "commit", "select 1"],
        &["begin", "", "commit"],
        &["begin read only", "insert into t values (1)", "rollback"],
        &[
            "begin isolation level repeatable read",
            "show transaction_isolation",
            "commit",
        ],
        &[
            "begin",
            "set transaction read only",
            "insert into t values (1)",
            "select 1",
            "rollback",
        ],
        &[
            "truncate t",
            "begin",
            "insert into t values (2)",
            "savepoint s",
            "select 1/0",
            "rollback to s",
            "commit",
            "select * from t",
        ],
        &["begin", "set work_mem = '3MB'", "rollback", "show work_mem"],
        &["begin", "discard all", "rollback"],
        &["begin", "vacuum", "rollback"],
        &["begin isolation level chaos", "select 1"],
        &["begin", "prepare transaction 'x'"],
        &["begin", "listen a", "unlisten *", "commit"],
        &["begin; select 1", "commit"],
        &[
            "begin",
            "set transaction read only, isolation level serializable",
            "set transaction read write",
            "show transaction_isolation",
            "set transaction read only",
            "set transaction isolation level read committed",
            "commit",
            "set transaction read only",
        ],
        &["begin", "set transaction read only", "commit"],
        &["begin", "set transaction read only", "truncate t"],
        &[
            "begin read only",
            "set transaction snapshot '00000003-00000002-1'",
            "select 1",
        ],
        &["begin", "set transaction", "set transaction read only"],
        &["begin", "select 1; commit", "select 1"],
    ] {
        let seen = stage.same(|wire| {
            texts
                .iter()
                .map(|text| said(&wire.query(text)))
                .collect::<Vec<_>>()
        });
        assert!(!seen.is_empty());
    }
}

#[test]
fn an_unnamed_statement_is_gone_behind_begin_and_lives_behind_its_first_use() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire: &mut Wire| {
        let mut heard = vec![said(&wire.ask(&[parse("", "select 7"), sync()]))];
        heard.push(said(&wire.query("begin")));
        heard.push(said(&wire.ask(&[
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])));
        heard.push(said(&wire.query("rollback")));
        heard.push(said(&wire.query("begin")));
        heard.push(said(&wire.ask(&[
            parse("", "select 8"),
            describe_statement(""),
            sync(),
        ])));
        heard.push(said(&wire.ask(&[
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ])));
        heard.push(said(&wire.ask(&[unnamed("commit", &[]), sync()])));
        heard
    });
}

#[test]
fn a_pipeline_of_transactions_is_answered_in_order() {
    let stage = Stage::with_pool_of(1);
    let texts = [
        "begin", "select 1", "commit", "begin", "commit", "begin", "selekt", "select 2",
        "rollback", "select 3",
    ];
    stage.same(|wire| {
        wire.send(
            &texts
                .iter()
                .map(|text| query(text))
                .collect::<Vec<_>>()
                .concat(),
        );
        texts
            .iter()
            .map(|_| said(&wire.until_ready()))
            .collect::<Vec<_>>()
    });
}

#[test]
fn a_transaction_without_a_backend_fails_and_lives_on_behind_its_rollback() {
    let mut cluster = support::own_cluster(support::options());
    let timeout = "databases.\"*\".acquire_timeout=300ms";
    let served = support::Served::ambassador(&cluster, &["--workers", "1", "--set", timeout]);
    let mut wire = Wire::login(served.port(), "postgres", &[]).unwrap();
    wire.run("select 1");
    cluster.stop(Stop::Immediate).unwrap();
    wire.run("begin");
    let refused = said(&wire.query("select 1"));
    assert!(
        refused[0].starts_with("57P03") || refused[0].starts_with("53300"),
        "{refused:?}"
    );
    assert_eq!(refused[1], "ready E");
    assert_eq!(said(&wire.query("rollback")), ["ROLLBACK", "ready I"]);
    wire.run("begin");
    wire.run("commit");
}
