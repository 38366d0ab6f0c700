//! Wires the rooms together. The only place that knows them all.

mod admin;
mod check;
pub mod cluster;
pub mod demo;
mod dial;
mod primaries;
mod route;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::admin::probe;
use crate::config::{self, Cli, Command, Refusal, World};
#[cfg(debug_assertions)]
use crate::session::sabotage;

/// Runs the program that the command line asks for.
pub fn main() -> ExitCode {
    let world = World {
        variable: &config::from_environment,
        cpus: config::cpus(),
    };
    #[cfg(debug_assertions)]
    sabotage::arm((world.variable)(sabotage::VARIABLE).as_deref());
    match Cli::parse().into_command() {
        Command::Run(run) => match config::load(&run, &world) {
            Ok(config) => serve::serve(config),
            Err(refusal) => refuse(&refusal),
        },
        Command::Check(check) => {
            let connect = check.connect;
            match config::load(&check.into_run(), &world) {
                Ok(config) => check::check(&config, connect),
                Err(refusal) => refuse(&refusal),
            }
        }
        Command::Route(asked) => match config::load(&asked.as_run(), &world) {
            Ok(config) => route::route(&config, &asked),
            Err(refusal) => refuse(&refusal),
        },
        Command::Health(health) => match health.address(world.variable) {
            Ok(address) => match probe::ready(address) {
                Ok(()) => ExitCode::SUCCESS,
                Err(unready) => {
                    eprintln!("pg-ambassador: {unready}");
                    ExitCode::FAILURE
                }
            },
            Err(mistakes) => refuse(&Refusal::Mistakes(mistakes)),
        },
        Command::Demo(demo) => match demo.validate() {
            Ok(()) => {
                let options = demo::Options {
                    once: demo.once,
                    bench: demo.bench,
                    replicas: demo.replicas,
                };
                demo::run(options, |wanted| serve::in_background(wanted, &world))
            }
            Err(mistakes) => refuse(&Refusal::Mistakes(mistakes)),
        },
    }
}

fn refuse(refusal: &Refusal) -> ExitCode {
    eprintln!("{refusal}");
    match refusal {
        Refusal::NothingToServe => ExitCode::from(2),
        Refusal::Mistakes(_) => ExitCode::FAILURE,
    }
}
