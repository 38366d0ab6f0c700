//! Conversations of whole frames that make no sense: whatever the server says, it is said through
//! the ambassador too.
//! Never asks for what would differ between two direct connections.

use fastrand::Rng;

use crate::{
    stage::Stage,
    wire::{
        Frame, Wire, bind, close_portal, close_statement, copy_data, copy_done, copy_fail,
        describe_portal, describe_statement, execute, flush, message, parse, query, said, sync,
    },
};

const TEXTS: [&str; 16] = [
    "select 1",
    "select $1::int + 1",
    "select 'a', null, 'c' from generate_series(1, 3)",
    "selekt",
    "",
    "select 1/0",
    "begin",
    "commit",
    "rollback",
    "insert into things values (7) returning a",
    "copy things from stdin",
    "copy (select 1) to stdout",
    "select 1; select 2; select 1/0; select 3",
    "do $$ begin raise notice 'told'; end $$",
    "savepoint s",
    "truncate things",
];
const NAMES: [&str; 4] = ["", "a", "b", "a longer name"];
/// Every tag that a client may send once it is in, but the one that says good-bye.
const TAGS: &[u8] = b"QPBDECSHFdcf";

/// Some messages.
fn any_batch(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut batch: Vec<_> = (0..rng.usize(1..8)).map(|_| any_message(rng)).collect();
    // The ambassador does not know yet that a COPY will read over it.
    if batch.iter().any(|one| one[5..].starts_with(b"copy things")) {
        batch.retain(|one| one[0] != b'H');
    }
    batch
}

/// One message: most make sense, some almost, some none at all.
fn any_message(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = sensible(rng);
    match rng.u8(..10) {
        0 => {
            let body: Vec<u8> = (0..rng.usize(..24)).map(|_| rng.u8(..0x80)).collect();
            message(TAGS[rng.usize(..TAGS.len())], &body)
        }
        1..4 => {
            mutate(rng, &mut bytes);
            message(bytes[0], &bytes[5..])
        }
        _ => bytes,
    }
}

fn sensible(rng: &mut Rng) -> Vec<u8> {
    let text = TEXTS[rng.usize(..TEXTS.len())];
    let (name, portal) = (NAMES[rng.usize(..NAMES.len())], NAMES[rng.usize(..2)]);
    match rng.u8(..20) {
        0..3 => query(text),
        3..6 => parse(name, text),
        6..9 => bind(portal, name, &["7"][..rng.usize(..2)]),
        9 => describe_statement(name),
        10 => describe_portal(portal),
        11..14 => execute(portal, rng.i32(0..2)),
        14 => match rng.bool() {
            true => close_statement(name),
            false => close_portal(portal),
        },
        15 => flush(),
        16 => sync(),
        17 => call(177, &["3", "4"]),
        18 => copy_data("5\n"),
        _ => match rng.bool() {
            true => copy_done(),
            false => copy_fail("no more"),
        },
    }
}

/// A FunctionCall with text arguments and a text result.
fn call(oid: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&u16::try_from(arguments.len()).unwrap().to_be_bytes());
    for argument in arguments {
        body.extend_from_slice(&u32::try_from(argument.len()).unwrap().to_be_bytes());
        body.extend_from_slice(argument.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'F', &body)
}

/// Changes, adds or takes away something behind the header.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.u8(..2) {
        let at = rng.usize(5..=bytes.len());
        match rng.u8(..4) {
            0 => bytes.insert(at, [0, 1, b'x', 0x7f][rng.usize(..4)]),
            1 => bytes.truncate(at),
            _ if at == bytes.len() => bytes.push(0),
            2 => drop(bytes.remove(at)),
            _ => bytes[at] = [0, 1, b'x', 0x7f][rng.usize(..4)],
        }
    }
}

/// Sends it with an end that every state of the server comes to, and reads up to there. `None`:
/// the server closed the connection.
fn answers(wire: &mut Wire, batch: &[Vec<u8>]) -> Option<Vec<Frame>> {
    let end = [
        copy_fail("the end"),
        sync(),
        query("rollback"),
        query("select 'the end'"),
    ];
    wire.send(&[batch.concat(), end.concat()].concat());
    let mut frames = Vec::new();
    loop {
        let Ok(frame) = wire.try_frame() else {
            // Something is missing: what came differs, and tells what.
            return Some(frames);
        };
        let frame = frame?;
        let last = frame.to_string() == "row the end";
        let lost = frame.tag == b'E' && frame.code() == "08006";
        frames.push(frame);
        if lost {
            return Some(frames);
        }
        if last {
            frames.extend(wire.until_ready());
            return Some(frames);
        }
    }
}

type Conversation = Vec<Vec<Vec<u8>>>;

/// Holds the conversation on both sides; tells where they part, if they do.
fn difference(stage: &Stage, conversation: &Conversation) -> Option<String> {
    let (mut direct, mut through) = (stage.direct(), stage.client());
    let mut other = stage.client();
    for batch in conversation {
        // A server that lost its place in the stream ends the connection, which costs a client of
        // the ambassador a request at most.
        let expected = answers(&mut direct, batch)?;
        let seen = answers(&mut through, batch).unwrap_or_default();
        let others = other.query("select 'other'");
        if seen != expected || said(&others)[1] != "row other" {
            let lines = |frames: &[Frame]| said(frames).join("\n    ");
            let (seen, expected, others) = (lines(&seen), lines(&expected), lines(&others));
            return Some(format!(
                "directly\n    {expected}\n  through\n    {seen}\n  another\n    {others}\n"
            ));
        }
    }
    None
}

/// The conversation without all that can be left out while the two still part.
fn shrunk(stage: &Stage, mut conversation: Conversation) -> Conversation {
    let places = |one: &Conversation| -> Vec<_> {
        let batches = one.iter().enumerate();
        batches
            .flat_map(|(at, batch)| (0..batch.len()).map(move |place| (at, place)))
            .collect()
    };
    while let Some(less) = places(&conversation).into_iter().find_map(|(at, place)| {
        let mut less = conversation.clone();
        less[at].remove(place);
        difference(stage, &less).is_some().then_some(less)
    }) {
        conversation = less;
    }
    conversation.retain(|batch| !batch.is_empty());
    conversation
}

fn shown(stage: &Stage, seed: u64, conversation: Conversation) -> String {
    let conversation = shrunk(stage, conversation);
    let mut lines = format!("seed {seed}:\n");
    for batch in &conversation {
        for one in batch {
            let body = one.get(5..).unwrap_or_default().escape_ascii();
            lines += &format!("  {} {body}\n", char::from(one[0]));
        }
        lines += "  --\n";
    }
    lines + &difference(stage, &conversation).unwrap_or_default()
}

fn run(seeds: std::ops::Range<u64>) {
    let stage = Stage::with(1, &["acquire_timeout=5s"]);
    stage.directly("create table things (a int)");
    let conversation = |seed| -> Conversation {
        let mut rng = Rng::with_seed(seed);
        (0..12).map(|_| any_batch(&mut rng)).collect()
    };
    let differing: Vec<_> = seeds
        .map(|seed| (seed, conversation(seed)))
        .filter(|(_, conversation)| difference(&stage, conversation).is_some())
        .collect();
    let count = differing.len();
    let some = differing.into_iter().take(3);
    let shown: String = some.map(|(seed, one)| shown(&stage, seed, one)).collect();
    assert_eq!(count, 0, "they differ; some of them:\n{shown}");
}

#[test]
fn whole_frames_of_garbage_are_answered_as_directly() {
    run(0..200);
}

#[test]
#[ignore = "long: thousands of conversations"]
fn any_whole_frames_of_garbage_are_answered_as_directly() {
    run(200..3_000);
}
