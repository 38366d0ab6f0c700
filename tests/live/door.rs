//! What comes before a session: every first packet is answered as the server itself answers it.

use std::time::Duration;

use crate::{
    stage::Stage,
    support,
    wire::{VERSION, Wire, message, query, request, said, startup, sync},
};

const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;
const CANCEL: i32 = 80_877_102;

/// A packet with a length word of its own.
fn packet(length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], rest].concat()
}

/// All that comes up to the end, without what each server says its own way: where in its sources an
/// error was made, and which minor version is its newest.
fn answer(port: u16, bytes: &[u8]) -> String {
    let mut wire = Wire::open(port);
    wire.send(bytes);
    let mut fields = Vec::new();
    for part in wire.everything().split(|&byte| byte == 0) {
        let place = matches!(part, [b'F' | b'L' | b'R', ..]);
        if !place && part.len() > 1 {
            let text = String::from_utf8_lossy(part).replace("to 3.2", "to 3.0");
            // Behind the last byte of the length word.
            let begin = text.find("SFATAL").unwrap_or(0);
            fields.push(text[begin..].to_owned());
        }
    }
    fields.join("|")
}

/// Both ends say the same; gives what they say.
#[track_caller]
fn same(stage: &Stage, what: &str, bytes: &[u8]) -> String {
    let direct = answer(support::cluster().port(), bytes);
    assert_eq!(answer(stage.port(), bytes), direct, "{what}");
    direct
}

#[test]
fn fact_5_a_start_up_of_an_impossible_length_or_layout_is_refused_as_directly() {
    let stage = Stage::with_pool_of(1);
    let version = &VERSION.to_be_bytes()[..];
    let who = startup(VERSION, &[("user", "postgres"), ("database", "postgres")]);
    let body = &who[4..];
    let length = u32::try_from(who.len()).unwrap();
    let silent = [
        ("a length of 0", packet(0, &[])),
        ("a length of 4", packet(4, &[])),
        ("a length of 7", packet(7, &[0, 3, 0])),
        (
            "a length of 10005",
            packet(10_005, &[version, &[0; 9997]].concat()),
        ),
        ("a length below zero", packet(u32::MAX, version)),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
    ];
    for (what, bytes) in silent {
        assert_eq!(same(&stage, what, &bytes), "", "{what}");
    }
    let layouts = [
        ("nothing but a version", packet(8, version)),
        ("no terminator", packet(length - 1, &body[..body.len() - 1])),
        (
            "a byte too many",
            packet(length + 1, &[body, b"x"].concat()),
        ),
        (
            "two terminators",
            packet(length + 1, &[body, &[0]].concat()),
        ),
        ("no value", packet(13, &[version, b"user\0"].concat())),
        (
            "a value without end",
            packet(15, &[version, b"user\0ab"].concat()),
        ),
    ];
    for (what, bytes) in layouts {
        let told = same(&stage, what, &bytes);
        assert!(
            told.contains("C08P01|Minvalid startup packet layout"),
            "{what}: {told}"
        );
    }
    assert_eq!(stage.client().value("select 1"), "1");
}

#[test]
fn fact_5_a_start_up_as_long_as_may_be_is_taken() {
    let stage = Stage::with_pool_of(1);
    let who = [("user", "postgres"), ("database", &*stage.database)];
    let empty = startup(VERSION, &[&who[..], &[("a.b", "")]].concat()).len();
    let value = "x".repeat(10_004 - empty);
    for port in [support::cluster().port(), stage.port()] {
        let mut wire = Wire::login(port, &stage.database, &[("a.b", &value)]).unwrap();
        assert_eq!(
            wire.value("select length(current_setting('a.b'))"),
            value.len().to_string()
        );
    }
}

#[test]
fn fact_5_who_names_no_user_is_refused_and_who_names_no_database_gets_its_own() {
    let stage = Stage::with_pool_of(1);
    for settings in [&[][..], &[("user", "")], &[("database", "postgres")]] {
        let told = same(&stage, "no user", &startup(VERSION, settings));
        assert!(
            told.contains("C28000|Mno PostgreSQL user name specified"),
            "{told}"
        );
    }
    let own = support::Served::ambassador_with(&[
        "--upstream",
        &format!(
            "postgres://postgres@127.0.0.1:{}",
            support::cluster().port()
        ),
    ]);
    for port in [support::cluster().port(), own.port()] {
        for settings in [
            &[("user", "postgres")][..],
            &[("user", "postgres"), ("database", "")],
        ] {
            let mut wire = Wire::open(port);
            wire.send(&startup(VERSION, settings));
            wire.welcomed().unwrap();
            assert_eq!(wire.value("select current_database()"), "postgres");
        }
    }
}

#[test]
fn fact_5_another_major_version_is_refused_in_words_that_its_clients_can_read() {
    let stage = Stage::with_pool_of(1);
    let who = [("user", "postgres"), ("database", "postgres")];
    for major in [1, 2] {
        let told = same(&stage, "an old one", &startup(major << 16, &who));
        assert!(
            told.starts_with("EFATAL:  unsupported frontend protocol "),
            "{told}"
        );
    }
    for version in [4 << 16, (1234 << 16) + 1] {
        let told = same(&stage, "a new one", &startup(version, &who));
        assert!(
            told.contains("C0A000|Munsupported frontend protocol "),
            "{told}"
        );
    }
}

#[test]
fn fact_1_what_comes_with_a_request_for_encryption_is_refused() {
    let stage = Stage::with_pool_of(1);
    let who = startup(VERSION, &[("user", "postgres"), ("database", "postgres")]);
    let told = same(&stage, "SSL", &[request(SSL), who.clone()].concat());
    assert!(
        told.contains("Mreceived unencrypted data after SSL request"),
        "{told}"
    );
    // A server that can do GSSAPI takes the rest for its ticket.
    let told = answer(stage.port(), &[request(GSS), who].concat());
    assert!(
        told.contains("C08P01|Mreceived unencrypted data after GSSAPI"),
        "{told}"
    );
}

#[test]
fn fact_2_encryption_is_declined_once_for_each_kind_and_the_start_up_goes_on() {
    let stage = Stage::with_pool_of(1);
    let who = [("user", "postgres"), ("database", &*stage.database)];
    for requests in [vec![SSL], vec![GSS], vec![GSS, SSL], vec![SSL, GSS]] {
        let mut wire = Wire::open(stage.port());
        for number in requests {
            wire.send(&request(number));
            assert_eq!(wire.byte(), b'N');
        }
        wire.send(&startup(VERSION, &who));
        wire.welcomed().unwrap();
        assert_eq!(wire.value("select 1"), "1");
    }
    let twice = |port| {
        let mut wire = Wire::open(port);
        wire.send(&request(SSL));
        assert_eq!(wire.byte(), b'N');
        wire.send(&request(SSL));
        wire.until_closed()[0].message().replace("to 3.2", "to 3.0")
    };
    let told = twice(support::cluster().port());
    assert!(
        told.starts_with("unsupported frontend protocol 1234.5679"),
        "{told}"
    );
    assert_eq!(twice(stage.port()), told);
}

#[test]
fn fact_9_a_cancel_of_any_form_is_answered_by_nothing_but_the_end() {
    let stage = Stage::with_pool_of(1);
    let number = CANCEL.to_be_bytes();
    for key in [0, 1, 3, 4, 5, 32, 256, 257, 5000] {
        let length = 12 + u32::try_from(key).unwrap();
        let bytes = packet(
            length,
            &[&number[..], &[0, 0, 0, 1], &vec![7; key]].concat(),
        );
        assert_eq!(same(&stage, "a cancel", &bytes), "", "{key}");
    }
}

#[test]
fn fact_10_who_connects_and_closes_is_no_line_in_the_log() {
    let stage = Stage::with_pool_of(1);
    for _ in 0..3 {
        drop(Wire::open(stage.port()));
    }
    // Whatever was to be said of them comes before what is said of this one.
    answer(stage.port(), &packet(0, &[]));
    crate::stage::eventually("the length is told", || {
        stage
            .served
            .log()
            .contains("invalid length of startup packet")
    });
    let log = stage.served.log();
    let told = log
        .lines()
        .filter(|line| !line.contains("ready for clients"));
    let told = told.count();
    assert_eq!(told, 1, "{log}");
}

#[test]
fn fact_11_what_belongs_to_another_part_of_the_login_ends_the_connection() {
    let stage = Stage::with_pool_of(1);
    for (what, bytes) in [
        ("a query", query("select 1")),
        ("a password", message(b'p', b"secret\0")),
        ("a Sync", sync()),
    ] {
        assert_eq!(same(&stage, what, &bytes), "", "{what}");
    }
    let who = startup(
        VERSION,
        &[("user", "postgres"), ("database", &*stage.database)],
    );
    for (what, late) in [
        ("a second start-up", who.clone()),
        ("a password", message(b'p', b"secret\0")),
        ("a late request for encryption", request(SSL)),
    ] {
        for together in [true, false] {
            let end = |port| {
                let mut wire = Wire::open(port);
                let (first, then) = match together {
                    true => ([&who[..], &late].concat(), &[][..]),
                    false => (who.clone(), &late[..]),
                };
                wire.send(&first);
                wire.welcomed().unwrap();
                wire.send(then);
                let frames = wire.until_closed();
                let error = crate::wire::error(&frames);
                (frames.len(), error.field(b'S'), error.code())
            };
            let direct = end(support::cluster().port());
            assert_eq!(end(stage.port()), direct, "{what}");
            assert_eq!(direct, (1, "FATAL".to_owned(), "08P01".to_owned()));
        }
    }
    assert_eq!(stage.client().value("select 1"), "1");
}

#[test]
fn a_query_that_comes_with_the_start_up_is_answered() {
    let stage = Stage::with_pool_of(1);
    let who = startup(
        VERSION,
        &[("user", "postgres"), ("database", &*stage.database)],
    );
    for port in [support::cluster().port(), stage.port()] {
        let mut wire = Wire::open(port);
        wire.send(&[&who[..], &query("select 7")].concat());
        wire.welcomed().unwrap();
        assert_eq!(
            said(&wire.until_ready()),
            ["columns", "row 7", "SELECT 1", "ready I"]
        );
    }
}

#[test]
fn a_start_up_that_comes_byte_by_byte_is_a_start_up() {
    let stage = Stage::with_pool_of(1);
    let mut wire = Wire::open(stage.port());
    for byte in request(SSL) {
        wire.send(&[byte]);
    }
    assert_eq!(wire.byte(), b'N');
    for byte in startup(
        VERSION,
        &[("user", "postgres"), ("database", &stage.database)],
    ) {
        wire.send(&[byte]);
    }
    wire.welcomed().unwrap();
    assert!(wire.is_silent(Duration::from_millis(50)));
    assert_eq!(wire.value("select 1"), "1");
}
