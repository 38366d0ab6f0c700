//! What it costs to read a statement.

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use pg_ambassador::sql::read;
use std::hint::black_box;

fn texts() -> Vec<(&'static str, String)> {
    let point = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;";
    let update = "UPDATE pgbench_accounts SET abalance = abalance + -4711 WHERE aid = 12345;";
    let clause = "LEFT JOIN \"order_items\" AS oi ON oi.order_id = o.id AND oi.state <> 'cancelled' -- joined\n";
    let long = format!(
        "SELECT o.id, count(*) FROM orders o {} WHERE o.created_at > now() - interval '1 day'",
        clause.repeat(21)
    );
    let ids: Vec<String> = (100_000..110_000).map(|id: u32| id.to_string()).collect();
    vec![
        ("point", point.to_owned()),
        ("begin", "BEGIN".to_owned()),
        ("update", update.to_owned()),
        ("set", "SET extra_float_digits = 3".to_owned()),
        ("2kb", long),
        (
            "in_10000",
            format!("SELECT * FROM t WHERE id IN ({})", ids.join(", ")),
        ),
        (
            "bytea_1mb",
            format!("INSERT INTO t VALUES ('\\x{}')", "00ff".repeat(1 << 18)),
        ),
    ]
}

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| read(black_box(text.as_bytes())));
        });
    }
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
