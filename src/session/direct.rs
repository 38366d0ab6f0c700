//! Where the request that begins is to go: asked once, of the whole simple query or of the whole
//! batch up to its Sync, before anything of it takes a connection.

use super::{
    Keep, Session, forward::Step, names, request::must_gather, verdicts::Judged, way::Route,
};
use crate::protocol::{
    Parameters,
    backend::Status,
    frame::{self, HEADER, Header},
    frontend::{self, Kind, Target},
};
use crate::route::{Reason, Role, Wish};

/// What is held back of a batch until its Sync is here; a longer one goes to the primary.
const AHEAD: usize = 64 * 1024;

const ISOLATION: &[u8] = b"default_transaction_isolation";

/// What a batch asks for.
enum Batch {
    Goes(Route),
    /// That is not known before more of it is here.
    Open,
}

/// What has been found in a batch so far.
#[derive(Default)]
struct Found<'a> {
    /// What its own Parses make of these names.
    parsed: Vec<(&'a [u8], Role)>,
    /// What the hint of its first text asks for, once there is a text.
    wish: Option<Wish>,
    /// Something in it is a read.
    reads: bool,
}

impl Session {
    /// Decides where a request goes that begins with this message; `rest` is all that is here,
    /// from it on. `None`: the message can be looked at.
    #[inline]
    pub(super) fn direct(
        &mut self,
        kind: Kind,
        header: Header,
        seen: &[u8],
        rest: &[u8],
    ) -> Option<Step> {
        if self.way.is_none() || !kind.asks() || self.ledger.is_open() {
            return None;
        }
        match self.lease {
            None => self.decide(kind, header, seen, rest),
            Some(_) => self.join(kind, header, seen, rest),
        }
    }

    /// A request begins while the session has a connection.
    fn join(&mut self, kind: Kind, header: Header, seen: &[u8], rest: &[u8]) -> Option<Step> {
        let way = self.way.as_mut()?;
        let free = self.flow.status == Status::Idle && self.flow.keep == Keep::No;
        if !way.is_on_replica() {
            if free && !self.ledger.is_empty() {
                way.join(Reason::Joined);
            }
            return None;
        }
        let answered = self.ledger.is_empty();
        if answered && !free {
            return None;
        }
        if way.route.is_none()
            && let Some(step) = self.decide(kind, header, seen, rest)
        {
            return Some(step);
        }
        let way = self.way.as_ref()?;
        let route = way.route;
        let reads = route.is_none_or(|route| route.role == Role::Replica);
        if reads && way.may_join() {
            return None;
        }
        if answered && self.is_idle() {
            self.give_back();
            self.way.as_mut()?.route = route;
            return None;
        }
        Some(Step::Hold)
    }

    fn decide(&mut self, kind: Kind, header: Header, seen: &[u8], rest: &[u8]) -> Option<Step> {
        if self.way.as_ref()?.route.is_some() {
            return None;
        }
        let route = if self.flow.begun.is_some() {
            match self.route_of_begun(kind, header, seen) {
                Ok(route) => route,
                Err(step) => return Some(step),
            }
        } else if self.is_verbatim() {
            Route::primary(Reason::Pinned)
        } else if is_serializable(&self.identity.parameters) {
            Route::primary(Reason::Serializable)
        } else if kind == Kind::Query {
            if must_gather(header, seen) {
                return Some(Step::Gather);
            }
            let text = frontend::text(seen.get(HEADER..).unwrap_or_default());
            let reading = self.read(text, seen.len() == header.len);
            self.flow.reading = Some(reading);
            let judged = self.flow.judged.as_ref();
            judged.map_or(Route::PRIMARY, |judged| {
                route(role_of(judged, self.wish_for(judged)))
            })
        } else if kind == Kind::FunctionCall {
            Route::PRIMARY
        } else {
            match self.look_ahead(rest) {
                Batch::Goes(route) => route,
                Batch::Open if rest.len() < AHEAD => return Some(Step::More),
                Batch::Open => Route::primary(Reason::Oversize),
            }
        };
        let way = self.way.as_mut()?;
        way.route = Some(route);
        None
    }

    /// What a batch asks for: a replica, if all of it up to its Sync is a read.
    fn look_ahead(&mut self, frames: &[u8]) -> Batch {
        let mut found = Found::default();
        let mut at = 0;
        loop {
            let rest = frames.get(at..).unwrap_or_default();
            let Ok(header) = frame::peek(rest) else {
                return Batch::Goes(Route::PRIMARY);
            };
            let Some((header, seen)) = header.and_then(|one| Some((one, rest.get(..one.len)?)))
            else {
                return Batch::Open;
            };
            if let Some(route) = self.look_at(Kind::of(header.tag), seen, at == 0, &mut found) {
                return Batch::Goes(route);
            }
            at += header.len;
        }
    }

    /// Looks at a message of a batch. Gives where the batch goes, once that is known.
    fn look_at<'a>(
        &mut self,
        kind: Kind,
        seen: &'a [u8],
        first: bool,
        found: &mut Found<'a>,
    ) -> Option<Route> {
        let body = seen.get(HEADER..).unwrap_or_default();
        let role = match kind {
            Kind::Parse => {
                let (name, rest) = frontend::parse(body)?;
                if !name.is_empty() && self.pool.settings().prepared_statements == 0 {
                    // It keeps the session where it is.
                    return Some(Route::primary(Reason::Pinned));
                }
                let role = self.role_of_text(frontend::text(rest), first, found);
                found.parsed.push((names::key(name), role));
                role
            }
            Kind::Bind => {
                let (_, name, _) = frontend::bind(body)?;
                self.role_of_name(names::key(name), found)
            }
            Kind::Describe => match frontend::target(body)? {
                (Target::Statement, name) => self.role_of_name(names::key(name), found),
                (Target::Portal, _) => return None,
            },
            Kind::Close => {
                // Closing needs no particular connection.
                if let (Target::Statement, name) = frontend::target(body)? {
                    let role = self.role_of_name(names::key(name), found);
                    found.reads |= role == Role::Replica;
                }
                return None;
            }
            Kind::Execute => return None,
            Kind::Query => {
                let role = self.role_of_text(frontend::text(body), false, found);
                return Some(route(role));
            }
            Kind::Sync if found.reads => return Some(Route::REPLICA),
            // Before it flushes, a client waits for an answer.
            Kind::Sync
            | Kind::Flush
            | Kind::FunctionCall
            | Kind::CopyData
            | Kind::CopyDone
            | Kind::CopyFail
            | Kind::Terminate
            | Kind::Authentication
            | Kind::Unknown => return Some(Route::PRIMARY),
        };
        found.reads = true;
        (role != Role::Replica).then_some(Route::primary(Reason::Batch))
    }

    /// `first`: the message is the one that is looked at next.
    fn role_of_text(&mut self, text: &[u8], first: bool, found: &mut Found<'_>) -> Role {
        let judged = if first {
            let reading = self.read(text, true);
            self.flow.reading = Some(reading);
            self.flow.judged.clone()
        } else {
            let verdicts = self.verdicts.as_ref();
            verdicts.map(|one| one.judge(text, self.identity.spelling, true).judged)
        };
        let Some(judged) = judged else {
            return Role::Primary;
        };
        self.role_within(&judged, found)
    }

    fn role_of_name(&mut self, name: &[u8], found: &mut Found<'_>) -> Role {
        let mut parsed = found.parsed.iter().rev();
        if let Some((_, role)) = parsed.find(|(parsed, _)| *parsed == name) {
            return *role;
        }
        let (statement, judged) = self.names.named(name);
        let judged = self.judged_anew(name, statement.as_ref(), judged);
        let Some(judged) = judged else {
            return Role::Primary;
        };
        self.role_within(&judged, found)
    }

    /// Where a text of a batch goes. Behind a hint for a replica all of it does: what writes is
    /// refused there.
    fn role_within(&self, judged: &Judged, found: &mut Found<'_>) -> Role {
        match found.wish {
            None => {
                let wish = self.wish_for(judged);
                found.wish = Some(wish);
                role_of(judged, wish)
            }
            Some(Wish::Replica) => Role::Replica,
            Some(wish @ (Wish::None | Wish::Primary)) => role_of(judged, wish),
        }
    }

    /// The message is sent, or needs not be.
    #[inline]
    pub(super) fn directed(&mut self, step: &Step) {
        if let Some(way) = &mut self.way {
            match step {
                Step::Pass | Step::Drop | Step::Replaced(_) => way.route = None,
                Step::Gather | Step::More | Step::Wait | Step::Hold => {}
            }
        }
    }
}

/// Whether transactions are serializable unless they say otherwise: no standby has such ones.
fn is_serializable(wanted: &Parameters) -> bool {
    let is = |one: &[u8], other: &[u8]| one.eq_ignore_ascii_case(other);
    let mut wanted = wanted.iter();
    wanted.any(|(name, value)| is(name, ISOLATION) && is(value, b"serializable"))
}

/// Where a text goes under this wish. What a hint would have done where it cannot be, is refused
/// elsewhere.
fn role_of(judged: &Judged, wish: Wish) -> Role {
    match judged.decision_for(wish) {
        Some(decision) if decision.role == Role::Replica && !decision.is_refused => Role::Replica,
        Some(_) | None => Role::Primary,
    }
}

fn route(role: Role) -> Route {
    Route { role, why: None }
}
