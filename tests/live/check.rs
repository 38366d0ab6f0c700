//! `check --connect`: what is wrong with each backend, and which key to set.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    process::Command,
    thread,
};

use pg_ambassador::app::cluster::Cluster;

use crate::support;

const CANARY: &str = "canary-in-a-coal-mine";

const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
host all clear 127.0.0.1/32 password
host all all 127.0.0.1/32 scram-sha-256
";

fn cluster() -> Cluster {
    let roles =
        format!("create role app login password '{CANARY}'; create role clear login password 'x'");
    support::guarded_cluster(HBA, &roles)
}

/// The exit code, and what is said on both outputs.
fn check(file: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, file).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
    check.args(["check", "--connect", "--config"]).arg(&path);
    check.env("CANARY", CANARY);
    let ended = check.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn file(port: u16, rest: &str) -> String {
    format!(
        "[databases.postgres]\n{rest}\n[[databases.postgres.backends]]\naddress = \"127.0.0.1:{port}\"\n"
    )
}

#[test]
fn a_configuration_that_works_is_told_login_by_login() {
    let cluster = cluster();
    let port = cluster.port();
    let users = "[databases.postgres.users.app]\nupstream_password = \"${CANARY}\"\n\
                 [databases.postgres.users.web]\nupstream_user = \"postgres\"\n";
    let (code, out, err) = check(&file(port, users));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let version = support::psql(port, "postgres", "show server_version");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "the configuration is valid",
            &format!(
                "127.0.0.1:{port}: logged in as \"app\" to \"postgres\", PostgreSQL {version}"
            ),
            &format!(
                "127.0.0.1:{port}: logged in as \"postgres\" to \"postgres\", PostgreSQL {version}"
            ),
        ]
    );
}

#[test]
fn every_login_that_fails_is_told_with_the_key_to_set_and_no_secret() {
    let cluster = cluster();
    let port = cluster.port();
    let key = |user: &str| format!("databases.postgres.users.{user}.upstream_password");
    let cases = [
        (
            "[databases.postgres.users.app]\nupstream_password = \"${CANARY}, wrong\"\n",
            "password authentication failed for user \"app\"",
            format!("check {}", key("app")),
        ),
        (
            "[databases.postgres.users.app]\n",
            "user \"app\", database \"postgres\": it asks for a password",
            format!("set {}, or its _file or _env", key("app")),
        ),
        (
            "[databases.postgres.users.clear]\nupstream_password = \"${CANARY}\"\n",
            "cleartext password",
            "let pg_hba.conf ask this user for scram-sha-256".to_owned(),
        ),
        (
            "dbname = \"nowhere\"\n",
            "database \"nowhere\" does not exist",
            "set databases.postgres.dbname to one that exists".to_owned(),
        ),
    ];
    for (rest, said, advice) in cases {
        let (code, out, err) = check(&file(port, rest));
        assert_eq!(
            (code, out.as_str()),
            (Some(1), "the configuration is valid\n")
        );
        let address = format!("127.0.0.1:{port}, user ");
        assert_eq!(err.lines().count(), 1, "{err}");
        for part in [address.as_str(), said, &advice] {
            assert!(err.contains(part), "{part} in: {err}");
        }
        assert!(!err.contains(CANARY), "{err}");
    }
}

#[test]
fn an_address_where_nobody_answers_is_told_once_and_the_others_are_tried_all_the_same() {
    let cluster = cluster();
    let port = cluster.port();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mute = silent.local_addr().unwrap().port();
    let two = "[databases.a.users.one]\n[databases.a.users.two]\n";
    let text = format!(
        "[databases.a]\n{two}[[databases.a.backends]]\naddress = \"127.0.0.1:1\"\n\
         [databases.b]\nconnect_timeout = \"200ms\"\n[[databases.b.backends]]\naddress = \"127.0.0.1:{mute}\"\n{}",
        file(port, "")
    );
    let (code, out, err) = check(&text);
    assert_eq!(code, Some(1));
    let told: Vec<&str> = err.lines().collect();
    assert_eq!(told.len(), 2, "{err}");
    assert!(
        told[0].starts_with("127.0.0.1:1: Connection refused"),
        "{err}"
    );
    assert!(
        told[0].ends_with("and databases.a.backends.address"),
        "{err}"
    );
    assert!(told[1].starts_with(&format!("127.0.0.1:{mute}: ")), "{err}");
    assert!(
        told[1].ends_with("or raise databases.b.connect_timeout"),
        "{err}"
    );
    assert!(
        out.contains(&format!("127.0.0.1:{port}: logged in as \"postgres\"")),
        "{out}"
    );
}

#[test]
fn a_standby_where_the_primary_is_to_be_is_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let standby = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut startup = [0; 1024];
            assert!(stream.read(&mut startup).unwrap() > 0);
            let status = crate::wire::message(b'S', b"in_hot_standby\0on\0");
            let key = crate::wire::message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
            let ok = crate::wire::message(b'R', &[0; 4]);
            let ready = crate::wire::message(b'Z', b"I");
            stream
                .write_all(&[ok, status, key, ready].concat())
                .unwrap();
        }
    });
    let plain = "upstream_tls.mode = \"disable\"";
    let text = |role: &str| format!("{}role = \"{role}\"\n", file(port, plain));
    let (code, _, err) = check(&text("primary"));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("a standby") && err.contains("databases.postgres.backends.role"),
        "{err}"
    );
    let (code, out, _) = check(&text("auto"));
    assert_eq!(code, Some(0));
    assert!(out.contains(", a standby"), "{out}");
    standby.join().unwrap();
}
