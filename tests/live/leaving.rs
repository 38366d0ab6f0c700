//! Clients that leave, in every way and amid everything: what they did is undone within a second,
//! and the very connection that they had serves the next one.

use crate::{
    stage::{Stage, eventually, observer},
    wire::{
        Wire, bind, copy_data, error, execute, flush, parse, query, said, sync, terminate, unnamed,
    },
};

/// What a client is amid of when it leaves.
struct Amid {
    what: &'static str,
    act: fn(&mut Wire),
    /// What the server then shows of it: state, and what it waits for.
    shows: &'static str,
}

const IDLE: &str = "idle ClientRead";
const OPEN: &str = "idle in transaction ClientRead";
const FAILED: &str = "idle in transaction (aborted) ClientRead";
const SLEEPS: &str = "active PgSleep";
const READS: &str = "active ClientRead";
const WRITES: &str = "active ClientWrite";

const SLEEP: &str = "select pg_sleep(60)";
const ENDLESS: &str = "select repeat('x', 1000), generate_series(1, 1000000000)";

/// A transaction that holds a lock on the table.
fn begin(wire: &mut Wire) {
    wire.run("begin");
    wire.run("insert into t values (1)");
    wire.run("lock table t");
}

/// The first bytes of a message that is longer.
fn half(tag: u8, len: u32, begun: &[u8]) -> Vec<u8> {
    [&[tag], &len.to_be_bytes()[..], begun].concat()
}

fn copy(wire: &mut Wire) {
    wire.send(&query("copy t from stdin"));
    wire.until(b'G');
}

const AMID: &[Amid] = &[
    Amid {
        what: "a transaction",
        act: begin,
        shows: OPEN,
    },
    Amid {
        what: "a failed transaction",
        act: |wire| {
            begin(wire);
            wire.failure("select 1/0");
        },
        shows: FAILED,
    },
    Amid {
        what: "a query",
        act: |wire| wire.send(&query(SLEEP)),
        shows: SLEEPS,
    },
    Amid {
        what: "a query in a transaction",
        act: |wire| {
            begin(wire);
            wire.send(&query(SLEEP));
        },
        shows: SLEEPS,
    },
    Amid {
        what: "an extended query in a transaction",
        act: |wire| {
            begin(wire);
            wire.send(&[unnamed(SLEEP, &[]), sync()].concat());
        },
        shows: SLEEPS,
    },
    Amid {
        what: "an extended query without a Sync",
        act: |wire| {
            let insert = unnamed("insert into t values (1)", &[]);
            wire.send(&[insert, unnamed(SLEEP, &[]), flush()].concat());
        },
        shows: SLEEPS,
    },
    Amid {
        what: "a batch",
        act: |wire| {
            wire.send(&[unnamed("insert into t values (1)", &[]), flush()].concat());
            wire.until(b'C');
        },
        shows: READS,
    },
    Amid {
        what: "a batch that failed",
        act: |wire| {
            begin(wire);
            wire.send(&[unnamed("select 1/0", &[]), flush()].concat());
            wire.until(b'E');
        },
        shows: READS,
    },
    Amid {
        what: "a pipeline of queries",
        act: |wire| {
            begin(wire);
            wire.run("commit");
            wire.run("truncate t");
            wire.send(&[query(SLEEP), query(SLEEP), query(SLEEP)].concat());
        },
        shows: SLEEPS,
    },
    Amid {
        what: "a pipeline of batches",
        act: |wire| {
            let batch = [unnamed(SLEEP, &[]), sync()].concat();
            let insert = unnamed("insert into t values (1)", &[]);
            wire.send(&[batch.clone(), batch, insert].concat());
        },
        shows: SLEEPS,
    },
    Amid {
        what: "an answer that it does not read",
        act: |wire| {
            begin(wire);
            wire.send(&query(ENDLESS));
        },
        shows: WRITES,
    },
    Amid {
        what: "a COPY out",
        act: |wire| {
            begin(wire);
            wire.send(&query(&format!("copy ({ENDLESS}) to stdout")));
        },
        shows: WRITES,
    },
    Amid {
        what: "a COPY in",
        act: |wire| {
            copy(wire);
            wire.send(&copy_data("2\n"));
        },
        shows: READS,
    },
    Amid {
        what: "a COPY in within a transaction",
        act: |wire| {
            begin(wire);
            copy(wire);
        },
        shows: READS,
    },
    Amid {
        what: "an extended COPY in",
        act: |wire| {
            wire.send(&[unnamed("copy t from stdin", &[]), flush()].concat());
            wire.until(b'G');
            wire.send(&[copy_data("2\n"), sync()].concat());
        },
        shows: READS,
    },
    Amid {
        what: "the data of a COPY",
        act: |wire| {
            copy(wire);
            wire.send(&half(b'd', 100_000, b"2\n3\n"));
        },
        shows: READS,
    },
    Amid {
        what: "a COPY of which it has sent everything but its end",
        act: |wire| {
            let all = [query("copy t from stdin"), copy_data("2\n")];
            wire.send(&all.concat());
        },
        shows: READS,
    },
    Amid {
        what: "a long statement",
        act: |wire| {
            let text = format!("insert into t values (1) --{}", "x".repeat(400_000));
            wire.send(&half(b'Q', 500_000, text.as_bytes()));
        },
        shows: IDLE,
    },
    Amid {
        what: "a long statement that lacks its very last byte",
        act: |wire| {
            let whole = query(&format!(
                "insert into t values (1) --{}",
                "x".repeat(400_000)
            ));
            wire.send(&whole[..whole.len() - 1]);
        },
        shows: IDLE,
    },
    Amid {
        what: "long values",
        act: |wire| {
            wire.ask(&[parse("mine", "insert into t select length($1)"), sync()]);
            let whole = [
                bind("", "mine", &[&"x".repeat(400_000)]),
                execute("", 0),
                sync(),
            ];
            let whole = whole.concat();
            wire.send(&whole[..200_000]);
        },
        shows: IDLE,
    },
    Amid {
        what: "a message that it has hardly begun",
        act: |wire| {
            begin(wire);
            wire.send(b"Q\0\0");
        },
        shows: OPEN,
    },
    Amid {
        what: "a statement that it has not sent to the end",
        act: |wire| {
            begin(wire);
            wire.send(&half(b'Q', 100, b"commit"));
        },
        shows: OPEN,
    },
];

/// State and wait of every connection to the test's database, in the order of their process ids.
fn shown(observer: &mut Wire, stage: &Stage) -> Vec<(String, String)> {
    let sql = format!(
        "select pid, state || ' ' || coalesce(wait_event, '-') from pg_stat_activity \
         where datname = '{}' and application_name <> 'psql' order by pid",
        stage.database
    );
    let rows = said(&observer.query(&sql));
    let rows = rows.iter().filter_map(|row| row.strip_prefix("row "));
    rows.map(|row| row.split_once(' ').unwrap())
        .map(|(pid, shows)| (pid.to_owned(), shows.to_owned()))
        .collect()
}

fn pids(observer: &mut Wire, stage: &Stage) -> Vec<String> {
    let shown = shown(observer, stage);
    shown.into_iter().map(|(pid, _)| pid).collect()
}

/// Nothing of whoever left is there after a second, and no connection was lost with it.
#[track_caller]
fn finds_nothing_of_it(stage: &Stage, what: &str) {
    let count = "set lock_timeout = '1s'; lock table t; select count(*) from t";
    assert_eq!(stage.directly(count), "0", "{what}");
    let mut next = stage.client();
    let seen = next.ask(&[bind("", "", &[]), sync()]);
    assert_eq!(error(&seen).code(), "26000", "{what}");
    assert_eq!(
        said(&next.query("select count(*) from t"))[1..],
        ["row 0", "SELECT 1", "ready I"],
        "{what}"
    );
    next.bye();
}

fn stage(mode: &str) -> (Stage, Wire) {
    let stage = Stage::new(&["--pool-size", "1", "--workers", "1", "--pool-mode", mode]);
    stage.directly("create table t (a int)");
    (stage, observer())
}

/// In every mode, amid everything, in this way.
#[track_caller]
fn costs_no_connection(leave: fn(Wire), only: fn(&Amid) -> bool) {
    for mode in ["transaction", "session"] {
        let (stage, mut observer) = stage(mode);
        stage.client().run("select 1");
        let served = pids(&mut observer, &stage);
        for amid in AMID.iter().filter(|amid| only(amid)) {
            let what = format!("{}, {mode}", amid.what);
            let mut wire = stage.client();
            (amid.act)(&mut wire);
            eventually(&what, || {
                shown(&mut observer, &stage)[0].1.starts_with(amid.shows)
            });
            leave(wire);
            finds_nothing_of_it(&stage, &what);
            assert_eq!(pids(&mut observer, &stage), served, "{what}");
        }
    }
}

#[test]
fn fact_42_a_client_that_closes_its_connection_costs_none() {
    costs_no_connection(drop, |_| true);
}

#[test]
fn fact_42_a_client_whose_connection_is_reset_costs_none() {
    costs_no_connection(Wire::reset, |_| true);
}

#[test]
fn fact_46_a_client_that_says_good_bye_costs_no_connection() {
    costs_no_connection(
        |mut wire| {
            wire.send(&terminate());
            assert!(wire.until_closed().is_empty());
        },
        // What runs goes on, and what is half sent is part of another message.
        |amid| {
            let between = [
                "a transaction",
                "a failed transaction",
                "a COPY in",
                "a batch",
            ];
            between.iter().any(|what| amid.what.starts_with(what)) || amid.what.ends_with("COPY in")
        },
    );
}

#[test]
fn fact_42_a_client_that_leaves_a_pinned_connection_takes_it_along_and_nothing_more() {
    let (stage, mut observer) = stage("transaction");
    let mut pooled = stage.client();
    for amid in AMID {
        let mut wire = stage.client();
        wire.run("create temp table mine ()");
        // In its place the pool dials another.
        pooled.run("select 1");
        let both = pids(&mut observer, &stage);
        assert_eq!(both.len(), 2, "{}", amid.what);
        (amid.act)(&mut wire);
        let shows = |shown: &[(String, String)]| {
            let mut shown = shown.iter();
            shown.any(|(_, shows)| shows.starts_with(amid.shows))
        };
        eventually(amid.what, || shows(&shown(&mut observer, &stage)));
        drop(wire);
        finds_nothing_of_it(&stage, amid.what);
        eventually("one is left", || {
            let left = pids(&mut observer, &stage);
            left.len() == 1 && both.contains(&left[0])
        });
    }
}

#[test]
fn fact_42_a_name_that_a_client_fought_over_in_its_transaction_is_nobody_elses() {
    let (stage, _) = stage("transaction");
    let mut wire = stage.client();
    wire.run("begin");
    wire.ask(&[parse("mine", "select 1"), sync()]);
    let taken = wire.ask(&[parse("mine", "select 2"), sync()]);
    assert_eq!(error(&taken).code(), "42P05");
    drop(wire);
    let seen = stage
        .client()
        .ask(&[bind("", "mine", &[]), execute("", 0), sync()]);
    assert_eq!(error(&seen).code(), "26000");
}

#[test]
fn fact_42_what_a_client_had_half_asked_to_be_committed_is_not() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut wire = stage.client();
    begin(&mut wire);
    let commit = execute("", 0);
    let ahead = [parse("", "commit"), bind("", "", &[]), flush()].concat();
    wire.send(&[&ahead, &commit[..commit.len() - 2]].concat());
    wire.until(b'2');
    drop(wire);
    assert_eq!(stage.client().value("select count(*) from t"), "0");
}

#[test]
fn fact_46_who_sees_the_end_after_its_good_bye_finds_its_locks_gone() {
    let (stage, _) = stage("transaction");
    let mut other = stage.direct();
    for _ in 0..20 {
        let mut wire = stage.client();
        begin(&mut wire);
        wire.bye();
        other.run("begin; lock table t nowait; rollback");
    }
}

#[test]
fn fact_46_what_a_good_bye_follows_is_not_cancelled_though_the_client_has_gone() {
    let (stage, _) = stage("transaction");
    let mut wire = stage.client();
    wire.send(
        &[
            query("select pg_sleep(0.5); insert into t values (1)"),
            terminate(),
        ]
        .concat(),
    );
    drop(wire);
    eventually("the row is there", || {
        stage.directly("select count(*) from t") == "1"
    });
}
