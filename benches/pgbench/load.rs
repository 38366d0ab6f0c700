//! One run of pgbench against one peer, and what it cost the peer.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    cases::{Case, Kind},
    error::{BenchError, at},
    machine::{CpuTime, Pinned, Shares, last_core},
    peers::{DATABASE, Ground},
    service::{Service, finish_all, wrapped},
};

/// How much longer than asked a run may take.
const PATIENCE_SECONDS: u64 = 30;
/// The share of transactions whose latency is written down: writing costs pgbench time too.
const SAMPLED: &str = "0.2";

/// What one run showed; of a copy, with a MiB in the place of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Transactions per second, as pgbench counts them.
    pub tps: f64,
    /// Median latency in milliseconds; a copy has none.
    pub p50: Option<f64>,
    /// 99th percentile of the latency in milliseconds; a copy has none.
    pub p99: Option<f64>,
    /// Processor microseconds of the proxy per transaction.
    pub cpu: f64,
    /// The part of them in user space, if the run was long enough to tell.
    pub user: Option<f64>,
    /// The part of the machine that programs other than ours used meanwhile, from 0 to 1.
    pub strangers: f64,
}

/// How long a run lasts.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// So many seconds.
    Seconds(u64),
    /// So many transactions per client.
    Transactions(u64),
}

/// Runs a case against a peer and measures it.
///
/// # Errors
/// When pgbench or the peer fails: a client that was cut off fails the run.
pub fn measure(
    ground: &Ground,
    peer: &Service,
    case: Case,
    seconds: u64,
) -> Result<Sample, BenchError> {
    let latencies = TempDir::new_in(ground.folder()).map_err(at(ground.folder()))?;
    let ours: Vec<u32> = ground
        .postmaster()
        .into_iter()
        .chain([peer.pid()])
        .collect();
    let pinned = (case.clients == 1).then(|| {
        // One transaction at a time wanders from core to core, and the figure with it.
        Pinned::new(ours.clone())
    });
    let programs = case.kind.programs(case.clients);
    let commands = (0..programs).map(|number| {
        let command = timed(ground, peer, case, seconds, number, latencies.path());
        match pinned {
            Some(_) => on_one_core(&command),
            None => command,
        }
    });
    let commands: Vec<Command> = commands.collect();
    let shares = Shares::now(&ours);
    let before = CpuTime::of(peer.pid())?;
    let limit = seconds + PATIENCE_SECONDS;
    let said = finish_all(commands, &ground.log("pgbench"), limit, ground.stop())?;
    let used = CpuTime::of(peer.pid())?.since(before);
    let strangers = Shares::now(&ours).strangers_since(shares);
    drop(pinned);
    let reports = said.iter().map(|said| Report::read(said));
    let reports: Vec<Report> = reports.collect::<Result<_, _>>()?;
    let transactions: u64 = reports.iter().map(|report| report.transactions).sum();
    let (p50, p99) = percentiles(latencies.path())?;
    let cpu = used.nanoseconds as f64 / 1000.0 / transactions as f64;
    Ok(Sample {
        tps: reports.iter().map(|report| report.tps).sum(),
        p50: Some(p50),
        p99: Some(p99),
        cpu,
        user: used.user_share().map(|share| share * cpu),
        strangers,
    })
}

/// One of the programs of a measured run, writing latencies down in the folder.
fn timed(
    ground: &Ground,
    peer: &Service,
    case: Case,
    seconds: u64,
    number: u32,
    latencies: &Path,
) -> Command {
    let mut command = command(ground, peer.port(), case, Length::Seconds(seconds));
    let prefix = latencies.join(format!("tx-{number}"));
    command.args(["--log", "--log-prefix"]).arg(prefix);
    if case.kind != Kind::Reconnect {
        command.args(["--sampling-rate", SAMPLED]);
    }
    command.envs(case.kind.settings(number));
    command
}

/// One pgbench as the case wants it.
pub fn command(ground: &Ground, port: u16, case: Case, length: Length) -> Command {
    let mut command = ground.pgbench(port);
    command.args(["-n", "-M", case.mode.flag(), "-j", threads(case)]);
    match case.kind {
        Kind::Rotating => command.arg("-f").arg(ground.rotating()),
        Kind::Steady
        | Kind::Reconnect
        | Kind::TwoWorkers
        | Kind::Groups
        | Kind::Own
        | Kind::Same
        | Kind::Tls
        | Kind::TlsCopy => command.arg("-S"),
    };
    let clients = case.clients / case.kind.programs(case.clients);
    command.args(["-c", &clients.to_string()]);
    match length {
        Length::Seconds(seconds) => command.args(["-T", &seconds.to_string()]),
        Length::Transactions(count) => command.args(["-t", &count.to_string()]),
    };
    if case.kind == Kind::Reconnect {
        command.arg("-C");
    }
    command.arg(DATABASE);
    command
}

/// One thread of pgbench feeds 32 clients with time to spare, and leaves the cores to the others;
/// at more it would spend its time polling.
fn threads(case: Case) -> &'static str {
    match case.kind {
        Kind::Steady | Kind::Rotating | Kind::Tls | Kind::TlsCopy if case.clients <= 32 => "1",
        Kind::Groups | Kind::Own | Kind::Same => "1",
        Kind::Steady
        | Kind::Reconnect
        | Kind::TwoWorkers
        | Kind::Rotating
        | Kind::Tls
        | Kind::TlsCopy => "2",
    }
}

/// The same command under taskset.
fn on_one_core(command: &Command) -> Command {
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", &last_core()]);
    wrapped(taskset, command)
}

/// What pgbench prints at its end.
pub struct Report {
    /// How many it ran.
    pub transactions: u64,
    /// How many a second.
    pub tps: f64,
}

impl Report {
    /// Finds the figures in pgbench's output.
    ///
    /// # Errors
    /// When they are not there, or when a transaction failed.
    pub fn read(said: &str) -> Result<Self, BenchError> {
        let number = |name| {
            let rest = said.lines().find_map(|line| line.strip_prefix(name))?;
            rest.trim_start().split([' ', '/']).next()
        };
        let missing = |what| BenchError::Output {
            what,
            program: "pgbench",
        };
        let transactions = number("number of transactions actually processed:")
            .and_then(|count| count.parse().ok())
            .filter(|count| *count > 0);
        let tps = number("tps =").and_then(|rate| rate.parse().ok());
        if number("number of failed transactions:").is_some_and(|count| count != "0") {
            return Err(BenchError::Failed {
                program: "pgbench".to_owned(),
                said: "transactions failed".to_owned(),
            });
        }
        Ok(Self {
            transactions: transactions.ok_or(missing("transactions"))?,
            tps: tps.ok_or(missing("tps"))?,
        })
    }
}

/// Median and 99th percentile in milliseconds over pgbench's per-transaction logs, whose third
/// column is the latency in microseconds.
fn percentiles(folder: &Path) -> Result<(f64, f64), BenchError> {
    let mut latencies: Vec<u64> = Vec::new();
    for file in fs::read_dir(folder).map_err(at(folder))? {
        let path = file.map_err(at(folder))?.path();
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        latencies.extend(text.lines().filter_map(latency));
    }
    latencies.sort_unstable();
    let rank = |percent: usize| {
        let index = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(index).map(|micros| *micros as f64 / 1000.0)
    };
    rank(50).zip(rank(99)).ok_or(BenchError::Output {
        what: "latencies",
        program: "pgbench",
    })
}

fn latency(line: &str) -> Option<u64> {
    line.split_whitespace().nth(2)?.parse().ok()
}
