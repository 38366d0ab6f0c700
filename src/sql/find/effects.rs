//! What calls do to the session, by the function's name.

use super::super::verdict::Effect;
use super::Gathered;
use super::piece::Piece;
use crate::sql::TokenKind;

/// Notes what a call of `name` leaves in the session; `arguments` begin after its parenthesis.
pub(super) fn called(name: &[u8], arguments: &[Piece<'_>], gathered: &mut Gathered) {
    match name {
        b"nextval" | b"setval" | b"currval" | b"lastval" => gathered.effect(Effect::Sequence),
        b"set_config" => set_config(arguments, gathered),
        b"setseed"
        | b"pg_replication_origin_session_setup"
        | b"pg_replication_origin_session_reset"
        | b"pg_replication_origin_xact_setup"
        | b"pg_replication_origin_xact_reset" => gathered.effect(Effect::Anything),
        _ if is_session_lock(name) => gathered.effect(Effect::AdvisoryLock),
        _ => {}
    }
}

/// Advisory locks of the session; those of the transaction end with it.
fn is_session_lock(name: &[u8]) -> bool {
    [
        &b"pg_advisory_lock"[..],
        b"pg_try_advisory_lock",
        b"pg_advisory_unlock",
    ]
    .iter()
    .any(|stem| name.starts_with(stem))
}

/// With literals it sets what they say; else it may set anything.
fn set_config(arguments: &[Piece<'_>], gathered: &mut Gathered) {
    gathered.is_literal = true;
    let known = named(arguments);
    gathered.effect(known.unwrap_or(Effect::Anything));
}

fn named(arguments: &[Piece<'_>]) -> Option<Effect> {
    let (name, rest) = arguments.split_first()?;
    let name = name.literal()?.to_ascii_lowercase().into();
    let (comma, rest) = rest.split_first()?;
    if comma.kind != TokenKind::Comma {
        return None;
    }
    let mut depth = 0_usize;
    let mut last = 0;
    for (at, piece) in rest.iter().enumerate() {
        if piece.kind == TokenKind::Open {
            depth += 1;
        } else if piece.kind == TokenKind::Close && depth > 0 {
            depth -= 1;
        } else if piece.kind == TokenKind::Close {
            return match is_true(rest.get(last..at)?)? {
                true => Some(Effect::SetLocal(name)),
                false => Some(Effect::Set(name)),
            };
        } else if piece.kind == TokenKind::Comma && depth == 0 {
            last = at + 1;
        }
    }
    None
}

/// A literal boolean: TRUE, or a text that the server reads as one.
fn is_true(pieces: &[Piece<'_>]) -> Option<bool> {
    let [piece] = pieces else { return None };
    let spelt = match piece.kind == TokenKind::Word {
        true => std::str::from_utf8(piece.bytes).ok()?,
        false => piece.literal()?,
    };
    match spelt.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "on" | "yes" | "y" | "1" => Some(true),
        "f" | "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}
