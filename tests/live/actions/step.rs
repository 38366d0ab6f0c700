//! What a client does in one go: texts of any kind, said in any manner.

use std::fmt;

use fastrand::Rng;

use super::kinds::{fill, kinds};
use crate::wire::{
    bind, close_portal, close_statement, copy_data, copy_done, copy_fail, describe_portal,
    describe_statement, execute, flush, message, parse, query, sync,
};

pub const CLIENTS: usize = 3;

/// What a client asks for at its start-up.
pub const WEAR: [&[(&str, &str)]; 6] = [
    &[],
    &[("application_name", "A")],
    &[("options", "-c work_mem=5MB -c app.tenant=started")],
    &[("TimeZone", "UTC"), ("DateStyle", "German")],
    &[
        ("client_encoding", "latin1"),
        ("search_path", "other, public"),
    ],
    &[
        ("extra_float_digits", "3"),
        ("default_transaction_isolation", "repeatable read"),
    ],
];

#[derive(Clone)]
pub struct Step {
    pub client: usize,
    /// The names of the kinds in it.
    pub kinds: Vec<&'static str>,
    pub act: Act,
}

#[derive(Clone)]
pub enum Act {
    /// Ends with what a ReadyForQuery answers. `slowly`: message by message.
    Say {
        messages: Vec<Vec<u8>>,
        slowly: bool,
    },
    /// Leaves, with a good-bye or without, and comes again with other settings of its start-up.
    Leave { politely: bool, wear: usize },
}

/// Protocol-level names; nobody makes them by SQL.
const NAMES: [&str; 3] = ["x", "y", "_ambassador_1"];
const PORTALS: [&str; 3] = ["", "", "p"];

/// A name, how often against the others, and what makes it.
type Manner = (&'static str, u32, fn(&mut Talk));

/// How texts are said, and what is made of messages alone.
const MANNERS: &[Manner] = &[
    ("simple", 30, Talk::simple),
    ("unnamed", 12, Talk::unnamed),
    ("described", 5, Talk::described),
    ("named", 8, Talk::named),
    ("named again", 10, Talk::again),
    ("statement described", 2, Talk::describes),
    ("statement closed", 3, Talk::closes),
    ("portal in parts", 3, Talk::in_parts),
    ("leave", 2, Talk::leave),
    ("values", 4, Talk::values),
    ("several texts", 5, Talk::several),
    ("batch", 5, Talk::batch),
    ("pipeline", 5, Talk::pipeline),
    ("flushed", 2, Talk::flushed),
    ("unnamed again", 3, Talk::unnamed_again),
    ("parsed and not bound", 2, Talk::parsed),
    ("copy in", 3, Talk::copy_in),
    ("copy in, extended", 1, Talk::copy_in_extended),
    ("function call", 1, Talk::function_call),
];

/// Those that are not compared yet. A client that has asked for something at its start-up is shown
/// the server's value by SET … TO DEFAULT, and by RESET ALL where something is about it. The portal
/// of a BEGIN that went ahead is there; and in a transaction that failed before it left, no portal
/// is looked for.
const PENDING: &[Manner] = &[
    ("leave for other clothes", 2, Talk::changes_clothes),
    ("portal gone on with", 2, Talk::goes_on),
];

/// The names of all kinds, of texts and of manners.
pub fn names() -> impl Iterator<Item = &'static str> {
    let kinds = kinds().iter().filter(|kind| !kind.texts.is_empty());
    let manners = MANNERS.iter().map(|(name, ..)| *name);
    kinds.map(|kind| kind.name).chain(manners)
}

/// So many steps; who speaks goes on for a while.
pub fn steps(rng: &mut Rng, count: usize, pending: bool) -> Vec<Step> {
    let mut client = 0;
    let step = |_| {
        if rng.u8(..10) < 4 {
            client = rng.usize(..CLIENTS);
        }
        let mut talk = Talk {
            rng: rng.fork(),
            pending,
            me: char::from(b'a' + u8::try_from(client).unwrap()),
            kinds: Vec::new(),
            messages: Vec::new(),
            leaves: None,
        };
        talk.speak();
        let Talk {
            kinds,
            messages,
            leaves,
            ..
        } = talk;
        let slowly = rng.u8(..12) == 0;
        let act = leaves.unwrap_or(Act::Say { messages, slowly });
        Step { client, kinds, act }
    };
    (0..count).map(step).collect()
}

struct Talk {
    rng: Rng,
    /// Kinds that are not compared yet, too.
    pending: bool,
    me: char,
    kinds: Vec<&'static str>,
    messages: Vec<Vec<u8>>,
    leaves: Option<Act>,
}

impl Talk {
    fn speak(&mut self) {
        let pending = if self.pending { PENDING } else { &[] };
        let manners = MANNERS.iter().chain(pending);
        let manners = manners.map(|&(name, weight, make)| (weight, (name, make)));
        let (name, make) = weighted(&mut self.rng, manners);
        self.kinds.push(name);
        make(self);
    }

    fn say(&mut self, messages: impl IntoIterator<Item = Vec<u8>>) {
        self.messages.extend(messages);
    }

    /// A text of any kind.
    fn text(&mut self) -> String {
        let pending = self.pending;
        let some = kinds()
            .iter()
            .filter(|kind| pending || !kind.texts.is_empty());
        let kind = weighted(&mut self.rng, some.map(|kind| (kind.weight, kind)));
        self.kinds.push(kind.name);
        let (texts, pending) = match pending {
            true => (&kind.texts[..], &kind.pending[..]),
            false => (&kind.texts[..], &[][..]),
        };
        let at = self.rng.usize(..texts.len() + pending.len());
        let text = texts.iter().chain(pending).nth(at).unwrap();
        fill(&mut self.rng, self.me, text)
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(..of.len())]
    }

    fn rows(&mut self) -> i32 {
        [0, 0, 0, 1, 2][self.rng.usize(..5)]
    }

    fn simple(&mut self) {
        let text = self.text();
        self.say([query(&text)]);
    }

    fn unnamed(&mut self) {
        let text = self.text();
        self.say([parse("", &text), bind("", "", &[]), execute("", 0), sync()]);
    }

    fn described(&mut self) {
        let text = self.text();
        let rows = self.rows();
        self.say([
            parse("", &text),
            describe_statement(""),
            bind("", "", &[]),
            describe_portal(""),
            execute("", rows),
            sync(),
        ]);
    }

    /// As drivers prepare: what is there under the name goes first.
    fn named(&mut self) {
        let (name, text) = (self.one_of(&NAMES), self.text());
        self.say([close_statement(name), parse(name, &text)]);
        if self.rng.bool() {
            self.say([describe_statement(name), sync()]);
        }
        if self.rng.bool() {
            self.say([bind("", name, &[]), execute("", 0)]);
        }
        self.say([sync()]);
    }

    fn again(&mut self) {
        let name = self.one_of(&NAMES);
        self.say([bind("", name, &[])]);
        if self.rng.bool() {
            self.say([describe_portal("")]);
        }
        let rows = self.rows();
        self.say([execute("", rows), sync()]);
    }

    fn describes(&mut self) {
        let name = self.one_of(&NAMES);
        self.say([describe_statement(name), sync()]);
    }

    fn closes(&mut self) {
        let (name, portal) = (self.one_of(&NAMES), self.one_of(&PORTALS));
        let one = match self.rng.u8(..4) {
            0 => close_portal(portal),
            _ => close_statement(name),
        };
        self.say([one, sync()]);
    }

    fn in_parts(&mut self) {
        let portal = self.one_of(&PORTALS);
        self.say([
            parse("", "select generate_series(1, 7)"),
            bind(portal, "", &[]),
            execute(portal, 2),
            flush(),
            execute(portal, 2),
        ]);
        if self.rng.bool() {
            self.say([sync()]);
        }
        self.say([execute(portal, 2), close_portal(portal), sync()]);
    }

    fn goes_on(&mut self) {
        let portal = self.one_of(&PORTALS);
        self.say([execute(portal, 1), sync()]);
    }

    fn values(&mut self) {
        const ASKED: &[(&str, &[&str])] = &[
            ("select $1::int + 1", &["4"]),
            ("select set_config($1, $2, false)", &["work_mem", "11MB"]),
            (
                "select set_config($1, $2, $3::bool)",
                &["app.tenant", "bound", "f"],
            ),
            (
                "select set_config($1, $2, false)",
                &["application_name", "bound é"],
            ),
            ("select set_config($1, $2, true)", &["search_path", "other"]),
            ("select current_setting($1, true)", &["work_mem"]),
            ("select pg_try_advisory_lock($1::int)", &["2"]),
            ("select pg_advisory_unlock($1::int)", &["2"]),
            ("select $1 || 'a' || $2", &["news", " b"]),
            (
                "update public.shared set v = $1 where id = $2::int returning v",
                &["w", "3"],
            ),
            ("select 10 / $1::int", &["0"]),
            ("select $1::int", &["no number"]),
        ];
        let (text, values) = ASKED[self.rng.usize(..ASKED.len())];
        let name = ["", "v"][self.rng.usize(..2)];
        if !name.is_empty() {
            self.say([close_statement(name)]);
        }
        self.say([
            parse(name, text),
            bind("", name, values),
            execute("", 0),
            sync(),
        ]);
    }

    fn several(&mut self) {
        let count = self.rng.usize(2..4);
        let texts: Vec<String> = (0..count).map(|_| self.text()).collect();
        self.say([query(&texts.join(";"))]);
    }

    /// One Sync.
    fn batch(&mut self) {
        for _ in 0..self.rng.usize(2..4) {
            let text = self.text();
            self.say([parse("", &text), bind("", "", &[]), execute("", 0)]);
        }
        self.say([sync()]);
    }

    /// In one write, and each with an end of its own.
    fn pipeline(&mut self) {
        for _ in 0..self.rng.usize(2..5) {
            match self.rng.u8(..4) {
                0 => self.again(),
                1 => self.simple(),
                2 => self.named(),
                _ => self.unnamed(),
            }
        }
    }

    fn flushed(&mut self) {
        let (one, other) = (self.text(), self.text());
        self.say([
            parse("", &one),
            flush(),
            bind("", "", &[]),
            execute("", 0),
            flush(),
            parse("", &other),
            describe_statement(""),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ]);
    }

    /// Not of a text with `*` in it: what such an unnamed statement becomes on another connection,
    /// after a change of schema, is not compared.
    fn unnamed_again(&mut self) {
        self.say([
            parse("", "select current_setting('work_mem'), 'unnamed'"),
            sync(),
        ]);
        if self.rng.bool() {
            self.say([bind("", "", &[]), execute("", 0), sync()]);
        }
        self.say([
            bind("", "", &[]),
            describe_portal(""),
            execute("", 0),
            sync(),
        ]);
    }

    fn parsed(&mut self) {
        let (name, text) = (self.one_of(&NAMES), self.text());
        self.say([parse(name, &text), sync()]);
    }

    fn copy_in(&mut self) {
        let text = self.one_of(&[
            "copy public.shared from stdin",
            "copy public.items (what) from stdin",
            "copy public.items (what) from stdin; select 'behind'",
            "copy nosuch from stdin",
        ]);
        self.say([query(text)]);
        self.copied();
    }

    fn copy_in_extended(&mut self) {
        self.say([
            parse("copies", "copy public.items (what) from stdin"),
            bind("", "copies", &[]),
            execute("", 0),
        ]);
        self.copied();
        self.say([sync(), close_statement("copies"), sync()]);
    }

    fn copied(&mut self) {
        let data = self.one_of(&["copied\n", "1\tone too many\n", "900\tnine\n", ""]);
        self.say([copy_data(data)]);
        let end = match self.rng.u8(..4) {
            0 => copy_fail("no more"),
            _ => copy_done(),
        };
        self.say([end]);
    }

    /// int4mul, with text values.
    fn function_call(&mut self) {
        let mut body = 141u32.to_be_bytes().to_vec();
        body.extend([0, 0, 0, 2, 0, 0, 0, 1, b'6', 0, 0, 0, 1, b'7', 0, 0]);
        self.say([message(b'F', &body)]);
    }

    fn leave(&mut self) {
        let politely = self.rng.u8(..4) > 0;
        self.leaves = Some(Act::Leave { politely, wear: 0 });
    }

    fn changes_clothes(&mut self) {
        let wear = self.rng.usize(..WEAR.len());
        self.leaves = Some(Act::Leave {
            politely: true,
            wear,
        });
    }
}

fn weighted<T>(rng: &mut Rng, all: impl Iterator<Item = (u32, T)> + Clone) -> T {
    let mut at = rng.u32(..all.clone().map(|(weight, _)| weight).sum::<u32>());
    for (weight, one) in all {
        match at.checked_sub(weight) {
            Some(rest) => at = rest,
            None => return one,
        }
    }
    unreachable!("less than the sum");
}

impl Step {
    /// How often ReadyForQuery answers it.
    pub fn ends(&self) -> usize {
        match &self.act {
            Act::Say { messages, .. } => messages.iter().filter(|one| ends(one)).count(),
            Act::Leave { .. } => 0,
        }
    }

    /// The same with one message less, as far as it can be said.
    pub fn shorter(&self) -> Vec<Self> {
        let Act::Say { messages, slowly } = &self.act else {
            return Vec::new();
        };
        let copies = messages.iter().any(|one| b"dcf".contains(&one[0]));
        let without = |at: usize| {
            let mut messages = messages.clone();
            messages.remove(at);
            let whole = messages.last().is_some_and(|last| ends(last));
            let act = Act::Say {
                messages,
                slowly: *slowly,
            };
            (whole && !copies).then(|| Self {
                act,
                ..self.clone()
            })
        };
        let mut all: Vec<Self> = (0..messages.len()).filter_map(without).collect();
        if *slowly {
            let act = Act::Say {
                messages: messages.clone(),
                slowly: false,
            };
            all.push(Self {
                act,
                ..self.clone()
            });
        }
        all
    }
}

fn ends(message: &[u8]) -> bool {
    b"QSF".contains(&message[0])
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let me = char::from(b'a' + u8::try_from(self.client).unwrap());
        match &self.act {
            Act::Say { messages, slowly } => {
                write!(f, "{me}{}", if *slowly { ", slowly" } else { "" })?;
                for one in messages {
                    let body = one.get(5..).unwrap_or_default();
                    let body = String::from_utf8_lossy(body).replace('\0', "·");
                    write!(f, "\n    {} {body}", char::from(one[0]))?;
                }
                Ok(())
            }
            Act::Leave { politely, wear } => {
                write!(
                    f,
                    "{me} leaves ({politely}) and comes with {:?}",
                    WEAR[*wear]
                )
            }
        }
    }
}
