//! The harness sees what it is to see: a message that is changed, lost or out of place.

use std::time::Duration;

use super::{
    play::{Heard, Scene, Transcript, play},
    relay::{Harm, harming},
    run::difference,
    script::{self, Conversation},
};
use crate::{support, wire::Wire};

/// Of the conversations that can be harmed, every so many-eth is.
const STRIDE: usize = 9;

#[test]
fn a_bit_flipped_in_a_reply_is_a_difference() {
    every_one_is_seen(Harm::Flip, |_, _| true);
}

#[test]
fn a_message_lost_is_a_difference() {
    every_one_is_seen(Harm::Drop, |heard, _| !is_ready(heard));
}

#[test]
fn two_messages_swapped_are_a_difference() {
    every_one_is_seen(Harm::Swap, |heard, next| heard != next && !is_ready(heard));
}

#[test]
fn a_play_that_is_not_harmed_is_no_difference() {
    let mut ground = Ground::new();
    for conversation in harmable() {
        let direct = ground.play(&conversation, ground.port);
        let again = ground.play(&conversation, ground.port);
        assert_eq!(difference(&direct, &again), None, "{}", conversation.name);
    }
}

/// Does harm to one message of each conversation, of those that fit with the next one.
#[track_caller]
fn every_one_is_seen(harm: Harm, fits: impl Fn(&Heard, &Heard) -> bool) {
    let mut ground = Ground::new();
    let mut seen = 0;
    for conversation in harmable() {
        let direct = ground.play(&conversation, ground.port);
        let heard: Vec<&Heard> = direct.entries.iter().map(|entry| &entry.heard).collect();
        // The login is behind the first ReadyForQuery.
        let login = 1 + heard.iter().position(|heard| is_ready(heard)).unwrap();
        let pairs = heard[login..].windows(2).enumerate();
        let places = pairs.filter(|(_, pair)| fits(pair[0], pair[1]));
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        let Some(at) = places.get(seen % places.len().max(1)) else {
            continue;
        };
        let harmed = ground.play(&conversation, harming(ground.port, harm, *at));
        let what = format!("{harm:?} of message {at} in {}", conversation.name);
        assert!(difference(&direct, &harmed).is_some(), "not seen: {what}");
        seen += 1;
    }
    assert!(seen > 10, "only {seen}");
}

/// Of one client, that only reads up to ReadyForQuery: it hangs nowhere when a message is lost.
fn harmable() -> impl Iterator<Item = Conversation> {
    let simple = |one: &Conversation| {
        let plain = |line: &script::Line| {
            let waits = ["until", "closed", "running", "sleeping", "Terminate"];
            let waits = waits.iter().any(|verb| line.text.starts_with(verb));
            line.client == script::USUAL && !waits
        };
        let kinds = ["simple", "extended", "prepared", "copy_out", "errors"];
        kinds.contains(&one.kind.as_str())
            && one.pending.is_empty()
            && !one.masks_oids
            && !one.masks_source
            && one.lines.iter().all(plain)
    };
    let library = script::library().into_iter().filter(simple);
    library.step_by(STRIDE)
}

fn is_ready(heard: &Heard) -> bool {
    matches!(heard, Heard::Frame(frame) if frame.tag == b'Z')
}

struct Ground {
    port: u16,
    database: String,
    direct: Wire,
}

impl Ground {
    fn new() -> Self {
        let cluster = support::cluster();
        let database = support::database(cluster);
        Self {
            port: cluster.port(),
            direct: Wire::login(cluster.port(), &database, &[]).unwrap(),
            database,
        }
    }

    fn play(&mut self, conversation: &Conversation, port: u16) -> Transcript {
        let scene = Scene {
            port,
            database: &self.database,
            direct: &mut self.direct,
            crowd: None,
            patience: Duration::from_secs(2),
        };
        play(conversation, scene)
    }
}
