//! What do operators see, and what may they do? The console, metrics and probes.
//! Never touches a session or a pool: it asks the house, and reads what is answered.

mod act;
mod command;
mod console;
mod fault;
mod house;
pub mod http;
pub mod metrics;
pub mod probe;
mod report;
mod show;
mod table;

pub use console::{Console, Visitor};
pub use house::{Database, House, Pauses, Rights, Setting, Settings};
pub use report::Report;

/// The databases that are the console, unless one of that name is configured.
pub const DATABASES: [&str; 2] = ["ambassador", "pgbouncer"];
