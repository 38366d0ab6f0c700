//! SHOW STATS, STATS_TOTALS and STATS_AVERAGES.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        History, House,
        table::{Cell, Column, Row, number, text},
    },
    Facts,
};

pub const COLUMNS: &[Column] = &[
    text("database"),
    number("total_server_assignment_count"),
    number("total_xact_count"),
    number("total_query_count"),
    number("total_received"),
    number("total_sent"),
    number("total_xact_time"),
    number("total_query_time"),
    number("total_wait_time"),
    number("total_client_parse_count"),
    number("total_server_parse_count"),
    number("total_bind_count"),
    number("avg_server_assignment_count"),
    number("avg_xact_count"),
    number("avg_query_count"),
    number("avg_recv"),
    number("avg_sent"),
    number("avg_xact_time"),
    number("avg_query_time"),
    number("avg_wait_time"),
    number("avg_client_parse_count"),
    number("avg_server_parse_count"),
    number("avg_bind_count"),
    number("total_client_login_count"),
    number("avg_client_login_count"),
];

pub const TOTALS: &[Column] = &sums(["client_parse_count", "server_parse_count", "bind_count"]);

pub const AVERAGES: &[Column] = &sums([
    "avg_client_parse_count",
    "avg_server_parse_count",
    "avg_bind_count",
]);

/// As PgBouncer names them: of totals and averages only these three apart.
const fn sums([client_parses, server_parses, binds]: [&'static str; 3]) -> [Column; 13] {
    [
        text("database"),
        number("server_assignment_count"),
        number("xact_count"),
        number("query_count"),
        number("bytes_received"),
        number("bytes_sent"),
        number("xact_time"),
        number("query_time"),
        number("wait_time"),
        number(client_parses),
        number(server_parses),
        number(binds),
        number("client_login_count"),
    ]
}

/// What has been done for a database; times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    assignments: u64,
    transactions: u64,
    queries: u64,
    received: u64,
    sent: u64,
    transaction_time: u64,
    query_time: u64,
    wait_time: u64,
    client_parses: u64,
    server_parses: u64,
    binds: u64,
    logins: u64,
}

impl Sums {
    /// By the names that operators have for databases.
    fn of(history: &History) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for pool in &history.pools {
            let sums = all.entry(pool.key.name().into_owned()).or_default();
            let more = &pool.totals;
            sums.assignments += more.assignments;
            sums.transactions += more.transactions;
            sums.queries += more.requests;
            sums.received += more.from_client;
            sums.sent += more.to_client;
            sums.transaction_time += more.transaction_micros;
            sums.query_time += more.request_micros;
            sums.wait_time += more.wait_micros;
            sums.client_parses += more.client_parses;
            sums.server_parses += more.server_parses;
            sums.binds += more.binds;
            sums.logins += more.logins;
        }
        all
    }

    /// In PgBouncer's order, ours behind.
    fn cells(&self) -> [u64; 12] {
        [
            self.assignments,
            self.transactions,
            self.queries,
            self.received,
            self.sent,
            self.transaction_time,
            self.query_time,
            self.wait_time,
            self.client_parses,
            self.server_parses,
            self.binds,
            self.logins,
        ]
    }

    /// What came since `earlier`: numbers a second, times of one transaction, query and wait.
    fn average(&self, earlier: &Self, over: Duration) -> Self {
        let micros = over.as_micros().max(1);
        let a_second = |now: u64, then: u64| {
            let many = u128::from(now.saturating_sub(then)) * 1_000_000;
            u64::try_from(many / micros).unwrap_or(u64::MAX)
        };
        let of_one = |now: u64, then: u64, count: u64, counted: u64| {
            let many = count.saturating_sub(counted);
            now.saturating_sub(then)
                .checked_div(many)
                .unwrap_or_default()
        };
        let (transactions, queries) = (earlier.transactions, earlier.queries);
        Self {
            assignments: a_second(self.assignments, earlier.assignments),
            transactions: a_second(self.transactions, transactions),
            queries: a_second(self.queries, queries),
            received: a_second(self.received, earlier.received),
            sent: a_second(self.sent, earlier.sent),
            transaction_time: of_one(
                self.transaction_time,
                earlier.transaction_time,
                self.transactions,
                transactions,
            ),
            query_time: of_one(self.query_time, earlier.query_time, self.queries, queries),
            wait_time: of_one(
                self.wait_time,
                earlier.wait_time,
                self.assignments,
                earlier.assignments,
            ),
            client_parses: a_second(self.client_parses, earlier.client_parses),
            server_parses: a_second(self.server_parses, earlier.server_parses),
            binds: a_second(self.binds, earlier.binds),
            logins: a_second(self.logins, earlier.logins),
        }
    }
}

/// Totals and averages.
pub fn both(facts: &Facts<'_, impl House>) -> Vec<Row> {
    rows(facts, |total, average| {
        let ([totals @ .., logins], [averages @ .., mean]) = (total.cells(), average.cells());
        totals
            .into_iter()
            .chain(averages)
            .chain([logins, mean])
            .collect()
    })
}

pub fn totals(facts: &Facts<'_, impl House>) -> Vec<Row> {
    rows(facts, |total, _| total.cells().to_vec())
}

pub fn averages(facts: &Facts<'_, impl House>) -> Vec<Row> {
    rows(facts, |_, average| average.cells().to_vec())
}

/// A row for each database that clients have come to.
fn rows(facts: &Facts<'_, impl House>, cells: impl Fn(Sums, Sums) -> Vec<u64>) -> Vec<Row> {
    let (earlier, over) = facts.house.earlier();
    let earlier = Sums::of(&earlier);
    let now = Sums::of(&facts.house.history());
    let row = |(name, total): (String, Sums)| {
        let before = earlier.get(&name).copied().unwrap_or_default();
        let average = total.average(&before, over);
        let cells = cells(total, average).into_iter().map(Cell::from);
        [Cell::from(name)].into_iter().chain(cells).collect()
    };
    now.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_a_second_s_and_one_transaction_s() {
        let earlier = Sums {
            transactions: 100,
            transaction_time: 5_000,
            ..Sums::default()
        };
        let now = Sums {
            transactions: 300,
            transaction_time: 25_000,
            received: 4_000,
            ..Sums::default()
        };
        let average = now.average(&earlier, Duration::from_secs(20));
        let expected = Sums {
            transactions: 10,
            transaction_time: 100,
            received: 200,
            ..Sums::default()
        };
        assert_eq!(average, expected);
        assert_eq!(now.average(&now, Duration::ZERO), Sums::default());
    }
}
