//! Runs a statement, and tells what came of it and what it left behind.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    io,
};

use crate::{
    stand::DATABASE,
    wire::{self, Frame, Wire},
};

/// Settings that exist only as far as somebody sets them: no view shows them.
const CUSTOM: &[&str] = &[
    "app.tenant",
    "a.b",
    "c.d",
    "A.B",
    "weird.name",
    "ambassador.route",
];

/// All that a session has of its own, and what the whole server has that a statement could change.
/// One row of one text. Outside a transaction it takes no locks that it sees itself.
const STATE: &str = "\
SELECT concat_ws(' | ', \
  (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings WHERE source = 'session'), \
  session_user, current_setting('role'), CUSTOM, \
  (SELECT string_agg(locktype || ':' || mode || ':' || objid, ',' ORDER BY objid, mode) FROM pg_locks \
    WHERE pid = pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid')), \
  (SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), \
  (SELECT string_agg(name, ',' ORDER BY name) FROM pg_prepared_statements), \
  (SELECT string_agg(name, ',' ORDER BY name) FROM pg_cursors WHERE name <> ''), \
  (SELECT string_agg(c, ',' ORDER BY c) FROM pg_listening_channels() c), \
  pg_conf_load_time(), pg_is_in_recovery(), \
  CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() \
    ELSE pg_snapshot_xmax(pg_current_snapshot())::text END, \
  (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()), \
  (SELECT max(stats_reset) FROM pg_stat_bgwriter), (SELECT max(stats_reset) FROM pg_stat_slru), \
  (SELECT string_agg(slot_name, ',') FROM pg_replication_slots), \
  (SELECT string_agg(roname, ',') FROM pg_replication_origin), \
  (SELECT count(*) FROM pg_largeobject_metadata), \
  (SELECT string_agg(coalesce(last_value, 0)::text, ',' ORDER BY schemaname, sequencename) FROM pg_sequences))";

/// A session that runs statements, none of them for long.
pub struct Runner {
    port: u16,
    options: &'static str,
    wire: Wire,
    ask: Vec<u8>,
}

const OPTIONS: &str = "-c statement_timeout=5s -c lock_timeout=2s";
const READ_ONLY: &str =
    "-c statement_timeout=5s -c lock_timeout=2s -c default_transaction_read_only=on";

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The first error's SQLSTATE.
    pub code: Option<String>,
    /// What each of its statements answered, without its numbers: `SELECT`, `COPY`.
    pub tags: Vec<String>,
    /// All rows, with their columns.
    pub answer: u64,
    /// What a COPY gave went to the client, not to a file or program of the server.
    pub is_told: bool,
    /// What is the matter with the session: a transaction is open, the connection is gone.
    pub left: Option<&'static str>,
}

impl Outcome {
    /// It ran to its end and left the session as idle as it was.
    pub fn is_well(&self) -> bool {
        self.code.is_none() && self.left.is_none()
    }

    /// Every one of its statements gave an answer, as queries do.
    pub fn is_query(&self) -> bool {
        let is = |tag: &String| match tag.as_str() {
            "SELECT" | "EXPLAIN" => true,
            "COPY" => self.is_told,
            _ => false,
        };
        !self.tags.is_empty() && self.tags.iter().all(is)
    }
}

impl Runner {
    pub fn new(port: u16) -> Self {
        Self::with(port, OPTIONS)
    }

    /// Its transactions are READ ONLY.
    pub fn read_only(port: u16) -> Self {
        Self::with(port, READ_ONLY)
    }

    fn with(port: u16, options: &'static str) -> Self {
        let custom: Vec<String> = CUSTOM
            .iter()
            .map(|name| format!("current_setting('{name}', true)"))
            .collect();
        Self {
            port,
            options,
            wire: enter(port, options),
            ask: wire::query(&STATE.replace("CUSTOM", &custom.join(", "))),
        }
    }

    /// A new session in the place of this one.
    pub fn renew(&mut self) {
        let old = std::mem::replace(&mut self.wire, enter(self.port, self.options));
        old.bye();
    }

    /// What the session and the server have.
    pub fn state(&mut self) -> String {
        let ask = self.ask.clone();
        let frames = self.wire.ask(&[ask]);
        let rows: Vec<String> = frames
            .iter()
            .filter(|frame| matches!(frame.tag, b'D' | b'E'))
            .map(ToString::to_string)
            .collect();
        rows.join(" ")
    }

    /// Runs it, as a simple query. Whatever it leaves open is closed.
    pub fn run(&mut self, text: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let mut hash = DefaultHasher::new();
        let left = match self.converse(text, &mut outcome, &mut hash) {
            Ok(b'I') => None,
            Ok(_) => Some("a transaction is open"),
            Err(_) => Some("the connection is gone"),
        };
        if left.is_some() {
            // The one that is lost says so only once.
            self.wire = enter(self.port, self.options);
        }
        Outcome {
            answer: hash.finish(),
            left,
            ..outcome
        }
    }

    fn converse(
        &mut self,
        text: &str,
        outcome: &mut Outcome,
        hash: &mut DefaultHasher,
    ) -> io::Result<u8> {
        self.wire.try_send(&wire::query(text))?;
        loop {
            let frame = self.wire.try_frame()?;
            let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?;
            match frame.tag {
                b'Z' => return Ok(frame.body[0]),
                b'G' => self.wire.try_send(&wire::message(b'f', b"no\0"))?,
                b'H' => outcome.is_told = true,
                b'E' if outcome.code.is_none() => outcome.code = Some(frame.code()),
                b'C' => outcome.tags.push(tag_of(&frame)),
                b'D' | b'd' => frame.body.hash(hash),
                // Columns' names and number; their tables' oids are the same on a standby.
                b'T' => frame.body.hash(hash),
                _ => {}
            }
        }
    }
}

/// Without its numbers.
fn tag_of(frame: &Frame) -> String {
    let told = frame.to_string();
    let words: Vec<&str> = told
        .split(' ')
        .filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    words.join(" ")
}

fn enter(port: u16, options: &str) -> Wire {
    let settings = [("options", options), ("application_name", "oracle")];
    Wire::login(port, DATABASE, &settings).unwrap_or_else(|refused| panic!("{refused:?}"))
}
