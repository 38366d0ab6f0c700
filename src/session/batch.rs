//! A batch of the extended protocol that is of one statement, answered as the server would.

use super::last::{self, Row};
use crate::protocol::{
    backend,
    frame::{self, HEADER},
    frontend::{self, Format, Kind, Target},
};

/// What a batch comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of it all, its Sync included.
    pub len: usize,
    /// Those of its first message.
    pub first: usize,
    /// What goes ahead of the CommandComplete, or of the ReadyForQuery where nothing runs.
    pub before: Vec<u8>,
    /// The statement is run.
    pub runs: bool,
}

/// How far the batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Parsed,
    Bound,
    Executed,
}

/// Reads a batch that begins with the Parse or the Bind of a statement, runs it once and ends,
/// where the statement is a command that takes no value and returns no row. `None`: it is another
/// one, or not all of it is here. All its portals are unnamed: they are gone with the next Bind.
pub fn answer(frames: &[u8], statement: &[u8]) -> Option<Answer> {
    read(frames, statement, None).filter(|answer| answer.runs)
}

/// The same where the statement returns this row; it may be prepared only, too.
pub fn shown(frames: &[u8], statement: &[u8], row: &Row) -> Option<Answer> {
    read(frames, statement, Some(row))
}

fn read(frames: &[u8], statement: &[u8], row: Option<&Row>) -> Option<Answer> {
    let mut formats = Vec::new();
    let returns = |out: &mut Vec<u8>, formats: &[Format]| match row {
        Some(_) => last::put_columns(out, formats),
        None => out.extend_from_slice(backend::NO_DATA),
    };
    let first = frame::peek(frames).ok()??.len;
    let (mut len, mut at, mut before) = (0, At::Start, Vec::new());
    loop {
        let rest = frames.get(len..)?;
        let header = frame::peek(rest).ok()??;
        let body = rest.get(HEADER..header.len)?;
        len += header.len;
        match (Kind::of(header.tag), at) {
            (Kind::Parse, At::Start) => {
                before.extend_from_slice(backend::PARSE_COMPLETE);
                at = At::Parsed;
            }
            (Kind::Bind, At::Start | At::Parsed) if binds(body, statement) => {
                formats = match row {
                    Some(_) => columns(body)?,
                    None => formats,
                };
                before.extend_from_slice(backend::BIND_COMPLETE);
                at = At::Bound;
            }
            (Kind::Describe, At::Parsed | At::Bound)
                if frontend::target(body) == Some((Target::Statement, statement)) =>
            {
                backend::put_parameter_description(&mut before, &[0, 0]);
                returns(&mut before, &[]);
            }
            (Kind::Describe, At::Bound)
                if frontend::target(body) == Some((Target::Portal, b"")) =>
            {
                returns(&mut before, &formats);
            }
            (Kind::Execute, At::Bound)
                if body.len() == 5 && frontend::execute(body) == Some(b"") =>
            {
                // Where there is no row, however many it asks for.
                if let Some(row) = row {
                    (frontend::execute_limit(body) == Some(0)).then_some(())?;
                    last::put_row(&mut before, row);
                }
                at = At::Executed;
            }
            (Kind::Sync, At::Parsed | At::Executed) if body.is_empty() => {
                return Some(Answer {
                    len,
                    first,
                    before,
                    runs: at == At::Executed,
                });
            }
            _ => return None,
        }
    }
}

/// In which formats a Bind wants the columns, if there may be so many.
fn columns(body: &[u8]) -> Option<Vec<Format>> {
    let (_, _, rest) = frontend::bind(body)?;
    let (_, formats) = frontend::bind_formats(rest)?;
    let fits = formats.len() <= 1 || formats.len() == Row::default().len();
    fits.then_some(formats)
}

/// Whether it binds this statement to the unnamed portal, without a value.
fn binds(body: &[u8], statement: &[u8]) -> bool {
    frontend::bind(body).is_some_and(|(portal, name, rest)| {
        portal.is_empty() && name == statement && frontend::is_without_values(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse() -> Vec<u8> {
        let mut out = Vec::new();
        frontend::put_parse(&mut out, b"", &frontend::parse_rest(b"begin"));
        out
    }

    fn bind(portal: &[u8], statement: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frontend::put_bind(&mut out, portal, statement, rest);
        out
    }

    fn describe(what: u8) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write(&mut out, b'D', |out| out.extend_from_slice(&[what, 0]));
        out
    }

    fn execute() -> Vec<u8> {
        let mut out = Vec::new();
        frontend::put_execute(&mut out);
        out
    }

    fn tags(frames: &[Vec<u8>], statement: &[u8]) -> Option<String> {
        let frames = frames.concat();
        let answer = answer(&frames, statement)?;
        assert_eq!(answer.len, frames.len());
        let mut tags = String::new();
        frame::Walk::default().pass(&answer.before, |tag| tags.push(char::from(tag)));
        Some(tags)
    }

    const PLAIN: &[u8] = &[0; 6];
    const SYNC: &[u8] = frontend::SYNC;

    #[test]
    fn every_message_of_a_batch_is_answered_in_its_place() {
        let (bound, named) = (bind(b"", b"", PLAIN), bind(b"", b"s", PLAIN));
        let whole = [parse(), bound.clone(), execute(), SYNC.to_owned()];
        assert_eq!(tags(&whole, b"").as_deref(), Some("12"));
        let described = [
            parse(),
            describe(b'S'),
            bound,
            describe(b'P'),
            execute(),
            SYNC.to_owned(),
        ];
        assert_eq!(tags(&described, b"").as_deref(), Some("1tn2n"));
        let prepared = [named, execute(), SYNC.to_owned()];
        assert_eq!(tags(&prepared, b"s").as_deref(), Some("2"));
    }

    #[test]
    fn a_batch_that_does_more_or_less_is_not_answered() {
        let bound = bind(b"", b"", PLAIN);
        let sync = SYNC.to_owned();
        let batches = [
            vec![parse(), bound.clone(), execute()],
            vec![parse(), bound.clone(), sync.clone()],
            vec![parse(), execute(), sync.clone()],
            vec![parse(), sync.clone()],
            vec![parse(), bound.clone(), execute(), execute(), sync.clone()],
            vec![parse(), bound.clone(), execute(), parse(), sync.clone()],
            vec![
                parse(),
                describe(b'P'),
                bound.clone(),
                execute(),
                sync.clone(),
            ],
            vec![parse(), bind(b"p", b"", PLAIN), execute(), sync.clone()],
            vec![parse(), bind(b"", b"s", PLAIN), execute(), sync.clone()],
            vec![
                parse(),
                bind(b"", b"", &[0, 0, 0, 1, 0, 0]),
                execute(),
                sync.clone(),
            ],
            vec![parse(), bind(b"", b"", &[0; 7]), execute(), sync.clone()],
            vec![bound.clone(), describe(b'x'), execute(), sync.clone()],
            vec![bound, execute(), vec![b'S', 0, 0, 0, 5, 0]],
        ];
        for batch in batches {
            assert_eq!(tags(&batch, b""), None, "{batch:?}");
        }
    }

    #[test]
    fn a_row_is_described_and_given_where_it_is_asked_for() {
        let row = Row::default();
        let tags = |frames: &[Vec<u8>]| {
            let answer = shown(&frames.concat(), b"", &row)?;
            let mut tags = String::new();
            frame::Walk::default().pass(&answer.before, |tag| tags.push(char::from(tag)));
            Some((tags, answer.runs))
        };
        let sync = SYNC.to_owned();
        let bound = bind(b"", b"", PLAIN);
        let whole = [
            parse(),
            bound.clone(),
            describe(b'P'),
            execute(),
            sync.clone(),
        ];
        assert_eq!(tags(&whole), Some(("12TD".to_owned(), true)));
        let prepared = [parse(), describe(b'S'), sync.clone()];
        assert_eq!(tags(&prepared), Some(("1tT".to_owned(), false)));
        let binary = [0, 0, 0, 0, 0, 1, 0, 1];
        let binary = [bind(b"", b"", &binary), execute(), sync.clone()];
        assert_eq!(tags(&binary), Some(("2D".to_owned(), true)));
        let too_many = [0, 0, 0, 0, 0, 2, 0, 1, 0, 1];
        let too_many = [bind(b"", b"", &too_many), execute(), sync.clone()];
        assert_eq!(tags(&too_many), None);
        let mut limited = execute();
        limited.pop();
        limited.push(1);
        assert_eq!(tags(&[bound, limited, sync]), None);
    }

    #[test]
    fn of_two_batches_the_first_is_answered() {
        let batch = [bind(b"", b"", PLAIN), execute(), SYNC.to_owned()].concat();
        let twice = [batch.as_slice(), &batch].concat();
        let answer = answer(&twice, b"").map(|answer| answer.len);
        assert_eq!(answer, Some(batch.len()));
    }
}
