//! What an operator may ask of a pool: to rest, to go on, to begin anew.

use std::{rc::Rc, time::Instant};

use super::{Pool, acquire, shelf};

impl Pool {
    /// Lends nothing from now on and closes what it has, as soon as it is given back. Requests
    /// wait, and `acquire_timeout` does not run meanwhile; it begins anew with the end of the
    /// pause.
    pub fn set_paused(self: &Rc<Self>, paused: bool) {
        let mut shelf = self.shelf.borrow_mut();
        if std::mem::replace(&mut shelf.paused, paused) == paused {
            return;
        }
        if paused {
            drop(shelf);
            self.close_outdated();
            return;
        }
        let limit = self.settings.acquire_timeout;
        let deadline = (!limit.is_zero()).then(|| self.clock.now() + limit);
        shelf
            .waiting()
            .for_each(|waiter| waiter.wait_until(deadline));
        drop(shelf);
        acquire::dial_where_needed(self);
        self.resumed.notify_waiters();
    }

    /// Closes every connection dialled before `moment`: idle ones now, others when they are given
    /// back.
    pub fn renew(self: &Rc<Self>, moment: Instant) {
        self.shelf.borrow_mut().renewed = Some(moment);
        self.close_outdated();
    }

    /// Waits while the pool is paused. Cancel safe.
    pub(super) async fn until_resumed(&self) {
        loop {
            // Before the look, or the word could come between the two.
            let resumed = self.resumed.notified();
            if !self.shelf.borrow().paused {
                return;
            }
            resumed.await;
        }
    }

    fn close_outdated(self: &Rc<Self>) {
        loop {
            let mut shelf = self.shelf.borrow_mut();
            let outdated = |badge| shelf.is_outdated(badge);
            let found = shelf.idle.iter().position(|one| outdated(&one.badge));
            let Some(at) = found else {
                return;
            };
            let connection = shelf.idle.remove(at);
            drop(shelf);
            shelf::close(self, connection);
        }
    }
}
