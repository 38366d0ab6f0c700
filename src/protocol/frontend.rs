//! What a client says.

use super::frame::{HEADER, put_cstr, split_cstr, write};

/// The kinds of frontend messages after the start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Query,
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
    Sync,
    Flush,
    FunctionCall,
    CopyData,
    CopyDone,
    CopyFail,
    Terminate,
    /// Password, SASL and GSS answers share one tag.
    Authentication,
    Unknown,
}

impl Kind {
    #[inline]
    pub fn of(tag: u8) -> Self {
        match tag {
            b'Q' => Self::Query,
            b'P' => Self::Parse,
            b'B' => Self::Bind,
            b'D' => Self::Describe,
            b'E' => Self::Execute,
            b'C' => Self::Close,
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'F' => Self::FunctionCall,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail,
            b'X' => Self::Terminate,
            b'p' => Self::Authentication,
            _ => Self::Unknown,
        }
    }

    /// Whether it asks the server for something, by itself or up to a Sync.
    pub fn asks(self) -> bool {
        match self {
            Self::Query
            | Self::Parse
            | Self::Bind
            | Self::Describe
            | Self::Execute
            | Self::Close
            | Self::FunctionCall => true,
            Self::CopyData
            | Self::CopyDone
            | Self::CopyFail
            | Self::Sync
            | Self::Flush
            | Self::Terminate
            | Self::Authentication
            | Self::Unknown => false,
        }
    }

    /// Whether the server reads it in the middle of a COPY from the client.
    pub fn belongs_to_copy(self) -> bool {
        match self {
            Self::CopyData
            | Self::CopyDone
            | Self::CopyFail
            | Self::Sync
            | Self::Flush
            | Self::Terminate
            | Self::Authentication
            | Self::Unknown => true,
            Self::Query
            | Self::Parse
            | Self::Bind
            | Self::Describe
            | Self::Execute
            | Self::Close
            | Self::FunctionCall => false,
        }
    }
}

/// What Describe and Close speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// The body of a Parse: name, and the rest (text, parameter types) as it stands.
pub fn parse(body: &[u8]) -> Option<(&[u8], &[u8])> {
    split_cstr(body)
}

/// The text of a Query's body, or of a Parse's rest.
pub fn text(body: &[u8]) -> &[u8] {
    split_cstr(body).map_or(body, |(text, _)| text)
}

/// The body of a Bind: portal, statement, and the rest as it stands.
pub fn bind(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (portal, rest) = split_cstr(body)?;
    let (statement, rest) = split_cstr(rest)?;
    Some((portal, statement, rest))
}

/// The body of a Describe or Close: what it speaks of, and its name. `None`: no server takes it,
/// such as one that goes on behind the name.
pub fn target(body: &[u8]) -> Option<(Target, &[u8])> {
    let (kind, rest) = body.split_first()?;
    let (name, behind) = split_cstr(rest)?;
    match kind {
        b'S' if behind.is_empty() => Some((Target::Statement, name)),
        b'P' if behind.is_empty() => Some((Target::Portal, name)),
        _ => None,
    }
}

/// The body of an Execute: the portal's name.
pub fn execute(body: &[u8]) -> Option<&[u8]> {
    split_cstr(body).map(|(portal, _)| portal)
}

/// Why a message cannot be read; in the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("invalid string in message")]
    NoTerminator,
    #[error("insufficient data left in message")]
    TooShort,
    #[error("invalid message format")]
    TooLong,
}

/// The body of a SASLInitialResponse: the mechanism, and what is behind it.
pub fn sasl_mechanism(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    split_cstr(body).ok_or(Malformed::NoTerminator)
}

/// What is behind the mechanism: the first message of its exchange, if it is here already.
pub fn sasl_data(rest: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let (length, data) = rest.split_first_chunk::<4>().ok_or(Malformed::TooShort)?;
    let length = i32::from_be_bytes(*length);
    let none = length == -1;
    let length = match usize::try_from(length) {
        Ok(length) if length <= data.len() => length,
        Err(_) if none => 0,
        Ok(_) | Err(_) => return Err(Malformed::TooShort),
    };
    let exact = length == data.len();
    exact
        .then_some((!none).then_some(data))
        .ok_or(Malformed::TooLong)
}

/// What follows the names in a Bind: how many values it gives, and in which formats it wants
/// the columns (none: text, one: all in that, else one a column).
pub fn bind_formats(rest: &[u8]) -> Option<(u16, Vec<Format>)> {
    let (_, rest) = split_words(rest)?;
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    let values = u16::from_be_bytes(*count);
    for _ in 0..values {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // Below zero: NULL, of no bytes.
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
        rest = after.get(length..)?;
    }
    let (formats, _) = split_words(rest)?;
    let formats = formats.into_iter().map(Format::of);
    Some((values, formats.collect::<Option<_>>()?))
}

/// The values in what follows the names in a Bind, but NULLs; up to where it cannot be read.
pub fn bind_values(rest: &[u8]) -> Vec<&[u8]> {
    let after_formats = split_words(rest).and_then(|(_, rest)| rest.split_first_chunk::<2>());
    let Some((count, mut rest)) = after_formats else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            break;
        };
        // Below zero: NULL, of no bytes.
        let length = usize::try_from(i32::from_be_bytes(*length));
        let Some((value, after)) = after.split_at_checked(length.unwrap_or_default()) else {
            break;
        };
        if length.is_ok() {
            values.push(value);
        }
        rest = after;
    }
    values
}

/// Whether what follows the names in a Bind is well formed and gives no value. The server looks at
/// no format that it has no use for.
pub fn is_without_values(rest: &[u8]) -> bool {
    let columns = split_words(rest)
        .filter(|(formats, _)| formats.len() <= 1)
        .and_then(|(_, rest)| rest.strip_prefix(&[0, 0]));
    columns
        .and_then(split_words)
        .is_some_and(|(_, rest)| rest.is_empty())
}

/// A count and as many 16-bit words.
fn split_words(bytes: &[u8]) -> Option<(Vec<u16>, &[u8])> {
    let (count, mut rest) = bytes.split_first_chunk::<2>()?;
    let mut words = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (word, after) = rest.split_first_chunk::<2>()?;
        words.push(u16::from_be_bytes(*word));
        rest = after;
    }
    Some((words, rest))
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

impl Format {
    fn of(word: u16) -> Option<Self> {
        match word {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// How many rows an Execute's body asks for at most; 0: all.
pub fn execute_limit(body: &[u8]) -> Option<usize> {
    let (_, rest) = split_cstr(body)?;
    let limit = rest.first_chunk::<4>()?;
    // Below zero is all, too.
    Some(usize::try_from(i32::from_be_bytes(*limit)).unwrap_or_default())
}

/// Appends a Query.
pub fn put_query(out: &mut Vec<u8>, text: &[u8]) {
    write(out, b'Q', |out| put_cstr(out, text));
}

/// Appends a Parse; `rest` is text, terminator and parameter types as on the wire.
pub fn put_parse(out: &mut Vec<u8>, name: &[u8], rest: &[u8]) {
    write(out, b'P', |out| {
        put_cstr(out, name);
        out.extend_from_slice(rest);
    });
}

/// The rest of a Parse of `text` with no parameter type given.
pub fn parse_rest(text: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(text.len() + 3);
    put_cstr(&mut rest, text);
    rest.extend_from_slice(&[0, 0]);
    rest
}

/// Appends a Bind; `rest` is everything after the statement's name as on the wire.
pub fn put_bind(out: &mut Vec<u8>, portal: &[u8], statement: &[u8], rest: &[u8]) {
    write(out, b'B', |out| {
        put_cstr(out, portal);
        put_cstr(out, statement);
        out.extend_from_slice(rest);
    });
}

/// Appends the beginning of a Bind whose last `missing` bytes will follow from elsewhere.
pub fn put_bind_head(
    out: &mut Vec<u8>,
    portal: &[u8],
    statement: &[u8],
    rest: &[u8],
    missing: usize,
) {
    let start = out.len();
    put_bind(out, portal, statement, rest);
    let length = u32::try_from(out.len() - start - 1 + missing).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start + 1..start + HEADER) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a Bind of text parameters to the unnamed portal; `None` is NULL.
pub fn put_bind_text(out: &mut Vec<u8>, statement: &[u8], values: &[Option<&[u8]>]) {
    write(out, b'B', |out| {
        put_cstr(out, b"");
        put_cstr(out, statement);
        out.extend_from_slice(&[0, 0]);
        let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
        out.extend_from_slice(&[0, 0]);
    });
}

/// Appends a Describe of a statement.
pub fn put_describe_statement(out: &mut Vec<u8>, name: &[u8]) {
    write(out, b'D', |out| {
        out.push(b'S');
        put_cstr(out, name);
    });
}

/// Appends an Execute of the unnamed portal, without a row limit.
pub fn put_execute(out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'E', 0, 0, 0, 9, 0, 0, 0, 0, 0]);
}

/// Appends a Close of a portal.
pub fn put_close_portal(out: &mut Vec<u8>, name: &[u8]) {
    write(out, b'C', |out| {
        out.push(b'P');
        put_cstr(out, name);
    });
}

/// Appends a Close of a statement.
pub fn put_close_statement(out: &mut Vec<u8>, name: &[u8]) {
    write(out, b'C', |out| {
        out.push(b'S');
        put_cstr(out, name);
    });
}

/// Appends the end of a COPY that is to fail.
pub fn put_copy_fail(out: &mut Vec<u8>, why: &[u8]) {
    write(out, b'f', |out| put_cstr(out, why));
}

/// Appends an answer to an Authentication message.
pub fn put_authentication(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    write(out, b'p', fill);
}

/// A Sync, whole.
pub const SYNC: &[u8] = &[b'S', 0, 0, 0, 4];
/// A Flush, whole.
pub const FLUSH: &[u8] = &[b'H', 0, 0, 0, 4];
/// A Terminate, whole.
pub const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test"
)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_taken_apart_and_put_together_unchanged() {
        let mut out = Vec::new();
        put_bind(&mut out, b"p", b"s", &[0, 0, 0, 0, 0, 0]);
        let (portal, statement, rest) = bind(&out[HEADER..]).unwrap();
        assert_eq!((portal, statement), (&b"p"[..], &b"s"[..]));
        let mut again = Vec::new();
        put_bind(&mut again, portal, statement, rest);
        assert_eq!(out, again);
    }

    #[test]
    fn the_head_of_a_bind_announces_what_is_still_missing() {
        let mut whole = Vec::new();
        put_bind(&mut whole, b"", b"s", b"123456");
        let mut head = Vec::new();
        put_bind_head(&mut head, b"", b"s", b"12", 4);
        assert_eq!(whole[..head.len()], head);
    }

    #[test]
    fn a_name_without_its_terminator_is_no_message() {
        assert_eq!(bind(b"portal\0statement"), None);
        assert_eq!(target(b"Sname"), None);
        assert_eq!(target(b"Sname\0more"), None);
    }
}
