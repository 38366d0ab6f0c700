//! What do these bytes mean? Frames, messages and their tags, in both directions.
//! Never waits, never keeps a byte: it reads slices and appends to vectors.
//!
//! Source of all rules: PostgreSQL documentation, "Frontend/Backend Protocol"
//! (message formats), and `src/backend/tcop/postgres.c` where that is silent.

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod notice;
pub mod options;
mod parameters;
pub mod sqlstate;
pub mod startup;

pub use parameters::Parameters;
pub use sqlstate::SqlState;

#[cfg(test)]
mod tests;
