//! The prepared statements that this client knows, by its own names.

use std::{collections::HashMap, sync::Arc};

use crate::backend::Statement;
use crate::sql::Reading;

/// What the client prepared and has not closed.
#[derive(Debug, Default)]
pub struct Names {
    named: HashMap<Box<[u8]>, Arc<Statement>>,
    unnamed: Option<Unnamed>,
    /// Text and types of the unnamed statement; kept allocated from one to the next.
    rest: Vec<u8>,
    count: u32,
}

/// The unnamed statement, which outlives its transaction.
#[derive(Debug, Clone, Copy)]
pub struct Unnamed {
    pub reading: Reading,
    /// Tells it from earlier ones of this session.
    pub number: u32,
}

/// An unnamed statement that another has taken the place of; or that there was none.
#[derive(Debug, Clone)]
pub struct Former {
    unnamed: Option<Unnamed>,
    rest: Vec<u8>,
}

impl Names {
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.named.get(name)
    }

    pub fn insert(&mut self, name: Box<[u8]>, statement: Arc<Statement>) {
        self.named.insert(name, statement);
    }

    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        self.named.remove(name)
    }

    /// Removes the name if it still means this statement.
    pub fn remove_if(&mut self, name: &[u8], statement: &Arc<Statement>) {
        if self
            .get(name)
            .is_some_and(|one| Arc::ptr_eq(one, statement))
        {
            self.remove(name);
        }
    }

    /// After DEALLOCATE ALL. The unnamed statement lives on, as in the server.
    pub fn clear(&mut self) {
        self.named.clear();
    }

    /// What the client calls the statement that has this name upstream.
    pub fn client_name(&self, upstream: &[u8]) -> Option<&[u8]> {
        let mut named = self.named.iter();
        named
            .find(|(_, statement)| statement.name == upstream)
            .map(|(name, _)| &**name)
    }

    #[inline]
    pub fn unnamed(&self) -> Option<Unnamed> {
        self.unnamed
    }

    pub fn unnamed_rest(&self) -> &[u8] {
        &self.rest
    }

    /// Remembers a Parse of the unnamed statement; gives its number.
    #[inline]
    pub fn set_unnamed(&mut self, rest: &[u8], reading: Reading) -> u32 {
        self.count = self.count.wrapping_add(1);
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        self.unnamed = Some(Unnamed {
            reading,
            number: self.count,
        });
        self.count
    }

    /// The unnamed statement, to be put back should the next one be skipped.
    pub fn former(&self) -> Former {
        Former {
            unnamed: self.unnamed,
            rest: self.rest.clone(),
        }
    }

    pub fn restore(&mut self, former: Former) {
        self.unnamed = former.unnamed;
        self.rest = former.rest;
    }

    #[inline]
    pub fn forget_unnamed(&mut self) {
        self.unnamed = None;
    }
}
