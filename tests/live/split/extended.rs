//! Batches of the extended protocol: all of one goes to one place.

use super::{MARK, Troupe, marked};
use crate::wire::{
    bind, describe_statement, error, execute, flush, parse, query, said, sync, unnamed,
};

fn read() -> String {
    marked("select a from watched")
}

fn write() -> String {
    marked("update watched set b = 'new' where a = 1")
}

#[test]
fn a_batch_of_reads_goes_to_a_replica_and_one_with_anything_else_to_the_primary() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let mut ran = |messages: &[Vec<u8>]| troupe.ran_on(|| drop(client.ask(messages)));
    let reads = [unnamed(&read(), &[]), unnamed(&read(), &[]), sync()];
    assert_eq!(ran(&reads), ["replica"]);
    let last_writes = [unnamed(&read(), &[]), unnamed(&write(), &[]), sync()];
    assert_eq!(ran(&last_writes), ["primary"]);
    let first_writes = [unnamed(&write(), &[]), unnamed(&read(), &[]), sync()];
    assert_eq!(ran(&first_writes), ["primary"]);
    let a_query_follows = [parse("", &read()), bind("", "", &[]), query(&write())];
    assert_eq!(ran(&a_query_follows), ["primary"]);
}

#[test]
fn a_named_statement_goes_where_its_own_text_belongs_whatever_was_parsed_last() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    client.ask(&[parse("writes", &write()), sync()]);
    client.ask(&[parse("reads", &read()), sync()]);
    let mut ran = |messages: &[Vec<u8>]| troupe.ran_on(|| drop(client.ask(messages)));
    for _ in 0..2 {
        assert_eq!(
            ran(&[bind("", "writes", &[]), execute("", 0), sync()]),
            ["primary"]
        );
        assert_eq!(
            ran(&[bind("", "reads", &[]), execute("", 0), sync()]),
            ["replica"]
        );
    }
    let both = [
        bind("", "reads", &[]),
        execute("", 0),
        bind("", "writes", &[]),
        execute("", 0),
    ];
    assert_eq!(ran(&[&both[..], &[sync()]].concat()), ["primary"]);
    // One that the same batch has parsed.
    let fresh = [
        parse("more", &write()),
        bind("", "reads", &[]),
        execute("", 0),
        bind("", "more", &[]),
    ];
    assert_eq!(
        ran(&[&fresh[..], &[execute("", 0), sync()]].concat()),
        ["primary"]
    );
}

#[test]
fn a_text_that_is_not_understood_does_not_go_where_the_one_before_it_went() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    client.run(&read());
    let ran = troupe.ran_on(|| {
        let answer = client.ask(&[parse("", &marked("selec a from watched")), sync()]);
        assert_eq!(error(&answer).code(), "42601");
    });
    assert_eq!(ran, ["primary"]);
}

#[test]
fn a_batch_that_comes_in_pieces_is_waited_for() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let ran = troupe.ran_on(|| {
        for piece in [
            parse("", &read()),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ]
        .concat()
        .chunks(7)
        {
            client.send(piece);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(
            said(&client.until_ready()),
            ["parsed", "bound", "row 1", "SELECT 1", "ready I"]
        );
    });
    assert_eq!(ran, ["replica"]);
}

#[test]
fn a_client_that_flushes_before_its_sync_is_answered() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let ran = troupe.ran_on(|| {
        client.send(&[parse("", &read()), describe_statement(""), flush()].concat());
        assert_eq!(
            said(&client.until(b'T')),
            ["parsed", "parameters", "columns"]
        );
        let rest = client.ask(&[bind("", "", &[]), execute("", 0), sync()]);
        assert_eq!(said(&rest), ["bound", "row 1", "SELECT 1", "ready I"]);
    });
    assert_eq!(ran, ["primary"]);
}

#[test]
fn statements_are_prepared_where_they_run() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let answer = client.ask(&[
        parse("s", "select b from watched where a = $1"),
        describe_statement("s"),
        sync(),
    ]);
    assert_eq!(
        said(&answer),
        ["parsed", "parameters", "columns", "ready I"]
    );
    for _ in 0..2 {
        let answer = client.ask(&[bind("", "s", &["1"]), execute("", 0), sync()]);
        assert_eq!(said(&answer), ["bound", "row one", "SELECT 1", "ready I"]);
        client.run("begin");
        let answer = client.ask(&[bind("", "s", &["1"]), execute("", 0), sync()]);
        assert_eq!(said(&answer), ["bound", "row one", "SELECT 1", "ready T"]);
        client.run("commit");
    }
    let wrong = client.ask(&[bind("", "t", &[]), execute("", 0), sync()]);
    assert_eq!(
        error(&wrong).message(),
        "prepared statement \"t\" does not exist"
    );
}

#[test]
fn more_than_can_be_held_back_goes_to_the_primary() {
    let troupe = Troupe::eventual("");
    let mut client = troupe.client();
    let long = format!(
        "select a from watched where b <> '{}' {MARK}",
        "x".repeat(100_000)
    );
    let ran = troupe.ran_on(|| {
        let answer = client.ask(&[unnamed(&long, &[]), sync()]);
        assert_eq!(
            said(&answer),
            ["parsed", "bound", "row 1", "SELECT 1", "ready I"]
        );
    });
    assert_eq!(ran, ["primary"]);
}
