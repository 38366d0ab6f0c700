//! Signals, cancels, and the end of a session.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{End, Fault, PendingCancel, Session, Signal, fault, forward::says_good_bye};
use crate::backend::{self, Target};
use crate::pool::Lease;
use crate::protocol::{frame, frontend, notice::Severity};
use crate::telemetry::events;

/// A tenth of a second apart.
const LOOKS: u8 = 3;

/// The cancels that a session has sent for the connection it holds. The connection is lent to
/// nobody else until they have ended, or they could hit the next one's query.
#[derive(Default)]
pub(super) struct Cancels {
    under_way: Cell<usize>,
    /// One was given up: nobody knows whether it still comes.
    given_up: Cell<bool>,
    kept: RefCell<Option<Lease>>,
    /// Who waits for their end.
    waiting: RefCell<Option<Waker>>,
}

impl Cancels {
    pub fn is_under_way(&self) -> bool {
        self.under_way.get() > 0
    }

    /// Whether one may still hit the connection, however long that is waited for.
    pub fn may_come(&self) -> bool {
        self.given_up.get()
    }

    /// Waits until none is under way.
    pub async fn ended(&self) {
        std::future::poll_fn(|cx| {
            if !self.is_under_way() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Gives the connection back when the last cancel has ended.
    pub fn release_later(&self, lease: Lease) {
        if self.is_under_way() {
            self.kept.replace(Some(lease));
        }
    }

    /// Who asked is told of the end by the drop of `pending`.
    fn send(self: &Rc<Self>, lease: &Lease, pending: Vec<PendingCancel>) {
        let cancels = Rc::clone(self);
        let target: Rc<Target> = Rc::clone(lease.pool().target());
        let (pid, key) = (lease.pid, lease.key.clone());
        cancels.under_way.set(cancels.under_way.get() + 1);
        tokio::task::spawn_local(async move {
            if let Err(error) = backend::cancel(&target, pid, &key).await {
                events::cancel_failed(&target.address, pid, &error);
                cancels.given_up.set(true);
            }
            cancels.end_one();
            drop(pending);
        });
    }
}

impl Cancels {
    fn end_one(&self) {
        self.under_way.set(self.under_way.get() - 1);
        if self.is_under_way() {
            return;
        }
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        if let Some(lease) = self.kept.take().filter(|_| !self.may_come()) {
            lease.release();
        }
    }
}

impl Session {
    /// Acts on what the session is told from outside.
    #[inline]
    pub(super) fn heed(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Some(signal) = self.handle.take_signal() {
            self.heed_one(cx, signal)?;
        }
        Ok(())
    }

    fn heed_one(&mut self, cx: &mut Context<'_>, signal: Signal) -> Result<(), End> {
        match signal {
            Signal::Cancel => self.cancel(cx),
            Signal::QueryTimeout => {
                self.flow.overdue = true;
                self.cancel(cx)
            }
            Signal::IdleInTransaction => Err(self.idle_in_transaction().into()),
            Signal::ClientIdle if self.is_idle() => Err(self.client_idle().into()),
            Signal::ClientIdle => Ok(()),
            Signal::Drain => {
                self.flow.draining = true;
                if self.is_idle() && self.ticket.is_none() && !self.is_stranded() {
                    return Err(Fault::Shutdown.into());
                }
                Ok(())
            }
            Signal::Terminate => Err(Fault::Shutdown.into()),
            Signal::Kill => Err(Fault::Killed.into()),
            Signal::Look => {
                self.look_for_backends();
                self.look()
            }
        }
    }

    /// A client that has closed while it is not read from may have said good-bye before, and is
    /// read to its end if that goes on. If it does not, the client is gone.
    fn look(&mut self) -> Result<(), End> {
        let said_good_bye = self.flow.leaving || says_good_bye(&self.inbox);
        if said_good_bye || !self.client.has_closed() {
            return Ok(());
        }
        self.flow.looks += 1;
        match self.flow.looks < LOOKS {
            true => Ok(()),
            false => Err(End::Gone),
        }
    }

    fn idle_in_transaction(&self) -> Fault {
        Fault::IdleInTransaction {
            database: fault::database(&self.pool),
            limit: self.settings.idle_in_transaction_timeout,
        }
    }

    fn client_idle(&self) -> Fault {
        Fault::ClientIdle {
            database: fault::database(&self.pool),
            limit: self.settings.client_idle_timeout,
        }
    }

    fn cancel(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let pending = self.handle.take_cancels();
        if self.ticket.take().is_some() || self.is_stranded() {
            return self.cancel_waiting(cx);
        }
        // What we sent ahead of the request may still be unanswered: the backend keeps such
        // answers back until the request is done. A cancel that hits it is the request's.
        if self.ledger.owes_the_client()
            && let Some(lease) = &self.lease
        {
            self.flow.cancelled = true;
            self.cancels.send(lease, pending);
        }
        Ok(())
    }

    /// Why what was cancelled was cancelled.
    pub(super) fn cancelled(&self) -> Fault {
        if self.flow.overdue {
            Fault::QueryTimeout {
                database: fault::database(&self.pool),
                limit: self.settings.query_timeout,
            }
        } else {
            Fault::Cancelled
        }
    }

    /// The request has not been sent: it is answered here.
    fn cancel_waiting(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.flow.reading = None;
        self.forget_way();
        self.rest_without_lease();
        let held = std::mem::take(&mut self.inbox);
        let fault = self.cancelled();
        let Some(header) = frame::peek(&held).ok().flatten() else {
            self.inbox = held;
            return Ok(());
        };
        self.refuse_with(cx, frontend::Kind::of(header.tag), &fault)?;
        // What is missing of it goes nowhere as it comes.
        let here = header.len.min(held.len());
        self.flow.sending = header.len - here;
        self.flow.dropping = true;
        self.inbox = held.get(here..).unwrap_or_default().to_owned();
        // What came behind it is looked at next.
        self.flow.resume = true;
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Ends the session: tells the client why, cancels what runs, gives back what is clean.
    pub async fn finish(mut self, end: End) -> End {
        let mut reply = Vec::new();
        // In the middle of a message of the backend's nothing can be said.
        let may_speak = self.flow.receiving == 0 || self.flow.swallowing;
        if let End::Fault(fault) = &end
            && may_speak
        {
            fault.put(&mut reply, Severity::Fatal);
        }
        if !reply.is_empty() || matches!(end, End::Dismissed(_)) {
            let sent = std::future::poll_fn(|cx| {
                let bytes = std::mem::take(&mut reply);
                if !bytes.is_empty() && self.client.send(cx, &bytes).is_err() {
                    return Poll::Ready(());
                }
                self.client.poll_flush(cx).map(|_| ())
            });
            // A client that does not read its own end is not waited for.
            let limit = std::time::Duration::from_secs(1);
            tokio::time::timeout(limit, sent).await.ok();
        }
        if matches!(end, End::Fault(Fault::Panic)) {
            // Where it was in the backend's stream is not known.
            self.lease = None;
        }
        self.depart(&end).await;
        end
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let identity = &self.identity;
        if let Some(home) = identity.home {
            identity.house.unsettle(home);
        }
        let (pid, key) = identity.key;
        self.shared.cancels.revoke(pid, key);
        self.stop_listening();
        self.shared.sessions.leave(self.handle.id);
        self.client.farewell();
    }
}
