//! How do bytes travel? Sockets of every kind behind one face, TLS among them, and what they have
//! not taken yet.
//! Never reads a frame and never decides who speaks to whom.

mod link;
mod scratch;
mod stream;
pub mod tls;
pub mod watch;

pub use link::Link;
pub use scratch::{READ, Scratch};
pub use stream::{Detached, End, Ends, Stream};
