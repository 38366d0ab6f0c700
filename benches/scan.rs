//! What it costs to read a statement, and to know one that was read before.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is a failed benchmark"
)]

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use pg_ambassador::sql::Cached;
use pg_ambassador::sql::Limits;
use pg_ambassador::sql::Print;
use pg_ambassador::sql::Strings;
use pg_ambassador::sql::Verdicts;
use pg_ambassador::sql::fingerprint;
use pg_ambassador::sql::read;
use std::hint::black_box;
use std::rc::Rc;

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

/// What a statement costs whose verdict is known: its print, and finding it by that.
fn known(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("known");
    for (name, text) in texts().into_iter().chain(everyday()) {
        let print = print(&text);
        let mut verdicts = Verdicts::new(Limits::default());
        verdicts.insert(&print, 0, 0, Rc::new(Verdict));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let print = self::print(black_box(&text));
                verdicts.get(&print, 0, 0).cloned()
            });
        });
    }
    group.finish();
}

/// As many texts in turn: what one leaves in the processor's memory helps no other.
fn rotating(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rotating");
    let texts = shapes(1000);
    let mut verdicts = Verdicts::new(Limits::default());
    for text in &texts {
        verdicts.insert(&print(text), 0, 0, Rc::new(Verdict));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    group.throughput(Throughput::Bytes((bytes / texts.len()) as u64));
    let mut turn = texts.iter().cycle();
    group.bench_function("1000", |bench| {
        bench.iter(|| {
            let text = turn.next().map_or("", String::as_str);
            verdicts.get(&print(black_box(text)), 0, 0).cloned()
        });
    });
    group.finish();
}

/// Time per byte must not grow with the text.
fn hostile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hostile");
    for (name, part) in HOSTILE {
        for size in [1 << 16, 1 << 20] {
            let text = part.repeat(size / part.len());
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{name}/{size}"), |bench| {
                bench.iter(|| print(black_box(&text)));
            });
        }
    }
    group.finish();
}

const HOSTILE: &[(&str, &str)] = &[
    ("open", "("),
    ("lists", "in(("),
    ("rows", "values("),
    ("elements", "in(1,"),
    ("signs", "+-"),
    ("quotes", "'"),
    ("quoted", "'a' "),
    ("continued", "'a'\n"),
    ("comments", "/*"),
    ("dashes", "--\n"),
    ("dollars", "$a"),
    ("dollar_tags", "$a$b"),
    ("name", "abcdefgh"),
    ("upper", "SELECT "),
    ("names", "\"a\"."),
    ("unicode", "U&'' uescape "),
    ("semicolons", ";"),
    ("backslashes", "E'\\"),
    ("hints", "/*ambassador:a*/"),
    ("zeros", "\0"),
];

/// What applications send all day.
fn everyday() -> Vec<(&'static str, String)> {
    let orm = "SELECT \"users\".* FROM \"users\" WHERE \"users\".\"email\" = $1 AND \"users\".\"active\" = $2 LIMIT $3";
    let insert = "INSERT INTO events (user_id, kind, payload, created_at) VALUES (42, 'login', '{\"ip\": \"10.1.2.3\"}', '2026-01-01 00:00:00+00') RETURNING id";
    let upper = "SELECT o.id, o.total FROM orders o WHERE o.customer_id = 8123 AND o.state IN ('open', 'paid') ORDER BY o.id DESC LIMIT 20";
    let row = "(DEFAULT, 4711, 'some text', NULL, now())";
    let rows = vec![row; 1000].join(", ");
    vec![
        ("orm", orm.to_owned()),
        ("insert", insert.to_owned()),
        ("upper", upper.to_owned()),
        ("lower", upper.to_ascii_lowercase()),
        ("rows_1000", format!("INSERT INTO t VALUES {rows}")),
    ]
}

/// So many texts that have no print in common.
fn shapes(count: usize) -> Vec<String> {
    let tables = [
        "orders",
        "users",
        "order_items",
        "events",
        "pgbench_accounts",
    ];
    let columns = [
        "id",
        "user_id",
        "created_at",
        "state",
        "email",
        "total",
        "kind",
    ];
    let ends = ["", " LIMIT 20", " ORDER BY id", " FOR UPDATE"];
    let shape = |number: usize| {
        let (table, column) = (tables[number % 5], columns[number / 5 % 7]);
        let (other, end) = (columns[number / 35 % 7], ends[number / 245 % 4]);
        let more = " AND deleted_at IS NULL".repeat(number / 980);
        format!(
            "SELECT a.{column}, a.{other} FROM {table} a WHERE a.{column} = {number} AND a.name <> 'x'{more}{end}"
        )
    };
    (0..count).map(shape).collect()
}

fn print(text: &str) -> Print {
    fingerprint(text.as_bytes(), Strings::Standard, 1).expect("standard strings")
}

struct Verdict;

impl Cached for Verdict {
    fn bytes(&self) -> usize {
        200
    }

    fn is_literal(&self) -> bool {
        false
    }
}

criterion_group!(benches, scan, known, rotating, hostile);
criterion_main!(benches);
