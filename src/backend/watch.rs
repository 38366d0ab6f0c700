//! What the backends of a database are together: who takes writes, who follows, and how far behind.
//! Decided from what each says of itself. Never asks, never waits; the clock is an argument.
//!
//! What a backend says counts before what was configured. Who is not in recovery is the primary.
//! Of several, and in place of one that is silent, only who was promoted since: its timeline is
//! above the former primary's. A server of another cluster (another system identifier) is none of
//! ours, whatever it is there.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use super::{Standing, trail::Trail};
use crate::topology::{Backend, Position, Role};

/// What a backend said when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is not in recovery, and its log ends there.
    Leads(Position),
    /// It has replayed that much; `None`: it does not say how much.
    Follows(Option<Position>),
    /// It is there, and nobody whom we know gets in.
    Refuses,
    /// Nothing.
    Silent,
}

impl Said {
    /// How far its log goes, if it says so.
    pub fn position(self) -> Option<Position> {
        match self {
            Self::Leads(position) => Some(position),
            Self::Follows(position) => position,
            Self::Refuses | Self::Silent => None,
        }
    }
}

/// Which cluster a server is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// `None`: it does not say.
    pub system: Option<u64>,
    /// Of a primary; counts up with each promotion. 0: not said.
    pub timeline: u32,
}

/// What a backend is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub standing: Standing,
    /// Why it is not what it seems.
    pub odd: Option<Odd>,
    pub lag_bytes: u64,
    pub lag: Duration,
}

/// What is wrong with a backend that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    #[error("it is in recovery, and the configuration calls it the primary")]
    Demoted,
    #[error("it is not in recovery, and was not promoted after the primary: it gets no traffic")]
    SecondPrimary,
    #[error("it is of another cluster than the primary (another system identifier)")]
    Stranger,
    #[error("it lets in nobody whom we know: set health.user and health.password_file")]
    Closed,
}

/// The backends of a database.
#[derive(Debug)]
pub struct Watch {
    members: Vec<Member>,
    max_lag: Duration,
    incumbent: Option<usize>,
    /// Of the last primary, and the cluster that it was of.
    reign: Identity,
    trail: Trail,
}

#[derive(Debug)]
struct Member {
    role: Role,
    said: Option<Said>,
    identity: Identity,
}

impl Watch {
    /// `max_lag` is zero: none is too far behind.
    pub fn new(backends: &[Backend], max_lag: Duration) -> Self {
        let member = |backend: &Backend| Member {
            role: backend.role,
            said: None,
            identity: Identity::default(),
        };
        Self {
            members: backends.iter().map(member).collect(),
            max_lag,
            incumbent: backends.iter().position(|one| one.role == Role::Primary),
            reign: Identity::default(),
            trail: Trail::default(),
        }
    }

    /// A server told which cluster it is of.
    pub fn identify(&mut self, at: usize, identity: Identity) {
        if let Some(member) = self.members.get_mut(at) {
            member.identity = identity;
        }
    }

    /// What it said to a question that was asked at that moment.
    pub fn hear(&mut self, at: usize, said: Said, asked: Instant) {
        if let Some(member) = self.members.get_mut(at) {
            member.said = Some(said);
        }
        let primary = self.primary();
        if primary != self.incumbent && primary.is_some() {
            self.trail = Trail::default();
        }
        if let Some(primary) = primary {
            self.incumbent = Some(primary);
            self.reign = self
                .members
                .get(primary)
                .map_or(self.reign, |one| Identity {
                    system: one.identity.system,
                    timeline: one.identity.timeline,
                });
        }
        if let Said::Leads(position) = said
            && primary == Some(at)
        {
            self.trail.note(asked, position);
        }
    }

    /// The place of the one that takes writes, if one says that it does.
    fn primary(&self) -> Option<usize> {
        let leads = |one: &Member| matches!(one.said, Some(Said::Leads(_)));
        let candidates = self.members.iter().enumerate();
        let candidates = candidates.filter(|(at, one)| leads(one) && self.may_lead(*at, one));
        let best = candidates.max_by_key(|(at, one)| {
            let is_incumbent = self.incumbent == Some(*at);
            let (timeline, is_said) = (one.identity.timeline, one.role == Role::Primary);
            // What is said to follow takes over only where nobody else does.
            let may_be = one.role != Role::Replica;
            (timeline, is_incumbent, is_said, may_be, Reverse(*at))
        });
        best.map(|(at, _)| at)
    }

    fn may_lead(&self, at: usize, one: &Member) -> bool {
        if self.is_stranger(one) {
            return false;
        }
        let reign = match self.is_of(one, self.reign.system) {
            true => self.reign.timeline,
            // The cluster was made anew: timelines begin again.
            false => 0,
        };
        match self.incumbent == Some(at) {
            true => one.identity.timeline >= reign || one.identity.timeline == 0,
            false => reign == 0 || one.identity.timeline > reign,
        }
    }

    /// Whether it is of another cluster than the primary, or than who is most like one.
    fn is_stranger(&self, one: &Member) -> bool {
        let incumbent = self.incumbent.and_then(|at| self.members.get(at));
        let said = self.members.iter().find(|one| one.role == Role::Primary);
        let models = said.into_iter().chain(incumbent).chain(&self.members);
        let system = models.filter_map(|model| model.identity.system).next();
        !self.is_of(one, system)
    }

    /// Who says nothing of it is believed.
    fn is_of(&self, one: &Member, system: Option<u64>) -> bool {
        let own = one.identity.system;
        own.is_none() || system.is_none() || own == system
    }

    /// What it is; `None`: it has not been asked yet.
    pub fn finding(&self, at: usize, now: Instant) -> Option<Finding> {
        let one = self.members.get(at)?;
        let primary = self.primary();
        let plain = |standing| Finding {
            standing,
            odd: None,
            lag_bytes: 0,
            lag: Duration::ZERO,
        };
        let odd = |standing, odd| Finding {
            odd: Some(odd),
            ..plain(standing)
        };
        Some(match one.said? {
            Said::Silent => plain(Standing::Down),
            Said::Leads(_) | Said::Follows(_) if self.is_stranger(one) => {
                odd(Standing::Down, Odd::Stranger)
            }
            Said::Leads(_) if primary == Some(at) => plain(Standing::Primary),
            Said::Leads(_) => odd(Standing::Down, Odd::SecondPrimary),
            Said::Follows(position) => self.following(one, position, now),
            Said::Refuses => odd(self.closed(at, one, primary), Odd::Closed),
        })
    }

    fn following(&self, one: &Member, position: Option<Position>, now: Instant) -> Finding {
        let lag = position.map(|position| self.trail.lag(position, now));
        let is_near = match lag {
            _ if self.max_lag.is_zero() => true,
            Some((_, lag)) => lag <= self.max_lag,
            None => false,
        };
        let (lag_bytes, lag) = lag.unwrap_or_default();
        Finding {
            standing: match is_near {
                true => Standing::Replica,
                false => Standing::Lagging,
            },
            odd: (one.role == Role::Primary).then_some(Odd::Demoted),
            lag_bytes,
            lag,
        }
    }

    /// Clients may well get in. The primary stays it while nobody else leads; how far a replica
    /// is behind nobody knows.
    fn closed(&self, at: usize, one: &Member, primary: Option<usize>) -> Standing {
        if self.incumbent == Some(at) && primary.is_none() {
            return Standing::Primary;
        }
        match one.role == Role::Replica && self.max_lag.is_zero() {
            true => Standing::Replica,
            false => Standing::Unknown,
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
