//! A question of our own: one statement, and its rows.

use std::{
    future::poll_fn,
    io,
    task::{Context, Waker},
};

use zeroize::Zeroizing;

use super::Connection;
use crate::protocol::{
    backend::{self, Kind, Status},
    frame, frontend, notice,
};

/// The most bytes that an answer may have which is kept whole.
const LONGEST: usize = 1024 * 1024;

/// A row's values as texts; `None` is NULL.
pub type Row = Vec<Option<Zeroizing<Vec<u8>>>>;

/// Takes a row's values as texts; `None` is NULL.
pub type Show<'a> = &'a mut dyn FnMut(&[Option<&[u8]>]);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// The backend's own ErrorResponse.
    #[error("{}", String::from_utf8_lossy(notice::message(.body).unwrap_or(b"an error without a message")))]
    Refused { body: Vec<u8> },
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer is not the Postgres protocol's")]
    Protocol,
}

impl Connection {
    /// Runs `statement` with these texts as its parameters, in a transaction of its own.
    ///
    /// # Errors
    /// See [`AskError`]. After one, and after a dropped call, the connection has to be closed.
    pub async fn ask(
        &mut self,
        statement: &str,
        parameters: &[Option<&[u8]>],
    ) -> Result<Vec<Row>, AskError> {
        let mut rows = Vec::new();
        let own = |value: &[u8]| Zeroizing::new(value.to_owned());
        let mut keep = |row: &[Option<&[u8]>]| {
            rows.push(row.iter().map(|value| value.map(own)).collect());
        };
        self.ask_each(statement, parameters, LONGEST, &mut keep)
            .await?;
        Ok(rows)
    }

    /// The same, showing each row as it comes, of an answer of at most `longest` bytes. Rows may
    /// have been shown before it fails.
    ///
    /// # Errors
    /// The same.
    pub async fn ask_each(
        &mut self,
        statement: &str,
        parameters: &[Option<&[u8]>],
        longest: usize,
        show: Show<'_>,
    ) -> Result<(), AskError> {
        let mut request = Vec::new();
        let text = frontend::parse_rest(statement.as_bytes());
        frontend::put_parse(&mut request, b"", &text);
        frontend::put_bind_text(&mut request, b"", parameters);
        frontend::put_execute(&mut request);
        request.extend_from_slice(frontend::SYNC);
        self.say(&request).await?;
        let mut answer = Answer::new(longest);
        while !answer.whole {
            let mut chunk = Zeroizing::new([0; 2048]);
            let read = poll_fn(|cx| self.link.poll_read(cx, &mut *chunk)).await?;
            if read == 0 {
                return Err(AskError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            answer.read(chunk.get(..read).unwrap_or_default(), show)?;
        }
        match answer.error {
            Some(body) => Err(AskError::Refused { body }),
            None => Ok(()),
        }
    }

    async fn say(&mut self, request: &[u8]) -> io::Result<()> {
        let mut sent = false;
        poll_fn(|cx| {
            if !sent {
                sent = true;
                self.link.send(cx, request)?;
            }
            self.link.poll_flush(cx)
        })
        .await
    }

    /// Tells the backend that the connection ends; whether it hears it does not matter.
    pub fn farewell(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        self.link.send(&mut cx, frontend::TERMINATE).ok();
        self.link.farewell();
    }
}

/// What has come of an answer.
struct Answer {
    inbox: Zeroizing<Vec<u8>>,
    /// Bytes that came in all.
    length: usize,
    longest: usize,
    error: Option<Vec<u8>>,
    whole: bool,
}

impl Answer {
    fn new(longest: usize) -> Self {
        Self {
            inbox: Zeroizing::default(),
            length: 0,
            longest,
            error: None,
            whole: false,
        }
    }

    fn read(&mut self, bytes: &[u8], show: Show<'_>) -> Result<(), AskError> {
        self.inbox.extend_from_slice(bytes);
        self.length += bytes.len();
        if self.length > self.longest {
            return Err(AskError::TooLong(self.longest));
        }
        let mut at = 0;
        while let Some(frame) = next(self.inbox.get(at..).unwrap_or_default())? {
            if self.whole {
                return Err(AskError::Protocol);
            }
            at += frame.len();
            let kind = frame.first().map_or(Kind::Unknown, |&tag| Kind::of(tag));
            let body = backend::body(frame);
            match kind {
                Kind::DataRow => {
                    show(&backend::row(body).ok_or(AskError::Protocol)?);
                }
                Kind::ErrorResponse => self.error = Some(body.to_owned()),
                Kind::ReadyForQuery if Status::of(body) == Some(Status::Idle) => self.whole = true,
                Kind::ParseComplete
                | Kind::BindComplete
                | Kind::CommandComplete
                | Kind::EmptyQueryResponse
                | Kind::NoticeResponse
                | Kind::NotificationResponse
                | Kind::ParameterStatus => {}
                Kind::Authentication
                | Kind::BackendKeyData
                | Kind::CloseComplete
                | Kind::CopyBothResponse
                | Kind::CopyData
                | Kind::CopyDone
                | Kind::CopyInResponse
                | Kind::CopyOutResponse
                | Kind::FunctionCallResponse
                | Kind::NegotiateProtocolVersion
                | Kind::NoData
                | Kind::ParameterDescription
                | Kind::PortalSuspended
                | Kind::ReadyForQuery
                | Kind::RowDescription
                | Kind::Unknown => return Err(AskError::Protocol),
            }
        }
        self.inbox.drain(..at);
        let more = self.whole && !self.inbox.is_empty();
        (!more).then_some(()).ok_or(AskError::Protocol)
    }
}

/// The whole frame at the front, if it is here.
fn next(bytes: &[u8]) -> Result<Option<&[u8]>, AskError> {
    let header = frame::peek(bytes).map_err(|_| AskError::Protocol)?;
    Ok(header.and_then(|header| bytes.get(..header.len)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test")]
mod tests {
    use super::*;

    type Texts = Vec<Option<Vec<u8>>>;

    fn read(bytes: &[u8], step: usize) -> Result<(Answer, Vec<Texts>), AskError> {
        let mut answer = Answer::new(LONGEST);
        let mut rows = Vec::new();
        let mut keep = |row: &[Option<&[u8]>]| {
            rows.push(row.iter().map(|value| value.map(<[u8]>::to_vec)).collect());
        };
        for chunk in bytes.chunks(step) {
            answer.read(chunk, &mut keep)?;
        }
        Ok((answer, rows))
    }

    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write(&mut out, tag, |out| out.extend_from_slice(body));
        out
    }

    fn row(body: &[u8]) -> Vec<u8> {
        [framed(b'D', body), framed(b'Z', b"I")].concat()
    }

    #[test]
    fn rows_are_read_wherever_the_stream_is_cut() {
        let bytes = row(b"\0\x02\0\0\0\x03app\xff\xff\xff\xff");
        for step in 1..=bytes.len() {
            let (answer, rows) = read(&bytes, step).unwrap_or_else(|error| panic!("{error}"));
            assert!(answer.whole);
            let values = rows.first().unwrap();
            assert_eq!(values.first().unwrap().as_deref().unwrap(), b"app");
            assert!(values.get(1).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            row(b"\0\x01\0\0\0\x09app"),
            row(b"\0\x01\0\0\0\x01app"),
            row(b"\0"),
            framed(b'Z', b"T"),
            framed(b'G', b"\0\0\0"),
            framed(b'?', b""),
            vec![b'D', 0xff, 0xff, 0xff, 0xff],
            [framed(b'Z', b"I"), framed(b'N', b"\0")].concat(),
        ] {
            assert!(read(&bytes, bytes.len()).is_err(), "{bytes:?}");
        }
        let endless = vec![0; LONGEST + 1];
        assert!(matches!(
            read(&[framed(b'N', &endless)].concat(), 4096),
            Err(AskError::TooLong(LONGEST))
        ));
    }
}
