//! Statements that are dropped where nobody sees it, and those that only seem to be.

use crate::{
    stage::Stage,
    wire::{Wire, again, bind, describe_statement, execute, parse, query, said, sync},
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
