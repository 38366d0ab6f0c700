//! Backends that do what a real server does not do on demand.

use std::{
    io::{self, ErrorKind},
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::protocol::backend::put_parameter_status;

use crate::peers::{Backend, Wire, done, message, query, report};

const ONE: &[&str] = &["--pool-size", "1"];

/// The first connection answers "attack" with these bytes, and goes on or closes; the others are
/// well-behaved.
fn hostile(answer: Vec<u8>, closes: bool) -> Backend {
    Backend::start(move |wire, number| {
        wire.welcome()?;
        if number > 1 {
            return wire.serve(b"", b"");
        }
        if closes {
            wire.frame()?;
            return wire.send(&answer);
        }
        wire.serve(b"attack", &answer)
    })
}

/// Whether it holds before patience ends.
pub fn eventually(holds: impl FnMut() -> bool) -> bool {
    within(Duration::from_secs(10), holds)
}

fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn fact_14_notices_settings_and_long_messages_may_come_during_the_login() {
    let backend = Backend::start(|wire, _| {
        let mut before = report(b'N', "WARNING", "01000");
        before.extend(message(
            b'N',
            &[&b"M"[..], &[b'x'; 300_000], b"\0\0"].concat(),
        ));
        put_parameter_status(&mut before, b"TimeZone", b"Mars");
        wire.welcome_with(&before)?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
}

#[test]
fn fact_14_a_backend_that_starts_up_or_is_full_is_asked_again() {
    for code in ["57P03", "53300"] {
        let backend = Backend::start(move |wire, number| {
            if number < 3 {
                return wire.send(&report(b'E', "FATAL", code));
            }
            wire.welcome()?;
            wire.serve(b"", b"")
        });
        let served = backend.served(ONE);
        assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
        assert_eq!(backend.connections(), 3, "{code}");
    }
}

#[test]
fn fact_44_a_login_that_ends_with_an_unknown_status_is_none() {
    let backend = Backend::start(|wire, number| {
        if number == 1 {
            let ok = message(b'R', &[0; 4]);
            wire.send(&[ok, message(b'Z', b"?")].concat())?;
            return wire.frame().map(drop);
        }
        wire.welcome()?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
}

#[test]
fn fact_40_an_idle_connection_that_speaks_or_ends_is_gone_at_once() {
    let endings = [
        report(b'E', "FATAL", "57P01"),
        message(b'A', b"\0\0\0\x01channel\0payload\0"),
        Vec::new(),
    ];
    for ending in endings {
        let backend = Backend::start(move |wire, number| {
            wire.welcome()?;
            if number == 1 {
                wire.frame()?;
                wire.send(&done())?;
                thread::sleep(Duration::from_millis(300));
                wire.send(&ending)?;
                // It stays open unless it said nothing.
                return if ending.is_empty() {
                    Ok(())
                } else {
                    wire.frame().map(drop)
                };
            }
            wire.serve(b"", b"")
        });
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        assert_eq!(client.query("x"), "C DONE, Z I");
        let lost = || served.log().contains("an idle connection ended");
        assert!(within(Duration::from_secs(3), lost), "{}", served.log());
        assert_eq!(client.query("x"), "C DONE, Z I");
        assert_eq!(backend.connections(), 2);
    }
}

#[test]
fn fact_41_nothing_follows_half_a_message() {
    let half = message(b'D', &[b'x'; 200])[..100].to_vec();
    let backend = hostile(half.clone(), true);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("attack")).unwrap();
    assert_eq!(client.rest(), half);
}

#[test]
fn fact_41_nothing_follows_half_a_message_when_the_ambassador_ends_either() {
    let half = message(b'D', &[b'x'; 200])[..100].to_vec();
    let backend = hostile(half.clone(), false);
    let served = backend.served(&["--pool-size", "1", "--set", "shutdown.drain_timeout=\"0s\""]);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("attack")).unwrap();
    assert!(!client.is_silent_for(Duration::from_secs(5)));
    served.signal("TERM");
    assert_eq!(client.rest(), half);
}

#[test]
fn fact_44_what_is_not_the_protocol_ends_that_connection_and_nothing_more() {
    let cases = [
        (
            "an unknown status",
            [message(b'C', b"DONE\0"), message(b'Z', b"X")].concat(),
        ),
        ("a status of two bytes", message(b'Z', b"II")),
        ("an unknown tag", message(b'?', b"abc")),
        (
            "an error without fields",
            [message(b'E', b"\0"), message(b'Z', b"I")].concat(),
        ),
        ("a length of -1", b"T\xff\xff\xff\xff".to_vec()),
        ("a length of 3", b"T\0\0\0\x03".to_vec()),
        ("a login in the middle", message(b'R', &[0; 4])),
        ("an end", report(b'E', "FATAL", "57P01")),
    ];
    for (what, answer) in cases {
        let backend = hostile(answer, false);
        let served = backend.served(ONE);
        let mut other = Wire::client(served.port(), "app");
        let mut client = Wire::client(served.port(), "app");
        let said = client.query("attack");
        assert!(said.ends_with("E ERROR 08007, Z I"), "{what}: {said}");
        assert_eq!(client.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(other.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(backend.connections(), 2, "{what}");
    }
}

#[test]
fn an_answer_too_many_is_nobody_s() {
    let backend = hostile([done(), done()].concat(), false);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    assert_eq!(client.query("attack"), "C DONE, Z I");
    assert_eq!(client.query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_backend_lost_in_an_open_batch_fails_the_batch() {
    let backend = Backend::start(|wire, number| {
        wire.welcome()?;
        if number > 1 {
            return wire.serve(b"", b"");
        }
        while wire.frame()?.0 != b'H' {}
        let replies = [
            message(b'1', b""),
            message(b'2', b""),
            message(b'C', b"INSERT 0 1\0"),
        ];
        wire.send(&replies.concat())?;
        Err(ErrorKind::Other.into())
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    let batch = [
        crate::peers::parse("", "insert"),
        crate::peers::run(""),
        message(b'H', b""),
    ];
    client.send(&batch.concat()).unwrap();
    assert_eq!(client.answer_to(b'E'), "1, 2, C INSERT 0 1, E ERROR 08006");
    client
        .send(&[crate::peers::run(""), message(b'S', b"")].concat())
        .unwrap();
    assert_eq!(client.answer(), "Z I");
    assert_eq!(client.query("x"), "C DONE, Z I");
}

#[test]
fn a_good_bye_is_heard_even_when_the_backend_is_lost_before_its_answer() {
    let backend = hostile(Vec::new(), true);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client
        .send(&[query("attack"), message(b'X', b"")].concat())
        .unwrap();
    assert_eq!(client.answer_to(b'X'), "E ERROR 08007, Z I, end");
}

#[test]
fn a_client_that_vanishes_has_its_query_cancelled_and_costs_no_connection_fact_42() {
    let backend = Backend::start(|wire, number| {
        wire.welcome()?;
        if number > 1 {
            return wire.serve(b"", b"");
        }
        while wire.frame().is_ok() {}
        Ok(())
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("long")).unwrap();
    thread::sleep(Duration::from_millis(100));
    drop(client);
    assert!(within(Duration::from_secs(1), || backend.cancels() == 1));
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
}

/// The backend does not read on before all of its answer is taken, and the client does not read
/// before all of its requests are sent: only who reads while it writes gets through.
#[test]
fn fact_43_peers_that_write_without_reading_do_not_block_each_other() {
    const ANSWERS: usize = 64;
    let answer = [message(b'D', &[b'x'; 100_000]), done()].concat();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        wire.serve(b"big", &answer)
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    let mut writer = client.twin();
    let request = query(&format!("big{}", "y".repeat(100_000)));
    let writing = thread::spawn(move || -> io::Result<()> {
        (0..ANSWERS).try_for_each(|_| writer.send(&request))
    });
    for _ in 0..ANSWERS {
        assert!(client.answer().ends_with("C DONE, Z I"));
    }
    writing.join().unwrap().unwrap();
}

#[test]
fn what_a_good_bye_follows_reaches_a_backend_that_is_slow_to_read_fact_46() {
    let backend = Backend::start(|wire, _| {
        wire.welcome()?;
        thread::sleep(Duration::from_millis(500));
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    let mut request = query(&"y".repeat(20_000_000));
    request.extend(message(b'X', b""));
    client.send(&request).unwrap();
    assert_eq!(client.answer_to(b'X'), "C DONE, Z I, end");
}

#[test]
fn fact_43_a_slow_reader_is_waited_for_in_bounded_memory() {
    let answer = [message(b'D', &[b'x'; 1_000_000]).repeat(100), done()].concat();
    let backend = hostile(answer, false);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    let before = resident(&served);
    client.send(&query("attack")).unwrap();
    thread::sleep(Duration::from_millis(500));
    let grown = resident(&served).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    assert!(client.answer().ends_with("C DONE, Z I"));
}

/// KiB that the ambassador has in memory.
fn resident(served: &crate::support::Served) -> usize {
    let path = format!("/proc/{}/status", served.pid());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}
