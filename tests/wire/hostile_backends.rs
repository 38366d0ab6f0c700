//! Backends that mean no good, at the door and later: each costs its own connection.
//! Never the one of somebody else, and never much memory.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use pg_ambassador::protocol::backend::put_parameter_status;

use crate::{
    peers::{Backend, Wire, done, message, query, report},
    support::Served,
};

/// KiB that the ambassador may grow by, whatever it is told.
const ROOM: usize = 16 * 1024;

type Script = fn(&mut Wire) -> io::Result<()>;

fn ok() -> Vec<u8> {
    message(b'R', &[0; 4])
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn asks(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), rest].concat())
}

/// Says this and then nothing until the other side leaves.
fn say(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    wire.send(bytes)?;
    while wire.frame().is_ok() {}
    Ok(())
}

/// Says this for as long as it is heard.
fn for_ever(wire: &mut Wire, mut what: impl FnMut(usize) -> Vec<u8>) -> io::Result<()> {
    (0..).try_for_each(|number| wire.send(&what(number)))
}

/// What a backend may do in place of letting somebody in.
const AT_THE_DOOR: &[(&str, Script)] = &[
    ("an end", |_| Ok(())),
    ("silence", |wire| say(wire, b"")),
    ("another protocol", |wire| {
        say(wire, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    }),
    ("garbage", |wire| say(wire, &[0xa5; 5000])),
    ("zeros", |wire| say(wire, &[0; 5000])),
    ("half a header", |wire| say(wire, b"R\0\0")),
    ("half a message", |wire| say(wire, b"R\0\0\0\x08\0\0")),
    ("a length of 3", |wire| say(wire, b"R\0\0\0\x03")),
    ("a negative length", |wire| say(wire, b"R\xff\xff\xff\xff")),
    ("an absurd length", |wire| {
        wire.send(b"N\x7f\xff\xff\xff")?;
        for_ever(wire, |_| vec![b'x'; 65_536])
    }),
    ("an unknown message", |wire| {
        say(wire, &message(b'!', b"abc"))
    }),
    ("a row", |wire| say(wire, &message(b'D', &[0, 0]))),
    ("ready without letting in", |wire| say(wire, &ready())),
    ("an authentication cut short", |wire| {
        say(wire, &message(b'R', &[0; 3]))
    }),
    ("an authentication that nobody knows", |wire| {
        say(wire, &asks(99, b""))
    }),
    ("Kerberos", |wire| say(wire, &asks(2, b""))),
    ("GSS", |wire| say(wire, &asks(7, b""))),
    ("a cleartext password", |wire| say(wire, &asks(3, b""))),
    ("half a salt", |wire| say(wire, &asks(5, b"ab"))),
    ("md5 again and again", |wire| {
        for_ever(wire, |_| asks(5, b"salt"))
    }),
    ("unknown mechanisms", |wire| {
        say(wire, &asks(10, b"SCRAM-SHA-512\0EXTERNAL\0\0"))
    }),
    ("no mechanism", |wire| say(wire, &asks(10, b"\0"))),
    ("mechanisms without an end", |wire| {
        say(wire, &asks(10, &[b'x'; 100_000]))
    }),
    ("the middle of SASL", |wire| say(wire, &asks(11, b"r=abc"))),
    ("the end of SASL", |wire| say(wire, &asks(12, b"v=abc"))),
    ("SASL that goes on as garbage", |wire| {
        wire.send(&asks(10, b"SCRAM-SHA-256\0\0"))?;
        wire.frame()?;
        say(wire, &asks(11, &[0xff; 3000]))
    }),
    ("SASL that lets in at once", |wire| {
        wire.send(&asks(10, b"SCRAM-SHA-256\0\0"))?;
        wire.frame()?;
        say(wire, &[ok(), ready()].concat())
    }),
    ("SASL that never ends", |wire| {
        for_ever(wire, |_| asks(10, b"SCRAM-SHA-256\0\0"))
    }),
    ("an error without fields", |wire| {
        say(wire, &message(b'E', b""))
    }),
    ("an error of one zero", |wire| {
        say(wire, &message(b'E', b"\0"))
    }),
    ("an error without an end", |wire| {
        say(wire, &message(b'E', b"SFATAL"))
    }),
    ("an unknown status", |wire| {
        say(wire, &[ok(), message(b'Z', b"?")].concat())
    }),
    ("a transaction from the start", |wire| {
        say(wire, &[ok(), message(b'Z', b"T")].concat())
    }),
    ("more than it was asked", |wire| {
        say(wire, &[ok(), ready(), ready()].concat())
    }),
    ("a setting without an end", |wire| {
        say(wire, &[ok(), message(b'S', b"name"), ready()].concat())
    }),
    ("half a process id", |wire| {
        say(wire, &[ok(), message(b'K', &[0; 3]), ready()].concat())
    }),
    ("a key that is too long", |wire| {
        say(wire, &[ok(), message(b'K', &[7; 5000]), ready()].concat())
    }),
    ("notices without an end", |wire| {
        for_ever(wire, |_| message(b'N', &[b'x'; 10_000]))
    }),
    ("settings without an end", |wire| {
        wire.send(&ok())?;
        for_ever(wire, |number| {
            let mut out = Vec::new();
            let name = format!("setting_{number}");
            put_parameter_status(&mut out, name.as_bytes(), &[b'x'; 1000]);
            out
        })
    }),
    ("keys without an end", |wire| {
        wire.send(&ok())?;
        for_ever(wire, |_| message(b'K', &[7; 12]))
    }),
];

/// KiB that it had in memory at most.
fn peak(served: &Served) -> usize {
    let path = format!("/proc/{}/status", served.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Answers, and what begins with "hold" only when it is told to.
fn hold(wire: &mut Wire, release: &AtomicBool) -> io::Result<()> {
    loop {
        let (tag, body) = wire.frame()?;
        if tag != b'Q' {
            return Ok(());
        }
        while body.starts_with(b"hold") && !release.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        wire.send(&done())?;
    }
}

/// The ambassador with a password for the backend, and little patience with it.
fn served(backend: &Backend, pool_size: &str) -> Served {
    let upstream = format!("postgresql://app:secret@127.0.0.1:{}/app", backend.port());
    Served::ambassador_with(&[
        "--upstream",
        &upstream,
        "--workers",
        "1",
        "--pool-size",
        pool_size,
        "--set",
        "databases.\"*\".connect_timeout=300ms",
    ])
}

#[test]
fn fact_44_whatever_a_backend_does_at_the_door_costs_that_connection_and_nobody_else_notices() {
    for (what, script) in AT_THE_DOOR {
        let release = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&release);
        let backend = Backend::start(move |wire, number| {
            if number == 2 {
                return script(wire);
            }
            wire.welcome()?;
            hold(wire, &told)
        });
        let served = served(&backend, "2");
        let mut other = Wire::client(served.port(), "app");
        assert_eq!(other.query("x"), "C DONE, Z I", "{what}");
        let before = peak(&served);
        other.send(&query("hold")).unwrap();
        // Of the other connections the first one that is dialled is the hostile one.
        let mut client = Wire::client(served.port(), "app");
        assert_eq!(client.query("x"), "C DONE, Z I", "{what}");
        assert!(backend.connections() >= 3, "{what}");
        release.store(true, Ordering::Relaxed);
        assert_eq!(other.answer(), "C DONE, Z I", "{what}");
        let grown = peak(&served) - before;
        assert!(grown < ROOM, "{what}: {grown} KiB");
        assert!(
            !served.log().contains("panicked"),
            "{what}: {}",
            served.log()
        );
    }
}

#[test]
fn a_login_without_a_key_or_with_two_is_one() {
    let keys = [
        Vec::new(),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 1]),
        message(b'K', &[0x7f; 260]),
    ];
    for key in keys {
        let backend = Backend::start(move |wire, _| {
            let status = message(b'S', b"server_version\x0015.0\0");
            let key = key.repeat(2);
            wire.send(&[ok(), status, key, ready()].concat())?;
            wire.serve(b"", b"")
        });
        let served = served(&backend, "1");
        let mut client = Wire::client(served.port(), "app");
        assert_eq!(client.query("x"), "C DONE, Z I");
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn who_is_silent_about_a_clients_settings_lets_nobody_wait_for_ever() {
    // Answers queries, and nothing of what the ambassador asks itself.
    let backend = Backend::start(|wire, _| {
        wire.welcome()?;
        loop {
            if wire.frame()?.0 == b'Q' {
                wire.send(&done())?;
            }
        }
    });
    let served = served(&backend, "1");
    let mut other = Wire::client(served.port(), "app");
    let mut refused = Wire::knock_with(served.port(), "app", &[("DateStyle", "German")]);
    assert_eq!(refused.answer(), "E FATAL 08006, end");
    assert_eq!(other.query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 2);
}

/// What a backend may answer with, the client's part of it, and whether anything may follow that.
#[test]
fn fact_44_whatever_a_backend_answers_costs_that_connection_and_nobody_else_notices() {
    let absurd = |tag: u8| [&[tag], &b"\x7f\xff\xff\xff"[..]].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("garbage", vec![0xa5; 5000], "E ERROR 08007, Z I"),
        ("zeros", vec![0; 5000], "E ERROR 08007, Z I"),
        ("an absurd status", absurd(b'Z'), "E ERROR 08007, Z I"),
        (
            "rows behind the end",
            [done(), message(b'D', &[0, 0])].concat(),
            "C DONE, Z I",
        ),
        (
            "a copy behind the end",
            [done(), message(b'G', &[0; 3])].concat(),
            "C DONE, Z I",
        ),
        (
            "ready behind the end",
            [done(), ready()].concat(),
            "C DONE, Z I",
        ),
        (
            "an error behind the end",
            [done(), report(b'E', "ERROR", "XX000")].concat(),
            "C DONE, Z I",
        ),
        (
            "half a header behind the end",
            [done(), b"T\0".to_vec()].concat(),
            "C DONE, Z I",
        ),
        (
            "what only a Parse is answered with",
            message(b'1', b""),
            "E ERROR 08007, Z I",
        ),
        (
            "what only a Bind is answered with",
            message(b'2', b""),
            "E ERROR 08007, Z I",
        ),
        (
            "what only a Close is answered with",
            message(b'3', b""),
            "E ERROR 08007, Z I",
        ),
        ("a key", message(b'K', &[0; 8]), "E ERROR 08007, Z I"),
        ("a version", message(b'v', &[0; 8]), "E ERROR 08007, Z I"),
        (
            "a request for a password",
            asks(3, b""),
            "E ERROR 08007, Z I",
        ),
    ];
    for (what, answer, expected) in cases {
        let backend = Backend::start(move |wire, number| {
            wire.welcome()?;
            if number > 1 {
                return wire.serve(b"", b"");
            }
            wire.serve(b"attack", &answer)
        });
        let served = served(&backend, "1");
        let mut other = Wire::client(served.port(), "app");
        let mut client = Wire::client(served.port(), "app");
        assert_eq!(client.query("attack"), expected, "{what}");
        assert_eq!(other.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(client.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(backend.connections(), 2, "{what}");
        assert!(
            !served.log().contains("panicked"),
            "{what}: {}",
            served.log()
        );
    }
}

/// Answers that never end go on to the client that asked, and are not kept.
#[test]
fn fact_43_an_answer_without_an_end_is_not_kept() {
    type Part = fn(usize) -> Vec<u8>;
    const ENDLESS: &[(&str, Part)] = &[
        ("notices", |_| report(b'N', "NOTICE", "00000").repeat(100)),
        ("rows", |_| message(b'D', &[0; 60_000])),
        ("one row", |number| match number {
            0 => b"D\x7f\xff\xff\xff".to_vec(),
            _ => vec![0; 60_000],
        }),
        ("one error", |number| match number {
            0 => b"E\x7f\xff\xff\xffSERROR\0".to_vec(),
            _ => vec![b'x'; 60_000],
        }),
        ("one setting", |number| match number {
            0 => b"S\x7f\xff\xff\xffname\0".to_vec(),
            _ => vec![b'x'; 60_000],
        }),
        ("one end", |number| match number {
            0 => b"C\x7f\xff\xff\xff".to_vec(),
            _ => vec![b'x'; 60_000],
        }),
        ("settings", |number| {
            let mut out = Vec::new();
            for one in 0..100 {
                let name = format!("setting_{number}_{one}");
                put_parameter_status(&mut out, name.as_bytes(), &[b'x'; 300]);
            }
            out
        }),
    ];
    for (what, part) in ENDLESS {
        let backend = Backend::start(move |wire, number| {
            wire.welcome()?;
            if number > 1 {
                return wire.serve(b"", b"");
            }
            wire.frame()?;
            // Ends when nobody listens any more, or soon enough.
            (0..2000).try_for_each(|number| wire.send(&part(number)))
        });
        let served = served(&backend, "1");
        let mut other = Wire::client(served.port(), "app");
        let mut client = Wire::client(served.port(), "app");
        let before = peak(&served);
        client.send(&query("attack")).unwrap();
        client.skip_to_end_or_ready();
        let grown = peak(&served) - before;
        assert!(grown < ROOM, "{what}: {grown} KiB");
        assert_eq!(other.query("x"), "C DONE, Z I", "{what}");
    }
}

/// A whole answer, cut at every byte.
#[test]
fn fact_30_an_answer_may_be_cut_at_every_byte() {
    let mut answer = report(b'N', "NOTICE", "00000");
    put_parameter_status(&mut answer, b"TimeZone", b"Mars");
    answer.extend(message(b'T', &[0, 0]));
    answer.extend(message(b'D', b"\0\x01\0\0\0\x03abc"));
    answer.extend(report(b'E', "ERROR", "22012"));
    answer.extend(ready());
    let whole = answer.clone();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        for at in 1..answer.len() {
            wire.frame()?;
            let (front, back) = answer.split_at(at);
            wire.send(front)?;
            // Most likely read before the rest comes.
            thread::sleep(Duration::from_millis(1));
            wire.send(back)?;
        }
        wire.frame()?;
        answer.iter().try_for_each(|byte| wire.send(&[*byte]))?;
        wire.serve(b"", b"")
    });
    let served = served(&backend, "1");
    let mut client = Wire::client(served.port(), "app");
    let mut expected = "N NOTICE 00000, S, T, D abc, E ERROR 22012, Z I".to_owned();
    for _ in 0..whole.len() {
        assert_eq!(client.query("x"), expected);
        // Told once.
        expected = expected.replace(" S,", "");
    }
    assert_eq!(client.query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 1);
}
