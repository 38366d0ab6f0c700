//! A replication connection: one of the backend's for one client, outside of every pool.
//! Never changes a byte, and never opens a message: it sees where they begin and of which kind
//! they are, to know when something of ours may be said and what a shutdown would cut off.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    End, Fault, Handle, PendingCancel, Phase, Place, Shared, Signal, Who, Wishes,
    cancel::KeyHandle, welcome::Turned,
};
use crate::backend::{self, Connection, ConnectionId, Login, Opened, Opening, Seat, Target};
use crate::net::Link;
use crate::pool::Refusal;
use crate::protocol::{
    backend::{Kind, Status, put_authentication_ok, put_key_data, put_ready},
    frame::Walk,
    frontend,
    notice::Severity,
    startup,
};
use crate::telemetry::events;

/// A client that does not read its own end is not waited for longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where a replication connection leads.
pub struct Upstream {
    pub target: Rc<Target>,
    pub login: Rc<Login>,
    pub kind: startup::Replication,
    pub id: ConnectionId,
    /// `None`: the backend may have no more connections than this.
    pub seat: Result<Seat, usize>,
}

/// One client's replication connection, from its welcome on.
pub struct Replication {
    shared: Rc<Shared>,
    handle: Rc<Handle>,
    target: Rc<Target>,
    client: Link,
    backend: Box<Connection>,
    /// What the client was told, to cancel with.
    key: (i32, KeyHandle),
    /// What the client sent behind its start-up.
    ahead: Vec<u8>,
    said: Walk,
    heard: Walk,
    /// Commands of the client that the backend has not finished.
    running: usize,
    /// Both sides copy, with no end in sight.
    streaming: bool,
    /// The client said good-bye.
    leaving: bool,
    /// It has closed its side, or takes nothing any more.
    deaf: bool,
    draining: bool,
}

impl Replication {
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Tells the session something, as its worker may.
    pub fn signal(&self, signal: Signal) {
        self.handle.signal(signal);
    }

    /// Passes on what has come, both ways; ready when the session is over.
    ///
    /// All progress is kept in the session: the call is cancel safe.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut buffer = self.shared.scratch.take_input();
        let end = self.turn(cx, &mut buffer);
        self.shared.scratch.put_input(buffer);
        match end {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<(), End> {
        while let Some(signal) = self.handle.take_signal() {
            self.heed(signal)?;
        }
        let ahead = std::mem::take(&mut self.ahead);
        if !ahead.is_empty() {
            self.forward(cx, &ahead)?;
        }
        loop {
            let back = self.read_backend(cx, buffer)?;
            let forth = self.read_client(cx, buffer)?;
            if !back && !forth {
                return Ok(());
            }
        }
    }

    fn heed(&mut self, signal: Signal) -> Result<(), End> {
        match signal {
            Signal::Terminate => Err(Fault::Shutdown.into()),
            Signal::Kill => Err(Fault::Killed.into()),
            Signal::Drain => {
                self.draining = true;
                self.leave_if_drained()
            }
            Signal::Cancel => {
                self.cancel(self.handle.take_cancels());
                Ok(())
            }
            // It is read from whenever there is room for what it sends.
            Signal::Look => Ok(()),
            // Limits of what clients ask of a pool.
            Signal::IdleInTransaction | Signal::ClientIdle | Signal::QueryTimeout => Ok(()),
        }
    }

    /// A stream can be taken up where it ended, once its message has; what has an end of its own
    /// is waited for.
    fn leave_if_drained(&self) -> Result<(), End> {
        let may_end = (self.running == 0 || self.streaming) && self.heard.is_between();
        match self.draining && may_end {
            true => Err(Fault::Shutdown.into()),
            false => Ok(()),
        }
    }

    /// Who asked is told of the end by the drop of `pending`.
    fn cancel(&self, pending: Vec<PendingCancel>) {
        if self.running == 0 {
            return;
        }
        let target = Rc::clone(&self.target);
        let (pid, key) = (self.backend.pid, self.backend.key.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = backend::cancel(&target, pid, &key).await {
                events::cancel_failed(&target.address, pid, &error);
            }
            drop(pending);
        });
    }

    /// Whether something came. Nothing is read for a client that has not taken what came before.
    fn read_backend(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<bool, End> {
        if !self.deaf {
            match self.client.poll_flush(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.gone(End::Client(error))?,
            }
        }
        let Poll::Ready(read) = self.backend.link.poll_read(cx, buffer) else {
            return Ok(false);
        };
        let Ok(read @ 1..) = read else {
            return Err(End::Closed);
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        let (running, streaming) = (&mut self.running, &mut self.streaming);
        self.heard.pass(bytes, |tag| {
            let kind = Kind::of(tag);
            if kind == Kind::ReadyForQuery {
                *running = running.saturating_sub(1);
                *streaming = false;
            } else if kind == Kind::CopyBothResponse {
                *streaming = true;
            }
        });
        if !self.deaf
            && let Err(error) = self.client.send(cx, bytes)
        {
            self.gone(End::Client(error))?;
        }
        self.leave_if_drained()?;
        Ok(true)
    }

    /// The same the other way.
    fn read_client(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Result<bool, End> {
        match self.backend.link.poll_flush(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(End::Closed),
        }
        if self.deaf {
            return Ok(false);
        }
        let Poll::Ready(read) = self.client.poll_read(cx, buffer) else {
            return Ok(false);
        };
        match read {
            Ok(0) => self.gone(End::Gone)?,
            Ok(read) => self.forward(cx, buffer.get(..read).unwrap_or_default())?,
            Err(error) => self.gone(End::Client(error))?,
        }
        Ok(true)
    }

    fn forward(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), End> {
        let (running, leaving) = (&mut self.running, &mut self.leaving);
        self.said.pass(bytes, |tag| match frontend::Kind::of(tag) {
            frontend::Kind::Query | frontend::Kind::Sync | frontend::Kind::FunctionCall => {
                *running += 1;
            }
            frontend::Kind::Terminate => *leaving = true,
            frontend::Kind::Parse
            | frontend::Kind::Bind
            | frontend::Kind::Describe
            | frontend::Kind::Execute
            | frontend::Kind::Close
            | frontend::Kind::Flush
            | frontend::Kind::CopyData
            | frontend::Kind::CopyDone
            | frontend::Kind::CopyFail
            | frontend::Kind::Authentication
            | frontend::Kind::Unknown => {}
        });
        let sent = self.backend.link.send(cx, bytes);
        sent.map_err(|_| End::Closed)
    }

    /// The client hears nothing more. What it asked for before it said good-bye runs all the same,
    /// up to the backend's own end.
    fn gone(&mut self, end: End) -> Result<(), End> {
        self.deaf = true;
        match self.leaving {
            true => Ok(()),
            false => Err(end),
        }
    }

    /// Ends the session: tells the client why, and the backend that it is over.
    pub async fn finish(mut self, end: End) -> End {
        let mut reply = Vec::new();
        if let End::Fault(fault) = &end
            && self.heard.is_between()
        {
            fault.put(&mut reply, Severity::Fatal);
        }
        let flushed = std::future::poll_fn(|cx| {
            let bytes = std::mem::take(&mut reply);
            if self.client.send(cx, &bytes).is_err() {
                return Poll::Ready(());
            }
            self.client.poll_flush(cx).map(|_| ())
        });
        tokio::time::timeout(LAST_WORDS, flushed).await.ok();
        if !matches!(end, End::Closed) {
            // A stream ends by itself when its socket does, anything else when it is stopped.
            if !self.streaming {
                self.cancel(Vec::new());
            }
            self.say_good_bye();
        }
        end
    }

    fn say_good_bye(&mut self) {
        if self.said.is_between() && !self.leaving {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            // Whether the backend hears it does not matter: the socket is closed.
            self.backend.link.send(&mut cx, frontend::TERMINATE).ok();
        }
    }
}

impl Drop for Replication {
    fn drop(&mut self) {
        let (pid, key) = self.key;
        self.shared.cancels.revoke(pid, key);
        self.shared.sessions.leave(self.handle.id);
        self.client.farewell();
    }
}

/// Dials a connection for the client and tells it what the backend told us.
///
/// # Errors
/// The connection could not be made; the client is to be told. Cancel safe: a dropped call closes
/// what it had.
pub async fn replicate(
    shared: &Rc<Shared>,
    upstream: Upstream,
    mut wishes: Wishes,
    mut client: Link,
) -> Result<Box<Replication>, Turned> {
    let target = Rc::clone(&upstream.target);
    let opened = match dial(upstream, &wishes).await {
        Ok(opened) => opened,
        Err(fault) => return Err((client, wishes.preface, fault.into())),
    };
    let backend = Box::new(opened.connection);
    let (database, user) = std::mem::take(&mut wishes.names);
    let who = Who {
        database,
        user,
        ends: client.ends(),
        pool: None,
        told: Rc::new(backend.statuses.clone()),
    };
    let now = shared.clock.now();
    // How long it may be idle is the backend's to say (wal_sender_timeout).
    let handle = shared.sessions.enter(now, &Rc::default(), who);
    // It has its connection as long as it lives.
    handle.enter(Phase::Active, now);
    let place = Place {
        worker: shared.worker,
        session: handle.id,
    };
    let pid = backend.pid & i32::MAX;
    let (key, key_handle) = match shared.cancels.issue(pid, wishes.minor, place) {
        Ok(issued) => issued,
        Err(error) => {
            shared.sessions.leave(handle.id);
            return Err((client, wishes.preface, Fault::Randomness(error).into()));
        }
    };
    let mut reply = wishes.preface;
    put_authentication_ok(&mut reply);
    reply.extend_from_slice(&opened.greeting);
    put_key_data(&mut reply, pid, &key);
    put_ready(&mut reply, Status::Idle);
    std::future::poll_fn(|cx| {
        handle.register(cx.waker());
        // A client that does not take it is found out by the first poll.
        client.send(cx, &reply).ok();
        Poll::Ready(())
    })
    .await;
    Ok(Box::new(Replication {
        shared: Rc::clone(shared),
        handle,
        target,
        client,
        backend,
        key: (pid, key_handle),
        ahead: wishes.ahead,
        said: Walk::default(),
        heard: Walk::default(),
        running: 0,
        streaming: false,
        leaving: false,
        deaf: false,
        draining: false,
    }))
}

async fn dial(upstream: Upstream, wishes: &Wishes) -> Result<Opened, Fault> {
    let Upstream {
        target,
        login,
        kind,
        id,
        seat,
    } = upstream;
    let address = target.address.to_string();
    let fault = |refusal| Fault::NoConnection {
        database: String::from_utf8_lossy(&login.database).into_owned(),
        backend: address.clone(),
        refusal,
    };
    let seat = seat.map_err(|limit| fault(Refusal::full(limit)))?;
    let opening = Opening {
        parameters: &wishes.parameters,
        switches: wishes.switches.as_deref(),
        replication: Some(&kind),
    };
    let opened = backend::connect(&target, &login, opening, id, seat).await;
    opened.map_err(|error| {
        events::connect_failed(&address, &login.database, &login.user, &error, true);
        fault(Refusal::alone(error))
    })
}
