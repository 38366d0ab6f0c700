//! What can be wrong with a configuration, and where. Never shows a secret:
//! variants carry what was written only where a secret cannot stand.

use core::fmt;
use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use super::url::UrlWrong;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `line` counts from 1; `None`: the file as a whole.
    File {
        path: Arc<str>,
        line: Option<usize>,
    },
    Variable(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{path}:{line}"),
            Self::File { path, line: None } => f.write_str(path),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A dotted key as TOML writes it; empty: the whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    pub(super) fn new(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    pub(super) fn join(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !name.is_empty() && name.chars().all(bare) {
                f.write_str(name)?;
            } else {
                write!(f, "{name:?}")?;
            }
        }
        Ok(())
    }
}

/// The nearest valid key to one that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// In the same table.
    Near(&'static str),
    /// The same key exists in this other table.
    Elsewhere(String),
    /// A similar key in another table, in full.
    NearElsewhere(String),
    /// Nothing is similar: what this table knows.
    Known(Vec<&'static str>),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(key) => write!(f, "did you mean {key}?"),
            Self::Elsewhere(table) => write!(f, "it belongs to [{table}]"),
            Self::NearElsewhere(key) => write!(f, "did you mean {key}?"),
            Self::Known(keys) => write!(f, "the keys here are {}", keys.join(", ")),
        }
    }
}

/// What is wrong with one value.
#[derive(Debug, Error)]
pub enum Wrong {
    #[error("cannot be read: {source}; create it, or name another with --config")]
    File { source: io::Error },
    #[error("not TOML: {message}")]
    Syntax { message: String },
    #[error("the key {key} is here a second time")]
    DuplicateKey { key: String },
    #[error("no such key; {hint}")]
    UnknownKey { hint: Hint },
    #[error("not supported yet")]
    NotSupportedYet,
    #[error("{value:?} is not supported yet")]
    ValueNotSupportedYet { value: String },
    #[error("expected {expected}, found {found}")]
    Type {
        expected: &'static str,
        found: &'static str,
    },
    #[error("expected {expected}, found {found:?}")]
    Malformed {
        expected: &'static str,
        found: String,
    },
    #[error("expected {}, found {found:?}{}", either(allowed), near(*nearest))]
    Choice {
        allowed: Vec<&'static str>,
        found: String,
        nearest: Option<&'static str>,
    },
    #[error("has to be at least {least}")]
    TooSmall { least: usize },
    #[error("cannot be negative")]
    Negative,
    #[error("too large")]
    TooLarge,
    #[error("longer than 36500d; 0s means no limit")]
    TooLong,
    #[error("the variable {name} is not set")]
    NoVariable { name: String },
    /// Without the name: what stands here may be the password itself.
    #[error("names a variable that is not set")]
    NoPasswordVariable,
    #[error("a ${{ without a NAME and a }}; a plain ${{ is written $${{")]
    Dollar,
    #[error("{path} cannot be read: {source}")]
    SecretFile { path: PathBuf, source: io::Error },
    #[error("{path} holds no password")]
    EmptySecretFile { path: PathBuf },
    #[error("contradicts {other}: only one of them can be given")]
    Exclusive { other: &'static str },
    #[error("no database: write at least one [databases.NAME] with a backend")]
    NoDatabase,
    #[error("a database needs a name")]
    NamelessDatabase,
    #[error("no backend: write [[{table}]] with address = \"host:5432\"")]
    NoBackend { table: String },
    #[error("missing, e.g. address = \"db.internal:5432\"")]
    NoAddress,
    #[error(
        "{other} is the primary already; only one takes writes, the others are replica or auto"
    )]
    SecondPrimary { other: String },
    #[error("all backends are replicas: nobody takes writes; let one be primary, or auto")]
    NoPrimary,
    #[error("{other} names this backend already")]
    BackendTwice { other: Origin },
    #[error(
        "its {what} is not the one of --upstream, whose login all backends get; leave it out here"
    )]
    ReplicaDiffers { what: &'static str },
    #[error("has to be more than 0s")]
    ZeroTime,
    #[error("is here a second time")]
    Duplicate,
    #[error("no address to listen on")]
    NoListener,
    #[error(
        "{address} is open to other machines, and [{auth}] trusts whoever connects; \
         listen on 127.0.0.1 or [::1], or set method to scram-sha-256"
    )]
    OpenTrust { address: String, auth: String },
    #[error(
        "nobody could log in: write [{users}.NAME] with a password, or auth.query and auth.query_user"
    )]
    NobodyCanLogIn { users: String },
    #[error("has no password to check: write password, password_file, password_env, or auth.query")]
    NoClientPassword,
    #[error("is an md5 verifier, which scram-sha-256 lets in only with auth.allow_md5 = true")]
    Md5NotAllowed,
    #[error("names no way to log in; leave it out, or name at least one")]
    NoChoice,
    #[error(
        "does nothing with this mode, which believes anybody; set mode to verify-full or verify-ca"
    )]
    VerifiesNothing,
    #[error(
        "verify-ca needs ca_file: any public authority's certificate would do; set it, or verify-full"
    )]
    AnybodysCertificate,
    #[error("needs {other} beside it")]
    Alone { other: &'static str },
    #[error("direct needs mode require, verify-ca or verify-full")]
    DirectNeedsTls,
    #[error("a password in clear needs mode verify-ca or verify-full")]
    PasswordNeedsVerifiedTls,
    #[error("{0}")]
    TlsFile(#[source] crate::net::tls::FileError),
    #[error("{0}")]
    Unfit(#[source] crate::auth::scram::Error),
    #[error("needs auth.query_user, the entry of users that asks it")]
    QueryWithoutUser,
    #[error("is no entry of users with a plain password or an upstream_password")]
    QueryUserUnknown,
    #[error(
        "{address} is the ambassador's own address, it would forward to itself; \
         listen elsewhere, e.g. --listen 127.0.0.1:6432"
    )]
    Loop { address: String },
    #[error("needs {other}")]
    Needs { other: String },
    #[error("is of no use while {other} is {value:?}, its default")]
    OfNoUse { other: String, value: &'static str },
    #[error("larger than {other} = {value}")]
    Exceeds { other: String, value: String },
    #[error("below {other} = {value}")]
    Below { other: String, value: String },
    #[error("larger than {other} = {value}: a worker would have no connection")]
    MoreWorkersThanConnections { other: String, value: usize },
    #[error("is the address of [listen] already")]
    AdminOnListener,
    #[error("is \"\", which switches the admin's HTTP off: there is nothing to ask")]
    AdminIsOff,
    #[error("an address is host:port; a URL is for --upstream")]
    UrlAsAddress,
    #[error("the backend is {upstream}'s; a file can name backends")]
    BackendBesideUpstream { upstream: Origin },
    #[error("expected KEY=VALUE with a dotted key, e.g. databases.\"*\".pool_size=5")]
    Assignment,
    #[error("{part} is not a table")]
    NotATable { part: String },
    #[error(transparent)]
    Url(#[from] UrlWrong),
}

impl Wrong {
    /// True for what is missing rather than wrong: said of a file that could be read only in part,
    /// it may be untrue.
    pub(super) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoDatabase | Self::NoBackend { .. } | Self::NoAddress
        )
    }
}

fn either(allowed: &[&str]) -> String {
    allowed.join(" | ")
}

fn near(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!("; did you mean {word}?"))
}

/// One thing that is wrong: `file:line: key: what`.
#[derive(Debug, Error)]
#[error("{at}: {}{wrong}", prefix(key))]
pub struct Mistake {
    pub at: Origin,
    pub key: KeyPath,
    pub wrong: Wrong,
}

fn prefix(key: &KeyPath) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Everything that is wrong, a line each, in the order of the file. Never empty.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// `None` when there are none.
    pub(super) fn new(mut all: Vec<Mistake>) -> Option<Self> {
        all.sort_by(|one, other| one.at.cmp(&other.at));
        (!all.is_empty()).then_some(Self(all))
    }

    pub(super) fn one(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Why there is no configuration to serve with.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Neither a file nor a URL: a slip of usage (exit 2), not of configuration (exit 1).
    #[error(
        "nothing to serve: name a Postgres, or a file that does\n  \
         pg-ambassador --upstream postgres://app:secret@db.internal:5432/app\n  \
         pg-ambassador --config pg-ambassador.toml"
    )]
    NothingToServe,
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// What is worth a line in the log but keeps nobody from serving.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Warning {
    #[error("{at}: parameters without a meaning here are ignored: {}", names.join(", "))]
    IgnoredParameters { at: Origin, names: Vec<String> },
    #[error(
        "the password file {path} is ignored: group or world can read it; chmod it to 0600 or less"
    )]
    PasswordFileIsOpen { path: PathBuf },
    #[error("the password file {path} is ignored: it is not a plain file")]
    PasswordFileIsNotAFile { path: PathBuf },
}

/// Collects while the configuration is read, so that all is told at once.
#[derive(Default)]
pub(super) struct Notes {
    pub mistakes: Vec<Mistake>,
    pub warnings: Vec<Warning>,
}

impl Notes {
    pub fn mistake(&mut self, at: &Origin, key: KeyPath, wrong: Wrong) {
        self.mistakes.push(Mistake {
            at: at.clone(),
            key,
            wrong,
        });
    }
}
