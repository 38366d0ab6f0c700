//! The pass over a text that gives its print.

use super::chunk;
use super::fingerprint::Fingerprint;
use super::fingerprint::Print;
use super::form;
use super::form::CLOSE;
use super::form::CLOSE_BRACKET;
use super::form::DOT;
use super::form::MARK;
use super::form::NAME;
use super::form::OPEN;
use super::form::OPEN_BRACKET;
use super::form::QUOTED;
use super::form::SEMICOLON;
use super::form::VALUE;
use super::form::VERBATIM;
use super::form::WORD;
use super::hint;
use super::keywords;
use super::lanes::Key;
use super::lanes::Lanes;
use super::list::List;
use super::literals::Literals;
use super::scan;
use super::scan::Scanner;
use super::scan::Span;
use super::scan::Strings;
use super::scan::TokenKind;

/// The pass itself.
pub(super) struct Printer<'a, 'l, L> {
    pub scan: Scanner<'a>,
    pub literals: &'l mut L,
    pub key: Key,
    pub lanes: Lanes,
    /// The word mixed last: that of the token before, or its end.
    pub last: u64,
    /// Brackets open.
    pub depth: u32,
    /// The next value's.
    pub place: u32,
    pub list: List,
    hint: Option<Span>,
    is_first: bool,
    is_sound: bool,
}

impl<'a, 'l, L: Literals> Printer<'a, 'l, L> {
    pub fn new(text: &'a [u8], seed: u64, literals: &'l mut L) -> Self {
        let key = Key::new(seed);
        let lanes = Lanes::new(key);
        Printer {
            scan: Scanner::new(text, Strings::Standard),
            literals,
            key,
            lanes,
            last: SEMICOLON,
            depth: 0,
            place: 0,
            list: List::none(lanes),
            hint: None,
            is_first: true,
            is_sound: true,
        }
    }

    pub fn print(mut self) -> Print {
        self.semicolons();
        self.quick();
        while let Some(byte) = self.scan.text.get(self.scan.at) {
            self.token(scan::class(*byte));
            self.quick();
        }
        self.end()
    }

    /// The same without a hurry.
    #[cfg(test)]
    pub fn print_slowly(mut self) -> Print {
        self.semicolons();
        while let Some(byte) = self.scan.text.get(self.scan.at) {
            self.token(scan::class(*byte));
        }
        self.end()
    }

    fn end(mut self) -> Print {
        if self.list.is_open() {
            self.end_list();
        }
        let (one, check) = self.lanes.end(self.key);
        Print {
            fingerprint: Fingerprint(one),
            check,
            length: self.lanes.words() * 8,
            hint: self.hint,
            is_sound: self.is_sound,
        }
    }

    fn token(&mut self, class: u8) {
        match class {
            scan::SPACE => self.scan.at += 1,
            scan::LETTER => self.word(),
            scan::NAME_QUOTE => self.quoted(),
            scan::DIGIT => {
                let start = self.scan.at;
                self.scan.at = self.number(start);
                self.value_from(start);
            }
            scan::QUOTE => self.string(),
            scan::OPERATOR => self.operator(),
            scan::COMMA => self.comma(),
            scan::OPEN => self.open(OPEN),
            scan::CLOSE => self.close(CLOSE),
            scan::SEMICOLON => self.semicolons(),
            _ => self.rare(),
        }
    }

    #[inline(always)]
    pub fn mix(&mut self, word: u64) {
        self.lanes.mix(self.key, word);
        self.last = word;
    }

    #[inline(always)]
    pub fn value(&mut self, span: Span) {
        self.mix(VALUE);
        self.literals.value(self.place, span);
        self.place = self.place.wrapping_add(1);
    }

    /// A value from `start` up to here.
    #[inline(always)]
    fn value_from(&mut self, start: usize) {
        let end = self.scan.at;
        self.value(Span { start, end });
    }

    /// One byte of punctuation.
    #[inline(always)]
    pub fn mark(&mut self, word: u64) {
        self.scan.at += 1;
        self.mix(word);
    }

    #[inline(always)]
    fn word(&mut self) {
        let start = self.scan.at;
        let chunk = chunk::load(self.scan.text, start);
        let length = chunk::leading(chunk::in_word(chunk));
        if length == 8 {
            return self.long_word();
        }
        if length == 1 && matches!(self.scan.byte(start + 1), b'\'' | b'&') {
            return self.rare();
        }
        let mut word = chunk::lowest(chunk, length);
        let upper = chunk::upper(word);
        if upper != 0 {
            let lowered = chunk::lowered(word, upper);
            if keywords::is_keyword(&[lowered, 0, 0]) {
                word = lowered;
            }
        }
        self.scan.at += length;
        word |= form::end(WORD, length);
        if self.list.is_open() && form::begins_element(self.last) && form::is_constant(word) {
            return self.value_from(start);
        }
        // Behind a dot every word is a name.
        let is_name = self.last == DOT;
        self.mix(word);
        if is_name {
            self.last = NAME;
        }
    }

    /// One of eight letters or more.
    fn long_word(&mut self) {
        let start = self.scan.at;
        let mut spelling = [0; 3];
        let (mut at, mut uppers) = (start, 0);
        loop {
            let chunk = chunk::load(self.scan.text, at);
            let length = chunk::leading(chunk::in_word(chunk));
            let part = if length < 8 {
                chunk::lowest(chunk, length)
            } else {
                chunk
            };
            let upper = chunk::upper(part);
            uppers |= upper;
            if let Some(slot) = spelling.get_mut((at - start) / 8) {
                *slot = chunk::lowered(part, upper);
            }
            at += length;
            if length < 8 {
                break;
            }
        }
        let length = at - start;
        let is_folded =
            uppers != 0 && length <= keywords::LONGEST && keywords::is_keyword(&spelling);
        self.name(Span { start, end: at }, WORD, is_folded);
        self.scan.at = at;
        self.last = NAME;
    }

    /// Mixes these bytes, none of them a control character.
    fn name(&mut self, span: Span, mark: u64, is_folded: bool) {
        let mut at = span.start;
        loop {
            let left = span.end.saturating_sub(at);
            let mut chunk = chunk::load(self.scan.text, at);
            if left < 8 {
                chunk = chunk::lowest(chunk, left) | form::end(mark, left);
            }
            if is_folded {
                chunk = chunk::lowered(chunk, chunk::upper(chunk));
            }
            self.mix(chunk);
            if left < 8 {
                return;
            }
            at += 8;
        }
    }

    #[inline]
    fn quoted(&mut self) {
        let start = self.scan.at + 1;
        let mut at = start;
        loop {
            let chunk = chunk::load(self.scan.text, at);
            let length = chunk::leading(chunk::in_word(chunk));
            at += length;
            if length < 8 {
                break;
            }
        }
        if self.scan.byte(at) != b'"' || self.scan.byte(at + 1) == b'"' || at == start {
            return self.rare();
        }
        self.name(Span { start, end: at }, QUOTED, false);
        self.scan.at = at + 1;
    }

    /// The end of the number that begins here.
    #[inline(always)]
    pub fn number(&self, start: usize) -> usize {
        let chunk = chunk::load(self.scan.text, start);
        let length = chunk::leading(chunk::digits(chunk));
        if length < 8 {
            let behind = self.scan.byte(start + length);
            if behind != b'.' && scan::traits(behind) & scan::IN_WORD == 0 {
                return start + length;
            }
        }
        self.scan.cut_number(start).1
    }

    #[inline]
    fn string(&mut self) {
        let start = self.scan.at;
        match self.scan.end_of_string(start + 1, Strings::Standard) {
            Some(end) => {
                self.scan.at = end;
                self.value_from(start);
            }
            None => self.rare(),
        }
    }

    #[inline]
    fn operator(&mut self) {
        let start = self.scan.at;
        if scan::class(self.scan.byte(start + 1)) == scan::OPERATOR {
            let Some(token) = self.scan.next() else {
                return;
            };
            if token.kind != TokenKind::Operator {
                return self.odd(token);
            }
        } else {
            self.scan.at += 1;
        }
        let span = Span {
            start,
            end: self.scan.at,
        };
        let is_sign = matches!(span.of(self.scan.text), [b'+' | b'-']);
        if is_sign && self.is_unary() && self.signed(start) {
            return;
        }
        self.name(span, MARK, false);
    }

    /// The number behind a unary sign, if it is one.
    fn signed(&mut self, sign: usize) -> bool {
        self.blank();
        let start = self.scan.at;
        let is_number = self.scan.begins_number(start);
        if is_number {
            self.scan.at = self.scan.cut_number(start).1;
            self.value_from(sign);
        }
        is_number
    }

    /// Whether a sign behind the last token is a number's own.
    pub fn is_unary(&self) -> bool {
        let last = self.last;
        let is_mark = last >> 59 == MARK >> 59 && !matches!(last, CLOSE | CLOSE_BRACKET | DOT);
        is_mark || form::BEFORE_OPERANDS.contains(&last)
    }

    /// Passes spaces and comments.
    #[inline]
    pub fn blank(&mut self) {
        loop {
            let (byte, next) = (
                self.scan.byte(self.scan.at),
                self.scan.byte(self.scan.at + 1),
            );
            match byte {
                _ if scan::class(byte) == scan::SPACE => self.scan.at += 1,
                b'-' if next == b'-' => self.comment(),
                b'/' if next == b'*' => self.comment(),
                _ => return,
            }
        }
    }

    /// Passes the comment that begins here.
    fn comment(&mut self) {
        if let Some(token) = self.scan.next() {
            self.odd(token);
        }
    }

    fn heed(&mut self, comment: Span) {
        if self.is_first && hint::is_hint(comment.of(self.scan.text)) {
            let start = self
                .hint
                .map_or(comment.start, |hint| hint.start.min(comment.start));
            let end = self
                .hint
                .map_or(comment.end, |hint| hint.end.max(comment.end));
            self.hint = Some(Span { start, end });
        }
    }

    /// Semicolons with nothing between them, and whatever is around them.
    fn semicolons(&mut self) {
        let hint = self.hint;
        let begins = self.scan.at == 0;
        loop {
            self.blank();
            if self.scan.byte(self.scan.at) != b';' {
                break;
            }
            self.scan.at += 1;
        }
        if self.scan.at < self.scan.text.len() && !begins {
            self.mix(SEMICOLON);
            self.hint = hint;
            self.is_first = false;
        }
    }

    /// What is no single byte and no everyday name, number or string.
    #[inline(never)]
    fn rare(&mut self) {
        if let Some(token) = self.scan.next() {
            self.odd(token);
        }
    }

    fn odd(&mut self, token: scan::Token) {
        let span = token.span;
        match token.kind {
            TokenKind::Space => {}
            TokenKind::Comment => self.heed(span),
            TokenKind::UnicodeString => {
                let escape = self.escape();
                self.scan.at = escape.map_or(self.scan.at, |escape| escape.end);
                self.value_from(span.start);
            }
            TokenKind::String
            | TokenKind::EscapeString
            | TokenKind::BitString
            | TokenKind::DollarString
            | TokenKind::Number
            | TokenKind::Parameter => self.value(span),
            TokenKind::Word
            | TokenKind::Operator
            | TokenKind::Semicolon
            | TokenKind::Comma
            | TokenKind::Dot => {
                self.name(span, if token.kind.is_name() { WORD } else { MARK }, false)
            }
            TokenKind::Open | TokenKind::Close | TokenKind::Symbol => self.symbol(span),
            TokenKind::QuotedName => self.verbatim(span),
            TokenKind::UnicodeName => {
                self.verbatim(span);
                // What it escapes with is part of the name.
                if let Some(escape) = self.escape() {
                    self.verbatim(escape);
                    self.scan.at = escape.end;
                }
            }
            TokenKind::Other | TokenKind::Unterminated => {
                self.is_sound = false;
                self.verbatim(span);
            }
        }
    }

    fn symbol(&mut self, span: Span) {
        self.scan.at = span.start;
        match span.of(self.scan.text) {
            b"[" => self.open(OPEN_BRACKET),
            b"]" => self.close(CLOSE_BRACKET),
            _ => {
                self.name(span, MARK, false);
                self.scan.at = span.end;
            }
        }
    }

    /// The string of a UESCAPE clause that follows here.
    fn escape(&mut self) -> Option<Span> {
        self.blank();
        let mut ahead = self.scan.clone();
        let word = ahead.next()?;
        if !word.span.of(ahead.text).eq_ignore_ascii_case(b"uescape") {
            return None;
        }
        let string = ahead.significant()?;
        let is_string = matches!(
            string.kind,
            TokenKind::String | TokenKind::EscapeString | TokenKind::DollarString
        );
        is_string.then_some(string.span)
    }

    /// Mixes bytes that may be anything.
    fn verbatim(&mut self, span: Span) {
        self.mix(VERBATIM | (span.end - span.start) as u64);
        for part in span.of(self.scan.text).chunks(8) {
            self.mix(chunk::load(part, 0));
        }
        self.last = NAME;
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a wrong index is a failed test"
)]
#[path = "printer_tests.rs"]
mod tests;
