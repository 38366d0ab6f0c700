//! Asks a backend to stop what one of its connections is doing.

use std::{
    future::poll_fn,
    io,
    task::{Poll, ready},
    time::Duration,
};

use tokio::time::timeout;

use super::{ConnectError, Target, secure::reach_somehow};
use crate::net::Link;
use crate::protocol::startup;

/// A cancel that has not ended by then is given up.
const LIMIT: Duration = Duration::from_secs(5);

/// Sends a CancelRequest, by TLS as a login would, and waits until the backend has closed the socket: the signal has been
/// sent by then, so what the connection runs next is safe from it.
///
/// # Errors
/// The backend could not be reached, or did not answer within five seconds.
pub async fn cancel(target: &Target, pid: i32, key: &[u8]) -> Result<(), ConnectError> {
    let exchange = async {
        let stream = reach_somehow(target).await?;
        let mut link = Link::new(stream);
        let mut packet = Vec::new();
        startup::put_cancel(&mut packet, pid, key);
        let mut sent = false;
        let mut nothing = [0; 16];
        poll_fn(|cx| {
            if !sent {
                link.send(cx, &packet)?;
                sent = true;
            }
            ready!(link.poll_flush(cx))?;
            // A reset is as good an end as an orderly close.
            ready!(link.poll_read(cx, &mut nothing)).ok();
            Poll::Ready(Ok::<(), io::Error>(()))
        })
        .await
        .map_err(ConnectError::Lost)
    };
    match timeout(LIMIT, exchange).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Dial(io::ErrorKind::TimedOut.into())),
    }
}
