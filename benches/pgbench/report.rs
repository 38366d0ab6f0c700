//! The figures as tables, for a terminal and for Markdown.

use crate::{
    bounds::{self, Verdict},
    cases::{Case, Kind},
    peers::Peer,
    results::{CPU, Figure, P50, P99, Results, TPS, USER, median},
};

/// The part of the machine that others may use without a word from us.
const QUIET: f64 = 0.05;

/// Everything to print, in order.
pub struct Report {
    head: String,
    tables: Vec<Table>,
    notes: Vec<String>,
    kept: bool,
}

struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// Puts the tables together.
    pub fn new(
        head: String,
        results: &Results,
        cases: &[Case],
        peers: &[Peer],
        pgbouncer_prepares: bool,
    ) -> Self {
        let bounds = bounds::all(results, pgbouncer_prepares);
        let tables = [
            loads(results, cases, peers),
            copies(results, cases, peers),
            calls(results),
            memory(results),
            verdicts(&bounds),
        ];
        let notes = results
            .reasons()
            .into_iter()
            .map(|why| format!("Not run: {why}."));
        let failures = results
            .failures
            .iter()
            .map(|failure| format!("Failed: {failure}"));
        Self {
            head,
            tables: tables
                .into_iter()
                .filter(|table| !table.rows.is_empty())
                .collect(),
            notes: notes.chain(noise(results)).chain(failures).collect(),
            kept: bounds.iter().all(|bound| bound.verdict() == Verdict::Ok),
        }
    }

    /// Whether every bound was measured and kept.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// Columns aligned by spaces.
    pub fn text(&self) -> String {
        self.join(Table::text, "")
    }

    /// Markdown's tables.
    pub fn markdown(&self) -> String {
        self.join(Table::markdown, "**")
    }

    fn join(&self, show: fn(&Table) -> String, strong: &str) -> String {
        let mut text = format!("{}\n", self.head);
        for table in &self.tables {
            text.push_str(&format!(
                "\n{strong}{}{strong}\n\n{}",
                table.title,
                show(table)
            ));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("{note}\n"));
        }
        text
    }
}

impl Table {
    fn text(&self) -> String {
        let widths = self.widths();
        let head: Vec<_> = self
            .columns
            .iter()
            .map(|column| (*column).to_owned())
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let cells = row.iter().zip(&widths).enumerate();
            // Words to the left, figures to the right.
            let cells = cells.map(|(at, (cell, width))| match at {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(at, column): (usize, &&str)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| cell.chars().count()).max();
            widest.unwrap_or(0).max(column.chars().count())
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn markdown(&self) -> String {
        let mut text = format!("| {} |\n", self.columns.join(" | "));
        let rules = (0..self.columns.len()).map(|at| if at < 2 { "---" } else { "--:" });
        text.push_str(&format!("|{}|\n", rules.collect::<Vec<_>>().join("|")));
        for row in &self.rows {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        text
    }
}

fn loads(results: &Results, cases: &[Case], peers: &[Peer]) -> Table {
    let runs = runs(results, cases, peers).filter(|(case, _)| case.kind != Kind::TlsCopy);
    Table {
        title: "pgbench -S: median of the rounds, in brackets the median of the rounds' ratios to PgBouncer (*: to its own simple protocol)",
        columns: vec![
            "case",
            "proxy",
            "tps",
            "p50 ms",
            "p99 ms",
            "CPU µs/tx",
            "of it user",
            "above C relay",
        ],
        rows: runs.map(|(case, peer)| load(results, case, peer)).collect(),
    }
}

/// Who ran what.
fn runs(results: &Results, cases: &[Case], peers: &[Peer]) -> impl Iterator<Item = (Case, Peer)> {
    cases.iter().flat_map(move |case| {
        let peers = peers.iter().map(|peer| (*case, peer.in_case(*case)));
        peers.filter(|(case, peer)| results.ran(*case, *peer))
    })
}

fn load(results: &Results, case: Case, peer: Peer) -> Vec<String> {
    let with_ratio = |figure, digits| with_ratio(results, (case, peer), figure, digits);
    let user = median(&results.values(case, peer, USER));
    let above = median(&results.above_relay(case, peer, CPU)).filter(|_| peer != Peer::Relay);
    vec![
        case.name.to_owned(),
        peer.name().to_owned(),
        with_ratio(TPS, 0),
        with_ratio(P50, 3),
        with_ratio(P99, 3),
        with_ratio(CPU, 2),
        user.map_or("–".to_owned(), |micros| format!("{micros:.2}")),
        above.map_or("–".to_owned(), |micros| format!("{micros:+.2}")),
    ]
}

/// A figure's median, and that of its ratios unless it is what the ratios are to.
fn with_ratio(
    results: &Results,
    (case, peer): (Case, Peer),
    figure: Figure,
    digits: usize,
) -> String {
    let Some(absolute) = median(&results.values(case, peer, figure)) else {
        return "failed".to_owned();
    };
    let ratios = results.ratios(case, peer, figure);
    let itself = results.baseline(case, peer) == Some((case, peer));
    match median(&ratios).filter(|_| !itself) {
        Some(ratio) => format!(
            "{absolute:.digits$} ({ratio:.2}{})",
            own(results, case, peer)
        ),
        None => format!("{absolute:.digits$}"),
    }
}

/// Marks a ratio to the peer's own simple protocol.
fn own(results: &Results, case: Case, peer: Peer) -> &'static str {
    match results.baseline(case, peer) {
        Some((base, _)) if base != case => "*",
        Some(_) | None => "",
    }
}

fn copies(results: &Results, cases: &[Case], peers: &[Peer]) -> Table {
    let runs = runs(results, cases, peers).filter(|(case, _)| case.kind == Kind::TlsCopy);
    let row = |(case, peer): (Case, Peer)| {
        let user = median(&results.values(case, peer, USER));
        vec![
            case.name.to_owned(),
            peer.name().to_owned(),
            with_ratio(results, (case, peer), TPS, 0),
            with_ratio(results, (case, peer), CPU, 0),
            user.map_or("–".to_owned(), |micros| format!("{micros:.0}")),
        ]
    };
    Table {
        title: "One large result: medians and ratios likewise",
        columns: vec!["case", "proxy", "MiB/s", "CPU µs/MiB", "of it user"],
        rows: runs.map(row).collect(),
    }
}

fn calls(results: &Results) -> Table {
    let row = |(peer, calls): (&Peer, &crate::calls::Calls)| {
        vec![
            peer.name().to_owned(),
            calls.list(),
            format!("{:.2}", calls.total()),
            calls.tool().name().to_owned() + &disturbance(calls.strangers()),
        ]
    };
    Table {
        title: "System calls per transaction, simple-32",
        columns: vec!["proxy", "by name", "all", "counted with"],
        rows: results.calls.iter().map(row).collect(),
    }
}

fn memory(results: &Results) -> Table {
    let row = |(peer, memory): (&Peer, &crate::memory::Memory)| {
        vec![
            peer.name().to_owned(),
            format!("{:.1}", memory.idle / 1024.0),
            format!("{:.1}", memory.full / 1024.0),
            format!("{:.2}", memory.per_client()),
        ]
    };
    Table {
        title: "Resident memory",
        columns: vec![
            "proxy",
            "idle MiB",
            "with 1000 idle clients MiB",
            "KiB per client",
        ],
        rows: results.memory.iter().map(row).collect(),
    }
}

fn verdicts(bounds: &[bounds::Bound]) -> Table {
    let row = |bound: &bounds::Bound| {
        vec![
            bound.promise.clone(),
            bound.limit(),
            bound.measured(),
            bound.verdict().word().to_owned(),
        ]
    };
    Table {
        title: "The ambassador's bounds",
        columns: vec!["bound", "limit", "measured", "verdict"],
        rows: bounds.iter().map(row).collect(),
    }
}

/// A warning when the machine had other work.
fn noise(results: &Results) -> Option<String> {
    let strangers = results.strangers();
    let disturbed = strangers.iter().filter(|share| **share > QUIET).count();
    let worst = strangers.iter().copied().max_by(f64::total_cmp)? * 100.0;
    let all = strangers.len();
    (disturbed > 0).then(|| {
        format!("Unsure: in {disturbed} of {all} runs other programs took part of the machine, at worst {worst:.0} %.")
    })
}

fn disturbance(strangers: f64) -> String {
    if strangers <= QUIET {
        return String::new();
    }
    format!(" (others took {:.0} % of the machine)", strangers * 100.0)
}

/// A run as one line while it goes on.
pub fn progress(case: Case, peer: Peer, sample: &crate::load::Sample) -> String {
    let (many, one) = match case.kind {
        Kind::Reconnect => ("tps", "connection"),
        Kind::Steady
        | Kind::TwoWorkers
        | Kind::Rotating
        | Kind::Groups
        | Kind::Own
        | Kind::Same
        | Kind::Tls => ("tps", "transaction"),
        Kind::TlsCopy => ("MiB/s", "MiB"),
    };
    let mut line = format!(
        "{:<13} {:<21} {:>7.0} {many}",
        case.name,
        peer.name(),
        sample.tps
    );
    if let (Some(p50), Some(p99)) = (sample.p50, sample.p99) {
        line += &format!("  p50 {p50:>7.3} ms  p99 {p99:>7.3} ms");
    }
    line + &format!("  {:>6.2} µs a {one}", sample.cpu) + &disturbance(sample.strangers)
}
