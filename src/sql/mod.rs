//! What will this text do? Bytes in, facts out.
//! Never waits, never fails, never panics, never changes a byte; on the way of a request it never allocates.
//!
//! - `scan` cuts a text into tokens by the server's own lexical rules,
//! - `word` knows the few words that matter,
//! - `reader` walks the statements of a text, `head` and `set` say what leads one ([`Kind`]),
//!   `read` sums up, also what the text may do to the session ([`Touches`]),
//! - `name` turns a written name into the one the server uses,
//! - `fingerprint` says what texts have in common that differ in their values alone; `printer`
//!   makes it in one pass, most of it in `quick`, which also tells where the values lie
//!   (`literals`) and finds what the application asks of us in comments (`hint`),
//! - `cache` remembers what was found of a text, by its print,
//! - `find` reads a text for all that it says ([`Finding`]), and `judge` says by what the server
//!   (`builtin`) and the database (`known`) have under its names whether it is provably a read,
//! - `bracket` knows what opens or closes a transaction and does nothing else, and of what kind
//!   that transaction is (`mode`),
//! - `own` finds the settings that are ours, `ambassador.route` and its like.
//!
//! Nothing outside this room looks at statement text.
//!
//! The answers are exact for every text that the server accepts. A text it refuses does nothing,
//! so any answer will do; the work stays linear all the same. Three things are beyond the bytes:
//!
//! - a name in U&"…" is not unescaped on the way: [`Touches::UNCLEAR`];
//! - with `standard_conforming_strings` off a backslash escapes in plain strings too: [`Strings`];
//! - in the client encodings SJIS, BIG5, GBK, UHC, GB18030, JOHAB and SHIFT_JIS_2004 the second
//!   byte of a character may look like ASCII (a backslash, a bracket, a letter). The server
//!   converts before it scans; here such a text may be misread, so whoever knows the encoding
//!   must hold the answer for unknown. [`may_hide_ascii`] names those encodings.

mod bracket;
mod builtin;
mod cache;
mod call;
mod chunk;
mod encoding;
mod find;
mod fingerprint;
mod form;
mod glance;
mod head;
mod hint;
mod inside;
mod judge;
mod keywords;
mod kind;
mod known;
mod lanes;
mod list;
mod literals;
mod mode;
mod name;
mod own;
mod printer;
mod quick;
mod read;
mod reader;
mod scan;
mod set;
mod shown;
mod stake;
mod touches;
mod verdict;
mod word;

pub use bracket::{Bracket, bracket};
pub use builtin::{Builtin, builtin, harmless, system_relation};
pub use cache::Cached;
pub use cache::LONGEST as LONGEST_CACHED;
pub use cache::Limits;
pub use cache::Verdicts;
pub use encoding::may_hide_ascii;
pub use find::find;
pub use fingerprint::Fingerprint;
pub use fingerprint::Print;
pub use fingerprint::fingerprint;
pub use fingerprint::fingerprint_with;
pub use hint::Hint;
pub use hint::Wanted;
pub use inside::{Inside, inside_body, inside_do};
pub use judge::{Judgement, judge};
pub use kind::{Discard, Kind, Target, Value, What};
pub use known::{Fact, Facts, Known};
pub use literals::Literals;
pub use literals::Places;
pub use mode::{Isolation, Mode};
pub use name::Name;
pub use own::{Deed, Own, PREFIX as OWN_PREFIX, may_name_own, own, shows_last_backend};
pub use read::{Reading, Statement, Statements, read, read_with, statements, statements_with};
pub use scan::{Scanner, Span, Strings, Token, TokenKind};
pub use shown::without_values;
pub use stake::Stake;
pub use touches::Touches;
pub use verdict::{Class, Effect, Finding, Key, Named, Obstacle};
