//! What has been heard for one session, and not been taken yet.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// What may lie in an ear. A session that takes less than comes is sent away; nothing is ever
/// skipped.
const ROOM: usize = 16 * 1024 * 1024;

/// A session's, filled from whatever worker has the connection.
pub struct Ear {
    pub session: u64,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    frames: VecDeque<Arc<[u8]>>,
    bytes: usize,
    silence: Option<Silence>,
    waker: Option<Waker>,
}

/// Why nothing more is heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("more than {ROOM} bytes of notifications wait for this session")]
    Full,
    #[error("the connection that listens for it was lost: {0}")]
    Lost(Box<str>),
    #[error("a notification cannot be told in its client_encoding of now")]
    Unspeakable,
}

impl Ear {
    pub fn new(session: u64) -> Arc<Self> {
        Arc::new(Self {
            session,
            heard: Mutex::default(),
        })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is woken when there is something new.
    pub fn register(&self, waker: &Waker) {
        let mut heard = self.heard();
        match &mut heard.waker {
            Some(known) => known.clone_from(waker),
            None => heard.waker = Some(waker.clone()),
        }
    }

    /// The next NotificationResponse, as the listening connection heard it.
    pub fn take(&self) -> Option<Arc<[u8]>> {
        let mut heard = self.heard();
        let frame = heard.frames.pop_front()?;
        heard.bytes -= frame.len();
        Some(frame)
    }

    /// Why there will be nothing more.
    pub fn silence(&self) -> Option<Silence> {
        self.heard().silence.clone()
    }

    pub(super) fn put(&self, frame: &Arc<[u8]>) {
        let mut heard = self.heard();
        if heard.silence.is_none() {
            heard.bytes += frame.len();
            heard.frames.push_back(Arc::clone(frame));
            if heard.bytes > ROOM {
                heard.frames = VecDeque::new();
                heard.bytes = 0;
                heard.silence = Some(Silence::Full);
            }
        }
        drop(heard);
        self.wake();
    }

    pub(super) fn end(&self, why: Silence) {
        self.heard().silence.get_or_insert(why);
        self.wake();
    }

    pub(super) fn wake(&self) {
        let waker = self.heard().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_ends_it_and_is_never_skipped() {
        let ear = Ear::new(1);
        let frame: Arc<[u8]> = vec![0; ROOM / 2].into();
        ear.put(&frame);
        ear.put(&frame);
        assert_eq!(ear.silence(), None);
        assert!(ear.take().is_some());
        ear.put(&frame);
        ear.put(&Arc::from(&b"x"[..]));
        assert_eq!(ear.silence(), Some(Silence::Full));
        assert!(ear.take().is_none());
    }
}
