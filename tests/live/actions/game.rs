//! A game: the same steps directly and through the ambassador, up to where the two part.

use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::{
    session::sabotage::{Part, VARIABLE},
    sql::{self, Touches},
};

use super::{
    seat::{Ear, Heard, Seat},
    step::{Act, CLIENTS, Step, WEAR},
};
use crate::{
    stage::{observer, shared_connections},
    support::{self, Served},
    talks,
    wire::{Frame, Wire, query, said},
};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nothing in a game waits for another: a lock that somebody has is an error soon.
const LOCKS: &str = "alter database :d set lock_timeout = '25ms'";

/// Where games are played: two databases, alike at the beginning of each.
pub struct Theatre {
    database: String,
    apart: String,
}

/// Where the two parted, and how.
pub struct Difference {
    /// The number of the step.
    pub at: usize,
    pub shown: String,
}

impl Difference {
    /// What it is about: where two have the same, one may be the other, made short.
    pub fn gist(&self) -> String {
        let (direct, through) = self.shown.split_once("  through\n").unwrap_or_default();
        let (mut direct, mut through) = (direct.lines().skip(1), through.lines());
        let gist = loop {
            match (direct.next(), through.next()) {
                (one, other) if one == other && one.is_some() => {}
                (one, other) => break format!("{one:?} {other:?}"),
            }
        };
        gist.chars()
            .filter(|letter| !letter.is_ascii_digit())
            .collect()
    }
}

impl Theatre {
    pub fn new() -> Self {
        static ROLES: OnceLock<()> = OnceLock::new();
        let cluster = support::cluster();
        ROLES.get_or_init(|| {
            support::psql(
                cluster.port(),
                "postgres",
                "create role reader; create role writer",
            );
        });
        let database = || {
            let name = support::database(cluster);
            support::psql(cluster.port(), "postgres", &LOCKS.replace(":d", &name));
            name
        };
        Self {
            database: database(),
            apart: database(),
        }
    }

    /// Where the two part in these steps, if they do.
    pub fn difference(&self, pool_size: usize, steps: &[Step]) -> Option<Difference> {
        self.difference_without(None, pool_size, steps)
    }

    /// The same, where the ambassador leaves a part undone.
    pub fn difference_without(
        &self,
        part: Option<Part>,
        pool_size: usize,
        steps: &[Step],
    ) -> Option<Difference> {
        for database in [&self.database, &self.apart] {
            let port = support::cluster().port();
            let mut wire = Wire::login(port, database, &[]).unwrap();
            wire.run("set client_min_messages = warning");
            wire.run(include_str!("ground.sql"));
        }
        // What one game leaves behind is not to be met by the next.
        let size = pool_size.to_string();
        let arguments = ["--workers", "1", "--pool-size", &size];
        let upstream = support::cluster().url("postgres");
        let arguments = [&["--upstream", &upstream], &arguments[..]].concat();
        let part = part.map(|part| (VARIABLE, part.name()));
        let served = Served::ambassador_in(part.as_slice(), &arguments);
        let mut game = Game::new(self, pool_size, &served);
        for (at, step) in steps.iter().enumerate() {
            game.at = at;
            if let Err(shown) = game.play(step) {
                return Some(Difference { at, shown });
            }
        }
        let at = steps.len();
        game.end().err().map(|shown| Difference { at, shown })
    }
}

struct Game<'a> {
    theatre: &'a Theatre,
    pool_size: usize,
    port: u16,
    seats: Vec<Seat>,
    observer: Wire,
    /// Somebody ever listened.
    listens: bool,
    at: usize,
}

/// As they part, or nothing.
type Played = Result<(), String>;

impl<'a> Game<'a> {
    fn new(theatre: &'a Theatre, pool_size: usize, served: &Served) -> Self {
        let mut game = Self {
            theatre,
            pool_size,
            port: served.port(),
            seats: Vec::new(),
            observer: observer(),
            listens: false,
            at: 0,
        };
        for number in 0..CLIENTS {
            let seat = game.seat(number, 0).unwrap_or_else(|why| panic!("{why}"));
            game.seats.push(seat);
        }
        game
    }

    fn seat(&self, number: usize, wear: usize) -> Result<Seat, String> {
        let me = char::from(b'a' + u8::try_from(number).unwrap());
        let wear = WEAR[wear];
        let direct = Ear::new(support::cluster().port(), &self.theatre.apart, me, wear).unwrap();
        let through = Ear::new(self.port, &self.theatre.database, me, wear)
            .map_err(|error| format!("a login through: {error}"))?;
        let (one, other) = (&direct.wire, &through.wire);
        if (&one.statuses, &one.greeting) != (&other.statuses, &other.greeting) {
            return Err(format!(
                "directly\n    {:?} {:?}\n  through\n    {:?} {:?}\n",
                one.statuses, one.greeting, other.statuses, other.greeting
            ));
        }
        Ok(Seat {
            direct,
            through,
            status: b'I',
            since: 0,
            notifies: false,
            stays: Default::default(),
        })
    }

    fn play(&mut self, step: &Step) -> Played {
        self.make_room(step)?;
        match &step.act {
            Act::Say { messages, slowly } => self.say(step.client, messages, *slowly, step.ends()),
            Act::Leave { politely, wear } => self.leave(step.client, *politely, *wear),
        }
    }

    /// Has others end their transactions, where those hold what this step needs. Who spoke first
    /// goes first.
    fn make_room(&mut self, step: &Step) -> Played {
        let others = match self.needs_its_own(step) {
            true => 0,
            false => self.pool_size - 1,
        };
        loop {
            let busy = self.seats.iter().enumerate();
            let busy = busy.filter(|(at, seat)| *at != step.client && !seat.is_idle());
            if busy.clone().count() <= others {
                return Ok(());
            }
            let first = busy.min_by_key(|(_, seat)| seat.since);
            let (first, _) = first.unwrap();
            let end = ["commit", "rollback"][self.at % 2];
            self.say(first, &[query(end)], false, 1)?;
        }
    }

    /// Whether it may wait for the one connection that its client calls its own, which somebody's
    /// transaction may hold.
    fn needs_its_own(&mut self, step: &Step) -> bool {
        let Act::Say { messages, .. } = &step.act else {
            return false;
        };
        let seat = &mut self.seats[step.client];
        let mut needs = false;
        for one in messages {
            let mut parts = one[5..].split(|byte| *byte == 0);
            let first = parts.next().unwrap_or_default();
            match one[0] {
                b'Q' => needs |= stays(first),
                b'P' if stays(parts.next().unwrap_or_default()) => {
                    needs = true;
                    seat.stays.insert(first.to_owned());
                }
                b'B' => needs |= seat.stays.contains(parts.next().unwrap_or_default()),
                _ => {}
            }
        }
        needs
    }

    fn say(&mut self, who: usize, messages: &[Vec<u8>], slowly: bool, ends: usize) -> Played {
        let has = |word: &str| {
            let word = word.as_bytes();
            messages.iter().any(|one| {
                one.windows(word.len())
                    .any(|part| part.eq_ignore_ascii_case(word))
            })
        };
        self.listens |= has("listen");
        let at = self.at;
        let seat = &mut self.seats[who];
        let was_idle = seat.is_idle();
        seat.notifies |= has("notif") || seat.notifies;
        seat.direct.say(messages, slowly);
        let expected = seat.direct.hear(ends, PATIENCE);
        if expected.ends() < ends {
            // Nothing is to be learnt of what is not answered directly.
            return Err(String::new());
        }
        seat.through.say(messages, slowly);
        let heard = seat.through.hear(ends, PATIENCE);
        let last = expected.frames.last();
        seat.status = last
            .and_then(|ready| ready.body.first().copied())
            .unwrap_or(b'I');
        if was_idle {
            seat.since = at;
        }
        compare(&expected, &heard)?;
        if self.listens && std::mem::take(&mut seat.notifies) {
            match seat.is_idle() {
                true => self.spread(who)?,
                false => self.seats[who].notifies = true,
            }
        }
        self.told()
    }

    /// What has been notified is heard before anybody goes on.
    fn spread(&mut self, by: usize) -> Played {
        let others = self.seats.iter_mut().enumerate();
        let others = others.filter(|(at, seat)| *at != by && seat.is_idle());
        for (_, seat) in others {
            let (expected, heard) = seat.nudge(PATIENCE);
            compare(&expected, &heard)?;
        }
        Ok(())
    }

    /// Everybody outside a transaction has been told the same by others.
    fn told(&mut self) -> Played {
        for seat in self.seats.iter_mut().filter(|seat| seat.status == b'I') {
            let count = seat.direct.told.len();
            let came = seat.through.listen(count, PATIENCE);
            let (direct, through) = (&seat.direct.told, &seat.through.told);
            if came.is_err() || direct != through {
                return Err(format!(
                    "told directly\n    {direct:?}\n  through\n    {through:?}\n"
                ));
            }
        }
        Ok(())
    }

    fn leave(&mut self, who: usize, politely: bool, wear: usize) -> Played {
        let seat = self.seats.remove(who);
        let pid = seat.direct.wire.pid;
        match politely {
            true => [seat.direct, seat.through].map(|ear| ear.wire.bye()),
            false => [seat.direct, seat.through].map(|ear| drop(ear.wire)),
        };
        self.clear_away(pid);
        let seat = self.seat(who, wear)?;
        self.seats.insert(who, seat);
        Ok(())
    }

    /// Waits until the one who left holds nothing any more, on both sides.
    fn clear_away(&mut self, pid: i32) {
        let begun = Instant::now();
        let (apart, database) = (&self.theatre.apart, &self.theatre.database);
        let held = |database: &str| {
            format!(
                "(select count(*) from pg_locks where locktype not in ('virtualxid') and \
                 database = (select oid from pg_database where datname = '{database}')) + \
                 (select count(*) from pg_stat_activity where datname = '{database}' \
                 and state <> 'idle' and backend_type = 'client backend')"
            )
        };
        let gone = format!(
            "select not exists (select from pg_stat_activity where pid = {pid}) \
             and {} <= {}",
            held(database),
            held(apart)
        );
        while self.observer.value(&gone) != "t" && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Everybody gives up everything, and then shares the pool again.
    fn end(&mut self) -> Played {
        for who in 0..CLIENTS {
            if !self.seats[who].is_idle() {
                self.say(who, &[query("rollback")], false, 1)?;
            }
        }
        for who in 0..CLIENTS {
            for text in ["discard all", "select 'the end'"] {
                self.say(who, &[query(text)], false, 1)?;
            }
        }
        let begun = Instant::now();
        loop {
            let count = shared_connections(&mut self.observer, &self.theatre.database);
            if count <= self.pool_size {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "{count} connections for those who have given up everything"
                ));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn stays(text: &[u8]) -> bool {
    let touches = Touches::IDENTITY
        .and(Touches::ADVISORY_LOCK)
        .and(Touches::TEMP)
        .and(Touches::LISTEN)
        .and(Touches::CURSOR)
        .and(Touches::PREPARE)
        .and(Touches::SEQUENCE_READ)
        .and(Touches::LOAD)
        .and(Touches::SEED)
        .and(Touches::SNAPSHOT)
        .and(Touches::UNCLEAR);
    sql::read(text).touches.any(touches)
}

fn compare(expected: &Heard, heard: &Heard) -> Played {
    if expected.own == heard.own && talks::same(&heard.frames, &expected.frames) {
        return Ok(());
    }
    Err(format!(
        "directly\n    {}\n  through\n    {}\n",
        shown(expected, heard),
        shown(heard, expected)
    ))
}

/// In few words, or, where those are the same, in all.
fn shown(heard: &Heard, other: &Heard) -> String {
    let (few, others) = (said(&heard.frames), said(&other.frames));
    let one = |(at, frame): (usize, &Frame)| match few.get(at) == others.get(at)
        && other.frames.get(at) != Some(frame)
    {
        true => format!("{frame:?}"),
        false => frame.to_string(),
    };
    let mut lines: Vec<String> = heard.frames.iter().enumerate().map(one).collect();
    lines.extend(
        heard
            .own
            .iter()
            .map(|(at, what)| format!("own, in request {at}: {what}")),
    );
    lines.join("\n    ")
}
