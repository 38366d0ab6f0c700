//! What has happened and how much there is, over all workers.

use tokio::sync::oneshot;

use super::{
    plan::Plan,
    worker::{Mail, entry},
};
use crate::admin::{Census, History, PoolHistory};
use crate::telemetry::counters::{Tally, Words};

impl Plan {
    /// What has happened so far, by pools and by databases.
    pub fn history(&self) -> History {
        // Copied first: a worker that opens a pool wants the lock.
        let exchanges = self.exchanges().into_iter();
        let pools = exchanges.map(|(key, exchange)| PoolHistory {
            key,
            size: exchange.size(),
            totals: exchange.totals(),
        });
        let names = self.settings.databases.iter().map(entry);
        let books = self.doorbooks().iter();
        let refused = names.chain([""]).enumerate().map(|(at, name)| {
            let tallies = books.clone().filter_map(|book| book.refused.get(at));
            (name.to_owned(), sum(tallies))
        });
        History {
            pools: pools.collect(),
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
