//! `SHOW ambassador.last_backend`: where the session's last statement ran, and why.
//!
//! Answered here, whatever connection there is: it disturbs no transaction, and takes no connection
//! to look at none. That asks for the right moment: what was sent before has to be answered. Amid
//! a batch it has no such moment; there it goes to the server, which has no such setting.

use std::{borrow::Cow, task::Context};

use super::{End, Fault, Session, batch, forward::Step, names, splice::Splice};
use crate::protocol::{
    backend::{self, Field, Status},
    frontend::{self, Format, Kind},
};
use crate::route::Role;
use crate::sql::{self, Reading};

const COLUMNS: [&str; 4] = ["address", "role", "shard", "reason"];
const TAG: &str = "SHOW";
/// The type `text`.
const TEXT: u32 = 25;

/// What there is to tell, in the order of [`COLUMNS`].
pub(super) type Row = [Option<String>; COLUMNS.len()];

/// Appends what the columns are, in these formats: none, one for all or one for each.
pub(super) fn put_columns(out: &mut Vec<u8>, formats: &[Format]) {
    let format = |at: usize| formats.get(at).or(formats.first()).copied();
    let field = |(at, name)| Field {
        name,
        oid: TEXT,
        size: -1,
        // A text has the same bytes in both.
        format: format(at).unwrap_or_default(),
    };
    let fields: Vec<Field<'_>> = COLUMNS.into_iter().enumerate().map(field).collect();
    backend::put_row_description(out, &fields);
}

pub(super) fn put_row(out: &mut Vec<u8>, row: &Row) {
    let value = |value: &Option<String>| value.clone().map(|value| Cow::Owned(value.into_bytes()));
    let values: Vec<_> = row.iter().map(value).collect();
    backend::put_data_row(out, &values);
}

impl Session {
    /// Where it ran; NULLs where nothing has.
    fn last_backend(&self) -> Row {
        if !self.flow.ran {
            return Row::default();
        }
        if let Some(row) = self.way.as_ref().and_then(|way| way.last()) {
            return row;
        }
        let address = self.pool.key().backend.to_string();
        [Some(address), Some(Role::Any.name().to_owned()), None, None]
    }

    /// Answers a Query that asks for it; `None`: it does not, or cannot be answered here.
    #[inline]
    pub(super) fn show_last(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        text: &[u8],
    ) -> Result<Option<Step>, End> {
        if reading.first != sql::Kind::Show {
            return Ok(None);
        }
        self.answer_show(cx, reading, text)
    }

    fn answer_show(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        text: &[u8],
    ) -> Result<Option<Step>, End> {
        if !sql::shows_last_backend(text) {
            return Ok(None);
        }
        if let Some(step) = self.moment_for(cx, Kind::Query, reading)? {
            return Ok(step);
        }
        self.names.forget_unnamed();
        let mut reply = Vec::new();
        put_columns(&mut reply, &[]);
        put_row(&mut reply, &self.last_backend());
        self.tell_shown(cx, reply)?;
        Ok(Some(Step::Drop))
    }

    /// Answers a batch that prepares it, runs it, or does both, from its Parse of this name on.
    pub(super) fn show_last_parsed(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        (name, rest): (&[u8], &[u8]),
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        let taken = !name.is_empty() && self.names.any(names::key(name)).is_some();
        let shared = self.pool.settings().prepared_statements > 0;
        if reading.first != sql::Kind::Show || taken || self.is_verbatim() || !shared {
            return Ok(None);
        }
        let Some(answer) = self.answer_of(name, rest, splice) else {
            return Ok(None);
        };
        if let Some(step) = self.moment_for(cx, Kind::Parse, reading)? {
            return Ok(step);
        }
        let judged = self.flow.judged.take();
        if name.is_empty() {
            self.names.set_unnamed(rest, *reading, judged);
        } else {
            let mut registry = self.shared.registry.borrow_mut();
            let statement = registry.statement(self.identity.scope, rest);
            drop(registry);
            self.names
                .insert_judged(names::key(name).into(), statement, judged);
        }
        self.answer_batch_here(cx, answer, splice)
    }

    /// Answers a batch that runs it, from its Bind on.
    pub(super) fn show_last_bound(
        &mut self,
        cx: &mut Context<'_>,
        reading: &Reading,
        name: &[u8],
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        if reading.first != sql::Kind::Show {
            return Ok(None);
        }
        let rest = match self.names.get(names::key(name)) {
            Some(statement) => statement.rest.clone(),
            None => self.names.unnamed_rest().to_owned(),
        };
        let Some(answer) = self.answer_of(name, &rest, splice) else {
            return Ok(None);
        };
        if let Some(step) = self.moment_for(cx, Kind::Bind, reading)? {
            return Ok(step);
        }
        self.answer_batch_here(cx, answer, splice)
    }

    fn answer_of(&self, name: &[u8], rest: &[u8], splice: &Splice<'_>) -> Option<batch::Answer> {
        if !sql::shows_last_backend(frontend::text(rest)) {
            return None;
        }
        batch::shown(splice.rest(), name, &self.last_backend())
    }

    fn answer_batch_here(
        &mut self,
        cx: &mut Context<'_>,
        answer: batch::Answer,
        splice: &mut Splice<'_>,
    ) -> Result<Option<Step>, End> {
        match answer.runs {
            true => self.tell_shown(cx, answer.before)?,
            false => self.tell_ready(cx, answer.before)?,
        }
        // The walk leaves out the frame that it is at, here the rest of the batch.
        splice.skip(answer.len - answer.first);
        Ok(Some(Step::Drop))
    }

    /// `None`: it can be answered now. Else what becomes of the message.
    fn moment_for(
        &mut self,
        cx: &mut Context<'_>,
        kind: Kind,
        reading: &Reading,
    ) -> Result<Option<Option<Step>>, End> {
        if self.ledger.is_open() {
            return Ok(Some(None));
        }
        if !self.ledger.is_empty() {
            if kind != Kind::Bind {
                self.flow.reading = Some(*reading);
            }
            return Ok(Some(Some(Step::Hold)));
        }
        if self.flow.status == Status::Failed {
            let step = self.refuse_with(cx, kind, &Fault::Aborted)?;
            return Ok(Some(Some(step)));
        }
        Ok(None)
    }

    fn tell_shown(&mut self, cx: &mut Context<'_>, mut reply: Vec<u8>) -> Result<(), End> {
        let traffic = self.pool.traffic();
        traffic.statements.add(1);
        traffic.requests.add(1);
        backend::put_command_complete(&mut reply, TAG);
        self.tell_ready(cx, reply)
    }
}
