//! What do operators see, and what may they do? The console, metrics and probes.
//! Never touches a session or a pool: it asks the house, and reads what is answered.

mod act;
mod census;
mod command;
mod console;
mod fault;
mod history;
mod house;
pub mod http;
pub mod metrics;
pub mod probe;
mod report;
mod show;
mod table;

pub use census::{Census, Clients, PoolCensus};
pub use console::{Console, Visitor};
pub use history::{History, PoolHistory, remembered_as};
pub use house::{Database, House, Pauses, Rights, Setting, Settings};
pub use report::{Detail, Report};

/// The databases that are the console, unless one of that name is configured.
pub const DATABASES: [&str; 2] = ["ambassador", "pgbouncer"];
