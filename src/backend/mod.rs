//! Is that Postgres well, and how do we reach it? Dials, logs in, cancels.
//! Never decides who may use a connection: that is `pool`'s.

mod ask;
mod cancel;
mod connect;
mod connection;
mod dial;
mod fleet;
mod login;
mod memory;
mod secure;
mod settings;
mod tls_error;
mod trail;
mod version;
mod watch;
mod wire;

pub use ask::{AskError, Row, Show};
pub use cancel::cancel;
pub use connect::{ConnectError, MAX_STATUSES, Opened, Opening, Target, connect};
pub use connection::{Badge, Connection, ConnectionId, Parcel, Seat, Seats};
pub use fleet::{Fleet, Mark, Member, Standing};
pub use login::Login;
pub use memory::{Memory, Prepared, SOMEBODYS, Shape, Statement, StatementId, Used};
pub use secure::{Encryption, Negotiation, Words};
pub use settings::{ChannelBinding, Demand, Keepalive, RequireAuth, Settings};
pub use tls_error::{TlsError, Why};
pub use version::Dialect;
pub use watch::{Finding, Identity, Odd, Said, Watch};
