//! How a session begins, and that what it asked for then stays its own on connections shared
//! with others.

use std::collections::BTreeMap;

use crate::{
    stage::{Stage, alike},
    support,
    wire::{Wire, again, cancel, error, parse, query, said, sync, unnamed},
};

/// Start-ups as drivers make them, and worse.
const SETTINGS: &[&[(&str, &str)]] = &[
    &[],
    &[("DateStyle", "German"), ("TimeZone", "Europe/Vienna")],
    &[("client_encoding", "utf-8"), ("extra_float_digits", "3")],
    &[("client_encoding", "LATIN1"), ("application_name", "")],
    &[
        ("application_name", "A"),
        ("search_path", "\"My Schema\", public"),
    ],
    &[("application_name", "a"), ("search_path", "")],
    &[(
        "options",
        "-c work_mem=1MB -c statement_timeout=5s --enable-seqscan=off",
    )],
    &[(
        "options",
        "-cDateStyle=SQL,DMY -c application_name=with\\ blank",
    )],
    &[
        ("IntervalStyle", "iso_8601"),
        ("datestyle", "iso, ymd"),
        ("timezone", "utc"),
    ],
    &[
        ("standard_conforming_strings", "off"),
        ("bytea_output", "escape"),
    ],
    // pgjdbc, asyncpg, npgsql, node-postgres, libpq with PGTZ and others, psycopg.
    &[
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("TimeZone", "America/New_York"),
        ("extra_float_digits", "2"),
    ],
    &[
        ("client_encoding", "'utf-8'"),
        ("jit", "off"),
        ("search_path", "app"),
    ],
    &[
        ("client_encoding", "UTF8"),
        ("extra_float_digits", "3"),
        ("IntervalStyle", "postgres_verbose"),
        ("lock_timeout", "2000"),
    ],
    &[
        ("statement_timeout", "15000"),
        ("idle_in_transaction_session_timeout", "60000"),
        ("lock_timeout", "5s"),
        ("application_name", "node"),
    ],
    &[
        ("geqo", "off"),
        ("datestyle", "SQL, MDY"),
        ("fallback.application", "psql"),
    ],
    &[("options", "-c search_path=a,\\ b -c jit=off")],
    &[
        ("app.tenant", "o'hara \\ \"x\""),
        ("default_transaction_read_only", "on"),
    ],
];

/// What can be asked of a session about its settings.
const SHOWN: &[&str] = &[
    "DateStyle",
    "TimeZone",
    "client_encoding",
    "extra_float_digits",
    "application_name",
    "search_path",
    "work_mem",
    "statement_timeout",
    "enable_seqscan",
    "IntervalStyle",
    "standard_conforming_strings",
    "bytea_output",
    "default_transaction_read_only",
    "jit",
    "geqo",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
];

pub fn statuses(wire: &Wire) -> BTreeMap<String, String> {
    let statuses: BTreeMap<_, _> = wire.statuses.iter().cloned().collect();
    assert_eq!(statuses.len(), wire.statuses.len(), "one came twice");
    statuses
}

fn shown(wire: &mut Wire) -> Vec<String> {
    let list: Vec<_> = SHOWN
        .iter()
        .map(|name| format!("current_setting('{name}')"))
        .collect();
    // A setting with a dot that was once made in a connection is empty there and not NULL.
    let tenant = "coalesce(nullif(current_setting('app.tenant', true), ''), 'nobody')";
    let sql = format!("select {}, {tenant}", list.join(", "));
    let frames = wire.query(&sql);
    assert_eq!(said(&frames[2..]), ["SELECT 1", "ready I"], "{frames:?}");
    vec![frames[1].to_string()]
}

#[test]
fn fact_19_a_start_up_reports_what_the_server_would_report() {
    let stage = Stage::with_pool_of(1);
    for settings in SETTINGS {
        let (direct, through) = (stage.direct_with(settings), stage.client_with(settings));
        assert_eq!(statuses(&through), statuses(&direct), "{settings:?}");
        assert_eq!(through.greeting, direct.greeting, "{settings:?}");
    }
}

#[test]
fn fact_19_clients_with_different_settings_share_one_connection_and_each_sees_its_own() {
    let stage = Stage::with_pool_of(1);
    let expected: Vec<_> = SETTINGS
        .iter()
        .map(|settings| shown(&mut stage.direct_with(settings)))
        .collect();
    let mut clients: Vec<_> = SETTINGS.iter().map(|one| stage.client_with(one)).collect();
    for _ in 0..3 {
        for ((client, expected), settings) in clients.iter_mut().zip(&expected).zip(SETTINGS) {
            assert_eq!(&shown(client), expected, "{settings:?}");
        }
    }
    for ((client, expected), settings) in clients.iter_mut().zip(&expected).zip(SETTINGS).rev() {
        let frames = client.ask(&[unnamed("show application_name", &[]), sync()]);
        assert!(frames.iter().all(|frame| frame.tag != b'S'), "{frames:?}");
        assert_eq!(&shown(client), expected, "{settings:?}");
    }
    assert_eq!(stage.connections(), 1);
}

#[test]
fn a_start_up_value_that_the_server_refuses_is_refused_in_its_words() {
    let stage = Stage::with_pool_of(1);
    let bad: &[&[(&str, &str)]] = &[
        &[("DateStyle", "wrong")],
        &[("client_encoding", "klingon")],
        &[("no_such_setting", "1")],
        &[("options", "-c work_mem=1")],
        &[("TimeZone", "Nowhere/At_All")],
    ];
    for settings in bad {
        let refuse = |port| Wire::login(port, &stage.database, settings).unwrap_err();
        let (direct, through) = (refuse(support::cluster().port()), refuse(stage.port()));
        for field in *b"SVCMDH" {
            assert_eq!(
                through.field(field),
                direct.field(field),
                "{settings:?} {field}"
            );
        }
    }
    assert_eq!(stage.client().value("select 1"), "1");
}

#[test]
fn an_unknown_database_is_refused_in_the_servers_words() {
    let stage = Stage::with_pool_of(1);
    let refuse = |port| Wire::login(port, "no such database", &[]).unwrap_err();
    let (direct, through) = (refuse(support::cluster().port()), refuse(stage.port()));
    assert_eq!(through.code(), "3D000");
    for field in *b"SVCM" {
        assert_eq!(through.field(field), direct.field(field));
    }
}

#[test]
fn the_notice_of_a_shortened_application_name_is_told() {
    let stage = Stage::with_pool_of(1);
    let name = "n".repeat(100);
    let settings = [("application_name", &*name)];
    let through = stage.client_with(&settings);
    assert_eq!(through.status("application_name"), "n".repeat(63));
    let direct = stage.direct_with(&settings);
    assert_eq!(
        through.status("application_name"),
        direct.status("application_name")
    );
}

#[test]
fn a_change_is_reported_to_who_made_it_and_to_nobody_else() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    let before = other.value("show application_name");
    for frames in [one.query("set application_name = 'changed'"), {
        one.query("begin; set local application_name = 'for now'")
    }] {
        assert!(
            said(&frames)
                .iter()
                .any(|told| told.starts_with("status application_name "))
        );
    }
    let undone = one.query("rollback");
    assert!(said(&undone).contains(&"status application_name changed".to_owned()));
    let frames = other.query("show application_name");
    assert_eq!(
        said(&frames),
        ["columns", &format!("row {before}"), "SHOW", "ready I"]
    );
    assert_eq!(one.value("show application_name"), "changed");
}

#[test]
fn reset_goes_back_to_the_start_up_value() {
    let stage = Stage::with_pool_of(1);
    let settings = [
        ("DateStyle", "German"),
        ("search_path", "\"My Schema\", public"),
        ("options", "-c work_mem=1MB"),
    ];
    let names = ["DateStyle", "search_path", "work_mem", "statement_timeout"];
    let act = |wire: &mut Wire| {
        let mut seen = Vec::new();
        for undo in ["reset datestyle; ", "reset all", "discard all"] {
            seen.push(wire.query("set datestyle = iso"));
            wire.query("set search_path = elsewhere");
            wire.query("set work_mem = '2MB'");
            wire.query("set statement_timeout = '1h'");
            seen.push(wire.query(undo));
            seen.extend(names.map(|name| wire.query(&format!("show {name}"))));
        }
        for name in names {
            wire.query(&format!("set {name} to default"));
            wire.query(&format!("reset {name}"));
        }
        seen.extend(names.map(|name| wire.query(&format!("show {name}"))));
        seen
    };
    // A reported setting may pass through the server's default on its way back: values alone.
    let act = |mut wire: Wire| {
        let mut seen = act(&mut wire);
        seen.iter_mut()
            .for_each(|frames| frames.retain(|frame| frame.tag != b'S'));
        seen
    };
    let expected = act(stage.direct_with(&settings));
    let seen = act(stage.client_with(&settings));
    alike(&seen, &expected);
}

#[test]
fn reset_of_a_session_that_changed_nothing_goes_back_to_nothing_less() {
    let stage = Stage::with_pool_of(1);
    let settings = [("DateStyle", "German"), ("search_path", "one, \"T W O\"")];
    let act = |wire: &mut Wire| {
        [
            "reset datestyle",
            "reset search_path",
            "reset all",
            "discard all",
            "RESET Work_Mem",
        ]
        .map(|undo| {
            [
                wire.query(undo),
                wire.query("show datestyle"),
                wire.query("show search_path"),
            ]
        })
    };
    let expected = act(&mut stage.direct_with(&settings));
    let seen = act(&mut stage.client_with(&settings));
    alike(&seen, &expected);
    assert_eq!(stage.client().value("show datestyle"), "ISO, MDY");
}

#[test]
fn what_one_client_discards_no_other_loses() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (
        stage.client(),
        stage.client_with(&[("DateStyle", "German")]),
    );
    for undo in [
        "discard all",
        "deallocate all",
        "reset all",
        "discard plans",
        "discard temp",
    ] {
        for simple in [true, false] {
            other.ask(&[parse("kept", "select 'kept'"), sync()]);
            one.ask(&[parse("kept", "select 'one'"), sync()]);
            let undone = match simple {
                true => one.query(undo),
                false => one.ask(&[unnamed(undo, &[]), sync()]),
            };
            assert!(
                undone.iter().all(|frame| frame.tag != b'E'),
                "{undo}: {undone:?}"
            );
            let kept = other.ask(&[again("kept", &[]), sync()]);
            assert_eq!(
                said(&kept),
                ["bound", "row kept", "SELECT 1", "ready I"],
                "{undo}"
            );
            assert_eq!(other.value("show datestyle"), "German, DMY");
            let gone = one.ask(&[again("kept", &[]), sync()]);
            let forgets = matches!(undo, "discard all" | "deallocate all");
            assert_eq!(
                gone.iter().any(|frame| frame.tag == b'E'),
                forgets,
                "{undo}"
            );
            other.ask(&[crate::wire::close_statement("kept"), sync()]);
            one.ask(&[crate::wire::close_statement("kept"), sync()]);
        }
    }
}

#[test]
fn deallocate_of_one_name_acts_on_its_client_alone() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.ask(&[parse("s", "select 'other'"), sync()]);
    let seen = stage.same(|wire| {
        [
            wire.ask(&[parse("s", "select 'mine'"), again("s", &[]), sync()]),
            wire.query("deallocate s"),
            wire.ask(&[again("s", &[]), sync()]),
            wire.query("deallocate s"),
            wire.ask(&[parse("s", "select 'anew'"), again("s", &[]), sync()]),
            wire.query("DEALLOCATE PREPARE \"s\""),
            wire.ask(&[again("s", &[]), sync()]),
        ]
    });
    assert_eq!(error(&seen[2]).code(), "26000");
    assert_eq!(said(&other.ask(&[again("s", &[]), sync()]))[1], "row other");
}

#[test]
fn the_process_id_told_at_login_is_the_one_that_answers() {
    let stage = Stage::with_pool_of(2);
    let (mut one, mut other) = (stage.client(), stage.client());
    let mut use_both = |mut last_given_back: usize| {
        let mut both = [&mut one, &mut other];
        both.iter_mut().for_each(|wire| wire.run("begin; select 1"));
        last_given_back %= 2;
        both[1 - last_given_back].run("commit");
        both[last_given_back].run("commit");
    };
    use_both(0);
    let mut clients = Vec::new();
    for at in 0..4 {
        use_both(at);
        clients.push(stage.client());
    }
    assert_eq!(stage.connections(), 2);
    for round in 0..6 {
        for client in &mut clients {
            use_both(round);
            let pid = client.value("select pg_backend_pid()");
            assert_eq!(pid, client.pid.to_string());
            use_both(round + 1);
            let frames = client.ask(&[unnamed("select pg_catalog.pg_backend_pid()", &[]), sync()]);
            assert_eq!(said(&frames)[2], format!("row {pid}"));
        }
    }
    assert!(clients.iter().all(|client| client.pid > 0));
}

#[test]
fn clients_that_share_a_process_id_have_keys_of_their_own() {
    let stage = Stage::with_pool_of(1);
    let (mut one, mut other) = (stage.client(), stage.client());
    assert_eq!(one.pid, other.pid);
    assert_ne!(one.key, other.key);
    one.send(&query("select pg_sleep(60)"));
    crate::isolation::sees_running(&stage, "pg_sleep");
    cancel(stage.port(), other.pid, &other.key);
    cancel(stage.port(), one.pid, &[0, 0, 0, 0]);
    assert!(one.is_silent(std::time::Duration::from_millis(300)));
    cancel(stage.port(), one.pid, &one.key);
    assert_eq!(error(&one.until_ready()).code(), "57014");
    assert_eq!(other.value("select 1"), "1");
    assert_eq!(one.value("select 1"), "1");
}

#[test]
fn what_a_driver_sends_to_clean_up_goes_back_to_the_start_up_values() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    other.ask(&[parse("kept", "select 'kept'"), sync()]);
    for sql in [
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "RESET ALL; SELECT 1",
        "DEALLOCATE ALL; DISCARD TEMP",
        "ROLLBACK; RESET ALL",
    ] {
        let mut wire = stage.client_with(&[("DateStyle", "German")]);
        for _ in 0..2 {
            wire.run(sql);
            assert_eq!(wire.value("show datestyle"), "German, DMY", "{sql}");
            let kept = other.ask(&[again("kept", &[]), sync()]);
            assert_eq!(said(&kept)[1], "row kept", "{sql}");
        }
    }
}

#[test]
fn who_only_cleans_up_goes_on_sharing_the_pool() {
    let stage = Stage::with_pool_of(1);
    let clean = "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;";
    let mut clients: Vec<Wire> = (0..4)
        .map(|_| stage.client_with(&[("DateStyle", "German")]))
        .collect();
    let mut other = stage.client();
    for _ in 0..2 {
        for wire in &mut clients {
            wire.run("begin");
            wire.run(clean);
            wire.run("rollback");
            let told = wire.query(clean);
            assert!(!told.iter().any(|frame| frame.tag == b'S'), "{told:?}");
            assert_eq!(wire.value("show datestyle"), "German, DMY");
            assert_eq!(other.value("show datestyle"), "ISO, MDY");
        }
    }
    assert_eq!(stage.connections(), 1);
    let failing = "RESET ALL; SELECT 1/0";
    assert_eq!(stage.same(|wire| said(&wire.query(failing))).len(), 3);
}
