//! Makes a leased connection look like this client's own.
//!
//! The settings that it lacks go ahead of the request in the same write: a BEGIN, one SELECT of
//! `set_config` calls and a COMMIT, as Bind and Execute of statements of ours and without a Sync.
//! They are committed before the request begins; an error in them makes the backend skip
//! everything up to a Sync, a simple Query too, so no request ever runs without its settings.

use std::sync::Arc;

use super::{
    ledger::{Ledger, Reply},
    prepared::{Registry, Scope},
    role::Role,
    sabotage::{Part, without},
};
use crate::backend::{Connection, Statement};
use crate::protocol::{Parameters, frontend};

/// Not the session's own default, which may be SERIALIZABLE. Settings can be made in it, too, and
/// a standby takes no READ WRITE.
const BEGIN: &[u8] = b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
const COMMIT: &[u8] = b"COMMIT";
const CLIENT_ENCODING: &[u8] = b"client_encoding";
pub(super) const ROLE: &[u8] = b"role";
pub(super) const AUTHORIZATION: &[u8] = b"session_authorization";

/// A setting to be made; `None` takes it back to what the server would have at start-up.
pub type Setting<'a> = (&'a [u8], Option<&'a [u8]>);

/// Writes what makes `connection` wear `wanted`, and notes the replies that are ours.
/// Nothing is written when it wears that already.
pub fn adopt(
    connection: &mut Connection,
    wanted: &Arc<Parameters>,
    registry: &mut Registry,
    scope: Scope,
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) {
    let worn = Arc::clone(&connection.memory.wearing);
    if fits(&worn, wanted) || without(Part::Adopt) {
        return;
    }
    let encoding = encoding_of_values(connection, wanted);
    let worn = match &encoding {
        None => worn,
        Some(encoding) => {
            let mut worn = (*worn).clone();
            worn.set(CLIENT_ENCODING, encoding);
            Arc::new(worn)
        }
    };
    let settings = difference(&worn, wanted);
    if !settings.is_empty() {
        let mut guard = Guard {
            connection,
            registry,
            scope,
            ledger,
            out,
        };
        guard.run(BEGIN, &[]);
        if let Some(first) = &encoding {
            let (text, values) = assignment(&[(CLIENT_ENCODING, Some(first))], false);
            guard.run(&text, &values);
        }
        let (text, values) = assignment(&settings, false);
        guard.run(&text, &values);
        guard.run(COMMIT, &[]);
    }
    connection.memory.wearing = Arc::clone(wanted);
}

/// Has the connection forget what its sequences gave, whoever asked; `inside`: a transaction of the
/// client's is open.
pub fn discard_sequences(
    connection: &mut Connection,
    inside: bool,
    registry: &mut Registry,
    scope: Scope,
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) {
    let mut guard = Guard {
        connection,
        registry,
        scope,
        ledger,
        out,
    };
    // What comes next may be of those that must be first in a transaction.
    let brackets: [&[u8]; 2] = [BEGIN, COMMIT];
    let [begin, commit] = brackets.map(|text| Some(text).filter(|_| !inside));
    for text in [begin, Some(b"DISCARD SEQUENCES"), commit]
        .into_iter()
        .flatten()
    {
        guard.run(text, &[]);
    }
}

/// The server reads the values of a start-up packet as they are, in its own encoding, whatever
/// `client_encoding` says. The encoding that the connection must have while it is given such
/// values, if it has another now.
fn encoding_of_values(connection: &Connection, wanted: &Parameters) -> Option<Vec<u8>> {
    let statuses = &connection.statuses;
    let own = statuses.get(b"server_encoding")?;
    let plain = wanted.iter().all(|(_, value)| value.is_ascii());
    let same = statuses.get(CLIENT_ENCODING) == Some(own);
    (!plain && !same).then(|| own.to_owned())
}

/// Whether a connection that wears `worn` needs nothing to look like `wanted`.
#[inline]
pub fn fits(worn: &Arc<Parameters>, wanted: &Arc<Parameters>) -> bool {
    Arc::ptr_eq(worn, wanted) || worn == wanted
}

/// What has to be set and what taken back, in an order in which one does not hinder the next:
/// identities off first and on last, then what could stop or garble the rest.
fn difference<'a>(worn: &'a Parameters, wanted: &'a Parameters) -> Vec<Setting<'a>> {
    let gone = worn.iter().filter(|(name, _)| wanted.get(name).is_none());
    let gone = gone.map(|(name, _)| (name, None));
    // Another authorization takes the role off.
    let takes_role_off = worn.get(AUTHORIZATION) != wanted.get(AUTHORIZATION);
    let new = wanted.iter().filter(|(name, value)| {
        worn.get(name) != Some(value) || takes_role_off && name.eq_ignore_ascii_case(ROLE)
    });
    let new = new.map(|(name, value)| (name, Some(value)));
    let mut settings: Vec<Setting<'_>> = Vec::new();
    for (name, value) in gone.chain(new) {
        let leaves_a_trace = is_identity(name) || is_relative(name);
        if value.is_some() && leaves_a_trace && worn.get(name).is_some() {
            settings.push((name, None));
        }
        settings.push((name, value));
    }
    settings.sort_by_key(|(name, value)| rank(name, value.is_some()));
    settings
}

/// Whether it is who the session acts as. RESET ALL leaves that as it is.
pub fn is_identity(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(ROLE) || name.eq_ignore_ascii_case(AUTHORIZATION)
}

/// These settings, but the identities of others.
pub fn with_identities_of(mut settings: Parameters, others: &Parameters) -> Parameters {
    for (name, value) in others.iter().filter(|(name, _)| is_identity(name)) {
        settings.set(name, value);
    }
    settings
}

/// A DateStyle that says half of it keeps the other half: `SQL` after `German` is `SQL, DMY`.
fn is_relative(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"datestyle")
}

fn rank(name: &[u8], on: bool) -> u8 {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match on {
        false if is(ROLE) => 0,
        false if is(AUTHORIZATION) => 1,
        true if is(AUTHORIZATION) => 5,
        true if is(ROLE) => 6,
        _ if is(b"statement_timeout") => 2,
        _ if is(CLIENT_ENCODING) => 3,
        _ => 4,
    }
}

pub type Values<'a> = Vec<Option<&'a [u8]>>;

/// One SELECT that makes all settings, up to the end of the transaction if they are `local`, and
/// its parameters.
pub fn assignment<'a>(settings: &[Setting<'a>], local: bool) -> (Vec<u8>, Values<'a>) {
    let mut text = String::from("SELECT ");
    let mut values = Vec::with_capacity(2 * settings.len());
    for (at, (name, value)) in settings.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let (first, second) = (2 * at + 1, 2 * at + 2);
        text.push_str(&format!(
            "{comma}pg_catalog.set_config(${first}, ${second}, {local})"
        ));
        values.extend([Some(*name), *value]);
    }
    (text.into_bytes(), values)
}

/// Runs commands of ours ahead of a request.
pub struct Guard<'a> {
    pub connection: &'a mut Connection,
    pub registry: &'a mut Registry,
    pub scope: Scope,
    pub ledger: &'a mut Ledger,
    pub out: &'a mut Vec<u8>,
}

impl Guard<'_> {
    /// Runs these in a transaction that is committed before the request begins.
    pub fn run_all(&mut self, texts: &[Vec<u8>]) {
        self.run(BEGIN, &[]);
        for text in texts {
            self.run(text, &[]);
        }
        self.run(COMMIT, &[]);
    }

    fn run(&mut self, text: &[u8], values: &[Option<&[u8]>]) {
        let statement = self
            .registry
            .statement(self.scope, &frontend::parse_rest(text));
        supply(
            self.connection,
            &statement,
            self.ledger,
            self.out,
            Role::Guards,
        );
        frontend::put_bind_text(self.out, &statement.name, values);
        self.ledger.owe(Reply::Bind, Role::Guards);
        frontend::put_execute(self.out);
        self.ledger.owe(Reply::Execute, Role::Guards);
    }
}

/// Writes a Parse of `statement` unless the connection has it.
pub fn supply(
    connection: &mut Connection,
    statement: &Arc<Statement>,
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
    role: impl Into<Role>,
) {
    if !connection.memory.has(statement.id) {
        if connection.memory.take_from_litter(&statement.name) {
            frontend::put_close_statement(out, &statement.name);
            ledger.owe(Reply::Close, Role::Ours);
        }
        frontend::put_parse(out, &statement.name, &statement.parse_rest());
        ledger.owe(Reply::Parse, role);
        connection.memory.add(statement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.set(name.as_bytes(), value.as_bytes());
        }
        parameters
    }

    #[test]
    fn only_what_differs_is_set_and_what_is_not_wanted_is_taken_back() {
        let worn = parameters(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let wanted = parameters(&[("b", "2"), ("c", "4"), ("d", "5")]);
        let settings = difference(&worn, &wanted);
        let expected: [Setting<'_>; 3] = [(b"a", None), (b"c", Some(b"4")), (b"d", Some(b"5"))];
        assert_eq!(settings, expected);
    }

    #[test]
    fn identities_go_off_first_and_on_last() {
        let worn = parameters(&[("role", "x"), ("application_name", "a")]);
        let wanted = parameters(&[
            ("role", "y"),
            ("client_encoding", "LATIN1"),
            ("work_mem", "1MB"),
        ]);
        let names: Vec<_> = difference(&worn, &wanted)
            .iter()
            .map(|(name, value)| (*name, value.is_some()))
            .collect();
        let expected: [(&[u8], bool); 5] = [
            (b"role", false),
            (b"client_encoding", true),
            (b"application_name", false),
            (b"work_mem", true),
            (b"role", true),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_role_is_put_on_again_after_another_authorization() {
        let plain = parameters(&[("role", "x")]);
        let other = parameters(&[("role", "x"), ("session_authorization", "y")]);
        let role: [Setting<'_>; 2] = [(b"role", None), (b"role", Some(b"x"))];
        let (on, off) = (Some(&b"y"[..]), None);
        for (worn, wanted, value) in [(&plain, &other, on), (&other, &plain, off)] {
            let settings = difference(worn, wanted);
            assert_eq!(
                [settings.first(), settings.last()],
                role.each_ref().map(Some)
            );
            assert!(settings.contains(&(b"session_authorization", value)));
        }
    }

    #[test]
    fn half_a_date_style_is_not_put_on_another() {
        let worn = parameters(&[("DateStyle", "German")]);
        let wanted = parameters(&[("datestyle", "SQL")]);
        let settings = difference(&worn, &wanted);
        let expected: [Setting<'_>; 2] = [(b"datestyle", None), (b"datestyle", Some(b"SQL"))];
        assert_eq!(settings, expected);
    }

    #[test]
    fn settings_are_parameters_and_never_part_of_the_text() {
        let (text, values) = assignment(&[(b"a'b", Some(b"v'; drop")), (b"c", None)], false);
        assert_eq!(
            text,
            b"SELECT pg_catalog.set_config($1, $2, false), pg_catalog.set_config($3, $4, false)"
        );
        assert_eq!(values.len(), 4);
    }
}
