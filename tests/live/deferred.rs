//! A transaction holds no connection before its first statement, and looks as it does directly.

use crate::{
    stage::Stage,
    support,
    wire::{Wire, bind, describe_statement, execute, parse, query, said, sync, unnamed},
};

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
    cluster
        .stop(pg_ambassador::app::cluster::Stop::Immediate)
        .unwrap();
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
