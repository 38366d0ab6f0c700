//! What is known at the moment of all the backends of a database, by all workers alike.
//!
//! Whoever watches the backends writes it ([`Fleet::see`], [`Member::samples`]); sessions read it
//! with a few loads, and ring its bell when they miss something.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use crate::topology::{Backend, Role, Samples};

/// How a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has asked yet, or nobody could.
    Unknown,
    /// It cannot be used.
    Down,
    Primary,
    /// It follows, and may be read from.
    Replica,
    /// It follows too far behind (`max_replica_lag`).
    Lagging,
}

impl Standing {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Lagging => "lagging",
        }
    }
}

/// The backends of one database.
#[derive(Debug)]
pub struct Fleet {
    members: Box<[Member]>,
    /// The place of the one that takes writes, plus 1; 0: there is none.
    primary: AtomicUsize,
    /// How often that was another.
    epoch: AtomicU64,
    /// Questions for the primary's position that had been asked when somebody here last wrote.
    written: AtomicU64,
    /// Somebody waits for positions.
    wanted: AtomicBool,
    /// Rung when somebody does, and when a connection says what its server has become.
    bell: Arc<Notify>,
    /// How often another has taken the place of a primary.
    failovers: AtomicU64,
}

/// One of them.
#[derive(Debug)]
pub struct Member {
    pub backend: Backend,
    standing: AtomicU8,
    /// The primary's insert position, a replica's replay position.
    pub samples: Samples,
    pub lag_bytes: AtomicU64,
    pub lag_millis: AtomicU64,
    /// What keeps it from being used, or makes it odd, as it was told.
    trouble: Mutex<Option<String>>,
}

/// What somebody saw last, and where: nothing older may be shown to him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The backend's place.
    at: usize,
    /// Questions for its position that had been asked by then.
    sample: u64,
    epoch: u64,
}

impl Fleet {
    /// Until they are seen they are taken for what they are said to be; a lone one for the primary.
    pub fn new(backends: &[Backend]) -> Self {
        let alone = backends.len() == 1;
        let primary = backends
            .iter()
            .position(|one| alone || one.role == Role::Primary);
        let member = |backend: &Backend| Member {
            backend: backend.clone(),
            standing: AtomicU8::new(presumed(backend.role) as u8),
            samples: Samples::default(),
            lag_bytes: AtomicU64::new(0),
            lag_millis: AtomicU64::new(0),
            trouble: Mutex::default(),
        };
        Self {
            members: backends.iter().map(member).collect(),
            primary: AtomicUsize::new(primary.map_or(0, |at| at + 1)),
            epoch: AtomicU64::new(0),
            written: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            bell: Arc::default(),
            failovers: AtomicU64::new(0),
        }
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The place of the one that takes writes.
    #[inline]
    pub fn primary(&self) -> Option<usize> {
        self.primary.load(Ordering::Acquire).checked_sub(1)
    }

    /// Changes with every new primary.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What was found out about a backend. A new primary starts a new epoch.
    pub fn see(&self, at: usize, standing: Standing) {
        let Some(member) = self.members.get(at) else {
            return;
        };
        member.standing.store(standing as u8, Ordering::Release);
        let (acq, place) = (Ordering::AcqRel, at + 1);
        if standing == Standing::Primary && self.primary.swap(place, acq) != place {
            // What it is asked from here on covers all that was written before.
            self.written.store(member.samples.mark(), Ordering::Release);
            self.epoch.fetch_add(1, acq);
        }
        if matches!(standing, Standing::Replica | Standing::Lagging) {
            // It was the primary, and is none any more.
            let former = self
                .primary
                .compare_exchange(place, 0, acq, Ordering::Acquire);
            former.ok();
        }
    }

    /// What has just been done at a backend is at or before this.
    #[inline]
    pub fn mark(&self, at: usize) -> Mark {
        let sample = self.members.get(at).map_or(0, |one| one.samples.mark());
        let epoch = self.epoch();
        Mark { at, sample, epoch }
    }

    /// The same, if it was begun in that epoch: where another has begun since, the mark is void.
    #[inline]
    pub fn mark_since(&self, at: usize, epoch: u64) -> Mark {
        Mark {
            epoch,
            ..self.mark(at)
        }
    }

    /// In the place of one that is void, a mark of all that the primary shows by now.
    pub fn renewed(&self, mark: Mark) -> Mark {
        match self.primary() {
            Some(at) if mark.epoch != self.epoch() => self.mark(at),
            Some(_) | None => mark,
        }
    }

    /// Whether a backend shows at least what was marked. Of the one where it was marked that is
    /// always so.
    pub fn shows(&self, at: usize, mark: Mark) -> bool {
        if mark.epoch != self.epoch() {
            return false;
        }
        let marked = self.members.get(mark.at);
        let wanted = marked.and_then(|one| one.samples.after(mark.sample));
        let candidate = self.members.get(at).map(|one| one.samples.latest());
        mark.at == at || wanted.is_some_and(|wanted| candidate >= Some(wanted))
    }

    /// A server may have been restarted, and a replica that was shows for a while less than it did:
    /// all marks are void, and where it is has to be asked anew.
    pub fn restarted(&self, at: usize) {
        if let Some(member) = self.members.get(at) {
            member.samples.forget();
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Another has taken the place of a primary.
    pub fn count_failover(&self) {
        self.failovers.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that has happened.
    pub fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// Something was written there, by whichever session.
    pub fn wrote(&self, at: usize) {
        if self.primary() == Some(at)
            && let Some(member) = self.members.get(at)
        {
            self.written
                .fetch_max(member.samples.mark(), Ordering::AcqRel);
        }
    }

    /// What anybody here has written last. Without a primary nothing shows it.
    pub fn written(&self) -> Mark {
        let epoch = self.epoch();
        let Some(at) = self.primary() else {
            let epoch = u64::MAX;
            return Mark {
                epoch,
                ..Mark::default()
            };
        };
        let asked = self.members.get(at).map_or(0, |one| one.samples.mark());
        // What was noted of a former primary while this one took its place may be above.
        let sample = self.written.load(Ordering::Acquire).min(asked);
        Mark { at, sample, epoch }
    }

    /// Positions are of use now: they are asked for more often for a while.
    pub fn want(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.bell.notify_one();
        }
    }

    /// Whether somebody has wanted positions since this was last asked.
    pub fn is_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    /// A connection has said that its server is something else now: it is to be asked at once.
    pub fn doubt(&self) {
        self.bell.notify_one();
    }

    /// Rings when positions are wanted, or a standing is in doubt.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}

/// A backend that nobody has asked yet.
fn presumed(role: Role) -> Standing {
    match role {
        Role::Primary => Standing::Primary,
        Role::Replica => Standing::Replica,
        Role::Auto => Standing::Unknown,
    }
}

impl Member {
    /// What there is to tell of it; `None`: nothing.
    pub fn put_trouble(&self, trouble: Option<String>) {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *held = trouble;
    }

    /// What was last told.
    pub fn trouble(&self) -> Option<String> {
        let held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    #[inline]
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            1 => Standing::Down,
            2 => Standing::Primary,
            3 => Standing::Replica,
            4 => Standing::Lagging,
            _ => Standing::Unknown,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::topology::Address;

    fn fleet(roles: &[Role]) -> Fleet {
        let backend = |&role| Backend {
            address: Address::nowhere(),
            role,
            weight: 1,
        };
        let backends: Vec<Backend> = roles.iter().map(backend).collect();
        Fleet::new(&backends)
    }

    fn sample(fleet: &Fleet, at: usize, position: u64) {
        let samples = &fleet.members().get(at).unwrap().samples;
        samples.settle(samples.ask(), Some(position));
    }

    #[test]
    fn a_replica_shows_what_was_done_once_it_has_reached_a_position_asked_for_later() {
        let fleet = fleet(&[Role::Primary, Role::Replica]);
        sample(&fleet, 0, 100);
        sample(&fleet, 1, 100);
        let mark = fleet.mark(0);
        assert!(fleet.shows(0, mark));
        assert!(!fleet.shows(1, mark));
        sample(&fleet, 0, 120);
        assert!(!fleet.shows(1, mark));
        sample(&fleet, 1, 120);
        assert!(fleet.shows(1, mark));
    }

    #[test]
    fn another_primary_makes_all_marks_void() {
        let fleet = fleet(&[Role::Auto, Role::Auto]);
        assert_eq!(fleet.primary(), None);
        fleet.see(0, Standing::Primary);
        fleet.see(1, Standing::Replica);
        let mark = fleet.mark(1);
        assert!(fleet.shows(1, mark));
        fleet.see(1, Standing::Primary);
        assert_eq!(fleet.primary(), Some(1));
        assert!(!fleet.shows(1, mark));
        fleet.see(0, Standing::Replica);
        assert_eq!(fleet.primary(), Some(1));
        let former = fleet.members().first().map(Member::standing);
        assert_eq!(former, Some(Standing::Replica));
    }

    #[test]
    fn what_a_replica_showed_before_a_restart_it_may_not_show_after_it() {
        let fleet = fleet(&[Role::Primary, Role::Replica]);
        sample(&fleet, 0, 100);
        sample(&fleet, 1, 100);
        let mark = fleet.mark(1);
        assert!(fleet.shows(1, mark));
        fleet.restarted(1);
        assert!(!fleet.shows(1, mark));
        let mark = fleet.mark(0);
        sample(&fleet, 0, 100);
        assert!(!fleet.shows(1, mark));
        sample(&fleet, 1, 100);
        assert!(fleet.shows(1, mark));
    }

    #[test]
    fn a_primary_that_turns_out_to_follow_is_none_any_more() {
        let fleet = fleet(&[Role::Primary, Role::Replica]);
        fleet.see(0, Standing::Replica);
        assert_eq!(fleet.primary(), None);
    }
}
