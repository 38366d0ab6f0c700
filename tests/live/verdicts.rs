//! What texts are known for, where they would go, and what of that operators see.

use crate::{
    admin::scraped,
    scrape::Scrape,
    stage::{Stage, eventually},
    support,
    wire::{again, parse, sync},
};

const ALWAYS: [&str; 2] = ["--set", "databases.\"*\".routing.verdicts=always"];

fn stage() -> Stage {
    Stage::with_admin(&[&ALWAYS[..], &["--workers", "1"]].concat())
}

/// What has been counted for the test's own database.
struct Counts(Scrape, String);

impl Counts {
    fn of(stage: &Stage) -> Self {
        Self(scraped(stage), stage.database.clone())
    }

    fn class(&self, class: &str) -> f64 {
        let labels = [
            ("database", self.1.as_str()),
            ("role", "primary"),
            ("class", class),
        ];
        self.0.value("ambassador_statements_total", &labels)
    }

    fn reason(&self, reason: &str) -> f64 {
        let labels = [
            ("database", self.1.as_str()),
            ("role", "any"),
            ("reason", reason),
        ];
        self.0.value("ambassador_route_decisions_total", &labels)
    }

    fn cache(&self, what: &str) -> f64 {
        let name = format!("ambassador_verdict_cache_{what}");
        self.0.value(&name, &[])
    }
}

#[test]
fn every_text_is_counted_by_what_it_is_and_why_it_goes_where_it_goes() {
    let stage = stage();
    let mut client = stage.client();
    client.run("create table t (a int)");
    for value in 0..3 {
        client.run(&format!("insert into t values ({value})"));
    }
    client.run("begin");
    client.run("select 1; select 2");
    client.run("commit");
    client.query("");
    client.query("select 'no end");
    client.run("/* ambassador: primary */ select 1");
    let counts = Counts::of(&stage);
    let classes = ["ddl", "write", "transaction", "read", "empty", "unknown"];
    let classes = classes.map(|class| counts.class(class));
    assert_eq!(classes, [1.0, 3.0, 2.0, 3.0, 1.0, 1.0]);
    let reasons = ["ddl", "write", "transaction", "empty", "unparsable", "hint"];
    let reasons = reasons.map(|reason| counts.reason(reason));
    assert_eq!(reasons, [1.0, 3.0, 2.0, 1.0, 1.0, 1.0]);
    assert_eq!(counts.reason("proven_read"), 1.0);
    // One text is not read; two of the three that insert are known, unless the catalog came
    // in between.
    let (hits, misses) = (counts.cache("hits_total"), counts.cache("misses_total"));
    assert_eq!(hits + misses, 9.0);
    assert!(hits >= 1.0, "{hits}");
    assert!(counts.cache("entries") >= 6.0);
    client.bye();
}

#[test]
fn a_bind_is_counted_for_what_its_own_statement_is_and_never_for_the_last_one_parsed() {
    let stage = stage();
    let mut client = stage.client();
    client.run("create table t (a int)");
    client.ask(&[
        parse("r", "select 1"),
        parse("w", "insert into t values ($1::int)"),
        again("r", &[]),
        sync(),
    ]);
    for _ in 0..3 {
        client.ask(&[again("r", &[]), sync()]);
    }
    client.ask(&[again("w", &["1"]), sync()]);
    client.ask(&[parse("", "select 2"), again("w", &["2"]), sync()]);
    client.ask(&[again("", &[]), sync()]);
    let counts = Counts::of(&stage);
    assert_eq!(counts.class("read"), 5.0);
    assert_eq!(counts.class("write"), 2.0);
    client.bye();
}

#[test]
fn what_the_server_reads_otherwise_is_unknown() {
    let stage = stage();
    let mut client = stage.client();
    client.run("set standard_conforming_strings = off");
    client.run("select 1");
    client.run("reset standard_conforming_strings");
    client.run("select 1");
    let counts = Counts::of(&stage);
    // The RESET, too.
    assert_eq!(counts.reason("nonstandard_strings"), 2.0);
    assert_eq!(counts.class("unknown"), 2.0);
    assert_eq!(counts.reason("proven_read"), 1.0);
    client.bye();
    let mut client = stage.client_with(&[("client_encoding", "SJIS")]);
    client.run("select 1");
    assert_eq!(Counts::of(&stage).reason("client_encoding"), 1.0);
    client.bye();
}

#[test]
fn a_word_of_a_hint_that_means_nothing_is_told_once_for_each_fingerprint() {
    let stage = stage();
    let mut client = stage.client();
    for value in 0..3 {
        client.run(&format!("/* ambassador: primary, sooner */ select {value}"));
    }
    client.run("/* ambassador: replica */ select 'x'");
    assert_eq!(Counts::of(&stage).reason("hint"), 4.0);
    let log = stage.served.log();
    assert_eq!(
        log.matches("a hint is not understood: sooner").count(),
        1,
        "{log}"
    );
    client.bye();
}

#[test]
fn with_one_backend_nothing_is_judged_unless_the_file_says_so() {
    let stage = Stage::with_admin(&[]);
    let mut client = stage.client();
    client.run("select 1");
    let Counts(scrape, database) = Counts::of(&stage);
    let labels = [("database", database.as_str()), ("role", "primary")];
    assert_eq!(scrape.value("ambassador_statements_total", &labels), 1.0);
    assert_eq!(scrape.sum("ambassador_route_decisions_total", &[]), 0.0);
    assert_eq!(
        scrape.sum("ambassador_verdict_cache_misses_total", &[]),
        0.0
    );
    client.bye();
}

const OWN: &str = "create table t (a int);
    create function stays(int) returns int stable language sql as 'select $1';
    create function strays(int) returns int volatile language sql as 'select $1';
    create view plain as select a from t;
    create view odd as select strays(a) from t;";

#[test]
fn names_of_the_databases_own_are_looked_up_and_looked_up_again_when_they_change() {
    let stage = stage();
    stage.directly(OWN);
    let mut client = stage.client();
    let grows = |reason: &str, what: &mut dyn FnMut()| {
        let before = Counts::of(&stage).reason(reason);
        what();
        Counts::of(&stage).reason(reason) > before
    };
    let client = std::cell::RefCell::new(&mut client);
    let why = |sql: &str, reason: &str| {
        eventually(&format!("{sql}: {reason}"), || {
            grows(reason, &mut || drop(client.borrow_mut().query(sql)))
        });
    };
    why("select stays(a) from t", "proven_read");
    why("select strays(a) from t", "volatile_function");
    why("select a from plain", "proven_read");
    why("select * from odd", "view");
    why("select newcomer(a) from t", "unknown_function");
    // Through the ambassador, which sees it; the same named statement is then another.
    client
        .borrow_mut()
        .ask(&[parse("s", "select stays(a) from t"), sync()]);
    client
        .borrow_mut()
        .run("alter function stays(int) volatile");
    let volatile = || {
        client.borrow_mut().ask(&[again("s", &[]), sync()]);
    };
    eventually("a Bind is judged by the newer catalog", || {
        grows("volatile_function", &mut || volatile())
    });
    client
        .borrow_mut()
        .run("create function newcomer(int) returns int stable language sql as 'select $1'");
    why("select newcomer(a) from t", "proven_read");
}

/// `pg-ambassador route` with these arguments.
fn route(args: &[&str]) -> std::process::Output {
    let mut route = std::process::Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
    route.arg("route").args(args).output().unwrap()
}

#[test]
fn route_looks_names_up_where_it_is_told_to_connect() {
    let cluster = support::cluster();
    let database = support::database(cluster);
    support::psql(cluster.port(), &database, OWN);
    let url = cluster.url(&database);
    let told = |sql: &str, more: &[&str]| {
        let output = route(&[&["--upstream", &url], more, &[sql]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let connect = ["--connect"];
    for (sql, part) in [
        ("select stays(a) from t", "proven_read"),
        ("select strays(a) from t", "what it runs: strays\n"),
        ("select * from odd", "do anything: odd\n"),
        ("select nobody(1)", "the database has none of this name"),
    ] {
        let told = told(sql, &connect);
        assert!(told.contains(part), "{sql}: {told}");
        assert!(!told.contains("--connect"), "{sql}: {told}");
    }
    // Offline it says so.
    assert!(told("select stays(a) from t", &[]).contains("--connect"));
    let elsewhere = ["--connect", "--database", "postgres"];
    assert!(told("select stays(1)", &elsewhere).contains("none of this name"));
}

#[test]
fn who_cannot_be_connected_to_is_told_with_what_to_do() {
    let url = "postgres://a:hunter2@127.0.0.1:1/a";
    let output = route(&["--upstream", url, "--connect", "select 1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("127.0.0.1:1, user \"a\", database \"a\": "),
        "{said}"
    );
    assert!(
        said.contains("check --connect") && !said.contains("hunter2"),
        "{said}"
    );
}
