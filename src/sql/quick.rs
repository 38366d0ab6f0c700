//! The everyday tokens, as `printer` takes them, but with all that changes in registers:
//! most of a text is passed here.

use super::chunk;
use super::form;
use super::form::CLOSE;
use super::form::COMMA;
use super::form::DOT;
use super::form::IN;
use super::form::MARK;
use super::form::NAME;
use super::form::OPEN;
use super::form::QUOTED;
use super::form::VALUE;
use super::form::VALUES;
use super::form::WORD;
use super::keywords;
use super::lanes::Key;
use super::lanes::Lanes;
use super::literals::Literals;
use super::printer::Printer;
use super::scan;
use super::scan::Span;

impl<L: Literals> Printer<'_, '_, L> {
    /// Passes tokens up to one that is not so common, or says something about a list.
    pub fn quick(&mut self) {
        let mut quick = Quick {
            text: self.scan.text(),
            at: self.scan.at,
            key: self.key,
            lanes: self.lanes,
            last: self.last,
        };
        let list = self.list.is_open().then(|| self.list.depth());
        let (mut depth, mut place) = (self.depth, self.place);
        loop {
            // Most tokens stand behind a space.
            while quick.byte(quick.at) == b' ' {
                quick.at += 1;
            }
            let start = quick.at;
            match scan::class(quick.byte(start)) {
                scan::SPACE => quick.at += 1,
                scan::LETTER if list.is_none() || !form::begins_element(quick.last) => {
                    if !quick.word() {
                        break;
                    }
                }
                scan::NAME_QUOTE if quick.quoted() => {}
                scan::DIGIT | scan::QUOTE | scan::DOLLAR => {
                    let Some(end) = quick.value() else { break };
                    self.literals.value(place, Span { start, end });
                    place = place.wrapping_add(1);
                }
                scan::OPERATOR if quick.operator() => {}
                scan::DOT if quick.dot() => {}
                scan::COLON => quick.colon(),
                scan::COMMA if list != Some(depth) => quick.mark(COMMA),
                scan::OPEN if quick.last != IN && quick.last != VALUES => {
                    quick.mark(OPEN);
                    depth = depth.saturating_add(1);
                }
                scan::CLOSE if list.is_none_or(|list| depth > list.saturating_add(1)) => {
                    quick.mark(CLOSE);
                    depth = depth.saturating_sub(1);
                }
                _ => break,
            }
        }
        self.scan.at = quick.at;
        self.lanes = quick.lanes;
        self.last = quick.last;
        (self.depth, self.place) = (depth, place);
    }
}

/// Each of these passes what begins here, or says that it did nothing.
struct Quick<'a> {
    text: &'a [u8],
    at: usize,
    key: Key,
    lanes: Lanes,
    last: u64,
}

impl Quick<'_> {
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn mix(&mut self, word: u64) {
        self.lanes.mix(self.key, word);
        self.last = word;
    }

    #[inline(always)]
    fn mark(&mut self, word: u64) {
        self.at += 1;
        self.mix(word);
    }

    #[inline(always)]
    fn word(&mut self) -> bool {
        let start = self.at;
        let chunk = chunk::load(self.text, start);
        let length = chunk::leading(chunk::in_word(chunk));
        if length == 8 {
            self.long_word(chunk);
            return true;
        }
        if length == 1 && matches!(self.byte(start + 1), b'\'' | b'&') {
            return false;
        }
        let mut word = chunk::lowest(chunk, length);
        let upper = chunk::upper(word);
        if upper != 0 {
            let lowered = chunk::lowered(word, upper);
            if keywords::is_keyword(&[lowered, 0, 0]) {
                word = lowered;
            }
        }
        word |= form::end(WORD, length);
        let is_name = self.last == DOT;
        self.mix(word);
        self.last = if is_name { NAME } else { word };
        self.at = start + length;
        true
    }

    /// One of eight letters or more.
    #[inline(always)]
    fn long_word(&mut self, first: u64) {
        let (start, before) = (self.at, self.lanes);
        let (mut chunk, mut length, mut uppers) = (first, 8, 0);
        while length == 8 {
            self.mix(chunk);
            uppers |= chunk::upper(chunk);
            self.at += 8;
            chunk = chunk::load(self.text, self.at);
            length = chunk::leading(chunk::in_word(chunk));
        }
        let rest = chunk::lowest(chunk, length);
        uppers |= chunk::upper(rest);
        self.mix(rest | form::end(WORD, length));
        self.at += length;
        self.last = NAME;
        if uppers != 0 && self.at - start <= keywords::LONGEST {
            self.keyword(start, before);
        }
    }

    /// Mixes in lower case instead what begins at `start`, if it is a keyword.
    #[inline(always)]
    fn keyword(&mut self, start: usize, before: Lanes) {
        let length = self.at - start;
        let mut spelling = [0; 3];
        for (part, at) in spelling.iter_mut().zip([0, 8, 16]) {
            let left = length.saturating_sub(at);
            let chunk = chunk::load(self.text, start + at);
            let chunk = if left < 8 {
                chunk::lowest(chunk, left)
            } else {
                chunk
            };
            *part = chunk::lowered(chunk, chunk::upper(chunk));
        }
        if !keywords::is_keyword(&spelling) {
            return;
        }
        self.lanes = before;
        for (part, at) in spelling.into_iter().zip([0, 8, 16]) {
            let left = length.saturating_sub(at);
            if left < 8 {
                self.mix(part | form::end(WORD, left));
                break;
            }
            self.mix(part);
        }
        self.last = NAME;
    }

    /// A quoted name that might do without its quotes.
    #[inline(always)]
    fn quoted(&mut self) -> bool {
        let (start, before) = (self.at, self.lanes);
        let mut at = start + 1;
        let (chunk, length) = loop {
            let chunk = chunk::load(self.text, at);
            let length = chunk::leading(chunk::in_word(chunk));
            if length < 8 {
                break (chunk, length);
            }
            self.lanes.mix(self.key, chunk);
            at += 8;
        };
        let end = at + length;
        if self.byte(end) != b'"' || self.byte(end + 1) == b'"' || end == start + 1 {
            self.lanes = before;
            return false;
        }
        self.mix(chunk::lowest(chunk, length) | form::end(QUOTED, length));
        self.at = end + 1;
        true
    }

    /// A short number, string or `$1`.
    #[inline(always)]
    fn value(&mut self) -> Option<usize> {
        let start = self.at;
        let end = match self.byte(start) {
            b'\'' => self.end_of_string(start + 1)?,
            b'$' => self
                .end_of_digits(start + 1)
                .filter(|end| *end > start + 1)?,
            _ => self.end_of_digits(start)?,
        };
        self.mix(VALUE);
        self.at = end;
        Some(end)
    }

    /// The end of up to seven digits that no more of a number or name follows.
    #[inline(always)]
    fn end_of_digits(&self, start: usize) -> Option<usize> {
        let chunk = chunk::load(self.text, start);
        let length = chunk::leading(chunk::digits(chunk));
        let behind = self.byte(start + length);
        let ends = length < 8 && behind != b'.' && scan::traits(behind) & scan::IN_WORD == 0;
        ends.then_some(start + length)
    }

    /// The end of up to 32 bytes of a string that surely ends there.
    #[inline(always)]
    fn end_of_string(&self, start: usize) -> Option<usize> {
        let mut at = start;
        while at < start + 32 {
            let before = chunk::before(chunk::load(self.text, at), b'\'');
            at += before;
            if before < 8 {
                let end = at + 1;
                return (at < self.text.len() && self.ends_string(end)).then_some(end);
            }
        }
        None
    }

    /// Whether a string that a quote before `at` seems to end does end there.
    #[inline(always)]
    fn ends_string(&self, mut at: usize) -> bool {
        while self.byte(at) == b' ' {
            at += 1;
        }
        let next = self.byte(at);
        next != b'\'' && next != b'-' && scan::class(next) != scan::SPACE
    }

    /// One of one or two characters that is neither a sign nor a comment's begin.
    #[inline(always)]
    fn operator(&mut self) -> bool {
        let (first, second) = (self.byte(self.at), self.byte(self.at + 1));
        if scan::class(second) != scan::OPERATOR {
            let is_sign = first == b'+' || first == b'-';
            if !is_sign {
                self.mark(u64::from(first) | form::end(MARK, 1));
            }
            return !is_sign;
        }
        let is_other = second == b'+' || second == b'-' || first == b'/';
        if is_other || scan::class(self.byte(self.at + 2)) == scan::OPERATOR {
            return false;
        }
        self.at += 1;
        self.mark(u64::from(first) | u64::from(second) << 8 | form::end(MARK, 2));
        true
    }

    #[inline(always)]
    fn dot(&mut self) -> bool {
        let next = self.byte(self.at + 1);
        let is_dot = next != b'.' && !next.is_ascii_digit();
        if is_dot {
            self.mark(DOT);
        }
        is_dot
    }

    #[inline(always)]
    fn colon(&mut self) {
        let second = self.byte(self.at + 1);
        if matches!(second, b':' | b'=') {
            self.at += 1;
            self.mark(u64::from(b':') | u64::from(second) << 8 | form::end(MARK, 2));
        } else {
            self.mark(u64::from(b':') | form::end(MARK, 1));
        }
    }
}
