//! What a text asks for by a hint, or its session by `ambassador.route`, and what is refused for
//! that.
//!
//! A hint is somebody's word about this very text: what no replica can do is refused wherever the
//! session is, so it never hangs on what happened to be under way. `ambassador.route` is about all
//! texts. It leaves alone what acts on the session, which goes along to any server (else nobody
//! could ever set it back), and in a transaction the server decides, since that stays in its place.

use std::sync::Arc;

use super::{Fault, Session, fault, forward::Step, splice::Splice, verdicts::Judged};
use crate::backend::Statement;
use crate::protocol::{backend::Status, frontend::Kind};
use crate::route::Wish;
use crate::sql::Class;

impl Session {
    /// What is asked for this text: by its hint, else by the session.
    #[inline]
    pub(super) fn wish_for(&self, judged: &Judged) -> Wish {
        match (judged.wish, self.identity.wish) {
            (Wish::None, Wish::Replica) if judged.verdict.class() == Class::Session => Wish::None,
            (Wish::None, set) => set,
            (hinted @ (Wish::Primary | Wish::Replica), _) => hinted,
        }
    }

    /// Refuses a Query that is sent to a replica for what none can do. `None`: it may go on.
    #[inline]
    pub(super) fn forbid_hinted(&mut self, splice: &mut Splice<'_>) -> Option<Step> {
        self.way.as_ref()?;
        let judged = self.flow.judged.as_ref()?;
        if !self.may_be_refused(judged) {
            return None;
        }
        let judged = judged.clone();
        let step = self.refuse_hinted(Kind::Query, &judged, splice)?;
        self.flow.judged = None;
        Some(step)
    }

    /// The same of a Bind of this statement.
    #[inline]
    pub(super) fn forbid_hinted_bound(
        &mut self,
        (name, statement, judged): (&[u8], Option<&Arc<Statement>>, Option<&Judged>),
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        self.way.as_ref()?;
        if judged.is_some_and(|judged| !self.may_be_refused(judged)) {
            return None;
        }
        let judged = self.judged_anew(name, statement, judged.cloned())?;
        self.refuse_hinted(Kind::Bind, &judged, splice)
    }

    #[inline]
    fn may_be_refused(&self, judged: &Judged) -> bool {
        self.wish_for(judged) == Wish::Replica
    }

    fn refuse_hinted(
        &mut self,
        kind: Kind,
        judged: &Judged,
        splice: &mut Splice<'_>,
    ) -> Option<Step> {
        let decision = judged.decision_for(self.wish_for(judged));
        let decision = *decision.filter(|decision| decision.is_refused)?;
        let hinted = judged.wish == Wish::Replica;
        let outside = self.flow.status == Status::Idle && self.flow.begun.is_none();
        if !hinted && !outside {
            return None;
        }
        let fault = Fault::NotForReplicas {
            database: fault::database(&self.pool),
            asks: match hinted {
                true => "a hint",
                false => "ambassador.route",
            },
            class: judged.verdict.class().name(),
        };
        let is_told = self.will_run();
        let step = self.refuse_text(kind, fault, splice)?;
        if is_told {
            judged.count_at(decision.role, decision.reason, self.pool.traffic());
        }
        Some(step)
    }
}
