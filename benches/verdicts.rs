//! What it costs a session to know where a text goes.

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use pg_ambassador::backend::Statement;
use pg_ambassador::backend::StatementId;
use pg_ambassador::protocol::frontend;
use pg_ambassador::route::Reads;
use pg_ambassador::route::Rules;
use pg_ambassador::session::Judged;
use pg_ambassador::session::Names;
use pg_ambassador::session::Spelling;
use pg_ambassador::session::Verdicts;
use pg_ambassador::sql::read;
use pg_ambassador::telemetry::counters::Traffic;
use std::hint::black_box;
use std::sync::Arc;

const POINT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;";

fn verdicts() -> Verdicts {
    let rules = Rules {
        reads: Reads::Replicas,
        backends: 2,
        has_replicas: true,
    };
    Verdicts::new(rules, Arc::default(), 7)
}

fn texts() -> Vec<(&'static str, String)> {
    let update = "UPDATE pgbench_accounts SET abalance = abalance + -4711 WHERE aid = 12345;";
    let columns = "o.id, o.state, o.created_at, ".repeat(3);
    let typical = format!(
        "SELECT {columns} c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = $1"
    );
    vec![
        ("begin", "BEGIN".to_owned()),
        ("point", POINT.to_owned()),
        ("update", update.to_owned()),
        ("typical", typical),
        ("hinted", format!("/* ambassador: replica */ {POINT}")),
    ]
}

/// A simple query whose fingerprint is known: from its text to the counters.
fn query(criterion: &mut Criterion) {
    let (verdicts, traffic) = (verdicts(), Traffic::default());
    let mut group = criterion.benchmark_group("known_query");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let text = black_box(text.as_bytes());
                let found = verdicts.judge(text, Spelling::Standard, true);
                found.judged.count(&traffic);
                found.reading
            });
        });
    }
    group.finish();
}

/// The names of a client that has prepared ten statements.
fn names(judged: Option<&Judged>) -> Names {
    let mut names = Names::default();
    for number in 0..10 {
        let statement = Arc::new(Statement {
            id: StatementId(number),
            name: format!("_ambassador_{number}").into(),
            rest: frontend::parse_rest(POINT.as_bytes()),
            reading: read(POINT.as_bytes()),
            proven: Default::default(),
            shape: Default::default(),
        });
        let name = format!("P0_{number}").into_bytes();
        names.insert_judged(name.into(), statement, judged.cloned());
    }
    names
}

/// A Bind of a named statement: the look-up that it needs anyway, with and without the verdict.
fn bind(criterion: &mut Criterion) {
    let (verdicts, traffic) = (verdicts(), Traffic::default());
    let found = verdicts.judge(POINT.as_bytes(), Spelling::Standard, true);
    let mut group = criterion.benchmark_group("bind");
    let names_alone = names(None);
    group.bench_function("name", |bench| {
        bench.iter(|| names_alone.named(black_box(b"P0_7")));
    });
    let judged = names(Some(&found.judged));
    group.bench_function("name_and_verdict", |bench| {
        bench.iter(|| {
            let (statement, judged) = judged.named(black_box(b"P0_7"));
            if let Some(judged) = judged.filter(|judged| verdicts.holds(judged)) {
                judged.count(&traffic);
            }
            statement
        });
    });
    group.finish();
}

criterion_group!(benches, query, bind);
criterion_main!(benches);
