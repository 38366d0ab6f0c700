//! The decision itself.

use super::{REASONS, Reads, Reason, Rules};
use crate::sql::{Class, Finding, Hint, Judgement, Obstacle, Wanted};

/// Whom a text goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// Any that follows it.
    Replica,
    /// There is but one backend.
    Any,
}

impl Role {
    /// All of them, in their places.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Replica, Self::Any];

    /// As it shows in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Any => "any",
        }
    }
}

/// What a hint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Nothing.
    #[default]
    None,
    Primary,
    Replica,
}

impl Wish {
    /// All of them, in the order in which `as usize` numbers them.
    pub const ALL: [Self; 3] = [Self::None, Self::Primary, Self::Replica];

    /// What a hint asks for.
    pub fn of(hint: &Hint) -> Self {
        match hint.wanted {
            None => Self::None,
            Some(Wanted::Primary) => Self::Primary,
            Some(Wanted::Replica) => Self::Replica,
        }
    }
}

/// Whether names of users' own could be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalog {
    /// They were.
    Known,
    /// Not yet: what names anything is not provably a read.
    Awaited,
    /// They will be. The text is taken for what it is if every relation is a plain table, and no
    /// name of the server's is a user's too.
    Assumed,
}

/// A text, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub finding: &'a Finding,
    pub judgement: &'a Judgement,
    pub wish: Wish,
    pub catalog: Catalog,
}

/// Where a text goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub role: Role,
    pub reason: Reason,
    /// Whether any replica may answer, whatever the file has and a hint asks for.
    pub replica_safe: bool,
    /// It goes nowhere: the client hears 25006.
    pub is_refused: bool,
}

impl Decision {
    /// How many roles and reasons there are together.
    pub const PLACES: usize = Role::ALL.len() * REASONS;

    /// Where it is counted: below [`Decision::PLACES`].
    #[inline]
    pub fn place(&self) -> usize {
        Self::place_of(self.role, self.reason)
    }

    /// Where it is counted that a text went there, for that reason.
    #[inline]
    pub fn place_of(role: Role, reason: Reason) -> usize {
        role as usize * REASONS + reason.place()
    }

    /// All roles and reasons, in their places.
    pub fn places() -> impl Iterator<Item = (Role, Reason)> {
        let of = |role| Reason::all().map(move |reason| (role, reason));
        Role::ALL.into_iter().flat_map(of)
    }

    /// For a text that must not be read, or cannot be.
    pub fn unread(reason: Reason, rules: &Rules) -> Self {
        Self {
            role: rules.role(Role::Primary),
            reason,
            replica_safe: false,
            is_refused: false,
        }
    }
}

/// Where this text goes. The primary, unless it is proven to be a read.
pub fn decide(case: &Case<'_>, rules: &Rules) -> Decision {
    let proof = prove(case);
    let refused = case.wish == Wish::Replica && takes_no_replica(case.finding.class);
    // Nobody else could do it instead: with a single backend nothing is refused.
    let is_refused = refused && !rules.is_alone();
    let (role, reason) = match (case.wish, proof) {
        (Wish::Replica, _) if is_refused => (Role::Replica, Reason::HintRefused),
        (Wish::Replica, _) if !refused => (Role::Replica, Reason::Hint),
        (Wish::Primary, _) => (Role::Primary, Reason::Hint),
        (Wish::None | Wish::Replica, Err(reason)) => (Role::Primary, reason),
        (Wish::None | Wish::Replica, Ok(())) => read(rules),
    };
    Decision {
        role: rules.role(role),
        reason,
        replica_safe: proof.is_ok(),
        is_refused,
    }
}

/// Where a proven read goes.
fn read(rules: &Rules) -> (Role, Reason) {
    match rules.reads {
        _ if rules.is_alone() => (Role::Any, Reason::ProvenRead),
        Reads::Primary => (Role::Primary, Reason::ReadsPrimary),
        Reads::Replicas if !rules.has_replicas => (Role::Primary, Reason::NoReplica),
        Reads::Replicas => (Role::Replica, Reason::ProvenRead),
    }
}

/// Whether any replica may answer, or what stands against it.
fn prove(case: &Case<'_>) -> Result<(), Reason> {
    let Case {
        finding, judgement, ..
    } = case;
    if let Some(obstacle) = finding.obstacle {
        return Err(Reason::Against(obstacle));
    }
    let awaited = case.catalog == Catalog::Awaited;
    match judgement.obstacle {
        // What is unknown only because nobody has looked yet.
        Some(Obstacle::UnknownFunction | Obstacle::UnknownRelation) if awaited => {
            Err(Reason::NoCatalog)
        }
        Some(obstacle) => Err(Reason::Against(obstacle)),
        None if awaited && names_anything(finding) => Err(Reason::NoCatalog),
        None => Ok(()),
    }
}

/// Whether the catalog could know better: a relation may be a view, a function, an operator or
/// a type a user's own.
pub fn names_anything(finding: &Finding) -> bool {
    let Finding {
        relations,
        functions,
        asides,
        operators,
        words,
        fields,
        ..
    } = finding;
    let named = [relations, functions, asides];
    let spelt = [operators, words, fields];
    named.iter().any(|names| !names.is_empty()) || spelt.iter().any(|names| !names.is_empty())
}

/// What a hint cannot send to a replica.
fn takes_no_replica(class: Class) -> bool {
    match class {
        Class::Write | Class::Ddl | Class::Session | Class::CopyIn => true,
        Class::Empty
        | Class::Read
        | Class::CopyOut
        | Class::Cursor
        | Class::Prepare
        | Class::Transaction
        | Class::Listen
        | Class::Utility
        | Class::Call
        | Class::Unknown => false,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
