//! What a hint, or `ambassador.route`, asks of a replica: it goes there whatever it is, or it is
//! refused.

use super::{Troupe, marked};
use crate::wire::{Wire, bind, copy_done, error, execute, parse, query, said, sync, unnamed};

const ASKS: &str = "/* ambassador: replica */";

fn hinted(sql: &str) -> String {
    format!("{ASKS} {}", marked(sql))
}

fn batch(sql: &str) -> Vec<u8> {
    [unnamed(sql, &[]), sync()].concat()
}

/// What no replica takes, of each class.
const WRITES: [&str; 6] = [
    "select a from watched for update",
    "insert into watched values (2)",
    "with x as (insert into watched values (3) returning a) select * from x",
    "create table fresh (a int)",
    "copy watched from stdin",
    "select 1; delete from watched",
];

fn rows(troupe: &Troupe) -> String {
    let count = "select count(*)::text || ' ' || (to_regclass('fresh') is null)::text from watched";
    troupe.primary.ask(count).unwrap()
}

#[track_caller]
fn assert_refused(wire: &mut Wire, message: &[u8], status: &str) {
    let heard = wire.ask(&[message.to_vec()]);
    let error = error(&heard);
    assert_eq!(error.code(), "25006", "{heard:?}");
    assert!(
        error.message().starts_with("ambassador: database"),
        "{heard:?}"
    );
    assert_eq!(said(&heard).last().unwrap(), status);
}

#[test]
fn what_writes_is_refused_where_a_hint_asks_for_a_replica_and_the_session_lives() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    for text in WRITES.iter().chain(&["set work_mem = '3MB'"]) {
        let ran = troupe.ran_on(|| {
            assert_refused(&mut wire, &query(&hinted(text)), "ready I");
            if !text.contains(';') {
                assert_refused(&mut wire, &batch(&hinted(text)), "ready I");
            }
        });
        assert!(ran.is_empty(), "{text}: {ran:?}");
    }
    wire.ask(&[parse("s", &hinted("delete from watched")), sync()]);
    for _ in 0..2 {
        let again = [bind("", "s", &[]), execute("", 0), sync()].concat();
        assert_refused(&mut wire, &again, "ready I");
    }
    assert_eq!(wire.value("select a from watched"), "1");
    assert_eq!(rows(&troupe), "1 true");
    let refused = ["role=\"replica\"", "hint_refused"];
    // Each text but one both ways, and the statement of a name.
    assert_eq!(troupe.counted("route_decisions_total", &refused), 15);
}

#[test]
fn a_refusal_takes_along_what_its_batch_or_transaction_has_done() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    let (plain, asks) = (
        "insert into watched values (7)",
        hinted("delete from watched"),
    );
    let both = [unnamed(plain, &[]), batch(&asks)].concat();
    let heard = wire.ask(&[both]);
    assert_eq!(error(&heard).code(), "25006");
    assert_eq!(rows(&troupe), "1 true");
    // In a transaction that has left, in one that has not, and behind one under way.
    wire.run("begin");
    wire.run(plain);
    assert_refused(&mut wire, &query(&asks), "ready E");
    wire.run("rollback");
    wire.run("begin");
    assert_refused(&mut wire, &batch(&asks), "ready E");
    wire.run("rollback");
    for message in [query, batch] {
        wire.send(&["begin", plain, &asks, "commit"].map(message).concat());
        let heard: Vec<_> = (0..4).map(|_| said(&wire.until_ready())).collect();
        assert!(
            heard[2].iter().any(|one| one.contains("25006")),
            "{heard:?}"
        );
        assert_eq!(heard[2].last().unwrap(), "ready E");
        assert_eq!(heard[3].last().unwrap(), "ready I");
        assert!(heard[3].iter().any(|one| one == "ROLLBACK"), "{heard:?}");
    }
    assert_eq!(rows(&troupe), "1 true");
    wire.run(plain);
    assert_eq!(rows(&troupe), "2 true");
}

#[test]
fn what_is_behind_a_refused_copy_is_not_taken_for_anything_else() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    let copy = query(&hinted("copy watched from stdin"));
    wire.send(&[copy, crate::wire::copy_data("8\tx\n"), copy_done()].concat());
    assert_eq!(error(&wire.until_ready()).code(), "25006");
    assert_eq!(wire.value("select a from watched"), "1");
    assert_eq!(rows(&troupe), "1 true");
}

#[test]
fn all_else_that_a_hint_asks_for_is_the_replica_s_to_judge_and_what_it_refuses_is_healed() {
    let troupe = Troupe::eventual(
        "create sequence numbers; \
         create function acts() returns int language plpgsql as 'begin return 1; end'",
    );
    let mut wire = troupe.client();
    for (text, code, place) in [
        ("select acts()", None, "replica"),
        ("select pg_is_in_recovery()", None, "replica"),
        ("do 'begin end'", None, "replica"),
        ("select pg_advisory_xact_lock(1)", None, "replica"),
        ("selec a", Some("42601"), "replica"),
        ("select nextval('numbers')", None, "primary"),
        ("select txid_current()", None, "primary"),
    ] {
        for message in [query, batch] {
            let mut heard = Vec::new();
            let ran = troupe.ran_on(|| heard = wire.ask(&[message(&hinted(text))]));
            let mut errors = heard.iter().filter(|frame| frame.tag == b'E');
            let error = errors.next();
            assert_eq!(error.map(|one| one.code()).as_deref(), code, "{heard:?}");
            assert!(
                !heard
                    .iter()
                    .any(|one| one.to_string().contains("ambassador:"))
            );
            let there = ran.contains(&place);
            assert!(there || ran.is_empty() && code.is_some(), "{text}: {ran:?}");
        }
    }
}

#[test]
fn a_batch_is_sent_as_the_hint_of_its_first_text_says() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    let read = hinted("select a from watched");
    let write = marked("insert into watched values (7)");
    let both = [unnamed(&read, &[]), batch(&write)].concat();
    let mut heard = Vec::new();
    let ran = troupe.ran_on(|| heard = wire.ask(&[both]));
    // The replica refuses it, and so it runs again.
    assert_eq!(ran, ["primary", "replica"]);
    assert!(heard.iter().all(|frame| frame.tag != b'E'), "{heard:?}");
    assert_eq!(rows(&troupe), "2 true");
}

#[test]
fn a_session_that_asks_for_replicas_is_refused_what_writes_and_may_change_its_mind() {
    let troupe = Troupe::eventual("");
    for settings in [&[("options", "-c ambassador.route=replica")][..], &[]] {
        let mut wire = troupe.client_with(settings);
        if settings.is_empty() {
            wire.run("set ambassador.route = 'replica'");
        }
        for text in WRITES {
            assert_refused(&mut wire, &query(text), "ready I");
        }
        assert_refused(&mut wire, &batch(WRITES[1]), "ready I");
        wire.run("set work_mem = '3MB'");
        assert_eq!(wire.value("select current_setting('work_mem')"), "3MB");
        // In a transaction it is the server's word.
        wire.run("begin");
        let error = wire.failure(WRITES[1]);
        assert_eq!(error.code(), "25006");
        assert!(!error.message().contains("ambassador"));
        wire.run("rollback");
        assert_eq!(rows(&troupe), "1 true");
        wire.run("/* ambassador: primary */ update watched set b = 'x'");
        wire.run("set ambassador.route = 'auto'");
        wire.run("update watched set b = 'y'");
    }
    assert_eq!(troupe.primary.ask("select b from watched").unwrap(), "y");
}

#[test]
fn with_one_backend_a_hint_refuses_nothing() {
    let troupe = Troupe::unready(0, "", &[]);
    let mut wire = troupe.client();
    wire.run(&hinted("insert into watched values (2)"));
    wire.run("set ambassador.route = 'replica'");
    wire.run("insert into watched values (3)");
    assert_eq!(rows(&troupe), "3 true");
}
