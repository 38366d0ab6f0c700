//! What SHOW shows: PgBouncer's columns under its names and in its order, ours behind them.

mod backends;
mod certificates;
mod databases;
mod house;
mod pools;
mod routes;
mod sockets;
mod stats;
mod time;

use std::sync::Arc;

use super::{
    House,
    house::Pauses,
    report::{Detail, Report},
    table::{Column, Row, number, text},
};
use crate::backend::Fleet;

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Pools,
    Clients,
    Servers,
    Databases,
    Users,
    Stats,
    StatsTotals,
    StatsAverages,
    Lists,
    Config,
    State,
    Version,
    Help,
    Pins,
    Backends,
    Certificates,
    Routes,
}

const TOPICS: &[(&str, Topic)] = &[
    ("pools", Topic::Pools),
    ("clients", Topic::Clients),
    ("servers", Topic::Servers),
    ("databases", Topic::Databases),
    ("users", Topic::Users),
    ("stats", Topic::Stats),
    ("stats_totals", Topic::StatsTotals),
    ("stats_averages", Topic::StatsAverages),
    ("lists", Topic::Lists),
    ("config", Topic::Config),
    ("state", Topic::State),
    ("version", Topic::Version),
    ("help", Topic::Help),
    ("pins", Topic::Pins),
    ("backends", Topic::Backends),
    ("certificates", Topic::Certificates),
    ("routes", Topic::Routes),
];

impl Topic {
    pub fn find(name: &str) -> Option<Self> {
        let mut topics = TOPICS.iter();
        let found = topics.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, topic)| *topic)
    }

    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Pools => pools::COLUMNS,
            Self::Clients | Self::Servers => sockets::COLUMNS,
            Self::Databases => databases::COLUMNS,
            Self::Users => databases::USERS,
            Self::Stats => stats::COLUMNS,
            Self::StatsTotals => stats::TOTALS,
            Self::StatsAverages => stats::AVERAGES,
            Self::Lists => LISTS,
            Self::Config => CONFIG,
            Self::State => STATE,
            Self::Version => VERSION,
            Self::Help => HELP,
            Self::Pins => sockets::PINS,
            Self::Backends => backends::COLUMNS,
            Self::Certificates => certificates::COLUMNS,
            Self::Routes => routes::COLUMNS,
        }
    }

    fn detail(self) -> Detail {
        match self {
            Self::Clients | Self::Servers | Self::Pins | Self::Users => Detail::Clients,
            Self::Routes => Detail::Paths,
            Self::Pools
            | Self::Databases
            | Self::Stats
            | Self::StatsTotals
            | Self::StatsAverages
            | Self::Lists
            | Self::Config
            | Self::State
            | Self::Version
            | Self::Help
            | Self::Backends
            | Self::Certificates => Detail::Pools,
        }
    }

    /// What it shows now.
    pub fn rows(self, facts: &Facts<'_, impl House>) -> Vec<Row> {
        match self {
            Self::Pools => pools::rows(facts),
            Self::Clients => sockets::clients(facts),
            Self::Servers => sockets::servers(facts),
            Self::Databases => databases::rows(facts),
            Self::Users => databases::users(facts),
            Self::Stats => stats::both(facts),
            Self::StatsTotals => stats::totals(facts),
            Self::StatsAverages => stats::averages(facts),
            Self::Lists => house::lists(facts),
            Self::Config => house::config(facts),
            Self::State => house::state(facts),
            Self::Version => vec![vec![NAME.into()]],
            Self::Help => house::help(),
            Self::Pins => sockets::pins(facts),
            Self::Backends => backends::rows(facts),
            Self::Certificates => certificates::rows(facts),
            Self::Routes => routes::rows(facts),
        }
    }
}

const NAME: &str = concat!("pg-ambassador ", env!("CARGO_PKG_VERSION"));
const LISTS: &[Column] = &[text("list"), number("items")];
const CONFIG: &[Column] = &[
    text("key"),
    text("value"),
    text("default"),
    text("changeable"),
];
const STATE: &[Column] = &[text("key"), text("value")];
const VERSION: &[Column] = &[text("version")];
const HELP: &[Column] = &[text("command"), text("does")];

/// What is looked at: all of it of one moment, as near as workers can come.
pub struct Facts<'a, H> {
    pub house: &'a H,
    pub reports: Vec<Report>,
    pub pauses: Pauses,
    /// What is known of backends, where there are several.
    pub fleets: Vec<(String, Arc<Fleet>)>,
}

impl<'a, H: House> Facts<'a, H> {
    pub async fn of(house: &'a H, topic: Topic) -> Self {
        Self {
            house,
            reports: house.reports(topic.detail()).await,
            pauses: house.pauses(),
            fleets: house.fleets(),
        }
    }
}
