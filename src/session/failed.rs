//! A failed transaction without a connection: what is left of one whose backend was lost.
//!
//! It is answered here, as the server answers in a failed transaction: what ends it does, and
//! everything else is refused. To fail a transaction of a fresh connection instead, and let the
//! server answer, would be nearer to it in what nobody does (a text that it cannot parse, or
//! a name that nobody has, is refused for that there and for the failed transaction here), but a ROLLBACK would have to
//! wait for a connection, and would fail while there is none to be had: just when it is needed.

use std::task::Context;

use super::{
    End, Fault, Session,
    change::Effect,
    fault,
    forward::Step,
    ledger::Reply,
    names,
    request::must_gather,
    role::Naming,
    splice::Splice,
    substitute::{Substitute, several},
};
use crate::protocol::{
    backend::{self, Status},
    frame::{HEADER, Header},
    frontend::{self, Kind, Target},
};
use crate::sql;
use crate::sql::Reading;

/// What every end of a failed transaction is answered with, COMMIT too.
pub(super) const ENDED: &str = "ROLLBACK";

/// The transaction that is no more.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// Why, as long as the client has not heard of it.
    pub untold: Option<Fault>,
    /// The portals that would end it.
    exits: Vec<Box<[u8]>>,
}

/// What a text is to a failed transaction.
enum Text {
    Empty,
    /// Its first statement ends the transaction.
    Ends,
    /// It would go on with what was lost: a savepoint, or the transaction's modes.
    GoesBack,
    Other,
}

/// What becomes of a message.
enum Answer {
    /// The reply is whole.
    Given,
    Refused(Fault),
    /// More of it must be here first, or it needs a connection.
    Step(Step),
}

impl Session {
    /// Answers a message of a client whose transaction was lost.
    pub(super) fn answer_failed(
        &mut self,
        cx: &mut Context<'_>,
        header: Header,
        seen: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Step, End> {
        let kind = Kind::of(header.tag);
        let mut reply = Vec::new();
        let answer = match kind {
            Kind::Query | Kind::Parse | Kind::Bind if must_gather(header, seen) => {
                Answer::Step(Step::Gather)
            }
            Kind::Describe | Kind::Execute | Kind::Close if must_gather(header, seen) => {
                Answer::Step(Step::Gather)
            }
            Kind::Query => self.query_failed(seen, splice, &mut reply),
            Kind::Parse => self.parse_failed(header, seen, &mut reply),
            Kind::Bind => self.bind_failed(seen, &mut reply),
            Kind::Describe => self.describe_failed(seen, &mut reply),
            Kind::Execute => self.execute_failed(seen, &mut reply),
            Kind::Close => self.close_failed(seen, &mut reply),
            Kind::FunctionCall => Answer::Refused(self.refusal()),
            Kind::Sync => {
                backend::put_ready(&mut reply, Status::Failed);
                Answer::Given
            }
            // As the server does outside of a COPY.
            Kind::Flush | Kind::CopyData | Kind::CopyDone | Kind::CopyFail => Answer::Given,
            Kind::Terminate => {
                self.flow.leaving = true;
                Answer::Given
            }
            Kind::Authentication | Kind::Unknown => return Err(Fault::Protocol.into()),
        };
        match answer {
            Answer::Step(step) => return Ok(step),
            Answer::Refused(fault) => return self.refuse_with(cx, kind, &fault),
            Answer::Given => self.tell(cx, &reply)?,
        }
        if kind == Kind::Query {
            self.leave_if_wished()?;
        }
        Ok(Step::Drop)
    }

    /// What refuses a message: the loss, where the client has not heard of it, else what the
    /// server says in a failed transaction.
    fn refusal(&mut self) -> Fault {
        let failed = self.flow.failed.as_mut();
        let untold = failed.and_then(|failed| failed.untold.take());
        untold.unwrap_or(Fault::Aborted)
    }

    fn refusal_of(&mut self, text: &Text) -> Fault {
        match text {
            Text::GoesBack if !self.is_untold() => Fault::NoWayBack {
                database: fault::database(&self.pool),
            },
            Text::GoesBack | Text::Empty | Text::Ends | Text::Other => self.refusal(),
        }
    }

    fn is_untold(&self) -> bool {
        let failed = self.flow.failed.as_ref();
        failed.is_some_and(|failed| failed.untold.is_some())
    }

    /// A client that does not know of the loss is not told ROLLBACK when it says COMMIT: many
    /// would take that for a success.
    fn judge(&self, reading: &Reading) -> Text {
        use sql::Kind::{Commit, Empty, PrepareTransaction, Rollback, RollbackTo};
        let (first, told) = (reading.first, !self.is_untold());
        let commits = matches!(first, Commit { chain: false } | PrepareTransaction);
        if matches!(first, Rollback { chain: false }) || told && commits {
            Text::Ends
        } else if told && first == Empty {
            Text::Empty
        } else if matches!(
            first,
            Rollback { chain: true } | Commit { chain: true } | RollbackTo(_)
        ) {
            Text::GoesBack
        } else {
            Text::Other
        }
    }

    /// The transaction is over.
    fn end_failed(&mut self) {
        self.flow.failed = None;
        self.flow.status = Status::Idle;
        self.rest_without_lease();
    }

    fn query_failed(
        &mut self,
        seen: &[u8],
        splice: &mut Splice<'_>,
        reply: &mut Vec<u8>,
    ) -> Answer {
        self.names.forget_unnamed();
        let text = frontend::text(seen.get(HEADER..).unwrap_or_default());
        let reading = self.read(text, true);
        let judged = self.judge(&reading);
        match judged {
            Text::Empty => {
                reply.extend_from_slice(backend::EMPTY_QUERY_RESPONSE);
                backend::put_ready(reply, Status::Failed);
            }
            Text::Ends if reading.count > 1 => {
                return Answer::Step(self.go_on_behind_the_end(reading, text, splice));
            }
            Text::Ends => {
                backend::put_command_complete(reply, ENDED);
                self.end_failed();
                backend::put_ready(reply, Status::Idle);
            }
            Text::GoesBack | Text::Other => return Answer::Refused(self.refusal_of(&judged)),
        }
        Answer::Given
    }

    /// The text ends the transaction and goes on. It is sent as it is: outside a transaction its
    /// first statement does nothing but warn, and that warning is held back (`relay`).
    fn go_on_behind_the_end(
        &mut self,
        reading: Reading,
        text: &[u8],
        splice: &mut Splice<'_>,
    ) -> Step {
        self.flow.status = Status::Idle;
        if !self.begin(&reading, splice) {
            // Should there be no connection, nothing of the text has run.
            self.flow.status = Status::Failed;
            self.flow.reading = Some(reading);
            return Step::Wait;
        }
        self.flow.failed = None;
        if let Some(lease) = &mut self.lease {
            lease.memory.unnamed = None;
        }
        self.count_judged();
        self.touch(&reading, text);
        let several = several(&reading, text);
        let Substitute { mut change, .. } =
            several.unwrap_or_else(|| Substitute::itself(Effect::None));
        change.tag = Some(ENDED);
        self.forget(&mut change);
        self.ledger
            .owe(Reply::Query, Naming::Changes(Box::new(change)));
        Step::Pass
    }

    fn parse_failed(&mut self, header: Header, seen: &[u8], reply: &mut Vec<u8>) -> Answer {
        let message = frontend::parse(seen.get(HEADER..).unwrap_or_default());
        let (name, rest) = message.unwrap_or_default();
        let name = names::key(name);
        let reading = self.read(frontend::text(rest), true);
        let judged = self.judge(&reading);
        let known = !name.is_empty() && self.names.any(name).is_some();
        let fits = matches!(judged, Text::Ends | Text::Empty) && reading.count <= 1;
        if !fits || known || seen.len() < header.len {
            return Answer::Refused(self.refusal_of(&judged));
        }
        if name.is_empty() {
            let judged = self.flow.judged.take();
            self.names.set_unnamed(rest, reading, judged);
        } else {
            let mut registry = self.shared.registry.borrow_mut();
            let statement = registry.statement(self.identity.scope, rest);
            drop(registry);
            self.names.insert(name.into(), statement);
        }
        reply.extend_from_slice(backend::PARSE_COMPLETE);
        Answer::Given
    }

    fn judge_named(&self, name: &[u8]) -> Text {
        let name = names::key(name);
        let statement = self.names.get(name).cloned();
        self.judge(&self.reading_of(name, statement.as_ref()))
    }

    fn bind_failed(&mut self, seen: &[u8], reply: &mut Vec<u8>) -> Answer {
        let message = frontend::bind(seen.get(HEADER..).unwrap_or_default());
        let (portal, name, _) = message.unwrap_or_default();
        let judged = self.judge_named(name);
        let (Text::Ends, Some(failed)) = (&judged, &mut self.flow.failed) else {
            // The server refuses to bind an empty statement, too.
            return Answer::Refused(self.refusal_of(&judged));
        };
        failed.exits.push(portal.into());
        reply.extend_from_slice(backend::BIND_COMPLETE);
        Answer::Given
    }

    fn describe_failed(&mut self, seen: &[u8], reply: &mut Vec<u8>) -> Answer {
        let ends = match frontend::target(seen.get(HEADER..).unwrap_or_default()) {
            Some((Target::Portal, portal)) => self.is_exit(portal),
            Some((Target::Statement, name)) => matches!(self.judge_named(name), Text::Ends),
            None => false,
        };
        if !ends {
            return Answer::Refused(self.refusal());
        }
        if seen.get(HEADER) == Some(&b'S') {
            backend::put_parameter_description(reply, &[0, 0]);
        }
        reply.extend_from_slice(backend::NO_DATA);
        Answer::Given
    }

    fn is_exit(&self, portal: &[u8]) -> bool {
        let failed = self.flow.failed.as_ref();
        failed.is_some_and(|failed| failed.exits.iter().any(|exit| **exit == *portal))
    }

    fn execute_failed(&mut self, seen: &[u8], reply: &mut Vec<u8>) -> Answer {
        let portal = frontend::execute(seen.get(HEADER..).unwrap_or_default());
        if !portal.is_some_and(|portal| self.is_exit(portal)) {
            return Answer::Refused(self.refusal());
        }
        backend::put_command_complete(reply, ENDED);
        self.end_failed();
        Answer::Given
    }

    fn close_failed(&mut self, seen: &[u8], reply: &mut Vec<u8>) -> Answer {
        match frontend::target(seen.get(HEADER..).unwrap_or_default()) {
            Some((Target::Statement, b"")) => self.names.forget_unnamed(),
            Some((Target::Statement, name)) => drop(self.names.take(names::key(name))),
            Some((Target::Portal, portal)) => {
                if let Some(failed) = &mut self.flow.failed {
                    failed.exits.retain(|exit| **exit != *portal);
                }
            }
            None => {}
        }
        reply.extend_from_slice(backend::CLOSE_COMPLETE);
        Answer::Given
    }
}
