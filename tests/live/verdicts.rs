//! What texts are known for, where they would go, and what of that operators see.

use crate::{
    admin::scraped,
    scrape::Scrape,
    stage::Stage,
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
    // The last text was known, and so were two of the three that insert.
    assert_eq!(counts.cache("hits_total"), 2.0);
    assert_eq!(counts.cache("misses_total"), 7.0);
    assert_eq!(counts.cache("entries"), 7.0);
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
