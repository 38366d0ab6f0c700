//! What one client does to its session is there for it, and never for another.

use std::time::Duration;

use crate::{
    stage::{Stage, eventually, observer},
    support,
    wire::{Wire, again, error, parse, query, said, sync, unnamed},
};

/// Waits until a query with these words runs in the test's database.
pub fn sees_running(stage: &Stage, words: &str) {
    let mut observer = observer();
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = '{}' and state = 'active' \
         and query like '%{words}%'",
        stage.database
    );
    eventually("it runs", || observer.value(&sql) == "1");
}

/// What one session does, what it then sees of it, and what everybody else sees.
struct Trace {
    act: &'static [&'static str],
    look: &'static str,
    own: &'static str,
    others: &'static str,
}

const TRACES: &[Trace] = &[
    Trace {
        act: &["set app.tenant = 'me'"],
        look: "select coalesce(nullif(current_setting('app.tenant', true), ''), 'nothing')",
        own: "me",
        others: "nothing",
    },
    Trace {
        act: &[
            "set work_mem = '3MB'",
            "set statement_timeout = '1h'",
            "reset work_mem",
        ],
        look: "select current_setting('statement_timeout')",
        own: "1h",
        others: "0",
    },
    Trace {
        act: &["begin", "select 1", "set work_mem = '3MB'", "commit"],
        look: "show work_mem",
        own: "3MB",
        others: "4MB",
    },
    Trace {
        act: &["begin", "set work_mem = '3MB'", "rollback"],
        look: "show work_mem",
        own: "4MB",
        others: "4MB",
    },
    Trace {
        act: &[
            "set local work_mem = '3MB'",
            "select set_config('work_mem', '5MB', true)",
        ],
        look: "show work_mem",
        own: "4MB",
        others: "4MB",
    },
    Trace {
        act: &["select set_config('work_mem', '3MB', false), set_config('app.x', 'y', false)"],
        look: "show work_mem",
        own: "3MB",
        others: "4MB",
    },
    Trace {
        act: &["set session characteristics as transaction read only"],
        look: "show default_transaction_read_only",
        own: "on",
        others: "off",
    },
    Trace {
        act: &["set role pg_monitor"],
        look: "select current_user",
        own: "pg_monitor",
        others: "postgres",
    },
    Trace {
        act: &["set session authorization pg_monitor"],
        look: "select session_user",
        own: "pg_monitor",
        others: "postgres",
    },
    Trace {
        act: &["select pg_catalog.set_config('search_path', '', false)"],
        look: "select current_schemas(false)::text",
        own: "{}",
        others: "{public}",
    },
    Trace {
        act: &["set client_encoding = 'latin1'"],
        look: "show client_encoding",
        own: "LATIN1",
        others: "UTF8",
    },
    Trace {
        act: &[
            "create temp table mine (a int)",
            "insert into mine values (1)",
        ],
        look: "select to_regclass('pg_temp.mine') is not null",
        own: "t",
        others: "f",
    },
    Trace {
        act: &["select 1 as a into temp mine"],
        look: "select to_regclass('pg_temp.mine') is not null",
        own: "t",
        others: "f",
    },
    Trace {
        act: &["listen news"],
        look: "select count(*) from pg_listening_channels()",
        own: "1",
        others: "0",
    },
    Trace {
        act: &[
            "select pg_advisory_lock(7)",
            "select pg_advisory_lock(7)",
            "select pg_advisory_unlock(7)",
        ],
        look: "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
        own: "1",
        others: "0",
    },
    Trace {
        act: &["prepare mine as select 1"],
        look: "select count(*) from pg_prepared_statements where from_sql",
        own: "1",
        others: "0",
    },
    Trace {
        act: &[
            "begin",
            "declare mine cursor with hold for select 1",
            "commit",
        ],
        look: "select count(*) from pg_cursors where is_holdable",
        own: "1",
        others: "0",
    },
];

#[test]
fn what_a_session_leaves_behind_is_there_for_it_and_for_nobody_else() {
    let stage = Stage::with_pool_of(1);
    for trace in TRACES {
        let (mut one, mut other) = (stage.client(), stage.client());
        one.run("select 1");
        for sql in trace.act {
            let frames = one.query(sql);
            assert!(frames.iter().all(|frame| frame.tag != b'E'), "{frames:?}");
            if said(&frames).last().unwrap() == "ready I" {
                assert_eq!(other.value("select 1"), "1", "{sql}");
            }
        }
        for _ in 0..2 {
            assert_eq!(other.value(trace.look), trace.others, "{:?}", trace.act);
            assert_eq!(one.value(trace.look), trace.own, "{:?}", trace.act);
        }
        one.bye();
        assert_eq!(other.value(trace.look), trace.others, "{:?}", trace.act);
        assert_eq!(
            stage.client().value(trace.look),
            trace.others,
            "{:?}",
            trace.act
        );
    }
}

#[test]
fn the_same_in_the_extended_protocol() {
    let stage = Stage::with_pool_of(1);
    for trace in TRACES {
        let (mut one, mut other) = (stage.client(), stage.client());
        for sql in trace.act {
            let frames = one.ask(&[
                parse("s", sql),
                again("s", &[]),
                crate::wire::close_statement("s"),
                sync(),
            ]);
            assert!(
                frames.iter().all(|frame| frame.tag != b'E'),
                "{sql}: {frames:?}"
            );
        }
        let look = |wire: &mut Wire| wire.ask(&[unnamed(trace.look, &[]), sync()]);
        assert_eq!(
            said(&look(&mut other))[2],
            format!("row {}", trace.others),
            "{:?}",
            trace.act
        );
        assert_eq!(
            said(&look(&mut one))[2],
            format!("row {}", trace.own),
            "{:?}",
            trace.act
        );
        drop(one);
        assert_eq!(
            said(&look(&mut other))[2],
            format!("row {}", trace.others),
            "{:?}",
            trace.act
        );
    }
}

#[test]
fn pinned_sessions_never_starve_the_pool_and_their_connections_end_with_them() {
    let stage = Stage::with_pool_of(1);
    let mut pinned: Vec<_> = (0..4).map(|_| stage.client()).collect();
    for (number, client) in pinned.iter_mut().enumerate() {
        client.run(&format!("create temp table mine as select {number} as a"));
    }
    let mut other = stage.client();
    assert_eq!(other.value("select 1"), "1");
    assert_eq!(stage.connections(), 5);
    for (number, client) in pinned.iter_mut().enumerate() {
        assert_eq!(client.value("select a from mine"), number.to_string());
    }
    drop(pinned);
    eventually("their connections are gone", || stage.connections() <= 1);
    assert_eq!(other.value("select 1"), "1");
}

#[test]
fn what_is_set_right_behind_a_discard_that_is_under_way_stays_with_its_session() {
    let stage = Stage::with_pool_of(1);
    let (mut wire, mut other) = (stage.client(), stage.client());
    wire.run("set work_mem = '3MB'");
    wire.send(&[query("discard all"), query("set work_mem = '77MB'")].concat());
    assert_eq!(said(&wire.until_ready())[0], "DISCARD ALL");
    wire.until_ready();
    assert_eq!(other.value("show work_mem"), "4MB");
    assert_eq!(wire.value("show work_mem"), "77MB");
    wire.run("discard all");
    assert_eq!(other.value("show work_mem"), "4MB");
}

#[test]
fn an_unnamed_statement_too_large_to_be_shared_is_met_by_nobody_after_a_discard() {
    let stage = Stage::with_pool_of(1);
    let (mut wire, mut other) = (stage.client(), stage.client());
    let large = format!("select 'secret' /* {} */", "x".repeat(300_000));
    wire.ask(&[parse("", &large), sync()]);
    wire.ask(&[parse("d", "discard all"), sync()]);
    let discarded = wire.ask(&[again("d", &[]), sync()]);
    assert_eq!(said(&discarded)[1], "DISCARD ALL");
    let pid = wire.value("select pg_backend_pid()");
    assert_eq!(other.value("select pg_backend_pid()"), pid);
    wire.ask(&[parse("", &large), sync()]);
    wire.ask(&[parse("d", "discard all"), sync()]);
    wire.ask(&[again("d", &[]), sync()]);
    assert_eq!(error(&other.ask(&[again("", &[]), sync()])).code(), "26000");
}

#[test]
fn a_notification_reaches_who_listens() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.run("listen news");
    other.run("notify news, 'told'");
    let told = one.frame();
    assert_eq!(told.tag, b'A');
    assert!(told.body.ends_with(b"news\0told\0"), "{told:?}");
    one.run("select 1");
    other.run("notify news, 'again'; select 1");
    assert!(one.frame().body.ends_with(b"news\0again\0"));
}

#[test]
fn advisory_locks_hold_and_go_with_their_session() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.run("select pg_advisory_lock(1)");
    assert_eq!(other.value("select pg_try_advisory_lock(1)"), "f");
    one.run("select pg_advisory_unlock(1)");
    assert_eq!(other.value("select pg_try_advisory_lock(1)"), "t");
    drop(other);
    eventually("the lock is free", || {
        stage.directly("select count(*) from pg_locks where locktype = 'advisory'") == "0"
    });
    assert_eq!(one.value("select pg_try_advisory_lock(1)"), "t");
}

#[test]
fn clients_with_settings_of_their_start_up_and_prepared_statements_share_a_small_pool() {
    let stage = Stage::with_pool_of(4);
    let mut clients: Vec<_> = (0..40)
        .map(|number| {
            let name = format!("client {number}");
            let style = if number % 2 == 0 { "German" } else { "ISO" };
            stage.client_with(&[("application_name", &name), ("DateStyle", style)])
        })
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let text = format!("select {} + $1::int", number % 3);
        client.ask(&[parse("s", &text), sync()]);
        client.run("discard plans");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(
            client.value("show application_name"),
            format!("client {number}")
        );
        let frames = client.ask(&[again("s", &["1"]), sync()]);
        assert_eq!(said(&frames)[1], format!("row {}", number % 3 + 1));
    }
    assert!(stage.connections() <= 4);
}

fn session_stage() -> Stage {
    Stage::new(&[
        "--workers",
        "1",
        "--pool-size",
        "1",
        "--pool-mode",
        "session",
    ])
}

#[test]
fn in_session_pooling_everything_stays_and_the_next_client_sees_nothing_of_it() {
    let stage = session_stage();
    for trace in TRACES {
        let mut one = stage.client();
        trace.act.iter().for_each(|sql| one.run(sql));
        one.run("select 1");
        assert_eq!(one.value(trace.look), trace.own, "{:?}", trace.act);
        one.bye();
        assert_eq!(
            stage.client().value(trace.look),
            trace.others,
            "{:?}",
            trace.act
        );
    }
    eventually("one connection", || stage.connections() == 1);
}

#[test]
fn in_session_pooling_a_transaction_left_open_is_rolled_back() {
    let stage = session_stage();
    stage.directly("create table t (a int)");
    let mut one = stage.client();
    one.run("begin");
    one.run("insert into t values (1)");
    drop(one);
    let mut next = stage.client();
    assert_eq!(next.value("select count(*) from t"), "0");
    assert_eq!(said(&next.query("select 1"))[3], "ready I");
}

#[test]
fn a_client_that_vanishes_in_a_transaction_leaves_no_lock_for_a_second() {
    for mode in ["transaction", "session"] {
        let stage = Stage::new(&["--pool-size", "1", "--workers", "1", "--pool-mode", mode]);
        stage.directly("create table t (a int); insert into t values (1)");
        let vanish: [fn(&mut Wire); 3] = [
            |_| {},
            |wire| wire.send(&query("select pg_sleep(60)")),
            |wire| {
                wire.send(&query("copy t from stdin"));
                wire.until(b'G');
                wire.send(&crate::wire::copy_data("2\n"));
            },
        ];
        for vanish in vanish {
            let mut one = stage.client();
            one.run("begin");
            one.run("update t set a = a + 1");
            vanish(&mut one);
            std::thread::sleep(Duration::from_millis(50));
            drop(one);
            let locked = "set lock_timeout = '1s'; lock table t; select a from t";
            assert_eq!(stage.directly(locked), "1", "{mode}");
            assert_eq!(stage.client().value("select a from t"), "1");
        }
    }
}

#[test]
fn two_databases_never_meet() {
    let stage = Stage::with_pool_of(1);
    let second = support::database(support::cluster());
    let mut one = stage.client();
    let mut other = Wire::login(stage.port(), &second, &[]).unwrap();
    for _ in 0..3 {
        assert_eq!(one.value("select current_database()"), stage.database);
        assert_eq!(other.value("select current_database()"), second);
    }
}

#[test]
fn a_failed_statement_of_one_is_no_error_of_another() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    for _ in 0..3 {
        assert_eq!(error(&one.query("select 1/0")).code(), "22012");
        assert_eq!(said(&other.query("select 1"))[1], "row 1");
        one.ask(&[parse("", "select wrong"), sync()]);
        assert_eq!(
            said(&other.ask(&[unnamed("select 2", &[]), sync()]))[2],
            "row 2"
        );
    }
}

#[test]
fn fact_21_where_a_setting_cannot_be_made_its_statement_does_not_run_and_the_error_says_so() {
    let stage = Stage::with_pool_of(1);
    let role = format!("{}_role", stage.database);
    stage.directly(&format!(
        "create role {role}; create table t (a int); grant all on t to {role}"
    ));
    let mut client = stage.client_with(&[("options", &format!("-c role={role}"))]);
    client.run("insert into t values (1)");
    // Somebody else's turn, so that the role has to be put on again.
    stage.client().run("select 1");
    stage.directly(&format!("drop owned by {role}; drop role {role}"));
    for request in [
        vec![crate::wire::query("insert into t values (2)")],
        vec![
            crate::wire::unnamed("insert into t values (3)", &[]),
            crate::wire::sync(),
        ],
    ] {
        let seen = client.ask(&request);
        let told = crate::wire::error(&seen);
        assert_eq!(told.code(), "22023");
        let message = told.message();
        assert!(
            message.contains("a setting of this session cannot be made"),
            "{message}"
        );
        assert!(message.contains(&role), "{message}");
    }
    assert_eq!(
        stage
            .client()
            .value("select string_agg(a::text, ' ') from t"),
        "1"
    );
    stage.directly(&format!("create role {role}; grant all on t to {role}"));
    client.run("insert into t values (4)");
}
