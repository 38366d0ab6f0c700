//! The operator's HTTP: probes and metrics.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
};

use crate::{
    scrape::Scrape,
    stage::{PATIENCE, Stage, eventually},
    support,
};

/// An answer's status and body.
fn get(port: u16, path: &str) -> (u16, String) {
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

pub fn scrape(stage: &Stage) -> Scrape {
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
    let seen = scrape(&stage);
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
