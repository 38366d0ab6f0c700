//! What is known of the texts that pass, and where each is to go.
//!
//! One for each database of a worker. A text is read in whole once for all that differ from it in
//! their values alone; what was found then is looked up by the text's fingerprint from there on.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashSet,
    rc::Rc,
    sync::Arc,
};

use super::{
    Snapshot,
    seen::{Path, Seen},
};
use crate::catalog::Occasion;
use crate::protocol::Parameters;
use crate::route::{self, CLASSES, Case, Catalog, Decision, Reads, Reason, Role, Rules, Wish};
use crate::sql::{
    self, Cached, Class, Finding, Hint, Judgement, Kind, Known, Limits, Obstacle, Print, Reading,
    Strings,
};
use crate::telemetry::{counters::Traffic, events};

/// What is known of a text and of all that differ from it in their values alone.
#[derive(Debug)]
pub struct Verdict {
    /// What the text says; `None`: it was not read, or it is not understood.
    pub finding: Option<Finding>,
    /// What the catalog made of it.
    pub judgement: Option<Judgement>,
    /// As [`sql::read`] would say of each of these texts; `None`: that hangs on where its names
    /// lie.
    reading: Option<Reading>,
    /// By what a hint asks for, in the order of [`Wish::ALL`].
    decisions: [Decision; Wish::ALL.len()],
    /// Instead of those for a replica, where one has refused this since.
    healed: OnceCell<Decision>,
    /// The catalog's, by which it was judged.
    epoch: u64,
    /// `None`: it is not of one fingerprint.
    pub(super) seen: Option<Seen>,
}

impl Verdict {
    pub fn class(&self) -> Class {
        self.finding
            .as_ref()
            .map_or(Class::Unknown, |one| one.class)
    }

    /// A replica has refused a text of this fingerprint: from here on, and as long as this verdict
    /// is remembered, they go to the primary.
    pub fn heal(&self) {
        // Those that were not read are of many fingerprints.
        if self.seen.is_some() {
            self.healed.get_or_init(|| Decision {
                role: Role::Primary,
                reason: Reason::Healed,
                replica_safe: false,
                is_refused: false,
            });
        }
    }

    /// How many statements the text has, an empty one counted.
    pub fn statements(&self) -> u32 {
        self.finding.as_ref().map_or(1, |one| one.statements.max(1))
    }
}

impl Cached for Verdict {
    fn bytes(&self) -> usize {
        let Some(finding) = &self.finding else {
            return size_of::<Self>();
        };
        let unjudged = self.judgement.iter().flat_map(|one| &one.unjudged);
        let named = [&finding.relations, &finding.functions, &finding.asides];
        let named = named.into_iter().flatten().chain(unjudged).map(|named| {
            let schema = named.schema.as_ref().map_or(0, |schema| schema.len());
            size_of_val(named) + named.name.len() + schema
        });
        let spelt = [&finding.operators, &finding.words, &finding.fields];
        let spelt = spelt
            .into_iter()
            .flatten()
            .map(|name| size_of_val(name) + name.len());
        let effects = finding.effects.len() * EFFECT;
        let seen = self.seen.as_ref().map_or(0, Seen::bytes);
        size_of::<Self>() + seen + effects + named.sum::<usize>() + spelt.sum::<usize>()
    }

    fn is_literal(&self) -> bool {
        self.finding.as_ref().is_some_and(|one| one.is_literal)
    }
}

/// Of an effect, with its name; roughly.
const EFFECT: usize = 64;

/// One text, judged.
#[derive(Debug, Clone)]
pub struct Judged {
    pub verdict: Rc<Verdict>,
    pub wish: Wish,
}

impl Judged {
    #[inline]
    pub fn decision(&self) -> Option<&Decision> {
        self.decision_for(self.wish)
    }

    /// Under a hint that is not its own, but its request's.
    #[inline]
    pub fn decision_for(&self, wish: Wish) -> Option<&Decision> {
        let own = self.verdict.decisions.get(wish as usize)?;
        match self.verdict.healed.get() {
            Some(healed) if own.role == Role::Replica && !own.is_refused => Some(healed),
            Some(_) | None => Some(own),
        }
    }

    /// The text is sent, or a statement of it bound, and that is where it goes.
    #[inline]
    pub fn count(&self, traffic: &Traffic) {
        if let Some(decision) = self.decision() {
            self.count_at(decision.role, decision.reason, traffic);
        }
    }

    /// The same, where it may go elsewhere than the text alone would.
    #[inline]
    pub fn count_at(&self, role: Role, reason: Reason, traffic: &Traffic) {
        let (class, statements) = (self.verdict.class(), self.verdict.statements());
        let statements = u64::from(statements);
        traffic
            .classes
            .add(class as usize, CLASSES.len(), statements);
        let place = Decision::place_of(role, reason);
        traffic.decisions.add(place, Decision::PLACES, 1);
        if let Some(seen) = &self.verdict.seen {
            seen.goes(role, reason);
        }
    }
}

/// How the server reads the texts of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    #[default]
    Standard,
    /// `standard_conforming_strings` is off.
    Strings,
    /// The client's encoding may hide ASCII.
    Encoding,
}

impl Spelling {
    /// By the settings that the server reports.
    pub fn of(told: &Parameters) -> Self {
        let text = |name: &[u8]| told.get(name).map(String::from_utf8_lossy);
        if text(b"standard_conforming_strings").is_some_and(|value| value != "on") {
            return Self::Strings;
        }
        match text(b"client_encoding").is_some_and(|name| sql::may_hide_ascii(&name)) {
            true => Self::Encoding,
            false => Self::Standard,
        }
    }
}

/// What a worker knows of the texts for one database.
#[derive(Debug)]
pub struct Verdicts {
    rules: Rules,
    snapshot: Arc<Snapshot>,
    seed: u64,
    state: RefCell<State>,
    /// For texts that are not read.
    unread: Unread,
}

#[derive(Debug)]
struct State {
    remembered: sql::Verdicts<Rc<Verdict>>,
    known: Option<Arc<Known>>,
    epoch: u64,
    /// Fingerprints whose hints were told to be not understood.
    told: HashSet<u64>,
}

#[derive(Debug)]
struct Unread {
    strings: Rc<Verdict>,
    encoding: Rc<Verdict>,
    oversize: Rc<Verdict>,
    unsound: Rc<Verdict>,
}

/// Hints with unknown words that are told of; strangers' texts come, too.
const TOLD: usize = 1000;

impl State {
    /// What the hint asks for. What of it is not understood is told once for each fingerprint.
    fn heed(&mut self, hint: &Hint, print: &Print) -> Wish {
        let bits = print.fingerprint.bits();
        if !hint.unknown.is_empty() && self.told.len() < TOLD && self.told.insert(bits) {
            events::hint_not_understood(&print.fingerprint, &hint.unknown.join(", "));
        }
        Wish::of(hint)
    }
}

/// What was found out about a text, and how.
pub struct Found {
    pub judged: Judged,
    /// As [`sql::read`] would say.
    pub reading: Option<Reading>,
    /// Whether it was looked up: and found.
    pub hit: Option<bool>,
}

impl Verdicts {
    /// `seed` is nobody's business: it keeps texts from being made to share a fingerprint.
    pub fn new(rules: Rules, snapshot: Arc<Snapshot>, seed: u64) -> Self {
        let unread = |reason| {
            let decision = Decision::unread(reason, &rules);
            Rc::new(Verdict {
                finding: None,
                judgement: None,
                reading: None,
                decisions: [decision; Wish::ALL.len()],
                healed: OnceCell::new(),
                epoch: 0,
                seen: None,
            })
        };
        Self {
            rules,
            snapshot,
            seed,
            state: RefCell::new(State {
                remembered: sql::Verdicts::new(Limits::default()),
                known: None,
                epoch: 0,
                told: HashSet::new(),
            }),
            unread: Unread {
                strings: unread(Reason::Strings),
                encoding: unread(Reason::Encoding),
                oversize: unread(Reason::Oversize),
                unsound: unread(Reason::Against(Obstacle::Unparsable)),
            },
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.state.borrow().remembered.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the texts that are remembered went, and why.
    pub fn paths(&self) -> Vec<Path> {
        let state = self.state.borrow();
        let path = |verdict: &Rc<Verdict>| {
            let judgement = verdict.judgement.as_ref();
            let subject = judgement.and_then(|judgement| judgement.subject.as_ref());
            verdict.seen.as_ref()?.path(verdict.class(), subject)
        };
        state.remembered.iter().filter_map(path).collect()
    }

    /// Whether replicas are to have what is provably a read.
    pub fn reads_go_to_replicas(&self) -> bool {
        self.rules.has_replicas && self.rules.reads == Reads::Replicas
    }

    /// What was seen passing by changes what the catalog says.
    pub fn doubt(&self) {
        self.snapshot.doubt(Occasion::Ddl);
    }

    /// Whether a verdict that was kept elsewhere still holds.
    #[inline]
    pub fn holds(&self, judged: &Judged) -> bool {
        judged.verdict.epoch == self.snapshot.epoch() || judged.verdict.finding.is_none()
    }

    /// What becomes of a text; `whole`: all of it is here.
    pub fn judge(&self, text: &[u8], spelling: Spelling, whole: bool) -> Found {
        let print = match spelling {
            _ if !whole => return unread(&self.unread.oversize),
            Spelling::Strings => return unread(&self.unread.strings),
            Spelling::Encoding => return unread(&self.unread.encoding),
            Spelling::Standard => sql::fingerprint(text, Strings::Standard, self.seed),
        };
        let Some(print) = print.filter(|print| print.is_sound) else {
            return unread(&self.unread.unsound);
        };
        let mut state = self.state.borrow_mut();
        let wish = match print.hint {
            None => Wish::None,
            Some(part) => state.heed(&Hint::read(text, part), &print),
        };
        if state.epoch != self.snapshot.epoch() {
            (state.epoch, state.known) = self.snapshot.take();
        }
        let epoch = state.epoch;
        if let Some(verdict) = state.remembered.get(&print, 0, epoch) {
            let verdict = Rc::clone(verdict);
            return Found {
                reading: verdict.reading,
                judged: Judged { verdict, wish },
                hit: Some(true),
            };
        }
        let reading = sql::read(text);
        let verdict = self.find(text, &print, reading, &mut state);
        Found {
            judged: Judged { verdict, wish },
            reading: Some(reading),
            hit: Some(false),
        }
    }

    /// Reads the text, and remembers what was found.
    #[cold]
    fn find(&self, text: &[u8], print: &Print, reading: Reading, state: &mut State) -> Rc<Verdict> {
        let finding = sql::find(text);
        let judgement = sql::judge(&finding, state.known.as_deref());
        let catalog = match state.known {
            Some(_) => Catalog::Known,
            None => Catalog::Awaited,
        };
        let unknown = [Obstacle::UnknownFunction, Obstacle::UnknownRelation];
        if catalog == Catalog::Known && judgement.obstacle.is_some_and(|one| unknown.contains(&one))
        {
            self.snapshot.doubt(Occasion::Unknown);
        }
        let decisions = Wish::ALL.map(|wish| {
            let case = Case {
                finding: &finding,
                judgement: &judgement,
                wish,
                catalog,
            };
            route::decide(&case, &self.rules)
        });
        let verdict = Rc::new(Verdict {
            reading: is_of_all(reading.first).then_some(reading),
            finding: Some(finding),
            judgement: Some(judgement),
            decisions,
            healed: OnceCell::new(),
            epoch: state.epoch,
            seen: Some(Seen::new(print.fingerprint, text)),
        });
        let epoch = state.epoch;
        state
            .remembered
            .insert(print, 0, epoch, Rc::clone(&verdict));
        verdict
    }
}

fn unread(verdict: &Rc<Verdict>) -> Found {
    Found {
        judged: Judged {
            verdict: Rc::clone(verdict),
            wish: Wish::None,
        },
        reading: None,
        hit: None,
    }
}

/// Whether a reading of one text is that of all with its fingerprint: it says of no name or value
/// where it lies.
fn is_of_all(first: Kind) -> bool {
    match first {
        Kind::Empty
        | Kind::Begin
        | Kind::Commit { .. }
        | Kind::Rollback { .. }
        | Kind::PrepareTransaction
        | Kind::CommitPrepared
        | Kind::RollbackPrepared
        | Kind::ResetAll
        | Kind::Discard(_)
        | Kind::Fetch
        | Kind::Copy
        | Kind::Show
        | Kind::Load
        | Kind::Call
        | Kind::Do
        | Kind::CreateTemp
        | Kind::Database
        | Kind::Other => true,
        Kind::RollbackTo(_)
        | Kind::Savepoint(_)
        | Kind::Release(_)
        | Kind::Set { .. }
        | Kind::Reset(_)
        | Kind::Deallocate(_)
        | Kind::Prepare { .. }
        | Kind::Execute(_)
        | Kind::Listen(_)
        | Kind::Unlisten(_)
        | Kind::Notify(_)
        | Kind::Declare { .. }
        | Kind::Close(_) => false,
    }
}

#[cfg(test)]
#[path = "verdicts_tests.rs"]
mod tests;
