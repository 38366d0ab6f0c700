//! The promises of a whole exchange.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "here a broken step is a failed test"
)]

use postgres_protocol::authentication::sasl;
use postgres_protocol::password;
use proptest::prelude::*;

use super::*;
use crate::auth::Secret;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn pencil() -> Credential {
    Credential::Password(secret("pencil"))
}

fn nonce(text: &str) -> Nonce {
    Nonce::parse(text).unwrap()
}

fn recipe(iterations: u32) -> Recipe {
    Recipe::new(b"sixteen bytes of".to_vec(), iterations).unwrap()
}

fn verifier(password: &str) -> Verifier {
    Verifier::from(&Keys::derive(&secret(password), recipe(2)))
}

/// A client that has begun, with the nonce of the RFC's example.
fn begun(credential: Credential) -> AwaitServerFirst {
    Client::new(credential, nonce(NONCE)).first().0
}

/// What a client says to this server-first-message.
fn verdict_on_first(message: &str) -> Error {
    begun(pencil()).challenge(message.as_bytes()).unwrap_err()
}

/// A client of the RFC's example that has sent its proof.
fn proven() -> AwaitServerFinal {
    let (first, _) = Client::new(pencil(), nonce(NONCE)).named("user").first();
    first.server_first(SERVER_FIRST.as_bytes()).unwrap().0
}

fn verdict_on_final(message: &str) -> Error {
    proven().server_final(message.as_bytes()).unwrap_err()
}

/// A whole exchange between both of our sides.
fn log_in(credential: Credential, verifier: Verifier) -> Result<(Keys, Keys), Error> {
    let (first, message) = Client::new(credential, nonce("abc")).first();
    let (server, message) = Server::new(verifier, nonce("xyz")).client_first(&message)?;
    let (last, message) = first.server_first(&message)?;
    let (passed_through, message) = server.client_final(&message)?;
    Ok((last.server_final(&message)?, passed_through))
}

#[test]
fn the_client_speaks_the_example_of_rfc_7677() {
    let (first, message) = Client::new(pencil(), nonce(NONCE)).named("user").first();
    assert_eq!(message, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let (last, message) = first.server_first(SERVER_FIRST.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(message).unwrap(), CLIENT_FINAL);
    last.server_final(SERVER_FINAL.as_bytes()).unwrap();
}

#[test]
fn the_server_speaks_the_example_of_rfc_7677() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = Keys::derive(&secret("pencil"), Recipe::new(salt, 4096).unwrap());
    let server = Server::new(Verifier::from(&keys), nonce(SERVER_NONCE));
    let (server, message) = server
        .client_first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        .unwrap();
    assert_eq!(String::from_utf8(message).unwrap(), SERVER_FIRST);
    let (_, message) = server.client_final(CLIENT_FINAL.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(message).unwrap(), SERVER_FINAL);
}

#[test]
fn to_postgres_the_client_sends_no_name() {
    let (_, message) = Client::new(pencil(), Nonce::from_random([0; 18])).first();
    assert_eq!(message, b"n,,n=,r=AAAAAAAAAAAAAAAAAAAAAAAA");
}

#[test]
fn client_and_server_agree_with_each_other() {
    assert!(log_in(pencil(), verifier("pencil")).is_ok());
    assert_eq!(
        log_in(pencil(), verifier("pen")).unwrap_err(),
        Error::WrongProof
    );
}

#[test]
fn the_client_sends_the_very_bytes_of_postgres_protocol() {
    let hash = b"hash of a certificate".to_vec();
    for (theirs, ours) in [
        (sasl::ChannelBinding::unsupported(), Binding::Unsupported),
        (sasl::ChannelBinding::unrequested(), Binding::Unoffered),
        (
            sasl::ChannelBinding::tls_server_end_point(hash.clone()),
            Binding::ServerEndPoint(hash.clone()),
        ),
    ] {
        let mut reference = sasl::ScramSha256::new(b"pa\xc2\xa0ss", theirs);
        let begun = core::str::from_utf8(reference.message()).unwrap();
        let client_nonce = begun.rsplit_once("r=").unwrap().1.to_owned();
        let password = Credential::Password(secret("pa\u{a0}ss"));
        let (first, message) = Client::new(password, nonce(&client_nonce))
            .bound(ours)
            .first();
        assert_eq!(message, reference.message());

        let server_first = format!("r={client_nonce}more,s=c2FsdA==,i=16");
        reference.update(server_first.as_bytes()).unwrap();
        let (_, message) = first.server_first(server_first.as_bytes()).unwrap();
        assert_eq!(message, reference.message());
    }
}

#[test]
fn the_server_lets_postgres_protocol_in_and_convinces_it() {
    for binding in [
        sasl::ChannelBinding::unsupported(),
        sasl::ChannelBinding::unrequested(),
    ] {
        let mut client = sasl::ScramSha256::new(b"pencil", binding);
        let server = Server::new(verifier("pencil"), nonce("xyz"));
        let (server, message) = server.client_first(client.message()).unwrap();
        client.update(&message).unwrap();
        let (_, message) = server.client_final(client.message()).unwrap();
        client.finish(&message).unwrap();
    }
}

#[test]
fn verifiers_are_those_of_postgres_protocol() {
    for text in ["pencil", "", "p\u{e4}ss", "\u{2168}", "a\u{ad}b", "\u{7}"] {
        let theirs = password::scram_sha_256(text.as_bytes());
        let parsed = Verifier::parse(&theirs).unwrap();
        assert_eq!(*parsed.to_text(), theirs);
        let keys = Keys::derive(&secret(text), parsed.recipe().clone());
        assert_eq!(*Verifier::from(&keys).to_text(), theirs);
    }
}

#[test]
fn what_is_no_verifier_is_refused() {
    let whole = verifier("pencil").to_text();
    for broken in [
        "",
        "pencil",
        "md562af4dd09bbb41884907a838a3233294",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256$2:c2FsdA==",
        "SCRAM-SHA-256$2$c2FsdA==:c2FsdA==",
        "SCRAM-SHA-256$2:c2FsdA==$c2FsdA==:c2FsdA==",
        &whole[..whole.len() - 1],
        &format!("{}=", *whole),
        &whole.replace("256$", "512$"),
    ] {
        let error = Verifier::parse(broken).unwrap_err();
        assert_eq!(error, Error::NotAVerifier, "{broken}");
    }
    let none = whole.replace("$2:", "$0:");
    assert_eq!(Verifier::parse(&none).unwrap_err(), Error::Iterations);
}

#[test]
fn keys_of_an_earlier_login_spare_the_work() {
    let (keys, _) = log_in(pencil(), verifier("pencil")).unwrap();
    let remembered = |keys: &Keys| Credential::Remembered {
        // The keys alone must do: this password is not the one.
        password: secret("not looked at"),
        keys: keys.clone(),
    };
    assert!(log_in(remembered(&keys), verifier("pencil")).is_ok());
    assert!(log_in(Credential::Keys(keys), verifier("pencil")).is_ok());
}

#[test]
fn the_challenge_tells_what_the_answer_costs() {
    let here = Keys::derive(&secret("pencil"), recipe(2));
    let salt = STANDARD.encode(recipe(2).salt());
    let asked = |credential: Credential, iterations: u32| {
        let message = format!("r={NONCE}x,s={salt},i={iterations}");
        let challenge = begun(credential).challenge(message.as_bytes()).unwrap();
        challenge.work()
    };
    assert_eq!(asked(pencil(), 2), 2);
    assert_eq!(asked(Credential::Keys(here.clone()), 2), 0);
    let password = secret("pencil");
    let remembered = Credential::Remembered {
        password,
        keys: here,
    };
    assert_eq!(asked(remembered.clone(), 2), 0);
    assert_eq!(asked(remembered, 3), 3);
}

#[test]
fn keys_of_another_recipe_give_way_to_the_password() {
    let other = Keys::derive(&secret("pencil"), recipe(3));
    let remembered = Credential::Remembered {
        password: secret("pencil"),
        keys: other.clone(),
    };
    let (fresh, _) = log_in(remembered, verifier("pencil")).unwrap();
    assert_eq!(fresh.recipe(), &recipe(2));
    assert_eq!(
        log_in(Credential::Keys(other), verifier("pencil")).unwrap_err(),
        Error::KeysDoNotFit
    );
}

#[test]
fn the_keys_of_a_client_that_was_let_in_log_in_elsewhere() {
    let (_, passed_through) = log_in(pencil(), verifier("pencil")).unwrap();
    let elsewhere = Credential::Keys(passed_through);
    assert!(log_in(elsewhere, verifier("pencil")).is_ok());
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    let whole = STANDARD.decode(&SERVER_FINAL[2..]).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut tampered = whole.clone();
        tampered[bit / 8] ^= 1 << (bit % 8);
        let message = format!("v={}", STANDARD.encode(tampered));
        assert_eq!(verdict_on_final(&message), Error::WrongSignature);
    }
    let short = STANDARD.encode(&whole[..31]);
    for signature in ["", &short, "AAAA"] {
        let message = format!("v={signature}");
        assert_eq!(verdict_on_final(&message), Error::WrongSignature);
    }
}

#[test]
fn a_refusal_is_told_by_its_name() {
    for (message, refusal) in [
        ("e=invalid-proof", Refusal::InvalidProof),
        ("e=unknown-user", Refusal::UnknownUser),
        ("e=other-error", Refusal::Other),
        ("e=", Refusal::Other),
        ("e=\u{1b}[31mred", Refusal::Other),
    ] {
        assert_eq!(verdict_on_final(message), Error::Refused(refusal));
    }
}

#[test]
fn a_final_message_with_missing_or_further_parts_is_refused() {
    assert_eq!(verdict_on_final(""), Error::Missing('v'));
    assert_eq!(verdict_on_final("x=1"), Error::Missing('v'));
    assert_eq!(verdict_on_final("v=***"), Error::NotBase64('v'));
    assert_eq!(verdict_on_final("m=1,v=AAAA"), Error::MandatoryExtension);
    let more = format!("{SERVER_FINAL},x=1");
    assert_eq!(verdict_on_final(&more), Error::Trailing);
}

#[test]
fn a_nonce_that_does_not_continue_ours_is_refused() {
    let with = |nonce: &str| verdict_on_first(&format!("r={nonce},s=c2FsdA==,i=4096"));
    assert_eq!(with("another"), Error::NonceForeign);
    assert_eq!(with(&NONCE[1..]), Error::NonceForeign);
    assert_eq!(with(&NONCE.to_lowercase()), Error::NonceForeign);
    assert_eq!(with(""), Error::NonceMalformed);
    assert_eq!(with("rOprNGfwEbeRWgbNEkqO\u{e4}"), Error::NonceMalformed);
    let endless = format!("{NONCE}{}", "x".repeat(1005));
    assert_eq!(with(&endless), Error::NonceTooLong { length: 1025 });
}

#[test]
fn an_iteration_count_outside_the_limits_costs_nothing() {
    let with = |count: &str| verdict_on_first(&format!("r={NONCE}x,s=c2FsdA==,i={count}"));
    for count in [
        "",
        "0",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1e3",
        "0x10",
        "1000001",
        "2147483647",
        "4294967296",
        "4294967297",
        "99999999999999999999999999999",
        "\u{661}",
    ] {
        assert_eq!(with(count), Error::Iterations, "{count:?}");
    }
}

#[test]
fn a_salt_outside_the_limits_is_refused() {
    let with = |salt: &[u8]| {
        let salt = STANDARD.encode(salt);
        begun(pencil()).challenge(format!("r={NONCE}x,s={salt},i=1").as_bytes())
    };
    assert_eq!(with(b"").unwrap_err(), Error::SaltLength { length: 0 });
    assert!(with(&[7; 1024]).is_ok());
    let long = with(&[7; 1025]).unwrap_err();
    assert_eq!(long, Error::SaltLength { length: 1025 });
    let odd = verdict_on_first(&format!("r={NONCE}x,s=c2FsdA,i=1"));
    assert_eq!(odd, Error::NotBase64('s'));
}

#[test]
fn a_first_message_with_missing_or_further_parts_is_refused() {
    let of = |text: &str| verdict_on_first(&text.replace('N', NONCE));
    assert_eq!(of(""), Error::Missing('r'));
    assert_eq!(of("r"), Error::Missing('r'));
    assert_eq!(of("s=c2FsdA==,i=1"), Error::Missing('r'));
    assert_eq!(of("r=N"), Error::Missing('s'));
    assert_eq!(of("r=N,i=1"), Error::Missing('s'));
    assert_eq!(of("r=N,s=c2FsdA=="), Error::Missing('i'));
    assert_eq!(of("r=N,i=1,s=c2FsdA=="), Error::Missing('s'));
    assert_eq!(of("r=N,s=c2FsdA==,i=1,"), Error::Trailing);
    assert_eq!(of("r=N,s=c2FsdA==,i=1,x=y"), Error::Trailing);
}

#[test]
fn a_mandatory_extension_is_refused_on_both_sides() {
    let first = format!("m=ext,r={NONCE}x,s=c2FsdA==,i=1");
    assert_eq!(verdict_on_first(&first), Error::MandatoryExtension);
    let server = Server::new(verifier("pencil"), nonce("xyz"));
    assert_eq!(
        server.client_first(b"n,,m=ext,n=,r=abc").unwrap_err(),
        Error::MandatoryExtension
    );
}

#[test]
fn a_message_beyond_64_kib_is_not_read() {
    let long = vec![b'r'; MAX_MESSAGE + 1];
    let too_long = Error::MessageTooLong { length: long.len() };
    assert_eq!(begun(pencil()).challenge(&long).unwrap_err(), too_long);
    assert_eq!(proven().server_final(&long).unwrap_err(), too_long);
    let server = Server::new(verifier("pencil"), nonce("xyz"));
    assert_eq!(server.client_first(&long).unwrap_err(), too_long);
    let not_text = begun(pencil()).challenge(b"r=\xff");
    assert_eq!(not_text.unwrap_err(), Error::NotUtf8);
}

#[test]
fn the_server_knows_the_gs2_headers_of_postgres_and_no_others() {
    let of = |text: &str| {
        let server = Server::new(verifier("pencil"), nonce("xyz"));
        server.client_first(text.as_bytes()).map(drop)
    };
    assert_eq!(of("n,,n=,r=abc"), Ok(()));
    assert_eq!(of("y,,n=somebody,r=abc"), Ok(()));
    assert_eq!(of("n,,n=,r=abc,x=optional"), Ok(()));
    assert_eq!(of("n,,n=,r=abc,optional"), Err(Error::Trailing));
    assert_eq!(of("n,a=other,n=,r=abc"), Err(Error::AuthorizationIdentity));
    let bound = of("p=tls-server-end-point,,n=,r=abc");
    assert_eq!(bound, Err(Error::BindingNotOffered));
    for broken in ["", "n", "n,", "z,,n=,r=abc", "n,b,n=,r=abc"] {
        assert_eq!(of(broken), Err(Error::Gs2Header), "{broken}");
    }
    assert_eq!(of("n,,r=abc"), Err(Error::Missing('n')));
    assert_eq!(of("n,,n="), Err(Error::Missing('r')));
    assert_eq!(of("n,,n=,r="), Err(Error::NonceMalformed));
}

#[test]
fn the_server_binds_a_login_to_its_own_channel_and_sees_when_the_offer_was_removed() {
    let hash = vec![7; 32];
    let offering = || Server::new(verifier("pencil"), nonce("xyz")).offering(Some(hash.clone()));
    assert_eq!(offering().mechanisms(), [MECHANISM_PLUS, MECHANISM]);
    let plain = Server::new(verifier("pencil"), nonce("xyz"));
    assert!(plain.chosen(MECHANISM_PLUS.as_bytes()).is_none());
    let first = |mechanism: &str, text: &str| {
        let server = offering().chosen(mechanism.as_bytes()).unwrap();
        server.client_first(text.as_bytes()).map(|(next, _)| next)
    };
    let refused = |mechanism, text| first(mechanism, text).map(drop).unwrap_err();
    let bound = "p=tls-server-end-point,,n=,r=abc";
    assert_eq!(refused(MECHANISM, "y,,n=,r=abc"), Error::BindingRemoved);
    assert_eq!(refused(MECHANISM, bound), Error::BindingNotOffered);
    assert_eq!(
        refused(MECHANISM_PLUS, "n,,n=,r=abc"),
        Error::BindingMissing
    );
    assert_eq!(
        refused(MECHANISM_PLUS, "y,,n=,r=abc"),
        Error::BindingMissing
    );
    let unknown = "p=tls-unique,,n=,r=abc";
    assert_eq!(refused(MECHANISM_PLUS, unknown), Error::BindingUnknown);
    // Not wanting to is allowed.
    assert!(first(MECHANISM, "n,,n=,r=abc").is_ok());
    let last = |hash: Vec<u8>| {
        let binding = Binding::ServerEndPoint(hash).attribute();
        let proof = STANDARD.encode([0; 32]);
        let text = format!("c={binding},r=abcxyz,p={proof}");
        let server = first(MECHANISM_PLUS, bound).unwrap();
        server.client_final(text.as_bytes()).map(drop).unwrap_err()
    };
    assert_eq!(last(vec![8; 32]), Error::BindingWrong);
    assert_eq!(last(hash.clone()), Error::WrongProof);
}

#[test]
fn the_server_takes_the_final_message_of_this_exchange_alone() {
    let of = |text: &str| {
        let server = Server::new(verifier("pencil"), nonce("xyz"));
        let (server, _) = server.client_first(b"n,,n=,r=abc").unwrap();
        server.client_final(text.as_bytes()).map(drop).unwrap_err()
    };
    let proof = STANDARD.encode([0; 32]);
    assert_eq!(of(&format!("c=biws,r=abcxyz,p={proof}")), Error::WrongProof);
    assert_eq!(of("c=biws,r=abcxyz,p=AAAA"), Error::ProofLength);
    assert_eq!(of("c=biws,r=abcxyz,p=*"), Error::NotBase64('p'));
    assert_eq!(of("c=biws,r=abcxyz"), Error::Missing('p'));
    assert_eq!(
        of(&format!("c=eSws,r=abcxyz,p={proof}")),
        Error::BindingDiffers
    );
    assert_eq!(
        of(&format!("c=biws,r=abcxy,p={proof}")),
        Error::NonceForeign
    );
    assert_eq!(of(&format!("r=abcxyz,p={proof}")), Error::Missing('c'));
}

#[test]
fn a_user_who_does_not_exist_meets_the_same_salt_every_time() {
    let seed = [7; 32];
    let salt = |user: &str| Verifier::mock(&seed, user).recipe().clone();
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_ne!(salt("nobody"), salt("somebody"));
    assert_eq!(salt("nobody").salt().len(), 16);
    assert_eq!(salt("nobody").iterations(), DEFAULT_ITERATIONS);
    let refused = log_in(pencil(), Verifier::mock(&seed, "nobody"));
    assert_eq!(refused.unwrap_err(), Error::WrongProof);
}

#[test]
fn nothing_secret_is_ever_shown() {
    let keys = Keys::derive(&secret("pencil"), recipe(2));
    let remembered = Credential::Remembered {
        password: secret("pencil"),
        keys: keys.clone(),
    };
    let shown = format!(
        "{keys:?} {:?} {remembered:?} {:?} {:?} {:?}",
        verifier("pencil"),
        Client::new(pencil(), nonce(NONCE)),
        begun(Credential::Keys(keys.clone())),
        proven(),
    );
    assert!(!shown.contains("pencil"), "{shown}");
    // An array of bytes shows as a list of numbers.
    for key in [keys.stored(), keys.server().clone()] {
        assert!(
            !shown.contains(&format!("{}, {}", key[0], key[1])),
            "{shown}"
        );
    }
}

/// Bytes of all kinds, and texts that look like messages.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(NONCE.to_owned()),
        Just(format!("{NONCE}x")),
        Just("c2FsdA==".to_owned()),
        Just("biws".to_owned()),
        (0u32..4).prop_map(|count| count.to_string()),
        any::<u64>().prop_map(|count| count.to_string()),
        ".{0,12}",
    ];
    let attribute = ("[rsivecnmpa]", value).prop_map(|(name, value)| format!("{name}={value}"));
    let attributes = prop::collection::vec(attribute, 0..6).prop_map(|all| all.join(","));
    let header = prop_oneof![Just(""), Just("n,,"), Just("y,,"), Just("p=x,,")];
    let texts = (header, attributes).prop_map(|(header, rest)| format!("{header}{rest}").into());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), texts]
}

proptest! {
    #[test]
    fn no_bytes_bring_a_client_down(bytes in message()) {
        // The work itself is not this test's: a count that is allowed may take a second.
        let _ = begun(pencil()).challenge(&bytes);
        let keys = Credential::Keys(Keys::derive(&secret("pencil"), recipe(2)));
        let _ = begun(keys.clone()).server_first(&bytes);
        let first = format!("r={NONCE}x,s={},i=2", STANDARD.encode(recipe(2).salt()));
        let (last, _) = begun(keys).server_first(first.as_bytes()).unwrap();
        prop_assert!(last.server_final(&bytes).is_err());
    }

    #[test]
    fn no_bytes_bring_a_server_down(bytes in message()) {
        let server = || Server::new(Verifier::mock(&[7; 32], "nobody"), nonce("xyz"));
        let _ = server().client_first(&bytes);
        let (last, _) = server().client_first(b"n,,n=,r=abc").unwrap();
        prop_assert!(last.client_final(&bytes).is_err());
    }

    #[test]
    fn no_text_brings_the_reader_of_verifiers_down(text in ".*", tail in "[0-9:$A-Za-z+/=]*") {
        let _ = Verifier::parse(&text);
        let _ = Verifier::parse(&format!("SCRAM-SHA-256${tail}"));
    }

    #[test]
    fn every_password_logs_in_against_its_own_verifier(password: String) {
        let credential = Credential::Password(secret(&password));
        prop_assert!(log_in(credential, verifier(&password)).is_ok());
    }
}
