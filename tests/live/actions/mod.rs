//! Games of session actions: three clients do whatever a session can do, in any order and any
//! manner, each on a connection of its own and through a pool that is smaller than they are many.
//! Everything that they hear is the same, message by message.
//!
//! Where a game parts, its script is made as short as it gets and shown with its seed;
//! `ACTIONS_SEED=7` plays that game alone, or those of `7..20`, `ACTIONS_POOL=1` in a pool of that
//! size. Notifications
//! of others are compared among themselves, as their place among the other messages is nobody's
//! promise; one's own have theirs.
//!
//! What is known to differ is marked `pending` in `kinds.txt`, with the reason;
//! `ACTIONS_PENDING=1` plays that too.

mod game;
mod kinds;
mod seat;
mod shrink;
mod step;

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
#[cfg(debug_assertions)]
use pg_ambassador::session::sabotage::Part;

use self::{
    game::{Difference, Theatre},
    step::Step,
};

/// Steps of one game.
const STEPS: usize = 200;
/// Games at a time.
const LANES: usize = 4;
/// For making one script short.
const SHRINKING: Duration = Duration::from_secs(90);
/// Scripts that are shown, unless `ACTIONS_SHOWN` says how many.
const SHOWN: usize = 3;

#[test]
#[ignore = "long: it finds differences that are still open, in one game of twenty"]
fn ten_thousand_actions_are_as_they_are_directly() {
    play(0..50);
}

#[test]
#[ignore = "long: a million actions"]
fn a_million_actions_are_as_they_are_directly() {
    play(50..5_050);
}

#[test]
fn there_are_forty_kinds_of_actions_and_all_of_them_are_played() {
    let mut counts: BTreeMap<&str, usize> = step::names().map(|name| (name, 0)).collect();
    for seed in 0..50 {
        for kind in script(seed).iter().flat_map(|step| &step.kinds) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    println!("{counts:?}");
    assert!(counts.len() >= 40, "only {}", counts.len());
    let rare: Vec<_> = counts.iter().filter(|(_, count)| **count < 20).collect();
    assert!(rare.is_empty(), "too seldom: {rare:?}");
}

/// Else the games would not see what they are to see.
#[test]
#[cfg(debug_assertions)]
fn whatever_part_is_left_undone_is_seen_within_ten_thousand_actions() {
    let parts = Mutex::new(Part::ALL.to_vec());
    let missed = Mutex::new(Vec::new());
    let next = || parts.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let theatre = Theatre::new();
                while let Some(part) = next() {
                    let is_seen = |seed| {
                        let script = script(seed);
                        let pool = pool_size(seed);
                        let seen = theatre.difference_without(Some(part), pool, &script);
                        let seen = seen.filter(|one| !one.shown.is_empty());
                        seen.inspect(|one| println!("{part:?}, seed {seed}:\n{}", one.shown))
                            .is_some()
                    };
                    if !(0..50).any(is_seen) {
                        missed.lock().unwrap().push(part);
                    }
                }
            });
        }
    });
    assert_eq!(missed.into_inner().unwrap(), []);
}

/// Plays a game for each seed and finds no difference.
#[track_caller]
fn play(seeds: Range<u64>) {
    let asked = env::var("ACTIONS_SEED").ok().map(|asked| {
        let (first, last) = asked.split_once("..").unwrap_or((&asked, ""));
        let first = first.parse().unwrap();
        first..last.parse().unwrap_or(first + 1)
    });
    let seeds = asked.unwrap_or(seeds);
    let (first, last, begun) = (seeds.start, seeds.end, Instant::now());
    println!("seeds {seeds:?}");
    let next = AtomicU64::new(first);
    let differing = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            let (next, differing) = (&next, &differing);
            scope.spawn(move || {
                let theatre = Theatre::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= last {
                        return;
                    }
                    let script = script(seed);
                    if let Some(difference) = theatre.difference(pool_size(seed), &script) {
                        differing.lock().unwrap().push((seed, difference));
                    }
                }
            });
        }
    });
    let differing = differing.into_inner().unwrap();
    println!("{} games in {:?}", last - first, begun.elapsed());
    let most = env::var("ACTIONS_SHOWN").map_or(SHOWN, |most| most.parse().unwrap());
    let some = differing.iter().take(most);
    let shown: String = some.map(|(seed, one)| shown(*seed, one)).collect();
    let count = differing.len();
    assert_eq!(count, 0, "they differ; some of them:\n{shown}");
}

fn pool_size(seed: u64) -> usize {
    let asked = env::var("ACTIONS_POOL").ok();
    let usual = if seed.is_multiple_of(2) { 1 } else { 2 };
    asked.map_or(usual, |size| size.parse().unwrap())
}

fn script(seed: u64) -> Vec<Step> {
    let pending = env::var_os("ACTIONS_PENDING").is_some();
    step::steps(&mut Rng::with_seed(seed), STEPS, pending)
}

/// The shortest script that parts where this one does, or somewhere.
fn shown(seed: u64, difference: &Difference) -> String {
    let theatre = Theatre::new();
    let mut script = script(seed);
    script.truncate(difference.at + 1);
    let still = |steps: &[Step]| {
        let again = theatre.difference(pool_size(seed), steps);
        again.is_some_and(|one| one.gist() == difference.gist())
    };
    let script = shrink::shrunk(script, Step::shorter, still, SHRINKING);
    let mut lines = format!("seed {seed}, pool of {}:\n", pool_size(seed));
    for step in &script {
        writeln!(lines, "  {step}").unwrap();
    }
    match theatre.difference(pool_size(seed), &script) {
        Some(again) => lines + &again.shown,
        None => format!("{lines}(seen only once)\n{}", difference.shown),
    }
}
