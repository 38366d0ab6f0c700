//! `pg-ambassador route`, as it is called: what it answers, and how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a failed step is a failed test"
)]

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The keys of an answer, in their order.
const KEYS: [&str; 9] = [
    "class",
    "replica_safe",
    "role",
    "shard",
    "reason",
    "effects",
    "functions",
    "fingerprint",
    "statements",
];

fn command(args: &[&str]) -> Command {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.as_bytes().starts_with(b"AMBASSADOR_")) {
        command.env_remove(name);
    }
    command.current_dir(home).arg("route").args(args);
    command
}

const FILE: [&str; 2] = ["--config", "fixtures/config/valid/smallest.toml"];

/// With the smallest file.
fn asked(args: &[&str]) -> Output {
    command(&[&FILE, args].concat()).output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).unwrap().lines().collect()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// The answer for one text.
fn judged(text: &str) -> Value {
    let output = asked(&["--format", "json", text]);
    assert!(output.status.success(), "{output:?}");
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 1, "{text}");
    json(lines[0])
}

#[test]
fn an_answer_has_every_key_of_the_contract_in_its_order() {
    let output = asked(&["--format", "json", "SELECT 1"]);
    let line = lines(&output.stdout)[0];
    let places: Vec<usize> = KEYS
        .iter()
        .map(|key| line.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{line}");
    let answer = json(line);
    assert_eq!(answer.as_object().unwrap().len(), KEYS.len());
    assert_eq!(
        (&answer["role"], &answer["shard"]),
        (&"any".into(), &Value::Null)
    );
    let fingerprint = answer["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.len(), 16);
    assert!(u64::from_str_radix(fingerprint, 16).is_ok());
}

#[test]
fn every_text_of_standard_input_is_answered_at_once_and_in_a_line_of_its_own() {
    for format in ["json", "text"] {
        let mut command = command(&[&FILE, ["--format", format].as_slice(), &["-"]].concat());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let texts: [&[u8]; 6] = [
            b"SELECT 1",
            b"",
            b"\xff\xfe",
            b"SELECT\n'two\nlines'",
            b"SELECT 'no end",
            b"-",
        ];
        for text in texts {
            input.write_all(&[text, b"\0"].concat()).unwrap();
            // It comes before anything else is asked.
            let answer = answers.next().unwrap().unwrap();
            assert!(!answer.is_empty());
            if format == "json" {
                assert_eq!(json(&answer).as_object().unwrap().len(), KEYS.len());
            }
        }
        drop(input);
        assert!(answers.next().is_none());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn what_is_no_utf8_or_does_not_end_is_unknown() {
    for text in [
        "SELECT 'no end",
        "SELECT \"no end",
        "SELECT /* no end",
        "SELECT $$ no",
    ] {
        let answer = judged(text);
        assert_eq!(answer["class"], "unknown", "{text}");
        assert_eq!(answer["replica_safe"], false, "{text}");
    }
    let mut command = command(&[FILE[0], FILE[1], "--format", "json"]);
    let output = command
        .arg(OsStr::from_bytes(b"SELECT '\xff'"))
        .output()
        .unwrap();
    let answer = json(lines(&output.stdout)[0]);
    assert_eq!(answer["class"], "unknown");
    assert_eq!(answer["reason"], "unparsable");
}

#[test]
fn usage_and_configuration_end_differently() {
    let code = |args: &[&str]| command(args).output().unwrap().status.code();
    assert_eq!(code(&[FILE[0], FILE[1], "SELECT 1"]), Some(0));
    // Neither file nor URL; no text; no such format; which of several databases?
    assert_eq!(code(&["SELECT 1"]), Some(2));
    assert_eq!(code(&FILE), Some(2));
    assert_eq!(
        code(&[FILE[0], FILE[1], "--format", "yaml", "SELECT 1"]),
        Some(2)
    );
    let several = "fixtures/config/valid/several_databases.toml";
    assert_eq!(code(&["--config", several, "SELECT 1"]), Some(2));
    assert_eq!(
        code(&["--config", several, "--database", "app", "SELECT 1"]),
        Some(0)
    );
    let app = "fixtures/config/valid/smallest.toml";
    assert_eq!(
        code(&["--config", app, "--database", "none", "SELECT 1"]),
        Some(2)
    );
    // No such file; a bad one.
    assert_eq!(code(&["--config", "no/such.toml", "SELECT 1"]), Some(1));
    let bad = "fixtures/config/invalid/bad_choices.toml";
    assert_eq!(code(&["--config", bad, "SELECT 1"]), Some(1));
}

#[test]
fn a_url_will_do_in_place_of_a_file() {
    let url = "postgres://app:hunter2@127.0.0.1:1/app";
    let output = command(&["--upstream", url, "SELECT 1"]).output().unwrap();
    assert!(output.status.success());
    let said = format!("{output:?}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_text_that_begins_with_a_comment_is_no_flag() {
    let output = asked(&["--format", "json", "-- a comment\nSELECT 1"]);
    assert!(output.status.success(), "{output:?}");
}

/// What the whole text says, in the form for people.
fn explained(text: &str) -> String {
    let output = asked(&[text]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_answer_says_what_a_text_does() {
    let cases = [
        ("SELECT lower('A')", "read", true, "proven_read", 1),
        ("", "empty", false, "empty", 0),
        ("INSERT INTO t VALUES (1)", "write", false, "write", 1),
        ("SELECT * FROM t FOR UPDATE", "write", false, "locking", 1),
        ("SELECT 1; SELECT 2", "read", true, "proven_read", 2),
        ("SELECT 1; DROP TABLE t", "ddl", false, "ddl", 2),
        ("BEGIN", "transaction", false, "transaction", 1),
        ("SELECT nextval('s')", "read", false, "denied_function", 1),
        ("SELECT mine(1)", "read", false, "unknown_function", 1),
    ];
    for (text, class, safe, reason, statements) in cases {
        let answer = judged(text);
        assert_eq!(answer["class"], class, "{text}");
        assert_eq!(answer["replica_safe"], safe, "{text}");
        assert_eq!(answer["reason"], reason, "{text}");
        assert_eq!(answer["statements"], statements, "{text}");
        assert_eq!(answer["role"], "any", "{text}");
    }
    let functions = &judged("SELECT lower('A'), \"S\".f(1)")["functions"];
    assert_eq!(*functions, serde_json::json!(["lower", "S.f"]));
    let effects = &judged("SET LOCAL work_mem = 1")["effects"];
    assert_eq!(*effects, serde_json::json!(["set_local:work_mem"]));
}

#[test]
fn a_fingerprint_is_of_the_text_without_its_values() {
    let of = |text: &str| judged(text)["fingerprint"].clone();
    assert_eq!(of("SELECT 1 FROM t"), of("select  'x' -- y\nfrom t"));
    assert_ne!(of("SELECT 1 FROM t"), of("SELECT 1 FROM u"));
}

#[test]
fn a_hint_is_heard_and_what_it_cannot_move_stays() {
    assert_eq!(
        judged("/* ambassador: replica */ SELECT mine(1)")["reason"],
        "hint"
    );
    assert_eq!(judged("SELECT 1 -- Ambassador:PRIMARY")["reason"], "hint");
    assert_eq!(
        judged("/* ambassador: replica */ DELETE FROM t")["reason"],
        "write"
    );
    assert_eq!(
        judged("SELECT '/* ambassador: primary */'")["reason"],
        "proven_read"
    );
}

#[test]
fn who_has_never_seen_the_code_is_told_what_it_is_where_it_goes_why_and_what_to_do() {
    let told = explained("SELECT mine(a), lower(b) FROM t");
    for part in [
        "read: a query",
        "there is one backend",
        "unknown_function: it calls a function that nothing is known of: mine",
        "Relations       t\n",
        "Functions       mine, lower\n",
        "Not judged      mine: ",
        "--connect",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let told = explained("SELECT pg_advisory_lock(1)");
    assert!(
        told.contains("takes or gives back an advisory lock"),
        "{told}"
    );
    assert!(
        told.contains("denied_function") && !told.contains("--connect"),
        "{told}"
    );
}
