//! The first packet: untagged, and not always a start-up.

use super::{
    Parameters,
    frame::{put_cstr, split_cstr},
    notice::put_error_of_protocol_2,
    options::read_options,
};

/// The longest start-up packet that a server takes, its length word included
/// (`MAX_STARTUP_PACKET_LENGTH` plus four).
pub const MAX_LEN: usize = 10_004;

/// The newest minor version of protocol 3 that is spoken here, with clients and with backends.
pub const NEWEST_MINOR: u32 = 2;

/// The lengths that a cancel key may have.
pub const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 4..=256;

/// The answer to a request for encryption that we do not have.
pub const NO_ENCRYPTION: &[u8] = b"N";

/// The answer to a request for TLS that begins with the next byte.
pub const TLS_BEGINS: &[u8] = b"S";

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;
/// The major version that is spoken here; the upper half of a version.
const MAJOR: u32 = 3 << 16;

/// What a protocol option's name begins with.
pub(super) const EXTENSION: &[u8] = b"_pq_.";

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
    /// A replication connection is asked for, in these words.
    pub replication: Option<Replication>,
    /// Everything else that is a setting, `options` taken apart.
    pub parameters: Parameters,
    /// Words of `options` that are no settings; only a connection of one's own can have them.
    pub switches: Option<Vec<u8>>,
    /// `_pq_.` options that we do not know.
    pub extensions: Vec<Vec<u8>>,
}

impl Startup {
    /// The minor version to speak with this client: the one asked for, if it is known.
    pub fn spoken(&self) -> u32 {
        self.minor.min(NEWEST_MINOR)
    }

    /// Appends a NegotiateProtocolVersion, where something was asked for that is not known.
    pub fn negotiate(&self, out: &mut Vec<u8>) {
        if self.minor > NEWEST_MINOR || !self.extensions.is_empty() {
            let version = MAJOR | self.spoken();
            super::backend::put_negotiate_version(out, version, &self.extensions);
        }
    }

    /// Takes a setting, or the settings of these `options`, where the client has none of its own.
    pub fn default_to(&mut self, name: &[u8], value: &[u8]) {
        if name != b"options" {
            if self.parameters.get(name).is_none() {
                self.parameters.set(name, value);
            }
            return;
        }
        let (parameters, switches) = read_options(value);
        for (name, value) in parameters.iter() {
            if self.parameters.get(name).is_none() {
                self.parameters.set(name, value);
            }
        }
        self.switches = self.switches.take().or(switches);
    }
}

/// Which kind of replication connection is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// Of the whole server; a database that is named means nothing.
    Physical,
    /// Of one database.
    Logical,
}

impl Replication {
    /// As a start-up packet says it.
    pub fn value(&self) -> &'static [u8] {
        match self {
            Self::Physical => b"true",
            Self::Logical => b"database",
        }
    }
}

/// Whether this is a version of protocol 3 with a minor part up to `minor`.
pub fn is_at_most(version: u32, minor: u32) -> bool {
    (MAJOR..=MAJOR | minor).contains(&version)
}

/// Why a first packet is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("invalid length of startup packet")]
    Length,
    #[error(
        "unsupported frontend protocol {}.{}: server supports 3.0 to 3.{NEWEST_MINOR}",
        .0 >> 16,
        .0 & 0xffff
    )]
    Version(u32),
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("invalid value for parameter \"replication\": \"{0}\"")]
    Replication(String),
    #[error("received unencrypted data after {0} request")]
    Unencrypted(&'static str),
    #[error("invalid length of query cancel packet")]
    CancelLength,
}

impl Refused {
    /// A request for encryption that came where none may come any more: no version of ours.
    pub const SECOND_SSL: Self = Self::Version(SSL);
    pub const SECOND_GSSENC: Self = Self::Version(GSSENC);

    /// Whether the server closes the connection without an answer.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Length | Self::CancelLength)
    }

    /// Appends what a client of a version before 3 understands; `false`: it is none.
    pub fn put_of_protocol_2(&self, out: &mut Vec<u8>) -> bool {
        let old = matches!(self, Self::Version(1..MAJOR));
        if old {
            put_error_of_protocol_2(out, &self.to_string());
        }
        old
    }

    pub fn detail(&self) -> Option<&'static str> {
        matches!(self, Self::Unencrypted(_)).then_some(
            "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
        )
    }

    pub fn hint(&self) -> Option<&'static str> {
        matches!(self, Self::Replication(_))
            .then_some("Valid values are: \"false\", 0, \"true\", 1, \"database\".")
    }
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
        version => Err(Refused::Version(version)),
    }
}

fn cancel(rest: &[u8]) -> Result<First, Refused> {
    match rest.split_first_chunk::<4>() {
        Some((pid, key)) if KEY_LENGTHS.contains(&key.len()) => Ok(First::Cancel {
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
        replication: None,
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
            b"replication" => startup.replication = replication(value)?,
            b"options" => options = Some(value),
            _ if name.starts_with(EXTENSION) => startup.extensions.push(name.to_owned()),
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

/// Reads the value of `replication`: `database`, or a boolean as the server reads one.
///
/// Source: `ProcessStartupPacket` and `parse_bool` of the server.
fn replication(value: &[u8]) -> Result<Option<Replication>, Refused> {
    let begins = |word: &[u8], least: usize| {
        (least..=word.len()).contains(&value.len())
            && word
                .get(..value.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(value))
    };
    let is_one_of =
        |words: &[(&[u8], usize)]| words.iter().any(|(word, least)| begins(word, *least));
    if value == b"database" {
        Ok(Some(Replication::Logical))
    } else if is_one_of(&[(b"true", 1), (b"yes", 1), (b"on", 2), (b"1", 1)]) {
        Ok(Some(Replication::Physical))
    } else if is_one_of(&[(b"false", 1), (b"no", 1), (b"off", 2), (b"0", 1)]) {
        Ok(None)
    } else {
        let value = String::from_utf8_lossy(value).into_owned();
        Err(Refused::Replication(value))
    }
}

/// Appends a start-up packet of protocol 3 and this minor version.
pub fn put<'a>(
    out: &mut Vec<u8>,
    minor: u32,
    parameters: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    put_untagged(out, MAJOR | minor, |out| {
        for (name, value) in parameters {
            put_cstr(out, name);
            put_cstr(out, value);
        }
        out.push(0);
    });
}

/// A request for TLS.
pub fn ssl_request() -> [u8; 8] {
    let [a, b, c, d] = SSL.to_be_bytes();
    [0, 0, 0, 8, a, b, c, d]
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
            0,
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
        let old = read(&[0, 0, 0, 8, 0, 2, 0, 0]).unwrap_err();
        assert_eq!(old, Refused::Version(2 << 16));
        assert!(
            old.to_string()
                .starts_with("unsupported frontend protocol 2.0: ")
        );
    }

    #[test]
    fn the_version_spoken_is_the_one_asked_for_or_the_newest_known() {
        let told = |minor, extensions: &[&[u8]]| {
            let mut startup = startup_of(&[("user", "a")]);
            startup.minor = minor;
            startup.extensions = extensions.iter().map(|one| one.to_vec()).collect();
            let mut out = Vec::new();
            startup.negotiate(&mut out);
            out.get(5..9).map(|version| version.to_vec())
        };
        for minor in 0..=2 {
            assert_eq!(told(minor, &[]), None);
        }
        assert_eq!(told(3, &[]), Some(vec![0, 3, 0, 2]));
        assert_eq!(told(9999, &[]), Some(vec![0, 3, 0, 2]));
        assert_eq!(told(0, &[b"_pq_.x"]), Some(vec![0, 3, 0, 0]));
        assert_eq!(told(1, &[b"_pq_.x"]), Some(vec![0, 3, 0, 1]));
    }

    #[test]
    fn replication_is_asked_for_in_the_servers_spellings() {
        let read = |value: &str| replication(value.as_bytes());
        for value in ["true", "TRU", "t", "on", "y", "yes", "1"] {
            assert_eq!(read(value), Ok(Some(Replication::Physical)), "{value}");
        }
        for value in ["false", "F", "of", "off", "n", "No", "0"] {
            assert_eq!(read(value), Ok(None), "{value}");
        }
        assert_eq!(read("database"), Ok(Some(Replication::Logical)));
        for value in ["", "o", "Database", "trues", "2", "offf"] {
            assert_eq!(read(value), Err(Refused::Replication(value.to_owned())));
        }
    }

    #[test]
    fn a_default_gives_way_to_what_the_client_says() {
        let mut startup = startup_of(&[("user", "a"), ("work_mem", "1MB")]);
        startup.default_to(b"options", b"-c work_mem=2MB -c jit=off");
        startup.default_to(b"application_name", b"b");
        startup.default_to(b"application_name", b"c");
        let pairs: Vec<_> = startup.parameters.iter().collect();
        let expected: [(&[u8], &[u8]); 3] = [
            (b"application_name", b"b"),
            (b"jit", b"off"),
            (b"work_mem", b"1MB"),
        ];
        assert_eq!((pairs, startup.switches), (expected.to_vec(), None));
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
