//! A batch of the extended protocol that runs one command, answered as the server would.

use crate::protocol::{
    backend,
    frame::{self, HEADER},
    frontend::{self, Kind, Target},
};

/// What a batch comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of it all, its Sync included.
    pub len: usize,
    /// Those of its first message.
    pub first: usize,
    /// What goes ahead of the CommandComplete.
    pub before: Vec<u8>,
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
                before.extend_from_slice(backend::BIND_COMPLETE);
                at = At::Bound;
            }
            (Kind::Describe, At::Parsed | At::Bound)
                if frontend::target(body) == Some((Target::Statement, statement)) =>
            {
                backend::put_parameter_description(&mut before, &[0, 0]);
                before.extend_from_slice(backend::NO_DATA);
            }
            (Kind::Describe, At::Bound)
                if frontend::target(body) == Some((Target::Portal, b"")) =>
            {
                before.extend_from_slice(backend::NO_DATA);
            }
            // However many rows it asks for.
            (Kind::Execute, At::Bound)
                if body.len() == 5 && frontend::execute(body) == Some(b"") =>
            {
                at = At::Executed;
            }
            (Kind::Sync, At::Executed) if body.is_empty() => {
                return Some(Answer { len, first, before });
            }
            _ => return None,
        }
    }
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
    fn of_two_batches_the_first_is_answered() {
        let batch = [bind(b"", b"", PLAIN), execute(), SYNC.to_owned()].concat();
        let twice = [batch.as_slice(), &batch].concat();
        let answer = answer(&twice, b"").map(|answer| answer.len);
        assert_eq!(answer, Some(batch.len()));
    }
}
