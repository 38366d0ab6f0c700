//! What does a database know of its functions, views and policies? Reads it, and makes of it the
//! picture that `sql` judges by.
//! Never dials: who asks, and how it logged in, is said from above ([`Ask`]).
//!
//! - `read` has the statements: one that tells whether anything has changed, one that reads all,
//! - `rows` is what they answer, `picture` what follows from it, without asking anybody: every
//!   function, operator, type, cast and relation is a node of a `graph`, and needs what it runs,
//! - `look` keeps the last picture and reads another when something has changed,
//! - `refresh` says when to look again.

mod body;
mod graph;
mod labels;
mod look;
mod meanings;
mod picture;
mod read;
mod refresh;
mod rows;
mod tree;

pub use look::Catalog;
pub use picture::draw;
pub use read::{Digest, ReadError, read_digest, read_rows};
pub use refresh::{Occasion, Outcome, Refresh};
pub use rows::{
    Cast, Definition, Function, Language, Oid, Operator, Persistence, References, Relation,
    RelationKind, Rows, Type,
};

/// How far a user's function is trusted that is declared stable or immutable: the file's
/// `user_functions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// As it is declared, if what it runs does not show otherwise.
    #[default]
    Volatility,
    /// Not at all. What came with an extension is the operator's own, and trusted as declared:
    /// no statement could use `=` on a replica beside some of them otherwise.
    Primary,
}

/// A row's values as texts; `None` is NULL.
pub type Row<'a> = [Option<&'a [u8]>];

/// A connection of our own to the primary of a database, which asks one question at a time. It
/// is in no transaction, read-only, has `statement_timeout` set and `search_path` empty.
pub trait Ask {
    /// Why a question failed; the connection is of no use afterwards.
    type Error: std::error::Error;

    /// Runs a statement without parameters, and shows each row as it comes, as texts.
    ///
    /// # Errors
    /// The backend's own, or the connection's.
    fn ask(
        &mut self,
        statement: &str,
        show: &mut dyn FnMut(&Row<'_>),
    ) -> impl Future<Output = Result<(), Self::Error>>;
}
