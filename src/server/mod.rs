//! Listens, lets clients in, and runs the workers.

mod settings;

pub use settings::{Database, Listen, Settings, Shutdown};
