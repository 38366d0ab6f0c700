//! What does the connection hold now that others must not meet? The backend is asked, out of the
//! client's way.
//!
//! A text does not say what a session is left with: a transaction may be rolled back, a lock
//! refused, a value put into its canonical form, a temporary table dropped at its commit. So
//! what a request touched is noted ([`Watch`]), and once the connection is at rest it is asked for
//! just that. Settings that it tells are the session's from then on, and go with it to whatever
//! connection it has next; what cannot go with it pins the session. Until the answer is here the
//! connection is the session's, and a request that comes meanwhile rides behind.

use std::{rc::Rc, sync::Arc};

use super::{
    Keep, Session,
    adopt::{self, AUTHORIZATION, ROLE},
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

const REASONS: [Reason; 5] = [
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
}

/// What was touched, and by which texts: the first of each kind.
type Texts = Vec<(Touches, Fingerprint)>;

/// Of these many the pins are told by; more are not to be kept for one transaction.
const TEXTS: usize = 8;

impl Watch {
    fn asks_settings(&self) -> bool {
        self.any || !self.names.is_empty()
    }

    /// A request that is part of it has been answered.
    pub(super) fn answered(&mut self, status: backend::Status) {
        self.done |= self.held || status == backend::Status::Idle;
    }

    /// A statement failed: what it was to set is as it was before.
    pub(super) fn failed(&mut self) {
        self.undone = true;
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
        if !self.names.iter().any(|one| **one == *name) {
            self.names.push(name.into());
        }
    }
}

/// A question that has been asked, and what has been answered so far.
#[derive(Debug)]
pub struct Looking {
    about: About,
    rows: Vec<Row>,
    /// A row was too long to be kept.
    lost: bool,
    texts: Texts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Settings,
    Holdings,
    /// `bare`: what the session listened to before was not adopted there.
    Channels {
        bare: bool,
    },
    /// A step of handing over what it listens to; nothing is asked.
    Handing,
}

type Row = Vec<Option<Vec<u8>>>;

impl Looking {
    fn new(about: About, texts: Texts) -> Self {
        Self {
            about,
            rows: Vec::new(),
            lost: false,
            texts,
        }
    }

    /// Not a question, but a step of handing over what the connection listens to.
    pub fn at_channels() -> Self {
        Self::new(About::Handing, Texts::new())
    }

    /// The text that is the likeliest to have left it.
    fn cause(&self, reason: Reason) -> Cause {
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
        let code = touches.any(Touches::CALL);
        let listening = self.listening.is_some();
        let channels = touches.any(Touches::LISTEN)
            || code
            || (listening || !shared) && touches.any(Touches::UNLISTEN.and(Touches::DISCARD));
        let held = touches.any(HELD) || code || channels || !shared && touches.any(GIVEN_UP);
        // Settings are asked for even where nothing else can come of it: RESET ALL may take them
        // back, and DISCARD ALL the pin.
        let (asks_in_vain, stays) = match self.flow.keep {
            Keep::Session | Keep::Pinned(Reason::Startup) => (true, true),
            Keep::Pinned(reason) => (false, reason.is_hard() && !listening),
            Keep::No | Keep::Unsettled => (false, false),
        };
        let (held, channels) = (held && !stays, channels && !stays);
        if asks_in_vain || !(settings || held) || without(Part::Look) {
            return;
        }
        let mut watch = self.flow.watch.take().unwrap_or_default();
        watch.held |= held;
        watch.channels |= channels;
        watch.bare |= channels && listening && !self.flow.listens;
        watch.any |= code;
        if code {
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
        self.flow.watch = Some(watch);
        if shared {
            self.flow.keep = Keep::Unsettled;
        }
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
        let Some(watch) = self.flow.watch.take() else {
            return;
        };
        let names = array(&watch.names(&self.identity.parameters));
        let any: &[u8] = if watch.any { b"t" } else { b"f" };
        if watch.asks_settings() {
            match watch.undone || watch.any {
                true => {
                    let values = [Some(&*names), Some(any)];
                    let looking = Looking::new(About::Settings, watch.texts.clone());
                    self.ask(SOURCES, &values, looking, out);
                }
                false => {
                    let looking = Looking::new(About::Settings, watch.texts.clone());
                    self.ask(VALUES, &[Some(&*names)], looking, out);
                }
            }
        }
        if watch.channels {
            let about = About::Channels { bare: watch.bare };
            let looking = Looking::new(about, watch.texts.clone());
            self.ask(CHANNELS, &[], looking, out);
        }
        if watch.held {
            // Those that go along with their sessions.
            let own = self.lease.iter().flat_map(|lease| lease.memory.own_names());
            let own = array(&own.map(<[u8]>::to_owned).collect::<Vec<_>>());
            let looking = Looking::new(About::Holdings, watch.texts);
            self.ask(HOLDINGS, &[Some(&own)], looking, out);
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

    /// The answer to a question is complete.
    pub(super) fn saw(&mut self, looking: Looking) {
        match (looking.lost, looking.about) {
            (true, _) => self.saw_nothing(&looking),
            (false, About::Settings) => self.saw_settings(&looking),
            (false, About::Holdings) => self.saw_holdings(&looking),
            (false, About::Channels { bare }) => {
                let cause = looking.cause(Reason::Listen);
                let rows = looking.rows.into_iter();
                let names = rows.filter_map(|row| row.into_iter().next().flatten());
                let names = names.map(Vec::into_boxed_slice).collect();
                self.saw_channels(names, !bare, cause);
            }
            (false, About::Handing) => {}
        }
        let outstanding = self.flow.watch.is_some() || self.ledger.is_looking();
        self.flow.resetting &= outstanding;
        if self.flow.keep == Keep::Unsettled && !outstanding {
            self.flow.keep = Keep::No;
        }
    }

    /// It could not be answered: the session stays where what it has is.
    pub(super) fn saw_nothing(&mut self, looking: &Looking) {
        self.flow.resetting = false;
        let reason = match looking.about {
            About::Settings => Reason::Setting,
            About::Holdings => Reason::Unclear,
            About::Channels { .. } | About::Handing => Reason::Unclear,
        };
        self.pin(looking.cause(reason));
    }

    fn saw_settings(&mut self, looking: &Looking) {
        let Some(lease) = &mut self.lease else { return };
        let pool = Rc::clone(&self.pool);
        let user = &pool.key().user;
        let mut wanted = (*self.identity.parameters).clone();
        let mut worn = (*lease.memory.wearing).clone();
        let mut seeded = false;
        for row in &looking.rows {
            let [Some(name), value, set] = row.as_slice() else {
                continue;
            };
            // Nobody is told what it is.
            let is_seed = name.eq_ignore_ascii_case(b"seed");
            seeded |= is_seed;
            if is_seed || is_of_transaction(name) {
                continue;
            }
            let value = value.as_deref().and_then(unhex);
            // A custom setting that was taken back is not gone, but empty.
            let gone = |value: &[u8]| value.is_empty() && name.eq_ignore_ascii_case(own::ROUTE);
            let value = value.filter(|value| set.as_deref() == Some(b"t") && !gone(value));
            let plain = self.identity.start.get(name).is_none();
            match value.filter(|value| !(plain && is_nobody(name, value, user))) {
                Some(value) => {
                    wanted.set(name, &value);
                    worn.set(name, &value);
                }
                None if without(Part::TakeBack) => {}
                None => {
                    worn.remove(name);
                    match self.identity.start.get(name) {
                        Some(value) => wanted.set(name, value),
                        None => wanted.remove(name),
                    }
                }
            }
        }
        let wanted = self.become_of(wanted);
        self.names.settle(&wanted);
        if let Some(lease) = &mut self.lease {
            lease.memory.wearing = match worn == *wanted {
                true => wanted,
                false => Arc::new(worn),
            };
        }
        if seeded {
            self.pin(looking.cause(Reason::Seed));
        }
    }

    /// From here on every connection must wear these.
    pub(super) fn become_of(&mut self, wanted: Parameters) -> Arc<Parameters> {
        let start = &self.identity.start;
        let wanted = match wanted == **start {
            true => Arc::clone(start),
            false => Arc::new(wanted),
        };
        self.identity.scope = self.shared.registry.borrow_mut().scope(&wanted);
        self.identity.parameters = Arc::clone(&wanted);
        wanted
    }

    fn saw_holdings(&mut self, looking: &Looking) {
        let row = looking.rows.first().map(Vec::as_slice).unwrap_or_default();
        let held = row.iter().zip(REASONS);
        let held = held.filter(|(value, _)| value.as_deref() == Some(b"t"));
        let handed = self.listening.is_some();
        let held = held.map(|(_, reason)| reason);
        let held: Vec<Reason> = held
            .filter(|reason| *reason != Reason::Listen || !handed)
            .collect();
        match (held.first(), self.flow.keep) {
            (Some(&reason), Keep::Pinned(before)) if is_seen(before) => {
                if !held.contains(&before) {
                    self.pin_on(looking.cause(reason));
                }
            }
            (Some(&reason), _) => self.pin(looking.cause(reason)),
            (None, Keep::Pinned(reason)) if is_seen(reason) => self.unpin(),
            (None, _) => {}
        }
    }
}

/// Whether a look can tell that this is over.
pub(super) fn is_seen(reason: Reason) -> bool {
    REASONS.contains(&reason)
}

/// Whether it is the open transaction's, and every next one begins without it.
fn is_of_transaction(name: &[u8]) -> bool {
    let names: [&[u8]; 3] = [
        b"transaction_isolation",
        b"transaction_read_only",
        b"transaction_deferrable",
    ];
    names.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether the value of an identity is that of who has taken on none.
fn is_nobody(name: &[u8], value: &[u8], user: &[u8]) -> bool {
    name.eq_ignore_ascii_case(ROLE) && value == b"none"
        || name.eq_ignore_ascii_case(AUTHORIZATION) && value == user
}

impl Watch {
    /// What is asked by name. Not every setting is in the view of all: identities and those of
    /// extensions are not.
    fn names(&self, wanted: &Parameters) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self
            .names
            .iter()
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

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_the_bytes_that_they_are() {
        assert_eq!(unhex(b"4d61c39f00"), Some(b"Ma\xc3\x9f\0".to_vec()));
        assert_eq!(unhex(b""), Some(Vec::new()));
        assert_eq!(unhex(b"4"), None);
        assert_eq!(unhex(b"4g"), None);
    }

    #[test]
    fn names_are_quoted_as_the_server_reads_an_array() {
        let names = [b"work_mem".to_vec(), b"a.\"b\\".to_vec()];
        assert_eq!(array(&names), br#"{"work_mem","a.\"b\\"}"#);
    }
}
