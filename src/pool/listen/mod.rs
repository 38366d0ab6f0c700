//! Who listens to what? One connection for all sessions of a key, on whatever worker they are.
//!
//! Postgres delivers notifications to the connection that listens, so sessions that share
//! connections cannot listen on those. One connection outside of the pool's size listens to the
//! union of what they listen to ([`line`]), and what it hears is put into the [`Ear`] of each
//! session that listens to the channel. What a session does with it is the session's.

mod ear;
mod line;

use std::{
    collections::HashMap,
    mem,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

pub use ear::{Ear, Silence};
pub use line::quoted;

use super::Pool;

/// The sessions of one key that listen, and what is listened to for them.
#[derive(Default)]
pub struct Listeners {
    state: Mutex<State>,
    /// Rung when there is something to be listened to, or no more.
    bell: Notify,
}

#[derive(Default)]
struct State {
    line: Line,
    /// The `client_encoding` of the line that is up, or dialled.
    encoding: Box<[u8]>,
    ears: HashMap<u64, Arc<Ear>>,
    channels: HashMap<Box<[u8]>, Channel>,
    /// The process ids that those who notified last were told, by those of their connections.
    aliases: HashMap<i32, i32>,
}

/// The connection that listens.
#[derive(Default)]
enum Line {
    /// There is none, and nobody sees to one.
    #[default]
    Down,
    Dialling,
    Up(Terms),
}

/// How the listening connection listens.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The channel by which places in the order of notifications are marked; nobody else's.
    pub marker: Arc<[u8]>,
    /// The `client_encoding` in which it hears.
    pub encoding: Arc<[u8]>,
}

/// A channel that somebody listens to, or did until a moment ago.
#[derive(Default)]
struct Channel {
    ears: Vec<Arc<Ear>>,
    /// The connection listens to it.
    is_heard: bool,
}

/// How far the connection is with the channels of a session.
pub enum Standing {
    /// It does not listen to all of them yet.
    Awaited,
    /// It does.
    Heard(Terms),
    /// It will not.
    Refused,
}

impl Listeners {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the connection is with these.
    pub fn standing<'a>(
        &self,
        ear: &Ear,
        mut channels: impl Iterator<Item = &'a [u8]>,
    ) -> Standing {
        if ear.silence().is_some() {
            return Standing::Refused;
        }
        let state = self.state();
        let heard = |channel: &[u8]| state.channels.get(channel).is_some_and(|one| one.is_heard);
        match &state.line {
            Line::Up(terms) if channels.all(heard) => Standing::Heard(terms.clone()),
            Line::Up(_) | Line::Dialling => Standing::Awaited,
            Line::Down => Standing::Refused,
        }
    }

    /// The session no longer listens to these.
    pub fn unsubscribe<'a>(&self, ear: &Ear, channels: impl Iterator<Item = &'a [u8]>) {
        let mut state = self.state();
        for channel in channels {
            if let Some(channel) = state.channels.get_mut(channel) {
                channel.ears.retain(|one| one.session != ear.session);
            }
        }
        drop(state);
        self.bell.notify_one();
    }

    /// The session listens to nothing any more.
    pub fn leave(&self, ear: &Ear) {
        let mut state = self.state();
        state.ears.remove(&ear.session);
        for channel in state.channels.values_mut() {
            channel.ears.retain(|one| one.session != ear.session);
        }
        drop(state);
        self.bell.notify_one();
    }

    /// On the connection `pid` a session notifies that was told another process id, or that one.
    pub fn notifies(&self, pid: i32, told: i32) {
        let mut state = self.state();
        if pid == told || matches!(state.line, Line::Down) {
            state.aliases.remove(&pid);
        } else {
            state.aliases.insert(pid, told);
        }
    }

    /// Who has notified, as far as is known: should another session have had the connection since,
    /// it may be that one.
    pub fn told(&self, pid: i32) -> i32 {
        self.state().aliases.get(&pid).copied().unwrap_or(pid)
    }

    /// What the connection is to be told next, and which of the channels it listens to then.
    fn errands(&self) -> Option<Errands> {
        let mut state = self.state();
        let mut errands = Errands::default();
        state.channels.retain(|name, channel| {
            let wanted = !channel.ears.is_empty();
            if wanted && !channel.is_heard {
                errands.listen.push(name.clone());
            }
            if !wanted && channel.is_heard {
                errands.unlisten.push(name.clone());
            }
            wanted
        });
        let any = !errands.listen.is_empty() || !errands.unlisten.is_empty();
        any.then_some(errands)
    }

    /// The connection listens to these; tells whoever waits for that.
    fn are_heard(&self, channels: &[Box<[u8]>]) {
        let mut state = self.state();
        for name in channels {
            if let Some(channel) = state.channels.get_mut(name) {
                channel.is_heard = true;
                channel.ears.iter().for_each(|ear| ear.wake());
            }
        }
    }

    /// Hands a NotificationResponse to who listens.
    fn hear(&self, channel: &[u8], payload: &[u8], frame: &[u8]) {
        let state = self.state();
        if let Line::Up(terms) = &state.line
            && *terms.marker == *channel
        {
            let session = str::from_utf8(payload).ok().and_then(|id| id.parse().ok());
            if let Some(ear) = session.and_then(|session: u64| state.ears.get(&session)) {
                ear.put(&Arc::from(frame));
            }
            return;
        }
        if let Some(channel) = state.channels.get(channel) {
            let frame: Arc<[u8]> = Arc::from(frame);
            channel.ears.iter().for_each(|ear| ear.put(&frame));
        }
    }

    fn is_up(&self, terms: Terms) {
        self.state().line = Line::Up(terms);
    }

    /// The connection is no more, or has not come about.
    fn is_down(&self, why: &str) {
        let state = mem::take(&mut *self.state());
        for ear in state.ears.into_values() {
            ear.end(Silence::Lost(why.into()));
        }
    }

    /// Whether the connection may end, since nobody listens; who comes from then on has another
    /// dialled.
    fn may_end(&self) -> bool {
        let mut state = self.state();
        let idle = state.channels.is_empty();
        if idle {
            state.aliases.clear();
            state.line = Line::Down;
        }
        idle
    }
}

/// What is to be said to the connection.
#[derive(Default)]
struct Errands {
    listen: Vec<Box<[u8]>>,
    unlisten: Vec<Box<[u8]>>,
}

impl Pool {
    /// Who listens, over all workers.
    pub fn listeners(&self) -> &Listeners {
        self.exchange.listeners()
    }

    /// Has these channels listened to for a session, whose `client_encoding` is `encoding`. The
    /// session's ear is woken when they are: see [`Listeners::standing`]. False: their names mean
    /// something else in the encoding in which the line listens.
    pub fn subscribe<'a>(
        self: &Rc<Self>,
        ear: &Arc<Ear>,
        channels: impl Iterator<Item = &'a [u8]> + Clone,
        encoding: &[u8],
    ) -> bool {
        let listeners = self.exchange.listeners();
        let mut state = listeners.state();
        let elsewhere = !matches!(state.line, Line::Down) && *state.encoding != *encoding;
        if elsewhere && channels.clone().any(|channel| !channel.is_ascii()) {
            return false;
        }
        state.ears.insert(ear.session, Arc::clone(ear));
        for channel in channels {
            let channel = state.channels.entry(channel.into()).or_default();
            channel.ears.retain(|one| one.session != ear.session);
            channel.ears.push(Arc::clone(ear));
        }
        if matches!(state.line, Line::Down) {
            state.line = Line::Dialling;
            state.encoding = encoding.into();
            let line = line::Plan {
                listeners: Arc::clone(listeners),
                target: Rc::clone(&self.target),
                login: Rc::clone(&self.login),
                backend: self.key.backend.clone(),
                encoding: encoding.into(),
            };
            tokio::task::spawn_local(line.keep());
        }
        drop(state);
        listeners.bell.notify_one();
        true
    }
}
