//! Which of several backends a request goes to.
//!
//! What its texts ask for is a [`Route`]; which backend that is, is chosen when the request takes a
//! connection ([`Way::choose`]), by how the backends are at that moment and by what the session has
//! seen. Never waits: who finds none asks again.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    fault,
    heal::Trial,
    last,
    pools::{Lack, Need, Pools, at_bit},
};
use crate::backend::Mark;
use crate::pool::Pool;
use crate::route::{Consistency, Decision, Reason, Role};

/// What a request, or the transaction that it begins, asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub role: Role,
    /// What speaks against a replica, where that is not the text's own doing.
    pub why: Option<Reason>,
}

impl Route {
    pub const PRIMARY: Self = Self {
        role: Role::Primary,
        why: None,
    };
    pub const REPLICA: Self = Self {
        role: Role::Replica,
        why: None,
    };

    /// The primary, for a reason that is not the text's own.
    pub fn primary(why: Reason) -> Self {
        let why = Some(why);
        Self {
            why,
            ..Self::PRIMARY
        }
    }
}

/// Where something ran last, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// The backend's place in the fleet.
    pub at: usize,
    pub role: Role,
    pub reason: Reason,
}

/// A session's way among several backends.
pub(super) struct Way {
    pools: Rc<Pools>,
    /// Where the request that is read now goes; `None`: that is open.
    pub route: Option<Route>,
    /// Where the connection is that the session has, had last, or waits for.
    at: usize,
    role: Role,
    /// Why what could be elsewhere is there.
    why: Option<Reason>,
    /// What has been seen.
    mark: Option<Mark>,
    /// The fleet's, when the connection was taken.
    epoch: u64,
    /// The replica that answered last.
    replica: Option<usize>,
    /// Those that could not take the request, a bit for each.
    without: u64,
    /// What may have written runs, or ran, since the connection was taken.
    pub wrote: bool,
    /// Since when the request has waited for a backend that it could go to.
    waits: Option<Instant>,
    /// When the connection was taken, where that counts.
    taken: Option<Instant>,
    last: Option<Last>,
    /// The request under way, as long as it may run again elsewhere.
    pub trial: Option<Trial>,
    /// The next one does.
    pub again: bool,
}

/// What choosing brings.
pub(super) enum Choice {
    Pool(Rc<Pool>),
    /// There is none for now.
    Wait,
    /// There was none for so long.
    Refused(fault::Lack, Duration),
}

impl Way {
    /// One that begins at this pool's backend.
    pub fn from(pools: Rc<Pools>, pool: &Rc<Pool>) -> Self {
        let at = pools.iter().position(|one| Rc::ptr_eq(one, pool));
        let primary = pools.fleet().primary();
        Self {
            pools,
            route: None,
            at: at.unwrap_or_default(),
            role: match primary.is_none() || primary == at {
                true => Role::Primary,
                false => Role::Replica,
            },
            why: None,
            mark: None,
            epoch: 0,
            replica: None,
            without: 0,
            wrote: false,
            waits: None,
            taken: None,
            last: None,
            trial: None,
            again: false,
        }
    }

    #[inline]
    pub fn is_on_replica(&self) -> bool {
        self.role == Role::Replica
    }

    /// Whether the request waits for a backend, not for a connection.
    pub fn is_stranded(&self) -> bool {
        self.waits.is_some()
    }

    /// It need not wait any more.
    pub fn give_up(&mut self) {
        self.waits = None;
        self.route = None;
        self.without = 0;
    }

    /// Where something ran last, for who asks; `None`: nothing has.
    pub fn last(&self) -> Option<last::Row> {
        let last = self.last?;
        let address = self.pools.get(last.at)?.key().backend.clone();
        let (role, reason) = (last.role.name().to_owned(), last.reason.name().to_owned());
        Some([Some(address), Some(role), None, Some(reason)])
    }

    /// Chooses where the request takes its connection. `limit`: how long it may wait for a backend
    /// (`acquire_timeout`; zero: without end).
    pub fn choose(&mut self, now: Instant, limit: Duration) -> Choice {
        let route = self.route.unwrap_or(Route::PRIMARY);
        let found = match route.role {
            Role::Replica => self.choose_replica(),
            Role::Primary | Role::Any => self.choose_primary(route.why),
        };
        let pool = self.pools.get(self.at).filter(|_| found);
        let Some(pool) = pool.map(Rc::clone) else {
            return self.strand(route.role, now, limit);
        };
        self.waits = None;
        Choice::Pool(pool)
    }

    fn choose_replica(&mut self) -> bool {
        self.mark = self.mark.map(|mark| self.pools.fleet().renewed(mark));
        let need = Need {
            marks: self.marks(),
            last: self.replica.filter(|_| self.is_attached()),
            without: self.without,
        };
        match self.pools.pick(&need) {
            Ok(at) => {
                (self.at, self.role, self.why) = (at, Role::Replica, None);
                true
            }
            Err(lack) => {
                if lack == Lack::Fresh {
                    self.pools.fleet().want();
                }
                self.pools.preferences().falls_back && self.choose_primary(Some(lack.reason()))
            }
        }
    }

    fn choose_primary(&mut self, why: Option<Reason>) -> bool {
        let primary = self.pools.fleet().primary();
        let primary = primary.filter(|&at| at_bit(at) & self.without == 0);
        let Some(at) = primary else {
            return false;
        };
        (self.at, self.role, self.why) = (at, Role::Primary, why);
        true
    }

    fn strand(&mut self, role: Role, now: Instant, limit: Duration) -> Choice {
        let since = *self.waits.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        if limit.is_zero() || waited < limit {
            // Where nothing keeps it from the replicas, they may be only behind.
            self.without = 0;
            return Choice::Wait;
        }
        self.give_up();
        let lack = match role {
            Role::Replica => fault::Lack::Replica,
            Role::Primary | Role::Any => fault::Lack::Primary,
        };
        Choice::Refused(lack, waited)
    }

    /// What a replica must show.
    fn marks(&self) -> [Option<Mark>; 2] {
        let consistency = self.pools.preferences().consistency;
        let shared = (consistency == Consistency::Ambassador).then(|| self.pools.fleet().written());
        [self.mark, shared]
    }

    /// Whether the session stays with a replica as long as that will do.
    fn is_attached(&self) -> bool {
        self.pools.preferences().consistency != Consistency::Eventual
    }

    /// Whether a further read may join those on the replica where the session has its connection.
    pub fn may_join(&self) -> bool {
        let fleet = self.pools.fleet();
        let shows = |mark: Mark| fleet.shows(self.at, mark);
        // Its own it has seen here.
        let [_, shared] = self.marks();
        shared.is_none_or(shows)
    }

    /// The backend that was chosen cannot take the request.
    pub fn avoid(&mut self) {
        self.without |= at_bit(self.at);
    }

    /// Whether a request that waits for a connection there would not be sent there any more.
    pub fn is_outdated(&self) -> bool {
        let fleet = self.pools.fleet();
        match self.role {
            Role::Replica => !self.pools.is_usable(self.at),
            Role::Primary | Role::Any => fleet.primary() != Some(self.at),
        }
    }

    /// A connection there was taken, whose server says of itself whether it follows another
    /// (`None`: it does not say). False: it is not what it was taken for.
    pub fn take(&mut self, follows: Option<bool>, now: impl FnOnce() -> Instant) -> bool {
        self.without = 0;
        self.wrote = false;
        self.taken = self.pools.is_timed().then(now);
        self.epoch = self.pools.fleet().epoch();
        let expected = self.role == Role::Replica;
        if follows.is_some_and(|follows| follows != expected) {
            self.pools.fleet().doubt();
            self.avoid();
            return false;
        }
        true
    }

    /// The connection was given back, or lost: what it showed must be shown from here on.
    pub fn leave(&mut self) {
        self.route = None;
        self.trial.take_if(|trial| !trial.is_over());
        if let Some(taken) = self.taken.take() {
            self.pools.took(self.at, taken.elapsed());
        }
        let fleet = self.pools.fleet();
        if self.is_attached() {
            self.mark = Some(fleet.mark_since(self.at, self.epoch));
        }
        if self.role == Role::Replica {
            self.replica = Some(self.at);
        }
        if std::mem::take(&mut self.wrote) {
            self.raise();
            fleet.want();
        }
    }

    /// What has been written is done, and its client is about to hear so: others are to see it
    /// from here on.
    pub fn raise(&self) {
        if self.pools.preferences().consistency == Consistency::Ambassador {
            self.pools.fleet().wrote(self.at);
        }
    }

    /// Something joins what is under way on the connection, in whatever way it could have gone
    /// elsewhere.
    pub fn join(&mut self, why: Reason) {
        self.why = Some(why);
    }

    /// A text is sent, or a statement bound: where it goes, and why.
    pub fn note(&mut self, decision: &Decision, held: Option<Reason>) -> (Role, Reason) {
        let own = decision.role == self.role;
        let reason = match held.or(self.why) {
            Some(reason) if !own => reason,
            Some(_) | None => decision.reason,
        };
        self.wrote |= !decision.replica_safe && self.role != Role::Replica;
        let (at, role) = (self.at, self.role);
        self.last = Some(Last { at, role, reason });
        (role, reason)
    }
}

impl Lack {
    fn reason(self) -> Reason {
        match self {
            Self::Replica => Reason::NoReplica,
            Self::Fresh => Reason::NotFresh,
        }
    }
}
