//! Why does a session keep its connection beyond the transaction?

use crate::sql::{self, Fingerprint, Kind, Reading, Strings, Touches};

/// Why a session keeps its connection, and the text that it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    pub reason: Reason,
    /// `None`: it was no text, or one that was not seen in whole.
    pub print: Option<Fingerprint>,
}

impl Cause {
    /// This text is why.
    pub fn of(reason: Reason, text: &[u8]) -> Self {
        Self {
            reason,
            print: print(text),
        }
    }

    /// No text is why.
    pub fn unwritten(reason: Reason) -> Self {
        Self {
            reason,
            print: None,
        }
    }
}

/// What a text is told apart by in logs and in the console.
pub fn print(text: &[u8]) -> Option<Fingerprint> {
    sql::fingerprint(text, Strings::Standard, 0).map(|print| print.fingerprint)
}

/// What a session has on its connection that no other connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Setting,
    AdvisoryLock,
    TemporaryObject,
    Listen,
    HoldCursor,
    SqlPrepare,
    Sequence,
    Library,
    Seed,
    Snapshot,
    Origin,
    /// A statement too large to be kept here, or sharing is switched off.
    Statement,
    /// A start-up value that can only be given to a connection of one's own.
    Startup,
    /// A text whose words are hidden.
    Unclear,
}

impl Reason {
    /// Whether only the end of the session, or DISCARD ALL, ends it: the connection cannot be
    /// asked.
    pub fn is_hard(self) -> bool {
        match self {
            Self::Setting
            | Self::AdvisoryLock
            | Self::TemporaryObject
            | Self::Listen
            | Self::HoldCursor
            | Self::SqlPrepare => false,
            Self::Sequence
            | Self::Library
            | Self::Seed
            | Self::Snapshot
            | Self::Origin
            | Self::Statement
            | Self::Startup
            | Self::Unclear => true,
        }
    }

    /// As it shows in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::AdvisoryLock => "advisory_lock",
            Self::TemporaryObject => "temp",
            Self::Listen => "listen",
            Self::HoldCursor => "cursor_hold",
            Self::SqlPrepare => "prepare",
            Self::Sequence => "sequence",
            Self::Library => "load",
            Self::Seed => "setseed",
            Self::Snapshot => "snapshot",
            Self::Origin => "replication_origin",
            Self::Statement => "statement",
            Self::Startup => "startup",
            Self::Unclear => "unclear",
        }
    }
}

const REASONS: &[(Touches, Reason)] = &[
    (Touches::SETTING, Reason::Setting),
    (Touches::ADVISORY_LOCK, Reason::AdvisoryLock),
    (Touches::TEMP, Reason::TemporaryObject),
    (Touches::LISTEN, Reason::Listen),
    (Touches::CURSOR, Reason::HoldCursor),
    (Touches::PREPARE, Reason::SqlPrepare),
    (Touches::SEQUENCE_READ, Reason::Sequence),
    (Touches::LOAD, Reason::Library),
    (Touches::SEED, Reason::Seed),
    (Touches::SNAPSHOT, Reason::Snapshot),
    (Touches::ORIGIN, Reason::Origin),
    (Touches::UNCLEAR, Reason::Unclear),
];

/// What a text touches that gives reason to this; nothing, where no text says it.
pub fn touches(reason: Reason) -> Touches {
    let named = REASONS.iter().find(|(_, one)| *one == reason);
    named.map_or(Touches::NONE, |(touches, _)| *touches)
}

/// All of them together; a test holds it to the list.
const ANY: Touches = Touches::SETTING
    .and(Touches::ADVISORY_LOCK)
    .and(Touches::TEMP)
    .and(Touches::LISTEN)
    .and(Touches::CURSOR)
    .and(Touches::PREPARE)
    .and(Touches::SEQUENCE_READ)
    .and(Touches::LOAD)
    .and(Touches::SEED)
    .and(Touches::SNAPSHOT)
    .and(Touches::ORIGIN)
    .and(Touches::UNCLEAR);

/// All of them but those that go with the session.
pub const STAYING: Touches = ANY.without(Touches::SETTING.and(Touches::LISTEN));

/// What may destroy statements that sessions share.
pub const DESTROYS: Touches = Touches::DISCARD.and(Touches::DEALLOCATE);

/// What may stay behind on the connection once this text has run.
#[inline]
pub fn reason(reading: &Reading) -> Option<Reason> {
    if !reading.touches.any(ANY) || is_reset(reading) {
        return None;
    }
    let mut reasons = REASONS.iter();
    reasons
        .find(|(touches, _)| reading.touches.any(*touches))
        .map(|(_, reason)| *reason)
}

/// What no look at the connection can tell the end of.
#[inline]
pub fn hard(reading: &Reading) -> Option<Reason> {
    hard_of(reading.touches)
}

/// The same of what is touched.
#[inline]
pub fn hard_of(touched: Touches) -> Option<Reason> {
    let mut reasons = REASONS.iter().filter(|(_, reason)| reason.is_hard());
    reasons
        .find(|(touches, _)| touched.any(*touches))
        .map(|(_, reason)| *reason)
}

/// What the text says that it will leave behind, unless it fails.
pub fn foretold(reading: &Reading, text: &[u8]) -> Option<Reason> {
    let mut reasons = REASONS.iter().filter(|(touches, reason)| {
        *reason != Reason::Setting
            && *reason != Reason::Listen
            && reading.touches.any(*touches)
            && !(*reason == Reason::TemporaryObject && is_dropped_at_commit(text))
    });
    reasons.next().map(|(_, reason)| *reason)
}

/// Whether what is temporary is gone with its transaction. Should a comment alone say so, what it
/// leaves is found afterwards.
fn is_dropped_at_commit(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let words: Vec<&[u8]> = text
        .split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    let drops: [&[u8]; 3] = [b"on", b"commit", b"drop"];
    words.windows(drops.len()).any(|window| window == drops)
}

/// Taking back leaves nothing behind on a connection that is shared.
fn is_reset(reading: &Reading) -> bool {
    reading.count == 1 && matches!(reading.first, Kind::Reset(_))
}

/// Whether the text must run on the connection whose process id the client was told.
#[inline]
pub fn wants_home(reading: &Reading) -> bool {
    // What is prepared in SQL stays only where it cannot go along.
    let staying = STAYING.without(Touches::PREPARE);
    reading.touches.any(Touches::IDENTITY.and(staying))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_all_reasons_is_the_list_s() {
        let sum = REASONS
            .iter()
            .fold(Touches::NONE, |sum, (one, _)| sum | *one);
        assert_eq!(sum, ANY);
    }

    #[test]
    fn a_plain_read_pins_nothing_and_a_session_setting_does() {
        assert_eq!(reason(&crate::sql::read(b"SELECT 1")), None);
        assert_eq!(
            reason(&crate::sql::read(b"SET LOCAL work_mem = '1MB'")),
            None
        );
        assert_eq!(
            reason(&crate::sql::read(b"SET work_mem = '1MB'")),
            Some(Reason::Setting)
        );
    }

    #[test]
    fn a_text_foretells_what_it_leaves_behind_and_no_more() {
        let foretold = |text: &str| foretold(&crate::sql::read(text.as_bytes()), text.as_bytes());
        for (text, reason) in [
            ("create temp table t (a int)", Some(Reason::TemporaryObject)),
            ("create temp table t (a int) ON\nCOMMIT DROP", None),
            ("set work_mem = '1MB'", None),
            ("set work_mem = '1MB'; load 'x'", Some(Reason::Library)),
            ("select pg_advisory_lock(1)", Some(Reason::AdvisoryLock)),
            ("select pg_advisory_xact_lock(1)", None),
            ("select pg_advisory_unlock(1)", None),
            ("unlisten *", None),
        ] {
            assert_eq!(foretold(text), reason, "{text}");
        }
    }

    #[test]
    fn what_only_takes_back_pins_nothing() {
        // The last is what asyncpg sends whenever a connection goes back to its pool.
        for text in [
            "RESET ALL",
            "UNLISTEN *",
            "CLOSE ALL",
            "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        ] {
            assert_eq!(reason(&crate::sql::read(text.as_bytes())), None, "{text}");
        }
        let listens = crate::sql::read(b"UNLISTEN *; LISTEN a; RESET ALL");
        assert_eq!(reason(&listens), Some(Reason::Listen));
    }
}
