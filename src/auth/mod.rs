//! Can they prove who they are? Secrets and the arithmetic of logins.
//! Never waits: bytes in, bytes out; nonces come as arguments.

pub mod md5;
pub mod scram;
mod secret;
mod users;

pub use secret::Secret;
pub use users::{Method, Settings, User};
