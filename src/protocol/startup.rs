//! The first packet: untagged, and not always a start-up.

use super::{
    Parameters,
    frame::{put_cstr, split_cstr},
};

/// The longest start-up packet that a server takes, its length word included
/// (`MAX_STARTUP_PACKET_LENGTH` plus four).
pub const MAX_LEN: usize = 10_004;

/// The answer to a request for encryption that we do not have.
pub const NO_ENCRYPTION: &[u8] = b"N";

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;
const VERSION_3: u32 = 196_608;

/// What a first packet asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    Ssl,
    GssEncryption,
    Cancel { pid: i32, key: Vec<u8> },
    Startup(Startup),
}

/// A start-up: who, to which database, with which settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The minor protocol version asked for.
    pub minor: u32,
    pub user: Vec<u8>,
    /// `None`: not named, so the user's name.
    pub database: Option<Vec<u8>>,
    /// Whether a replication connection is asked for.
    pub replication: bool,
    /// Everything else that is a setting, `options` taken apart.
    pub parameters: Parameters,
    /// Words of `options` that are no settings; only a connection of one's own can have them.
    pub switches: Option<Vec<u8>>,
    /// `_pq_.` options that we do not know.
    pub extensions: Vec<Vec<u8>>,
}

/// Why a first packet is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("invalid length of startup packet")]
    Length,
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0")]
    Version { major: u32, minor: u32 },
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("invalid length of query cancel packet")]
    CancelLength,
}

/// The length of the packet that begins here; `None`: fewer than four bytes are here.
pub fn len(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    let Some(word) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*word) as usize;
    if (8..=MAX_LEN).contains(&len) {
        Ok(Some(len))
    } else {
        Err(Refused::Length)
    }
}

/// Reads a whole first packet, its length word included.
pub fn read(packet: &[u8]) -> Result<First, Refused> {
    let (&[_, _, _, _, a, b, c, d], rest) =
        packet.split_first_chunk::<8>().ok_or(Refused::Length)?;
    match u32::from_be_bytes([a, b, c, d]) {
        SSL => Ok(First::Ssl),
        GSSENC => Ok(First::GssEncryption),
        CANCEL => cancel(rest),
        version if version >> 16 == 3 => startup(version & 0xffff, rest).map(First::Startup),
        version => Err(Refused::Version {
            major: version >> 16,
            minor: version & 0xffff,
        }),
    }
}

fn cancel(rest: &[u8]) -> Result<First, Refused> {
    match rest.split_first_chunk::<4>() {
        Some((pid, key)) if (4..=256).contains(&key.len()) => Ok(First::Cancel {
            pid: i32::from_be_bytes(*pid),
            key: key.to_owned(),
        }),
        _ => Err(Refused::CancelLength),
    }
}

fn startup(minor: u32, mut rest: &[u8]) -> Result<Startup, Refused> {
    let mut startup = Startup {
        minor,
        user: Vec::new(),
        database: None,
        replication: false,
        parameters: Parameters::default(),
        switches: None,
        extensions: Vec::new(),
    };
    let mut options = None;
    let mut settings = Vec::new();
    loop {
        let (name, after) = split_cstr(rest).ok_or(Refused::Layout)?;
        if name.is_empty() {
            if !after.is_empty() {
                return Err(Refused::Layout);
            }
            break;
        }
        let (value, after) = split_cstr(after).ok_or(Refused::Layout)?;
        rest = after;
        match name {
            b"user" => value.clone_into(&mut startup.user),
            b"database" => startup.database = Some(value.to_owned()),
            b"replication" => {
                startup.replication = !matches!(value, b"false" | b"off" | b"no" | b"0")
            }
            b"options" => options = Some(value),
            _ if name.starts_with(b"_pq_.") => startup.extensions.push(name.to_owned()),
            _ => settings.push((name, value)),
        }
    }
    if startup.user.is_empty() {
        return Err(Refused::NoUser);
    }
    startup.database = startup.database.filter(|name| !name.is_empty());
    if let Some(options) = options {
        let (parameters, switches) = read_options(options);
        startup.parameters = parameters;
        startup.switches = switches;
    }
    // As in the server (`process_startup_options`): what the packet names wins over `options`.
    for (name, value) in settings {
        startup.parameters.set(name, value);
    }
    Ok(startup)
}

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
    (!name.is_empty()).then_some((name, value.get(1..)?))
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

/// Appends a start-up packet of protocol 3.0.
pub fn put<'a>(out: &mut Vec<u8>, parameters: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    put_untagged(out, VERSION_3, |out| {
        for (name, value) in parameters {
            put_cstr(out, name);
            put_cstr(out, value);
        }
        out.push(0);
    });
}

/// Appends a CancelRequest.
pub fn put_cancel(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    put_untagged(out, CANCEL, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

fn put_untagged(out: &mut Vec<u8>, code: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&code.to_be_bytes());
    fill(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start..start + 4) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test")]
mod tests {
    use super::*;

    fn packet(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        put(
            &mut out,
            pairs
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        out
    }

    fn startup_of(pairs: &[(&str, &str)]) -> Startup {
        match read(&packet(pairs)).unwrap() {
            First::Startup(startup) => startup,
            First::Ssl | First::GssEncryption | First::Cancel { .. } => panic!("no start-up"),
        }
    }

    #[test]
    fn a_startup_names_user_database_and_settings() {
        let startup = startup_of(&[("user", "a"), ("database", "d"), ("DateStyle", "German")]);
        assert_eq!(startup.user, b"a");
        assert_eq!(startup.database.unwrap(), b"d");
        assert_eq!(startup.parameters.get(b"datestyle"), Some(&b"German"[..]));
    }

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

    #[test]
    fn a_setting_of_the_packet_wins_over_options() {
        let startup = startup_of(&[
            ("user", "a"),
            ("work_mem", "1MB"),
            ("options", "-c work_mem=2MB"),
        ]);
        assert_eq!(startup.parameters.get(b"work_mem"), Some(&b"1MB"[..]));
    }

    #[test]
    fn packets_that_no_server_takes_are_refused() {
        assert_eq!(len(&[0, 0, 0, 7]), Err(Refused::Length));
        assert_eq!(len(&[0, 0, 0x27, 0x15]), Err(Refused::Length));
        assert_eq!(read(&packet(&[("database", "d")])), Err(Refused::NoUser));
        let mut cut = packet(&[("user", "a")]);
        cut.pop();
        assert_eq!(read(&cut), Err(Refused::Layout));
        assert!(matches!(
            read(&[0, 0, 0, 8, 0, 2, 0, 0]),
            Err(Refused::Version { major: 2, minor: 0 })
        ));
    }

    #[test]
    fn a_cancel_carries_its_key() {
        let mut out = Vec::new();
        put_cancel(&mut out, 42, &[1, 2, 3, 4]);
        assert_eq!(
            read(&out),
            Ok(First::Cancel {
                pid: 42,
                key: vec![1, 2, 3, 4]
            })
        );
    }
}
