//! An application and its Postgres with the ambassador in between: what worked before works.
//! Never looks inside: what a client cannot see is no promise of these tests.
//!
//! Most promises are "as it is directly", so most tests do the same thing twice and compare.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "here a failure is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod admin;
mod bench;
mod builtin;
mod cancelling;
mod catalog;
mod check;
mod code;
mod console;
mod copying;
mod deallocated;
mod deferred;
mod differential;
mod door;
mod downstream_tls;
mod driver;
mod drivers;
mod ending;
mod exchange;
mod fleet;
mod fuzz;
mod habits;
mod hostile;
mod house;
mod isolation;
mod leaving;
mod limits;
mod listening;
mod login;
mod logs;
mod lost;
mod named;
mod options;
mod outage;
mod own;
mod passwords;
mod pins;
mod pool;
mod protocol;
mod psql;
mod replication;
mod rotation;
mod scrape;
mod sequences;
mod settings;
mod sizes;
mod sockets;
mod split;
mod stage;
mod startup;
mod statements;
mod suite;
mod talks;
mod tokens;
mod upstream_tls;
mod users;
mod verdicts;
mod version;
mod wire;
