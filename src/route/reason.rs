//! Why a text goes where it goes: the words of metrics and answers, each with its sentence.

use crate::sql::Obstacle;

/// Why a text goes where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Any replica may answer.
    ProvenRead,
    /// A hint said so.
    Hint,
    /// A hint asked for a replica, for what no replica takes.
    HintRefused,
    /// The operator wants reads on the primary.
    ReadsPrimary,
    /// There is no replica.
    NoReplica,
    /// No replica shows yet what the session has seen or written.
    NotFresh,
    /// It is a part of a transaction.
    InTransaction,
    /// The session keeps its connection.
    Pinned,
    /// It joins a request that is under way.
    Joined,
    /// Its session wants serializable transactions.
    Serializable,
    /// Something else in its batch is no read.
    Batch,
    /// Its like failed on a replica.
    Healed,
    /// The catalog has not been read yet.
    NoCatalog,
    /// A backslash escapes in plain strings.
    Strings,
    /// Characters of the client's encoding may hide ASCII.
    Encoding,
    /// Too long to be read in whole.
    Oversize,
    /// What stands against its being a read.
    Against(Obstacle),
}

/// How many reasons there are; [`Reason::place`] is below it.
pub const REASONS: usize = OWN.len() + OBSTACLES.len();

const OWN: [Reason; 16] = [
    Reason::ProvenRead,
    Reason::Hint,
    Reason::HintRefused,
    Reason::ReadsPrimary,
    Reason::NoReplica,
    Reason::NotFresh,
    Reason::InTransaction,
    Reason::Pinned,
    Reason::Joined,
    Reason::Serializable,
    Reason::Batch,
    Reason::Healed,
    Reason::NoCatalog,
    Reason::Strings,
    Reason::Encoding,
    Reason::Oversize,
];

macro_rules! obstacles {
    ($($name:ident: $why:literal,)*) => {
        /// In the order of their declaration, which a test holds them to.
        const OBSTACLES: &[Obstacle] = &[$(Obstacle::$name),*];

        fn against(obstacle: Obstacle) -> &'static str {
            match obstacle {
                $(Obstacle::$name => $why,)*
            }
        }
    };
}

obstacles! {
    Empty: "there is no statement in it",
    Unparsable: "it is not understood, so it may do anything",
    Write: "it writes",
    Ddl: "it defines or drops something",
    Locking: "it locks rows",
    Transaction: "it begins, ends or divides a transaction",
    Session: "it changes or shows the state of the session",
    Listen: "it listens or notifies, which the primary alone does",
    Cursor: "it goes where its cursor is",
    Prepare: "it goes where its statement was prepared",
    Call: "it runs code that the text does not show",
    CopyIn: "it copies data in",
    ServerFile: "it copies to a file or a program of the server",
    Utility: "it is a command, no query",
    DeniedFunction: "it calls a function that a standby would run, with the wrong effect",
    ServerFunction: "it calls a function whose answer is the server's own",
    VolatileFunction: "it calls a function that is volatile, by its declaration or by what it runs",
    UnknownFunction: "it calls a function that nothing is known of",
    UserFunction: "it calls a user's function, and user_functions trusts none of them",
    Operator: "it has an operator whose function may do anything",
    Type: "it has a type whose input, cast or check may do anything",
    SystemRelation: "it reads a relation of the system, which shows the server's own state",
    TemporaryRelation: "it reads a temporary table, which is on the primary alone",
    UnloggedRelation: "it reads an unlogged table, which a standby has nothing of",
    ForeignRelation: "it reads a foreign table, which leads wherever its server says",
    SequenceRelation: "it reads a sequence, of which a standby is ahead",
    View: "it reads a view, or a table with a policy, whose definition may do anything",
    UnknownRelation: "it reads a relation that nothing is known of",
}

impl Reason {
    /// All of them, in their places.
    pub fn all() -> impl Iterator<Item = Self> {
        let obstacles = OBSTACLES.iter().copied().map(Self::Against);
        OWN.into_iter().chain(obstacles)
    }

    /// Where it is counted: below [`REASONS`], each at its own.
    #[inline]
    pub fn place(self) -> usize {
        match self {
            Self::ProvenRead => 0,
            Self::Hint => 1,
            Self::HintRefused => 2,
            Self::ReadsPrimary => 3,
            Self::NoReplica => 4,
            Self::NotFresh => 5,
            Self::InTransaction => 6,
            Self::Pinned => 7,
            Self::Joined => 8,
            Self::Serializable => 9,
            Self::Batch => 10,
            Self::Healed => 11,
            Self::NoCatalog => 12,
            Self::Strings => 13,
            Self::Encoding => 14,
            Self::Oversize => 15,
            Self::Against(obstacle) => OWN.len() + obstacle as usize,
        }
    }

    /// As it shows in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProvenRead => "proven_read",
            Self::Hint => "hint",
            Self::HintRefused => "hint_refused",
            Self::ReadsPrimary => "reads_primary",
            Self::NoReplica => "no_replica",
            Self::NotFresh => "not_fresh",
            Self::InTransaction => "in_transaction",
            Self::Pinned => "pinned",
            Self::Joined => "joined",
            Self::Serializable => "serializable",
            Self::Batch => "batch",
            Self::Healed => "healed",
            Self::NoCatalog => "no_catalog",
            Self::Strings => "nonstandard_strings",
            Self::Encoding => "client_encoding",
            Self::Oversize => "oversize",
            Self::Against(obstacle) => obstacle.name(),
        }
    }

    /// The same in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ProvenRead => "nothing in it has an effect, and every server answers it alike",
            Self::Hint => "a hint in a comment says so",
            Self::HintRefused => "a hint asks for a replica, which cannot do this: error 25006",
            Self::ReadsPrimary => "it is a proven read, and reads = \"primary\" keeps those here",
            Self::NoReplica => "it is a proven read, and there is no replica",
            Self::NotFresh => {
                "it is a proven read, and no replica shows yet what its session has seen"
            }
            Self::InTransaction => "it is a part of a transaction, which stays where it is",
            Self::Pinned => "its session keeps its connection",
            Self::Joined => "it joins a request of its session that is under way there",
            Self::Serializable => {
                "its session wants serializable transactions, which no standby has"
            }
            Self::Batch => "something else in its batch is no read",
            Self::Healed => "it is a proven read, and a replica has refused its like before",
            Self::NoCatalog => "what it names has not been read from the database yet",
            Self::Strings => "with standard_conforming_strings off its strings are not understood",
            Self::Encoding => "in the client's encoding a character may hide a quote",
            Self::Oversize => "it is longer than 256 KiB",
            Self::Against(obstacle) => against(obstacle),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let all: Vec<Reason> = Reason::all().collect();
        assert_eq!(all.len(), REASONS);
        for (place, reason) in all.iter().enumerate() {
            assert_eq!(reason.place(), place, "{reason:?}");
        }
        let names: BTreeSet<&str> = all.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), REASONS);
    }

    #[test]
    fn every_reason_is_told_in_the_readme_in_its_own_sentence() {
        let readme = include_str!("../../README.md");
        for reason in Reason::all() {
            let line = format!("| `{}` | {} |\n", reason.name(), reason.sentence());
            assert!(readme.contains(&line), "{line}");
        }
    }
}
