//! Sessions that listen share the pool like any others: one connection listens for all of them,
//! and each hears what it would hear directly.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    stage::{Stage, alike, eventually, observer},
    wire::{Frame, Wire, bind, execute, parse, query, said, sync, unnamed},
};

/// The process id, the channel and the payload.
fn notification(frame: &Frame) -> (i32, String, String) {
    assert_eq!(frame.tag, b'A', "{frame:?}");
    let (pid, rest) = frame.body.split_first_chunk().unwrap();
    let mut texts = rest.split(|&byte| byte == 0);
    let mut next = || String::from_utf8_lossy(texts.next().unwrap()).into_owned();
    (i32::from_be_bytes(*pid), next(), next())
}

#[track_caller]
fn hears(wire: &mut Wire, channel: &str, payload: &str) {
    let (_, on, what) = notification(&wire.frame());
    assert_eq!((on.as_str(), what.as_str()), (channel, payload));
}

/// Nothing has come that should not have: what is on its way comes ahead of this.
#[track_caller]
fn hears_nothing(stage: &Stage, wire: &mut Wire) {
    settled(stage);
    let frames = wire.query("select 1");
    assert!(frames.iter().all(|frame| frame.tag != b'A'), "{frames:?}");
}

/// Waits until what was notified has reached who is to hear it: this goes the same way.
fn settled(stage: &Stage) {
    let mut last = stage.client();
    last.run("listen settled");
    stage.direct().run("notify settled");
    hears(&mut last, "settled", "");
}

fn listening(stage: &Stage) -> usize {
    let all = "select count(*) from pg_stat_activity where application_name = 'ambassador listen'";
    let all = format!("{all} and datname = '{}'", stage.database);
    observer().value(&all).parse().unwrap()
}

#[test]
fn who_listens_has_no_connection_of_its_own_and_hears_at_once() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.run("listen news");
    other.run("notify news, 'first'");
    hears(&mut one, "news", "first");
    eventually("the lease is given back", || stage.connections() == 2);
    assert_eq!(listening(&stage), 1);
    for round in 0..20 {
        other.run(&format!("notify news, '{round}'"));
        hears(&mut one, "news", &round.to_string());
        one.run("select 1");
    }
    assert_eq!(stage.connections(), 2);
    one.run("unlisten news");
    other.run("notify news, 'unheard'");
    hears_nothing(&stage, &mut one);
    drop(one);
    eventually("nobody listens", || listening(&stage) == 0);
}

#[test]
fn forty_clients_that_listen_need_no_more_than_a_pool_of_four_and_one_that_listens() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "4"]);
    let mut clients: Vec<Wire> = (0..40).map(|_| stage.client()).collect();
    for (at, wire) in clients.iter_mut().enumerate() {
        wire.run(&format!("listen mine_{at}"));
        wire.run("listen all_of_us");
    }
    let mut other = stage.client();
    other.run("notify all_of_us, 'x'");
    for (at, wire) in clients.iter_mut().enumerate() {
        hears(wire, "all_of_us", "x");
        other.run(&format!("notify mine_{at}, '{at}'"));
        hears(wire, &format!("mine_{at}"), &at.to_string());
        wire.run("select 1");
    }
    eventually("a pool of four, and one", || stage.connections() <= 5);
    assert_eq!(listening(&stage), 1);
    for (at, wire) in clients.iter_mut().enumerate() {
        let channels =
            wire.value("select string_agg(c, ' ' order by c) from pg_listening_channels() c");
        assert_eq!(channels, format!("all_of_us mine_{at}"));
    }
    assert!(stage.connections() <= 5, "{}", stage.connections());
}

/// Sessions that each do this one after another listen to what they would listen to directly.
#[test]
fn a_session_listens_to_what_it_would_listen_to_directly() {
    let acts = [
        "listen a",
        "listen a|listen a|listen b",
        "listen a|unlisten a",
        "listen a|listen b|unlisten a",
        "listen a|listen b|unlisten *",
        "listen a; listen b; unlisten a",
        "unlisten nothing",
        "listen \"A B\"\"c\"|LISTEN AbC",
        "listen äöü",
        "listen a234567890123456789012345678901234567890123456789012345678901234567890",
        "begin|listen a|rollback",
        "begin|listen a|commit",
        "begin|listen a|select 1/0|listen b|commit",
        "listen z|begin|unlisten z|listen a|rollback",
        "listen z|begin|unlisten z|listen a|commit",
        "begin|listen a|savepoint s|listen b|rollback to s|listen c|commit",
        "listen z|begin|savepoint s|unlisten *|rollback to s|listen c|commit",
        "listen a|discard all",
        "listen a|listen b|begin|unlisten *|listen c|commit",
        "listen a|select pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "do $$ begin execute 'listen done'; end $$",
        "listen a|do $$ begin execute 'listen done'; execute 'unlisten a'; end $$",
        "listen a|create temp table t ()|listen b|drop table t|unlisten a",
        "create temp table t ()|listen a|select 1|drop table t",
        "listen a|set work_mem = '1MB'|listen b|reset all",
        "listen a|deallocate all|discard temp|discard plans",
        "listen a|begin|insert into seen values (1)|prepare transaction 'p'",
        "listen a|begin|listen b|prepare transaction 'p'",
        "listen a|begin|commit|listen",
        "begin; listen a; commit; listen b",
        "listen pg_temp|unlisten pg_temp|listen \"\"",
    ];
    let look = "select c from pg_listening_channels() c order by c";
    let stage = Stage::with_pool_of(1);
    stage.directly("create table seen (a int)");
    let mut sessions: Vec<Wire> = acts.iter().map(|_| stage.client()).collect();
    let ask = |wire: &mut Wire, acts: &str| -> Vec<_> {
        acts.split('|')
            .map(|text| said(&wire.query(text)))
            .collect()
    };
    for round in 0..2 {
        for (wire, act) in sessions.iter_mut().zip(&acts) {
            if round == 0 {
                assert_eq!(ask(wire, act), ask(&mut stage.direct(), act), "{act}");
            }
        }
        for (wire, act) in sessions.iter_mut().zip(&acts) {
            let mut direct = stage.direct();
            ask(&mut direct, act);
            assert_eq!(said(&wire.query(look)), said(&direct.query(look)), "{act}");
        }
    }
    assert!(stage.connections() <= 2 + 1, "{}", stage.connections());
}

#[test]
fn one_s_own_notification_comes_before_the_answer_s_end_and_once() {
    let stage = Stage::with_pool_of(1);
    stage.directly(
        "create table t (a int); create function tell() returns trigger language plpgsql as \
        $$ begin perform pg_notify('news', 'row ' || new.a); return new; end $$; \
        create trigger tell after insert on t for each row execute function tell()",
    );
    let mut direct = stage.direct();
    let mut wire = stage.client();
    let mut told = Vec::new();
    for wire in [&mut direct, &mut wire] {
        wire.run("listen news");
        let mut all = Vec::new();
        for round in 0..3 {
            for asked in [
                vec![query("notify news, 'one'")],
                vec![query(
                    "notify news; notify news, 'x'; notify other, 'y'; select 1",
                )],
                vec![
                    query("begin"),
                    query("notify news, 'inside'"),
                    query("select 1"),
                    query("commit"),
                ],
                vec![
                    query("begin"),
                    query("notify news, 'undone'"),
                    query("rollback"),
                ],
                vec![query("select pg_notify('news', 'called')")],
                vec![query(&format!("insert into t values ({round})"))],
                vec![
                    unnamed("select pg_notify('news', $1)", &["extended"]),
                    sync(),
                ],
                vec![parse("n", "notify news"), sync()],
                vec![bind("", "n", &[]), execute("", 0), sync()],
                vec![
                    parse("", "deallocate n"),
                    bind("", "", &[]),
                    execute("", 0),
                    sync(),
                ],
                vec![query("do $$ begin notify news, 'done'; end $$")],
            ] {
                for message in asked.split_inclusive(|message| matches!(message[0], b'Q' | b'S')) {
                    for frame in wire.ask(message) {
                        all.push(match frame.tag {
                            b'A' => {
                                let (pid, on, what) = notification(&frame);
                                assert_eq!(pid, wire.pid);
                                format!("{on} {what}")
                            }
                            _ => frame.to_string(),
                        });
                    }
                }
            }
        }
        told.push(all);
    }
    alike(&told[1], &told[0]);
    hears_nothing(&stage, &mut wire);
    assert!(stage.connections() <= 3, "{}", stage.connections());
}

/// Whoever notifies all the time is heard from the acknowledgement on, each time once.
#[test]
fn nothing_is_missed_and_nothing_comes_twice_when_somebody_notifies_all_the_time() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "2"]);
    let stop = &AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let mut notifier = stage.direct();
        let notified = scope.spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                notifier.run(&format!("notify counted, '{number}'"));
                number += 1;
            }
            notifier.run("notify counted, 'end'");
            number
        });
        let listeners: Vec<_> = (0..8)
            .map(|at| {
                let mut wire = stage.client();
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(30 * at));
                    let mut heard = wire.query("listen counted");
                    // Its connection is taken while it is handed over, too.
                    heard.extend(wire.query("listen another"));
                    heard.extend(wire.query("select 1"));
                    while !heard
                        .last()
                        .is_some_and(|last| last.body.ends_with(b"\0end\0"))
                    {
                        heard.push(wire.frame());
                    }
                    let heard: Vec<_> = heard.iter().filter(|frame| frame.tag == b'A').collect();
                    let numbers = heard.iter().map(|frame| notification(frame).2);
                    numbers.collect::<Vec<_>>()
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
        let last = notified.join().unwrap();
        for listener in listeners {
            let mut heard = listener.join().unwrap();
            assert_eq!(heard.pop().as_deref(), Some("end"));
            let mut heard: Vec<u32> = heard.iter().map(|one| one.parse().unwrap()).collect();
            // Two connections bring them, and the one may be late.
            heard.sort_unstable();
            let from = heard[0];
            assert_eq!(heard, (from..last).collect::<Vec<_>>());
        }
        last
    });
    assert!(last > 20, "{last}");
}

#[test]
fn who_listens_by_a_connection_that_is_killed_is_sent_away() {
    let stage = Stage::with_pool_of(2);
    let (mut wire, mut other) = (stage.client(), stage.client());
    wire.run("listen news");
    eventually("handed over", || {
        listening(&stage) == 1 && {
            wire.query("select pid from pg_locks limit 0");
            true
        }
    });
    settled(&stage);
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ambassador listen'";
    observer().run(&format!("{kill} and datname = '{}'", stage.database));
    let last = wire.until_closed().pop().unwrap();
    assert_eq!((last.tag, last.code().as_str()), (b'E', "57P01"));
    other.run("listen news");
    other.run("select 1");
    stage.direct().run("notify news, 'anew'");
    hears(&mut other, "news", "anew");
}

#[test]
fn who_listens_and_does_not_read_is_sent_away_and_nobody_else() {
    let stage = Stage::with_pool_of(2);
    let (mut slow, mut quick) = (stage.client(), stage.client());
    slow.run("listen news");
    quick.run("listen news");
    settled(&stage);
    let mut told = 0;
    let text = "x".repeat(7000);
    let mut notifier = stage.direct();
    while listening(&stage) == 1 && told < 12 {
        notifier.run(&format!(
            "select pg_notify('news', n || '{text}') from generate_series(1, 500) n"
        ));
        for number in 1..=500 {
            let (_, _, payload) = notification(&quick.frame());
            assert_eq!(payload.len(), text.len() + number.to_string().len());
        }
        told += 1;
    }
    let heard = slow.until_closed();
    assert!(heard.len() < told * 500, "{}", heard.len());
    for (at, frame) in heard.iter().enumerate() {
        // Why it ends it is told as far as it takes it within a second.
        if frame.tag == b'E' && at == heard.len() - 1 {
            assert_eq!(frame.code(), "57P01");
            break;
        }
        let (_, _, payload) = notification(frame);
        assert_eq!(payload, format!("{}{text}", at % 500 + 1));
    }
}

#[test]
fn a_transaction_is_not_disturbed_and_hears_at_its_end() {
    let stage = Stage::with_pool_of(2);
    let (mut wire, mut other) = (stage.client(), stage.direct());
    wire.run("listen news");
    wire.run("begin");
    wire.run("select 1");
    other.run("notify news, 'meanwhile'");
    settled(&stage);
    let inside = wire.query("select 2");
    assert!(inside.iter().all(|frame| frame.tag != b'A'), "{inside:?}");
    let end = wire.query("commit");
    let told: Vec<_> = end.iter().filter(|frame| frame.tag == b'A').collect();
    assert_eq!(told.len(), 1, "{end:?}");
    assert_eq!(end.last().map(|last| last.tag), Some(b'Z'));
}

#[test]
fn in_session_pooling_a_session_listens_on_its_own_connection() {
    let stage = Stage::new(&["--pool-mode", "session", "--pool-size", "2"]);
    let (mut wire, mut other) = (stage.client(), stage.client());
    wire.run("listen news");
    other.run("notify news, 'x'");
    hears(&mut wire, "news", "x");
    assert_eq!(listening(&stage), 0);
}
