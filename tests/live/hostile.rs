//! Clients that mean no good, and one beside them that works and never notices.
//! Never waits longer for a slot than `login_timeout` and the patience of a busy machine.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use socket2::SockRef;

use crate::{
    stage::{PATIENCE, Stage, alike, eventually},
    support::{self, Served},
    wire::{
        Frame, VERSION, Wire, again, bind, copy_data, copy_done, copy_fail, error, execute, flush,
        message, parse, query, request, said, startup, sync, unnamed,
    },
};

const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;
const CANCEL: i32 = 80_877_102;

/// What a hostile client sends first, whether it goes on with a byte now and then, and with what.
struct Attack {
    name: &'static str,
    opening: Vec<u8>,
    goes_on: Option<(Vec<u8>, Duration)>,
}

fn attacks(database: &str) -> Vec<Attack> {
    let whole = startup(VERSION, &[("user", "postgres"), ("database", database)]);
    let long = [&10_000_u32.to_be_bytes()[..], &VERSION.to_be_bytes()].concat();
    let now_and_then = Duration::from_millis(30);
    let silent = |name, opening| Attack {
        name,
        opening,
        goes_on: None,
    };
    let going_on = |name, opening, with: Vec<u8>, every| Attack {
        name,
        opening,
        goes_on: Some((with, every)),
    };
    vec![
        silent("nothing at all", Vec::new()),
        silent("half a length", vec![0, 0]),
        silent("a length and no more", vec![0, 0, 0, 60]),
        silent("all but the last byte", whole[..whole.len() - 1].to_vec()),
        silent("a request for encryption and no more", request(SSL)),
        silent("a request for another encryption", request(GSS)),
        silent("both requests", [request(SSL), request(GSS)].concat()),
        silent(
            "half a cancel",
            [&[0, 0, 0, 16], &CANCEL.to_be_bytes()[..]].concat(),
        ),
        silent(
            "a cancel without a key",
            [&[0, 0, 0, 12], &CANCEL.to_be_bytes()[..], &[0; 4]].concat(),
        ),
        silent("a length of nothing", vec![0; 8]),
        silent("a length of too much", vec![0x7f; 8]),
        silent("a negative length", vec![0xff; 8]),
        silent("a query", query("select 1")),
        silent("a password", message(b'p', b"secret\0")),
        silent(
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        silent("TLS", vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]),
        silent(
            "an unencrypted start-up behind a request",
            [&request(SSL), &whole[..]].concat(),
        ),
        silent("no user", startup(VERSION, &[("database", database)])),
        silent(
            "a protocol of the past",
            startup(2 << 16, &[("user", "postgres")]),
        ),
        going_on(
            "a byte now and then",
            long.clone(),
            b"x".to_vec(),
            now_and_then,
        ),
        going_on(
            "a start-up without an end",
            long,
            vec![b'x'; 4096],
            Duration::ZERO,
        ),
        going_on(
            "garbage without an end",
            vec![0xa5; 64],
            vec![0xa5; 4096],
            Duration::ZERO,
        ),
        going_on(
            "requests without an end",
            request(SSL),
            request(SSL),
            now_and_then,
        ),
    ]
}

impl Attack {
    /// Does it until it is thrown out; what it was told before.
    fn run(&self, port: u16) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut told = Vec::new();
        let mut sent = stream.write_all(&self.opening);
        if let Some((with, every)) = &self.goes_on {
            while sent.is_ok() {
                sent = stream.write_all(with);
                thread::sleep(*every);
            }
            let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            let how = sent.unwrap_err().kind();
            assert!(gone.contains(&how), "{}: {how}", self.name);
        }
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match stream.read_to_end(&mut told) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!("{}: not thrown out: {error}", self.name)
            }
            _ => told,
        }
    }
}

/// Works until it is told to stop, and counts what it did.
fn work(stage: &Stage, done: &AtomicBool) -> usize {
    let mut wire = stage.client();
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        wire.run("begin");
        let frames = wire.ask(&[unnamed("insert into work values ($1::int)", &["1"]), sync()]);
        assert_eq!(said(&frames), ["parsed", "bound", "INSERT 0 1", "ready T"]);
        wire.run("commit");
        rounds += 1;
    }
    rounds
}

/// Somebody works on the stage while `act` goes on; nothing that was begun is lost.
fn beside<T>(stage: &Stage, act: impl FnOnce() -> T) -> T {
    stage.directly("create table if not exists work (a int); truncate work");
    let done = AtomicBool::new(false);
    let (result, rounds) = thread::scope(|scope| {
        let working = scope.spawn(|| work(stage, &done));
        let acting = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::Relaxed);
        (acting, working.join().unwrap())
    });
    let count = stage.directly("select count(*) from work");
    assert_eq!(count, rounds.to_string());
    assert!(rounds > 0);
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn open_files(served: &Served) -> usize {
    let folder = format!("/proc/{}/fd", served.pid());
    std::fs::read_dir(folder).unwrap().count()
}

/// KiB in memory.
fn resident(served: &Served) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Nothing that an operator would have to look at.
#[track_caller]
fn nothing_amiss(served: &Served) {
    let log = served.log();
    let amiss =
        |line: &&str| line.contains("ERROR") || line.contains("WARN") || line.contains("panic");
    assert_eq!(log.lines().find(amiss), None);
}

#[test]
fn fact_5_who_does_not_come_to_the_point_is_thrown_out_and_nobody_else_notices() {
    let stage = Stage::new(&[
        "--workers",
        "2",
        "--pool-size",
        "2",
        "--set",
        "listen.login_timeout=1s",
        "--set",
        "listen.max_clients=5",
    ]);
    stage.client().run("select 1");
    let files = open_files(&stage.served);
    beside(&stage, || {
        thread::scope(|scope| {
            let attacks = attacks(&stage.database);
            let port = stage.port();
            let running: Vec<_> = attacks
                .into_iter()
                .flat_map(|attack| {
                    let attack = std::sync::Arc::new(attack);
                    (0..10).map(move |_| std::sync::Arc::clone(&attack))
                })
                .map(|attack| scope.spawn(move || (attack.run(port), attack.name)))
                .collect();
            // Strangers take no place from those who come to work.
            for _ in 0..20 {
                assert_eq!(stage.client().value("select 'in'"), "in");
            }
            for one in running {
                let (told, name) = one.join().unwrap();
                let said = String::from_utf8_lossy(&told).into_owned();
                let only_errors = told.iter().find(|byte| **byte != b'N');
                assert!(matches!(only_errors, None | Some(b'E')), "{name}: {said}");
            }
        });
    });
    eventually("all files are closed", || {
        open_files(&stage.served) <= files + 2
    });
    nothing_amiss(&stage.served);
}

#[test]
fn fact_9_a_cancel_that_cannot_be_read_gets_no_reply() {
    let stage = Stage::with_pool_of(1);
    let answer = |port| {
        [4, 8, 260, 300].map(|extra: usize| {
            let mut wire = Wire::open(port);
            let length = u32::try_from(8 + extra).unwrap().to_be_bytes();
            let body = vec![1; extra];
            wire.send(&[&length, &CANCEL.to_be_bytes()[..], &body].concat());
            wire.until_closed()
        })
    };
    let seen = answer(stage.port());
    assert_eq!(seen, answer(support::cluster().port()));
    assert!(seen.iter().all(Vec::is_empty));
}

#[test]
fn fact_1_what_comes_unencrypted_behind_a_request_for_encryption_is_refused() {
    let stage = Stage::with_pool_of(1);
    let who = startup(
        VERSION,
        &[("user", "postgres"), ("database", &stage.database)],
    );
    let refuse = |port, number| {
        let mut wire = Wire::open(port);
        wire.send(&[request(number), who.clone()].concat());
        assert_eq!(wire.byte(), b'N');
        let told = wire.until_closed();
        (error(&told).code(), error(&told).field(b'S'), told.len())
    };
    let expected = refuse(support::cluster().port(), SSL);
    assert_eq!(expected.0, "08P01");
    assert_eq!(refuse(stage.port(), SSL), expected);
    // The server may have what GSS asks for.
    assert_eq!(refuse(stage.port(), GSS), expected);
}

#[test]
fn fact_10_thousands_of_probes_leave_nothing_behind_not_even_a_line() {
    let stage = Stage::with_pool_of(1);
    stage.client().run("select 1");
    let (files, lines) = (
        open_files(&stage.served),
        stage.served.log().lines().count(),
    );
    let before = resident(&stage.served);
    beside(&stage, || {
        for number in 0..5000 {
            let mut probe = TcpStream::connect((Ipv4Addr::LOCALHOST, stage.port())).unwrap();
            match number % 4 {
                0 => {}
                // Closed with a reset.
                1 => SockRef::from(&probe)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap(),
                2 => probe.write_all(&request(SSL)).unwrap(),
                _ => probe.write_all(&[0, 0]).unwrap(),
            }
        }
    });
    eventually("all files are closed", || {
        open_files(&stage.served) <= files + 1
    });
    assert_eq!(
        stage.served.log().lines().count(),
        lines,
        "{}",
        stage.served.log()
    );
    let grown = resident(&stage.served).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
}

/// Reads what follows a start-up: in, or the code of the refusal.
fn outcome(wire: &mut Wire) -> String {
    match wire.welcomed() {
        Ok(()) => "in".to_owned(),
        Err(refused) => {
            assert_eq!(refused.field(b'S'), "FATAL");
            refused.code()
        }
    }
}

#[test]
fn of_a_crowd_exactly_max_clients_get_in_and_the_others_are_told() {
    let stage = Stage::new(&["--workers", "2", "--set", "listen.max_clients=5"]);
    let who = startup(
        VERSION,
        &[("user", "postgres"), ("database", &stage.database)],
    );
    // All are at the door before the first one says who it is.
    let mut crowd: Vec<_> = (0..40).map(|_| Wire::open(stage.port())).collect();
    for wire in &mut crowd {
        wire.send(&who);
    }
    let outcomes: Vec<_> = crowd.iter_mut().map(outcome).collect();
    let of = |what: &str| outcomes.iter().filter(|one| *one == what).count();
    assert_eq!((of("in"), of("53300")), (5, 35), "{outcomes:?}");
    drop(crowd);
    eventually("there is room again", || {
        let mut wire = Wire::open(stage.port());
        wire.send(&who);
        outcome(&mut wire) == "in"
    });
}

#[test]
fn two_thousand_strangers_cost_little_keep_nobody_out_and_are_gone_after_login_timeout() {
    let stage = Stage::new(&[
        "--workers",
        "1",
        "--pool-size",
        "1",
        "--set",
        "listen.max_clients=3",
        "--set",
        "listen.login_timeout=3s",
    ]);
    stage.client().run("select 1");
    let (files, before) = (open_files(&stage.served), resident(&stage.served));
    beside(&stage, || {
        let mut strangers: Vec<_> = (0..2000).map(|_| Wire::open(stage.port())).collect();
        strangers
            .iter_mut()
            .skip(1000)
            .for_each(|wire| wire.send(&[0, 0, 0]));
        assert_eq!(stage.client().value("select 'in'"), "in");
        let grown = resident(&stage.served).saturating_sub(before);
        assert!(grown < 32 * 1024, "{grown} KiB for 2000 strangers");
        for mut stranger in strangers {
            let told = stranger.until_closed();
            assert_eq!(
                (error(&told).code(), error(&told).field(b'S')),
                ("08006".into(), "FATAL".into())
            );
        }
    });
    eventually("all files are closed", || {
        open_files(&stage.served) <= files + 1
    });
    nothing_amiss(&stage.served);
}

/// What ends a session directly ends it here: the code, if one is told, and that it is over.
#[test]
fn fact_11_what_is_no_message_ends_its_session_and_no_other() {
    let stage = Stage::with_pool_of(1);
    let odd = |tag: u8, length: i32| [&[tag], &length.to_be_bytes()[..]].concat();
    let cases = [
        ("an unknown tag", message(b'!', b"abc"), "08P01"),
        ("a tag of zero", message(0, b""), "08P01"),
        ("a password", message(b'p', b"secret\0"), "08P01"),
        (
            "a second start-up",
            startup(VERSION, &[("user", "postgres")]),
            "08P01",
        ),
        ("a request for encryption", request(SSL), "08P01"),
        ("a length of 3", odd(b'Q', 3), "08P01"),
        ("a length of 0", odd(b'Q', 0), "08P01"),
        ("a negative length", odd(b'Q', -1), "08P01"),
        ("the most negative length", odd(b'd', i32::MIN), "08P01"),
        ("a length beyond all", odd(b'Q', i32::MAX), "54000"),
        (
            "one more than max_message_size",
            odd(b'd', (1 << 30) + 1),
            "54000",
        ),
    ];
    beside(&stage, || {
        for (what, bytes, code) in &cases {
            let end = |wire: &mut Wire| {
                assert_eq!(wire.value("select 1"), "1");
                wire.send(bytes);
                wire.until_closed()
            };
            let direct = end(&mut stage.direct());
            let seen = end(&mut stage.client());
            let told = |frames: &[Frame]| {
                let told = frames.iter().map(|frame| (frame.field(b'S'), frame.code()));
                told.collect::<Vec<_>>()
            };
            assert_eq!(
                told(&seen),
                [("FATAL".into(), (*code).to_owned())],
                "{what}"
            );
            // Of a bad length the server says nothing before it leaves.
            if !direct.is_empty() {
                assert_eq!(told(&seen), told(&direct), "{what}");
            }
        }
    });
}

/// Messages that the server refuses, each in its own words, and goes on.
#[test]
fn fact_31a_what_the_server_refuses_is_refused_in_its_words_and_the_session_goes_on() {
    let stage = Stage::with_pool_of(1);
    let bind_of = |statement: &str, rest: &[u8]| {
        message(b'B', &[b"\0", statement.as_bytes(), b"\0", rest].concat())
    };
    let odd: Vec<Vec<u8>> = vec![
        bind_of("s", &[]),
        bind_of("s", &[0]),
        bind_of("s", &[0, 0, 0, 9, 0, 0]),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 50, b'1', 0, 0]),
        bind_of("s", &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf0, 0, 0]),
        bind_of("s", &[0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff, b'1', 0, 0]),
        bind_of("s", &[0, 0, 0xff, 0xff, 0, 0, 0, 1, b'1', 0, 0]),
        bind_of("s", &[0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, b'1', 0, 0]),
        bind_of("s", &[0, 1, 0, 9, 0, 1, 0, 0, 0, 1, b'1', 0, 0]),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 1, b'1', 0, 5, 0, 1]),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 1, b'1', 0, 1, 0, 7]),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 1, b'1', 0, 0, 9]),
        bind_of("none", &[0, 0, 0, 0, 0, 0]),
        message(b'B', b""),
        message(b'B', b"\0"),
        message(b'B', b"\0s"),
        message(b'P', b""),
        message(b'P', b"name"),
        message(b'P', b"name\0select 1"),
        message(b'P', b"name\0select 1\0"),
        message(b'P', b"name\0select 1\0\0\x05\0\0\0\x17"),
        message(b'P', b"name\0select 1\0\0\0 more"),
        message(b'P', b"\0select 1\0\0\0 more"),
        message(b'P', b"\0sel\0ect 1\0\0\0"),
        message(b'P', b"\0select $1\0\0\x01\0\x7f\xff\xff"),
        message(b'D', b""),
        message(b'D', b"S"),
        message(b'D', b"Ss"),
        message(b'D', b"Ss\0more"),
        message(b'D', b"Xs\0"),
        message(b'D', b"P\0\0"),
        message(b'E', b""),
        message(b'E', b"\0"),
        message(b'E', b"\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0\0"),
        message(b'E', b"\0\xff\xff\xff\xff"),
        message(b'E', b"none\0\0\0\0\0"),
        message(b'C', b""),
        message(b'C', b"S"),
        message(b'C', b"Ss"),
        message(b'C', b"Ss\0more"),
        message(b'C', b"Xs\0"),
        message(b'S', b"more"),
        message(b'H', b"more"),
        message(b'Q', b""),
        message(b'Q', b"select 1"),
        message(b'Q', b"select 1\0select 2\0"),
        message(b'Q', b"\0\0"),
        message(b'Q', b"select '\xff'\0"),
        message(b'Q', b"select '\xc3\x28'\0"),
        message(b'P', b"\0select '\xff'\0\0\0"),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0]),
        bind_of("s", &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]),
        message(b'F', &[0, 0, 0, 177, 0, 0, 0, 0, 0, 0]),
        message(b'F', &[0xff; 10]),
        message(b'd', b"nobody asked"),
        copy_done(),
        copy_fail("nobody asked"),
        message(b'f', b"without an end"),
        message(b'c', b"more"),
    ];
    for one in &odd {
        let seen = stage.same(|wire| {
            let prepared = wire.ask(&[parse("s", "select $1::int"), sync()]);
            // Alone, behind something of its own request, and with something behind it.
            let alone = answers(wire, std::slice::from_ref(one));
            let within = answers(
                wire,
                &[
                    unnamed("select 5", &[]),
                    one.clone(),
                    unnamed("select 6", &[]),
                ],
            );
            wire.query("begin");
            let inside = answers(wire, &[unnamed("select 7", &[]), one.clone()]);
            wire.query("rollback");
            [
                prepared,
                alone,
                within,
                inside,
                wire.ask(&[again("s", &["8"]), sync()]),
            ]
        });
        let shown = one.escape_ascii();
        assert_eq!(said(&seen[4])[1..3], ["row 8", "SELECT 1"], "{shown}");
        assert_eq!(stage.client().value("select 'other'"), "other", "{shown}");
    }
    nothing_amiss(&stage.served);
}

/// The answer to messages that may end in any number of ReadyForQuery.
fn answers(wire: &mut Wire, messages: &[Vec<u8>]) -> Vec<Frame> {
    wire.send(&[messages.concat(), sync(), query("select 'the end'")].concat());
    let mut frames = Vec::new();
    loop {
        frames.extend(wire.until_ready());
        let failed =
            "25P02 current transaction is aborted, commands ignored until end of transaction block";
        let ends = ["row the end", failed];
        let near = frames.iter().rev().take(4);
        if near.map(Frame::to_string).any(|one| ends.contains(&&*one)) {
            return frames;
        }
    }
}

#[test]
fn a_request_that_comes_a_byte_at_a_time_takes_no_connection_from_others_before_it_is_whole() {
    let stage = Stage::with_pool_of(1);
    let mut slow = stage.client();
    beside(&stage, || {
        let request = query("select 'slow'");
        for byte in &request {
            slow.send(&[*byte]);
            assert_eq!(stage.client().value("select 1"), "1");
        }
        assert_eq!(said(&slow.until_ready())[1], "row slow");
    });
}

/// Requests of every kind, cut in two at every byte.
#[test]
fn fact_30_a_request_may_be_cut_at_every_byte() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table things (a int)");
    let requests: [&[Vec<u8>]; 4] = [
        &[query("select 'simple'")],
        &[
            parse("p", "select $1::int"),
            bind("door", "p", &["41"]),
            crate::wire::describe_statement("p"),
            crate::wire::describe_portal("door"),
            execute("door", 1),
            crate::wire::close_portal("door"),
            crate::wire::close_statement("p"),
            flush(),
            sync(),
        ],
        &[
            query("copy things from stdin"),
            copy_data("1\n2\n"),
            copy_done(),
        ],
        &[message(
            b'F',
            &[
                &[0, 0, 0, 177, 0, 0, 0, 2],
                &b"\0\0\0\x013\0\0\0\x014"[..],
                &[0, 0],
            ]
            .concat(),
        )],
    ];
    let whole = requests.map(|request| request.concat());
    for request in whole {
        let expected = stage.direct().ask(std::slice::from_ref(&request));
        let mut wire = stage.client();
        for at in 1..request.len() {
            wire.send(&request[..at]);
            // Most likely read before the rest comes.
            thread::sleep(Duration::from_millis(1));
            wire.send(&request[at..]);
            alike(&wire.until_ready(), &expected);
        }
        for byte in &request {
            wire.send(&[*byte]);
        }
        alike(&wire.until_ready(), &expected);
    }
}
