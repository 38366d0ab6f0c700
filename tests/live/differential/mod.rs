//! A library of conversations, `fixtures/wire/KIND/*.wire`, each played against Postgres itself
//! and through the ambassador with other clients crowding its pool, and found the same message by
//! message: every byte of every message, but for process ids and cancel keys.
//!
//! To add one, write it into a file of its kind. A conversation begins with `== its name`; then
//! one line is one step:
//!
//! | line | what it does |
//! |---|---|
//! | `Query "select 1"` | a message; it is kept until the next line that is none, so that what stands together leaves in one write |
//! | `Parse s "select $1" int4 text` | with types by name or number |
//! | `Bind p s ["1" null x"00ff"] in t b out b` | values; formats of parameters and results, `t` or `b` |
//! | `Describe statement s`, `Describe portal p`, `Close …` | |
//! | `Execute p 2` | with a limit of rows |
//! | `Call 177 ["1" "2"] in t out t` | FunctionCall: a function's number |
//! | `CopyData "1\t2\n"`, `CopyDone`, `CopyFail "why"` | |
//! | `Sync`, `Flush`, `Terminate` | |
//! | `Message "Q" "…"`, `Bytes "…"` | any message, any bytes |
//! | `send` | what was said so far leaves in a write of its own |
//! | `ready`, `ready 3` | reads up to a ReadyForQuery, or three |
//! | `until DataRow` | reads up to a message of this kind |
//! | `closed` | reads up to the server's end |
//! | `vanish` | closes the socket without a word |
//! | `connect DateStyle=German "options=-c a=b"` | logs in; `bare` leaves out user and database, `version 3.2` |
//! | `open`, `Startup 3 …`, `SSLRequest`, `GSSENCRequest`, `byte` | the same by hand |
//! | `Cancel A`, `Cancel A wrong` | asks to cancel what A runs: `wrong`, `nobody`, `longer`, `empty` keys |
//! | `direct "sql"`, `given "sql"` | runs it past whoever is played through |
//! | `wait "sql"` | asks past them until the answer is true |
//! | `running "words"`, `sleeping "words"`, `blocked "words"` | waits until somebody runs such a query, is in its pg_sleep, or waits for a lock |
//!
//! `B: ` in front makes another client than `A` do it. A client logs in at its first step when it
//! does not do so itself. `""` is the empty name; `"a"*60+"b"` is a long text; `{db}` stands for the
//! database and `{A.pid}` for the process id that A was told; `#` begins a comment.
//!
//! `modes transaction session` says where a conversation makes sense (by itself: everywhere, and
//! not in statement mode when it begins transactions). `mask oids` blots out tables' numbers in
//! RowDescription, for conversations that make tables; `mask source` leaves out the source file, line
//! and routine of errors, where others say the server's words. `pending "why"` marks a conversation that is
//! known to differ (`pending session "why"` in that mode alone): the run fails when it no longer does.

mod bouncer;
mod crowd;
mod lexer;
mod play;
mod proof;
mod relay;
mod run;
mod script;

use self::{
    crowd::Holding,
    run::{LANES, Outcome, Through, complaints, kinds, run},
    script::Conversation,
};
use crate::support::{self, Served};

/// Kinds, and how many conversations of each there are at least.
const KINDS: &[(&str, usize)] = &[
    ("cancel", 15),
    ("copy_in", 15),
    ("copy_out", 15),
    ("errors", 15),
    ("extended", 15),
    ("flush", 15),
    ("function_call", 5),
    ("portals", 15),
    ("prepared", 15),
    ("simple", 15),
    ("startup", 15),
];

/// Conversations that are played byte by byte in every run.
const SAMPLE: usize = 50;

/// Conversations that more than one backend serves, at least.
const WANDERERS: usize = 100;

#[test]
fn every_conversation_is_the_same_through_a_crowded_pool() {
    let library = library("transaction");
    let served = ambassador(&["--pool-size", "3"]);
    let outcomes = run(&library, &databases(), &Through::crowd_of(&served));
    report(&outcomes, &served, "transaction");
    let wanderers = outcomes.iter().filter(|outcome| outcome.backends > 1);
    let wanderers = wanderers.count();
    if std::env::var_os("WIRE").is_some() {
        return;
    }
    for (kind, least) in KINDS {
        let count = kinds(&library).get(kind).copied().unwrap_or_default();
        assert!(count >= *least, "{count} conversations of the kind {kind}");
    }
    assert!(
        wanderers >= WANDERERS,
        "only {wanderers} changed connections"
    );
}

#[test]
fn in_session_mode_too_and_the_one_before_leaves_nothing_behind() {
    let library = library("session");
    let served = ambassador(&["--pool-size", "5", "--pool-mode", "session"]);
    let port = served.port();
    let outcomes = run(
        &library,
        &databases(),
        &Through {
            crowd: None,
            before: &|database| crowd::pass_through(port, database),
            ..Through::crowd_of(&served)
        },
    );
    report(&outcomes, &served, "session");
}

#[test]
fn in_statement_mode_too_where_there_are_no_transactions() {
    let library = library("statement");
    let served = ambassador(&["--pool-size", "3", "--pool-mode", "statement"]);
    let outcomes = run(
        &library,
        &databases(),
        &Through {
            holding: Holding::Batches,
            ..Through::crowd_of(&served)
        },
    );
    report(&outcomes, &served, "statement");
}

#[test]
fn a_sample_of_them_byte_by_byte_on_both_sides() {
    let mut library = library("transaction");
    library.retain(|one| one.pending_in("transaction").is_none() && !one.is_large());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::Rng::with_seed(seed).shuffle(&mut library);
    library.truncate(SAMPLE);
    byte_by_byte(&library);
}

#[test]
#[ignore = "long: a write for every byte of the library"]
fn all_of_them_byte_by_byte_on_both_sides() {
    let mut library = library("transaction");
    library.retain(|one| one.pending_in("transaction").is_none());
    byte_by_byte(&library);
}

fn byte_by_byte(library: &[Conversation]) {
    let upstream = relay::chopping(support::cluster().port());
    let upstream = format!("postgresql://127.0.0.1:{upstream}");
    let args = ["--workers", "1", "--pool-size", "3"];
    let served = Served::ambassador_with(&[&["--upstream", &upstream], &args[..]].concat());
    let outcomes = run(
        library,
        &databases(),
        &Through {
            port: relay::chopping(served.port()),
            ..Through::crowd_of(&served)
        },
    );
    report(&outcomes, &served, "transaction");
}

/// The conversations that make sense in a mode. `WIRE` picks those with these words in kind or name.
fn library(mode: &str) -> Vec<Conversation> {
    let words = std::env::var("WIRE").unwrap_or_default();
    let mut library = script::library();
    library.retain(|one| one.fits(mode) && format!("{}: {}", one.kind, one.name).contains(&words));
    library
}

fn databases() -> Vec<String> {
    let cluster = support::cluster();
    (0..LANES).map(|_| support::database(cluster)).collect()
}

fn ambassador(args: &[&str]) -> Served {
    // Who names no user and no database is taken as Postgres takes them.
    let upstream = format!("postgresql://{}", support::cluster().address());
    Served::ambassador_with(&[&["--upstream", &upstream, "--workers", "1"], args].concat())
}

/// Prints what there was, and fails with what was wrong.
#[track_caller]
fn report(outcomes: &[Outcome], served: &Served, mode: &str) {
    let library: Vec<Conversation> = outcomes
        .iter()
        .map(|one| one.conversation.clone())
        .collect();
    let count = |what: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| what(one)).count();
    println!(
        "{} conversations in {mode} mode: {:?}",
        outcomes.len(),
        kinds(&library)
    );
    println!(
        "served by more than one backend: {}",
        count(&|one| one.backends > 1)
    );
    println!(
        "sessions pinned: {}",
        served.log().matches("session pinned").count()
    );
    println!(
        "known to differ: {}",
        count(&|one| one.conversation.pending_in(mode).is_some())
    );
    let slowest = outcomes.iter().max_by_key(|one| one.took).unwrap();
    let Conversation { kind, name, .. } = &slowest.conversation;
    println!("the slowest: {kind}: {name}, {:?}", slowest.took);
    let complaints = complaints(outcomes, mode);
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        outcomes.len(),
        complaints.join("\n")
    );
}
