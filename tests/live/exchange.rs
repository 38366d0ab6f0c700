//! A client's proof, message by message, as no driver sends it.

use pg_ambassador::auth::{
    Secret,
    scram::{self, Binding},
};

use crate::{
    house::{ASKING, House, PASSWORD, cluster},
    stage::alike,
    wire::{self, Frame, VERSION, Wire, message, startup},
};

const SCRAM: &str = "SCRAM-SHA-256";

fn opened(port: u16, user: &str) -> Wire {
    let mut wire = Wire::open(port);
    wire.send(&startup(VERSION, &[("user", user), ("database", "shop")]));
    wire
}

/// A SASLInitialResponse.
fn initial(mechanism: &str, first: Option<&[u8]>) -> Vec<u8> {
    let length = first.map_or(-1, |first| i32::try_from(first.len()).unwrap());
    let parts: [&[u8]; 4] = [
        mechanism.as_bytes(),
        b"\0",
        &length.to_be_bytes(),
        first.unwrap_or_default(),
    ];
    message(b'p', &parts.concat())
}

fn client(binding: Binding) -> scram::Client {
    let password = scram::Credential::Password(Secret::new(PASSWORD.to_owned()));
    let nonce = scram::Nonce::parse("abcdefghijkl").unwrap();
    scram::Client::new(password, nonce).bound(binding)
}

/// Severity, code and words, or nothing when it left without a word.
fn told(frames: &[Frame]) -> Vec<[String; 3]> {
    let errors = frames.iter().filter(|frame| frame.tag == b'E');
    errors
        .map(|error| [error.field(b'S'), error.code(), error.message()])
        .collect()
}

/// What `user` hears that answers the first question with `answer`, directly and through.
#[track_caller]
fn same(house: &House, user: &str, answer: &[u8]) {
    let hear = |port: u16| {
        let mut wire = opened(port, user);
        let asked = wire.frame();
        wire.send(answer);
        (asked.tag, told(&wire.until_closed()))
    };
    alike(&hear(house.port()), &hear(cluster().port()));
}

#[test]
fn fact_11_what_is_no_answer_to_the_question_ends_the_login_as_it_does_directly() {
    let house = House::new(ASKING);
    let again = startup(VERSION, &[("user", "asker"), ("database", "shop")]);
    for user in ["scrammed", "hashed"] {
        for answer in [
            wire::query("select 1"),
            wire::terminate(),
            again.clone(),
            message(b'p', b""),
            message(b'p', b"\0"),
            message(b'p', b"secret\0"),
            message(b'p', b"secret"),
            message(b'p', b"sec\0ret\0"),
            message(b'p', &[vec![b'x'; 70_000], vec![0]].concat()),
            [b"p".to_vec(), 3_i32.to_be_bytes().to_vec()].concat(),
            [b"p".to_vec(), (-1_i32).to_be_bytes().to_vec()].concat(),
        ] {
            same(&house, user, &answer);
        }
    }
    // Nobody is let in by what comes before the start-up.
    for first in [message(b'p', b"secret\0"), wire::query("select 1")] {
        let hear = |port: u16| {
            let mut wire = Wire::open(port);
            wire.send(&first);
            told(&wire.until_closed())
        };
        alike(&hear(house.port()), &hear(cluster().port()));
    }
}

#[test]
fn fact_13_a_password_of_64_kib_is_wrong_and_no_more() {
    let house = House::new(ASKING);
    same(
        &house,
        "hashed",
        &message(b'p', &[vec![b'x'; 65_000], vec![0]].concat()),
    );
    let direct = crate::house::try_login(cluster().port(), "shop", "scrammed", &"x".repeat(60_000));
    assert_eq!(house.try_as("scrammed", &"x".repeat(60_000)), direct);
}

#[test]
fn fact_13_a_first_scram_message_is_judged_as_it_is_directly() {
    let house = House::new(ASKING);
    let plus = "SCRAM-SHA-256-PLUS";
    let of = |first: &[u8]| initial(SCRAM, Some(first));
    let raw = |body: &[u8]| message(b'p', body);
    for answer in [
        initial("SCRAM-SHA-1", Some(b"n,,n=,r=abc")),
        initial(plus, Some(b"p=tls-server-end-point,,n=,r=abc")),
        initial("", None),
        raw(SCRAM.as_bytes()),
        raw(b"SCRAM-SHA-256\0"),
        raw(b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abc"),
        raw(b"SCRAM-SHA-256\0\0\0\0\x02n,,n=,r=abc"),
        raw(b"SCRAM-SHA-256\0\xff\xff\xff\xfen,,n=,r=abc"),
        of(b""),
        of(b"n"),
        of(b"n,"),
        of(b"n,,"),
        of(b"n,,n="),
        of(b"n,,r=abc"),
        of(b"n,n=,r=abc"),
        of(b"n,,n=,r=a\x01c"),
        of(b"n,,n=,r=abc\0"),
        of(b"n,,m=1,n=,r=abc"),
        of(b"n,a=asker,n=,r=abc"),
        of(b"n,x=asker,n=,r=abc"),
        of(b"x,,n=,r=abc"),
        of(b"yes,,n=,r=abc"),
        of(b"p=tls-server-end-point,,n=,r=abc"),
    ] {
        same(&house, "scrammed", &answer);
    }
}

#[test]
fn fact_13_a_last_scram_message_is_judged_as_it_is_directly() {
    let house = House::new(ASKING);
    // What is sent for c, r and p, when these are the right ones.
    type Bend = fn(&str, &str, &str) -> String;
    let bends: [Bend; 12] = [
        |c, r, _| format!("c={c},r={r},p={}", "A".repeat(43) + "="),
        |c, r, _| format!("c={c},r={r},p=AAAA"),
        |c, r, _| format!("c={c},r={r},p=!!!!"),
        |c, r, p| format!("c={c},r={r},p={p},x=1"),
        |c, r, p| format!("c={c},r={r},x=1,p={p}"),
        |c, r, _| format!("c={c},r={r}"),
        |c, r, p| format!("c={c},r={r}A,p={p}"),
        |c, _, p| format!("c={c},r=abcdefghijkl,p={p}"),
        |_, r, p| format!("c=eSws,r={r},p={p}"),
        |_, r, p| format!("c=bixh,r={r},p={p}"),
        |_, r, p| format!("r={r},p={p}"),
        |_, _, _| String::new(),
    ];
    for bend in bends {
        let hear = |port: u16| {
            let mut wire = opened(port, "scrammed");
            wire.frame();
            let (state, first) = client(Binding::Unsupported).first();
            wire.send(&initial(SCRAM, Some(&first)));
            let challenge = wire.frame();
            let (_, last) = state.server_first(&challenge.body[4..]).unwrap();
            let last = String::from_utf8(last).unwrap();
            let (rest, p) = last.split_once(",p=").unwrap();
            let (c, r) = rest.strip_prefix("c=").unwrap().split_once(",r=").unwrap();
            wire.send(&message(b'p', bend(c, r, p).as_bytes()));
            told(&wire.until_closed())
        };
        alike(&hear(house.port()), &hear(cluster().port()));
    }
}

/// Logs in by hand; gives what came after the proof, in the order of reads.
fn log_in(port: u16, binding: Binding, with_first: bool) -> Vec<Frame> {
    let mut wire = opened(port, "scrammed");
    assert_eq!(wire.frame().body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let (state, first) = client(binding).first();
    if with_first {
        wire.send(&initial(SCRAM, Some(&first)));
    } else {
        wire.send(&initial(SCRAM, None));
        assert_eq!(wire.frame().body, b"\0\0\0\x0b");
        wire.send(&message(b'p', &first));
    }
    let challenge = wire.frame();
    assert_eq!(challenge.body[..4], *b"\0\0\0\x0b");
    let (state, last) = state.server_first(&challenge.body[4..]).unwrap();
    wire.send(&message(b'p', &last));
    let frames = wire.until_ready();
    assert_eq!(frames[0].body[..4], *b"\0\0\0\x0c");
    state.server_final(&frames[0].body[4..]).unwrap();
    assert_eq!(frames[1].body, b"\0\0\0\0");
    assert_eq!(wire.value("select current_user"), "scrammed");
    frames
}

#[test]
fn fact_13_a_scram_client_gets_in_with_either_flag_and_without_an_initial_response() {
    let house = House::new(ASKING);
    for port in [cluster().port(), house.port()] {
        for binding in [Binding::Unsupported, Binding::Unoffered] {
            log_in(port, binding.clone(), true);
            log_in(port, binding, false);
        }
    }
}

#[test]
fn the_end_of_the_exchange_and_the_whole_welcome_come_in_one_piece() {
    let house = House::new(ASKING);
    log_in(house.port(), Binding::Unsupported, true);
    let mut wire = opened(house.port(), "scrammed");
    wire.frame();
    let (state, first) = client(Binding::Unsupported).first();
    wire.send(&initial(SCRAM, Some(&first)));
    let challenge = wire.frame();
    let (_, last) = state.server_first(&challenge.body[4..]).unwrap();
    wire.send(&message(b'p', &last));
    assert_eq!(wire.frame().body[..4], *b"\0\0\0\x0c");
    assert!(wire.has(b"Z\0\0\0\x05I"), "the rest came later");
}
