//! Makes a connection that a client left behind fit for the next.

use std::time::Duration;

use super::converse::converse;
use crate::pool::Lease;
use crate::protocol::{
    backend::{Kind, Status},
    frontend,
};

/// A reset that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(5);

/// Rolls back, discards what the session had, and waits for the backend's word that it is idle.
/// `None`: it did not give it, and the connection is closed.
pub(super) async fn reset(mut lease: Lease, rollback: bool, discard: bool) -> Option<Lease> {
    let mut commands = Vec::new();
    let mut readies = 0;
    let wanted: [(bool, &[u8]); 2] = [(rollback, b"ROLLBACK"), (discard, b"DISCARD ALL")];
    for (_, text) in wanted.iter().filter(|(wanted, _)| *wanted) {
        frontend::put_query(&mut commands, text);
        readies += 1;
    }
    if readies > 0 {
        let mut failed = false;
        let note = |kind, _: &[u8]| failed |= kind == Kind::ErrorResponse;
        let talk = converse(&mut lease, &commands, readies, note);
        let status = tokio::time::timeout(LIMIT, talk).await.ok()?.ok()?;
        if failed || status != Status::Idle {
            return None;
        }
    }
    if discard {
        lease.memory.clear();
    }
    Some(lease)
}
