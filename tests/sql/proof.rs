//! No read is false, and few are missed: the oracle's word on all that is judged.

use std::process::Command;

use pg_ambassador::sql::{Judgement, find, judge};

use crate::{
    corpus, fixture, known,
    oracle::{self, Case, Report},
    stand::{DATABASE, Stand},
    support,
    verdicts::{differences, reason},
};

/// Of what a standby answers so many percent are to be called reads.
const ENOUGH: f64 = 95.0;

/// What pgbench has built in.
const SCRIPTS: &[&str] = &["tpcb-like", "simple-update", "select-only"];

type Judge<'a> = dyn Fn(&str) -> Judgement + 'a;

fn case(source: &'static str, text: String, judge: &Judge<'_>) -> Case {
    let judgement = judge(&text);
    let reason = judgement.obstacle.is_some().then(|| reason(&judgement));
    Case {
        source,
        text,
        reason,
    }
}

fn fixtures() -> Vec<String> {
    fixture::all()
        .into_iter()
        .map(|fixture| fixture.text)
        .collect()
}

/// Each statement by itself, and each script as one text; variables are ones.
fn pgbench_scripts(stand: &Stand) -> Vec<String> {
    let mut texts = Vec::new();
    for script in SCRIPTS {
        let mut pgbench = Command::new(stand.primary.bin("pgbench").unwrap());
        let told = pgbench.args(["--show-script", script]).output().unwrap();
        // The script is told to standard error.
        let told = [told.stdout, told.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        let lines: Vec<&str> = told
            .lines()
            .filter(|line| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty())
            .collect();
        let script = lines.join("\n");
        for text in lines.into_iter().chain([script.as_str()]) {
            let mut text = text.to_owned();
            for variable in [":aid", ":bid", ":tid", ":delta"] {
                text = text.replace(variable, "1");
            }
            texts.push(text);
        }
    }
    texts
}

/// A call of every function of the server's own whose arguments can be made up.
fn calls_of_all_functions(stand: &Stand) -> Vec<String> {
    let calls = support::psql(stand.primary.port(), DATABASE, include_str!("calls.sql"));
    calls.lines().map(str::to_owned).collect()
}

pub fn told(report: &Report) {
    for (source, share) in &report.shares {
        let percent = share.percent();
        println!(
            "{source}: {} recognised, {} missed, {percent:.1} %",
            share.recognised, share.missed
        );
    }
    let whole = report.whole();
    println!(
        "whole: {} recognised, {} missed, {:.1} %",
        whole.recognised,
        whole.missed,
        whole.percent()
    );
    println!(
        "judged reads that both servers refuse: {}",
        report.refused_alike
    );
    println!("missed:\n{}", report.missed.join("\n"));
}

/// With the catalog, what is said of every fixture is what is written there.
#[test]
fn with_the_catalog_every_fixture_is_judged_as_written() {
    let stand = Stand::new();
    let known = known::of(&stand);
    let mut failures = Vec::new();
    let fixtures = fixture::all();
    for fixture in &fixtures {
        let finding = find(fixture.text.as_bytes());
        let judgement = judge(&finding, Some(&known));
        let expected = &fixture.expected;
        let wrong = differences(expected, &finding, &expected.reason, &judgement);
        if !wrong.is_empty() {
            let wrong = wrong.join("\n    ");
            failures.push(format!("{}: {}\n    {wrong}", fixture.place, fixture.text));
        }
    }
    let (failed, all) = (failures.len(), fixtures.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all}:\n{}",
        failures.join("\n")
    );
}

#[test]
fn no_read_is_false_and_few_are_missed() {
    let stand = Stand::new();
    let known = known::of(&stand);
    let judge = |text: &str| judge(&find(text.as_bytes()), Some(&known));
    let sources = [
        ("fixtures", fixtures()),
        ("pgbench", pgbench_scripts(&stand)),
        ("corpus", corpus::generated(5000, 7)),
        ("functions", calls_of_all_functions(&stand)),
    ];
    let cases: Vec<Case> = sources
        .into_iter()
        .flat_map(|(source, texts)| texts.into_iter().map(move |text| (source, text)))
        .map(|(source, text)| case(source, text, &judge))
        .collect();
    let report = oracle::ask(&stand, &cases);
    told(&report);
    let (number, all) = (report.false_reads.len(), cases.len());
    assert!(
        number == 0,
        "{number} false reads of {all}:\n{}",
        report.false_reads.join("\n")
    );
    assert!(report.whole().percent() >= ENOUGH, "{:?}", report.whole());
}

/// That the oracle would notice: who calls everything a read is told which are none, by what they
/// did, and who calls nothing a read has missed them all.
#[test]
fn a_judge_who_is_wrong_is_found_out_by_the_servers() {
    let stand = Stand::new();
    let of = |themes: &[&str], reason| -> Vec<Case> {
        let fixtures = themes.iter().flat_map(|theme| fixture::of(theme));
        let texts = fixtures.map(|fixture| fixture.text);
        let case = |text| Case {
            source: "fixtures",
            text,
            reason,
        };
        texts.map(case).collect()
    };
    let all = oracle::ask(&stand, &of(&["session", "functions", "relations"], None));
    for (text, fault) in [
        ("SELECT nextval('order_seq')", "25006"),
        ("SELECT public.f_twice(1)", "25006"),
        ("SELECT 5::d_volatile", "25006"),
        ("SELECT 1 @!@ 2", "25006"),
        ("SELECT * FROM scratch", "0A000"),
        ("SELECT set_config('a.b', 'x', false)", "changes"),
        ("SET work_mem = '1MB'", "changes"),
        ("PREPARE p AS SELECT 1", "changes"),
        ("LISTEN a", "25006"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "changes"),
        ("BEGIN", "open"),
        ("CREATE TEMP TABLE t (a int)", "25006"),
    ] {
        let blamed = |told: &&String| told.starts_with(&format!("fixtures: {text}\n"));
        let told = all.false_reads.iter().find(blamed);
        let told = told.unwrap_or_else(|| panic!("{text} is not blamed"));
        assert!(told.contains(fault), "{told}");
    }
    let none = oracle::ask(&stand, &of(&["reads"], Some("unparsable")));
    assert!(none.whole().percent() < 1.0, "{:?}", none.whole());
    assert!(none.missed.len() > 100, "{}", none.missed.len());
}
