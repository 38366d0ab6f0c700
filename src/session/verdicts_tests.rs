#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]

use proptest::{prelude::*, sample::select};

use super::*;
use crate::route::{Reads, Role};

fn verdicts() -> Verdicts {
    let rules = Rules {
        reads: Reads::Replicas,
        backends: 2,
        has_replicas: true,
    };
    Verdicts::new(rules, Arc::default(), 7)
}

/// Judged in whole, as the server reads it usually.
fn judged(verdicts: &Verdicts, text: &str) -> Found {
    verdicts.judge(text.as_bytes(), Spelling::Standard, true)
}

fn told(found: &Found) -> (Class, Role, &'static str) {
    let decision = found.judged.decision().unwrap();
    let class = found.judged.verdict.class();
    (class, decision.role, decision.reason.name())
}

#[test]
fn a_text_is_found_once_for_all_that_differ_in_their_values_alone() {
    let verdicts = verdicts();
    let first = judged(&verdicts, "INSERT INTO t VALUES (1, 'a')");
    assert_eq!(first.hit, Some(false));
    let again = judged(&verdicts, "insert  into t values (22, 'b''c') -- d");
    assert_eq!(again.hit, Some(true));
    assert!(Rc::ptr_eq(&first.judged.verdict, &again.judged.verdict));
    assert_eq!(
        again.reading.unwrap(),
        sql::read(b"INSERT INTO t VALUES (1, 'a')")
    );
    assert_eq!(told(&again), (Class::Write, Role::Primary, "write"));
    assert_eq!(verdicts.len(), 1);
}

#[test]
fn a_hint_is_of_its_own_text_alone() {
    let verdicts = verdicts();
    let plain = judged(&verdicts, "CALL p(1)");
    assert_eq!(told(&plain).1, Role::Primary);
    let hinted = judged(&verdicts, "/* ambassador: replica */ CALL p(2)");
    assert_eq!(hinted.hit, Some(true));
    assert_eq!(told(&hinted), (Class::Call, Role::Replica, "hint"));
    let plain = judged(&verdicts, "CALL p(3)");
    assert_eq!(told(&plain).1, Role::Primary);
}

#[test]
fn a_verdict_that_hangs_on_a_literal_is_found_anew_each_time() {
    let verdicts = verdicts();
    let effects = |text: &str| {
        let found = judged(&verdicts, text);
        assert_eq!(found.hit, Some(false), "{text}");
        found
            .judged
            .verdict
            .finding
            .as_ref()
            .unwrap()
            .effects
            .clone()
    };
    let one = effects("SELECT set_config('a.b', 'c', false)");
    let other = effects("SELECT set_config('a.b', 'c', true)");
    assert_ne!(one, other);
    assert!(verdicts.is_empty());
}

#[test]
fn until_there_is_a_catalog_names_are_not_known_and_then_they_are_judged_anew() {
    let snapshot: Arc<Snapshot> = Arc::default();
    let verdicts = Verdicts::new(verdicts().rules, Arc::clone(&snapshot), 7);
    let text = "SELECT f(1)";
    let awaited = judged(&verdicts, text);
    assert_eq!(told(&awaited), (Class::Read, Role::Primary, "no_catalog"));
    assert!(verdicts.holds(&awaited.judged) && snapshot.take_doubt().is_none());
    snapshot.put(Arc::default());
    assert!(!verdicts.holds(&awaited.judged));
    let known = judged(&verdicts, text);
    assert_eq!(known.hit, Some(false));
    assert_eq!(told(&known).2, "unknown_function");
    assert!(verdicts.holds(&known.judged));
    // It may be one that has come since: once.
    assert_eq!(snapshot.take_doubt(), Some(Occasion::Unknown));
    assert_eq!(snapshot.take_doubt(), None);
    assert_eq!(judged(&verdicts, text).hit, Some(true));
    assert_eq!(snapshot.take_doubt(), None);
    verdicts.doubt();
    assert_eq!(snapshot.take_doubt(), Some(Occasion::Ddl));
}

#[test]
fn what_the_server_reads_otherwise_is_not_read_and_not_remembered() {
    let verdicts = verdicts();
    let text = b"SELECT 1";
    let cases = [
        (Spelling::Strings, true, "nonstandard_strings"),
        (Spelling::Encoding, true, "client_encoding"),
        (Spelling::Standard, false, "oversize"),
    ];
    for (spelling, whole, reason) in cases {
        let found = verdicts.judge(text, spelling, whole);
        assert_eq!(told(&found), (Class::Unknown, Role::Primary, reason));
        assert!(found.hit.is_none() && found.reading.is_none());
        assert!(verdicts.holds(&found.judged));
    }
    let found = judged(&verdicts, "SELECT 'no end");
    assert_eq!(told(&found), (Class::Unknown, Role::Primary, "unparsable"));
    assert!(verdicts.is_empty());
}

#[test]
fn how_a_text_is_read_is_told_by_reported_settings() {
    let of = |name: &str, value: &str| {
        let mut told = Parameters::default();
        told.set(name.as_bytes(), value.as_bytes());
        Spelling::of(&told)
    };
    assert_eq!(Spelling::of(&Parameters::default()), Spelling::Standard);
    assert_eq!(of("standard_conforming_strings", "on"), Spelling::Standard);
    assert_eq!(of("standard_conforming_strings", "off"), Spelling::Strings);
    assert_eq!(of("client_encoding", "UTF8"), Spelling::Standard);
    assert_eq!(of("client_encoding", "SJIS"), Spelling::Encoding);
}

proptest! {
    /// What is remembered says of a text what reading it says.
    #[test]
    fn a_remembered_reading_is_that_of_the_text(
        parts in proptest::collection::vec(select(vec![
            "select", "update", "insert into", "set a =", "set local", "begin", "commit", "listen",
            "declare c cursor with hold for", "prepare p as", "execute", "deallocate", "discard all",
            "create temp table", "copy t to stdout", "reset", "savepoint", "show", "do", "1", "'a'",
            "2.5", "$1", "x", "y", "nextval('s')", "pg_locks", "(", ")", ",", ";", "/* c */", "in",
        ]), 1..10),
        values in proptest::collection::vec(select(vec!["1", "'b'", "3", "$2", "'it''s'"]), 10),
    ) {
        let verdicts = verdicts();
        judged(&verdicts, &parts.join(" "));
        // The same text with other values.
        let other: Vec<&str> = parts.iter().zip(&values).map(|(part, value)| {
            let is_value = ["1", "'a'", "2.5", "$1"].contains(part);
            if is_value { *value } else { *part }
        }).collect();
        let other = other.join("  ");
        let found = judged(&verdicts, &other);
        if let Some(reading) = found.reading {
            prop_assert_eq!(reading, sql::read(other.as_bytes()), "{}", other);
        }
    }
}
