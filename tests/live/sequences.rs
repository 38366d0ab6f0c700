//! What a sequence gave is its session's to ask for, and never another's.

use crate::{
    stage::{Stage, eventually},
    wire::{Wire, said, sync, unnamed},
};

const TABLES: &str = "create table a (id serial, v int); create table b (v int); \
                      create table c (id int generated always as identity, v int); \
                      create sequence s; select setval('a_id_seq', 100); \
                      select setval('c_id_seq', 500)";

fn stage(size: usize) -> Stage {
    let stage = Stage::with_pool_of(size);
    stage.directly(TABLES);
    stage
}

type Ask = fn(&mut Wire, &str) -> Vec<String>;

const WAYS: [Ask; 2] = [
    |wire, text| said(&wire.query(text)),
    |wire, text| said(&wire.ask(&[unnamed(text, &[]), sync()])),
];

fn is_refused(seen: &[String]) -> bool {
    seen.iter().any(|line| line.starts_with("55000 "))
}

/// The value of its own, or the refusal of who has none.
fn is_own(seen: &[String], own: &str) -> bool {
    seen.contains(&format!("row {own}")) || is_refused(seen)
}

#[test]
fn the_value_of_an_insert_is_asked_for_in_the_next_transaction() {
    for ask in WAYS {
        let stage = stage(1);
        let mut one = stage.client();
        for expected in 101..105 {
            ask(&mut one, "insert into a (v) values (1)");
            let seen = ask(&mut one, "select lastval()");
            assert!(seen.contains(&format!("row {expected}")), "{seen:?}");
            let seen = ask(&mut one, "select currval('a_id_seq')");
            assert!(seen.contains(&format!("row {expected}")), "{seen:?}");
        }
    }
}

#[test]
fn nobody_hears_what_a_sequence_gave_another() {
    for ask in WAYS {
        let stage = stage(1);
        let (mut one, mut other) = (stage.client(), stage.client());
        ask(&mut one, "select nextval('s')");
        ask(&mut other, "insert into c (v) values (1)");
        // The first who asks may have been passed by another.
        let seen = ask(&mut one, "select lastval()");
        assert!(is_own(&seen, "1"), "{seen:?}");
        let mut third = stage.client();
        for text in [
            "select lastval()",
            "select currval('s')",
            "select currval('c_id_seq')",
        ] {
            let seen = ask(&mut third, text);
            assert!(is_refused(&seen), "{text}: {seen:?}");
        }
        // A write that draws nothing leaves nothing to ask for.
        ask(&mut third, "insert into b values (1)");
        let seen = ask(&mut third, "select lastval()");
        assert!(is_refused(&seen), "{seen:?}");
    }
}

#[test]
fn who_has_asked_once_hears_his_own_whoever_comes_between() {
    for ask in WAYS {
        let stage = stage(1);
        let (mut one, mut other) = (stage.client(), stage.client());
        for round in 0..3 {
            ask(&mut one, "insert into a (v) values (1)");
            ask(&mut other, "insert into c (v) values (1)");
            let seen = ask(&mut other, "select lastval()");
            let own = format!("row {}", 501 + round);
            assert!(
                seen.contains(&own) || round == 0 && is_refused(&seen),
                "{seen:?}"
            );
            let seen = ask(&mut one, "select lastval()");
            let own = format!("row {}", 101 + round);
            assert!(
                seen.contains(&own) || round == 0 && is_refused(&seen),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn a_transaction_asks_for_what_it_has_drawn_itself() {
    for ask in WAYS {
        let stage = stage(1);
        let (mut one, mut other) = (stage.client(), stage.client());
        for round in 0..3 {
            ask(&mut other, "insert into c (v) values (1)");
            ask(&mut one, "begin");
            ask(&mut one, "insert into a (v) values (1)");
            let seen = ask(&mut one, "select lastval(), currval('a_id_seq')");
            let expected = format!("row {} {}", 101 + round, 101 + round);
            assert!(seen.contains(&expected), "{seen:?}");
            ask(&mut one, "commit");
        }
        assert_eq!(one.value("select nextval('s') = currval('s')"), "t");
    }
}

#[test]
fn who_does_not_ask_keeps_no_connection() {
    let stage = stage(1);
    let mut writers: Vec<Wire> = (0..4).map(|_| stage.client()).collect();
    for writer in &mut writers {
        for _ in 0..4 {
            writer.run("insert into a (v) values (1)");
        }
    }
    eventually("they share one", || {
        for writer in &mut writers {
            writer.run("select 1");
        }
        stage.connections() == 1
    });
}

#[test]
fn discard_all_forgets_what_sequences_gave() {
    let stage = stage(1);
    let mut one = stage.client();
    one.run("insert into a (v) values (1)");
    one.run("discard all");
    assert_eq!(one.failure("select lastval()").code(), "55000");
    one.run("insert into a (v) values (1)");
    one.run("discard sequences");
    assert_eq!(one.failure("select lastval()").code(), "55000");
}
