//! Can they prove who they are? Secrets and the arithmetic of logins.
//! Never waits: bytes in, bytes out; nonces come as arguments.

mod certificate;
pub mod md5;
pub mod scram;
mod secret;
mod user;
mod users;

pub use certificate::Names;
pub use secret::{Password, Secret, Source};
pub use user::{Credential, Known, Proof, Question, Stored, User};
pub use users::{Denied, Found, Method, Query, Seed, Settings};
