//! A session's settings go with it from connection to connection, and stay with no other; what
//! cannot go with it keeps it only as long as it is there.

use crate::{
    stage::{Stage, eventually, observer},
    wire::{Wire, bind, execute, parse, query, said, sync, unnamed},
};

/// Sessions that each act, then look: through a pool of one they see what they see directly.
fn in_turns(acts: &[&str], look: &str) {
    let stage = Stage::with_pool_of(1);
    let direct: Vec<_> = acts
        .iter()
        .map(|act| talk(&mut stage.direct(), act, look))
        .collect();
    let mut clients: Vec<Wire> = acts.iter().map(|_| stage.client()).collect();
    let mut acted = Vec::new();
    for (wire, act) in clients.iter_mut().zip(acts) {
        acted.push(ask(wire, act));
    }
    for round in 0..2 {
        for ((wire, (_, saw)), act) in clients.iter_mut().zip(&direct).zip(acts) {
            assert_eq!(
                &said(&wire.query(look)),
                saw,
                "{act}: {look}, round {round}"
            );
        }
    }
    let did: Vec<_> = direct.into_iter().map(|(did, _)| did).collect();
    assert_eq!(acted, did);
    assert_eq!(stage.connections(), 1, "{acts:?}");
}

fn ask(wire: &mut Wire, act: &str) -> Vec<Vec<String>> {
    act.split('|').map(|text| said(&wire.query(text))).collect()
}

fn talk(wire: &mut Wire, act: &str, look: &str) -> (Vec<Vec<String>>, Vec<String>) {
    (ask(wire, act), said(&wire.query(look)))
}

#[test]
fn sessions_with_settings_of_their_own_share_one_connection() {
    in_turns(
        &[
            "set work_mem = '3MB'",
            "select 1",
            "set work_mem to '5MB'|reset work_mem",
            "begin|set work_mem = '6MB'|commit",
            "begin|set work_mem = '7MB'|rollback",
            "set work_mem = '8MB'|begin|set work_mem = '9MB'|savepoint a|set work_mem = '1MB'|rollback to a|commit",
            "set local work_mem = '3MB'",
            "select set_config('work_mem', '10MB', false)",
            "select set_config('work_' || 'mem', '11MB', false)",
            "do $$ begin perform set_config('work_mem', '12MB', false); end $$",
            "set work_mem = 'nonsense'",
            "set work_mem = '13MB'; select 1; set work_mem to default",
            "set work_mem = '14MB'|discard all",
            "set work_mem = '15MB'|reset all",
            "set work_mem = '16MB'|begin|reset all|rollback",
            "set work_mem = '17MB'|begin|reset all|commit",
        ],
        "show work_mem",
    );
}

#[test]
fn settings_of_any_value_and_spelling_go_with_their_session() {
    for (acts, look) in [
        (
            &[
                "set search_path = \"My, Schema\", public",
                "select 1",
                "set schema 'x'",
            ][..],
            "show search_path",
        ),
        (
            &[
                "set time zone interval '+02:00' hour to minute",
                "set time zone 'Asia/Tokyo'",
                "set time zone -7",
                "set time zone local",
                "select 1",
            ],
            "select current_setting('TimeZone'), '2020-01-01 00:00:00+00'::timestamptz::text",
        ),
        (
            &[
                "set app.\"Tenant\" = 'é \"x\" ''y'' \\'",
                "set app.tenant = ''",
            ],
            "select current_setting('app.tenant')",
        ),
        (
            &[
                "set role pg_monitor",
                "select 1",
                "set role pg_monitor|reset role",
                "set role pg_monitor|reset all",
                "set role none",
            ],
            "select current_user, session_user",
        ),
        (
            &[
                "set session authorization pg_monitor",
                "select 1",
                "set session authorization pg_monitor|reset session authorization",
            ],
            "select current_user, session_user",
        ),
        // Who takes on an identity, or takes it off, has no role any more.
        (
            &[
                "set role pg_read_all_stats",
                "set session authorization pg_monitor|set role pg_read_all_stats",
                "set role pg_read_all_stats",
                "set role pg_read_all_stats|reset session authorization",
                "set role pg_read_all_stats|set session authorization pg_monitor",
                "set session authorization pg_monitor|set role pg_read_all_stats|reset session authorization",
                "set role pg_read_all_stats|select set_config('session_authorization', 'pg_monitor', false)",
            ],
            "select current_user, session_user",
        ),
        (
            &[
                "set session characteristics as transaction read only",
                "select 1",
                "set session characteristics as transaction isolation level serializable",
            ],
            "select current_setting('transaction_read_only'), current_setting('transaction_isolation')",
        ),
        (
            &[
                "set client_encoding = 'latin1'|set app.x = 'a'",
                "set app.x = 'é'",
            ],
            "select current_setting('client_encoding'), current_setting('app.x')",
        ),
        (
            &[
                "set datestyle = 'German'",
                "set datestyle = 'SQL'",
                "select 1",
            ],
            "show datestyle",
        ),
        (
            &[
                "set application_name = 'A'",
                "set application_name = 'a'",
                "set application_name = ''",
            ],
            "show application_name",
        ),
    ] {
        in_turns(acts, look);
    }
}

#[test]
fn a_very_long_value_is_kept_whole() {
    let value = "x".repeat(10_000);
    let long = format!("set app.long = '{value}'");
    in_turns(
        &[&long, "set app.long = 'short'"],
        "select length(current_setting('app.long'))",
    );
}

#[test]
fn settings_are_told_as_they_are_directly() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.run("set time zone 'Asia/Tokyo'");
    let texts = [
        "set time zone 'UTC'",
        "select 1",
        "begin",
        "set application_name = 'x'; set datestyle = 'German'",
        "rollback",
        "set application_name = 'y'",
        "reset all",
        "set time zone 'UTC'",
        "discard all",
        "select 2",
    ];
    let mut wire = stage.client();
    let mut direct = stage.direct();
    for text in texts {
        let told = wire.query(text);
        assert_eq!(said(&told), said(&direct.query(text)), "{text}");
        if told.last().is_some_and(|ready| ready.body == b"I") {
            other.run("select 1");
        }
    }
}

#[test]
fn settings_go_along_in_the_extended_protocol_too() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    let mut wire = stage.client();
    wire.ask(&[unnamed("set work_mem = '3MB'", &[]), sync()]);
    let config = unnamed("select set_config($1, $2, false)", &["app.x", "mine"]);
    wire.ask(&[config, sync()]);
    other.run("select 1");
    assert_eq!(other.value("show work_mem"), "4MB");
    let config = unnamed("select set_config($1, $2, false)", &["app.Y", "mine, too"]);
    wire.ask(&[config, sync()]);
    wire.run("do $$ begin perform set_config('app.z', 'done', false); end $$");
    other.run("select 1");
    for name in ["app.y", "app.z"] {
        let of = |name| format!("select nullif(current_setting('{name}', true), '')");
        assert_eq!(other.value(&of(name)), "NULL");
    }
    assert_eq!(wire.value("show app.y"), "mine, too");
    assert_eq!(wire.value("show app.z"), "done");
    assert_eq!(wire.value("show work_mem"), "3MB");
    assert_eq!(wire.value("show app.x"), "mine");
    let batch = [
        parse("d", "discard all"),
        bind("", "d", &[]),
        execute("", 0),
        sync(),
    ];
    wire.ask(&batch);
    assert_eq!(wire.value("show work_mem"), "4MB");
    assert_eq!(stage.connections(), 1);
}

#[test]
fn what_follows_a_reset_in_the_same_write_runs_with_the_settings_taken_back() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.run("set work_mem = '3MB'");
    stage.client().run("select 1");
    wire.run("select 1");
    for reset in ["reset all", "discard all"] {
        wire.run("set work_mem = '3MB'");
        wire.run("select 1");
        wire.send(&[query(reset), query("show work_mem")].concat());
        wire.until_ready();
        assert!(
            said(&wire.until_ready()).contains(&"row 4MB".to_owned()),
            "{reset}"
        );
    }
}

#[test]
fn a_killed_connection_is_not_noticed_by_a_session_with_settings() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.run("set work_mem = '3MB'");
    wire.run("select 1");
    let mut watcher = observer();
    let kill = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{}'",
        stage.database
    );
    eventually("it is killed", || watcher.value(&kill) == "1");
    eventually("it is gone", || stage.connections() == 0);
    assert_eq!(wire.value("show work_mem"), "3MB");
}

#[test]
fn a_role_that_is_gone_ends_no_session_and_runs_nothing_as_the_login_user() {
    let stage = Stage::with_pool_of(1);
    let role = format!("gone_{}", stage.database);
    stage.directly(&format!("create role {role}"));
    let mut wire = stage.client();
    wire.run(&format!("set role {role}"));
    wire.run("select 1");
    stage.client().run("select 1");
    stage.directly(&format!("drop role {role}"));
    let failed = wire.failure("create table made_by_whom ()");
    assert!(failed.message().contains("role"), "{failed:?}");
    assert_eq!(
        stage.directly("select to_regclass('made_by_whom') is null"),
        "t"
    );
}

/// Sessions that leave something on a connection and take it away again share a pool of one.
#[test]
fn a_pin_ends_with_what_it_was_for() {
    for acts in [
        "create temp table a ()|drop table a",
        "begin|create temp table a () on commit drop|commit",
        "create temp table a ()|discard temp",
        "create temp table a ()|discard all",
        "select pg_advisory_lock(1)|select pg_advisory_unlock(1)",
        "select pg_advisory_lock(1), pg_advisory_lock(1)|select pg_advisory_unlock(1)|select pg_advisory_unlock_all()",
        "listen a|unlisten *",
        "listen a|listen b|unlisten a|unlisten b",
        "begin|listen a|rollback",
        "begin|declare c cursor with hold for select 1|commit|fetch c|close c",
        "declare c cursor with hold for select 1|close all",
        "prepare p as select 1|execute p|deallocate p",
        "prepare p as select 1|deallocate all",
        "do $$ begin perform pg_advisory_lock(7); end $$|select pg_advisory_unlock(7)",
    ] {
        let stage = Stage::with_pool_of(1);
        let mut other = stage.client();
        let mut wire = stage.client();
        assert_eq!(
            ask(&mut wire, acts),
            ask(&mut stage.direct(), acts),
            "{acts}"
        );
        wire.run("select 1");
        other.run("select 1");
        // The one that was dialled in the place of a pinned one may still be closing.
        eventually(acts, || stage.connections() == 1);
    }
}

#[test]
fn a_lock_taken_twice_and_given_back_once_is_still_held() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    wire.run("select pg_advisory_lock(5), pg_advisory_lock(5)");
    wire.run("select pg_advisory_unlock(5)");
    wire.run("select 1");
    let mut other = stage.client();
    assert_eq!(other.value("select pg_try_advisory_lock(5)"), "f");
    other.run("select 1");
    wire.run("select pg_advisory_unlock(5)");
    assert_eq!(other.value("select pg_try_advisory_lock(5)"), "t");
}

#[test]
fn forty_clients_with_settings_need_no_more_than_a_pool_of_four() {
    let stage = Stage::with_pool_of(4);
    let mut clients: Vec<Wire> = (0..40).map(|_| stage.client()).collect();
    for (at, wire) in clients.iter_mut().enumerate() {
        wire.run(&format!("set app.who = 'client {at}'"));
        wire.run(&format!("set work_mem = '{}kB'", 1025 + at));
    }
    for _ in 0..3 {
        for (at, wire) in clients.iter_mut().enumerate() {
            assert_eq!(wire.value("show app.who"), format!("client {at}"));
            assert_eq!(wire.value("show work_mem"), format!("{}kB", 1025 + at));
        }
    }
    assert!(stage.connections() <= 4, "{}", stage.connections());
}
