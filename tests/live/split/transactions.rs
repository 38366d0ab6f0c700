//! A transaction runs in one place, and it is known which before its first statement.

use super::{Troupe, marked};
use crate::wire::{Wire, bind, describe_portal, execute, parse, query, said, sync};

fn batch(sql: &str) -> Vec<u8> {
    let parts = [
        parse("", sql),
        bind("", "", &[]),
        describe_portal(""),
        execute("", 0),
        sync(),
    ];
    parts.concat()
}

/// Runs it all, the marked ones between the first and the last.
fn transact(wire: &mut Wire, texts: &[&str], message: fn(&str) -> Vec<u8>) {
    for text in texts {
        let heard = said(&wire.ask(&[message(text)]));
        assert!(
            heard.last().unwrap().starts_with("ready"),
            "{text}: {heard:?}"
        );
    }
}

#[test]
fn a_transaction_that_only_reads_is_on_a_replica_for_its_whole_length() {
    let troupe = Troupe::eventual(
        "create function acts() returns int language plpgsql as 'begin return 1; end'",
    );
    let volatile = marked("select acts()");
    let read = marked("select a from watched");
    let write = marked("insert into watched values (9)");
    let export = marked("select pg_export_snapshot()");
    let (volatile, read, write, export) = (
        volatile.as_str(),
        read.as_str(),
        write.as_str(),
        export.as_str(),
    );
    for (texts, place) in [
        (
            &["begin read only", volatile, read, write, "rollback"][..],
            "replica",
        ),
        (
            &[
                "start transaction isolation level repeatable read, read only",
                volatile,
                "commit",
            ],
            "replica",
        ),
        (
            &["begin", "set transaction read only", volatile, "commit"],
            "replica",
        ),
        (
            &[
                "/* ambassador: replica */ begin",
                volatile,
                write,
                "rollback",
            ],
            "replica",
        ),
        (
            &[
                "begin",
                "set local ambassador.route = 'replica'",
                volatile,
                "commit",
            ],
            "replica",
        ),
        (
            &[
                "begin read only",
                "set local ambassador.route = 'primary'",
                read,
                "commit",
            ],
            "primary",
        ),
        (&["begin", read, "commit"], "primary"),
        (
            &[
                "begin read only",
                "set transaction read write",
                read,
                "commit",
            ],
            "primary",
        ),
        (
            &[
                "begin isolation level serializable, read only",
                read,
                "commit",
            ],
            "primary",
        ),
        (
            &[
                "begin read only",
                "set transaction isolation level serializable",
                read,
                "commit",
            ],
            "primary",
        ),
        (
            &[
                "begin isolation level repeatable read, read only",
                export,
                read,
                "commit",
            ],
            "primary",
        ),
        (
            &[
                "begin read only",
                "set transaction snapshot 'x'",
                "rollback",
                "begin",
                read,
                "end",
            ],
            "primary",
        ),
        (
            &["/* ambassador: primary */ begin read only", read, "commit"],
            "primary",
        ),
    ] {
        for message in [query, batch] {
            let mut wire = troupe.client();
            let ran = troupe.ran_on(|| transact(&mut wire, texts, message));
            assert_eq!(ran, [place], "{texts:?}");
        }
    }
    for settings in [
        "-c default_transaction_read_only=on",
        "-c ambassador.route=replica",
    ] {
        let mut wire = troupe.client_with(&[("options", settings)]);
        let ran = troupe.ran_on(|| transact(&mut wire, &["begin", volatile, "commit"], query));
        assert_eq!(ran, ["replica"], "{settings}");
    }
}

#[test]
fn a_hint_on_a_begin_that_nobody_waits_for_decides_too() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    for (hint, place) in [("replica", "replica"), ("primary", "primary")] {
        let begin = format!("/* ambassador: {hint} */ begin");
        let read = marked("select a from watched");
        let texts = [&*begin, &read, &read, "commit"];
        let ran = troupe.ran_on(|| {
            wire.send(&texts.map(query).concat());
            for text in texts {
                let heard = said(&wire.until_ready());
                assert!(
                    !heard.iter().any(|one| one.starts_with("error")),
                    "{text}: {heard:?}"
                );
            }
        });
        assert_eq!(ran, [place]);
    }
}

#[test]
fn a_write_in_it_is_refused_as_it_is_directly() {
    let troupe = Troupe::eventual("");
    let mut wire = troupe.client();
    let mut direct = Wire::login(troupe.primary.port(), "postgres", &[]).unwrap();
    for text in [
        "insert into watched values (9)",
        "create table x (a int)",
        "select nextval('none')",
    ] {
        let mut heard = [&mut direct, &mut wire].map(|wire| {
            wire.run("begin read only");
            let heard = said(&wire.query(text));
            wire.run("rollback");
            heard
        });
        let direct = std::mem::take(&mut heard[0]);
        assert_eq!(heard[1], direct, "{text}");
    }
}

#[test]
fn a_session_says_where_it_wants_its_requests_and_hears_where_they_went() {
    let troupe = Troupe::eventual(
        "create function acts() returns int language plpgsql as 'begin return 1; end'",
    );
    let mut wire = troupe.client();
    let volatile = marked("select acts()");
    let mut ran = |act: &str, text: &str| {
        wire.run(act);
        let ran = troupe.ran_on(|| wire.run(text));
        (
            ran,
            said(&wire.query("show ambassador.last_backend"))[1].clone(),
        )
    };
    let (primary, replica) = (troupe.primary.port(), troupe.replicas[0].port());
    let (place, told) = ran("select 1", &volatile);
    assert_eq!(place, ["primary"]);
    assert_eq!(
        told,
        format!("row 127.0.0.1:{primary} primary NULL volatile_function")
    );
    let (place, told) = ran("set ambassador.route = 'replica'", &volatile);
    assert_eq!(place, ["replica"]);
    assert_eq!(told, format!("row 127.0.0.1:{replica} replica NULL hint"));
    let read = marked("select a from watched");
    let (place, _) = ran("set ambassador.route = 'primary'", &read);
    assert_eq!(place, ["primary"]);
    let (place, told) = ran("reset ambassador.route", &read);
    assert_eq!(place, ["replica"]);
    assert_eq!(
        told,
        format!("row 127.0.0.1:{replica} replica NULL proven_read")
    );
}
