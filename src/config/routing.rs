//! `[databases.NAME.routing]`.

use super::section::Section;
use crate::route::{self, Balance, Consistency, Reads, UserFunctions, Verdicts};

pub(super) fn routing(section: &Section<'_>) -> route::Settings {
    let trust = [
        ("trust-volatility", Some(UserFunctions::TrustVolatility)),
        ("primary", Some(UserFunctions::Primary)),
    ];
    let verdicts = [
        ("auto", Some(Verdicts::Auto)),
        ("always", Some(Verdicts::Always)),
    ];
    let reads = [
        ("primary", Some(Reads::Primary)),
        ("replicas", Some(Reads::Replicas)),
    ];
    let consistency = [
        ("eventual", Some(Consistency::Eventual)),
        ("session", Some(Consistency::Session)),
        ("ambassador", Some(Consistency::Ambassador)),
    ];
    let balance = [
        ("least-loaded", Some(Balance::LeastLoaded)),
        ("round-robin", Some(Balance::RoundRobin)),
        ("latency", Some(Balance::Latency)),
    ];
    let default = route::Settings::default();
    route::Settings {
        user_functions: section.choice("user_functions", &trust, default.user_functions),
        verdicts: section.choice("verdicts", &verdicts, default.verdicts),
        reads: section.choice("reads", &reads, default.reads),
        consistency: section.choice("consistency", &consistency, default.consistency),
        balance: section.choice("balance", &balance, default.balance),
        max_replica_lag: section.duration("max_replica_lag", default.max_replica_lag),
        replica_fallback: section.flag("replica_fallback", default.replica_fallback),
    }
}
