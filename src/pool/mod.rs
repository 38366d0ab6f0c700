//! Who holds which connection? Lends them and takes them back.
//! Never reads a frame: what travels over a lease is `session`'s.

mod settings;

pub use settings::Settings;
