//! A short exchange of our own with a backend, while no client's request is under way on it.

use std::{future::poll_fn, io, task::Poll};

use crate::pool::Lease;
use crate::protocol::{
    backend::{self, Kind, Status},
    frame,
};

/// The longest message that an answer to us may have.
const LONGEST: usize = 1024 * 1024;

/// Sends `commands` and reads until the backend has been ready `readies` times. `visit` sees
/// every notice and error; reported settings are noted. Gives the last status.
///
/// # Errors
/// The connection broke, or what came is not the protocol. Not cancel safe: whoever drops the
/// call must discard the lease.
pub(super) async fn converse(
    lease: &mut Lease,
    commands: &[u8],
    mut readies: usize,
    mut visit: impl FnMut(Kind, &[u8]),
) -> io::Result<Status> {
    let mut chunk = [0; 2048];
    let mut inbox = std::mem::take(&mut lease.inbox);
    let mut status = Status::Idle;
    let mut sent = false;
    while readies > 0 {
        let read = poll_fn(|cx| {
            if !sent {
                sent = true;
                lease.link.send(cx, commands)?;
            }
            if lease.link.poll_flush(cx)?.is_pending() {
                return Poll::Pending;
            }
            lease.link.poll_read(cx, &mut chunk)
        })
        .await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        inbox.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let mut at = 0;
        while let Some(frame) = next(inbox.get(at..).unwrap_or_default())? {
            at += frame.len();
            let kind = frame.first().map_or(Kind::Unknown, |&tag| Kind::of(tag));
            let body = backend::body(frame);
            if kind == Kind::ReadyForQuery {
                status = Status::of(body).ok_or(io::ErrorKind::InvalidData)?;
                readies = readies.saturating_sub(1);
            } else if kind == Kind::ParameterStatus
                && let Some((name, value)) = backend::parameter_status(body)
            {
                lease.statuses.set(name, value);
            } else if matches!(kind, Kind::ErrorResponse | Kind::NoticeResponse) {
                visit(kind, frame);
            }
        }
        inbox.drain(..at);
    }
    if inbox.is_empty() {
        Ok(status)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The whole frame at the front, if it is here.
fn next(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let header = frame::peek(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    match header {
        Some(header) if header.len > LONGEST => Err(io::ErrorKind::InvalidData.into()),
        Some(header) => Ok(bytes.get(..header.len)),
        None => Ok(None),
    }
}
