//! Messages as large as the protocol has them, and peers that take them slowly: as directly, and
//! in little memory.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    stage::{PATIENCE, Stage, alike, eventually},
    support::{self, Served},
    wire::{
        VERSION, bind, copy_done, error, execute, message, parse, query, said, startup, sync,
        unnamed,
    },
};

/// What the ambassador may grow by, whatever travels: KiB.
const ROOM: usize = 24 * 1024;
const MIB: usize = 1024 * 1024;

/// KiB that the ambassador had in memory at most.
fn peak(served: &Served) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs `act` on a stage that has been used, and looks what it cost.
fn in_little_memory<T>(stage: &Stage, act: impl FnOnce() -> T) -> T {
    stage.client().run("select 1");
    let before = peak(&stage.served);
    let result = act();
    let grown = peak(&stage.served) - before;
    println!("{grown} KiB");
    assert!(grown < ROOM, "{grown} KiB");
    result
}

/// A logged-in socket whose messages are too large to be held.
struct Stream(TcpStream);

impl Stream {
    fn login(port: u16, database: &str) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let who = [("user", "postgres"), ("database", database)];
        stream.write_all(&startup(VERSION, &who)).unwrap();
        let mut stream = Self(stream);
        stream.skip_to_ready();
        stream
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// A message of which only beginning and end are made beforehand.
    fn send_large(&mut self, tag: u8, front: &[u8], filling: usize, back: &[u8]) {
        let length = u32::try_from(4 + front.len() + filling + back.len()).unwrap();
        self.send(&[&[tag], &length.to_be_bytes()[..], front].concat());
        let mut line = [b'x'; 64 * 1024];
        line.iter_mut()
            .skip(99)
            .step_by(100)
            .for_each(|byte| *byte = b'\n');
        let mut left = filling;
        while left > 0 {
            let part = &line[..left.min(line.len() / 100 * 100)];
            self.send(part);
            left -= part.len();
        }
        self.send(back);
    }

    /// Each message up to ReadyForQuery: its tag, its length, a sum over its bytes.
    fn answer(&mut self) -> Vec<(char, usize, u64)> {
        let mut seen = Vec::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let length = usize::try_from(length).unwrap() - 4;
            let sum = sum(&mut (&mut self.0).take(length as u64)).unwrap();
            seen.push((char::from(head[0]), length, sum));
            if head[0] == b'Z' {
                return seen;
            }
        }
    }

    fn skip_to_ready(&mut self) {
        self.answer();
    }
}

/// A sum that notices what is changed and what has moved, in whatever parts it is read.
fn sum(reader: &mut impl Read) -> io::Result<u64> {
    let (mut sum, mut part) = (0_u64, vec![0; 64 * 1024]);
    loop {
        let mut len = 0;
        while len < part.len() {
            match reader.read(&mut part[len..])? {
                0 => break,
                read => len += read,
            }
        }
        if len == 0 {
            return Ok(sum);
        }
        for bytes in part[..len].chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            sum = sum.wrapping_mul(31).wrapping_add(u64::from_be_bytes(word));
        }
    }
}

/// Does the same on both sides.
fn both<T: PartialEq + std::fmt::Debug>(stage: &Stage, mut act: impl FnMut(&mut Stream) -> T) -> T {
    let direct = support::cluster().port();
    let expected = act(&mut Stream::login(direct, &stage.database));
    let seen = in_little_memory(stage, || {
        act(&mut Stream::login(stage.port(), &stage.database))
    });
    alike(&seen, &expected);
    assert_eq!(stage.client().value("select 'other'"), "other");
    seen
}

#[test]
fn fact_37_a_bind_may_have_65535_parameters_in_text_and_in_binary() {
    let stage = Stage::with_pool_of(1);
    let list: Vec<_> = (1..=65_535).map(|number| format!("${number}")).collect();
    let sql = format!(
        "select array_length(array[{}]::int[], 1), $65535::int",
        list.join(",")
    );
    let texts: Vec<_> = (0..65_535)
        .map(|number| (number % 1000).to_string())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let binary = |statement: &str| {
        let values = (0..65_535_u32).flat_map(|value| [[0, 0, 0, 4], value.to_be_bytes()]);
        let front = [b"\0", statement.as_bytes(), b"\0\0\x01\0\x01\xff\xff"].concat();
        message(
            b'B',
            &[front, values.collect::<Vec<_>>().concat(), vec![0, 1, 0, 1]].concat(),
        )
    };
    let seen = in_little_memory(&stage, || {
        stage.same(|wire| {
            ["", "named"].map(|name| {
                [
                    wire.ask(&[
                        parse(name, &sql),
                        bind("", name, &texts),
                        execute("", 0),
                        sync(),
                    ]),
                    wire.ask(&[binary(name), execute("", 0), sync()]),
                    wire.ask(&[bind("", name, &texts[1..]), execute("", 0), sync()]),
                    wire.ask(&[binary(name), execute("", 0), sync()]),
                ]
            })
        })
    });
    for seen in seen {
        assert_eq!(said(&seen[0])[2], "row 65535 534");
        assert_eq!(seen[1][1].body, seen[3][1].body);
        assert_eq!(error(&seen[2]).code(), "08P01");
    }
    assert_eq!(stage.client().value("select 'other'"), "other");
}

#[test]
fn fact_30_names_may_be_longer_than_any_buffer() {
    let stage = Stage::with_pool_of(1);
    for len in [
        62, 63, 1000, 9_000, 61_440, 262_143, 262_144, 300_000, 3_000_000,
    ] {
        let name = "n".repeat(len);
        let seen = stage.same(|wire| {
            let mut seen = vec![
                wire.ask(&[parse(&name, "select $1::text"), sync()]),
                wire.ask(&[bind("", &name, &["x"]), execute("", 0), sync()]),
                wire.ask(&[bind(&name, &name, &["y"]), execute("", 0), sync()]),
                wire.ask(&[bind(&name, "", &["y"]), sync()]),
                wire.ask(&[parse(&name, "select 2"), sync()]),
            ];
            // Of these the server takes no longer ones.
            if len < 9_999 {
                seen.push(wire.ask(&[
                    crate::wire::describe_statement(&name),
                    bind(&name, &name, &["z"]),
                    crate::wire::describe_portal(&name),
                    execute(&name, 0),
                    crate::wire::close_portal(&name),
                    crate::wire::close_statement(&name),
                    sync(),
                ]));
                seen.push(wire.ask(&[bind("", &name, &["x"]), execute("", 0), sync()]));
            }
            seen
        });
        assert_eq!(said(&seen[0]), ["parsed", "ready I"], "{len}");
        assert_eq!(said(&seen[1])[1], "row x", "{len}");
        // Nobody else has the name.
        let mut other = stage.client();
        assert_eq!(
            said(&other.ask(&[parse(&name, "select 3"), sync()])),
            ["parsed", "ready I"],
            "{len}"
        );
    }
}

#[test]
fn fact_37_a_row_of_a_hundred_megabytes_is_streamed() {
    let stage = Stage::with_pool_of(1);
    let seen = both(&stage, |stream| {
        stream.send(&query("select repeat('x', 104857600), 1"));
        stream.answer()
    });
    assert_eq!(seen[1].1, 2 + 4 + 104_857_600 + 4 + 1);
}

#[test]
fn fact_37_a_parameter_of_256_mib_is_streamed() {
    let stage = Stage::with_pool_of(1);
    let size = 256 * MIB;
    let seen = both(&stage, |stream| {
        stream.send(&parse("", "select length($1::text), right($1::text, 3)"));
        let front = [
            b"\0\0\0\0\0\x01",
            &u32::try_from(size + 3).unwrap().to_be_bytes()[..],
        ]
        .concat();
        stream.send_large(b'B', &front, size, b"end\0\0");
        stream.send(&[execute("", 0), sync()].concat());
        stream.answer()
    });
    assert_eq!(seen[2].0, 'D');
}

/// A COPY of so many bytes in messages of that size.
fn copies(stage: &Stage, bytes: usize, each: usize) {
    stage.directly("create table things (a text)");
    both(stage, |stream| {
        stream.send(&query("copy things from stdin where a = 'never'"));
        for _ in 0..bytes / each {
            stream.send_large(b'd', b"", each, b"");
        }
        stream.send(&copy_done());
        let copied = stream.answer();
        stream.send(&query(&format!(
            "copy (select repeat('x', 1000) from generate_series(1, {})) to stdout",
            bytes / 1001
        )));
        (copied, stream.answer().len(), stream.0.write(b"").unwrap())
    });
}

#[test]
fn fact_37_a_copy_of_a_hundred_megabytes_is_streamed() {
    copies(&Stage::with_pool_of(1), 100_000_000, 50_000_000);
}

#[test]
#[ignore = "long: gigabytes"]
fn fact_37_a_copy_of_gigabytes_is_streamed_in_small_messages_and_in_the_largest() {
    copies(&Stage::with_pool_of(1), 1_100_000_000, 10_000);
    copies(&Stage::with_pool_of(1), 1_073_741_700, 1_073_741_700);
}

#[test]
#[ignore = "long: gigabytes"]
fn fact_37_a_row_of_a_gigabyte_is_streamed() {
    let stage = Stage::with_pool_of(1);
    let seen = both(&stage, |stream| {
        stream.send(&query(
            "select repeat('x', 500000000), repeat('y', 500000000)",
        ));
        stream.answer()
    });
    assert_eq!(seen[1].1, 2 + 2 * (4 + 500_000_000));
}

/// The state that Postgres says the session with this text is in.
fn waits(stage: &Stage, words: &str, event: &str) {
    eventually(event, || {
        let sql = format!(
            "select count(*) from pg_stat_activity where wait_event = '{event}' \
             and datname = current_database() and query like '%{words}%' \
             and pid <> pg_backend_pid()"
        );
        stage.directly(&sql) == "1"
    });
}

#[test]
fn fact_43_who_does_not_read_stops_the_backend_and_nobody_else() {
    let stage = Stage::with_pool_of(2);
    in_little_memory(&stage, || {
        let mut deaf = Stream::login(stage.port(), &stage.database);
        deaf.send(&query(
            "select repeat('deaf', 100) from generate_series(1, 2000000)",
        ));
        waits(&stage, "deaf", "ClientWrite");
        for _ in 0..100 {
            assert_eq!(stage.client().value("select 'other'"), "other");
        }
        // It has lost nothing by being slow.
        assert_eq!(deaf.answer().len(), 2_000_003);
        deaf.send(&query(
            "select repeat('deaf', 100) from generate_series(1, 2000000)",
        ));
        waits(&stage, "deaf", "ClientWrite");
    });
    // Gone without having read: its connection serves others again.
    let mut both = [stage.client(), stage.client()];
    both.iter_mut().for_each(|wire| wire.run("begin; select 1"));
    eventually("two connections", || stage.connections() == 2);
}

#[test]
fn fact_43_a_backend_that_does_not_read_stops_the_client_and_nobody_else() {
    let stage = Stage::with_pool_of(2);
    stage.directly("create table things (a text)");
    let mut locks = stage.direct();
    locks.run("begin; lock things");
    in_little_memory(&stage, || {
        let mut floods = Stream::login(stage.port(), &stage.database);
        floods.send(&query("copy things from stdin where a = 'never'"));
        waits(&stage, "things", "relation");
        let mut twin = Stream(floods.0.try_clone().unwrap());
        let flooding = thread::spawn(move || {
            twin.0.set_write_timeout(None).unwrap();
            for _ in 0..100 {
                twin.send_large(b'd', b"", MIB, b"");
            }
            twin.send(&copy_done());
        });
        for _ in 0..100 {
            assert_eq!(stage.client().value("select 'other'"), "other");
        }
        assert!(!flooding.is_finished());
        locks.run("commit");
        flooding.join().unwrap();
        let copied = floods.answer();
        assert_eq!(
            copied.iter().map(|(tag, ..)| *tag).collect::<String>(),
            "GCZ"
        );
    });
}

/// Requests that are small and have small answers: what is noted of each adds up.
#[test]
fn fact_43_who_asks_and_asks_and_never_reads_is_stopped() {
    for (what, request) in [
        ("syncs", sync()),
        ("queries", query("")),
        ("batches", [unnamed("", &[]), sync()].concat()),
    ] {
        let stage = Stage::with_pool_of(1);
        in_little_memory(&stage, || {
            let mut asks = Stream::login(stage.port(), &stage.database);
            // Holds the connection: nothing of it is answered out of hand.
            asks.send(&query("begin"));
            asks.skip_to_ready();
            asks.0
                .set_write_timeout(Some(Duration::from_secs(1)))
                .unwrap();
            let requests = request.repeat(1000);
            let mut sent = 0;
            while let Ok(len) = asks.0.write(&requests) {
                sent += len;
                assert!(sent < 1000 * MIB, "{what}: never stopped");
            }
            println!("{what}: {sent} bytes");
        });
        let mut other = stage.client();
        assert_eq!(other.value("select 'other'"), "other", "{what}");
    }
}
