//! The other clients of the pool: between two steps of a conversation they take all connections
//! that are free, so that the next step is served by another one than the last.
//!
//! They come with other start-up settings, other statements under the names that conversations
//! use, and leave the connections as any client may.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{Frame, Wire, again, bind, execute, flush, parse, query, said, sync, unnamed};

/// Connections in the pool: two clients of a conversation, and one that is kept from them.
pub const POOL: usize = 3;

/// Names that conversations are fond of.
const NAMES: &[&str] = &["s", "s1", "s2", "one", "two", "mine"];

/// What each wears.
const WEAR: [&[(&str, &str)]; POOL] = [
    &[
        ("application_name", "crowd"),
        ("DateStyle", "German"),
        ("client_encoding", "LATIN1"),
        ("search_path", "nowhere, pg_catalog"),
    ],
    &[
        ("TimeZone", "Asia/Tokyo"),
        ("extra_float_digits", "0"),
        ("IntervalStyle", "iso_8601"),
    ],
    &[
        ("options", "-c statement_timeout=90s -c bytea_output=escape"),
        ("standard_conforming_strings", "off"),
        ("default_transaction_isolation", "repeatable read"),
    ],
];

/// Tells a backend's process id in words that nobody reads anything into.
const WHO: &str = "select public.crowd_who()";

pub struct Crowd {
    members: Vec<Member>,
    observer: Wire,
    database: String,
    /// When each backend last changed what it does.
    before: BTreeMap<i32, String>,
}

struct Member {
    wire: Wire,
    /// The connection that it holds.
    holds: Option<i32>,
    /// How it holds it.
    by: Holding,
}

/// How the crowd's clients hold connections.
#[derive(Clone, Copy, PartialEq)]
pub enum Holding {
    /// Transactions and statements with names.
    Transactions,
    /// Batches without their Sync, where there are no transactions.
    Batches,
    /// Transactions of simple queries, where there are no statements with names.
    Queries,
}

impl Crowd {
    /// Clients at the port of a pool of [`POOL`], seen by a connection past it.
    pub fn gather(port: u16, upstream: u16, database: &str, holding: Holding) -> Self {
        let mut maker = Wire::login(upstream, database, &[]).unwrap();
        maker.run(
            "create or replace function public.crowd_who() returns int language plpgsql as \
             $$ begin return pg_backend_pid(); end $$",
        );
        let member = |wear: &&[(&str, &str)]| {
            let mut wire = Wire::login(port, database, wear).unwrap();
            if holding != Holding::Queries {
                for name in NAMES {
                    let text = format!("select 'the crowd''s {name}'");
                    wire.ask(&[parse(name, &text), sync()]);
                }
                wire.ask(&[parse("who", WHO), sync()]);
            }
            Member {
                wire,
                holds: None,
                by: holding,
            }
        };
        let mut members: Vec<Member> = WEAR.iter().map(member).collect();
        if holding == Holding::Transactions {
            members[1].by = Holding::Batches;
        }
        Self {
            members,
            observer: Wire::login(upstream, "postgres", &[]).unwrap(),
            database: database.to_owned(),
            before: BTreeMap::new(),
        }
    }

    /// Takes all connections that are free, `busy` being in use, and gives back all but one: one
    /// of those that the next client had last.
    pub fn come(&mut self, busy: usize, latest: &BTreeSet<i32>) {
        self.step_back();
        let free = POOL.saturating_sub(busy);
        for member in self.members.iter_mut().take(free) {
            member.take();
        }
        let mut kept = false;
        for member in &mut self.members {
            let has = member.holds.is_some_and(|pid| latest.contains(&pid));
            if has && !kept {
                kept = true;
            } else {
                member.give_back();
            }
        }
        // Who comes first takes what was given back first, or last: not always the same.
        self.members.rotate_left(1);
        self.before = self.look();
    }

    /// Gives everything back.
    pub fn step_back(&mut self) {
        for member in &mut self.members {
            member.give_back();
        }
    }

    /// The backends that did anything since the crowd came.
    pub fn served(&mut self) -> BTreeSet<i32> {
        let now = self.look();
        let moved = now
            .iter()
            .filter(|(pid, when)| self.before.get(pid) != Some(when));
        let moved = moved.map(|(pid, _)| *pid).collect();
        self.before = now;
        moved
    }

    fn look(&mut self) -> BTreeMap<i32, String> {
        let database = &self.database;
        let seen = self.observer.value(&format!(
            "select string_agg(pid || ' ' || extract(epoch from state_change), ',') \
             from pg_stat_activity where datname = '{database}' \
             and backend_type = 'client backend' and application_name <> 'direct'"
        ));
        let one = |entry: &str| {
            let (pid, when) = entry.split_once(' ')?;
            Some((pid.parse().unwrap(), when.to_owned()))
        };
        seen.split(',').filter_map(one).collect()
    }
}

/// Somebody comes, leaves as much behind as one can, and goes without a word of thanks.
pub fn pass_through(port: u16, database: &str) {
    for (number, wear) in WEAR.iter().enumerate() {
        let mut wire = Wire::login(port, database, wear).unwrap();
        for name in NAMES {
            wire.ask(&[parse(name, &format!("select 'left {name}'")), sync()]);
        }
        wire.query("set datestyle = 'German'; set search_path = left_behind; set work_mem = '9MB'");
        wire.query("create temp table mine (a int); create temp table left_behind (a int)");
        wire.query("listen here; listen silence; select pg_try_advisory_lock(4711)");
        wire.query("begin; declare c cursor with hold for select 1; commit");
        wire.ask(&[parse("", "select 'left unnamed'"), sync()]);
        if number == 0 {
            wire.query("begin; select 1");
        }
    }
}

impl Member {
    fn take(&mut self) {
        let heard = match self.by {
            Holding::Transactions => self.speak(
                &[
                    query("begin"),
                    again("who", &[]),
                    parse("", "select 'the crowd''s own'"),
                    sync(),
                    again("s", &[]),
                    bind("p", "one", &[]),
                    sync(),
                ],
                (b'Z', 3),
            ),
            Holding::Batches => self.speak(
                &[
                    again("who", &[]),
                    unnamed("select 'the crowd'", &[]),
                    flush(),
                ],
                (b'C', 2),
            ),
            Holding::Queries => self.speak(&[query("begin"), query(WHO)], (b'Z', 2)),
        };
        let row = heard.iter().find(|frame| frame.tag == b'D');
        let said = row.map(ToString::to_string).unwrap_or_default();
        let pid = said.strip_prefix("row ").and_then(|pid| pid.parse().ok());
        self.holds = Some(pid.unwrap_or_else(|| panic!("a client of the crowd: {heard:?}")));
    }

    fn give_back(&mut self) {
        if self.holds.take().is_none() {
            return;
        }
        let heard = match self.by {
            Holding::Transactions | Holding::Queries => self.wire.query("commit"),
            Holding::Batches => self
                .wire
                .ask(&[bind("", "mine", &[]), execute("", 0), sync()]),
        };
        let right = match self.by {
            Holding::Transactions | Holding::Queries => &["COMMIT", "ready I"][..],
            Holding::Batches => &["bound", "row the crowd's mine", "SELECT 1", "ready I"],
        };
        assert_eq!(said(&heard), right, "{heard:?}");
    }

    /// Says something and hears everything up to so many messages of a kind.
    fn speak(&mut self, messages: &[Vec<u8>], (tag, count): (u8, usize)) -> Vec<Frame> {
        self.wire.send(&messages.concat());
        (0..count).flat_map(|_| self.wire.until(tag)).collect()
    }
}
