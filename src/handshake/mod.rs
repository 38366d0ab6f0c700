//! Who is at the door? Reads the first packets of a client, up to its start-up or its cancel.
//! Never knows a database or a user: it only learns which are asked for.

mod negotiate;

pub use negotiate::{Arrival, Error, negotiate};
