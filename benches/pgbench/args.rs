//! What the caller may choose.

use std::path::PathBuf;

use clap::Parser;

use crate::{cases::Case, peers::Peer};

/// Compares the ambassador with PgBouncer and with a minimal C relay under pgbench -S.
#[derive(Debug, Parser)]
#[command(name = "pgbench")]
pub struct Args {
    /// Rounds; in each of them every peer runs every case once, in turns [default: 3, quick: 2]
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds per run [default: 4, quick: 1]
    #[arg(long)]
    seconds: Option<u64>,
    /// Only these cases: simple-1 … prepared-200, connect-8, workers2-32, rotating-32,
    /// groups-32, same-16, own-16, tls-32, tls-copy, calls, memory
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// MiB of the one result of tls-copy [default: 1024, quick: 128]
    #[arg(long, value_name = "MIB")]
    copy_size: Option<u32>,
    /// Only these peers (PgBouncer is what the ratios are relative to)
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::PgBouncer, Peer::Relay, Peer::Ambassador, Peer::Judging])]
    pub peers: Vec<Peer>,
    /// Two short rounds: a smoke test, not a figure to quote
    #[arg(long)]
    quick: bool,
    /// Write the Markdown tables to this file
    #[arg(long)]
    pub markdown: Option<PathBuf>,
    /// Exit with 1 when a bound is missed or was not measured
    #[arg(long)]
    pub check: bool,
    /// Passed by cargo, means nothing here
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// How often every peer runs every case.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 3 })
    }

    /// The length of one run.
    pub fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 4 })
    }

    /// The result of tls-copy, in MiB.
    pub fn copy_size(&self) -> u32 {
        self.copy_size
            .unwrap_or(if self.quick { 128 } else { 1024 })
    }

    /// Transactions per client over which system calls are counted.
    pub fn counted_transactions(&self) -> u64 {
        if self.quick { 1000 } else { 4000 }
    }

    /// The cases to run, in the order of the table.
    pub fn cases(&self) -> Vec<Case> {
        let chosen = |case: &Case| self.wants(case.name);
        Case::ALL.into_iter().filter(chosen).collect()
    }

    /// Whether this part of the comparison was asked for.
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }

    /// Names given to `--only` that are no part of the comparison.
    pub fn unknown(&self) -> Vec<&str> {
        let known = |name: &str| {
            ["calls", "memory"].contains(&name) || Case::ALL.iter().any(|case| case.name == name)
        };
        let names = self.only.iter().map(String::as_str);
        names.filter(|name| !known(name)).collect()
    }
}
