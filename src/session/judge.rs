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
        match found.hit {
            Some(true) => self.pool.traffic().verdict_hits.add(1),
            Some(false) => self.pool.traffic().verdict_misses.add(1),
            None => {}
        }
        self.flow.judged = Some(found.judged);
        found.reading
    }

    /// The text that was read last is sent.
    #[inline]
    pub(super) fn count_judged(&mut self) {
        if let Some(judged) = self.flow.judged.take() {
            self.count(judged);
        }
    }

    #[inline]
    fn count(&mut self, judged: Judged) {
        judged.count(self.pool.traffic());
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
        let holds = |judged: &Judged| self.verdicts.as_ref().is_some_and(|one| one.holds(judged));
        match judged.filter(holds) {
            Some(judged) => self.count(judged),
            None => self.judge_bound(name, statement),
        }
    }

    #[cold]
    fn judge_bound(&mut self, name: &[u8], statement: Option<&Arc<Statement>>) {
        let (Some(verdicts), unnamed) = (&self.verdicts, self.names.unnamed().is_some()) else {
            return;
        };
        let rest = match statement {
            Some(statement) => &statement.rest,
            None if name.is_empty() && unnamed => self.names.unnamed_rest(),
            None => return,
        };
        let found = verdicts.judge(frontend::text(rest), self.identity.spelling, true);
        self.note(found);
        if let Some(judged) = self.flow.judged.take() {
            self.names.put_judged(name, judged.clone());
            self.count(judged);
        }
    }
}
