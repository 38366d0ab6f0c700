//! What does the connection hold now that others must not meet? The backend is asked, out of the
//! client's way.
//!
//! A text does not say what a session is left with: a transaction may be rolled back, a lock
//! refused, a value put into its canonical form, a temporary table dropped at its commit. So
//! what a request touched is noted ([`Watch`]), and once the connection is at rest it is asked for
//! just that. Settings that it tells are the session's from then on, and go with it to whatever
//! connection it has next; what cannot go with it pins the session. Until the answer is here the
//! connection is the session's, and a request that comes meanwhile rides behind.

use std::sync::Arc;

use super::{
    Keep, Session,
    adopt::{self, AUTHORIZATION, ROLE},
    calls::{CODE, Reach},
    ledger::Reply,
    own,
    pin::{self, Cause, Reason},
    role::Role,
    sabotage::{Part, without},
};
use crate::protocol::{Parameters, backend, frontend};
use crate::sql::{self, Effect, Fingerprint, Kind, Reading, Touches, Value};

/// The value of each of the settings named, in the server's encoding and so in hexadecimal
/// digits, whatever the client's encoding cannot say.
const VALUES: &[u8] = b"SELECT n.n, pg_catalog.encode(pg_catalog.convert_to(\
    pg_catalog.current_setting(n.n, true), pg_catalog.getdatabaseencoding()), 'hex'), true \
    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS n(n)";

/// The same, and whether the session has set it; if asked for, also for all that it has set.
/// Reading that view costs the backend more than half a millisecond.
const SOURCES: &[u8] = b"SELECT n.n, pg_catalog.encode(pg_catalog.convert_to(\
    pg_catalog.current_setting(n.n, true), pg_catalog.getdatabaseencoding()), 'hex'), \
    coalesce(s.source OPERATOR(pg_catalog.=) 'session', true) \
    FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[]) \
    UNION SELECT pg_catalog.lower(o.name) FROM pg_catalog.pg_settings AS o \
    WHERE $2::pg_catalog.bool AND o.source OPERATOR(pg_catalog.=) 'session') AS n(n) \
    LEFT JOIN pg_catalog.pg_settings AS s \
    ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(n.n)";

/// What it listens to, in the client's encoding, in which the shared connection is told.
const CHANNELS: &[u8] = b"SELECT c FROM pg_catalog.pg_listening_channels() AS c";

/// Whether it has what only this connection can have, in the order of [`REASONS`].
const HOLDINGS: &[u8] = b"SELECT \
    EXISTS (SELECT FROM pg_catalog.pg_locks AS l \
    WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' \
    AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
    EXISTS (SELECT FROM pg_catalog.pg_depend AS d \
    WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
    AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
    EXISTS (SELECT FROM pg_catalog.pg_listening_channels()), \
    EXISTS (SELECT FROM pg_catalog.pg_cursors AS c WHERE c.is_holdable), \
    EXISTS (SELECT FROM pg_catalog.pg_prepared_statements AS p WHERE p.from_sql \
    AND p.name OPERATOR(pg_catalog.<>) ALL ($1::pg_catalog.text[]))";

pub(super) const REASONS: [Reason; 5] = [
    Reason::AdvisoryLock,
    Reason::TemporaryObject,
    Reason::Listen,
    Reason::HoldCursor,
    Reason::SqlPrepare,
];

/// What gives things of [`REASONS`], or takes them away.
const HELD: Touches = Touches::ADVISORY_LOCK
    .and(Touches::TEMP)
    .and(Touches::LISTEN)
    .and(Touches::CURSOR)
    .and(Touches::PREPARE);
const GIVEN_UP: Touches = Touches::ADVISORY_UNLOCK
    .and(Touches::UNLISTEN)
    .and(Touches::CLOSE)
    .and(Touches::DEALLOCATE)
    .and(Touches::DISCARD)
    .and(Touches::DDL);

/// Longer values are taken for no names: bytes.
const LONGEST_NAME: usize = 128;

/// What is to be asked.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Settings.
    names: Vec<Box<str>>,
    /// Any setting at all.
    any: bool,
    /// Some of them may have been taken back, not set.
    undone: bool,
    /// Anything of [`REASONS`].
    held: bool,
    /// What it listens to.
    channels: bool,
    /// What the session listened to before was not adopted there.
    bare: bool,
    /// The client has been told that some of it is done, and nothing undoes it any more.
    done: bool,
    texts: Texts,
    /// Settings that code may have made, which it names.
    guessed: Vec<Box<str>>,
    /// Functions whose code is to be asked for.
    unread: Vec<Box<[u8]>>,
}

/// What was touched, and by which texts: the first of each kind.
pub(super) type Texts = Vec<(Touches, Fingerprint)>;

/// Of these many the pins are told by; more are not to be kept for one transaction.
const TEXTS: usize = 8;

impl Watch {
    fn asks_settings(&self) -> bool {
        self.any || !self.names.is_empty() || !self.guessed.is_empty()
    }

    /// A request that is part of it has been answered.
    pub(super) fn answered(&mut self, status: backend::Status) {
        self.done |= self.held || status == backend::Status::Idle;
    }

    /// A statement failed: what it was to set is as it was before.
    pub(super) fn failed(&mut self) {
        self.undone = true;
    }

    /// Code may have made these settings.
    pub(super) fn guess(&mut self, reach: Reach) {
        // Whether one of the server's own is set tells the view of all of them alone.
        self.undone |= reach.inside.settings.iter().any(|name| !name.contains('.'));
        for name in reach.inside.settings {
            if !self.guessed.contains(&name) && !self.names.contains(&name) {
                self.guessed.push(name);
            }
        }
        self.unread.extend(reach.unread);
    }

    /// Whether this setting may come to be another.
    fn may_set(&self, name: &[u8]) -> bool {
        let mut names = self.names.iter().chain(&self.guessed);
        self.any || names.any(|one| one.as_bytes().eq_ignore_ascii_case(name))
    }

    fn note(&mut self, touches: Touches, text: &[u8]) {
        let known = self.texts.iter().any(|(noted, _)| *noted == touches);
        if !known
            && self.texts.len() < TEXTS
            && let Some(print) = pin::print(text)
        {
            self.texts.push((touches, print));
        }
    }

    /// Adds what can be the name of a setting of no module of the server's.
    fn add_custom(&mut self, name: &[u8]) {
        let part = |part: &[u8]| {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$".contains(byte);
            part.first().is_some_and(|first| !first.is_ascii_digit()) && part.iter().all(plain)
        };
        let is_name = name.contains(&b'.') && name.len() < LONGEST_NAME;
        if is_name
            && name.split(|byte| *byte == b'.').all(part)
            && let Ok(name) = std::str::from_utf8(name)
        {
            self.add(name);
        }
    }

    fn add(&mut self, name: &str) {
        // Whoever takes on another authorization has no role any more, the same one too.
        if name.as_bytes() == AUTHORIZATION {
            self.add("role");
        }
        self.guessed.retain(|one| **one != *name);
        if !self.names.iter().any(|one| **one == *name) {
            self.names.push(name.into());
        }
    }
}

/// A question that has been asked, and what has been answered so far.
#[derive(Debug)]
pub struct Looking {
    pub(super) about: About,
    pub(super) rows: Vec<Row>,
    /// A row was too long to be kept.
    pub(super) lost: bool,
    pub(super) texts: Texts,
    /// Settings that were asked for on suspicion.
    pub(super) guessed: Vec<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    Settings,
    Holdings,
    /// `bare`: what the session listened to before was not adopted there.
    Channels {
        bare: bool,
    },
    /// A step of handing over what it listens to; nothing is asked.
    Handing,
    /// The code of these functions.
    Code(Vec<Box<[u8]>>),
}

pub(super) type Row = Vec<Option<Vec<u8>>>;

impl Looking {
    fn new(about: About, texts: Texts) -> Self {
        Self {
            about,
            rows: Vec::new(),
            lost: false,
            texts,
            guessed: Vec::new(),
        }
    }

    /// Not a question, but a step of handing over what the connection listens to.
    pub fn at_channels() -> Self {
        Self::new(About::Handing, Texts::new())
    }

    /// The text that is the likeliest to have left it.
    pub(super) fn cause(&self, reason: Reason) -> Cause {
        let touches = pin::touches(reason);
        let named = self.texts.iter().find(|(noted, _)| noted.any(touches));
        let print = named.or(self.texts.first()).map(|(_, print)| *print);
        Cause { reason, print }
    }

    /// Keeps the body of a DataRow; `None`: it is too long.
    pub fn see(&mut self, body: Option<&[u8]>) {
        let row = body.and_then(backend::row);
        let own = |value: Option<&[u8]>| value.map(<[u8]>::to_owned);
        match row {
            Some(row) => self.rows.push(row.into_iter().map(own).collect()),
            None => self.lost = true,
        }
    }
}

impl Session {
    /// Notes what has to be asked once this text has run.
    pub(super) fn watch(&mut self, reading: &Reading, text: &[u8]) {
        let touches = reading.touches;
        let shared = self.flow.keep == Keep::No;
        let settings = touches.any(Touches::SETTING.and(Touches::RESET_ALL))
            && !(shared && self.takes_back_nothing(reading, text));
        let runs_code = touches.any(Touches::CALL.and(Touches::FUNCTION));
        let reach = match runs_code {
            true => self.reach(reading, text),
            false => Reach::default(),
        };
        let inside = &reach.inside;
        let unread = inside.is_dark || inside.sets_any;
        let made = unread || !inside.settings.is_empty();
        let listening = self.listening.is_some();
        let channels = touches.any(Touches::LISTEN)
            || inside.is_dark
            || inside.touches.any(Touches::LISTEN)
            || (listening || !shared)
                && (runs_code || touches.any(Touches::UNLISTEN.and(Touches::DISCARD)));
        let held = touches.any(HELD) || inside.is_dark || inside.touches.any(HELD) || channels;
        let held = held || !shared && (touches.any(GIVEN_UP) || runs_code);
        if let Some(reason) = pin::hard_of(inside.touches) {
            self.pin(Cause::of(reason, text));
        }
        // Settings are asked for even where nothing else can come of it: RESET ALL may take them
        // back, and DISCARD ALL the pin.
        let (asks_in_vain, stays) = match self.flow.keep {
            Keep::Session | Keep::Pinned(Reason::Startup) => (true, true),
            Keep::Pinned(reason) => (false, reason.is_hard() && !listening),
            Keep::No | Keep::Unsettled => (false, false),
        };
        let (held, channels) = (held && !stays, channels && !stays);
        if asks_in_vain || !(settings || held || made) || without(Part::Look) {
            return;
        }
        let mut watch = self.flow.watch.take().unwrap_or_default();
        watch.held |= held;
        watch.channels |= channels;
        watch.bare |= channels && listening && !self.flow.listens;
        watch.any |= unread;
        watch.guess(reach);
        if unread {
            // What its code names is as good as any.
            text.split(|byte| !(byte.is_ascii_alphanumeric() || b"_$.".contains(byte)))
                .for_each(|word| watch.add_custom(word));
        }
        watch.note(touches, text);
        watch.undone |= reading.count > 1 || self.flow.status != backend::Status::Idle;
        if settings {
            Self::watch_settings(&mut watch, text);
            // Whatever it was that the reading saw: nobody else is to meet it.
            watch.any |= !watch.asks_settings();
        }
        if !(watch.held || watch.asks_settings()) {
            return;
        }
        // Where the next request goes may hang on it.
        self.flow.resetting |= self.way.is_some()
            && self.identity.start.get(own::ROUTE).is_some()
            && watch.may_set(own::ROUTE);
        self.flow.watch = Some(watch);
        self.unsettle();
    }

    /// A value of a Bind may name what is set. The server does not show an extension's settings
    /// among all others, so those are asked for by name.
    pub(super) fn watch_values(&mut self, rest: &[u8]) {
        if let Some(watch) = &mut self.flow.watch {
            for value in frontend::bind_values(rest) {
                watch.add_custom(value);
            }
        }
    }

    /// Whether it takes back what nobody has set, or what is taken back here alone.
    fn takes_back_nothing(&self, reading: &Reading, text: &[u8]) -> bool {
        if reading.touches.any(Touches::SETTING) {
            let Kind::Reset(what) = reading.first else {
                return false;
            };
            let name = what.setting(text).filter(|_| reading.count == 1);
            let is_set = |name: &[u8]| self.identity.parameters.get(name).is_some();
            return name
                .is_some_and(|name| !(is_set(&name) || *name == *AUTHORIZATION && is_set(ROLE)));
        }
        match reading.count {
            1 => self.resets_here(),
            _ => self.has_set_nothing(),
        }
    }

    /// Whether the session's settings are those of its start-up.
    pub(super) fn has_set_nothing(&self) -> bool {
        Arc::ptr_eq(&self.identity.parameters, &self.identity.start)
    }

    fn watch_settings(watch: &mut Watch, text: &[u8]) {
        for statement in sql::statements(text) {
            watch.undone |= matches!(
                statement.kind,
                Kind::Reset(_)
                    | Kind::ResetAll
                    | Kind::Set {
                        value: Value::Default | Value::Current,
                        ..
                    }
            );
        }
        for effect in sql::find(text).effects {
            match effect {
                Effect::Set(name) if &*name == "all" => watch.any = true,
                Effect::Set(name) => watch.add(&name),
                Effect::Anything => watch.any = true,
                Effect::SetLocal(_)
                | Effect::Temp
                | Effect::AdvisoryLock
                | Effect::Listen
                | Effect::Prepare(_)
                | Effect::CursorHold
                | Effect::Sequence => {}
            }
        }
    }

    /// Whether the session may go on without its connection: nothing is lost with it that the
    /// client was told of.
    pub(super) fn may_outlive(&self) -> bool {
        match self.flow.keep {
            Keep::No => self
                .listening
                .as_ref()
                .is_none_or(|one| one.fresh.is_empty()),
            Keep::Unsettled => {
                let watch = self.flow.watch.as_ref();
                watch.is_some_and(|watch| !watch.done) && !self.ledger.is_looking()
            }
            Keep::Session | Keep::Pinned(_) => false,
        }
    }

    /// What the connection has of the session is not known.
    pub(super) fn unsettle(&mut self) {
        if self.flow.keep == Keep::No {
            self.flow.keep = Keep::Unsettled;
        }
    }

    /// Whatever there may be is to be asked for.
    pub(super) fn watch_everything(&mut self) {
        if self.flow.keep != Keep::Session {
            self.flow.watch = Some(Box::new(Watch {
                any: true,
                held: true,
                ..Watch::default()
            }));
        }
    }

    /// What keeps the session is to be asked for anew.
    pub(super) fn watch_held(&mut self) {
        self.flow.watch.get_or_insert_default().held = true;
    }

    /// Whether what comes next has to wait until the settings of the start-up can be put on again.
    pub(super) fn is_resetting(&self) -> bool {
        let owed = !self.ledger.is_empty();
        let asks = self.flow.watch.is_some() && self.flow.status == backend::Status::Idle;
        self.flow.resetting && !self.ledger.is_open() && (owed || asks)
    }

    /// Whether the connection is to be asked now; it is at rest.
    pub(super) fn must_look(&self) -> bool {
        self.flow.watch.is_some() && self.lease.is_some() && self.is_idle()
    }

    /// Writes the questions, and notes whose the answers are.
    pub(super) fn ask_holdings(&mut self, out: &mut Vec<u8>) {
        let Some(mut watch) = self.flow.watch.take() else {
            return;
        };
        let names = array(&watch.names(&self.identity.parameters));
        let any: &[u8] = if watch.any { b"t" } else { b"f" };
        let texts = std::mem::take(&mut watch.texts);
        let looking = |about| Looking::new(about, texts.clone());
        if watch.asks_settings() {
            let mut settings = looking(About::Settings);
            settings.guessed = std::mem::take(&mut watch.guessed);
            match watch.undone || watch.any {
                true => self.ask(SOURCES, &[Some(&*names), Some(any)], settings, out),
                false => self.ask(VALUES, &[Some(&*names)], settings, out),
            }
        }
        if watch.channels {
            let about = About::Channels { bare: watch.bare };
            self.ask(CHANNELS, &[], looking(about), out);
        }
        if watch.held {
            // Those that go along with their sessions.
            let own = self.lease.iter().flat_map(|lease| lease.memory.own_names());
            let own = array(&own.map(<[u8]>::to_owned).collect::<Vec<_>>());
            self.ask(HOLDINGS, &[Some(&own)], looking(About::Holdings), out);
        }
        if !watch.unread.is_empty() {
            let names: Vec<Vec<u8>> = watch.unread.iter().map(|name| name.to_vec()).collect();
            let code = looking(About::Code(watch.unread));
            self.ask(CODE, &[Some(&array(&names))], code, out);
        }
        out.extend_from_slice(frontend::SYNC);
        self.ledger.owe(Reply::Sync, Role::Ours);
    }

    /// Runs a statement of ours, in a batch of ours.
    pub(super) fn ask(
        &mut self,
        text: &[u8],
        values: &[Option<&[u8]>],
        looking: Looking,
        out: &mut Vec<u8>,
    ) {
        let Some(lease) = &mut self.lease else { return };
        let mut registry = self.shared.registry.borrow_mut();
        let text = frontend::parse_rest(text);
        let statement = registry.statement(self.identity.scope, &text);
        let ledger = &mut self.ledger;
        adopt::supply(lease, &statement, ledger, out, Role::Looks(None));
        frontend::put_bind_text(out, &statement.name, values);
        ledger.owe(Reply::Bind, Role::Looks(None));
        frontend::put_execute(out);
        let role = Role::Looks(Some(Box::new(looking)));
        ledger.owe(Reply::Execute, role);
    }
}

impl Watch {
    /// What is asked by name. Not every setting is in the view of all: identities and those of
    /// extensions are not.
    fn names(&self, wanted: &Parameters) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self
            .names
            .iter()
            .chain(&self.guessed)
            .map(|name| name.as_bytes().to_vec())
            .collect();
        if self.any {
            let known = wanted.iter().map(|(name, _)| name.to_ascii_lowercase());
            let hidden = [ROLE, AUTHORIZATION];
            for name in known.chain(hidden.map(<[u8]>::to_vec)) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

/// As the server reads an array.
fn array(names: &[Vec<u8>]) -> Vec<u8> {
    let quote = |name: &Vec<u8>| {
        let escaped = name.iter().flat_map(|&byte| match byte {
            b'"' | b'\\' => vec![b'\\', byte],
            other => vec![other],
        });
        [vec![b'"'], escaped.collect(), vec![b'"']].concat()
    };
    let names: Vec<Vec<u8>> = names.iter().map(quote).collect();
    [&b"{"[..], &names.join(&b','), b"}"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_the_server_reads_an_array() {
        let names = [b"work_mem".to_vec(), b"a.\"b\\".to_vec()];
        assert_eq!(array(&names), br#"{"work_mem","a.\"b\\"}"#);
    }
}
