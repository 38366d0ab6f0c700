//! Plays the library directly and through somebody, and compares.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    crowd::{Crowd, Holding},
    play::{Entry, Scene, Transcript, play},
    script::Conversation,
};
use crate::{
    support::{self, Served},
    wire::Wire,
};

/// Conversations that are played at a time.
pub const LANES: usize = 4;
/// Longer than anything takes that is still to come.
const PATIENCE: Duration = Duration::from_secs(15);
/// For those that are known to differ, and may wait for what does not come.
pub const HASTE: Duration = Duration::from_secs(2);

/// Whom the conversations are played through, and how.
pub struct Through<'a> {
    /// Where conversations are played.
    pub port: u16,
    /// Where the crowd is; nobody is, without it.
    pub crowd: Option<u16>,
    /// How it holds connections.
    pub holding: Holding,
    /// What is done before each conversation, in this database.
    pub before: &'a (dyn Fn(&str) + Sync),
    /// Whether what is said at a login may differ.
    pub forgives_greetings: bool,
    /// How long something that is to come is waited for.
    pub patience: Duration,
}

impl Through<'_> {
    /// An ambassador with the crowd in its pool.
    pub fn crowd_of(served: &Served) -> Self {
        Self {
            port: served.port(),
            crowd: Some(served.port()),
            holding: Holding::Transactions,
            before: &|_| {},
            forgives_greetings: false,
            patience: PATIENCE,
        }
    }
}

/// What came of a conversation.
pub struct Outcome {
    pub conversation: Conversation,
    /// Where the two plays part, if they do.
    pub difference: Option<String>,
    pub backends: usize,
    pub took: Duration,
}

/// Plays all of them; the outcomes are in the order of the library.
pub fn run(
    conversations: &[Conversation],
    databases: &[String],
    through: &Through<'_>,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for database in databases {
            let (next, outcomes) = (&next, &outcomes);
            scope.spawn(move || {
                let mut lane = Lane::new(database, through);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(conversation) = conversations.get(number) else {
                        return;
                    };
                    let outcome = lane.outcome(conversation);
                    outcomes.lock().unwrap().insert(number, outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap().into_values().collect()
}

struct Lane<'a> {
    database: &'a str,
    through: &'a Through<'a>,
    direct: Wire,
    crowd: Option<Crowd>,
}

impl<'a> Lane<'a> {
    fn new(database: &'a str, through: &'a Through<'_>) -> Self {
        let upstream = support::cluster().port();
        let who = [("application_name", "direct")];
        let gather = |port| Crowd::gather(port, upstream, database, through.holding);
        Self {
            database,
            through,
            direct: Wire::login(upstream, database, &who).unwrap(),
            crowd: through.crowd.map(gather),
        }
    }

    fn outcome(&mut self, conversation: &Conversation) -> Outcome {
        let begun = Instant::now();
        let hasty = !conversation.pending.is_empty();
        let upstream = support::cluster().port();
        let mut direct = play(conversation, self.scene(upstream, false, hasty));
        (self.through.before)(self.database);
        let port = self.through.port;
        // The crowd fails where it is answered wrongly.
        let seen = catch_unwind(AssertUnwindSafe(|| {
            play(conversation, self.scene(port, true, hasty))
        }));
        let (difference, backends) = match seen {
            Ok(mut seen) => {
                if self.through.forgives_greetings {
                    direct.entries.retain(|entry| !entry.greeting);
                    seen.entries.retain(|entry| !entry.greeting);
                }
                (difference(&direct, &seen), seen.most_backends())
            }
            Err(panic) => {
                *self = Self::new(self.database, self.through);
                (Some(format!("the crowd: {}", words_of(&*panic))), 0)
            }
        };
        Outcome {
            conversation: conversation.clone(),
            difference,
            backends,
            took: begun.elapsed(),
        }
    }

    fn scene(&mut self, port: u16, crowded: bool, hasty: bool) -> Scene<'_> {
        Scene {
            port,
            database: self.database,
            direct: &mut self.direct,
            crowd: self.crowd.as_mut().filter(|_| crowded),
            patience: if hasty { HASTE } else { self.through.patience },
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    match panic.downcast_ref::<String>() {
        Some(words) => words.clone(),
        None => format!("{:?}", panic.downcast_ref::<&str>()),
    }
}

/// Shows where what was seen parts from what was seen directly.
pub fn difference(direct: &Transcript, seen: &Transcript) -> Option<String> {
    let pairs = direct.entries.iter().zip(&seen.entries);
    let alike =
        |(one, other): &(&Entry, &Entry)| one.client == other.client && one.heard == other.heard;
    let at = pairs.take_while(alike).count();
    let (one, other) = (direct.entries.get(at), seen.entries.get(at));
    if one.is_none() && other.is_none() {
        return mistake(direct);
    }
    let mut text = String::new();
    let place = other.or(one).map_or("", |entry| entry.place.as_str());
    writeln!(text, "at {place}, message {at}").unwrap();
    for (who, entry) in [("directly:", one), ("through: ", other)] {
        match entry {
            Some(Entry { client, heard, .. }) => {
                let long = format!("{heard} ({heard:?})");
                let short: String = long.chars().take(900).collect();
                writeln!(text, "  {who} {client}: {short}").unwrap();
            }
            None => writeln!(text, "  {who} no more").unwrap(),
        }
    }
    Some(text)
}

/// A conversation that cannot be played proves nothing.
fn mistake(direct: &Transcript) -> Option<String> {
    use super::play::Heard;
    let wrong = |entry: &&Entry| matches!(entry.heard, Heard::Mistake(_) | Heard::Silence);
    let entry = direct.entries.iter().find(wrong);
    if direct.entries.is_empty() {
        return Some("nothing was heard".to_owned());
    }
    entry.map(|entry| format!("at {}, even directly: {}", entry.place, entry.heard))
}

/// How many there are of each kind.
pub fn kinds(conversations: &[Conversation]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for conversation in conversations {
        *kinds.entry(conversation.kind.as_str()).or_default() += 1;
    }
    kinds
}

/// Those that differ and should not, and those that should and do not.
pub fn complaints(outcomes: &[Outcome], mode: &str) -> Vec<String> {
    let complaint = |outcome: &Outcome| {
        let Conversation { kind, name, .. } = &outcome.conversation;
        let pending = outcome.conversation.pending_in(mode);
        match (&outcome.difference, pending) {
            (Some(difference), None) => Some(format!("{kind}: {name}\n{difference}")),
            (None, Some(why)) => Some(format!(
                "{kind}: {name}\n  no longer differs: take the mark away (pending: {why})\n"
            )),
            (Some(_), Some(_)) | (None, None) => None,
        }
    };
    outcomes.iter().filter_map(complaint).collect()
}
