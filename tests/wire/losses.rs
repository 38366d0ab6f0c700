//! Backends that are lost, or of no more use, with a transaction on them.

use std::io::{self, ErrorKind};

use crate::peers::{Backend, Wire, done, message, parse, query, report, run};

const ONE: &[&str] = &["--pool-size", "1"];

/// Answers every Query as a server does that knows of BEGIN, COMMIT and ROLLBACK alone; those
/// that begin with "attack" or "commit" are answered as asked for, and an empty answer is the end.
fn transact(wire: &mut Wire, attack: &[u8], commit: &[u8]) -> io::Result<()> {
    let mut status = b'I';
    loop {
        let (tag, body) = wire.frame()?;
        let answer = match body.as_slice() {
            _ if tag != b'Q' => return Ok(()),
            text if text.starts_with(b"attack") => attack,
            text if text.starts_with(b"commit") => {
                status = b'I';
                commit
            }
            text => {
                status = match text {
                    _ if text.starts_with(b"begin") => b'T',
                    _ if text.starts_with(b"rollback") => b'I',
                    _ => status,
                };
                wire.send(&[message(b'C', b"DONE\0"), message(b'Z', &[status])].concat())?;
                continue;
            }
        };
        if answer.is_empty() {
            return Err(ErrorKind::Other.into());
        }
        wire.send(answer)?;
    }
}

/// The first connection answers so, the others are well-behaved.
fn backend(attack: Vec<u8>, commit: Vec<u8>) -> Backend {
    Backend::start(move |wire, number| {
        wire.welcome()?;
        if number == 1 {
            return transact(wire, &attack, &commit);
        }
        transact(wire, &done(), &done())
    })
}

#[test]
fn fact_44_what_is_not_the_protocol_fails_a_transaction_and_nothing_more() {
    let cases = [
        ("its end", Vec::new()),
        ("a fatal error", report(b'E', "FATAL", "57P01")),
        ("an unknown status", message(b'Z', b"X")),
        ("a status without end", b"Z\x7f\xff\xff\xffI".to_vec()),
        ("an unknown tag", message(b'?', b"abc")),
        ("an error without fields", message(b'E', b"\0")),
        ("a length of 3", b"D\0\0\0\x03".to_vec()),
        ("a login in the middle", message(b'R', &[0; 4])),
        ("garbage", b"HTTP/1.1 400 Bad Request\r\n".to_vec()),
    ];
    for (what, answer) in cases {
        let backend = backend(answer, done());
        let served = backend.served(ONE);
        let mut other = Wire::client(served.port(), "app");
        let mut client = Wire::client(served.port(), "app");
        assert_eq!(client.query("begin; x"), "C DONE, Z T");
        assert_eq!(client.query("attack"), "E ERROR 08006, Z E", "{what}");
        assert_eq!(other.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(client.query("x"), "E ERROR 25P02, Z E", "{what}");
        assert_eq!(client.query("rollback"), "C ROLLBACK, Z I", "{what}");
        assert_eq!(client.query("x"), "C DONE, Z I", "{what}");
        assert_eq!(backend.connections(), 2, "{what}");
    }
}

#[test]
fn fact_44_a_tag_without_end_is_not_waited_for() {
    let backend = Backend::start(|wire, number| {
        wire.welcome()?;
        if number == 1 {
            return wire.serve(b"UNLISTEN", b"C\x7f\xff\xff\xffDISCARD");
        }
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    // What is sent for it answers with a tag that has to be replaced.
    assert_eq!(client.query("discard all"), "E ERROR 08006, Z I");
    assert_eq!(client.query("x"), "C DONE, Z I");
}

#[test]
fn a_backend_that_dies_with_a_commit_leaves_it_in_doubt() {
    for last_words in [Vec::new(), report(b'E', "FATAL", "57P02")] {
        let backend = backend(Vec::new(), last_words);
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        client
            .send(&[query("begin; x"), query("x"), query("commit"), query("x")].concat())
            .unwrap();
        assert_eq!(client.answer(), "C DONE, Z T");
        assert_eq!(client.answer(), "C DONE, Z T");
        assert_eq!(client.answer(), "E ERROR 08007, Z E");
        // What was sent in the belief that it went well is not run.
        assert_eq!(client.answer(), "E ERROR 08006, Z E");
        assert_eq!(client.query("commit"), "C ROLLBACK, Z I");
        assert_eq!(client.query("x"), "C DONE, Z I");
    }
}

#[test]
fn fact_41_nothing_follows_half_a_message_in_a_transaction_either() {
    let half = message(b'D', &[b'x'; 200])[..100].to_vec();
    let answer = half.clone();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        wire.frame()?;
        wire.send(&[message(b'C', b"DONE\0"), message(b'Z', b"T")].concat())?;
        wire.frame()?;
        wire.send(&answer)
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    assert_eq!(client.query("begin; x"), "C DONE, Z T");
    client.send(&query("attack")).unwrap();
    assert_eq!(client.rest(), half);
}

#[test]
fn fact_14_a_backend_that_is_full_is_waited_for() {
    let backend = Backend::start(|wire, number| {
        if number > 1 {
            return wire.send(&report(b'E', "FATAL", "53300"));
        }
        wire.welcome()?;
        transact(wire, b"", &done())
    });
    let served = backend.served(&["--pool-size", "2"]);
    let mut holds = Wire::client(served.port(), "app");
    let mut waits = Wire::client(served.port(), "app");
    assert_eq!(holds.query("begin; x"), "C DONE, Z T");
    waits.send(&query("x")).unwrap();
    while backend.connections() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(holds.query("commit"), "C DONE, Z I");
    assert_eq!(waits.answer(), "C DONE, Z I");
}

/// Answers message by message as a server does, and dies when it has sent so many.
fn serve_until(wire: &mut Wire, mut left: usize) -> io::Result<()> {
    let mut status = b'I';
    loop {
        let (tag, body) = wire.frame()?;
        if tag == b'Q' && body.starts_with(b"begin") {
            status = b'T';
        } else if tag == b'Q' && body.starts_with(b"commit") {
            status = b'I';
        }
        let ready = message(b'Z', &[status]);
        let answers = match tag {
            b'Q' => vec![message(b'C', b"DONE\0"), ready],
            b'S' => vec![ready],
            b'P' => vec![message(b'1', b"")],
            b'B' => vec![message(b'2', b"")],
            b'D' => vec![message(b't', &[0, 0]), message(b'n', b"")],
            b'E' => vec![message(b'C', b"DONE\0")],
            b'C' => vec![message(b'3', b"")],
            _ => return Ok(()),
        };
        for answer in answers {
            left = left.checked_sub(1).ok_or(ErrorKind::Other)?;
            wire.send(&answer)?;
        }
    }
}

#[test]
fn wherever_a_pipeline_is_cut_off_each_of_its_requests_is_answered_once() {
    let sync = message(b'S', b"");
    let requests = [
        query("x"),
        [parse("", "select"), run(""), sync.clone()].concat(),
        query("begin; x"),
        [parse("s", "insert"), run("s"), run("s"), sync.clone()].concat(),
        query("x"),
        query("commit"),
        [run("s"), sync].concat(),
    ];
    let mut cut = 0;
    loop {
        let backend = Backend::start(move |wire, number| {
            wire.welcome()?;
            serve_until(wire, if number == 1 { cut } else { usize::MAX })
        });
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        client.send(&requests.concat()).unwrap();
        let answers: Vec<_> = requests.iter().map(|_| client.answer()).collect();
        let lost = answers.iter().position(|answer| answer.contains("E ERROR"));
        let Some(lost) = lost else {
            // All of it was answered.
            assert!(cut > 20, "cut after {cut}");
            return;
        };
        for (at, answer) in answers.iter().enumerate() {
            let errors = answer.matches("E ERROR").count();
            let told = format!("cut after {cut}, {at}: {answers:?}");
            assert_eq!(errors, usize::from(at >= lost), "{told}");
            // Behind a BEGIN that may have run, nothing is outside until the end is known.
            let expected = match (at < lost, at) {
                (true, 2..5) => "Z T",
                (false, 2..) if lost < 6 => "Z E",
                (true | false, _) => "Z I",
            };
            assert!(answer.ends_with(expected), "{told}");
        }
        let over = match answers[6].ends_with("Z E") {
            true => "C ROLLBACK, Z I",
            false => "C DONE, Z I",
        };
        assert_eq!(client.query("commit"), over, "cut after {cut}");
        assert_eq!(client.query("x"), "C DONE, Z I", "cut after {cut}");
        cut += 1;
    }
}
