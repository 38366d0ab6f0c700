//! Serves until a signal says otherwise.

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::sleep,
};
use tracing_subscriber::EnvFilter;

use super::{admin::Admin, demo::Wanted};
use crate::config::{self, Cli, Command, Config, LogFormat, LogSettings, World};
use crate::server::{self, Beside, Door, Shutdown};

/// How often the drain looks whether all have left.
const LOOK: Duration = Duration::from_millis(20);
/// How long those who are cut off have to hear it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// A second signal of a kind: at once.
const INTERRUPTED: u8 = 130;

/// Serves what the configuration asks for, until it is told to end.
pub fn serve(config: Config) -> ExitCode {
    log(config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let shutdown = config.server.shutdown;
    let addresses = config.server.addresses.clone();
    let workers = config.server.workers;
    let admin = Admin::new(&config);
    let until = async |door: Door| {
        admin.open(&door);
        tracing::info!(?addresses, workers, "ready for clients");
        watch(&door, shutdown).await
    };
    match server::run(config.server, until) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pg-ambassador: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves beside the caller, for the demo.
pub fn in_background(
    wanted: &Wanted,
    world: &World<'_>,
) -> Result<Beside, Box<dyn Error + Send + Sync>> {
    use clap::Parser;
    let listen = wanted.listen.to_string();
    let args = ["pg-ambassador", "--upstream", &wanted.upstream];
    let replicas = wanted.replicas.iter().flat_map(|url| ["--replica", url]);
    let args = args
        .into_iter()
        .chain(replicas)
        .chain(["--listen", &listen]);
    let Command::Run(run) = Cli::try_parse_from(args)?.into_command() else {
        return Err("the demo's own command line is not understood".into());
    };
    let config = config::load(&run, world)?;
    Ok(server::run_beside(config.server)?)
}

fn log(settings: LogSettings) {
    let filter = EnvFilter::new(settings.level.as_str());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match settings.format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
}

async fn watch(door: &Door, shutdown: Shutdown) -> ExitCode {
    let signals = Signals::listen();
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("pg-ambassador: cannot watch for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut heard: Vec<Told> = Vec::new();
    tokio::select! {
        told = signals.next(door) => heard.push(told),
        // The console's SHUTDOWN does what a first SIGTERM does.
        () = door.asked_to_end() => {}
    }
    let hurry = Notify::new();
    if heard.contains(&Told::Interrupt) {
        hurry.notify_one();
    }
    let drained = drain(door, shutdown, &hurry);
    tokio::pin!(drained);
    loop {
        let told = tokio::select! {
            () = &mut drained => return ExitCode::SUCCESS,
            told = signals.next(door) => told,
        };
        if heard.contains(&told) {
            tracing::warn!(
                clients = door.clients(),
                "told a second time: ending at once"
            );
            return ExitCode::from(INTERRUPTED);
        }
        if told == Told::Interrupt {
            hurry.notify_one();
        }
        heard.push(told);
    }
}

/// Ends when all clients have left, or when those who are left have been cut off. `hurry` ends
/// the grace.
async fn drain(door: &Door, shutdown: Shutdown, hurry: &Notify) {
    let begun = Instant::now();
    let Shutdown {
        grace,
        drain_timeout,
    } = shutdown;
    door.announce_end();
    tracing::info!(clients = door.clients(), "shutting down");
    tokio::select! {
        biased;
        () = hurry.notified() => {}
        _ = empty_within(door, Some(begun + grace)) => {}
    }
    door.drain();
    let end = (!drain_timeout.is_zero()).then(|| begun + drain_timeout);
    if empty_within(door, end).await {
        tracing::info!("all clients have left");
        return;
    }
    let cut = door.clients();
    tracing::warn!(
        clients = cut,
        "drain_timeout is over: cutting off who is left"
    );
    door.send_away();
    empty_within(door, Some(Instant::now() + LAST_WORDS)).await;
}

/// Whether all clients have left before that; `None`: waits for ever.
async fn empty_within(door: &Door, end: Option<Instant>) -> bool {
    while door.clients() > 0 {
        if end.is_some_and(|end| Instant::now() >= end) {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Terminate,
    Interrupt,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self, door: &Door) -> Told {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Told::Terminate,
                _ = self.interrupt.recv() => return Told::Interrupt,
                _ = self.reload.recv() => {
                    door.reread();
                    tracing::warn!("SIGHUP: certificates and keys were read again, as passwords are at every login; reloading the rest is not supported yet");
                }
            }
        }
    }
}
