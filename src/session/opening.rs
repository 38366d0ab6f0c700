//! Where a transaction goes that has begun for the client alone: known when its first statement is
//! here, and for all of it.
//!
//! One that is READ ONLY goes to a replica: what writes is refused there as it is on the primary.
//! Not one that is SERIALIZABLE, which standbys do not have, nor one that begins with what
//! a standby does otherwise, or what others are to find where they look for it.

use super::{Session, forward::Step, names, pin, request::must_gather, way::Route};
use crate::protocol::{
    frame::{HEADER, Header},
    frontend::{self, Kind},
};
use crate::route::{Reason, Wish};
use crate::sql::{self, Mode, Reading, Touches, What};

/// What a text of it touches that keeps a transaction on the primary, beside what pins.
const PRIMARY: Touches = Touches::NOTIFY
    .and(Touches::IDENTITY)
    .and(Touches::SEQUENCE_USE)
    .and(Touches::TWO_PHASE);

impl Session {
    /// Where the transaction goes; `Err`: the message cannot be read yet.
    pub(super) fn route_of_begun(
        &mut self,
        kind: Kind,
        header: Header,
        seen: &[u8],
    ) -> Result<Route, Step> {
        if must_gather(header, seen) {
            return Err(Step::Gather);
        }
        let reading = self.reading_of_message(kind, header, seen);
        let stays = reading.touches.any(pin::STAYING.and(PRIMARY)) || sets_snapshot(&reading);
        let mode = self.mode_of_begun();
        let reads = self
            .verdicts
            .as_ref()
            .is_some_and(|one| one.reads_go_to_replicas());
        Ok(match self.wish_of_begun() {
            Wish::Primary => Route::primary(Reason::Hint),
            Wish::Replica => Route::REPLICA,
            Wish::None if mode.is_for_standbys() && reads && !stays => Route::REPLICA,
            Wish::None => Route::primary(Reason::InTransaction),
        })
    }

    /// What has been said of the transaction, or of all of the session's.
    fn mode_of_begun(&self) -> Mode {
        let (wanted, told) = (&self.identity.parameters, &self.identity.told);
        let default = Mode::of_settings(|name| told.get(name).or_else(|| wanted.get(name)));
        let begun = self.flow.begun.as_ref();
        begun
            .map(|begun| begun.mode)
            .unwrap_or_default()
            .over(default)
    }

    /// The hint of its BEGIN, or what the session wishes of everything.
    fn wish_of_begun(&self) -> Wish {
        let begun = self.flow.begun.as_ref();
        let hinted = begun.map(|begun| begun.wish).unwrap_or_default();
        self.wish_over(hinted)
    }

    /// What a text asks for by a hint, else what the session does by `ambassador.route`.
    #[inline]
    pub(super) fn wish_over(&self, hinted: Wish) -> Wish {
        match hinted {
            Wish::None => self.identity.wish,
            Wish::Primary | Wish::Replica => hinted,
        }
    }

    fn reading_of_message(&mut self, kind: Kind, header: Header, seen: &[u8]) -> Reading {
        let body = seen.get(HEADER..).unwrap_or_default();
        let text = match kind {
            Kind::Query => frontend::text(body),
            Kind::Parse => frontend::parse(body).map_or(&[][..], |(_, rest)| frontend::text(rest)),
            Kind::Bind => {
                let name = frontend::bind(body).map_or(&[][..], |(_, name, _)| names::key(name));
                let statement = self.names.get(name).cloned();
                return self.reading_of(name, statement.as_ref());
            }
            Kind::Describe
            | Kind::Execute
            | Kind::Close
            | Kind::Sync
            | Kind::Flush
            | Kind::FunctionCall
            | Kind::CopyData
            | Kind::CopyDone
            | Kind::CopyFail
            | Kind::Terminate
            | Kind::Authentication
            | Kind::Unknown => return Reading::NOTHING,
        };
        let reading = self.read(text, seen.len() == header.len);
        self.flow.reading = Some(reading);
        reading
    }
}

fn sets_snapshot(reading: &Reading) -> bool {
    let what = What::Snapshot;
    matches!(reading.first, sql::Kind::Set { what: set, .. } if set == what)
}
