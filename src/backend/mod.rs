//! Is that Postgres well, and how do we reach it? Dials, logs in, cancels.
//! Never decides who may use a connection: that is `pool`'s.

mod cancel;
mod connect;
mod connection;
mod dial;
mod memory;
mod settings;

pub use cancel::cancel;
pub use connect::{ConnectError, Login, MAX_STATUSES, Target, connect};
pub use connection::{Badge, Connection, ConnectionId, Parcel, Seat, Seats};
pub use memory::{Memory, Prepared, SOMEBODYS, Shape, Statement, StatementId};
pub use settings::{Keepalive, Settings};
