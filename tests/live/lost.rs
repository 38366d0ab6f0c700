//! A backend is lost under a session that lives on.

use std::time::Duration;

use pg_ambassador::app::cluster::Stop;

use crate::{
    stage::{Stage, alike, eventually},
    support::{self, Served},
    wire::{
        Frame, Wire, again, bind, close_portal, close_statement, copy_data, copy_done, copy_fail,
        describe_portal, describe_statement, error, execute, flush, message, parse, query, said,
        sync, unnamed,
    },
};

/// Ends all connections to the test's database, and waits until they have ended.
fn kill(stage: &Stage) {
    stage.directly(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid()",
    );
}

/// The same once a text like this runs.
fn kill_running(stage: &Stage, text: &str) {
    crate::isolation::sees_running(stage, text);
    kill(stage);
}

fn code(frames: &[Frame]) -> String {
    error(frames).code()
}

fn last(frames: &[Frame]) -> String {
    frames.last().unwrap().to_string()
}

/// A client whose transaction was lost, and who knows.
fn bereft(stage: &Stage) -> Wire {
    let mut wire = stage.client();
    prepare(&mut wire);
    wire.run("begin; select 1");
    kill(stage);
    assert_eq!(code(&wire.query("select 1")), "08006");
    wire
}

/// A client of Postgres itself whose transaction failed.
fn failed(stage: &Stage) -> Wire {
    let mut wire = stage.direct();
    prepare(&mut wire);
    wire.run("begin; select 1");
    wire.failure("select 1/0");
    wire
}

fn prepare(wire: &mut Wire) {
    let texts = [("s", "select 'named'"), ("r", "rollback"), ("c", "commit")];
    for (name, text) in texts {
        wire.ask(&[parse(name, text), sync()]);
    }
}

#[test]
fn a_transaction_that_loses_its_backend_fails_and_the_session_lives_on() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut wire = stage.client();
    for end in ["rollback", "commit", "abort", "end work"] {
        wire.run("begin");
        wire.run("insert into t values (1)");
        kill(&stage);
        let lost = wire.query("insert into t values (2)");
        let told = error(&lost);
        assert_eq!(
            (told.code(), told.field(b'S')),
            ("08006".into(), "ERROR".into())
        );
        let text = told.message();
        assert!(text.starts_with("ambassador: database \""), "{text}");
        assert!(text.contains(&stage.database), "{text}");
        assert!(
            text.contains(&support::cluster().port().to_string()),
            "{text}"
        );
        assert!(text.contains("administrator command"), "{text}");
        assert!(!told.field(b'H').is_empty());
        assert_eq!(last(&lost), "ready E");
        let ignored = "25P02 current transaction is aborted, commands ignored until end of \
                       transaction block";
        assert_eq!(said(&wire.query("select 3")), [ignored, "ready E"]);
        assert_eq!(said(&wire.query(end)), ["ROLLBACK", "ready I"]);
        assert_eq!(wire.value("select count(*) from t"), "0");
    }
}

#[test]
fn who_says_commit_not_knowing_of_the_loss_is_not_told_that_it_went_well() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    prepare(&mut wire);
    let ends = [
        vec![query("commit")],
        vec![query("commit; select 1")],
        vec![unnamed("commit", &[]), sync()],
        vec![again("c", &[]), sync()],
    ];
    for end in ends {
        wire.run("begin; select 1");
        kill(&stage);
        let frames = wire.ask(&end);
        assert_eq!((code(&frames), frames.len()), ("08006".into(), 2));
        assert_eq!(last(&frames), "ready E");
        assert_eq!(
            said(&wire.query("commit")),
            ["ROLLBACK", "ready I"],
            "now it knows"
        );
        // A ROLLBACK loses nothing.
        wire.run("begin; select 1");
        kill(&stage);
        assert_eq!(said(&wire.query("rollback")), ["ROLLBACK", "ready I"]);
        assert_eq!(wire.value("select 1"), "1");
    }
}

#[test]
fn who_knows_that_the_transaction_failed_is_not_told_of_the_loss() {
    let stage = Stage::with_pool_of(1);
    for end in ["commit", "rollback"] {
        let mut wire = stage.client();
        wire.run("begin");
        wire.failure("select 1/0");
        kill(&stage);
        assert_eq!(code(&wire.query("select 1")), "25P02");
        assert_eq!(said(&wire.query(end)), ["ROLLBACK", "ready I"]);
    }
}

#[test]
fn a_failed_transaction_without_a_connection_answers_as_the_server_does() {
    let stage = Stage::with_pool_of(1);
    let conversations: Vec<Vec<Vec<u8>>> = vec![
        vec![query("select 1")],
        vec![query("commit")],
        vec![query("ABORT /* x */ transaction;")],
        vec![query("prepare transaction 'x'")],
        vec![query("commit prepared 'x'")],
        vec![query("begin")],
        vec![query("savepoint a")],
        vec![query("")],
        vec![query(" ; -- nothing")],
        vec![query("select 1; rollback")],
        vec![query("rollback; select 1")],
        vec![query("commit; select 2; select 3")],
        vec![query("rollback; begin; select 4")],
        vec![query("rollback; select 1/0")],
        vec![query("rollback; rollback")],
        vec![query("rollback; reset all; select 5")],
        vec![query("select 1"), query("rollback"), query("select 6")],
        vec![unnamed("rollback", &[]), sync()],
        vec![unnamed("commit", &[]), unnamed("select 7", &[]), sync()],
        vec![unnamed("select 8", &[]), sync()],
        vec![unnamed("", &[]), sync()],
        vec![parse("", ""), sync()],
        vec![
            parse("n", "rollback"),
            describe_statement("n"),
            bind("p", "n", &[]),
            describe_portal("p"),
            flush(),
            execute("p", 0),
            sync(),
        ],
        vec![again("r", &[]), sync()],
        vec![again("c", &[]), again("s", &[]), sync()],
        vec![again("s", &[]), again("r", &[]), sync()],
        vec![describe_statement("s"), sync()],
        vec![describe_statement("r"), sync()],
        vec![close_statement("s"), close_statement("nosuch"), sync()],
        vec![bind("p", "r", &[]), close_portal("p"), sync()],
        vec![message(b'F', &[0; 12])],
        vec![sync()],
        vec![flush(), copy_data("1"), copy_done(), copy_fail("x"), sync()],
    ];
    for conversation in conversations {
        let talk = |mut wire: Wire| {
            wire.send(&conversation.concat());
            let ends = |one: &&Vec<u8>| matches!(one[0], b'Q' | b'F') || one.ends_with(&sync());
            let mut heard = Vec::new();
            for _ in conversation.iter().filter(ends) {
                heard.extend(said(&wire.until_ready()));
            }
            wire.query("rollback");
            for frames in [
                wire.query("select 'after'"),
                wire.ask(&[again("s", &[]), sync()]),
                wire.ask(&[again("n", &[]), sync()]),
            ] {
                heard.extend(said(&frames));
            }
            heard
        };
        let (expected, seen) = (talk(failed(&stage)), talk(bereft(&stage)));
        alike(&seen, &expected);
    }
}

#[test]
fn a_commit_that_was_under_way_is_in_doubt() {
    let stage = Stage::with_pool_of(1);
    stage.directly(
        "create table t (a int); \
         create function slow() returns trigger language plpgsql as \
             $$ begin perform pg_sleep(60); return null; end $$; \
         create constraint trigger slow after insert on t initially deferred \
             for each row execute function slow()",
    );
    let mut wire = stage.client();
    prepare(&mut wire);
    let commits = [
        vec![query("commit")],
        vec![query("select 1; commit")],
        vec![unnamed("commit", &[]), sync()],
        vec![again("c", &[]), sync()],
        vec![again("c", &[]), flush()],
    ];
    for commit in commits {
        wire.run("begin; insert into t values (1)");
        wire.send(&commit.concat());
        kill_running(&stage, "commit");
        let frames = wire.until(b'E');
        let told = error(&frames);
        assert_eq!(
            (told.code(), told.field(b'S')),
            ("08007".into(), "ERROR".into())
        );
        assert!(told.message().contains("whether"), "{told}");
        if commit.last() == Some(&flush()) {
            wire.send(&sync());
        }
        assert_eq!(said(&wire.until_ready()), ["ready E"]);
        assert_eq!(said(&wire.query("commit")), ["ROLLBACK", "ready I"]);
    }
}

#[test]
fn outside_a_transaction_a_write_is_in_doubt_and_a_read_is_not() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut wire = stage.client();
    let reads = [
        "select pg_sleep(60)",
        "with x as (select pg_sleep(60)) select * from x",
    ];
    let writes = [
        "insert into t select 1 from pg_sleep(60)",
        "select 1; insert into t select 1 from pg_sleep(60)",
        "do 'begin perform pg_sleep(60); end'",
    ];
    let told = reads.iter().map(|text| (*text, "08006"));
    for (text, expected) in told.chain(writes.iter().map(|text| (*text, "08007"))) {
        wire.send(&query(text));
        kill_running(&stage, "pg_sleep(60)");
        let frames = wire.until_ready();
        assert_eq!((&*code(&frames), &*last(&frames)), (expected, "ready I"));
        if text.contains(';') {
            continue;
        }
        wire.send(&[unnamed(text, &[]), sync()].concat());
        kill_running(&stage, "pg_sleep(60)");
        let frames = wire.until_ready();
        assert_eq!((&*code(&frames), &*last(&frames)), (expected, "ready I"));
        // Without a Sync, what a batch did is undone.
        wire.send(&[unnamed(text, &[]), flush()].concat());
        kill_running(&stage, "pg_sleep(60)");
        assert_eq!(code(&wire.until(b'E')), "08006", "{text}");
        assert_eq!(said(&wire.ask(&[sync()])), ["ready I"]);
    }
    assert_eq!(wire.value("select count(*) from t"), "0");
}

#[test]
fn each_request_of_a_pipeline_whose_backend_is_lost_is_answered_once() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut wire = stage.client();
    wire.send(
        &[
            unnamed("select pg_sleep(60)", &[]),
            sync(),
            query("insert into t values (1)"),
            unnamed("begin", &[]),
            sync(),
            unnamed("insert into t values (2)", &[]),
            sync(),
            query("select 1"),
        ]
        .concat(),
    );
    kill_running(&stage, "pg_sleep(60)");
    let answers: Vec<_> = (0..5)
        .map(|_| wire.until_ready())
        .map(|frames| {
            let frames: Vec<_> = frames.iter().filter(|frame| frame.tag != b'1').collect();
            let frames: Vec<_> = frames.iter().filter(|frame| frame.tag != b'2').collect();
            assert_eq!(frames.len(), 2, "{frames:?}");
            format!("{} {}", frames[0].code(), frames[1])
        })
        .collect();
    // Behind a BEGIN that may have run, nothing is to run on its own.
    let expected = [
        "08006 ready I",
        "08007 ready I",
        "08006 ready E",
        "08006 ready E",
        "08006 ready E",
    ];
    assert_eq!(answers, expected);
    assert_eq!(code(&wire.query("insert into t values (3)")), "25P02");
    wire.run("rollback");
    assert_eq!(wire.value("select count(*) from t"), "0");
}

#[test]
fn a_batch_that_loses_its_backend_in_a_transaction_is_skipped_up_to_its_sync() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.run("begin");
    wire.send(&[unnamed("select pg_sleep(60)", &[]), flush()].concat());
    kill_running(&stage, "pg_sleep(60)");
    assert_eq!(code(&wire.until(b'E')), "08006");
    let frames = wire.ask(&[unnamed("rollback", &[]), sync()]);
    assert_eq!(said(&frames), ["ready E"]);
    assert_eq!(said(&wire.query("rollback")), ["ROLLBACK", "ready I"]);
    assert_eq!(wire.value("select 1"), "1");
}

#[test]
fn a_message_that_was_held_and_is_skipped_lends_its_meaning_to_no_other() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    let slow = unnamed("select pg_sleep(60)", &[]);
    let (early, late) = (query("select 0"), query("discard all"));
    wire.send(&[slow, sync(), parse("a", "select 1"), late].concat());
    kill_running(&stage, "pg_sleep");
    assert_eq!(code(&wire.until_ready()), "08006");
    wire.send(&sync());
    wire.until_ready();
    assert_eq!(said(&wire.ask(&[early]))[1], "row 0");
}

#[test]
fn a_copy_that_loses_its_backend_ends_with_an_error() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int); insert into t select generate_series(1, 100)");
    let mut wire = stage.client();
    for (begin, status, expected) in [("", "ready I", "08007"), ("begin", "ready E", "08006")] {
        wire.run(begin);
        wire.send(&query("copy t from stdin"));
        wire.until(b'G');
        wire.send(&copy_data("1\n"));
        kill(&stage);
        let frames = wire.until_ready();
        assert_eq!((&*code(&frames), &*last(&frames)), (expected, status));
        // What the client had on its way is read over.
        wire.send(&[copy_data("2\n"), copy_done()].concat());
        wire.query("rollback");
        assert_eq!(wire.value("select count(*) from t"), "100");
        wire.run(begin);
        wire.send(&query(
            "copy (select a, pg_sleep(case a when 2 then 60 else 0 end) from t) to stdout",
        ));
        kill_running(&stage, "pg_sleep");
        let frames = wire.until_ready();
        assert_eq!((&*code(&frames), &*last(&frames)), ("08006", status));
        wire.query("rollback");
        // In the extended protocol the rest is read over up to the Sync behind the data.
        wire.run(begin);
        wire.send(&[unnamed("copy t from stdin", &[]), flush()].concat());
        wire.until(b'G');
        kill(&stage);
        assert_eq!(code(&wire.until(b'E')), "08006");
        let frames = wire.ask(&[copy_data("3\n"), copy_done(), sync()]);
        assert_eq!(said(&frames), [status]);
        wire.query("rollback");
        assert_eq!(wire.value("select count(*) from t"), "100");
    }
}

#[test]
fn what_the_server_says_as_it_ends_a_transaction_is_quoted() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.run("begin");
    wire.run("set local idle_in_transaction_session_timeout = '100ms'");
    eventually("it ends", || stage.connections() == 0);
    let frames = wire.query("select 1");
    let told = error(&frames);
    assert_eq!(told.code(), "08006");
    assert!(
        told.message().contains("idle-in-transaction timeout"),
        "{told}"
    );
    assert_eq!(said(&wire.query("rollback")), ["ROLLBACK", "ready I"]);
    assert_eq!(wire.value("select 1"), "1");
}

#[test]
fn a_session_that_has_its_connection_to_itself_ends_with_it_as_it_does_directly() {
    let stage = Stage::with_pool_of(1);
    for session in ["transaction", "session"] {
        let stage = Stage {
            database: stage.database.clone(),
            served: Served::ambassador(
                support::cluster(),
                &["--workers", "1", "--pool-mode", session],
            ),
        };
        for act in ["select 1", "begin; select 1", "select pg_sleep(60)"] {
            let ended = stage.same(|wire| {
                wire.run("create temp table mine ()");
                wire.send(&query(act));
                if act.contains("sleep") {
                    kill_running(&stage, "pg_sleep");
                } else {
                    wire.until_ready();
                    kill(&stage);
                }
                wire.until_closed()
            });
            assert_eq!(error(&ended).field(b'S'), "FATAL");
        }
    }
}

#[test]
fn a_transaction_that_was_lost_is_ended_while_no_backend_is_up() {
    let mut cluster = support::own_cluster(support::options());
    let timeout = "databases.\"*\".acquire_timeout=300ms";
    let served = Served::ambassador(&cluster, &["--workers", "1", "--set", timeout]);
    let mut wire = Wire::login(served.port(), "postgres", &[]).unwrap();
    let aborted = "25P02 current transaction is aborted, commands ignored until end of \
                   transaction block";
    wire.run("begin; select 1");
    cluster.stop(Stop::Immediate).unwrap();
    assert_eq!(code(&wire.query("select 1")), "08006");
    assert_eq!(said(&wire.query("select 1")), [aborted, "ready E"]);
    let frames = wire.query("rollback; select 1");
    assert_eq!(
        (code(&frames), last(&frames)),
        ("57P03".into(), "ready E".into())
    );
    // None of that text has run, so the transaction is still to be ended.
    assert_eq!(said(&wire.query("select 1")), [aborted, "ready E"]);
    let frames = wire.ask(&[unnamed("rollback", &[]), unnamed("select 1", &[]), sync()]);
    assert_eq!(said(&frames)[..3], ["parsed", "bound", "ROLLBACK"]);
    assert_eq!(
        (code(&frames), last(&frames)),
        ("57P03".into(), "ready I".into())
    );
    cluster.run().unwrap();
    eventually("it works again", || {
        wire.query("select 1").iter().any(|frame| frame.tag == b'D')
    });
}

#[test]
fn what_was_lost_with_a_transaction_cannot_be_gone_back_to() {
    let stage = Stage::with_pool_of(1);
    for text in [
        "rollback to savepoint a",
        "rollback and chain",
        "commit and chain",
    ] {
        let mut wire = bereft(&stage);
        let frames = wire.query(text);
        let told = error(&frames);
        assert_eq!(
            (told.code(), last(&frames)),
            ("25P02".into(), "ready E".into())
        );
        assert!(told.message().contains("lost"), "{told}");
        let frames = wire.ask(&[unnamed(text, &[]), sync()]);
        assert_eq!(
            (code(&frames), last(&frames)),
            ("25P02".into(), "ready E".into())
        );
        assert_eq!(said(&wire.query("rollback")), ["ROLLBACK", "ready I"]);
    }
}

#[test]
fn fact_38_what_is_no_part_of_a_copy_ends_it_as_it_does_directly() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let mut other = stage.client();
    let intruders = [
        query("select 1"),
        parse("s", "select 1"),
        parse("other", "select 1"),
        bind("", "s", &[]),
        execute("", 0),
        close_statement("s"),
    ];
    for intruder in intruders {
        let ended = stage.same(|wire| {
            wire.ask(&[parse("s", "select 1"), sync()]);
            wire.send(&query("copy t from stdin"));
            wire.until(b'G');
            wire.send(&[copy_data("1\n"), intruder.clone()].concat());
            wire.until_closed()
        });
        assert_eq!(said(&ended).len(), 2, "{ended:?}");
        assert_eq!(other.value("select count(*) from t"), "0");
    }
}

#[test]
fn a_drain_waits_for_the_end_of_a_transaction_that_was_lost() {
    let mut stage = Stage::new(&["--set", "shutdown.grace=0s"]);
    let ends = [
        vec![query("rollback")],
        vec![unnamed("rollback", &[]), sync()],
    ];
    let mut clients = ends.map(|end| (bereft(&stage), end));
    stage.served.signal("TERM");
    eventually("nobody gets in", || {
        Wire::login(stage.port(), &stage.database, &[]).is_err()
    });
    for (wire, end) in &mut clients {
        assert_eq!(code(&wire.query("select 1")), "25P02");
        assert_eq!(last(&wire.ask(end)), "ready I");
        let ended = wire.until_closed();
        assert_eq!(
            (code(&ended), error(&ended).field(b'S')),
            ("57P01".into(), "FATAL".into())
        );
    }
    assert!(stage.served.ended_within(Duration::from_secs(10)).success());
}

#[test]
fn a_transaction_that_was_lost_does_not_idle_longer_than_any_other() {
    let stage = Stage::with(1, &["idle_in_transaction_timeout=300ms"]);
    let mut wire = bereft(&stage);
    assert_eq!(code(&wire.until_closed()), "25P03");
}

#[test]
fn fact_20_what_a_lost_transaction_had_set_for_itself_is_reported_to_be_undone() {
    let stage = Stage::with_pool_of(1);
    let talk = |wire: &mut Wire, fail: &dyn Fn(&mut Wire) -> Vec<Frame>| {
        wire.run("begin");
        let mut heard = said(&wire.query("set local timezone = 'Asia/Tokyo'"));
        heard.extend(said(&wire.query("set local timezone = 'Asia/Baku'")));
        let mut failed = fail(wire);
        failed.retain(|frame| frame.tag != b'T' && frame.tag != b'E');
        heard.extend(said(&failed));
        heard.extend(said(&wire.query("rollback")));
        heard.extend(said(&wire.query("show timezone")));
        heard
    };
    let settings = [("TimeZone", "Europe/Berlin")];
    let expected = talk(&mut stage.direct_with(&settings), &|wire| {
        wire.query("select 1/0")
    });
    let lost = |wire: &mut Wire| {
        kill(&stage);
        wire.query("commit")
    };
    let running = |wire: &mut Wire| {
        wire.send(&query("select pg_sleep(60)"));
        kill_running(&stage, "pg_sleep");
        wire.until_ready()
    };
    let seen = talk(&mut stage.client_with(&settings), &running);
    alike(&seen, &expected);
    // While nothing is under way it is reported at once, and the loss with the next request.
    let seen = talk(&mut stage.client_with(&settings), &lost);
    alike(&seen, &expected);
}
