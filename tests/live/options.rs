//! What a start-up says beside settings that can be set later: `options`, switches, and values that
//! only a start-up can give.

use crate::{
    stage::{Stage, alike, eventually},
    startup::statuses,
    support,
    wire::{Wire, again, parse, sync},
};

/// `options` in every spelling, and what is none.
const OPTIONS: &[&str] = &[
    "",
    "   ",
    "-c work_mem=1MB",
    "-cwork_mem=1MB",
    "--work-mem=1MB",
    "--work_mem=1MB",
    "-c work-mem=1MB",
    "  -c   work_mem=1MB\t-c\njit=off ",
    "-c WORK_MEM=1MB -c work_mem=2MB",
    "-c application_name=a=b=-c\\ x",
    "-c application_name=-c -c work_mem=1MB",
    "-c application_name=with\\ blank\\\\and\\'quote",
    "-c application_name=\\",
    "-c application_name=",
    "-c search_path=\"A\\ b\",public",
    "--application-name=--x=y",
    // Switches of their own, and settings among them.
    "-F",
    "-f s -c work_mem=1MB",
    "-e",
    "-S 1024",
    "-W 0 -c jit=off",
    "-c ignore_system_indexes=on",
    "-P -c application_name=p",
    // What the server refuses.
    "-c",
    "--",
    "--=x",
    "-c =x",
    "-c work_mem",
    "--work-mem",
    "-c work_mem=",
    "-c nosuch=1",
    "work_mem=1MB",
    "-Q",
    "-c user=nobody",
    "-B 16 -c user=nobody",
    "-c database=nowhere",
    "-P --database=nowhere",
    "-c options=-cjit=off",
    "-c max_connections=5",
    "-c fsync=off",
    "-c server_version=9",
];

#[test]
fn fact_18_options_mean_what_they_mean_directly() {
    let stage = Stage::with_pool_of(1);
    let outcome = |port, options: &str| {
        let settings = [("options", options)];
        match Wire::login(port, &stage.database, &settings) {
            Ok(mut wire) => {
                let names = ["work_mem", "application_name", "jit", "search_path"];
                let more = [
                    "datestyle",
                    "ignore_system_indexes",
                    "enable_seqscan",
                    "fsync",
                ];
                let shown = names.iter().chain(&more);
                let shown = shown.map(|name| wire.value(&format!("show {name}")));
                let shown: Vec<_> = shown.collect();
                format!("{shown:?} {:?} {:?}", statuses(&wire), wire.greeting)
            }
            Err(error) => {
                let fields = b"SVCMDH".map(|field| error.field(field));
                format!("{fields:?}")
            }
        }
    };
    for options in OPTIONS {
        let direct = outcome(support::cluster().port(), options);
        assert_eq!(outcome(stage.port(), options), direct, "{options}");
    }
    assert_eq!(stage.client().value("show work_mem"), "4MB");
}

#[test]
fn options_of_the_url_hold_for_clients_that_say_nothing_else() {
    let stage = Stage::with_pool_of(1);
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/?application_name=url&options=-c%20work_mem%3D1MB%20-cjit%3Doff",
        support::cluster().port()
    );
    let served = support::Served::ambassador_with(&["--upstream", &url]);
    let shown = |settings: &[(&str, &str)]| {
        let mut wire = Wire::login(served.port(), &stage.database, settings).unwrap();
        ["work_mem", "jit", "application_name"].map(|name| wire.value(&format!("show {name}")))
    };
    assert_eq!(shown(&[]), ["1MB", "off", "url"]);
    let own = [("work_mem", "2MB"), ("application_name", "own")];
    assert_eq!(shown(&own), ["2MB", "off", "own"]);
    assert_eq!(
        shown(&[("options", "-c work_mem=3MB")]),
        ["3MB", "off", "url"]
    );
}

/// What can be given at the start of a connection alone.
const ONLY_AT_START: &[&[(&str, &str)]] = &[
    &[("ignore_system_indexes", "on")],
    &[("log_connections", "on"), ("DateStyle", "German")],
    &[("log_disconnections", "on"), ("app.tenant", "x")],
    &[("jit_debugging_support", "on"), ("jit", "off")],
    &[("post_auth_delay", "0"), ("client_encoding", "LATIN1")],
    &[("options", "-c jit_profiling_support=on -c work_mem=1MB")],
    &[("options", "-P"), ("search_path", "a, \"B\"")],
];

#[test]
fn a_value_that_only_a_start_up_can_give_gets_a_connection_of_its_own() {
    let stage = Stage::with_pool_of(1);
    let mut other = stage.client();
    for settings in ONLY_AT_START {
        let act = |wire: &mut Wire| {
            let mut seen = Vec::new();
            for name in [
                "ignore_system_indexes",
                "log_connections",
                "log_disconnections",
                "jit_debugging_support",
                "jit_profiling_support",
                "post_auth_delay",
                "datestyle",
                "work_mem",
                "search_path",
            ] {
                seen.push(wire.query(&format!("show {name}")));
            }
            seen.push(wire.query("create temp table t (x int); set work_mem = '9MB'"));
            seen.push(wire.query("select x + 0 from t"));
            seen.push(wire.query("show work_mem"));
            seen.push(wire.query("discard all"));
            seen.push(wire.query("show work_mem"));
            seen.push(wire.query("show datestyle"));
            seen.push(wire.ask(&[parse("s", "select 1"), again("s", &[]), sync()]));
            seen.push(wire.ask(&[again("s", &[]), sync()]));
            seen
        };
        let mut direct = stage.direct_with(settings);
        let mut through = stage.client_with(settings);
        assert_eq!(through.statuses, direct.statuses, "{settings:?}");
        assert_eq!(through.greeting, direct.greeting, "{settings:?}");
        let pid = through.value("select pg_backend_pid()");
        assert_eq!(pid, through.pid.to_string());
        assert_ne!(pid, other.pid.to_string());
        alike(&act(&mut through), &act(&mut direct));
        // It holds nothing of the pool, which has one connection.
        through.run("begin; select 1");
        assert_eq!(other.value("show ignore_system_indexes"), "off");
        through.bye();
        direct.bye();
    }
    eventually("nobody else ever has them", || stage.connections() == 1);
    assert_eq!(stage.client().value("show log_connections"), "off");
    assert!(
        stage.served.log().contains("reason=\"startup\""),
        "{}",
        stage.served.log()
    );
}

#[test]
fn a_connection_of_one_s_own_counts_among_the_backend_s() {
    let stage = Stage::with(1, &["max_backend_connections=2"]);
    let mut client = stage.client();
    assert_eq!(client.value("select 1"), "1");
    let settings = [("ignore_system_indexes", "on")];
    let own = stage.client_with(&settings);
    assert_eq!(client.value("select 1"), "1");
    let refused = Wire::login(stage.port(), &stage.database, &settings).unwrap_err();
    assert_eq!(refused.code(), "53300");
    assert!(
        refused.message().contains("max_backend_connections"),
        "{refused}"
    );
    own.bye();
    eventually("there is room again", || {
        Wire::login(stage.port(), &stage.database, &settings).is_ok()
    });
}
