//! When nothing is under way any more: the connection goes back to the pool, and who wished to
//! leave leaves.

use std::{rc::Rc, task::Context};

use super::{End, Fault, Io, Keep, Phase, Session};
use crate::pool::{Home, Lease};
use crate::protocol::{Parameters, backend::Status};

impl Session {
    /// Gives the connection back where its last answer came before the client's last byte: the
    /// rest of a COPY that failed.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>, io: &mut Io) -> Result<(), End> {
        self.hear(cx)?;
        let hands_over = self.flow.listens && self.lease.is_some() && self.is_idle();
        if self.must_look() || hands_over {
            match self.flow.watch {
                Some(_) => self.ask_holdings(&mut io.output),
                None => self.hand_over(&mut io.output),
            }
            if let Some(lease) = &mut self.lease {
                lease.link.send(cx, &io.output).ok();
            }
            io.output.clear();
        }
        if self.lease.is_some() && !self.keeps() && self.is_idle() {
            self.settle()?;
        }
        Ok(())
    }

    /// After a read: gives the connection back when nothing holds it.
    pub(super) fn settle(&mut self) -> Result<(), End> {
        let Some(lease) = &self.lease else {
            return Ok(());
        };
        if !self.ledger.is_empty() {
            return Ok(());
        }
        // Half a message that nobody asked for is not waited for, with a connection that others
        // could have.
        let half = !lease.inbox.is_empty();
        let spoilt = half && !self.keeps() && self.is_idle();
        if !self.is_idle() || (half && !spoilt) || lease.link.is_backed_up() {
            let outside = self.flow.status == Status::Idle;
            self.enter(if outside {
                Phase::Active
            } else {
                Phase::InTransaction
            });
            return self.leave_if_wished();
        }
        self.flow.overdue = false;
        self.flow.cancelled = false;
        self.flow.changes.clear();
        self.flow.pinned_anew = None;
        self.names.forget_before();
        self.end_sequences();
        self.flow.tainted |= spoilt;
        self.enter(Phase::Idle);
        if !self.keeps() {
            self.give_back();
        }
        self.leave_if_wished()
    }

    /// Whether the connection is not to be given back, whatever has ended.
    #[inline]
    fn keeps(&self) -> bool {
        self.flow.keep != Keep::No || self.flow.listens
    }

    pub(super) fn leave_if_wished(&self) -> Result<(), End> {
        let told = self.flow.deaf || !self.client.is_backed_up();
        // A COPY would wait for ever for data, and a batch or a skip for its Sync.
        if self.flow.leaving && told && (self.flow.copying || !self.ledger.is_behind()) {
            return Err(End::Terminated);
        }
        if self.flow.draining && self.is_idle() {
            return Err(Fault::Shutdown.into());
        }
        Ok(())
    }

    /// Releases a clean connection; one that is not clean is closed.
    pub(super) fn give_back(&mut self) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if !self.flow.reports.is_empty() {
            self.flow.reports = Parameters::default();
        }
        if std::mem::take(&mut self.flow.tainted) {
            self.depart_from_backend();
            return;
        }
        if self.identity.home.is_none_or(|home| home.id != lease.id) {
            self.move_house(&lease);
        }
        self.depart_from_backend();
        if self.cancels.is_under_way() || self.cancels.may_come() {
            std::mem::take(&mut self.cancels).release_later(lease);
            return;
        }
        lease.inbox = Vec::new();
        lease.release();
    }

    /// Where the home is gone, this connection becomes the new one.
    fn move_house(&mut self, lease: &Lease) {
        // A process id that the client was told is to be one of the primary's.
        if self.way.as_ref().is_some_and(|way| way.is_on_replica()) {
            return;
        }
        let (identity, pool) = (&mut self.identity, lease.pool());
        let elsewhere = !Rc::ptr_eq(&identity.house, pool);
        let living = |home: Home| pool.is_alive(home);
        if !elsewhere && identity.home.is_some_and(living) {
            return;
        }
        if elsewhere {
            if let Some(home) = identity.home {
                identity.house.unsettle(home);
            }
            identity.house = Rc::clone(pool);
        }
        identity.home = pool.settle_at(lease.id);
        identity.cherished = false;
    }

    /// The session has no connection, and no request waits for one.
    pub(super) fn rest_without_lease(&self) {
        let inside = self.flow.failed.is_some() || self.flow.begun.is_some();
        self.enter(match inside {
            true => Phase::InTransaction,
            false => Phase::Idle,
        });
    }
}
