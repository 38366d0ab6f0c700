//! In which words the client hears of an error: the server's own, as they would have been without
//! us. Names of ours give way to the client's.

use super::{
    Session,
    ledger::{Owed, Reply},
    names,
    prepared::PREFIX,
    relay::Step,
    role::{Naming, Role},
    splice::Splice,
};
use crate::protocol::{SqlState, backend, frame::Header, notice};

/// How an error is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wording {
    /// In the server's own words, with the client's name for the one that was sent.
    Plain,
    /// With this name, among several that the client has for the statement.
    Named(Box<[u8]>),
    /// As the server's for a statement whose answer has changed; behind what it takes, where a
    /// Describe asked for that.
    Stale(Option<Box<[u8]>>),
}

impl Owed {
    /// In which words the client hears of its failure.
    pub fn wording(&self) -> Wording {
        match &self.role {
            Role::Named(name) => Wording::Named(name.clone()),
            Role::Naming(Naming::Shapes(shaping)) => {
                shaping.meant().map_or(Wording::Plain, Wording::Named)
            }
            Role::Stale(statement) => {
                let shape = statement.shape.get();
                let described = shape.filter(|_| self.reply == Reply::Describe);
                Wording::Stale(described.map(|shape| shape.types.clone()))
            }
            Role::Client
            | Role::Naming(_)
            | Role::Refuses(_)
            | Role::Guards
            | Role::Begins
            | Role::Looks(_)
            | Role::Ours => Wording::Plain,
        }
    }
}

impl Session {
    /// Puts an error into the client's words.
    pub(super) fn reword(
        &self,
        header: Header,
        seen: &[u8],
        wording: Wording,
        splice: &mut Splice<'_>,
    ) -> Step {
        let code = notice::sqlstate(backend::body(seen));
        match wording {
            Wording::Stale(types) if code == Some(SqlState::UNDEFINED_STATEMENT) => {
                let out = splice.insert();
                if let Some(types) = types {
                    backend::put_parameter_description(out, &types);
                }
                notice::put_stale_plan(out);
                Step::Replaced
            }
            Wording::Named(name) => self.rename(header, seen, Some(&name), splice),
            Wording::Stale(_) | Wording::Plain => self.rename(header, seen, None, splice),
        }
    }

    /// A message that shows a name of ours shows the client's instead: the one that it `meant`,
    /// where a statement has several.
    pub(super) fn rename(
        &self,
        header: Header,
        seen: &[u8],
        meant: Option<&[u8]>,
        splice: &mut Splice<'_>,
    ) -> Step {
        let whole = seen.len() == header.len;
        let Some(at) = notice::find(seen, PREFIX).filter(|_| whole) else {
            return Step::Pass;
        };
        let (said, ours) = names::said(seen.get(at..).unwrap_or_default());
        let theirs = match ours {
            false => Some(PREFIX),
            true => meant.or_else(|| self.client_name(said)),
        };
        let Some(theirs) = theirs else {
            return Step::Pass;
        };
        notice::put_renamed(splice.insert(), seen, said, theirs);
        Step::Replaced
    }

    /// What the client called this statement when it last sent something that is being answered:
    /// a name that it has given up since, rather than one that it has made since.
    fn client_name(&self, upstream: &[u8]) -> Option<&[u8]> {
        let is_old = |name: &[u8]| !self.ledger.is_registering(name);
        let known = self.names.client_name(upstream, is_old);
        known
            .or_else(|| self.ledger.closed(upstream))
            .or_else(|| self.names.client_name(upstream, |_| true))
    }
}
