//! What may keep the comparison from being made.

use std::{io, path::PathBuf};

use pg_ambassador::app::cluster::ClusterError;
use thiserror::Error;

/// Why a peer, a load or the whole comparison could not run.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A file of ours could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which program.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program ended, but not well.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which program.
        program: String,
        /// The end of what it printed.
        said: String,
    },
    /// A program did not end, or not listen, in its time.
    #[error("{program} took longer than {seconds} s")]
    Slow {
        /// Which program.
        program: String,
        /// The limit.
        seconds: u64,
    },
    /// A program printed something else than expected.
    #[error("no {what} in the output of {program}")]
    Output {
        /// What was looked for.
        what: &'static str,
        /// Whose output.
        program: &'static str,
    },
    /// A process vanished while it was measured.
    #[error("process {pid} cannot be measured: {source}")]
    Process {
        /// Which process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A client of ours was refused or cut off.
    #[error("client {number}: {source}")]
    Client {
        /// The how-manieth.
        number: usize,
        /// What happened to it.
        source: io::Error,
    },
    /// A program is not installed.
    #[error("{program} not found ({hint})")]
    Missing {
        /// Which program.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// The throw-away Postgres did not start.
    #[error("no Postgres to measure with")]
    Postgres(#[from] ClusterError),
    /// It has nothing to show by TLS.
    #[error("no certificate for Postgres")]
    Certificate(#[from] rcgen::Error),
    /// A peer does not reach Postgres as it was told to.
    #[error("its connections to Postgres are not as asked for (TLS: {encrypted}): {source}")]
    Tls {
        /// What was asked for.
        encrypted: bool,
        /// What a client heard.
        source: io::Error,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Names the file in an I/O error.
pub fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BenchError {
    let path = path.into();
    move |source| BenchError::File { path, source }
}
