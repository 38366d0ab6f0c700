//! `ambassador.route` is a setting like any other, and what of ours is none is refused.

use crate::{
    stage::{Stage, alike},
    wire::{
        Wire, bind, describe_portal, describe_statement, execute, parse, query, said, sync, unnamed,
    },
};

/// Parsed, described, bound, described again and run.
fn described(sql: &str) -> Vec<u8> {
    let parts = [
        parse("", sql),
        describe_statement(""),
        bind("", "", &[]),
        describe_portal(""),
        execute("", 0),
        sync(),
    ];
    parts.concat()
}

/// Postgres itself knows the setting of a client that asked for it at its start-up.
const KNOWN: (&str, &str) = ("ambassador.route", "auto");

#[track_caller]
fn alike_in(stage: &Stage, texts: &[&str], message: fn(&str) -> Vec<u8>) {
    let act = |mut wire: Wire| {
        let heard = texts.iter().map(|text| said(&wire.ask(&[message(text)])));
        heard.collect::<Vec<_>>()
    };
    let direct = act(stage.direct_with(&[KNOWN]));
    alike(&act(stage.client()), &direct);
    alike(&act(stage.client_with(&[KNOWN])), &direct);
}

#[test]
fn the_route_is_a_setting_like_any_other() {
    let stage = Stage::with_pool_of(1);
    let show = "show ambassador.route";
    for texts in [
        &[show][..],
        &[
            "set ambassador.route = 'replica'",
            show,
            "reset ambassador.route",
            show,
        ],
        &[
            "set Ambassador.Route to primary",
            "select current_setting('ambassador.route')",
        ],
        &["select current_setting('ambassador.route', true)", show],
        &[
            "select set_config('ambassador.route', 'replica', false)",
            show,
            "discard all",
            show,
        ],
        &["set ambassador.route = 'replica'", "reset all", show],
        &[
            "begin",
            "set local ambassador.route = 'replica'",
            show,
            "commit",
            show,
        ],
        &[
            "begin",
            "select 1",
            "set local ambassador.route = 'replica'",
            show,
            "commit",
            show,
        ],
        &[
            "begin",
            "set ambassador.route = 'replica'",
            show,
            "rollback",
            show,
        ],
        &["begin", "set ambassador.route = 'replica'", "commit", show],
        &["begin", "select 1", show, "rollback", show],
        &[
            "begin",
            "set ambassador.route = 'primary'",
            "savepoint s",
            "set ambassador.route = 'replica'",
            show,
            "rollback to s",
            show,
            "commit",
            show,
        ],
        &[
            "begin",
            "select 1/0",
            "set ambassador.route = 'replica'",
            "rollback",
            show,
        ],
        &[
            "begin",
            "select 1/0",
            "set ambassador.nothing = 'replica'",
            "rollback",
            show,
        ],
        &["show ambassador.nothing"],
    ] {
        alike_in(&stage, texts, query);
        alike_in(&stage, texts, described);
    }
    // Others on the connection do not have it.
    let mut first = stage.client();
    first.run("set ambassador.route = 'replica'");
    assert_eq!(stage.client().value(show), "auto");
    assert_eq!(first.value(show), "replica");
    let asked = format!("-c {}=replica", KNOWN.0);
    let mut asked = stage.client_with(&[("options", &asked)]);
    assert_eq!(asked.value(show), "replica");
    asked.run("set ambassador.route = 'primary'");
    asked.run("reset ambassador.route");
    assert_eq!(asked.value(show), "replica");
}

const UNKNOWN: &str = "42704 unrecognized configuration parameter \"ambassador.rout\"";
const VALUE: &str = "22023 invalid value for parameter \"ambassador.route\": \"standby\"";

#[test]
fn what_is_no_setting_of_ours_or_no_value_of_it_is_refused() {
    let stage = Stage::with_pool_of(1);
    let mut wire = stage.client();
    for (text, why) in [
        ("set ambassador.rout = 'auto'", UNKNOWN),
        ("set local ambassador.rout = 'auto'", UNKNOWN),
        (
            "select set_config('ambassador.rout', 'auto', false)",
            UNKNOWN,
        ),
        ("select 1; set ambassador.rout to 1", UNKNOWN),
        ("show ambassador.rout", UNKNOWN),
        ("reset ambassador.rout", UNKNOWN),
        ("set ambassador.rout to default", UNKNOWN),
        ("set ambassador.route = 'standby'", VALUE),
        (
            "select set_config('ambassador.route', 'standby', true)",
            VALUE,
        ),
    ] {
        assert_eq!(said(&wire.query(text)), [why, "ready I"], "{text}");
        if !text.contains(';') {
            let batch = said(&wire.ask(&[unnamed(text, &[]), sync()]));
            // What SHOW shows, the server looks for as it parses.
            let at = usize::from(!text.starts_with("show"));
            assert_eq!(batch[at..], [why, "ready I"], "{text}");
        }
        wire.run("begin");
        assert_eq!(said(&wire.query(text)), [why, "ready E"], "{text}");
        assert_eq!(said(&wire.query("commit")), ["ROLLBACK", "ready I"]);
        // What the batch did before is undone, as by any other error.
        wire.run("create table if not exists t (a int); truncate t");
        let insert = unnamed("insert into t values (1)", &[]);
        if !text.contains(';') {
            let batch = said(&wire.ask(&[insert, unnamed(text, &[]), sync()]));
            assert!(batch.contains(&why.to_owned()), "{batch:?}");
            assert_eq!(wire.value("select count(*) from t"), "0");
        }
    }
    let sharding = wire.failure("set ambassador.shard = 3");
    assert_eq!(sharding.code(), "0A000");
    for (name, value, code) in [
        ("ambassador.route", "standby", "22023"),
        ("ambassador.rout", "auto", "42704"),
        ("ambassador.shard_key", "a", "0A000"),
    ] {
        let refused = Wire::login(stage.port(), &stage.database, &[(name, value)]).unwrap_err();
        assert_eq!(
            (refused.code().as_str(), refused.field(b'S').as_str()),
            (code, "FATAL")
        );
    }
}

const LAST: &str = "show ambassador.last_backend";

#[test]
fn the_last_backend_is_told_without_a_connection() {
    let stage = Stage::with_pool_of(1);
    let mut first = stage.client();
    let mut second = stage.client();
    let heard = said(&first.query(LAST));
    assert_eq!(
        heard,
        ["columns", "row NULL NULL NULL NULL", "SHOW", "ready I"]
    );
    first.run("select 1");
    second.run("begin");
    second.run("select 1");
    let told = "row 127.0.0.1:PORT any NULL NULL";
    let told = told.replace("PORT", &crate::support::cluster().port().to_string());
    // The only connection is the other's.
    let whole = |ready: &str| {
        let columns = ["parsed", "parameters", "columns", "bound", "columns"];
        let all = columns
            .iter()
            .copied()
            .chain([told.as_str(), "SHOW", ready]);
        all.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        said(&first.query(LAST)),
        ["columns", &told, "SHOW", "ready I"]
    );
    assert_eq!(said(&first.ask(&[described(LAST)])), whole("ready I"));
    let prepared = first.ask(&[parse("l", LAST), describe_statement("l"), sync()]);
    assert_eq!(
        said(&prepared),
        ["parsed", "parameters", "columns", "ready I"]
    );
    let run = || [bind("", "l", &[]), execute("", 0), sync()];
    assert_eq!(
        said(&first.ask(&run())),
        ["bound", &told, "SHOW", "ready I"]
    );
    // In a transaction it takes no snapshot.
    second.run("rollback");
    first.run("begin isolation level repeatable read");
    first.run(LAST);
    second.run("create table t as select 1 as a");
    assert_eq!(first.value("select count(*) from t"), "1");
    assert_eq!(
        said(&first.query(LAST)),
        ["columns", &told, "SHOW", "ready T"]
    );
    assert_eq!(said(&first.ask(&[described(LAST)])), whole("ready T"));
    first.failure("select 1/0");
    let aborted = "25P02 current transaction is aborted, commands ignored until end of \
                   transaction block";
    assert_eq!(said(&first.query(LAST)), [aborted, "ready E"]);
    assert_eq!(said(&first.ask(&run())), [aborted, "ready E"]);
    first.run("rollback");
    // Behind others it waits for its turn.
    first.send(&["select 7", LAST, "select 8"].map(query).concat());
    let heard = [0; 3].map(|_| said(&first.until_ready()));
    assert_eq!(heard[0][1], "row 7");
    assert_eq!(heard[1][1], told);
    assert_eq!(heard[2][1], "row 8");
}
