//! What is found and judged, against what is written in `fixtures/sql`. Needs no server.

use std::collections::BTreeSet;

use pg_ambassador::sql::{Class, Finding, Judgement, Named, find, judge};

use crate::fixture::{self, Expected, Fixture};

/// The commands of the manuals of Postgres 15 to 18: "Reference, I. SQL Commands".
const COMMANDS: &str = "\
ABORT, ALTER AGGREGATE, ALTER COLLATION, ALTER CONVERSION, ALTER DATABASE, ALTER DEFAULT PRIVILEGES,
ALTER DOMAIN, ALTER EVENT TRIGGER, ALTER EXTENSION, ALTER FOREIGN DATA WRAPPER, ALTER FOREIGN TABLE,
ALTER FUNCTION, ALTER GROUP, ALTER INDEX, ALTER LANGUAGE, ALTER LARGE OBJECT,
ALTER MATERIALIZED VIEW, ALTER OPERATOR, ALTER OPERATOR CLASS, ALTER OPERATOR FAMILY, ALTER POLICY,
ALTER PROCEDURE, ALTER PUBLICATION, ALTER ROLE, ALTER ROUTINE, ALTER RULE, ALTER SCHEMA,
ALTER SEQUENCE, ALTER SERVER, ALTER STATISTICS, ALTER SUBSCRIPTION, ALTER SYSTEM, ALTER TABLE,
ALTER TABLESPACE, ALTER TEXT SEARCH CONFIGURATION, ALTER TEXT SEARCH DICTIONARY,
ALTER TEXT SEARCH PARSER, ALTER TEXT SEARCH TEMPLATE, ALTER TRIGGER, ALTER TYPE, ALTER USER,
ALTER USER MAPPING, ALTER VIEW, ANALYZE, BEGIN, CALL, CHECKPOINT, CLOSE, CLUSTER, COMMENT, COMMIT,
COMMIT PREPARED, COPY, CREATE ACCESS METHOD, CREATE AGGREGATE, CREATE CAST, CREATE COLLATION,
CREATE DEFAULT CONVERSION, CREATE DATABASE, CREATE DOMAIN, CREATE EVENT TRIGGER, CREATE EXTENSION,
CREATE FOREIGN DATA WRAPPER, CREATE FOREIGN TABLE, CREATE FUNCTION, CREATE GROUP, CREATE INDEX,
CREATE LANGUAGE, CREATE MATERIALIZED VIEW, CREATE OPERATOR, CREATE OPERATOR CLASS,
CREATE OPERATOR FAMILY, CREATE POLICY, CREATE PROCEDURE, CREATE PUBLICATION, CREATE ROLE,
CREATE RULE, CREATE SCHEMA, CREATE SEQUENCE, CREATE SERVER, CREATE STATISTICS, CREATE SUBSCRIPTION,
CREATE TABLE, CREATE TABLESPACE, CREATE TEXT SEARCH CONFIGURATION, CREATE TEXT SEARCH DICTIONARY,
CREATE TEXT SEARCH PARSER, CREATE TEXT SEARCH TEMPLATE, CREATE TRANSFORM, CREATE TRIGGER,
CREATE TYPE, CREATE USER, CREATE USER MAPPING, CREATE VIEW, DEALLOCATE, DECLARE, DELETE, DISCARD,
DO, DROP ACCESS METHOD, DROP AGGREGATE, DROP CAST, DROP COLLATION, DROP CONVERSION, DROP DATABASE,
DROP DOMAIN, DROP EVENT TRIGGER, DROP EXTENSION, DROP FOREIGN DATA WRAPPER, DROP FOREIGN TABLE,
DROP FUNCTION, DROP GROUP, DROP INDEX, DROP LANGUAGE, DROP MATERIALIZED VIEW, DROP OPERATOR,
DROP OPERATOR CLASS, DROP OPERATOR FAMILY, DROP OWNED, DROP POLICY, DROP PROCEDURE,
DROP PUBLICATION, DROP ROLE, DROP ROUTINE, DROP RULE, DROP SCHEMA, DROP SEQUENCE, DROP SERVER,
DROP STATISTICS, DROP SUBSCRIPTION, DROP TABLE, DROP TABLESPACE, DROP TEXT SEARCH CONFIGURATION,
DROP TEXT SEARCH DICTIONARY, DROP TEXT SEARCH PARSER, DROP TEXT SEARCH TEMPLATE, DROP TRANSFORM,
DROP TRIGGER, DROP TYPE, DROP USER, DROP USER MAPPING, DROP VIEW, END, EXECUTE, EXPLAIN, FETCH,
GRANT, IMPORT FOREIGN SCHEMA, INSERT, LISTEN, LOAD, LOCK, MERGE, MOVE, NOTIFY, PREPARE,
PREPARE TRANSACTION, REASSIGN OWNED, REFRESH MATERIALIZED VIEW, REINDEX, RELEASE, RESET, REVOKE,
ROLLBACK, ROLLBACK PREPARED, ROLLBACK TO, SAVEPOINT, SECURITY LABEL, SELECT, SET, SET CONSTRAINTS,
SET ROLE, SET SESSION AUTHORIZATION, SET TRANSACTION, SHOW, START TRANSACTION, TRUNCATE, UNLISTEN,
UPDATE, VACUUM, VALUES";

/// Written before, behind, or in the place of a `;`: what changes nothing of what a statement is.
const FRAMES: &[(&str, &str)] = &[
    ("", ""),
    ("", ";"),
    (" \t\n", "\n;\n"),
    ("/* a comment */", "/* another */"),
    ("-- a line\n", "\n-- and another"),
    (";", ";;"),
];

type Judge = fn(&Finding) -> Judgement;

fn offline(finding: &Finding) -> Judgement {
    judge(finding, None)
}

/// What is wrong with what is found of this fixture, and with what is judged without a catalog.
fn wrong(fixture: &Fixture, judge: Judge) -> Vec<String> {
    let mut wrong: Vec<String> = FRAMES
        .iter()
        .flat_map(|(before, after)| {
            let finding = find(format!("{before}{}{after}", fixture.text).as_bytes());
            differences(
                &fixture.expected,
                &finding,
                &fixture.expected.offline,
                &judge(&finding),
            )
        })
        .collect();
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Where a finding and its judgement are not what is expected.
pub fn differences(
    expected: &Expected,
    finding: &Finding,
    reasons: &[String],
    judgement: &Judgement,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, found: String, expected: String| {
        differences.push(format!("{what} {found}, not {expected}"));
    };
    let class = finding.class.name();
    if !expected.class.iter().any(|one| one == class) {
        differ("class", class.to_owned(), expected.class.join("|"));
    }
    let reason = reason(judgement);
    if !reasons.iter().any(|one| one == reason) {
        differ("reason", reason.to_owned(), reasons.join("|"));
    }
    let effects: BTreeSet<String> = finding.effects.iter().map(ToString::to_string).collect();
    let certain: BTreeSet<String> = effects.difference(&expected.optional).cloned().collect();
    // An effect that swallows all others makes up for them.
    let is_any = effects.contains("anything") && expected.optional.contains("anything");
    let wanted = expected
        .effects
        .iter()
        .filter(|_| !is_any)
        .cloned()
        .collect();
    if certain != wanted && !(is_any && certain.is_subset(&expected.effects)) {
        differ("effects", format!("{certain:?}"), format!("{wanted:?}"));
    }
    for (what, found, expected) in [
        ("relations", &finding.relations, &expected.relations),
        ("functions", &finding.functions, &expected.functions),
    ] {
        let found: BTreeSet<String> = found.iter().map(spelt).collect();
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != found) {
            differ(what, format!("{found:?}"), format!("{expected:?}"));
        }
    }
    differences
}

/// As metrics tell it.
pub fn reason(judgement: &Judgement) -> &'static str {
    judgement
        .obstacle
        .map_or("proven_read", |obstacle| obstacle.name())
}

/// `schema.name`
pub fn spelt(named: &Named) -> String {
    let name = String::from_utf8_lossy(&named.name);
    match &named.schema {
        Some(schema) => format!("{}.{name}", String::from_utf8_lossy(schema)),
        None => name.into_owned(),
    }
}

fn play(theme: &str) {
    let fixtures = fixture::of(theme);
    let failures: Vec<String> = fixtures
        .iter()
        .filter_map(|fixture| {
            let wrong = wrong(fixture, offline);
            let told = format!(
                "{}: {}\n    {}",
                fixture.place,
                fixture.text,
                wrong.join("\n    ")
            );
            (!wrong.is_empty()).then_some(told)
        })
        .collect();
    let (failed, all) = (failures.len(), fixtures.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all}:\n{}",
        failures.join("\n")
    );
}

#[test]
fn commands_are_what_the_manuals_say() {
    play("commands");
}

#[test]
fn every_row_and_name_of_the_routes_is_judged() {
    play("routing");
}

#[test]
fn what_changes_the_session_is_told_with_its_name() {
    play("session");
}

#[test]
fn functions_are_found_wherever_they_stand() {
    play("functions");
}

#[test]
fn relations_are_found_and_names_of_with_clauses_are_none() {
    play("relations");
}

#[test]
fn hostile_spellings_hide_nothing() {
    play("hostile");
}

#[test]
fn reads_of_applications_are_proven() {
    play("reads");
}

#[test]
fn the_fixtures_know_every_command_and_are_many() {
    let fixtures = fixture::all();
    assert!(fixtures.len() >= 700, "{}", fixtures.len());
    let missing: Vec<String> = COMMANDS
        .split(',')
        .map(|command| command.trim().to_owned())
        .filter(|command| {
            let begins = |fixture: &Fixture| fixture.text.starts_with(&format!("{command} "));
            !fixtures
                .iter()
                .any(|one| begins(one) || one.text == *command)
        })
        .collect();
    assert!(missing.is_empty(), "no statement begins with {missing:?}");
}

/// That the tests above can fail: who calls everything a read is wrong about every fixture that is
/// none, and who calls nothing a read about every one that is.
#[test]
fn a_judge_who_is_wrong_is_found_out() {
    let all = |finding: &Finding| Judgement {
        obstacle: None,
        ..offline(finding)
    };
    let none = |finding: &Finding| Judgement {
        obstacle: Some(pg_ambassador::sql::Obstacle::Unparsable),
        ..offline(finding)
    };
    for fixture in fixture::all() {
        let is_read = fixture
            .expected
            .offline
            .iter()
            .any(|one| one == "proven_read");
        let is_unparsable = fixture
            .expected
            .offline
            .iter()
            .any(|one| one == "unparsable");
        assert!(
            is_read || !wrong(&fixture, all).is_empty(),
            "{}",
            fixture.place
        );
        assert!(
            is_unparsable || !wrong(&fixture, none).is_empty(),
            "{}",
            fixture.place
        );
    }
}

#[test]
fn of_several_statements_the_strongest_class_is_told() {
    let mut classes: Vec<(Class, String)> = fixture::all()
        .into_iter()
        .filter(|fixture| fixture.expected.since == 0)
        .map(|fixture| (find(fixture.text.as_bytes()).class, fixture.text))
        .collect();
    classes.sort();
    classes.dedup_by_key(|(class, _)| *class);
    for (one, first) in &classes {
        for (other, second) in &classes {
            let both = find(format!("{first}\n;{second}").as_bytes()).class;
            assert_eq!(both, *one.max(other), "{first}; {second}");
        }
    }
}
