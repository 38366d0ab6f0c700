//! What is logged, in which words, and what never is.

use std::{fs, path::Path, process::Command};

use pg_ambassador::app::cluster::{Cluster, Stop};
use serde_json::Value;

use crate::{
    admin::scraped,
    stage::{PATIENCE, Stage, eventually},
    support::{self, Served},
    wire::{self, Wire},
};

const CANARY: &str = "c4n4ry-in-a-coal-mine";

const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
host all hashed 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
";

/// Roles with the canary as their password, and one with another.
fn cluster() -> Cluster {
    let roles = format!(
        "create role scrammed login password '{CANARY}'; create role other login password 'x'; \
         set password_encryption = 'md5'; create role hashed login password '{CANARY}'"
    );
    support::guarded_cluster(HBA, &roles)
}

/// An ambassador that says all it can say, with the canary in its environment.
fn talkative(args: &[&str]) -> Stage {
    let served = Served::start(|port| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
        command
            .args(args)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin", "127.0.0.1:0", "--log-level", "trace"])
            .env("CANARY", CANARY);
        command
    });
    Stage {
        database: "postgres".to_owned(),
        served,
    }
}

fn login(stage: &Stage, user: &str) -> Result<Wire, wire::Frame> {
    let mut client = Wire::open(stage.port());
    let who = [("user", user), ("database", "postgres")];
    client.send(&wire::startup(wire::VERSION, &who));
    client.welcomed().map(|()| client)
}

/// Everything that operators and clients are told.
fn said(stage: &Stage) -> String {
    let metrics = format!("{:?}", scraped(stage));
    let mut console = Wire::login(stage.port(), "ambassador", &[]).unwrap();
    let shown = format!("{:?}", console.query("show config"));
    console.bye();
    [stage.served.log(), metrics, shown].concat()
}

#[track_caller]
fn assert_silent(stage: &Stage) {
    let said = said(stage);
    assert!(said.contains("client logged in"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}

fn file_of_users(folder: &Path, port: u16) -> String {
    let secret = folder.join("secret");
    fs::write(&secret, CANARY).unwrap();
    let secret = secret.display();
    let text = format!(
        "[databases.postgres.users.a]\nupstream_user = \"scrammed\"\nupstream_password = \"${{CANARY}}\"\n\
         [databases.postgres.users.b]\nupstream_user = \"hashed\"\nupstream_password_file = \"{secret}\"\n\
         [databases.postgres.users.c]\nupstream_user = \"other\"\nupstream_password_env = \"CANARY\"\n\
         [databases.postgres.health]\nuser = \"x\"\npassword_file = \"{secret}\"\n\
         [[databases.postgres.backends]]\naddress = \"127.0.0.1:{port}\"\n"
    );
    let path = folder.join("a.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_secret_is_never_told_wherever_it_comes_from_and_whether_it_is_right() {
    let cluster = cluster();
    let port = cluster.port();
    for format in ["text", "json"] {
        for user in ["scrammed", "hashed", "other"] {
            let url = format!("postgres://{user}:{CANARY}@127.0.0.1:{port}/postgres");
            let stage = talkative(&["--upstream", &url, "--log-format", format]);
            let entered = login(&stage, "anybody");
            assert_eq!(entered.is_ok(), user != "other");
            assert_silent(&stage);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = file_of_users(folder.path(), port);
        let stage = talkative(&["--config", &path, "--log-format", format]);
        login(&stage, "a").unwrap().run("set work_mem = '1MB'");
        login(&stage, "b").unwrap().run("select 1");
        assert_eq!(login(&stage, "c").unwrap_err().code(), "28P01");
        assert_eq!(login(&stage, "d").unwrap_err().code(), "28P01");
        assert_silent(&stage);
    }
}

fn lines(log: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(parse).collect()
}

#[test]
fn json_is_an_object_a_line_with_the_message_beside_its_fields() {
    let stage = Stage::new(&["--log-format", "json", "--log-level", "debug"]);
    let mut client = stage.client();
    client.run("create temp table mine ()");
    client.run("select 1");
    client.bye();
    eventually("the client has left", || {
        stage.served.log().contains("client left")
    });
    let lines = lines(&stage.served.log());
    let of = |message: &str| {
        let mut found = lines.iter().filter(|line| line["message"] == message);
        let line = found
            .next()
            .unwrap_or_else(|| panic!("no {message} in {lines:?}"));
        assert!(found.next().is_none(), "{message} several times");
        assert!(line["timestamp"].is_string());
        line
    };
    assert_eq!(of("ready for clients")["level"], "INFO");
    let connected = of("connected upstream");
    assert_eq!(
        (&connected["level"], connected["database"].as_str()),
        (&"DEBUG".into(), Some(&*stage.database))
    );
    assert!(connected["pid"].is_i64());
    let entered = of("client logged in");
    assert_eq!(
        (&entered["level"], entered["user"].as_str()),
        (&"DEBUG".into(), Some("postgres"))
    );
    assert!(
        entered["client"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    let (pinned, left) = (of("session pinned"), of("client left: it said good-bye"));
    assert_eq!(pinned["reason"], "temp");
    assert_eq!(left["level"], "DEBUG");
    assert!(entered["session"].is_u64());
    assert_eq!(
        (&pinned["session"], &left["session"]),
        (&entered["session"], &entered["session"])
    );
}

#[test]
fn nobody_can_write_a_line_of_his_own_into_the_log() {
    let stage = Stage::new(&["--log-level", "debug"]);
    let forged = "x\n2026-01-01T00:00:00Z ERROR the disk is full\x1b[31m";
    login(&stage, forged).unwrap().bye();
    Wire::login(stage.port(), forged, &[]).unwrap_err();
    let log = stage.served.log();
    assert!(
        log.contains("x\\n2026-01-01T00:00:00Z ERROR the disk is full\\u{1b}[31m"),
        "{log}"
    );
    assert!(
        !log.lines()
            .any(|line| line.starts_with("2026-01-01T00:00:00Z")),
        "{log}"
    );
    assert!(!log.contains('\x1b'));
}

#[test]
fn why_a_user_may_not_come_in_is_for_the_log_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let port = support::cluster().port();
    let text = format!(
        "[databases.postgres.users.postgres]\n[[databases.postgres.backends]]\naddress = \"127.0.0.1:{port}\"\n"
    );
    fs::write(&path, text).unwrap();
    let stage = Stage {
        database: "postgres".to_owned(),
        served: Served::ambassador_with(&["--config", &path.display().to_string()]),
    };
    let refused = login(&stage, "somebody").unwrap_err();
    assert_eq!(refused.code(), "28P01");
    assert_eq!(
        refused.message(),
        "password authentication failed for user \"somebody\""
    );
    let log = stage.served.log();
    let line = log
        .lines()
        .find(|line| line.contains("login failed"))
        .unwrap();
    for part in [
        "INFO",
        "user=somebody",
        "client=127.0.0.1:",
        "there is no such user",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!log.contains("client refused"), "told twice: {log}");
}

#[test]
fn a_backend_that_stays_away_is_told_once_and_so_is_its_return() {
    let mut cluster = support::own_cluster(support::options());
    let stage = Stage {
        database: "postgres".to_owned(),
        served: Served::ambassador(&cluster, &["--log-level", "debug", "--workers", "1"]),
    };
    let mut client = stage.client();
    cluster.stop(Stop::Fast).unwrap();
    let lines_with = |words: &str| {
        let log = stage.served.log();
        log.lines().filter(|line| line.contains(words)).count()
    };
    client.send(&wire::query("select 1"));
    eventually("it has been tried again", || {
        lines_with("still cannot connect upstream") >= 2
    });
    let warned = |log: String| {
        let lines = log
            .lines()
            .filter(|line| line.contains(" WARN cannot connect upstream"));
        lines
            .map(|line| line.split_once(" WARN ").unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    let told = warned(stage.served.log());
    let mut different = told.clone();
    different.dedup();
    assert_eq!(told, different, "the same is told in a row");
    cluster.run().unwrap();
    assert_eq!(wire::said(&client.until_ready()).len(), 4);
    eventually("its return is told", || {
        lines_with("INFO connected upstream again") == 1
    });
    client.bye();
    let mut stage = stage;
    stage.served.signal("TERM");
    stage.served.ended_within(PATIENCE);
}
