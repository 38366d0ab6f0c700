//! The front door: everything happens in [`pg_ambassador::app`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pg_ambassador::app::main()
}
