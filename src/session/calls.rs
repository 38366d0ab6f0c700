//! What do functions of the database's users do to the session that calls them?
//!
//! The text that calls one does not say. So their code is asked for, once by name, on the
//! connection that they ran on, and looked through: what does nothing to the session is passed
//! over from then on, what names the settings that it makes is asked for just those, and what
//! cannot be read may have done anything. Until the code is known, so may every function.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use super::{Session, verdicts::Spelling};
use crate::sql::{self, Class, Inside, Kind, Reading, Strings, Touches};

/// The code of functions, by their names: whatever schema they are in, and whatever overload is
/// meant. What an extension has in C is taken for harmless, what others have is not; a text too
/// long to be sent is not read.
pub(super) const CODE: &[u8] = b"SELECT pg_catalog.encode(pg_catalog.convert_to(\
    p.proname::pg_catalog.text, pg_catalog.getdatabaseencoding()), 'hex'), \
    CASE WHEN p.prokind OPERATOR(pg_catalog.=) 'a' THEN '' \
    WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{c,internal}') AND EXISTS (\
    SELECT FROM pg_catalog.pg_depend AS d \
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e') THEN '' \
    WHEN l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}') \
    AND pg_catalog.octet_length(p.prosrc) OPERATOR(pg_catalog.<) 6000 \
    THEN pg_catalog.encode(pg_catalog.convert_to(\
    coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc), \
    pg_catalog.getdatabaseencoding()), 'hex') END \
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_language AS l \
    ON l.oid OPERATOR(pg_catalog.=) p.prolang \
    WHERE p.proname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[]) \
    AND p.pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace";

/// How long what was read is believed: somebody else may change it.
const BELIEVED: Duration = Duration::from_secs(10);
/// Texts and names that are remembered, each.
const REMEMBERED: usize = 5_000;

/// What is known of the functions that clients of one pool call.
#[derive(Debug, Default)]
pub struct Calls {
    /// What texts call, by their fingerprint and its length.
    texts: HashMap<(u64, usize), Rc<Called>>,
    code: HashMap<Box<[u8]>, Code>,
}

#[derive(Debug)]
struct Code {
    inside: Inside,
    asked: Instant,
}

/// What a text calls that is not the server's own.
#[derive(Debug)]
enum Called {
    These(BTreeSet<Box<[u8]>>),
    /// It is not understood.
    Anything,
}

/// What calls may have done to the session.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub inside: Inside,
    /// Functions whose code is to be asked for.
    pub unread: Vec<Box<[u8]>>,
}

impl Calls {
    fn called(&mut self, text: &[u8]) -> Rc<Called> {
        let print = sql::fingerprint(text, Strings::Standard, 0).filter(|print| print.is_sound);
        let Some(print) = print else {
            return Rc::new(Called::Anything);
        };
        let key = (print.fingerprint.bits(), print.length);
        if let Some(called) = self.texts.get(&key) {
            return Rc::clone(called);
        }
        let called = Rc::new(Called::of(text));
        if self.texts.len() >= REMEMBERED {
            self.texts.clear();
        }
        self.texts.insert(key, Rc::clone(&called));
        called
    }

    /// All that these functions may do, and those that they call.
    pub(super) fn reach(&self, names: &BTreeSet<Box<[u8]>>, now: Instant) -> Reach {
        let mut reach = Reach::default();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Box<[u8]>> = names.iter().collect();
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            let code = self.code.get(name);
            let code = code.filter(|code| now.saturating_duration_since(code.asked) < BELIEVED);
            match code {
                Some(code) => {
                    reach.inside.join(&code.inside);
                    open.extend(&code.inside.calls);
                }
                None => reach.unread.push(name.clone()),
            }
        }
        reach.inside.is_dark |= !reach.unread.is_empty();
        reach
    }

    /// What was asked for is known: rows of a name and its code. What has no row is no function
    /// of a user's.
    pub(super) fn learn(
        &mut self,
        asked: &[Box<[u8]>],
        rows: &[(Vec<u8>, Option<Vec<u8>>)],
        now: Instant,
    ) {
        if self.code.len() + asked.len() > REMEMBERED {
            self.code.clear();
        }
        for name in asked {
            let mut inside = Inside::default();
            for (_, body) in rows.iter().filter(|(one, _)| **one == **name) {
                match body {
                    Some(body) => inside.join(&sql::inside_body(body)),
                    None => inside.join(&Inside::dark()),
                }
            }
            self.code.insert(name.clone(), Code { inside, asked: now });
        }
    }

    /// Somebody has changed the schema.
    pub(super) fn forget(&mut self) {
        self.code.clear();
    }
}

impl Called {
    fn of(text: &[u8]) -> Self {
        let finding = sql::find(text);
        if finding.class == Class::Unknown {
            return Self::Anything;
        }
        let named = finding.functions.iter().chain(&finding.asides);
        let users = named.filter(|one| {
            let own = one
                .schema
                .as_deref()
                .is_none_or(|schema| schema == b"pg_catalog");
            !own || sql::builtin(&one.name).is_none()
        });
        Self::These(users.map(|one| one.name.clone()).collect())
    }
}

impl Session {
    /// What the code may have done that the text runs and does not show.
    pub(super) fn reach(&self, reading: &Reading, text: &[u8]) -> Reach {
        let dark = || Reach {
            inside: Inside::dark(),
            unread: Vec::new(),
        };
        if self.identity.spelling != Spelling::Standard {
            return dark();
        }
        let now = self.shared.clock.now();
        let mut calls = self.calls.borrow_mut();
        let mut reach = Reach::default();
        if reading.touches.any(Touches::CALL) {
            let code = sql::statements(text).filter(|one| one.kind == Kind::Do);
            for statement in code {
                reach.inside.join(&sql::inside_do(statement.span.of(text)));
            }
        }
        let mut names = std::mem::take(&mut reach.inside.calls);
        if reading.touches.any(Touches::FUNCTION) {
            match &*calls.called(text) {
                Called::These(these) => names.extend(these.iter().cloned()),
                Called::Anything => return dark(),
            }
        }
        let called = calls.reach(&names, now);
        reach.inside.join(&called.inside);
        reach.unread = called.unread;
        reach
    }
}

/// What the sessions of one pool share.
pub(super) type SharedCalls = Rc<RefCell<Calls>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<Box<[u8]>> {
        of.iter().map(|name| name.as_bytes().into()).collect()
    }

    #[test]
    fn code_is_asked_for_until_all_that_is_reached_is_known() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        let of = names(&["outer"]).into_iter().collect();
        let reach = calls.reach(&of, now);
        assert!(reach.inside.is_dark);
        assert_eq!(reach.unread, names(&["outer"]));
        let body = b"begin perform inner_one(); end".to_vec();
        calls.learn(&reach.unread, &[(b"outer".to_vec(), Some(body))], now);
        let reach = calls.reach(&of, now);
        assert_eq!(reach.unread, names(&["inner_one"]));
        let body = b"begin perform set_config('a.b', 'c', false); perform outer(); end".to_vec();
        calls.learn(&reach.unread, &[(b"inner_one".to_vec(), Some(body))], now);
        let reach = calls.reach(&of, now);
        assert!(reach.unread.is_empty() && !reach.inside.is_dark);
        assert_eq!(reach.inside.settings.len(), 1);
        // Only for a while.
        assert!(!calls.reach(&of, now + BELIEVED).unread.is_empty());
    }

    #[test]
    fn what_nobody_has_written_does_nothing_and_what_nobody_can_read_anything() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        calls.learn(&names(&["none", "c"]), &[(b"c".to_vec(), None)], now);
        let reach = |name: &str| calls.reach(&names(&[name]).into_iter().collect(), now);
        assert_eq!(reach("none").inside, Inside::default());
        assert!(reach("c").inside.is_dark);
    }

    #[test]
    fn what_a_text_calls_is_found_once_for_its_fingerprint() {
        let mut calls = Calls::default();
        let first = calls.called(b"select lower(a), app.f(1), pg_catalog.now()");
        assert!(matches!(&*first, Called::These(these) if these.len() == 1));
        assert!(Rc::ptr_eq(
            &first,
            &calls.called(b"select lower(a), app.f(2), pg_catalog.now()")
        ));
        assert!(matches!(&*calls.called(b"selekt f('"), Called::Anything));
    }
}
