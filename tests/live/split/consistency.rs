//! Under load nobody is shown less than he must be, whatever becomes of the replicas, and these
//! have their part of the load.

use std::time::Duration;

use super::load::{Load, Tally};

const SHORT: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_secs(60);

/// Replicas stand still and restart all the while.
fn disturbed(shared: bool, lasts: Duration) {
    let seen = play(shared, true, lasts);
    assert!(seen.restarts + seen.pauses > 0);
}

fn healthy(shared: bool, lasts: Duration) -> Tally {
    let seen = play(shared, false, lasts);
    assert_eq!(seen.failed, 0);
    seen
}

fn play(shared: bool, disturbed: bool, lasts: Duration) -> Tally {
    let load = Load {
        shared,
        disturbed,
        lasts,
    };
    let seen = load.play();
    assert!(seen.wrong.is_empty(), "{}", seen.wrong.join("\n"));
    assert!(seen.writes > 0 && seen.on_replicas > 0, "{seen:?}");
    seen
}

#[test]
fn a_session_is_never_shown_less_than_it_wrote_or_saw() {
    disturbed(false, SHORT);
}

#[test]
fn no_session_is_shown_less_than_any_wrote_where_all_are_to_agree() {
    disturbed(true, SHORT);
}

#[test]
fn healthy_replicas_have_their_part_of_the_reads() {
    healthy(false, SHORT);
}

#[test]
#[ignore = "long: a minute of load"]
fn a_session_is_never_shown_less_than_it_wrote_or_saw_for_a_minute() {
    disturbed(false, LONG);
}

#[test]
#[ignore = "long: a minute of load"]
fn no_session_is_shown_less_than_any_wrote_for_a_minute() {
    disturbed(true, LONG);
}

#[test]
#[ignore = "long: two minutes of load"]
fn healthy_replicas_answer_nine_of_ten_reads_that_need_not_be_fresh() {
    for shared in [false, true] {
        let seen = healthy(shared, LONG);
        assert!(seen.share() >= 0.9, "{seen:?}");
    }
}
