//! The prepared statements that this client knows, by its own names.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::{prepared::PREFIX, role::Name, verdicts::Judged};
use crate::backend::Statement;
use crate::protocol::Parameters;
use crate::sql::Reading;

/// What the server tells names of statements apart by (NAMEDATALEN - 1 bytes).
const LONGEST: usize = 63;
/// Behind our prefix, it makes a name that is none of ours: those go on with a digit.
const FOREIGN: &[u8] = b"x";

/// What of a statement's name counts: two that begin alike are one.
#[inline]
pub fn key(name: &[u8]) -> &[u8] {
    name.get(..LONGEST).unwrap_or(name)
}

/// Whether a client's name looks like one of ours, and must not be met upstream.
#[inline]
pub fn is_ours(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// A client's own name as it may be said upstream, where statements of ours are.
pub fn upstream(name: &[u8]) -> Cow<'_, [u8]> {
    match name.strip_prefix(PREFIX) {
        Some(rest) => [PREFIX, FOREIGN, rest].concat().into(),
        None => name.into(),
    }
}

/// The name upstream that stands at the beginning of `said`, if it is one of ours; else what
/// [`upstream`] put into a client's name, and its place.
pub fn said(said: &[u8]) -> (&[u8], bool) {
    let rest = said.get(PREFIX.len()..).unwrap_or_default();
    if rest.starts_with(FOREIGN) {
        let len = PREFIX.len() + FOREIGN.len();
        return (said.get(..len).unwrap_or_default(), false);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (said.get(..PREFIX.len() + digits).unwrap_or_default(), true)
}

/// What the client prepared and has not closed.
#[derive(Debug, Default)]
pub struct Names {
    named: HashMap<Box<[u8]>, Entry>,
    unnamed: Option<Unnamed>,
    /// Text and types of the unnamed statement; kept allocated from one to the next.
    rest: Vec<u8>,
    count: u32,
    /// The client has had two names for one statement.
    twins: bool,
    /// Made by PREPARE behind settings that are not known yet.
    unsettled: Vec<Box<[u8]>>,
    /// What the client called statements before they got a second name, or were renewed: what
    /// was sent by then means these.
    before: Vec<(Box<[u8]>, Arc<Statement>)>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct Entry {
    pub statement: Arc<Statement>,
    /// `None`: it has not been judged, or nothing is.
    pub judged: Option<Judged>,
    /// PREPARE made it, whose text the statement is, under these settings.
    pub sql: Option<Arc<Parameters>>,
}

/// The unnamed statement, which outlives its transaction.
#[derive(Debug, Clone)]
pub struct Unnamed {
    pub reading: Reading,
    /// `None`: it has not been judged, or nothing is.
    pub judged: Option<Judged>,
    /// Tells it from earlier ones of this session.
    pub number: u32,
}

/// An unnamed statement that another has taken the place of; or that there was none.
#[derive(Debug, Clone)]
pub struct Former {
    unnamed: Option<Unnamed>,
    rest: Vec<u8>,
    count: u32,
}

impl Names {
    /// How many the client has by name.
    #[inline]
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether it has none by name.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// All names but that of the unnamed statement.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.named.keys().map(|name| &**name)
    }

    /// There is nothing any more that PREPARE has made.
    pub fn forget_prepared(&mut self) {
        self.named.retain(|_, entry| entry.sql.is_none());
    }

    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.entry(name).map(|entry| &entry.statement)
    }

    /// What a Parse made under this name.
    #[inline]
    pub fn entry(&self, name: &[u8]) -> Option<&Entry> {
        self.named.get(name).filter(|entry| entry.sql.is_none())
    }

    /// What a Parse or a PREPARE made under this name.
    pub fn any(&self, name: &[u8]) -> Option<&Entry> {
        self.named.get(name)
    }

    /// What a name stands for, and what was made of that: one look-up.
    #[inline]
    pub fn named(&self, name: &[u8]) -> (Option<Arc<Statement>>, Option<Judged>) {
        match self.entry(name) {
            Some(entry) => (Some(Arc::clone(&entry.statement)), entry.judged.clone()),
            None => {
                let unnamed = self.unnamed().filter(|_| name.is_empty());
                (None, unnamed.and_then(|unnamed| unnamed.judged.clone()))
            }
        }
    }

    pub fn insert(&mut self, name: Box<[u8]>, statement: Arc<Statement>) {
        self.insert_judged(name, statement, None);
    }

    pub fn insert_judged(
        &mut self,
        name: Box<[u8]>,
        statement: Arc<Statement>,
        judged: Option<Judged>,
    ) {
        if !self.twins {
            let mut others = self.named.iter();
            let is_it = |one: &Entry| one.sql.is_none() && Arc::ptr_eq(&one.statement, &statement);
            let elder = others.find(|(_, one)| is_it(one));
            if let Some((elder, _)) = elder {
                self.twins = true;
                self.before.push((elder.clone(), Arc::clone(&statement)));
            }
        }
        let sql = None;
        let entry = Entry {
            statement,
            judged,
            sql,
        };
        self.named.insert(name, entry);
    }

    /// PREPARE has made this, whose text the statement is, under these settings.
    pub fn insert_sql(
        &mut self,
        name: Box<[u8]>,
        statement: Arc<Statement>,
        settings: Arc<Parameters>,
    ) {
        let entry = Entry {
            statement,
            judged: None,
            sql: Some(settings),
        };
        self.named.insert(name, entry);
    }

    /// What PREPARE has made under this name was made under settings that are to be told.
    pub fn await_settings(&mut self, name: &[u8]) {
        self.unsettled.push(name.into());
    }

    /// Those settings are these.
    pub fn settle(&mut self, settings: &Arc<Parameters>) {
        for name in std::mem::take(&mut self.unsettled) {
            if let Some(entry) = self.named.get_mut(&name)
                && entry.sql.is_some()
            {
                entry.sql = Some(Arc::clone(settings));
            }
        }
    }

    /// What was taken is back.
    pub fn put_back(&mut self, name: Name) {
        match name.sql {
            Some(settings) => self.insert_sql(name.name, name.statement, settings),
            None => self.insert(name.name, name.statement),
        }
    }

    /// Remembers a verdict with what was prepared under this name.
    pub fn put_judged(&mut self, name: &[u8], judged: Judged) {
        match (self.named.get_mut(name), &mut self.unnamed) {
            (Some(entry), _) => entry.judged = Some(judged),
            (None, Some(unnamed)) if name.is_empty() => unnamed.judged = Some(judged),
            (None, _) => {}
        }
    }

    /// The name means the next generation of its statement from here on.
    pub fn renew(&mut self, name: &[u8], next: Arc<Statement>) {
        if let Some(former) = self.take(name) {
            self.before.push((former.name, former.statement));
        }
        self.insert(name.into(), next);
    }

    /// Nothing is under way that was sent before.
    #[inline]
    pub fn forget_before(&mut self) {
        self.before.clear();
    }

    /// Whether a statement alone does not tell by which name the client means it.
    #[inline]
    pub fn has_twins(&self) -> bool {
        self.twins
    }

    /// Gives up a name, whoever made it.
    pub fn take(&mut self, name: &[u8]) -> Option<Name> {
        let (name, entry) = self.named.remove_entry(name)?;
        Some(name_of(name, entry))
    }

    /// Removes the name if it still means this statement.
    pub fn remove_if(&mut self, name: &[u8], statement: &Arc<Statement>) {
        if self
            .get(name)
            .is_some_and(|one| Arc::ptr_eq(one, statement))
        {
            self.take(name);
        }
    }

    /// For DEALLOCATE ALL: all names. The unnamed statement lives on, as in the server.
    pub fn take_all(&mut self) -> impl Iterator<Item = Name> + use<> {
        let all = std::mem::take(&mut self.named).into_iter();
        all.map(|(name, entry)| name_of(name, entry))
    }

    /// What the client calls the statement that has this name upstream, by a name that `is_known`.
    pub fn client_name(&self, upstream: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
        let before = self
            .before
            .iter()
            .map(|(name, statement)| (name, statement));
        let now = self.named.iter().filter(|(_, entry)| entry.sql.is_none());
        before
            .chain(now.map(|(name, entry)| (name, &entry.statement)))
            .find(|(name, statement)| statement.name == upstream && is_known(name))
            .map(|(name, _)| &**name)
    }

    #[inline]
    pub fn unnamed(&self) -> Option<&Unnamed> {
        self.unnamed.as_ref()
    }

    /// Whether this is still the number of the unnamed statement.
    pub fn is_unnamed(&self, number: u32) -> bool {
        let unnamed = self.unnamed.as_ref();
        unnamed.is_some_and(|unnamed| unnamed.number == number)
    }

    pub fn unnamed_rest(&self) -> &[u8] {
        &self.rest
    }

    /// Remembers a Parse of the unnamed statement; gives its number.
    #[inline]
    pub fn set_unnamed(&mut self, rest: &[u8], reading: Reading, judged: Option<Judged>) -> u32 {
        self.count = self.count.wrapping_add(1);
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        self.unnamed = Some(Unnamed {
            reading,
            judged,
            number: self.count,
        });
        self.count
    }

    /// The unnamed statement, to be put back should the next one be skipped.
    pub fn former(&self) -> Former {
        Former {
            unnamed: self.unnamed.clone(),
            rest: self.rest.clone(),
            count: self.count,
        }
    }

    /// What dropped it was skipped; unless something else has dropped it since, it is back.
    /// Tells whether it is.
    pub fn undrop(&mut self, former: Former) -> bool {
        let last = self.count == former.count.wrapping_add(1);
        if last {
            self.restore(former);
        }
        last
    }

    pub fn restore(&mut self, former: Former) {
        self.unnamed = former.unnamed;
        self.rest = former.rest;
    }

    #[inline]
    pub fn forget_unnamed(&mut self) {
        self.count = self.count.wrapping_add(1);
        self.unnamed = None;
    }
}

fn name_of(name: Box<[u8]>, entry: Entry) -> Name {
    Name {
        name,
        statement: entry.statement,
        sql: entry.sql,
    }
}
