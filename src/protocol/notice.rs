//! The fields of ErrorResponse and NoticeResponse.

use super::{
    SqlState,
    frame::{put_cstr, split_cstr, write},
};

/// How bad it is, as fields `S` and `V` say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Error => b"ERROR",
            Self::Fatal => b"FATAL",
        }
    }
}

/// A field of an ErrorResponse's or NoticeResponse's body by its letter.
fn field(body: &[u8], letter: u8) -> Option<&[u8]> {
    fields(body).find_map(|(found, value)| (found == letter).then_some(value))
}

fn fields(mut body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let (&letter, rest) = body.split_first()?;
        if letter == 0 {
            return None;
        }
        let (value, rest) = split_cstr(rest)?;
        body = rest;
        Some((letter, value))
    })
}

/// The error's code; `None`: the backend sent none.
pub fn sqlstate(body: &[u8]) -> Option<SqlState> {
    field(body, b'C').and_then(SqlState::of)
}

/// The error's primary message.
pub fn message(body: &[u8]) -> Option<&[u8]> {
    field(body, b'M')
}

/// The source file of the server that reported it: one word in all languages.
pub fn file(body: &[u8]) -> Option<&[u8]> {
    field(body, b'F')
}

/// Whether the backend ends the connection with this.
pub fn is_fatal(body: &[u8]) -> bool {
    let severity = field(body, b'V').or_else(|| field(body, b'S'));
    matches!(severity, Some(b"FATAL" | b"PANIC"))
}

/// Appends an ErrorResponse of our own.
pub fn put_error(
    out: &mut Vec<u8>,
    severity: Severity,
    code: SqlState,
    message: &str,
    detail: Option<&str>,
    hint: Option<&str>,
) {
    write(out, b'E', |out| {
        let mut put = |letter: u8, value: &[u8]| {
            out.push(letter);
            put_cstr(out, value);
        };
        put(b'S', severity.word());
        put(b'V', severity.word());
        put(b'C', code.bytes());
        put(b'M', message.as_bytes());
        if let Some(detail) = detail {
            put(b'D', detail.as_bytes());
        }
        if let Some(hint) = hint {
            put(b'H', hint.as_bytes());
        }
        out.push(0);
    });
}

/// Appends the error that the server has for a Bind of a statement whose answer has changed;
/// drivers know it by its routine.
pub fn put_stale_plan(out: &mut Vec<u8>) {
    let fields: [(u8, &[u8]); 6] = [
        (b'S', Severity::Error.word()),
        (b'V', Severity::Error.word()),
        (b'C', SqlState::FEATURE_NOT_SUPPORTED.bytes()),
        (b'M', b"cached plan must not change result type"),
        (b'F', b"plancache.c"),
        (b'R', b"RevalidateCachedQuery"),
    ];
    write(out, b'E', |out| {
        for (letter, value) in fields {
            out.push(letter);
            put_cstr(out, value);
        }
        out.push(0);
    });
}

/// Appends an error as servers put it to clients of a protocol before 3.
///
/// Source: `send_message_to_frontend` of the server.
pub fn put_error_of_protocol_2(out: &mut Vec<u8>, message: &str) {
    out.push(b'E');
    put_cstr(out, format!("FATAL:  {message}\n").as_bytes());
}

/// Appends an ErrorResponse with this body.
pub fn put_error_again(out: &mut Vec<u8>, body: &[u8]) {
    write(out, b'E', |out| out.extend_from_slice(body));
}

/// Appends the backend's ErrorResponse with its severity turned into FATAL, as it would have
/// been had the same happened at start-up. Where it happened in the server stays untold.
pub fn put_error_as_fatal(out: &mut Vec<u8>, body: &[u8]) {
    write(out, b'E', |out| {
        for (letter, value) in fields(body) {
            let value = match letter {
                b'S' | b'V' => Severity::Fatal.word(),
                _ => value,
            };
            out.push(letter);
            put_cstr(out, value);
        }
        out.push(0);
    });
}

/// Appends the backend's ErrorResponse or NoticeResponse with `ours` replaced by `theirs`
/// wherever it stands.
pub fn put_renamed(out: &mut Vec<u8>, frame: &[u8], ours: &[u8], theirs: &[u8]) {
    let Some((&tag, _)) = frame.split_first() else {
        return;
    };
    write(out, tag, |out| {
        let mut rest = super::backend::body(frame);
        while let Some(at) = find(rest, ours) {
            let (before, from) = rest.split_at(at);
            out.extend_from_slice(before);
            out.extend_from_slice(theirs);
            rest = from.get(ours.len()..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    });
}

/// Where `needle` stands in `text`.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len().max(1))
        .position(|window| window == needle)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::{super::backend::body, *};

    fn sample(severity: Severity) -> Vec<u8> {
        let mut out = Vec::new();
        put_error(
            &mut out,
            severity,
            SqlState::QUERY_CANCELED,
            "canceled _x",
            None,
            Some("wait"),
        );
        out
    }

    #[test]
    fn an_error_of_ours_reads_like_one_of_the_server() {
        let frame = sample(Severity::Error);
        assert_eq!(sqlstate(body(&frame)), Some(SqlState::QUERY_CANCELED));
        assert_eq!(message(body(&frame)).unwrap(), b"canceled _x");
        assert!(!is_fatal(body(&frame)));
        assert!(is_fatal(body(&sample(Severity::Fatal))));
    }

    #[test]
    fn an_error_without_fields_has_no_code_and_no_message() {
        assert_eq!((sqlstate(&[]), message(&[0])), (None, None));
    }

    #[test]
    fn an_error_becomes_fatal_and_keeps_its_other_fields() {
        let mut out = Vec::new();
        put_error_as_fatal(&mut out, body(&sample(Severity::Error)));
        assert_eq!(out, sample(Severity::Fatal));
    }

    #[test]
    fn a_name_of_ours_is_put_back_to_the_client_s() {
        let mut out = Vec::new();
        put_renamed(&mut out, &sample(Severity::Error), b"_x", b"mine");
        assert_eq!(message(body(&out)).unwrap(), b"canceled mine");
    }
}
