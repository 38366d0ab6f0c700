//! Statements that are dropped where nobody sees it.

use crate::{
    stage::Stage,
    wire::{Wire, again, parse, said, sync},
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
