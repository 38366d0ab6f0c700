//! What a database's own catalog says about names.

use super::verdict::Obstacle;

/// An immutable picture of a database's functions, relations, operators and types, as far as
/// they tell reads from the rest. `catalog` makes it; without one no name of a user's is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Another for every picture that differs: part of what a cached verdict hangs on.
    pub epoch: u64,
}

impl Known {
    /// Whether calling `name` passes, in whatever overload; in all schemas where none is given.
    ///
    /// # Errors
    /// What stands against it.
    pub fn function(&self, _schema: Option<&[u8]>, _name: &[u8]) -> Result<(), Obstacle> {
        Err(Obstacle::UnknownFunction)
    }

    /// Whether reading the relation passes, with its views, policies, children.
    ///
    /// # Errors
    /// What stands against it.
    pub fn relation(&self, _schema: Option<&[u8]>, _name: &[u8]) -> Result<(), Obstacle> {
        Err(Obstacle::UnknownRelation)
    }

    /// Whether every operator of this spelling passes.
    ///
    /// # Errors
    /// What stands against it.
    pub fn operator(&self, _symbol: &[u8]) -> Result<(), Obstacle> {
        Ok(())
    }

    /// Whether a name that is neither a call nor a relation passes: it could be a type whose
    /// input, cast or check runs something, or a function in column notation.
    ///
    /// # Errors
    /// What stands against it.
    pub fn word(&self, _name: &[u8]) -> Result<(), Obstacle> {
        Ok(())
    }

    /// What stands against every statement: an implicit cast that runs something.
    pub fn everywhere(&self) -> Option<Obstacle> {
        None
    }
}
