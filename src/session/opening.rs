//! Where a transaction goes that has begun for the client alone: known when its first statement is
//! here, and for all of it.
//!
//! One that is READ ONLY goes to a replica: what writes is refused there as it is on the primary.
//! Not one that is SERIALIZABLE, which standbys do not have, nor one that begins with what
//! a standby does otherwise, or what others are to find where they look for it.

use super::{Session, forward::Step, names, own, pin, request::must_gather, way::Route};
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
        let (reading, set) = self.look_at_first(kind, header, seen);
        let stays = reading.touches.any(pin::STAYING.and(PRIMARY)) || sets_snapshot(&reading);
        let mode = self.mode_of_begun();
        let reads = self
            .verdicts
            .as_ref()
            .is_some_and(|one| one.reads_go_to_replicas());
        Ok(match self.wish_of_begun(set) {
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

    /// The hint of its BEGIN, what its first text sets, or what the session wishes of everything.
    fn wish_of_begun(&self, set: Option<Wish>) -> Wish {
        let begun = self.flow.begun.as_ref();
        match begun.map(|begun| begun.wish).unwrap_or_default() {
            Wish::None => set.unwrap_or(self.identity.wish),
            hinted @ (Wish::Primary | Wish::Replica) => hinted,
        }
    }

    /// What the first message says, and which way it sets `ambassador.route` to.
    fn look_at_first(
        &mut self,
        kind: Kind,
        header: Header,
        seen: &[u8],
    ) -> (Reading, Option<Wish>) {
        let body = seen.get(HEADER..).unwrap_or_default();
        let text = match kind {
            Kind::Query => frontend::text(body),
            Kind::Parse => frontend::parse(body).map_or(&[][..], |(_, rest)| frontend::text(rest)),
            Kind::Bind => return self.look_at_bound(body),
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
            | Kind::Unknown => return (Reading::NOTHING, None),
        };
        let reading = self.read(text, seen.len() == header.len);
        self.flow.reading = Some(reading);
        (reading, set_by(&reading, text))
    }

    fn look_at_bound(&self, body: &[u8]) -> (Reading, Option<Wish>) {
        let name = frontend::bind(body).map_or(&[][..], |(_, name, _)| names::key(name));
        let reading = self.reading_of(name, self.names.get(name));
        (reading, set_by(&reading, self.text_of(name)))
    }
}

fn set_by(reading: &Reading, text: &[u8]) -> Option<Wish> {
    own::may_concern(reading)
        .then(|| own::wish_set(text))
        .flatten()
}

fn sets_snapshot(reading: &Reading) -> bool {
    let what = What::Snapshot;
    matches!(reading.first, sql::Kind::Set { what: set, .. } if set == what)
}
