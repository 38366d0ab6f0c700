//! What DEALLOCATE and DISCARD ALL drop: at its place in a pipeline, and where nobody sees it.

use crate::{
    stage::Stage,
    statements::{asked, at_once},
    wire::{Wire, again, bind, describe_statement, execute, parse, query, said, sync, unnamed},
};

const UNSEEN: &str = "do $$ begin execute 'deallocate all'; end $$";

fn run(wire: &mut Wire, name: &str) -> String {
    said(&wire.ask(&[again(name, &[]), sync()])).join(", ")
}

#[test]
fn what_a_function_deallocates_is_missed_once_and_by_nobody_after_that() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    for (name, sql) in [("five", "select 5"), ("six", "select 6")] {
        one.ask(&[parse(name, sql), sync()]);
        other.ask(&[parse(name, sql), sync()]);
    }
    one.run(UNSEEN);
    let missed = run(&mut other, "five");
    assert!(
        missed.contains("26000 prepared statement \"five\" does not exist"),
        "{missed}"
    );
    assert!(run(&mut one, "five").contains("row 5"));
    assert!(run(&mut other, "five").contains("row 5"));
    assert!(run(&mut other, "six").contains("row 6"));
}

#[test]
fn in_a_session_with_a_connection_of_its_own_it_is_missed_once_too() {
    let stage = Stage::with_pool_of(1);
    let mut client = stage.client();
    client.run("create temporary table mine ()");
    client.ask(&[parse("five", "select 5"), sync()]);
    client.run(UNSEEN);
    assert!(run(&mut client, "five").contains("26000"));
    assert!(run(&mut client, "five").contains("row 5"));
}

#[test]
fn a_name_whose_parse_failed_does_not_come_back_with_a_deallocate_that_fails_behind_it() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        wire.run("begin");
        let door = [parse("", "deallocate all"), bind("door", "", &[]), sync()];
        let mut seen = wire.ask(&door);
        let failing = [parse("x", "selekt"), sync(), execute("door", 0), sync()];
        let after = [query("rollback"), describe_statement("x"), sync()];
        wire.send(&[failing.concat(), after.concat()].concat());
        for _ in 0..4 {
            seen.extend(wire.until_ready());
        }
        said(&seen)
    });
}

#[test]
fn fact_31_deallocate_acts_at_its_place_in_a_write_of_many_requests() {
    let stage = Stage::with_pool_of(1);
    let seen = stage.same(|wire| {
        let mut seen = at_once(wire, &asked(&[vec![parse("s", "select 'old'")]]));
        seen.extend(at_once(
            wire,
            &[
                query("deallocate s"),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
                query("deallocate s"),
                parse("s", "select 'new'"),
                sync(),
                again("s", &[]),
                sync(),
                query("deallocate all"),
                parse("s", "select 'newest'"),
                parse("t", "select 't'"),
                again("s", &[]),
                sync(),
                query("discard all"),
                again("t", &[]),
                sync(),
            ],
        ));
        seen
    });
    let seen = said(&seen).join(", ");
    assert!(seen.contains("row newest"), "{seen}");
}

#[test]
fn fact_31_deallocate_in_a_batch_makes_room_for_the_name_at_once() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("s", "select 'old'")],
                vec![
                    unnamed("deallocate s", &[]),
                    parse("s", "select 'new'"),
                    again("s", &[]),
                ],
                vec![unnamed("select 1/0", &[]), unnamed("deallocate s", &[])],
                vec![again("s", &[])],
                vec![unnamed("deallocate all", &[]), again("s", &[])],
                vec![again("s", &[])],
            ]),
        )
    });
}

#[test]
fn fact_31_deallocate_and_discard_act_through_a_named_portal_too() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        let through = |sql: &str| {
            vec![
                parse("", sql),
                bind("door", "", &[]),
                bind("", "", &[]),
                execute("door", 0),
            ]
        };
        at_once(
            wire,
            &asked(&[
                vec![parse("s", "select 1"), parse("t", "select 2")],
                through("deallocate s"),
                vec![again("s", &[])],
                vec![again("t", &[])],
                through("discard all"),
                vec![again("t", &[])],
            ]),
        )
    });
}

#[test]
fn fact_31_discard_all_may_run_twice_in_a_batch_and_not_behind_anything_else() {
    let stage = Stage::with_pool_of(1);
    let discard = || unnamed("discard all", &[]);
    let seen = stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("s", "select 1"), discard(), discard()],
                vec![again("s", &[])],
                vec![discard(), unnamed("select 2", &[]), discard()],
            ]),
        )
    });
    let seen = said(&seen).join(", ");
    assert_eq!(seen.matches("DISCARD ALL, ").count(), 3, "{seen}");
    assert!(seen.contains("25001"), "{seen}");
}

#[test]
fn fact_31_a_name_that_was_found_taken_and_is_deallocated_behind_that_is_unknown() {
    let stage = Stage::with_pool_of(1);
    stage.same(|wire| {
        at_once(
            wire,
            &asked(&[
                vec![parse("s", "select 1")],
                vec![parse("s", "select 2")],
                vec![unnamed("deallocate all", &[]), describe_statement("s")],
                vec![again("s", &[])],
                vec![parse("s", "select 3"), again("s", &[])],
            ]),
        )
    });
}
