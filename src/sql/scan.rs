//! Cuts a text into tokens by the lexical rules of the server (its `scan.l`).
//!
//! Where versions differ, a text that both take is cut the same or into parts that mean nothing
//! here: `1_000` and `0x1F` are numbers (16 and later; before, a number and an alias), `1abc` is
//! a number and a word (14 and before; later ones refuse it).

use super::chunk;
use super::word::Word;
use memchr::memchr;
use memchr::memchr2;

/// A part of the text, in bytes: from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of this span; empty if `text` is not the text it was made from.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// How a backslash counts in a plain `'…'`: the server's `standard_conforming_strings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strings {
    /// On: a backslash is a backslash.
    #[default]
    Standard,
    /// Off: a backslash escapes, as in `E'…'`.
    Backslash,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Spaces, tabs, line ends.
    Space,
    /// `-- …` up to the line's end, or `/* … */` with those nested in it.
    Comment,
    /// A keyword or an unquoted name.
    Word,
    /// `"…"`
    QuotedName,
    /// `U&"…"`; a UESCAPE clause is tokens of its own.
    UnicodeName,
    /// `'…'` or `N'…'`, its continuations on later lines included.
    String,
    /// `E'…'`
    EscapeString,
    /// `U&'…'`; a UESCAPE clause is tokens of its own.
    UnicodeString,
    /// `B'…'` or `X'…'`
    BitString,
    /// `$$…$$` or `$tag$…$tag$`
    DollarString,
    /// A number without its sign.
    Number,
    /// `$1`
    Parameter,
    /// One or more of ``~!@#^&|`?+-*/%<>=``, cut as the server cuts them.
    Operator,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `[`, `]`, `:`, `::`, `:=` or `..`
    Symbol,
    /// A byte that begins nothing; the server refuses the text.
    Other,
    /// A quote or comment that the text ends in; the server refuses the text.
    Unterminated,
}

impl TokenKind {
    /// Whether this may be the name of something.
    pub fn is_name(self) -> bool {
        matches!(
            self,
            TokenKind::Word | TokenKind::QuotedName | TokenKind::UnicodeName
        )
    }

    /// Whether this is a value as it is written.
    pub(super) fn is_value(self) -> bool {
        matches!(
            self,
            TokenKind::String
                | TokenKind::EscapeString
                | TokenKind::UnicodeString
                | TokenKind::BitString
                | TokenKind::DollarString
                | TokenKind::Number
                | TokenKind::Parameter
        )
    }

    /// Whether names may hide in it that are not read: behind escapes, or because the quote
    /// is not where it seems.
    #[inline]
    pub(super) fn hides_names(self) -> bool {
        matches!(self, TokenKind::UnicodeName | TokenKind::Unterminated)
    }
}

/// One token: its kind and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it lies.
    pub span: Span,
}

/// The tokens of a text, spaces and comments included: together they are the whole text.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Up to here every byte is a `+` or `-` that stands alone. Kept so that a long run of
    /// signs is looked through once, not once for each of them.
    signs: usize,
    strings: Strings,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'a [u8], strings: Strings) -> Self {
        let (at, signs) = (0, 0);
        Scanner {
            text,
            at,
            signs,
            strings,
        }
    }

    /// The next token that is neither space nor comment.
    #[inline]
    pub fn significant(&mut self) -> Option<Token> {
        loop {
            // Most tokens stand behind one space: not worth a token of its own.
            while class(self.byte(self.at)) == SPACE {
                self.at += 1;
            }
            let token = self.next()?;
            if token.kind != TokenKind::Comment {
                return Some(token);
            }
        }
    }

    /// Which of the words that matter this token is.
    #[inline]
    pub(super) fn word(&self, token: Token) -> Word {
        let bytes = token.span.of(self.text);
        if token.kind == TokenKind::Word {
            Word::find(bytes)
        } else if token.kind == TokenKind::QuotedName {
            Word::find_quoted(bytes)
        } else {
            Word::NONE
        }
    }

    /// The whole text.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The byte at `at`; behind the end a NUL, which begins and continues nothing.
    #[inline(always)]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The first offset from `at` on whose byte is not in `set`.
    #[inline(always)]
    fn past(&self, at: usize, set: u8) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let other = rest.iter().position(|byte| traits(*byte) & set == 0);
        at + other.unwrap_or(rest.len())
    }

    /// The offset of the next `needle` from `at` on.
    #[inline]
    fn seek(&self, at: usize, needle: u8) -> Option<usize> {
        let rest = self.text.get(at..)?;
        // Literals are short; the search for long ones costs more to begin.
        let mut near = 0;
        while near < NEAR {
            let before = chunk::before(chunk::load(rest, near), needle);
            near += before;
            if before < 8 {
                return (near < rest.len()).then_some(at + near);
            }
        }
        let far = rest.get(near..)?;
        memchr(needle, far).map(|far| at + near + far)
    }

    fn seek_either(&self, at: usize, one: u8, other: u8) -> Option<usize> {
        memchr2(one, other, self.text.get(at..)?).map(|offset| at + offset)
    }

    /// A token of `kind` up to `end`, or unterminated to the end of the text.
    fn closed(&self, kind: TokenKind, end: Option<usize>) -> (TokenKind, usize) {
        match end {
            Some(end) => (kind, end),
            None => (TokenKind::Unterminated, self.text.len()),
        }
    }

    #[inline]
    fn cut_word(&self, start: usize) -> (TokenKind, usize) {
        let end = self.past(start + 1, IN_WORD);
        if end == start + 1 && matches!(self.byte(end), b'\'' | b'&') {
            return self.cut_prefixed(start);
        }
        (TokenKind::Word, end)
    }

    /// A single letter before a quote or `&`: E'' B'' X'' N'' U&'' U&"", or just a word.
    fn cut_prefixed(&self, start: usize) -> (TokenKind, usize) {
        let letter = self.byte(start).to_ascii_lowercase();
        match (letter, self.byte(start + 1), self.byte(start + 2)) {
            (b'e', b'\'', _) => {
                let end = self.end_of_string(start + 2, Strings::Backslash);
                self.closed(TokenKind::EscapeString, end)
            }
            (b'b' | b'x', b'\'', _) => {
                let end = self.end_of_bits(start + 2);
                self.closed(TokenKind::BitString, end)
            }
            (b'n', b'\'', _) => {
                let end = self.end_of_string(start + 2, self.strings);
                self.closed(TokenKind::String, end)
            }
            (b'u', b'&', b'\'') => {
                let end = self.end_of_string(start + 3, Strings::Standard);
                self.closed(TokenKind::UnicodeString, end)
            }
            (b'u', b'&', b'"') => {
                let end = self.end_of_name(start + 3);
                self.closed(TokenKind::UnicodeName, end)
            }
            _ => (TokenKind::Word, start + 1),
        }
    }

    /// The end of a string whose opening quote lies before `at`, continuations included.
    pub(super) fn end_of_string(&self, mut at: usize, strings: Strings) -> Option<usize> {
        loop {
            at = match strings {
                Strings::Standard => self.seek(at, b'\'')?,
                Strings::Backslash => self.seek_either(at, b'\'', b'\\')?,
            };
            if self.byte(at) == b'\\' || self.byte(at + 1) == b'\'' {
                at += 2;
                continue;
            }
            match self.continuation(at + 1) {
                Some(inside) => at = inside,
                None => return Some(at + 1),
            }
        }
    }

    /// The end of a bit string. No quote is doubled in it: the first one ends it.
    fn end_of_bits(&self, mut at: usize) -> Option<usize> {
        loop {
            at = self.seek(at, b'\'')? + 1;
            match self.continuation(at) {
                Some(inside) => at = inside,
                None => return Some(at),
            }
        }
    }

    /// Behind the quote that reopens a string closed before `at`: one that follows after
    /// spaces and `--` comments with at least one line end among them.
    #[inline]
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut line_ended = false;
        loop {
            match self.byte(at) {
                b'\n' | b'\r' => line_ended = true,
                b' ' | b'\t' | b'\x0b' | b'\x0c' => {}
                b'-' if self.byte(at + 1) == b'-' => {
                    at = self.seek_either(at, b'\n', b'\r')?;
                    line_ended = true;
                }
                b'\'' if line_ended => return Some(at + 1),
                _ => return None,
            }
            at += 1;
        }
    }

    /// The end of a quoted name whose opening quote lies before `at`.
    fn end_of_name(&self, mut at: usize) -> Option<usize> {
        loop {
            at = self.seek(at, b'"')?;
            if self.byte(at + 1) != b'"' {
                return Some(at + 1);
            }
            at += 2;
        }
    }

    /// `$1`, `$tag$…$tag$`, or a dollar that begins nothing.
    fn cut_dollar(&self, start: usize) -> (TokenKind, usize) {
        if traits(self.byte(start + 1)) & DIGITS != 0 {
            return (TokenKind::Parameter, self.past(start + 1, DIGITS));
        }
        let tag = self.past(start + 1, IN_TAG);
        if self.byte(tag) != b'$' {
            return (TokenKind::Other, start + 1);
        }
        let open = Span {
            start,
            end: tag + 1,
        };
        self.closed(TokenKind::DollarString, self.end_of_dollar(open))
    }

    /// Linear, since a tag holds no dollar: no comparison reaches past the next one.
    fn end_of_dollar(&self, open: Span) -> Option<usize> {
        let tag = open.of(self.text);
        let mut at = open.end;
        loop {
            at = self.seek(at, b'$')?;
            if self.text.get(at..)?.starts_with(tag) {
                return Some(at + tag.len());
            }
            at += 1;
        }
    }

    #[inline]
    pub(super) fn cut_number(&self, start: usize) -> (TokenKind, usize) {
        let mut at = start;
        if self.byte(start) == b'0' {
            let end = self.radix(start + 2, self.byte(start + 1));
            if end > start + 2 {
                return (TokenKind::Number, end);
            }
        }
        at = self.digits(at);
        if self.byte(at) == b'.' {
            if self.byte(at + 1) == b'.' {
                return (TokenKind::Number, at); // `1..9` is a range
            }
            at = self.digits(at + 1);
        }
        (TokenKind::Number, self.exponent(at))
    }

    /// Digits, with single underscores between them.
    #[inline]
    fn digits(&self, mut at: usize) -> usize {
        if traits(self.byte(at)) & DIGITS == 0 {
            return at;
        }
        loop {
            at = self.past(at, DIGITS);
            if self.byte(at) != b'_' || traits(self.byte(at + 1)) & DIGITS == 0 {
                return at;
            }
            at += 1;
        }
    }

    /// Whether a number begins at `at`.
    pub(super) fn begins_number(&self, at: usize) -> bool {
        let digit = if self.byte(at) == b'.' { at + 1 } else { at };
        traits(self.byte(digit)) & DIGITS != 0
    }

    /// The digits of `0x…`, `0o…` or `0b…`, each with an underscore before it or not.
    fn radix(&self, mut at: usize, letter: u8) -> usize {
        let fits: fn(u8) -> bool = match letter {
            b'x' | b'X' => |byte| byte.is_ascii_hexdigit(),
            b'o' | b'O' => |byte| matches!(byte, b'0'..=b'7'),
            b'b' | b'B' => |byte| matches!(byte, b'0' | b'1'),
            _ => return at,
        };
        loop {
            let digit = at + usize::from(self.byte(at) == b'_');
            if !fits(self.byte(digit)) {
                return at;
            }
            at = digit + 1;
        }
    }

    /// Behind the exponent at `at`; `at` itself if there is none.
    #[inline]
    fn exponent(&self, at: usize) -> usize {
        if !matches!(self.byte(at), b'e' | b'E') {
            return at;
        }
        let signed = matches!(self.byte(at + 1), b'+' | b'-');
        let digits = at + 1 + usize::from(signed);
        let end = self.digits(digits);
        if end > digits { end } else { at }
    }

    #[inline]
    fn cut_operator(&mut self, start: usize) -> (TokenKind, usize) {
        if start < self.signs {
            return (TokenKind::Operator, start + 1);
        }
        match (self.byte(start), self.byte(start + 1)) {
            (b'-', b'-') => {
                let end = self.seek_either(start, b'\n', b'\r');
                (TokenKind::Comment, end.unwrap_or(self.text.len()))
            }
            (b'/', b'*') => self.closed(TokenKind::Comment, self.end_of_comment(start + 2)),
            _ => (TokenKind::Operator, self.end_of_operator(start)),
        }
    }

    /// The longest run of operator characters before a comment begins; but `+` and `-` may end
    /// one of several characters only if it has one that no SQL operator has.
    #[inline]
    fn end_of_operator(&mut self, start: usize) -> usize {
        let mut at = start;
        let mut unsigned = start; // behind the last character that is not a sign
        let mut foreign = false;
        while class(self.byte(at)) == OPERATOR {
            match (self.byte(at), self.byte(at + 1)) {
                (b'-', b'-') | (b'/', b'*') => break,
                (b'+' | b'-', _) => {}
                (byte, _) => {
                    foreign |= matches!(
                        byte,
                        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'
                    );
                    unsigned = at + 1;
                }
            }
            at += 1;
        }
        if foreign {
            return at;
        }
        if unsigned == start {
            self.signs = at;
            return start + 1;
        }
        unsigned
    }

    fn end_of_comment(&self, mut at: usize) -> Option<usize> {
        let mut depth = 1_usize;
        while depth > 0 {
            at = self.seek_either(at, b'*', b'/')?;
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => depth -= 1,
                (b'/', b'*') => depth += 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
        }
        Some(at)
    }

    fn cut_colon(&self, start: usize) -> (TokenKind, usize) {
        let two = matches!(self.byte(start + 1), b':' | b'=');
        (TokenKind::Symbol, start + 1 + usize::from(two))
    }

    fn cut_dot(&self, start: usize) -> (TokenKind, usize) {
        match self.byte(start + 1) {
            b'.' => (TokenKind::Symbol, start + 2),
            b'0'..=b'9' => self.cut_number(start),
            _ => (TokenKind::Dot, start + 1),
        }
    }
}

impl Iterator for Scanner<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let first = *self.text.get(start)?;
        let (kind, end) = match class(first) {
            SPACE => (TokenKind::Space, self.past(start + 1, SPACES)),
            LETTER => self.cut_word(start),
            DIGIT => self.cut_number(start),
            QUOTE => {
                let end = self.end_of_string(start + 1, self.strings);
                self.closed(TokenKind::String, end)
            }
            NAME_QUOTE => self.closed(TokenKind::QuotedName, self.end_of_name(start + 1)),
            DOLLAR => self.cut_dollar(start),
            OPERATOR => self.cut_operator(start),
            COMMA => (TokenKind::Comma, start + 1),
            DOT => self.cut_dot(start),
            SEMICOLON => (TokenKind::Semicolon, start + 1),
            OPEN => (TokenKind::Open, start + 1),
            CLOSE => (TokenKind::Close, start + 1),
            BRACKET => (TokenKind::Symbol, start + 1),
            COLON => self.cut_colon(start),
            _ => (TokenKind::Other, start + 1),
        };
        self.at = end;
        Some(Token {
            kind,
            span: Span { start, end },
        })
    }
}

/// Literals up to this many bytes are searched eight bytes at a time.
const NEAR: usize = 24;

// What a token can begin with.
const OTHER: u8 = 0;
pub(super) const SPACE: u8 = 1;
pub(super) const LETTER: u8 = 2;
pub(super) const DIGIT: u8 = 3;
pub(super) const QUOTE: u8 = 4;
pub(super) const NAME_QUOTE: u8 = 5;
pub(super) const DOLLAR: u8 = 6;
pub(super) const OPERATOR: u8 = 7;
pub(super) const COMMA: u8 = 8;
pub(super) const DOT: u8 = 9;
pub(super) const SEMICOLON: u8 = 10;
pub(super) const OPEN: u8 = 11;
pub(super) const CLOSE: u8 = 12;
const BRACKET: u8 = 13;
pub(super) const COLON: u8 = 14;
const CLASS: u8 = 0x0f;

// What a token can go on with, in the upper bits.
pub(super) const IN_WORD: u8 = 0x10;
const IN_TAG: u8 = 0x20;
const DIGITS: u8 = 0x40;
const SPACES: u8 = 0x80;

const fn traits_of(byte: u8) -> u8 {
    match byte {
        // The vertical tab counts from 16 on; before, it is refused.
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' => SPACE | SPACES,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => LETTER | IN_WORD | IN_TAG,
        b'0'..=b'9' => DIGIT | IN_WORD | IN_TAG | DIGITS,
        b'$' => DOLLAR | IN_WORD,
        b'\'' => QUOTE,
        b'"' => NAME_QUOTE,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
        | b'/' | b'%' | b'<' | b'>' | b'=' => OPERATOR,
        b',' => COMMA,
        b'.' => DOT,
        b';' => SEMICOLON,
        b'(' => OPEN,
        b')' => CLOSE,
        b'[' | b']' => BRACKET,
        b':' => COLON,
        _ => OTHER,
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
#[expect(clippy::cast_possible_truncation, reason = "counts to 255")]
const TRAITS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = traits_of(byte as u8);
        byte += 1;
    }
    table
};

#[inline(always)]
pub(super) fn traits(byte: u8) -> u8 {
    TRAITS.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

#[inline(always)]
pub(super) fn class(byte: u8) -> u8 {
    traits(byte) & CLASS
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "scan_peer_tests.rs"]
mod peer_tests;
