//! Who is at the door? Reads the first packets of a client, up to its start-up or its cancel, and
//! has it prove what it says. Never knows who may come in: what to ask is its caller's word.

mod authenticate;
mod encrypt;
mod negotiate;

pub use authenticate::{Random, Unproven, authenticate};
pub use encrypt::{TlsError, encrypt};
pub use negotiate::{Arrival, Error, Negotiation};
