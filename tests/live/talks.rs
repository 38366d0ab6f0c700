//! Conversations that make sense, of several clients that share few connections: what each hears
//! is what it hears directly.
//! Never asks for what would differ between two direct connections.

use std::{fmt::Write, ops::Range};

use fastrand::Rng;

use crate::{
    support::{self, Served},
    wire::{
        Frame, Wire, bind, close_portal, close_statement, describe_portal, describe_statement,
        execute, flush, parse, query, said, sync,
    },
};

const CLIENTS: usize = 3;
const STEPS: usize = 50;

const NAMES: [&str; 5] = ["", "a", "b", "c", "_ambassador_1"];
const PORTALS: [&str; 3] = ["", "", "p"];
/// Those that take nothing come first.
const TEXTS: [&str; 18] = [
    "select 1",
    "select * from t",
    "select * from t",
    "select * from t order by 1",
    "insert into t default values returning *",
    "selekt",
    "select 1/0",
    "",
    "begin",
    "rollback",
    "alter table t add column b int default 5",
    "alter table t drop column b",
    "alter table t alter column a type bigint",
    "deallocate a",
    "deallocate all",
    "discard all",
    "select $1::int + 1",
    "update t set a = a + $1 where a = $2 returning *",
];

/// What a client does in one go.
#[derive(Clone)]
struct Step {
    client: usize,
    /// Who keeps a connection in a transaction meanwhile.
    holder: Option<usize>,
    /// Sent message by message.
    slowly: bool,
    messages: Vec<Vec<u8>>,
}

fn any_step(rng: &mut Rng, holders: usize) -> Step {
    let holder = (holders > 0 && rng.bool()).then(|| rng.usize(..holders));
    let parts = (0..rng.usize(1..5)).flat_map(|_| any_part(rng));
    Step {
        messages: parts.collect(),
        client: rng.usize(..CLIENTS),
        holder,
        slowly: rng.u8(..4) == 0,
    }
}

/// All that is one thing less.
fn less(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    let mut without = |take: &dyn Fn(&mut Vec<Step>)| {
        let mut fewer = steps.to_vec();
        take(&mut fewer);
        all.push(fewer);
    };
    for at in 0..steps.len() {
        without(&|fewer| drop(fewer.remove(at)));
    }
    for (at, step) in steps.iter().enumerate() {
        for place in 0..step.messages.len() {
            without(&|fewer| drop(fewer[at].messages.remove(place)));
        }
        if step.slowly {
            without(&|fewer| fewer[at].slowly = false);
        }
        if step.holder.is_some() {
            without(&|fewer| fewer[at].holder = None);
        }
    }
    all
}

fn one_of<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// A text, but not one whose unnamed statement another connection may have to make anew after a
/// change of schema: that is not compared.
fn any_text(rng: &mut Rng, name: &str) -> &'static str {
    loop {
        let text = one_of(rng, &TEXTS);
        if !name.is_empty() || !(text.contains('*')) {
            return text;
        }
    }
}

/// Messages as drivers send them, or almost.
fn any_part(rng: &mut Rng) -> Vec<Vec<u8>> {
    let (name, portal) = (one_of(rng, &NAMES), one_of(rng, &PORTALS));
    let text = any_text(rng, name);
    let values = &["7", "8"][..rng.usize(..3)];
    let rows = rng.i32(0..2);
    let mut part = match rng.u8(..14) {
        0 | 1 => vec![query(one_of(rng, &TEXTS))],
        2 | 3 => vec![parse(name, text)],
        4 => vec![parse(name, text), describe_statement(name)],
        5 => vec![
            parse(name, text),
            bind(portal, name, values),
            execute(portal, rows),
        ],
        6 => vec![
            parse(name, text),
            describe_statement(name),
            bind(portal, name, values),
            describe_portal(portal),
            execute(portal, rows),
        ],
        7 | 8 => vec![bind(portal, name, values), execute(portal, rows)],
        9 => vec![
            bind(portal, name, values),
            describe_portal(portal),
            execute(portal, rows),
        ],
        10 => vec![describe_statement(name)],
        11 => vec![close_statement(name)],
        12 => vec![close_statement(name), parse(name, text)],
        _ => vec![[execute(portal, rows), close_portal(portal), flush()][rng.usize(..3)].clone()],
    };
    match rng.u8(..8) {
        0..5 => part.push(sync()),
        5 => part.push(flush()),
        _ => {}
    }
    part
}

/// Both databases, and who speaks in each.
struct Scene {
    direct: Vec<Wire>,
    through: Vec<Wire>,
    holders: Vec<Wire>,
    holding: Option<usize>,
}

const TABLE: &str = "drop table if exists t; create table t (a int default 7); \
                     insert into t values (7)";

impl Scene {
    fn new(theatre: &Theatre, served: &Served) -> Self {
        let port = support::cluster().port();
        let (apart, through) = (&theatre.apart, &theatre.database);
        let direct = |_| Wire::login(port, apart, &[]).unwrap();
        let client = |_| Wire::login(served.port(), through, &[]).unwrap();
        for database in [apart, through] {
            Wire::login(port, database, &[]).unwrap().run(TABLE);
        }
        Self {
            direct: (0..CLIENTS).map(direct).collect(),
            through: (0..CLIENTS).map(client).collect(),
            holders: (0..theatre.holders()).map(client).collect(),
            holding: None,
        }
    }

    /// Has one of the holders, or none, keep a connection.
    fn hold(&mut self, holder: Option<usize>) {
        if self.holding == holder {
            return;
        }
        if let Some(former) = self.holding.take() {
            self.holders[former].run("rollback");
        }
        if let Some(next) = holder {
            self.holders[next].run("begin");
        }
        self.holding = holder;
    }

    /// Where the two part in this step, if they do.
    fn play(&mut self, step: &Step) -> Option<String> {
        self.hold(step.holder);
        let expected = answers(&mut self.direct[step.client], step);
        let seen = answers(&mut self.through[step.client], step);
        (!same(&seen, &expected)).then(|| {
            let lines = |frames: &[Frame]| said(frames).join("\n    ");
            let (seen, expected) = (lines(&seen), lines(&expected));
            format!("directly\n    {expected}\n  through\n    {seen}\n")
        })
    }
}

/// Request by request.
pub fn same(seen: &[Frame], expected: &[Frame]) -> bool {
    let requests = |frames: &[Frame]| -> Vec<Vec<Frame>> {
        let requests = frames.split_inclusive(|frame| frame.tag == b'Z');
        requests.map(<[Frame]>::to_vec).collect()
    };
    let (seen, expected) = (requests(seen), requests(expected));
    let answered_alike = |(seen, expected): (&Vec<Frame>, &Vec<Frame>)| {
        let all = seen.len() == expected.len() && seen.iter().zip(expected).all(alike);
        all || is_unprepared(seen, expected)
    };
    seen.len() == expected.len() && seen.iter().zip(&expected).all(answered_alike)
}

/// In a failed transaction nothing can be prepared: where the connection lacks the statement, that
/// is refused. Directly the statement is there, and the server may find another fault with the
/// message first, or none with a Describe.
fn is_unprepared(seen: &[Frame], expected: &[Frame]) -> bool {
    let [before @ .., error, ready] = seen else {
        return false;
    };
    let at_its_parse = error.field(b'R') == "exec_parse_message";
    error.code() == "25P02"
        && at_its_parse
        && before.len() < expected.len()
        && before.iter().zip(expected).all(alike)
        && expected.last() == Some(ready)
}

/// The server counts the values of a Bind, and looks for its portal, before it finds its
/// statement stale; what is wrong in two ways may be refused for either.
fn alike((seen, expected): (&Frame, &Frame)) -> bool {
    let first = ["08P01", "42P03"].contains(&expected.code().as_str());
    seen == expected || (seen.code() == "0A000" && first)
}

/// Sends it with an end behind which no transaction is open, and reads up to there.
fn answers(wire: &mut Wire, step: &Step) -> Vec<Frame> {
    let end = [sync(), query("rollback"), query("select 'the end'")].concat();
    if step.slowly {
        step.messages.iter().for_each(|one| wire.send(one));
        wire.send(&end);
    } else {
        wire.send(&[step.messages.concat(), end].concat());
    }
    let mut frames = Vec::new();
    loop {
        match wire.try_frame() {
            Ok(Some(frame)) => {
                let last = frame.to_string() == "row the end";
                frames.push(without_oids(frame));
                if last {
                    frames.extend(wire.until_ready());
                    return frames;
                }
            }
            // Something is missing: what came differs, and tells what.
            Ok(None) | Err(_) => return frames,
        }
    }
}

/// Two databases number their tables differently. The server names the line of its source where a
/// statement is stale; the ambassador, which says the same in its place, does not know it.
pub fn without_oids(mut frame: Frame) -> Frame {
    if frame.code() == "0A000" {
        let fields = frame.body.split_inclusive(|&byte| byte == 0);
        frame.body = fields
            .filter(|field| field[0] != b'L')
            .flatten()
            .copied()
            .collect();
    }
    if frame.tag == b'T' {
        let mut at = 2;
        while let Some(len) = frame
            .body
            .get(at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0))
        {
            at += len + 1;
            frame.body[at..at + 4].fill(0);
            at += 18;
        }
    }
    frame
}

struct Theatre {
    database: String,
    /// Of those who speak directly.
    apart: String,
    pool_size: usize,
}

impl Theatre {
    fn with_pool_of(size: usize) -> Self {
        let cluster = support::cluster();
        Self {
            database: support::database(cluster),
            apart: support::database(cluster),
            pool_size: size,
        }
    }

    /// One connection is left for those who are not.
    fn holders(&self) -> usize {
        match self.pool_size {
            1 => 0,
            _ => 2,
        }
    }

    fn difference(&self, steps: &[Step]) -> Option<String> {
        // What one conversation leaves behind is not to be met by the next.
        let size = self.pool_size.to_string();
        let arguments = ["--workers", "1", "--pool-size", &size];
        let served = Served::ambassador(support::cluster(), &arguments);
        let mut scene = Scene::new(self, &served);
        steps.iter().find_map(|step| scene.play(step))
    }

    /// Without all that can be left out while the two still part.
    fn shrunk(&self, mut steps: Vec<Step>) -> Vec<Step> {
        while let Some(fewer) = less(&steps)
            .into_iter()
            .find(|fewer| self.difference(fewer).is_some())
        {
            steps = fewer;
        }
        steps
    }

    fn shown(&self, seed: u64, steps: Vec<Step>) -> String {
        let steps = self.shrunk(steps);
        let mut lines = format!("seed {seed}:\n");
        for step in &steps {
            let (client, holder, slowly) = (step.client, step.holder, step.slowly);
            writeln!(
                lines,
                "  client {client}, holder {holder:?}, slowly {slowly}"
            )
            .unwrap();
            for one in &step.messages {
                let body = one.get(5..).unwrap_or_default().escape_ascii();
                writeln!(lines, "    {} {body}", char::from(one[0])).unwrap();
            }
        }
        lines + &self.difference(&steps).unwrap_or_default()
    }

    fn run(&self, seeds: Range<u64>) {
        let steps = |seed| -> Vec<Step> {
            let mut rng = Rng::with_seed(seed);
            (0..STEPS)
                .map(|_| any_step(&mut rng, self.holders()))
                .collect()
        };
        let differing: Vec<_> = seeds
            .map(|seed| (seed, steps(seed)))
            .filter(|(_, steps)| self.difference(steps).is_some())
            .collect();
        let count = differing.len();
        let some = differing.into_iter().take(3);
        let shown: String = some.map(|(seed, one)| self.shown(seed, one)).collect();
        assert_eq!(count, 0, "they differ; some of them:\n{shown}");
    }
}

#[test]
fn several_clients_on_one_connection_hear_what_they_hear_directly() {
    Theatre::with_pool_of(1).run(0..20);
}

#[test]
fn several_clients_on_two_connections_hear_what_they_hear_directly() {
    Theatre::with_pool_of(2).run(0..20);
}

#[test]
#[ignore = "long: a thousand conversations"]
fn any_clients_on_few_connections_hear_what_they_hear_directly() {
    Theatre::with_pool_of(1).run(20..500);
    Theatre::with_pool_of(2).run(500..1_000);
}
