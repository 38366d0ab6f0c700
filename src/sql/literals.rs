//! Where the values of a text lie: for shard keys.

use super::scan::Span;

/// Who wants to hear of the values, in the order of the text.
///
/// A *place* is a value's number, from 0, in the text as its fingerprint sees it: the same in
/// all texts of one fingerprint. The elements of an IN list, of an ARRAY or the rows of VALUES
/// count from the same place, so a place may have many values.
pub trait Literals {
    /// The value at this place, as it is written: a string of any kind with its quotes, its
    /// continuations and UESCAPE, a number with its unary sign and what lies between them,
    /// `$1`; in lists and rows also NULL, TRUE or FALSE.
    fn value(&mut self, place: u32, span: Span);

    /// Elements of one list differ in more than their values: a place within it says nothing.
    fn mixed(&mut self);
}

/// Nobody.
impl Literals for () {
    #[inline(always)]
    fn value(&mut self, _place: u32, _span: Span) {}

    #[inline(always)]
    fn mixed(&mut self) {}
}

/// Remembers the values of a text, or those of one place, up to a number of them.
#[derive(Debug, Clone, Default)]
pub struct Places {
    found: Vec<(u32, Span)>,
    only: Option<u32>,
    limit: usize,
    is_mixed: bool,
    is_full: bool,
}

impl Places {
    /// For up to `limit` values.
    pub fn new(limit: usize) -> Places {
        Places {
            limit,
            ..Places::default()
        }
    }

    /// For up to `limit` values at this place.
    pub fn only(place: u32, limit: usize) -> Places {
        Places {
            only: Some(place),
            limit,
            ..Places::default()
        }
    }

    /// Forgets what it found, and keeps the memory.
    pub fn clear(&mut self) {
        self.found.clear();
        self.is_mixed = false;
        self.is_full = false;
    }

    /// The places and spans found, in the order of the text.
    pub fn found(&self) -> &[(u32, Span)] {
        &self.found
    }

    /// Some list's elements differ in more than their values: see [`Literals::mixed`].
    pub fn is_mixed(&self) -> bool {
        self.is_mixed
    }

    /// There were more values than it could hold.
    pub fn is_full(&self) -> bool {
        self.is_full
    }
}

impl Literals for Places {
    fn value(&mut self, place: u32, span: Span) {
        if self.only.is_some_and(|only| only != place) {
            return;
        }
        if self.found.len() < self.limit {
            self.found.push((place, span));
        } else {
            self.is_full = true;
        }
    }

    fn mixed(&mut self) {
        self.is_mixed = true;
    }
}
