//! Is that Postgres well, and how do we reach it? Dials, logs in, cancels.
//! Never decides who may use a connection: that is `pool`'s.

mod settings;

pub use settings::Settings;
