//! How many connections there are, and for how long.

use std::{thread, time::Duration};

use crate::{
    stage::{Census, Stage, eventually},
    wire::{Wire, query, said},
};

/// Works on it from so many clients at once, each with short transactions.
fn load(stage: &Stage, clients: usize, rounds: usize) {
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut wire = stage.client();
                for _ in 0..rounds {
                    wire.run("begin");
                    wire.run("select pg_sleep(0.002)");
                    wire.run("commit");
                }
            });
        }
    });
}

#[test]
fn there_are_never_more_connections_than_pool_size_allows() {
    for workers in ["1", "2"] {
        let stage = Stage::new(&["--workers", workers, "--pool-size", "3"]);
        let census = Census::of(&stage.database);
        load(&stage, 20, 30);
        assert_eq!(census.most(), 3, "with {workers} workers");
    }
}

#[test]
fn no_more_connections_are_made_than_are_needed() {
    let stage = Stage::with_pool_of(20);
    let mut clients: Vec<_> = (0..10).map(|_| stage.client()).collect();
    for client in &mut clients {
        assert_eq!(client.value("select 1"), "1");
    }
    assert_eq!(stage.connections(), 1);
}

#[test]
fn all_of_a_pool_serves_one_worker_when_the_other_has_no_use_for_it() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "2"]);
    // Whichever worker they are with: each two of them must be able to hold both connections.
    let mut clients: Vec<_> = (0..4).map(|_| stage.client()).collect();
    for first in 0..4 {
        for second in first + 1..4 {
            clients[first].run("begin; select 1");
            clients[second].run("begin; select 1");
            clients[first].run("commit");
            clients[second].run("commit");
        }
    }
    assert_eq!(stage.connections(), 2);
}

#[test]
fn who_waits_gets_the_next_connection_in_the_order_of_asking() {
    let stage = Stage::with_pool_of(1);
    let mut holder = stage.client();
    let mut waiting: Vec<_> = (0..5).map(|_| stage.client()).collect();
    stage.directly("create table log (n serial, who int)");
    holder.run("begin; select 1");
    for (who, wire) in waiting.iter_mut().enumerate() {
        wire.send(&query(&format!("insert into log (who) values ({who})")));
        thread::sleep(Duration::from_millis(20));
    }
    holder.run("commit");
    for wire in &mut waiting {
        assert_eq!(said(&wire.until_ready())[0], "INSERT 0 1");
    }
    let order = stage.directly("select string_agg(who::text, '' order by n) from log");
    assert_eq!(order, "01234");
}

#[test]
fn min_pool_size_is_kept_open() {
    let stage = Stage::with(5, &["min_pool_size=3"]);
    assert_eq!(stage.client().value("select 1"), "1");
    eventually("three connections", || stage.connections() == 3);
}

#[test]
fn connections_out_of_use_are_closed_after_server_idle_timeout() {
    let stage = Stage::with(5, &["server_idle_timeout=300ms"]);
    let mut client = stage.client();
    client.run("select 1");
    assert_eq!(stage.connections(), 1);
    eventually("it is closed", || stage.connections() == 0);
    assert_eq!(client.value("select 2"), "2");
}

#[test]
fn connections_are_replaced_after_server_lifetime_and_nobody_notices() {
    let stage = Stage::with(1, &["server_lifetime=300ms"]);
    let pids = "select pid from pg_stat_activity where datname = current_database() \
                and pid <> pg_backend_pid()";
    let mut client = stage.client();
    let first = stage.directly(pids);
    eventually("another one", || {
        assert_eq!(client.value("select 1"), "1");
        let now = stage.directly(pids);
        !now.is_empty() && now != first
    });
    assert!(stage.connections() <= 1);
}

#[test]
fn an_idle_connection_that_is_killed_is_noticed_by_nobody() {
    let stage = Stage::with_pool_of(2);
    let mut client = stage.client_with(&[("DateStyle", "German")]);
    client.ask(&[
        crate::wire::parse("s", "select 'kept'"),
        crate::wire::sync(),
    ]);
    for _ in 0..5 {
        stage.directly(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        );
        assert_eq!(client.value("show datestyle"), "German, DMY");
        let frames = client.ask(&[crate::wire::again("s", &[]), crate::wire::sync()]);
        assert_eq!(said(&frames)[1], "row kept");
    }
}

#[test]
fn many_clients_come_and_go_without_a_trace() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "3"]);
    thread::scope(|scope| {
        for worker in 0..8 {
            let stage = &stage;
            scope.spawn(move || {
                for round in 0..25 {
                    let mut wire = stage.client();
                    wire.run("begin");
                    match (worker + round) % 4 {
                        0 => wire.send(&query("select pg_sleep(0.01)")),
                        1 => wire.run("set work_mem = '1MB'"),
                        2 => wire.bye(),
                        _ => wire.run("commit"),
                    }
                }
            });
        }
    });
    eventually("all is given back", || stage.connections() <= 3);
    let mut clients: Vec<Wire> = (0..3).map(|_| stage.client()).collect();
    for client in &mut clients {
        client.run("begin; select 1");
    }
    assert_eq!(stage.connections(), 3);
}
