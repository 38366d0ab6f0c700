//! Wires the rooms together. The only place that knows them all.

pub mod cluster;
pub mod demo;

use std::process::ExitCode;

/// Runs the program that the command line asks for.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
