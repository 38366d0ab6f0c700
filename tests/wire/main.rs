//! What peers do that no well-behaved one does on demand, byte by byte over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "here a failure is a failed test"
)]

mod backends;
mod clients;
mod hostile_backends;
mod hostile_clients;
mod leaving;
mod logins;
mod losses;
mod peers;
#[path = "../support/mod.rs"]
mod support;
