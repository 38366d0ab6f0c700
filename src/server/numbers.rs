//! What has happened and how much there is, over all workers.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Database, plan::Plan, worker::Mail};
use crate::admin::{Census, History, PoolHistory};
use crate::telemetry::counters::{Tally, Words};

/// How far the marks are apart.
pub const APART: Duration = Duration::from_secs(60);

/// What had been done at two moments, a minute apart; for averages.
pub struct Marks {
    older: (Instant, History),
    newer: (Instant, History),
}

impl Marks {
    pub fn new(start: Instant) -> Self {
        let nothing = || (start, History::default());
        Self {
            older: nothing(),
            newer: nothing(),
        }
    }

    fn set(&mut self, now: Instant, history: History) {
        self.older = std::mem::replace(&mut self.newer, (now, history));
    }

    /// The older one, and how old it is.
    pub fn earlier(&self, now: Instant) -> (History, Duration) {
        let (moment, history) = &self.older;
        (history.clone(), now.saturating_duration_since(*moment))
    }
}

impl Plan {
    /// Remembers what has been done so far, once every [`APART`].
    pub fn mark(&self, now: Instant) {
        let history = self.history();
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.set(now, history);
    }

    /// What has happened so far, by pools and by databases.
    pub fn history(&self) -> History {
        let pools = {
            let exchanges = self.exchanges();
            // Under one lock, or a pool that is forgotten meanwhile were told twice or not at all.
            let live = exchanges.live.iter().map(|(key, exchange)| PoolHistory {
                key: key.clone(),
                size: Some(exchange.size()),
                totals: exchange.totals(),
            });
            let past = exchanges.past.iter().map(|(key, totals)| PoolHistory {
                key: key.clone(),
                size: None,
                totals: totals.clone(),
            });
            live.chain(past).collect()
        };
        let names = self.settings.databases.iter().map(Database::entry);
        let books = self.doorbooks().iter();
        let refused = names.chain([""]).enumerate().map(|(at, name)| {
            let tallies = books.clone().filter_map(|book| book.refused.get(at));
            (name.to_owned(), sum(tallies))
        });
        History {
            pools,
            refused: refused.collect(),
            panics: books.clone().map(|book| book.panics.get()).sum(),
        }
    }

    /// How much every worker has at the moment; one that is gone is left out.
    pub async fn census(&self) -> Vec<Census> {
        let ask = |worker| {
            let (reply, answer) = oneshot::channel();
            self.tell(worker, Mail::Census(reply));
            answer
        };
        let answers: Vec<_> = (0..self.workers()).map(ask).collect();
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            all.extend(answer.await);
        }
        all
    }
}

fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Words {
    let mut words = Words::new();
    tallies.for_each(|tally| tally.add_to(&mut words));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_mark_is_of_a_minute_or_two_ago() {
        let start = Instant::now();
        let mut marks = Marks::new(start);
        let panics = |panics| History {
            panics,
            ..History::default()
        };
        let seen = |marks: &Marks, at| {
            let (history, ago) = marks.earlier(start + APART * at);
            (history.panics, ago)
        };
        assert_eq!(seen(&marks, 1), (0, APART));
        marks.set(start + APART, panics(1));
        assert_eq!(seen(&marks, 2), (0, 2 * APART));
        marks.set(start + 2 * APART, panics(2));
        assert_eq!(seen(&marks, 2), (1, APART));
    }
}
