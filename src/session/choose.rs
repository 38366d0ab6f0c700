//! Takes a session to the backend that its request goes to, where there are several, and tells
//! its way what came of that.

use std::{rc::Rc, time::Instant};

use super::{Fault, Keep, Phase, Session, fault, way::Choice};
use crate::pool::{Lease, Refusal};
use crate::protocol::backend::Status;
use crate::route::{Decision, Reason, Role};

impl Session {
    /// Finds the pool of the request's backend. False: there is none, and the request waits for
    /// one, or it is denied.
    #[inline]
    pub(super) fn find_pool(&mut self) -> bool {
        self.way.is_none() || self.choose_pool()
    }

    fn choose_pool(&mut self) -> bool {
        let Some(way) = &mut self.way else {
            return true;
        };
        let limit = self.pool.settings().acquire_timeout;
        match way.choose(self.shared.clock.now(), limit) {
            Choice::Pool(pool) => {
                if !Rc::ptr_eq(&self.pool, &pool) {
                    self.pool = pool;
                }
                return true;
            }
            Choice::Wait => {
                self.enter(Phase::Waiting);
                self.watch_backends();
            }
            Choice::Refused(lack, waited) => {
                let database = fault::database(&self.pool);
                self.denied = Some(Fault::NoBackend {
                    database,
                    lack,
                    waited,
                });
            }
        }
        false
    }

    /// The request waits: how the backends are is looked at with every tick.
    pub(super) fn watch_backends(&self) {
        if self.way.is_some() {
            self.shared.sessions.look_after(&self.handle);
        }
    }

    /// Whether the request waits for a backend that it could go to.
    #[inline]
    pub(super) fn is_stranded(&self) -> bool {
        self.way.as_ref().is_some_and(|way| way.is_stranded())
    }

    /// A tick has passed: the request that waits may have somewhere to go now, or somewhere else.
    pub(super) fn look_for_backends(&mut self) {
        let Some(way) = &self.way else {
            return;
        };
        if self.ticket.is_some() {
            if way.is_outdated() {
                self.ticket = None;
                self.flow.resume = true;
            } else {
                self.watch_backends();
            }
        }
        self.flow.resume |= self.is_stranded();
    }

    /// The request that waited is not to go anywhere any more.
    pub(super) fn forget_way(&mut self) {
        if let Some(way) = &mut self.way {
            way.give_up();
        }
    }

    /// The pool has no connection for the request, and will have none. Where another backend may
    /// do as well, that one is asked.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        match &mut self.way {
            Some(way) if way.is_on_replica() => {
                way.avoid();
                self.flow.resume = true;
            }
            Some(_) | None => self.denied = Some(Fault::no_connection(&self.pool, refusal)),
        }
    }

    /// Whether the connection's server is what it was taken for.
    pub(super) fn is_as_expected(&mut self, lease: &Lease) -> bool {
        let Some(way) = &mut self.way else {
            return true;
        };
        let said = lease.statuses.get(b"in_hot_standby");
        if way.take(said.map(|said| said == b"on"), Instant::now) {
            return true;
        }
        self.flow.resume = true;
        false
    }

    /// The connection is given back, or lost.
    #[inline]
    pub(super) fn depart_from_backend(&mut self) {
        if let Some(way) = &mut self.way {
            way.leave();
        }
    }

    /// A text goes where the session is: where that is, and why.
    pub(super) fn note_way(&mut self, decision: Decision) -> (Role, Reason) {
        let held = self.held();
        match &mut self.way {
            // What is answered here, as a BEGIN, goes nowhere.
            Some(way) if self.lease.is_some() => way.note(&decision, held),
            Some(_) | None => (decision.role, decision.reason),
        }
    }

    /// Why the session is where it is, whatever its texts ask for.
    fn held(&self) -> Option<Reason> {
        match self.flow.keep {
            Keep::No if self.flow.status == Status::Idle => None,
            Keep::No => Some(Reason::InTransaction),
            Keep::Session | Keep::Unsettled | Keep::Pinned(_) => Some(Reason::Pinned),
        }
    }

    /// What runs on the connection may write, whatever is known of it.
    pub(super) fn may_write(&mut self) {
        if let Some(way) = &mut self.way {
            way.wrote = true;
        }
    }

    /// What was written is done, and the client is told so next.
    #[inline]
    pub(super) fn has_written(&self) {
        if let Some(way) = &self.way
            && way.wrote
        {
            way.raise();
        }
    }
}
