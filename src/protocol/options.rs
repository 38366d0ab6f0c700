//! `options` of a start-up packet: a command line, most often of settings.

use super::{Parameters, startup::EXTENSION};

/// Names of a packet that are no settings: as settings they could come from `options` alone.
const NO_SETTINGS: [&[u8]; 4] = [b"user", b"database", b"options", b"replication"];
/// Takes `options` apart: settings, and all of it again when some word is no setting.
///
/// Source: `pg_split_opts` and `process_postgres_switches` of the server.
pub fn read_options(options: &[u8]) -> (Parameters, Option<Vec<u8>>) {
    let mut parameters = Parameters::default();
    let mut whole = true;
    let mut words = split_words(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_slice() {
            b"-c" => words.next(),
            [b'-', b'c', setting @ ..] | [b'-', b'-', setting @ ..] => Some(setting.to_owned()),
            _ => None,
        };
        match setting.as_deref().and_then(split_setting) {
            Some((name, value)) => parameters.set(&name, value),
            None => whole = false,
        }
    }
    (parameters, (!whole).then(|| options.to_owned()))
}

fn split_setting(setting: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let at = setting.iter().position(|&byte| byte == b'=')?;
    let (name, value) = setting.split_at(at);
    let name: Vec<u8> = name
        .iter()
        .map(|&byte| if byte == b'-' { b'_' } else { byte })
        .collect();
    // In a packet of ours they would be no settings: the server is to see them where they stood.
    let is_setting = !NO_SETTINGS.contains(&&*name) && !name.starts_with(EXTENSION);
    (is_setting && !name.is_empty()).then_some((name, value.get(1..)?))
}

fn split_words(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = options.iter();
    while let Some(&byte) = bytes.next() {
        if byte.is_ascii_whitespace() || byte == 0x0b {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match byte {
            b'\\' => word.extend(bytes.next()),
            _ => word.push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn options_are_settings_in_all_their_spellings() {
        let (parameters, switches) =
            read_options(b"-c a=b  -cc=d --e-f=g=h -c g=with\\ space -c x=-c");
        let pairs: Vec<_> = parameters.iter().collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"a", b"b"),
            (b"c", b"d"),
            (b"e_f", b"g=h"),
            (b"g", b"with space"),
            (b"x", b"-c"),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(switches, None);
    }

    #[test]
    fn options_that_are_no_settings_are_kept_whole() {
        let (_, switches) = read_options(b"-c a=b -B 100");
        assert_eq!(switches.unwrap(), b"-c a=b -B 100");
    }

    #[test]
    fn empty_names_and_missing_values_end_no_loop_and_set_nothing() {
        for options in [&b"-c"[..], b"-c =x", b"--=", b"--", b"\\", b"-c a"] {
            let (parameters, switches) = read_options(options);
            assert!(parameters.is_empty() && switches.is_some());
        }
    }

    /// Else `options` could change whom we log in as.
    #[test]
    fn who_logs_in_where_is_never_said_by_options() {
        for options in [
            "-c user=a",
            "--database=b",
            "-creplication=1",
            "-c _pq_.x=1",
        ] {
            let (parameters, switches) = read_options(options.as_bytes());
            assert!(parameters.is_empty(), "{options}");
            assert_eq!(switches.unwrap(), options.as_bytes());
        }
    }
}
