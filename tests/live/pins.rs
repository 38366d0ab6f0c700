//! Sessions that keep a connection: who may, how many may, and who is told what of it.

use std::time::Duration;

use crate::{
    admin::scraped,
    stage::{Stage, eventually},
    support::{self, Served},
    wire::{Frame, VERSION, Wire, error, parse, query, said, startup, sync, unnamed},
};

const LOCK: &str = "select pg_advisory_lock(7)";
const KEEPING: [&str; 5] = [
    "select pg_try_advisory_lock(7)",
    "create temp table kept (a int)",
    "declare c cursor with hold for select 1",
    "load 'plpgsql'",
    "select setseed(0.5)",
];

fn rejecting() -> Stage {
    Stage::with(1, &["on_pin=reject"])
}

fn is_rejection(frames: &[Frame], ready: &str) {
    let refused = error(frames);
    let told = (refused.code(), refused.field(b'S'));
    assert_eq!(told, ("0A000".into(), "ERROR".into()), "{frames:?}");
    assert!(refused.message().contains("on_pin"), "{refused}");
    assert!(!refused.field(b'H').is_empty());
    assert_eq!(said(frames).last().unwrap(), ready);
}

#[test]
fn what_would_keep_a_connection_is_rejected_before_it_does_anything() {
    let stage = rejecting();
    let (mut client, mut other) = (stage.client(), stage.client());
    for text in KEEPING {
        is_rejection(&client.query(text), "ready I");
        is_rejection(&client.ask(&[unnamed(text, &[]), sync()]), "ready I");
        client.ask(&[parse("s", text), sync()]);
        is_rejection(
            &client.ask(&[crate::wire::again("s", &[]), sync()]),
            "ready I",
        );
        client.ask(&[crate::wire::close_statement("s"), sync()]);
        // The session lives, and shares the only connection.
        assert_eq!(client.value("select 1"), "1", "{text}");
        assert_eq!(other.value("select to_regclass('kept') is null"), "t");
    }
    is_rejection(
        &client.query("select 1; create temp table kept (a int)"),
        "ready I",
    );
    let held = "select count(*) from pg_locks where locktype = 'advisory' and database = \
                (select oid from pg_database where datname = current_database())";
    assert_eq!(stage.directly(held), "0");
    assert_eq!(stage.connections(), 1);
}

#[test]
fn a_rejection_fails_its_transaction_and_all_that_its_batch_did() {
    let stage = rejecting();
    stage.directly("create table t (a int)");
    let mut client = stage.client();
    // A transaction that has not left, one that has, and a batch.
    for first in ["", "insert into t values (1)"] {
        client.run("begin");
        client.query(first);
        is_rejection(&client.query(LOCK), "ready E");
        assert_eq!(client.failure("select 1").code(), "25P02");
        assert_eq!(said(&client.query("commit"))[0], "ROLLBACK");
    }
    client.run("begin");
    client.run("insert into t values (2)");
    let batch = [unnamed("insert into t values (3)", &[]), unnamed(LOCK, &[])];
    is_rejection(&client.ask(&[batch.concat(), sync()]), "ready E");
    client.run("rollback");
    is_rejection(&client.ask(&[batch.concat(), sync()]), "ready I");
    // Behind a request that is still under way, and before another.
    client.send(&[query("select 5"), query(LOCK), query("select 6")].concat());
    assert_eq!(said(&client.until_ready())[1], "row 5");
    is_rejection(&client.until_ready(), "ready I");
    assert_eq!(said(&client.until_ready())[1], "row 6");
    assert_eq!(client.value("select count(*) from t"), "0");
}

#[test]
fn what_keeps_nothing_beyond_its_transaction_is_not_rejected() {
    let stage = rejecting();
    let (mut client, mut other) = (stage.client(), stage.client());
    client.run("set work_mem = '3MB'");
    client.run("select pg_advisory_xact_lock(7)");
    client.run("begin");
    client.run("create temp table t (a int) on commit drop");
    client.run("insert into t values (1)");
    client.run("commit");
    client.run("discard all");
    assert_eq!(other.value("select 1"), "1");
    assert_eq!(stage.connections(), 1);
}

#[test]
fn what_only_shows_afterwards_is_kept_and_told_as_unwanted() {
    let stage = Stage::with_admin(&[
        "--workers",
        "1",
        "--pool-size",
        "1",
        "--set",
        "databases.\"*\".on_pin=reject",
    ]);
    let mut client = stage.client();
    client.run("do $$ begin perform pg_advisory_lock(8); end $$");
    assert_eq!(stage.directly("select pg_try_advisory_lock(8)"), "f");
    let labels = [
        ("database", stage.database.as_str()),
        ("reason", "advisory_lock"),
    ];
    let seen = scraped(&stage);
    assert_eq!(seen.value("ambassador_pinned_sessions", &labels), 1.0);
    let log = stage.served.log();
    let line = log.lines().find(|line| line.contains("session pinned"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
}

#[test]
fn a_start_up_that_needs_a_connection_of_its_own_is_rejected() {
    let stage = rejecting();
    let settings = [("ignore_system_indexes", "on")];
    let refused = Wire::login(stage.port(), &stage.database, &settings).unwrap_err();
    let told = (refused.code(), refused.field(b'S'));
    assert_eq!(told, ("0A000".into(), "FATAL".into()));
}

#[test]
fn the_log_names_each_statement_that_pins_once() {
    for (on_pin, level) in [("allow", "INFO"), ("warn", "WARN")] {
        let stage = Stage::with(1, &[&format!("on_pin={on_pin}")]);
        for lock in 0..3 {
            let mut client = stage.client();
            client.run(&format!("select pg_advisory_lock({lock})"));
            client.run("declare c cursor with hold for select 1");
        }
        stage
            .client()
            .run("declare c cursor with hold for select 1");
        let told = || {
            let log = stage.served.log();
            let lines = log.lines().filter(|line| line.contains("pinned"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        eventually("both are told of", || told().len() == 2);
        let told = told();
        assert!(told.iter().all(|line| line.contains(level)), "{told:?}");
        assert!(told[0].contains("reason=\"advisory_lock\""), "{told:?}");
        assert!(told[1].contains("reason=\"cursor_hold\""), "{told:?}");
        assert!(told[0].contains("fingerprint=\""), "{told:?}");
    }
}

#[test]
fn a_pin_is_shown_with_the_statement_that_it_began_with() {
    let stage = Stage::with_pool_of(1);
    let mut client = stage.client();
    client.run("begin");
    client.run("select pg_advisory_xact_lock(1), 'a'");
    client.run("create temp table kept (a int)");
    client.run("select 2");
    client.run("commit");
    let shown = || {
        let rows = support::psql(stage.port(), "pgbouncer", "show pins");
        let columns: Vec<String> = rows.split('|').map(str::to_owned).collect();
        (columns[5].clone(), columns.last().unwrap().clone())
    };
    let fingerprint = |text: &[u8]| {
        pg_ambassador::sql::fingerprint(text, pg_ambassador::sql::Strings::Standard, 0)
            .unwrap()
            .fingerprint
            .to_string()
    };
    let temp = fingerprint(b"create temp table kept (a int)");
    assert_eq!(shown(), ("temp".to_owned(), temp));
    // What was first is gone, and something else is there by then.
    client.run("begin; drop table kept; select pg_advisory_lock(5); commit");
    let lock = fingerprint(b"begin; drop table kept; select pg_advisory_lock(6); commit");
    eventually("the reason of today", || {
        shown() == ("advisory_lock".to_owned(), lock.clone())
    });
}

#[test]
fn max_pinned_bounds_what_is_beyond_the_pool_and_who_finds_nothing_hears_why() {
    let stage = Stage::with(2, &["max_pinned=1", "acquire_timeout=2s"]);
    let mut keepers: Vec<Wire> = (0..3).map(|_| stage.client()).collect();
    let mut waits = stage.client();
    for (number, keeper) in keepers.iter_mut().enumerate() {
        assert_eq!(waits.value("select 1"), "1");
        keeper.run(&format!("select pg_advisory_lock({number})"));
    }
    assert_eq!(stage.connections(), 3);
    let refused = waits.failure("select 1");
    assert_eq!(refused.code(), "53300");
    let hint = refused.field(b'H');
    for part in [
        "3 by advisory_lock",
        "statement ",
        "max_pinned",
        "SHOW PINS",
    ] {
        assert!(hint.contains(part), "{hint}");
    }
    // One that ends makes room: for one beyond, and so for one to share.
    keepers[0].run("select pg_advisory_unlock_all()");
    eventually("there is room", || {
        said(&waits.query("select 'served'"))[1] == "row served"
    });
    assert_eq!(keepers[1].value("select pg_advisory_unlock(1)"), "t");
    assert_eq!(keepers[2].value("select pg_advisory_unlock(2)"), "t");
    for keeper in &mut keepers {
        keeper.run("begin; select 1");
        keeper.run("commit");
    }
    assert!(stage.connections() <= 2);
}

/// A role of which the backend takes so many connections, and an ambassador whose clients all are
/// that role there.
fn limited(connections: usize, keys: &str) -> (String, Served, tempfile::NamedTempFile) {
    let cluster = support::cluster();
    let (port, database) = (cluster.port(), support::database(cluster));
    let role = format!("limited_{database}");
    support::psql(
        port,
        "postgres",
        &format!("create role \"{role}\" login connection limit {connections}"),
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[listen]\nworkers = 1\n[databases.\"*\"]\n{keys}\n\
         [databases.\"*\".users.\"*\"]\nupstream_user = \"{role}\"\n\
         [[databases.\"*\".backends]]\naddress = \"127.0.0.1:{port}\""
    );
    std::fs::write(file.path(), text).unwrap();
    let served = Served::ambassador_with(&["--config", file.path().to_str().unwrap()]);
    (database, served, file)
}

#[test]
fn who_gets_no_connection_as_the_backend_takes_no_more_hears_what_is_kept() {
    let keys = "pool_size = 1\nacquire_timeout = \"2s\"";
    let (database, served, _file) = limited(2, keys);
    let login = |settings: &[(&str, &str)]| {
        let mut wire = Wire::open(served.port());
        let who = [("user", "anybody"), ("database", database.as_str())];
        wire.send(&startup(VERSION, &[&who, settings].concat()));
        wire.welcomed().map(|()| wire)
    };
    let (mut first, mut second) = (login(&[]).unwrap(), login(&[]).unwrap());
    let mut waits = login(&[]).unwrap();
    first.run("create temp table kept (a int)");
    second.run("select pg_advisory_lock(9)");
    let refused = waits.failure("select 1");
    assert_eq!(refused.code(), "53300", "{refused}");
    let hint = refused.field(b'H');
    for part in ["1 by temp", "1 by advisory_lock", "statement "] {
        assert!(hint.contains(part), "{hint}");
    }
    // A login that needs a connection of its own waits as long, and hears the same.
    let refused = login(&[(
        "options",
        "-c log_temp_files=-1 -c jit_debugging_support=on",
    )]);
    let refused = refused.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "53300", "{refused}");
    assert!(refused.field(b'H').contains("1 by temp"), "{refused}");
    first.bye();
    eventually("there is room", || {
        said(&waits.query("select 'served'"))[1] == "row served"
    });
}

#[test]
fn a_login_that_needs_a_connection_of_its_own_waits_for_room_among_the_pinned() {
    let stage = Stage::with(1, &["max_pinned=1", "acquire_timeout=2s"]);
    let settings = [("ignore_system_indexes", "on")];
    let mut keeper = stage.client();
    keeper.run("create temp table kept (a int)");
    let refused = Wire::login(stage.port(), &stage.database, &settings).unwrap_err();
    assert_eq!(refused.code(), "53300");
    assert!(refused.field(b'H').contains("1 by temp"), "{refused}");
    keeper.bye();
    eventually("there is room", || {
        Wire::login(stage.port(), &stage.database, &settings).is_ok()
    });
    let stage = Stage::with(1, &["max_pinned=1"]);
    let mut keeper = stage.client();
    keeper.run("create temp table kept (a int)");
    let (port, database) = (stage.port(), stage.database.clone());
    let waits = std::thread::spawn(move || Wire::login(port, &database, &settings).map(|_| ()));
    std::thread::sleep(Duration::from_millis(200));
    keeper.bye();
    assert!(waits.join().unwrap().is_ok());
}

/// 40 clients that have each done this share four connections with whatever they do next.
fn share_again(texts: &[&str]) {
    let stage = Stage::with_pool_of(4);
    let mut clients: Vec<Wire> = (0..40).map(|_| stage.client()).collect();
    // Not all at once, or each would need a connection of its own for the while.
    for client in &mut clients {
        for text in texts {
            client.run(text);
        }
    }
    eventually("nobody keeps a connection", || {
        for client in &mut clients {
            client.run("select 1");
        }
        stage.connections() <= 4
    });
    for group in clients.chunks_mut(4) {
        for client in group.iter_mut() {
            client.run("begin; select 1");
        }
        for client in group.iter_mut() {
            client.run("commit");
        }
    }
    assert_eq!(stage.connections(), 4, "{texts:?}");
}

#[test]
fn clients_that_ran_discard_all_share_again() {
    share_again(&[
        "set work_mem = '3MB'",
        "create temp table kept (a int)",
        "select pg_advisory_lock_shared(1)",
        "discard all",
    ]);
}

#[test]
fn clients_whose_temporary_tables_are_dropped_share_again() {
    share_again(&[
        "create temp table kept (a int)",
        "insert into kept values (1)",
        "drop table kept",
    ]);
}

#[test]
fn clients_whose_advisory_locks_are_released_share_again() {
    share_again(&[
        "select pg_advisory_lock_shared(1), pg_advisory_lock_shared(1)",
        "select pg_advisory_unlock_shared(1)",
        "select pg_advisory_unlock_shared(1)",
    ]);
}
