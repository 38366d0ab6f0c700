//! What two texts have in common that differ in their values alone.
//!
//! # The form
//!
//! A text is taken for a row of words of eight bytes; what is hashed is that row. It is the same
//! in every version of this program, on every machine.
//!
//! - A keyword is its lower-case letters, a name its own bytes, eight to a word, zeros behind;
//!   the last word has at most seven of them and a mark in its highest byte. A quoted name of
//!   letters, digits, `_` and `$` alone likewise, with another mark; any other quoted name is a
//!   mark with its length and then its bytes as they stand, quotes included. So `a`, `A`, `"a"`
//!   are three names, and `SELECT` and `select` one keyword.
//! - Operators and signs of punctuation are as names, with a mark of their own.
//! - Every value is one and the same word: a string of any kind, with its continuations and its
//!   UESCAPE; a number with a unary sign before it; `$1`. A sign is unary behind an operator, a
//!   comma, an opening bracket, and a keyword that no operand ends with.
//! - The elements of `IN (…)` and `ARRAY[…]` and the rows of `VALUES (…), (…)` are hashed each
//!   by itself, NULL, TRUE and FALSE in them being values too, and mixed in as one word each; but
//!   one that equals the one before it is left out. Within such an element, an inner list
//!   keeps its elements, only the values that it begins with are one.
//! - Spaces, comments, and semicolons before, behind and beside other semicolons are nothing.

use std::fmt;

use super::literals::Literals;
use super::printer::Printer;
use super::scan::Span;
use super::scan::Strings;

/// A hash of a text without its values. Shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(super) u64);

impl Fingerprint {
    /// The bits of the hash.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// What one pass over a text gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// The same wherever and whenever the text is read.
    pub fingerprint: Fingerprint,
    /// A second hash of the same form, another for every seed. Two texts that share both mean
    /// the same but for their values.
    pub check: u64,
    /// Bytes of the form.
    pub length: usize,
    /// From the first to the last comment of the first statement that are hints. A comment
    /// behind the last semicolon is the last statement's. See [`hint::read`](super::Hint::read).
    pub hint: Option<Span>,
    /// Every quote and comment ends, and every byte begins something: else the server refuses
    /// the text, or it was misread.
    pub is_sound: bool,
}

/// The print of a text. `None` with `standard_conforming_strings` off: where a string ends then
/// hangs on its content, so that such a text must be read by itself. Where the client's encoding
/// [may hide ASCII](super::may_hide_ascii) the print may be that of another text: do not ask.
pub fn fingerprint(text: &[u8], strings: Strings, seed: u64) -> Option<Print> {
    fingerprint_with(text, strings, seed, &mut ())
}

/// The print of a text; its values are told to `literals`.
pub fn fingerprint_with<L: Literals>(
    text: &[u8],
    strings: Strings,
    seed: u64,
    literals: &mut L,
) -> Option<Print> {
    (strings == Strings::Standard).then(|| Printer::new(text, seed, literals).print())
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a wrong index is a failed test"
)]
#[path = "fingerprint_tests.rs"]
mod tests;
