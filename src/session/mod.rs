//! What does this client's conversation look like now?

mod settings;

pub use settings::{PoolMode, Settings};
