//! The few words that matter, found by a perfect-enough table built while compiling.

use super::touches::Touches;

/// One of the words below, or [`Word::NONE`] for any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u8);

macro_rules! words {
    ($($name:ident = $spelling:literal $(=> $touches:expr)?;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the constants")]
        enum Number { NONE, $($name,)* }

        #[allow(dead_code, reason = "most names are known by what they touch alone")]
        impl Word {
            /// Any other word.
            pub const NONE: Word = Word(Number::NONE as u8);
            $(pub const $name: Word = Word(Number::$name as u8);)*
        }

        /// By number. What a word touches wherever it stands is only said of names.
        const WORDS: &[(&[u8], Touches)] = &[
            (b"", Touches::NONE),
            $(($spelling, words!(@touches $($touches)?)),)*
        ];
    };
    (@touches) => { Touches::NONE };
    (@touches $touches:expr) => { $touches };
}

words! {
    ABORT = b"abort";
    ALL = b"all";
    ALTER = b"alter";
    ANALYSE = b"analyse";
    ANALYZE = b"analyze";
    AND = b"and";
    AS = b"as";
    ATOMIC = b"atomic";
    AUTHORIZATION = b"authorization";
    BEGIN = b"begin";
    CALL = b"call";
    CATALOG = b"catalog";
    CHAIN = b"chain";
    CHARACTERISTICS = b"characteristics";
    CLOSE = b"close";
    COMMIT = b"commit";
    CONSTRAINTS = b"constraints";
    COPY = b"copy";
    CREATE = b"create";
    CURRENT = b"current";
    DATABASE = b"database";
    DEALLOCATE = b"deallocate";
    DECLARE = b"declare";
    DEFAULT = b"default";
    DELETE = b"delete";
    DISCARD = b"discard";
    DO = b"do";
    DROP = b"drop";
    END = b"end";
    EXECUTE = b"execute";
    EXPLAIN = b"explain";
    FETCH = b"fetch";
    FOR = b"for";
    FROM = b"from";
    FUNCTION = b"function";
    GLOBAL = b"global";
    HOLD = b"hold";
    INSERT = b"insert";
    INTO = b"into";
    LISTEN = b"listen";
    LOAD = b"load";
    LOCAL = b"local";
    MERGE = b"merge";
    MOVE = b"move";
    NAMES = b"names";
    NO = b"no";
    NOTIFY = b"notify";
    OPTION = b"option";
    OR = b"or";
    PLANS = b"plans";
    PREPARE = b"prepare";
    PREPARED = b"prepared";
    PROCEDURE = b"procedure";
    RELEASE = b"release";
    REPLACE = b"replace";
    RESET = b"reset";
    ROLE = b"role";
    ROLLBACK = b"rollback";
    SAVEPOINT = b"savepoint";
    SCHEMA = b"schema";
    SEQUENCES = b"sequences";
    SESSION = b"session";
    SET = b"set";
    SHOW = b"show";
    SNAPSHOT = b"snapshot";
    START = b"start";
    TEMP = b"temp";
    TEMPORARY = b"temporary";
    TIME = b"time";
    TO = b"to";
    TRANSACTION = b"transaction";
    UESCAPE = b"uescape";
    UNLISTEN = b"unlisten";
    UPDATE = b"update";
    VERBOSE = b"verbose";
    WITH = b"with";
    WORK = b"work";
    XML = b"xml";
    ZONE = b"zone";

    CURRENT_SETTING = b"current_setting" => Touches::SETTING_READ;
    CURRVAL = b"currval" => Touches::SEQUENCE_READ;
    LASTVAL = b"lastval" => Touches::SEQUENCE_READ;
    NEXTVAL = b"nextval" => Touches::SEQUENCE_USE;
    SETVAL = b"setval" => Touches::SEQUENCE_USE;
    PG_ADVISORY_LOCK = b"pg_advisory_lock" => Touches::ADVISORY_LOCK;
    PG_ADVISORY_LOCK_SHARED = b"pg_advisory_lock_shared" => Touches::ADVISORY_LOCK;
    PG_TRY_ADVISORY_LOCK = b"pg_try_advisory_lock" => Touches::ADVISORY_LOCK;
    PG_TRY_ADVISORY_LOCK_SHARED = b"pg_try_advisory_lock_shared" => Touches::ADVISORY_LOCK;
    PG_ADVISORY_UNLOCK = b"pg_advisory_unlock" => Touches::ADVISORY_UNLOCK;
    PG_ADVISORY_UNLOCK_SHARED = b"pg_advisory_unlock_shared" => Touches::ADVISORY_UNLOCK;
    PG_ADVISORY_UNLOCK_ALL = b"pg_advisory_unlock_all" => Touches::ADVISORY_UNLOCK;
    PG_BACKEND_PID = b"pg_backend_pid" => Touches::IDENTITY;
    PG_BLOCKING_PIDS = b"pg_blocking_pids" => Touches::IDENTITY;
    PG_CURSOR = b"pg_cursor" => Touches::PREPARED_READ;
    PG_CURSORS = b"pg_cursors" => Touches::PREPARED_READ;
    PG_EXPORT_SNAPSHOT = b"pg_export_snapshot" => Touches::SNAPSHOT;
    PG_LISTENING_CHANNELS = b"pg_listening_channels" => Touches::LISTENING_READ;
    PG_LOCK_STATUS = b"pg_lock_status" => Touches::IDENTITY;
    PG_LOCKS = b"pg_locks" => Touches::IDENTITY;
    PG_NOTIFY = b"pg_notify" => Touches::NOTIFY;
    PG_PREPARED_STATEMENT = b"pg_prepared_statement" => Touches::PREPARED_READ;
    PG_PREPARED_STATEMENTS = b"pg_prepared_statements" => Touches::PREPARED_READ;
    PG_ORIGIN_SETUP = b"pg_replication_origin_session_setup" => Touches::ORIGIN;
    PG_ORIGIN_RESET = b"pg_replication_origin_session_reset" => Touches::ORIGIN;
    PG_ORIGIN_XACT_SETUP = b"pg_replication_origin_xact_setup" => Touches::ORIGIN;
    PG_ORIGIN_XACT_RESET = b"pg_replication_origin_xact_reset" => Touches::ORIGIN;
    PG_SAFE_SNAPSHOT_BLOCKING_PIDS = b"pg_safe_snapshot_blocking_pids" => Touches::IDENTITY;
    PG_SETTINGS = b"pg_settings" => Touches::SETTING_READ;
    PG_SHOW_ALL_SETTINGS = b"pg_show_all_settings" => Touches::SETTING_READ;
    PG_STAT_ACTIVITY = b"pg_stat_activity" => Touches::IDENTITY;
    PG_STAT_GET_ACTIVITY = b"pg_stat_get_activity" => Touches::IDENTITY;
    PG_TEMP = b"pg_temp" => Touches::TEMP;
    SET_CONFIG = b"set_config" => Touches::SETTING;
    SETSEED = b"setseed" => Touches::SEED;
}

/// Every word and what it touches wherever it stands.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static [u8], Touches)> {
    WORDS.iter().copied().skip(1)
}

impl Word {
    /// The word that these bytes spell, in any case.
    #[inline]
    pub fn find(bytes: &[u8]) -> Word {
        let Some(key) = key(bytes) else {
            return Word::NONE;
        };
        let mut number = head(key);
        while number != 0 {
            let word = Word(number);
            if word.key() == key && word.spelling().eq_ignore_ascii_case(bytes) {
                return word;
            }
            number = NEXT.get(usize::from(number)).copied().unwrap_or(0);
        }
        if bytes.len() > 8 && is_temporary_schema(bytes) {
            return Word::PG_TEMP;
        }
        Word::NONE
    }

    /// The name inside these double quotes: by its exact content, and never a keyword.
    pub fn find_quoted(bytes: &[u8]) -> Word {
        let inside = bytes.get(1..bytes.len().saturating_sub(1));
        let inside = inside.unwrap_or_default();
        let word = Word::find(inside);
        let exact = !inside.iter().any(u8::is_ascii_uppercase);
        if exact && !word.touches().is_empty() {
            word
        } else {
            Word::NONE
        }
    }

    /// What a statement that contains this word may touch.
    #[inline]
    pub fn touches(self) -> Touches {
        WORDS
            .get(usize::from(self.0))
            .map_or(Touches::NONE, |(_, touches)| *touches)
    }

    #[inline(always)]
    fn key(self) -> u32 {
        KEYS.get(usize::from(self.0)).copied().unwrap_or(0)
    }

    fn spelling(self) -> &'static [u8] {
        WORDS
            .get(usize::from(self.0))
            .map_or(b"", |(spelling, _)| *spelling)
    }
}

/// `pg_temp_3`: the server's name for some session's schema of temporary objects.
fn is_temporary_schema(bytes: &[u8]) -> bool {
    matches!(bytes, [b'p' | b'P', b'g' | b'G', b'_', rest @ ..]
        if rest.get(..5).is_some_and(|rest| rest.eq_ignore_ascii_case(b"temp_")))
}

const SLOTS: usize = 256;

/// Length, first byte and last two: enough to tell nearly every word from every other.
/// Bit 5 is the case of a letter. No word that matters has one letter or more than 40.
#[inline(always)]
const fn key(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [first, .., before, last] if bytes.len() <= LONGEST => {
            Some(key_of(bytes.len(), *first, *before, *last))
        }
        [first, last] => Some(key_of(2, *first, *first, *last)),
        _ => None,
    }
}

const LONGEST: usize = 40;

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most LONGEST")]
const fn key_of(length: usize, first: u8, before: u8, last: u8) -> u32 {
    u32::from_le_bytes([length as u8, first, before, last]) | 0x2020_2000
}

/// Spreads the keys of the words that matter, each to a slot of its own where it can.
#[inline(always)]
const fn slot(key: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

/// The first word in the slot of this key; 0 if there is none.
#[inline(always)]
fn head(key: u32) -> u8 {
    HEADS.get(slot(key)).copied().unwrap_or(0)
}

struct Tables {
    keys: [u32; WORDS.len()],
    /// The first word of each slot,
    heads: [u8; SLOTS],
    /// and the one after each word in its slot; 0 ends.
    next: [u8; WORDS.len()],
}

const TABLES: Tables = tables();
static KEYS: [u32; WORDS.len()] = TABLES.keys;
static HEADS: [u8; SLOTS] = TABLES.heads;
static NEXT: [u8; WORDS.len()] = TABLES.next;

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
#[expect(clippy::cast_possible_truncation, reason = "Word holds a u8 too")]
const fn tables() -> Tables {
    let mut tables = Tables {
        keys: [0; WORDS.len()],
        heads: [0; SLOTS],
        next: [0; WORDS.len()],
    };
    let mut number = 1;
    while number < WORDS.len() {
        if let Some(key) = key(WORDS[number].0) {
            tables.keys[number] = key;
            tables.next[number] = tables.heads[slot(key)];
            tables.heads[slot(key)] = number as u8;
        }
        number += 1;
    }
    tables
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "few words, none empty"
)]
mod tests {
    use super::KEYS;
    use super::WORDS;
    use super::Word;
    use super::key;
    use crate::sql::Touches;

    #[test]
    fn every_word_finds_itself_in_any_case() {
        for (number, (spelling, _)) in WORDS.iter().enumerate().skip(1) {
            let word = Word(number as u8);
            assert_eq!(Word::find(spelling), word);
            assert_eq!(Word::find(&spelling.to_ascii_uppercase()), word);
        }
    }

    #[test]
    fn there_are_fewer_words_than_numbers() {
        assert!(WORDS.len() < 256);
    }

    #[test]
    fn words_of_everyday_sql_are_passed_by_without_comparing_them() {
        let everyday = "select where update delete values join left order group having limit offset on null not in is asc desc returning count sum id name users created_at pgbench_accounts";
        for word in everyday.split(' ').map(str::as_bytes) {
            let key = key(word).unwrap();
            let word = Word::find(word);
            assert!(word != Word::NONE || !KEYS.contains(&key));
        }
    }

    #[test]
    fn a_quoted_name_counts_by_its_exact_content_and_is_no_keyword() {
        assert_eq!(Word::find_quoted(b"\"set_config\""), Word::SET_CONFIG);
        assert_eq!(Word::find_quoted(b"\"Set_Config\""), Word::NONE);
        assert_eq!(Word::find_quoted(b"\"begin\""), Word::NONE);
        assert_eq!(Word::find_quoted(b"\"\""), Word::NONE);
        assert_eq!(Word::find_quoted(b"\""), Word::NONE);
    }

    #[test]
    fn a_numbered_temporary_schema_is_temporary() {
        assert!(Word::find(b"PG_temp_12").touches().any(Touches::TEMP));
        assert_eq!(Word::find(b"pgbench_accounts"), Word::NONE);
        assert_eq!(Word::find(b"pg_temporal"), Word::NONE);
    }
}
