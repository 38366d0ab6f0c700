//! What does the ambassador cost beside PgBouncer? Starts a throw-away Postgres and the proxies,
//! has pgbench load them in turns, and prints each figure as a ratio within its round.
//! Never bends a bound, never leaves a process or a file behind.
//!
//! `cargo bench --bench pgbench -- --help` tells what can be chosen.

mod args;
mod bounds;
mod calls;
mod cases;
mod client;
mod copy;
mod error;
mod load;
mod machine;
mod memory;
mod peers;
mod report;
mod results;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::ExitCode,
    time::Instant,
};

use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::{
    args::Args,
    calls::{Calls, Tool},
    cases::{Case, Kind},
    error::{BenchError, at},
    load::measure,
    machine::Stop,
    memory::Memory,
    peers::{Ground, POOL_SIZE, Peer, prove_tls},
    report::{Report, progress},
    results::Results,
    service::Service,
};

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.unknown().is_empty() {
        let said = format!("no such case: {}", args.unknown().join(", "));
        Args::command().error(ErrorKind::InvalidValue, said).exit();
    }
    match compare(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pgbench: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The whole comparison, from Postgres' start to the last table.
fn compare(args: &Args) -> Result<ExitCode, BenchError> {
    let started = Instant::now();
    machine::raise_file_limit();
    let ground = Ground::prepare(&Stop::on_signal())?;
    eprintln!("{}, {}", ground.versions(), machine::describe());
    let mut results = Results::default();
    if args.wants("memory") {
        weigh(&ground, args, &mut results)?;
    }
    let services = start_all(&ground, args, &mut results)?;
    for round in 1..=args.rounds() {
        eprintln!("round {round} of {}", args.rounds());
        run_round(&ground, args, round, &services, &mut results)?;
    }
    if args.wants("calls") {
        count_calls(&ground, args, &services, &mut results)?;
    }
    eprintln!("took {} s", started.elapsed().as_secs());
    let head = head(&ground, args);
    let report = Report::new(
        head,
        &results,
        &args.cases(),
        &args.peers,
        ground.pgbouncer_prepares(),
    );
    println!("\n{}", report.text());
    if let Some(path) = &args.markdown {
        fs::write(path, report.markdown()).map_err(at(path))?;
    }
    let missed = args.check && !report.kept();
    let failed = missed || !results.failures.is_empty();
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn head(ground: &Ground, args: &Args) -> String {
    format!(
        "{}, {}; pool of {POOL_SIZE}, {} rounds of {} s a run",
        ground.versions(),
        machine::describe(),
        args.rounds(),
        args.seconds()
    )
}

/// Starts who is needed and has each open its whole pool.
fn start_all(
    ground: &Ground,
    args: &Args,
    results: &mut Results,
) -> Result<BTreeMap<Peer, Service>, BenchError> {
    let mut services = BTreeMap::new();
    for peer in wanted(ground, args) {
        let Some(service) = tried(ground.start(peer), peer.name(), results)? else {
            continue;
        };
        let warm =
            prove_tls(peer, &service).and_then(|()| measure(ground, &service, Case::SIMPLE_32, 1));
        if tried(warm, peer.name(), results)?.is_some() {
            services.insert(peer, service);
        }
    }
    Ok(services)
}

/// The peers that some case, or the count of calls, needs.
fn wanted(ground: &Ground, args: &Args) -> BTreeSet<Peer> {
    let mut peers = BTreeSet::new();
    for case in args.cases() {
        let runs = args.peers.iter().map(|peer| peer.in_case(case));
        peers.extend(runs.filter(|peer| ground.refusal(*peer, case).is_none()));
    }
    if args.wants("calls") {
        peers.extend(&args.peers);
    }
    peers
}

/// Every case once by every peer; who begins changes from round to round.
fn run_round(
    ground: &Ground,
    args: &Args,
    round: u32,
    services: &BTreeMap<Peer, Service>,
    results: &mut Results,
) -> Result<(), BenchError> {
    let mut peers = args.peers.clone();
    for _ in 1..round {
        peers.rotate_left(1);
    }
    for case in args.cases() {
        for peer in peers.iter().map(|peer| peer.in_case(case)) {
            if let Some(why) = ground.refusal(peer, case) {
                results.refuse(case, peer, why);
                continue;
            }
            let Some(service) = services.get(&peer) else {
                continue;
            };
            let what = format!("{} on {}", case.name, peer.name());
            let measured = if case.kind == Kind::TlsCopy {
                copy::measure(ground, service, args.copy_size())
            } else {
                measure(ground, service, case, args.seconds())
            };
            let sample = tried(measured, &what, results)?;
            if let Some(sample) = &sample {
                eprintln!("  {}", progress(case, peer, sample));
            }
            results.record(case, peer, sample);
        }
    }
    Ok(())
}

fn weigh(ground: &Ground, args: &Args, results: &mut Results) -> Result<(), BenchError> {
    for peer in &args.peers {
        let what = format!("memory of {}", peer.name());
        if let Some(memory) = tried(Memory::weigh(ground, *peer), &what, results)? {
            results.memory.insert(*peer, memory);
        }
    }
    Ok(())
}

fn count_calls(
    ground: &Ground,
    args: &Args,
    services: &BTreeMap<Peer, Service>,
    results: &mut Results,
) -> Result<(), BenchError> {
    let Some(tool) = Tool::find() else {
        results
            .failures
            .push("system calls: neither perf nor strace works here".to_owned());
        return Ok(());
    };
    for (peer, service) in services
        .iter()
        .filter(|(peer, _)| args.peers.contains(peer))
    {
        let what = format!("system calls of {}", peer.name());
        let calls = Calls::count(ground, service, tool, args.counted_transactions());
        if let Some(calls) = tried(calls, &what, results)? {
            results.calls.insert(*peer, calls);
        }
    }
    Ok(())
}

/// A failure is taken down and the comparison goes on; Ctrl-C ends it.
fn tried<T>(
    result: Result<T, BenchError>,
    what: &str,
    results: &mut Results,
) -> Result<Option<T>, BenchError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(BenchError::Interrupted) => Err(BenchError::Interrupted),
        Err(error) => {
            let failure = format!("{what}: {}", chain(&error));
            eprintln!("  {failure}");
            results.failures.push(failure);
            Ok(None)
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Some of ours already say their cause.
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(&format!(": {said}"));
        }
        cause = next.source();
    }
    text
}
