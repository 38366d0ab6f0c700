//! Clients that leave and cancels that come, before backends that are slow to notice either.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use crate::peers::{Backend, Wire, done, message, query, report};

const ONE: &[&str] = &["--pool-size", "1"];

/// What one thread counts and others wait for.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    #[track_caller]
    fn wait_for(&self, number: usize) {
        let seen = || self.0.load(Ordering::SeqCst);
        eventually("the count is reached", || seen() >= number);
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a server says to a query that was cancelled.
fn cancelled() -> Vec<u8> {
    [report(b'E', "ERROR", "57014"), message(b'Z', b"I")].concat()
}

/// A backend whose first query runs until this many cancels have come.
fn stopped_by(cancels: usize) -> Backend {
    let told = Count::default();
    let hook = told.clone();
    Backend::with_cancels(
        move |wire, _| {
            wire.welcome()?;
            wire.frame()?;
            told.wait_for(cancels);
            wire.send(&cancelled())?;
            wire.serve(b"", b"")
        },
        move |_| hook.raise(),
    )
}

/// What a backend got: each message's tag, and how long it was.
fn tags(frames: &[(u8, Vec<u8>)]) -> Vec<(char, usize)> {
    let tag = |(tag, body): &(u8, Vec<u8>)| (char::from(*tag), body.len());
    frames.iter().map(tag).collect()
}

#[test]
fn fact_42_a_query_is_stopped_by_a_cancel_and_its_connection_serves_the_next() {
    let backend = stopped_by(1);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("long")).unwrap();
    drop(client);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
    assert_eq!((backend.connections(), backend.cancels()), (1, 1));
}

#[test]
fn fact_42_each_request_of_a_pipeline_is_stopped_by_a_cancel_of_its_own() {
    let cancels = Count::default();
    let hook = cancels.clone();
    let backend = Backend::with_cancels(
        move |wire, _| {
            wire.welcome()?;
            for number in 1..=3 {
                wire.frame()?;
                cancels.wait_for(number);
                wire.send(&cancelled())?;
            }
            wire.serve(b"", b"")
        },
        move |_| hook.raise(),
    );
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("long").repeat(3)).unwrap();
    drop(client);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
    assert_eq!((backend.connections(), backend.cancels()), (1, 3));
}

#[test]
fn fact_42_a_client_that_closes_only_its_sending_half_hears_what_comes_at_once() {
    let backend = Backend::start(|wire, _| {
        wire.welcome()?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("short").repeat(3)).unwrap();
    client.close_sending();
    for _ in 0..3 {
        assert_eq!(client.answer(), "C DONE, Z I");
    }
    assert_eq!(client.answer(), "end");
    assert_eq!((backend.connections(), backend.cancels()), (1, 0));
}

#[test]
fn fact_42_a_connection_that_does_not_come_to_rest_is_closed_and_replaced() {
    let closed = Count::default();
    let raised = closed.clone();
    let backend = Backend::start(move |wire, number| {
        wire.welcome()?;
        if number > 1 {
            return wire.serve(b"", b"");
        }
        while wire.frame().is_ok() {}
        raised.raise();
        Ok(())
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("long")).unwrap();
    drop(client);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 2);
    closed.wait_for(1);
}

#[test]
fn fact_42_a_message_that_was_half_sent_is_completed_and_its_batch_is_made_to_fail() {
    let (tell, told) = channel();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        // Parse, a Bind that fails, Sync.
        let mut frames = vec![wire.frame()?];
        wire.send(&message(b'1', b""))?;
        while frames.last().is_some_and(|(tag, _)| *tag != b'S') {
            frames.push(wire.frame()?);
        }
        wire.send(&cancelled())?;
        tell.send(frames).unwrap();
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.send(&crate::peers::parse("", "insert")).unwrap();
    client.send(&message(b'H', b"")).unwrap();
    assert_eq!(client.answer_to(b'1'), "1");
    let whole = message(b'B', &[&b"\0\0"[..], &[0; 1000]].concat());
    client.send(&whole[..500]).unwrap();
    drop(client);
    let frames = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(
        tags(&frames),
        [('P', 10), ('H', 0), ('B', 1002), ('B', 12), ('S', 0)]
    );
    assert!(frames[2].1.ends_with(&[0xff; 500]));
    // Two formats and no value: it fails, and with it all that came before it.
    assert_eq!(frames[3].1, [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn fact_42_a_message_that_cannot_be_completed_without_harm_is_left_and_its_connection_closed() {
    let function = message(b'F', &[0; 1000])[..500].to_vec();
    let huge = [b"d".to_vec(), 1_000_000_000_u32.to_be_bytes().to_vec()].concat();
    let endless = [huge, vec![b'x'; 500]].concat();
    for (begun, bytes, copies) in [(function, 500, false), (endless, 505, true)] {
        let (tell, told) = channel();
        let backend = Backend::start(move |wire, number| {
            wire.welcome()?;
            if number > 1 {
                return wire.serve(b"", b"");
            }
            if copies {
                wire.frame()?;
                wire.send(&message(b'G', &[0; 3]))?;
            }
            tell.send(wire.rest().len()).unwrap();
            Ok(())
        });
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        if copies {
            client.send(&query("copy")).unwrap();
            assert_eq!(client.answer_to(b'G'), "G");
        }
        client.send(&begun).unwrap();
        drop(client);
        assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(bytes));
        assert_eq!(backend.connections(), 2);
    }
}

#[test]
fn fact_42_a_client_that_is_not_read_because_the_backend_takes_nothing_is_missed_when_it_goes() {
    let cancels = Count::default();
    let hook = cancels.clone();
    let backend = Backend::with_cancels(
        move |wire, number| {
            wire.welcome()?;
            if number > 1 {
                return wire.serve(b"", b"");
            }
            cancels.wait_for(1);
            Err(std::io::ErrorKind::Other.into())
        },
        move |_| hook.raise(),
    );
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    client.fill(&query(&"y".repeat(100_000)));
    client.reset();
    eventually("it is cancelled", || backend.cancels() > 0);
    assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn fact_42_a_client_that_has_sent_more_than_is_held_for_it_is_missed_when_it_goes() {
    let (began, go) = (Count::default(), Count::default());
    let (begins, held) = (began.clone(), go.clone());
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        wire.frame()?;
        begins.raise();
        held.wait_for(1);
        wire.send(&done())?;
        wire.serve(b"wait", &report(b'E', "FATAL", "XX000"))
    });
    let served = backend.served(&["--pool-size", "1", "--set", "listen.max_clients=2"]);
    let mut holder = Wire::client(served.port(), "app");
    let mut waits = Wire::client(served.port(), "app");
    holder.send(&query("first")).unwrap();
    began.wait_for(1);
    let request = query(&format!("wait{}", "y".repeat(30_000)));
    waits.send(&request.repeat(4)).unwrap();
    drop(waits);
    eventually("its place is free", || {
        let mut next = Wire::knock(served.port(), "app");
        next.answer().ends_with("Z I")
    });
    go.raise();
    assert_eq!(holder.answer(), "C DONE, Z I");
    assert_eq!(holder.query("x"), "C DONE, Z I");
    assert_eq!((backend.connections(), backend.cancels()), (1, 0));
}

#[test]
fn fact_42_a_client_that_leaves_while_it_queues_at_the_door_leaves_the_queue() {
    let backend = Backend::start(|_, _| {
        // Lets nobody in.
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let served = backend.served(&["--pool-size", "1", "--set", "listen.max_clients=1"]);
    let mut waits = Wire::knock(served.port(), "app");
    // It is not read, and hides the end of the connection behind it.
    waits.send(&query("ahead")).unwrap();
    eventually("it waits at the door", || backend.connections() == 1);
    let mut other = Wire::knock(served.port(), "app");
    assert_eq!(other.answer(), "E FATAL 53300, end");
    drop(waits);
    eventually("its place is free", || {
        let mut other = Wire::knock(served.port(), "app");
        other.is_silent_for(Duration::from_millis(300))
    });
}

#[test]
fn fact_46_a_request_that_waits_is_served_though_a_good_bye_and_an_end_came_behind_it() {
    let (began, go) = (Count::default(), Count::default());
    let (begins, held) = (began.clone(), go.clone());
    let (tell, told) = channel();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        wire.frame()?;
        begins.raise();
        held.wait_for(1);
        wire.send(&done())?;
        let (_, body) = wire.frame()?;
        tell.send(body).unwrap();
        wire.send(&done())?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut holder = Wire::client(served.port(), "app");
    let mut leaves = Wire::client(served.port(), "app");
    holder.send(&query("first")).unwrap();
    began.wait_for(1);
    leaves
        .send(&[query("second"), message(b'X', b"")].concat())
        .unwrap();
    drop(leaves);
    // Long enough for the end to be read.
    assert!(holder.is_silent_for(Duration::from_millis(500)));
    go.raise();
    assert_eq!(holder.answer(), "C DONE, Z I");
    let second = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(second, b"second\0");
}

#[test]
fn fact_30_a_statement_that_comes_in_small_pieces_goes_on_whole() {
    let (tell, told) = channel();
    let backend = Backend::start(move |wire, _| {
        wire.welcome()?;
        let (_, body) = wire.frame()?;
        tell.send(body.len()).unwrap();
        wire.send(&done())?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    let request = query(&"y".repeat(250_000));
    for chunk in request.chunks(10) {
        client.send(chunk).unwrap();
    }
    assert_eq!(client.answer(), "C DONE, Z I");
    assert_eq!(told.recv().unwrap(), 250_001);
}

#[test]
fn fact_09_a_connection_is_lent_to_nobody_before_the_cancel_of_its_last_request_has_ended() {
    let (came, close) = (Count::default(), Count::default());
    let (hook_came, hook_close) = (came.clone(), close.clone());
    let (tell, told) = channel();
    let backend = Backend::with_cancels(
        move |wire, _| {
            wire.welcome()?;
            wire.frame()?;
            came.wait_for(1);
            // It ends just as the cancel comes.
            wire.send(&done())?;
            let (_, body) = wire.frame()?;
            tell.send(body).unwrap();
            wire.send(&done())?;
            wire.serve(b"", b"")
        },
        move |_| {
            hook_came.raise();
            hook_close.wait_for(1);
        },
    );
    let served = backend.served(ONE);
    let mut one = Wire::client(served.port(), "app");
    let mut other = Wire::client(served.port(), "app");
    one.send(&query("first")).unwrap();
    let mut asking = Wire::cancel(served.port(), &one);
    assert_eq!(one.answer(), "C DONE, Z I");
    other.send(&query("second")).unwrap();
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
    // Who asked may send its next request when it sees the end: it must not be too early.
    assert!(asking.is_silent_for(Duration::from_millis(100)));
    close.raise();
    assert_eq!(other.answer(), "C DONE, Z I");
    assert_eq!(asking.rest(), b"");
    assert_eq!(told.recv().unwrap(), b"second\0");
    assert_eq!((backend.connections(), backend.cancels()), (1, 1));
}

#[test]
fn fact_09_a_connection_whose_cancel_was_given_up_is_closed() {
    let (came, never) = (Count::default(), Count::default());
    let hook = came.clone();
    let backend = Backend::with_cancels(
        move |wire, number| {
            wire.welcome()?;
            if number > 1 {
                return wire.serve(b"", b"");
            }
            wire.frame()?;
            came.wait_for(1);
            wire.send(&done())?;
            wire.serve(b"", b"")
        },
        move |_| {
            hook.raise();
            never.wait_for(1);
        },
    );
    let served = backend.served(ONE);
    let mut one = Wire::client(served.port(), "app");
    one.send(&query("first")).unwrap();
    let _asking = Wire::cancel(served.port(), &one);
    assert_eq!(one.answer(), "C DONE, Z I");
    assert_eq!(one.query("second"), "C DONE, Z I");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn fact_09_every_cancel_of_a_session_is_passed_on_and_an_idle_session_s_is_not() {
    let backend = stopped_by(2);
    let served = backend.served(ONE);
    let mut client = Wire::client(served.port(), "app");
    assert_eq!(Wire::cancel(served.port(), &client).rest(), b"");
    assert_eq!(backend.cancels(), 0);
    client.send(&query("long")).unwrap();
    eventually("two cancels have come", || {
        Wire::cancel(served.port(), &client).rest();
        backend.cancels() >= 2
    });
    assert_eq!(client.answer(), "E ERROR 57014, Z I");
    assert_eq!(client.query("x"), "C DONE, Z I");
    assert_eq!(Wire::cancel(served.port(), &client).rest(), b"");
    assert_eq!((backend.connections(), backend.cancels()), (1, 2));
}
