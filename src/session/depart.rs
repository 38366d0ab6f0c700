//! What becomes of a connection whose client has gone: what runs is cancelled, what is half sent
//! is completed so that it comes to nothing, the answers are read to their end, and what is open
//! is rolled back. Then it is lent to others. What does not come to rest in time is closed.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::timeout;

use super::{End, Io, Keep, Session, ledger::Reply, role::Role};
use crate::backend;
use crate::protocol::{backend::Status, frontend};
use crate::telemetry::events;

/// A connection that has not come to rest by then is closed.
const LIMIT: Duration = Duration::from_secs(5);
/// How long what was asked for may go on before it is cancelled: a client that has closed but
/// the half that it sends on hears what comes until then.
const GRACE: Duration = Duration::from_millis(50);
/// From one cancel to the next, for each stops one request of a pipeline. Doubled every time.
const AGAIN: Duration = Duration::from_millis(10);
/// A message that lacks more bytes than this is not completed.
const FILLED: usize = 1024 * 1024;
/// Ends no text, so that no statement and no name that lacked its end is taken for whole.
const FILLER: u8 = 0xff;
/// Of a Bind: two formats for no values, which fails whatever statement it is of.
const IMPOSSIBLE: &[u8] = &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0];

impl Session {
    /// Gives back what the session holds, in a state in which others can have it.
    pub(super) async fn depart(&mut self, end: &End) {
        self.ticket = None;
        // From here on the session is not asked whether it wishes to leave.
        self.flow.leaving = false;
        self.flow.draining = false;
        let gently = matches!(end, End::Gone) && !self.flow.copying;
        let departed = timeout(LIMIT, self.bring_back(gently)).await;
        if let (Err(_), Some(lease)) = (departed, self.lease.take()) {
            let key = self.pool.key();
            events::connection_lost(&key.backend, lease.pid, &"its client left it unfinished");
        }
    }

    async fn bring_back(&mut self, gently: bool) {
        if gently && self.lease.is_some() {
            // Nothing is to be said if the time is over: the client has gone.
            timeout(GRACE, poll_fn(|cx| self.poll_last_words(cx)))
                .await
                .ok();
        }
        self.flow.deaf = true;
        if !self.can_be_completed() {
            self.stop().await;
            self.lease = None;
            return;
        }
        poll_fn(|cx| {
            self.round_off(cx);
            Poll::Ready(())
        })
        .await;
        let mut pause = AGAIN;
        while timeout(pause, poll_fn(|cx| self.poll_rest(cx)))
            .await
            .is_err()
        {
            self.stop().await;
            pause *= 2;
        }
        self.leave_clean().await;
    }

    /// Whether what the client has begun to send can be given an end that does no harm. A
    /// function's arguments would be taken as they are.
    fn can_be_completed(&self) -> bool {
        let last = self.ledger.back().map(|owed| owed.reply);
        let missing = match self.flow.dropping {
            true => 0,
            false => self.flow.sending,
        };
        missing == 0 || missing <= FILLED && last != Some(Reply::FunctionCall)
    }

    /// Says what the backend waits for: the rest of a message, the end of a COPY, a Sync.
    fn round_off(&mut self, cx: &mut Context<'_>) {
        let missing = std::mem::take(&mut self.flow.sending);
        let Some(lease) = &mut self.lease else {
            return;
        };
        let mut out = Vec::new();
        if !self.flow.dropping {
            out.resize(missing, FILLER);
        }
        if std::mem::take(&mut self.flow.copying) {
            frontend::put_copy_fail(&mut out, b"the client has gone");
        }
        if self.ledger.is_open() || self.ledger.is_skipping() {
            // A Sync alone would commit what ran.
            frontend::put_bind(&mut out, b"", b"", IMPOSSIBLE);
            self.ledger.owe(Reply::Bind, Role::Ours);
            out.extend_from_slice(frontend::SYNC);
            self.ledger.owe(Reply::Sync, Role::Ours);
        }
        // A broken pipe shows where the backend's last words are read.
        lease.link.send(cx, &out).ok();
    }

    /// Asks the backend to stop what runs, and waits until it has been told. A connection for
    /// which that fails is closed: the cancel might still come.
    async fn stop(&mut self) {
        let Some(lease) = self.lease.as_ref().filter(|_| !self.ledger.is_empty()) else {
            return;
        };
        let (target, pid) = (lease.pool().target(), lease.pid);
        if let Err(error) = backend::cancel(target, pid, &lease.key).await {
            events::cancel_failed(&target.address, pid, &error);
            self.lease = None;
        }
    }

    /// As long as the client may still listen: ready when it has heard everything.
    fn poll_last_words(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_rest(cx));
        self.client.poll_flush(cx).map(drop)
    }

    /// Reads answers until no more are owed, or the connection is gone.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut io = Io {
            input: self.shared.scratch.take_input(),
            output: self.shared.scratch.take_output(),
        };
        loop {
            match self.relay(cx, &mut io) {
                Ok(true) => {}
                Ok(false) => break,
                // The client hears no more.
                Err(End::Client(_)) if !self.flow.deaf => self.flow.deaf = true,
                Err(_) => self.lease = None,
            }
            if self.flow.deaf && self.flow.copying {
                self.round_off(cx);
            }
        }
        self.shared.scratch.put_input(io.input);
        self.shared.scratch.put_output(io.output);
        // What a client that hears no more was told is no less at its end.
        let settled = self.settle().is_ok();
        let Some(lease) = self.lease.as_mut().filter(|_| settled) else {
            self.lease = None;
            return Poll::Ready(());
        };
        // A broken pipe has been read already.
        let sent = lease.link.poll_flush(cx).is_ready();
        let read = self.flow.receiving == 0 && lease.inbox.is_empty();
        let rests = self.ledger.is_empty() && self.flow.sending == 0;
        if rests && sent && read {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Undoes what others are not to meet, and gives the connection back.
    async fn leave_clean(&mut self) {
        let rollback = self.flow.status != Status::Idle;
        let left = self.flow.keep == Keep::Unsettled || self.flow.listens;
        let discard = self.is_verbatim() || left;
        match self.flow.keep {
            Keep::No | Keep::Unsettled if self.flow.tainted => self.lease = None,
            Keep::Pinned(_) => self.lease = None,
            Keep::No | Keep::Unsettled | Keep::Session => {}
        }
        // One of the client's own might hit what is sent now.
        self.cancels.ended().await;
        let Some(lease) = self.lease.take() else {
            return;
        };
        if self.cancels.may_come() {
            return;
        }
        if let Some(lease) = super::reset::reset(lease, rollback, discard).await {
            lease.release();
        }
    }
}
