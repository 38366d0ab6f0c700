//! The operator's HTTP: probes and metrics.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
};

use pg_ambassador::app::cluster::Stop;

use crate::{
    scrape::{self, Scrape},
    stage::{PATIENCE, Stage, eventually},
    support::{self, Served},
    wire::{self, Wire, error, said},
};

/// An answer's status and body.
pub fn get(port: u16, path: &str) -> (u16, String) {
    let (head, body) = ask(port, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    (status(&head), body)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The head and the body of the answer; the connection ends with it.
fn ask(port: u16, request: &str) -> (String, String) {
    let mut stream = open(port);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn scraped(stage: &Stage) -> Scrape {
    let (status, page) = get(stage.admin(), "/metrics");
    assert_eq!(status, 200, "{page}");
    Scrape::parse(&page)
}

fn health(args: &[&str]) -> Output {
    let mut health = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
    health.arg("health").args(args).output().unwrap()
}

#[test]
fn a_running_ambassador_is_alive_ready_and_measured() {
    let stage = Stage::with_admin(&[]);
    let port = stage.admin();
    assert_eq!(get(port, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(port, "/readyz"), (200, "ready\n".to_owned()));
    let seen = scraped(&stage);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(seen.value("ambassador_build_info", &version), 1.0);
    let hash = seen.value("ambassador_config_hash", &[]);
    assert!(hash > 0.0 && hash.fract() == 0.0, "{hash}");
}

#[test]
fn what_is_not_there_and_what_is_no_get_is_told_so() {
    let stage = Stage::with_admin(&[]);
    let port = stage.admin();
    assert_eq!(get(port, "/elsewhere").0, 404);
    let (head, _) = ask(
        port,
        "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(status(&head), 405);
    assert!(head.to_lowercase().contains("allow: get, head"), "{head}");
    let (head, body) = ask(port, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((status(&head), body.as_str()), (200, ""));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000));
    let (head, _) = ask(port, &long);
    assert!((400..500).contains(&status(&head)), "{head}");
    assert_eq!(get(port, "/healthz").0, 200);
}

#[test]
fn who_says_nothing_holds_no_probe_up() {
    let stage = Stage::with_admin(&[]);
    let port = stage.admin();
    let mute: Vec<TcpStream> = (0..100)
        .map(|at| {
            let mut stream = open(port);
            if at % 2 == 0 {
                stream.write_all(b"GET /readyz HT").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(get(port, "/readyz").0, 200);
    // Too many of them were cut off for it.
    let mut first = &mute[0];
    let mut answer = Vec::new();
    let cut = first.read_to_end(&mut answer);
    assert!(cut.is_err() || answer.is_empty());
    drop(mute);
    assert_eq!(get(port, "/readyz").0, 200);
}

#[test]
fn a_port_that_somebody_has_costs_a_warning_and_no_client() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let stage = Stage::new(&["--admin", &address.to_string()]);
    assert_eq!(stage.client().value("select 1"), "1");
    let log = stage.served.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0].contains(&format!("cannot listen on {address}")) && told[0].contains("--admin")
    );
}

#[test]
fn no_port_is_opened_where_none_is_wanted() {
    let stage = Stage::new(&["--admin", ""]);
    assert_eq!(stage.client().value("select 1"), "1");
    assert!(!stage.served.log().contains("metrics and probes"));
}

#[test]
fn health_ends_well_only_when_the_ambassador_is_ready() {
    let mut stage = Stage::with_admin(&["--set", "shutdown.grace=20s"]);
    let address = format!("127.0.0.1:{}", stage.admin());
    let well = health(&["--admin", &address]);
    assert_eq!((well.status.code(), well.stderr), (Some(0), Vec::new()));

    let client = stage.client();
    stage.served.signal("TERM");
    eventually("health sees the end coming", || {
        !health(&["--admin", &address]).status.success()
    });
    let ill = health(&["--admin", &address]);
    assert_eq!(ill.status.code(), Some(1));
    let told = String::from_utf8(ill.stderr).unwrap();
    assert_eq!(told, "pg-ambassador: not ready: shutting down\n");

    client.bye();
    stage.served.ended_within(PATIENCE);
    let gone = health(&["--admin", &address]);
    assert_eq!(gone.status.code(), Some(1));
    let told = String::from_utf8(gone.stderr).unwrap();
    assert!(
        told.contains(&format!("nothing answers on {address}")),
        "{told}"
    );

    for (text, told) in [("", "switches"), ("nonsense", "expected an address")] {
        let wrong = health(&["--admin", text]);
        assert_eq!(wrong.status.code(), Some(1));
        let said = String::from_utf8(wrong.stderr).unwrap();
        assert!(
            said.starts_with("--admin: ") && said.contains(told),
            "{said}"
        );
    }
}

#[test]
fn the_counters_match_what_was_done() {
    let stage = Stage::with_admin(&["--workers", "2", "--pool-size", "4"]);
    let name = stage.database.as_str();
    let backend = format!("127.0.0.1:{}", support::cluster().port());
    let of_database = [("database", name), ("role", "primary")];
    let mut clients = [stage.client(), stage.client()];
    for client in &mut clients {
        client.run("select 1");
        client.run("begin");
        client.run("select 1; select 2");
        client.run("commit");
        error(&client.query("select 1/0"));
        // Prepared, and run twice in one request.
        let frames = client.ask(&[
            wire::parse("", "select $1::int"),
            wire::bind("", "", &["1"]),
            wire::execute("", 0),
            wire::bind("", "", &["2"]),
            wire::execute("", 0),
            wire::sync(),
        ]);
        assert_eq!(
            said(&frames)
                .iter()
                .filter(|one| one.starts_with("row"))
                .count(),
            2
        );
    }
    let seen = scraped(&stage);
    let transactions = [&of_database[..], &[("backend", &backend)]].concat();
    let value =
        |name: &str, labels: &[(&str, &str)]| seen.value(&format!("ambassador_{name}"), labels);
    assert_eq!(value("transactions_total", &transactions), 2.0 * 4.0);
    assert_eq!(value("statements_total", &of_database), 2.0 * 8.0);
    // BEGIN went with what followed it.
    assert_eq!(value("statement_seconds_count", &of_database), 2.0 * 5.0);
    assert!(value("statement_seconds_sum", &of_database) > 0.0);
    assert_eq!(
        value(
            "client_logins_total",
            &[("database", name), ("result", "ok")]
        ),
        2.0
    );
    let connects = value(
        "upstream_connects_total",
        &[("backend", &backend), ("result", "ok")],
    );
    assert!((1.0..=4.0).contains(&connects), "{connects}");
    let dials = value("upstream_connect_seconds_count", &[("backend", &backend)]);
    assert_eq!(dials, connects);
    let pool = [
        ("database", name),
        ("backend", &backend),
        ("user", "postgres"),
    ];
    assert_eq!(value("pool_size", &pool), 4.0);
    let connections = |state| {
        value(
            "pool_connections",
            &[&pool[..], &[("state", state)]].concat(),
        )
    };
    assert_eq!(
        (connections("idle"), connections("active")),
        (connects, 0.0)
    );
    let clients_in = |state| {
        value(
            "client_connections",
            &[("database", name), ("state", state)],
        )
    };
    assert_eq!(
        (
            clients_in("idle"),
            clients_in("active"),
            clients_in("waiting")
        ),
        (2.0, 0.0, 0.0)
    );
    for (metric, least) in [("received_bytes_total", 100.0), ("sent_bytes_total", 100.0)] {
        for side in ["client", "backend"] {
            assert!(value(metric, &[("side", side)]) > least, "{metric} {side}");
        }
    }
    // What clients sent arrived, and came back: nothing is lost on the way but what is ours. For
    // its BEGIN each client was told as much as a tag and a ReadyForQuery, 17 bytes, and the
    // backend has said that ours was parsed, bound and run, 21.
    let (from, to) = ("received_bytes_total", "sent_bytes_total");
    assert_eq!(
        value(from, &[("side", "backend")]),
        value(to, &[("side", "client")]) + 2.0 * (21.0 - 17.0)
    );
    assert_eq!(value("session_panics_total", &[]), 0.0);
}

#[test]
fn a_pin_is_counted_once_and_seen_while_it_lasts() {
    let stage = Stage::with_admin(&[]);
    let name = stage.database.clone();
    let setting = [("database", name.as_str()), ("reason", "temp")];
    let mut client = stage.client();
    client.run("create temp table a ()");
    client.run("create temp table b ()");
    client.run("select 1");
    let seen = scraped(&stage);
    assert_eq!(seen.value("ambassador_pins_total", &setting), 1.0);
    assert_eq!(seen.value("ambassador_pinned_sessions", &setting), 1.0);
    let pinned = [("database", name.as_str()), ("state", "pinned")];
    assert_eq!(seen.sum("ambassador_pool_connections", &pinned), 1.0);
    client.run("discard all");
    let seen = scraped(&stage);
    assert_eq!(seen.value("ambassador_pins_total", &setting), 1.0);
    assert_eq!(seen.value("ambassador_pinned_sessions", &setting), 0.0);
    assert_eq!(seen.sum("ambassador_pool_connections", &pinned), 0.0);
}

#[test]
fn who_waits_for_a_connection_is_seen_and_then_timed() {
    let stage = Stage::with_admin(&["--workers", "1", "--pool-size", "1"]);
    let name = stage.database.clone();
    let database = [("database", name.as_str())];
    let (mut holds, mut waits) = (stage.client(), stage.client());
    holds.run("begin; select 1");
    waits.send(&wire::query("select 1"));
    let waiting = |state| [("database", name.as_str()), ("state", state)];
    eventually("somebody waits", || {
        let seen = scraped(&stage);
        seen.sum("ambassador_pool_waiting", &database) == 1.0
            && seen.value("ambassador_client_connections", &waiting("waiting")) == 1.0
            && seen.value("ambassador_client_connections", &waiting("active")) == 1.0
    });
    let before = scraped(&stage).value("ambassador_pool_wait_seconds_count", &database);
    holds.run("commit");
    assert_eq!(said(&waits.until_ready()).len(), 4);
    let after = scraped(&stage);
    assert_eq!(
        after.value("ambassador_pool_wait_seconds_count", &database),
        before + 1.0
    );
    assert_eq!(after.sum("ambassador_pool_waiting", &database), 0.0);
}

#[test]
fn who_did_not_get_in_is_counted_by_the_reason_and_a_made_up_name_is_no_label() {
    let stage = Stage::with_admin(&["--workers", "1", "--set", "listen.max_clients=2"]);
    let known = stage.client();
    let unknown = Wire::login(stage.port(), "no_such_database_here", &[]).unwrap_err();
    assert_eq!(unknown.code(), "3D000");
    let mut nonsense = Wire::open(stage.port());
    nonsense.send(&wire::startup(wire::VERSION, &[("database", "x")]));
    nonsense.welcomed().unwrap_err();
    let logins = |result| [("database", "*"), ("result", result)];
    let nameless = |result| [("database", ""), ("result", result)];
    let seen = scraped(&stage);
    let value = |labels: &[(&str, &str)]| seen.value("ambassador_client_logins_total", labels);
    assert_eq!(value(&logins("no_database")), 1.0);
    assert_eq!(value(&nameless("denied")), 1.0);
    let made_up = |sample: &scrape::Sample| sample.labels.values().any(|it| it.contains("such"));
    assert!(!seen.samples.iter().any(made_up));

    let second = stage.client();
    let mut third = Wire::open(stage.port());
    third.send(&wire::startup(wire::VERSION, &[("user", "postgres")]));
    assert_eq!(third.welcomed().unwrap_err().code(), "53300");
    let seen = scraped(&stage);
    assert_eq!(
        seen.value("ambassador_client_logins_total", &nameless("no_room")),
        1.0
    );
    drop((known, second));
}

#[test]
fn a_backend_that_is_not_there_is_counted_as_unreachable() {
    let args = [
        "--upstream",
        "postgres://a@127.0.0.1:1/a",
        "--admin",
        "127.0.0.1:0",
    ];
    let short = ["--set", "databases.\"*\".acquire_timeout=200ms"];
    let stage = Stage {
        database: "a".to_owned(),
        served: Served::ambassador_with(&[&args[..], &short].concat()),
    };
    let refused = Wire::login(stage.port(), "a", &[]).unwrap_err();
    assert_eq!(refused.code(), "57P03");
    let seen = scraped(&stage);
    let unreachable = [("backend", "127.0.0.1:1"), ("result", "unreachable")];
    assert!(seen.value("ambassador_upstream_connects_total", &unreachable) >= 1.0);
    let logins = [("database", "*"), ("result", "unavailable")];
    assert_eq!(seen.value("ambassador_client_logins_total", &logins), 1.0);
}

#[test]
fn a_name_may_hold_any_letter() {
    let stage = Stage::with_admin(&[]);
    let name = "we\"ird\\n na\nme";
    stage.directly(&format!(
        "create database \"{}\"",
        name.replace('"', "\"\"")
    ));
    let mut client = Wire::login(stage.port(), name, &[]).unwrap();
    client.run("select 1");
    let labels = [("database", name), ("role", "primary")];
    let seen = scraped(&stage).value("ambassador_statements_total", &labels);
    assert_eq!(seen, 1.0);
    client.bye();
}

#[test]
fn a_database_that_is_away_is_told_only_to_those_who_ask_for_it() {
    let mut cluster = support::own_cluster(support::options());
    let stage = Stage {
        database: "postgres".to_owned(),
        served: Served::ambassador(&cluster, &["--admin", "127.0.0.1:0"]),
    };
    let port = stage.admin();
    let ready = (200, "ready\n".to_owned());
    assert_eq!(get(port, "/readyz?upstream=1"), ready);
    let mine = "select count(*) from pg_stat_activity where application_name = 'ambassador health'";
    eventually("it leaves again", || {
        support::psql(cluster.port(), "postgres", mine) == "0"
    });
    cluster.stop(Stop::Fast).unwrap();
    let told = || get(port, "/readyz?a=b&upstream=1");
    eventually("the loss is noticed", || told().0 == 503);
    let (_, why) = told();
    let address = format!("127.0.0.1:{}: no usable primary: ", cluster.port());
    assert!(why.starts_with(&address), "{why}");
    assert_eq!(get(port, "/readyz"), ready);
    assert_eq!(get(port, "/readyz?upstream=0"), ready);
}

#[test]
fn what_a_forgotten_pool_has_done_is_not_forgotten() {
    let idle = "databases.\"*\".server_idle_timeout=100ms";
    let stage = Stage::with_admin(&["--set", idle, "--workers", "1"]);
    let name = stage.database.clone();
    let database = [("database", name.as_str())];
    for round in 1..=2 {
        let mut client = stage.client();
        client.run("select 1");
        assert!(scraped(&stage).sum("ambassador_pool_size", &database) > 0.0);
        client.bye();
        // The last few that clients asked for are kept at hand.
        for other in 0..8 {
            let other = format!("none_{round}_{other}");
            Wire::login(stage.port(), &other, &[]).unwrap_err();
        }
        eventually("the pool is forgotten", || {
            scraped(&stage).sum("ambassador_pool_size", &database) == 0.0
        });
        let seen = scraped(&stage);
        let done = seen.sum("ambassador_transactions_total", &database);
        assert_eq!(done, f64::from(round));
        let logins = [("database", name.as_str()), ("result", "ok")];
        assert_eq!(seen.value("ambassador_client_logins_total", &logins), done);
        let connects = [("result", "rejected")];
        let rejected = seen.sum("ambassador_upstream_connects_total", &connects);
        assert_eq!(rejected, 8.0 * done);
    }
}
