//! Clients in front of a real server: what one leaves behind, no other meets.

use std::time::Duration;

use crate::{
    peers::{Wire, close, message, parse, query, run},
    support::{self, Served},
};

const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];
const FLUSH: [u8; 5] = [b'H', 0, 0, 0, 4];

/// Two clients that share one connection.
fn pair(args: &[&str]) -> (Served, Wire, Wire) {
    let args = [&["--pool-size", "1", "--workers", "1"], args].concat();
    let served = Served::ambassador(support::cluster(), &args);
    let port = served.port();
    (
        served,
        Wire::client(port, "postgres"),
        Wire::client(port, "postgres"),
    )
}

fn asked(client: &mut Wire, parts: &[&[u8]]) -> String {
    client.send(&parts.concat()).unwrap();
    client.answer()
}

#[test]
fn who_says_good_bye_is_let_go_and_its_transaction_ends_fact_46() {
    let (_served, mut one, mut other) = pair(&[]);
    one.query("begin");
    one.send(&message(b'X', b"")).unwrap();
    assert_eq!(one.answer_to(b'X'), "end");
    assert_eq!(other.query("select 1"), "T, D 1, C SELECT 1, Z I");
}

#[test]
fn what_was_asked_before_a_good_bye_is_answered_fact_46() {
    let (_served, mut one, _) = pair(&[]);
    let big = query("select repeat('x', 3000000)");
    one.send(&[big, query("select 1"), message(b'X', b"")].concat())
        .unwrap();
    assert!(one.answer().ends_with("C SELECT 1, Z I"));
    assert_eq!(one.answer_to(b'X'), "T, D 1, C SELECT 1, Z I, end");
}

#[test]
fn a_batch_keeps_its_connection_up_to_its_sync_fact_26() {
    let (_served, mut one, mut other) = pair(&[]);
    one.query("create table t26 (x int)");
    let insert = parse("", "insert into t26 values (1)");
    one.send(&[&insert[..], &run(""), &FLUSH].concat()).unwrap();
    assert_eq!(one.answer_to(b'C'), "1, 2, C INSERT 0 1");
    other.send(&query("select 'seen'")).unwrap();
    assert!(other.is_silent_for(Duration::from_millis(300)));
    assert_eq!(asked(&mut one, &[&SYNC]), "Z I");
    assert_eq!(other.answer(), "T, D seen, C SELECT 1, Z I");
}

#[test]
fn the_unnamed_statement_of_another_is_never_run_fact_28() {
    let (_served, mut one, mut other) = pair(&[]);
    asked(&mut one, &[&parse("", "select 'mine'"), &run(""), &SYNC]);
    assert_eq!(asked(&mut other, &[&run(""), &SYNC]), "E ERROR 26000, Z I");
    assert_eq!(
        asked(&mut one, &[&run(""), &SYNC]),
        "2, D mine, C SELECT 1, Z I"
    );
}

#[test]
fn a_skipped_parse_leaves_the_statement_before_it_fact_24() {
    let (_served, mut one, _) = pair(&[]);
    asked(
        &mut one,
        &[&parse("", "select 'old'"), &parse("n", "select 7"), &SYNC],
    );
    let wrong = run("nosuch");
    let said = asked(&mut one, &[&wrong, &parse("", "select 'new'"), &SYNC]);
    assert_eq!(said, "E ERROR 26000, Z I");
    assert_eq!(
        asked(&mut one, &[&run(""), &SYNC]),
        "2, D old, C SELECT 1, Z I"
    );
    asked(
        &mut one,
        &[&wrong, &close("n"), &parse("n", "select 7"), &SYNC],
    );
    assert_eq!(
        asked(&mut one, &[&run("n"), &SYNC]),
        "2, D 7, C SELECT 1, Z I"
    );
}

#[test]
fn statements_that_were_to_make_room_are_still_known_when_that_was_skipped_fact_24() {
    let (_served, mut one, _) = pair(&["--set", r#"databases."*".prepared_statements=4"#]);
    let text = |number| parse(&format!("s{number}"), &format!("select {number}"));
    for number in 0..8 {
        asked(&mut one, &[&text(number), &SYNC]);
    }
    for number in 8..16 {
        asked(&mut one, &[&run("nosuch"), &text(number), &SYNC]);
    }
    for number in 0..8 {
        let said = asked(&mut one, &[&run(&format!("s{number}")), &SYNC]);
        assert_eq!(said, format!("2, D {number}, C SELECT 1, Z I"));
    }
}

#[test]
fn discard_all_takes_nothing_from_others_in_a_batch_or_a_pipeline_fact_31() {
    let (_served, mut one, mut other) = pair(&[]);
    asked(&mut other, &[&parse("s", "select 42"), &SYNC]);
    let said = asked(&mut one, &[&parse("", "discard all"), &run(""), &SYNC]);
    assert_eq!(said, "1, 2, C DISCARD ALL, Z I");
    assert_eq!(
        asked(&mut other, &[&run("s"), &SYNC]),
        "2, D 42, C SELECT 1, Z I"
    );
    one.send(&[query("select 1"), query("discard all")].concat())
        .unwrap();
    assert_eq!(one.answer(), "T, D 1, C SELECT 1, Z I");
    assert_eq!(one.answer(), "C DISCARD ALL, Z I");
    assert_eq!(
        asked(&mut other, &[&run("s"), &SYNC]),
        "2, D 42, C SELECT 1, Z I"
    );
}

#[test]
fn what_a_bind_would_have_changed_is_forgotten_with_its_portal_fact_31() {
    let (_served, mut one, _) = pair(&[]);
    asked(
        &mut one,
        &[&parse("d", "discard all"), &parse("s", "select 1"), &SYNC],
    );
    let mut bind = run("d");
    bind.truncate(bind.len() - 10);
    assert_eq!(asked(&mut one, &[&bind, &SYNC]), "2, Z I");
    assert_eq!(
        asked(&mut one, &[&run("s"), &SYNC]),
        "2, D 1, C SELECT 1, Z I"
    );
}

#[test]
fn a_bind_longer_than_any_buffer_announces_its_length_though_it_is_replaced_fact_30() {
    let (_served, mut one, _) = pair(&[]);
    asked(&mut one, &[&parse("d", "discard all"), &SYNC]);
    let bind = message(b'B', &[&b"\0d\0"[..], &vec![0; 400_000]].concat());
    assert_eq!(asked(&mut one, &[&bind, &SYNC]), "E ERROR 08P01, Z I");
    assert_eq!(one.query("select 1"), "T, D 1, C SELECT 1, Z I");
}

#[test]
fn a_copy_that_failed_keeps_no_connection_fact_38() {
    let (_served, mut one, mut other) = pair(&[]);
    one.query("create table t38 (x int)");
    one.send(&query("copy t38 from stdin")).unwrap();
    assert_eq!(one.answer_to(b'G'), "G");
    assert_eq!(
        asked(&mut one, &[&message(b'd', b"x\n")]),
        "E ERROR 22P02, Z I"
    );
    assert_eq!(other.query("select 1"), "T, D 1, C SELECT 1, Z I");
    one.send(&[message(b'd', b"x\n"), message(b'c', b"")].concat())
        .unwrap();
    assert_eq!(one.query("select 2"), "T, D 2, C SELECT 1, Z I");
}

#[test]
fn a_copy_sent_all_at_once_ends_fact_38() {
    let (_served, mut one, mut other) = pair(&[]);
    one.query("create table p38 (x int)");
    let (data, end) = (message(b'd', b"1\n"), message(b'c', b""));
    let copy = query("copy p38 from stdin");
    assert_eq!(asked(&mut one, &[&copy, &data, &end]), "G, C COPY 1, Z I");
    assert_eq!(other.query("select 1"), "T, D 1, C SELECT 1, Z I");
    // The server reads over a Sync before the data, not over the one behind it.
    let copy = [parse("", "copy p38 from stdin"), run("")].concat();
    let said = asked(&mut one, &[&copy, &SYNC, &data, &end, &SYNC]);
    assert_eq!(said, "1, 2, G, C COPY 1, Z I");
    assert_eq!(
        other.query("select count(*) from p38"),
        "T, D 2, C SELECT 1, Z I"
    );
}

#[test]
fn a_statement_in_a_transaction_is_not_idle() {
    let limit = r#"databases."*".idle_in_transaction_timeout="500ms""#;
    let (_served, mut one, _) = pair(&["--set", limit]);
    one.query("begin");
    assert_eq!(one.query("select pg_sleep(1.2)"), "T, D, C SELECT 1, Z T");
    assert_eq!(one.answer(), "E FATAL 25P03, end");
}

#[test]
fn a_conversation_cut_at_any_byte_is_the_same_fact_30() {
    let (served, _, _) = pair(&[]);
    let parts = [
        &parse("n", "select 'named'")[..],
        &run("n"),
        &SYNC,
        &query("select 1; select 2"),
        &[parse("", "select 3"), run("")].concat(),
        &SYNC,
        &[parse("n", "again"), run("")].concat(),
        &SYNC,
        &query("copy (select 1) to stdout"),
        &[close("n"), run("n")].concat(),
        &SYNC,
    ];
    let bytes = parts.concat();
    let said = |cuts: &mut dyn Iterator<Item = &[u8]>| {
        let mut client = Wire::client(served.port(), "postgres");
        cuts.for_each(|cut| client.send(cut).unwrap());
        let answers: Vec<_> = (0..6).map(|_| client.answer()).collect();
        client.send(&message(b'X', b"")).unwrap();
        answers
    };
    let whole = said(&mut [&bytes[..]].into_iter());
    assert!(whole[0].ends_with("D named, C SELECT 1, Z I"), "{whole:?}");
    for at in 1..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(said(&mut [front, back].into_iter()), whole, "cut at {at}");
    }
    assert_eq!(said(&mut bytes.chunks(1)), whole);
}
