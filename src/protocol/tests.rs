//! Bytes of any kind: every reader says what they are, and none falls over them.

use proptest::{collection::vec, prelude::*};

use super::{backend, frame, frontend, notice, options, startup};

/// Bytes among which lengths, terminators and tags are common.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(0_u8),
        2 => prop::sample::select(b"QPBDECSHFdcfXpRTZKNv=-\\ \x16".to_vec()),
        3 => any::<u8>(),
    ];
    vec(byte, 0..120)
}

proptest! {
    #[test]
    fn a_header_is_read_from_five_bytes_and_from_nothing_behind_them(bytes in bytes()) {
        let header = frame::peek(&bytes);
        let five = bytes.get(..frame::HEADER).unwrap_or(&bytes);
        prop_assert_eq!(&header, &frame::peek(five));
        if let Ok(Some(header)) = header {
            prop_assert!((frame::HEADER..=0x8000_0000).contains(&header.len));
        }
    }

    #[test]
    fn what_is_read_of_a_message_is_written_again_as_it_was(body in bytes()) {
        let mut out = Vec::new();
        if let Some((name, rest)) = frontend::parse(&body) {
            frontend::put_parse(&mut out, name, rest);
            prop_assert_eq!(backend::body(&out), &*body);
        }
        out.clear();
        if let Some((portal, statement, rest)) = frontend::bind(&body) {
            frontend::put_bind(&mut out, portal, statement, rest);
            prop_assert_eq!(backend::body(&out), &*body);
        }
        out.clear();
        if let Some((frontend::Target::Statement, name)) = frontend::target(&body) {
            frontend::put_describe_statement(&mut out, name);
            prop_assert_eq!(backend::body(&out), &*body);
        }
        out.clear();
        notice::put_renamed(&mut out, &[b"E....", &*body].concat(), b"\0\0", b"\0\0");
        prop_assert_eq!(backend::body(&out), &*body);
    }

    #[test]
    fn no_reader_falls_over_any_bytes(bytes in bytes()) {
        let _ = (frontend::text(&bytes), frontend::execute(&bytes));
        let _ = (backend::parameter_status(&bytes), backend::challenge(&bytes));
        let _ = (backend::key_data(&bytes), backend::Status::of(&bytes));
        let _ = (notice::sqlstate(&bytes), notice::message(&bytes), notice::is_fatal(&bytes));
        notice::put_error_as_fatal(&mut Vec::new(), &bytes);
        let _ = (startup::len(&bytes), startup::read(&bytes));
        // All that `options` may hold ends, and what is no setting is kept.
        let (parameters, switches) = options::read_options(&bytes);
        prop_assert!(parameters.len() <= bytes.len());
        prop_assert!(switches.is_none_or(|switches| switches == bytes));
    }

    #[test]
    fn a_start_up_of_any_pairs_is_read_back(
        pairs in vec(("[a-z]{1,8}", "[ -~]{0,12}"), 0..8),
        cut in 0_usize..400,
    ) {
        let mut packet = Vec::new();
        let who = [("user".to_owned(), "somebody".to_owned())];
        let pairs: Vec<_> = pairs.into_iter().chain(who).collect();
        let written = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        startup::put(&mut packet, 0, written);
        prop_assert_eq!(startup::len(&packet), Ok(Some(packet.len())));
        let read = startup::read(&packet);
        prop_assert!(matches!(read, Ok(startup::First::Startup(_))), "{:?}", read);
        // A part of it is no start-up.
        if let Some(part) = packet.get(..cut).filter(|part| part.len() < packet.len()) {
            prop_assert!(startup::read(part).is_err());
        }
    }
}
