//! How often a text and its like ran, where, and how long that took: plain cells beside its verdict.

use std::{cell::Cell, time::Duration};

use crate::route::{Reason, Role};
use crate::sql::{self, Class, Fingerprint};

/// As much of a text is shown.
const SHOWN: usize = 400;

/// What was seen of all texts of one fingerprint, since their verdict was made.
#[derive(Debug)]
pub struct Seen {
    fingerprint: Fingerprint,
    /// The first of them, without its values.
    text: Box<str>,
    /// By the places of [`Role::ALL`].
    counts: [Cell<u64>; Role::ALL.len()],
    last: Cell<Option<(Role, Reason)>>,
    /// Of the requests that it was the last text of, in microseconds.
    time: Cell<u64>,
    requests: Cell<u64>,
}

/// The same, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub fingerprint: Fingerprint,
    pub text: Box<str>,
    pub class: Class,
    /// How often it went to each role, in the order of [`Role::ALL`].
    pub counts: [u64; Role::ALL.len()],
    /// Where it went last, and why.
    pub role: Role,
    pub reason: Reason,
    /// What speaks against its being a read.
    pub subject: Option<Box<str>>,
    /// Of so many requests, together.
    pub time: Duration,
    pub requests: u64,
}

impl Seen {
    pub fn new(fingerprint: Fingerprint, text: &[u8]) -> Self {
        Self {
            fingerprint,
            text: sql::without_values(text, SHOWN).into(),
            counts: Default::default(),
            last: Cell::default(),
            time: Cell::default(),
            requests: Cell::default(),
        }
    }

    /// Roughly the memory that it holds beyond itself.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// One is sent there.
    #[inline]
    pub fn goes(&self, role: Role, reason: Reason) {
        if let Some(count) = self.counts.get(role as usize) {
            count.set(count.get() + 1);
        }
        self.last.set(Some((role, reason)));
    }

    /// Its request is answered.
    #[inline]
    pub fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.time.set(self.time.get().saturating_add(micros));
        self.requests.set(self.requests.get() + 1);
    }

    /// `None`: none has been sent.
    pub fn path(&self, class: Class, subject: Option<&sql::Named>) -> Option<Path> {
        let (role, reason) = self.last.get()?;
        let subject = subject.filter(|_| matches!(reason, Reason::Against(_)));
        Some(Path {
            fingerprint: self.fingerprint,
            text: self.text.clone(),
            class,
            counts: self.counts.each_ref().map(Cell::get),
            role,
            reason,
            subject: subject.map(|one| written(one).into()),
            time: Duration::from_micros(self.time.get()),
            requests: self.requests.get(),
        })
    }
}

fn written(named: &sql::Named) -> String {
    let name = String::from_utf8_lossy(&named.name);
    match &named.schema {
        Some(schema) => format!("{}.{name}", String::from_utf8_lossy(schema)),
        None => name.into_owned(),
    }
}
