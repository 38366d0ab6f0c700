//! The verdicts on what the client asks for: kept until it is sent, and counted then.

use std::sync::Arc;

use super::{
    Session,
    verdicts::{Found, Judged},
};
use crate::backend::Statement;
use crate::protocol::frontend;
use crate::sql::Reading;

impl Session {
    /// Remembers what a text was found to be, until that is asked for.
    #[inline]
    pub(super) fn note(&mut self, found: Found) -> Option<Reading> {
        self.count_look_up(&found);
        self.flow.judged = Some(found.judged);
        found.reading
    }

    #[inline]
    pub(super) fn count_look_up(&self, found: &Found) {
        match found.hit {
            Some(true) => self.pool.traffic().verdict_hits.add(1),
            Some(false) => self.pool.traffic().verdict_misses.add(1),
            None => {}
        }
    }

    /// The text that was read last is sent.
    #[inline]
    pub(super) fn count_judged(&mut self) {
        if let Some(judged) = self.flow.judged.take() {
            self.count(judged);
        }
    }

    /// What was judged is sent, and where it goes.
    #[inline]
    fn count(&mut self, judged: Judged) {
        let Some(decision) = judged.decision_for(self.wish_for(&judged)) else {
            return;
        };
        let (role, reason) = match &self.way {
            None => (decision.role, decision.reason),
            Some(_) => self.note_way(*decision),
        };
        judged.count_at(role, reason, self.pool.traffic());
        self.try_text(&judged.verdict);
        self.flow.running = Some(judged.verdict);
    }

    /// A statement is bound: its verdict was kept with it, unless the catalog has changed since.
    #[inline]
    pub(super) fn count_bound(
        &mut self,
        name: &[u8],
        statement: Option<&Arc<Statement>>,
        judged: Option<Judged>,
    ) {
        match self.judged_anew(name, statement, judged) {
            Some(judged) => self.count(judged),
            // What SQL has prepared, perhaps.
            None => self.may_write(),
        }
    }

    /// The verdict on a statement, which was kept with it or is made now.
    #[inline]
    pub(super) fn judged_anew(
        &mut self,
        name: &[u8],
        statement: Option<&Arc<Statement>>,
        judged: Option<Judged>,
    ) -> Option<Judged> {
        let holds = |judged: &Judged| self.verdicts.as_ref().is_some_and(|one| one.holds(judged));
        match judged.filter(holds) {
            Some(judged) => Some(judged),
            None => self.judge_bound(name, statement),
        }
    }

    #[cold]
    fn judge_bound(&mut self, name: &[u8], statement: Option<&Arc<Statement>>) -> Option<Judged> {
        let (verdicts, unnamed) = (self.verdicts.as_ref()?, self.names.unnamed().is_some());
        let rest = match statement {
            Some(statement) => &statement.rest,
            None if name.is_empty() && unnamed => self.names.unnamed_rest(),
            None => return None,
        };
        let found = verdicts.judge(frontend::text(rest), self.identity.spelling, true);
        self.count_look_up(&found);
        self.names.put_judged(name, found.judged.clone());
        Some(found.judged)
    }
}
