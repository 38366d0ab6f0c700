//! Lists of any length have one form: elements that differ in their values alone count once.

use super::chunk;
use super::form::ARRAY;
use super::form::COMMA;
use super::form::IN;
use super::form::OPEN;
use super::form::OPEN_BRACKET;
use super::form::VALUES;
use super::lanes::Lanes;
use super::literals::Literals;
use super::printer::Printer;
use super::scan;
use super::scan::Span;
use super::scan::Strings;
use super::scan::TokenKind;

/// The list whose elements are being hashed each by itself. There is one at most.
pub(super) struct List {
    /// Brackets open where its elements part; `NONE`: there is no list.
    depth: u32,
    /// `IN (…)` or `ARRAY[…]`; else the rows of VALUES.
    is_enclosed: bool,
    /// What was mixed before it, with its elements so far.
    outer: Lanes,
    /// The last element.
    shape: Option<Lanes>,
    /// The place that every element counts from,
    base: u32,
    /// and the highest that one counted to.
    top: u32,
}

const NONE: u32 = u32::MAX;

impl List {
    pub fn none(outer: Lanes) -> List {
        List {
            depth: NONE,
            is_enclosed: false,
            outer,
            shape: None,
            base: 0,
            top: 0,
        }
    }

    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.depth != NONE
    }

    #[inline(always)]
    pub fn depth(&self) -> u32 {
        self.depth
    }
}

impl<L: Literals> Printer<'_, '_, L> {
    #[inline]
    pub fn open(&mut self, bracket: u64) {
        let before = self.last;
        if before == VALUES && bracket == OPEN && !self.list.is_open() {
            self.begin_list(false);
        }
        self.mark(bracket);
        self.depth = self.depth.saturating_add(1);
        if matches!((before, bracket), (IN, OPEN) | (ARRAY, OPEN_BRACKET)) {
            self.enclosed();
        }
    }

    #[inline]
    pub fn close(&mut self, bracket: u64) {
        if self.list.is_enclosed && self.depth == self.list.depth {
            self.end_list();
        }
        self.depth = self.depth.saturating_sub(1);
        self.mark(bracket);
        if !self.list.is_enclosed && self.depth == self.list.depth {
            self.end_row();
        }
    }

    #[inline]
    pub fn comma(&mut self) {
        if self.depth != self.list.depth {
            return self.mark(COMMA);
        }
        self.scan.at += 1;
        self.last = COMMA;
        self.end_element();
        self.plain_elements();
    }

    /// Behind `IN (` or `ARRAY[`.
    fn enclosed(&mut self) {
        self.blank();
        if self.queries() {
            return;
        }
        if self.list.is_open() {
            self.inner_values();
        } else {
            self.begin_list(true);
            self.plain_elements();
        }
    }

    /// Whether a query begins here, and not an element.
    fn queries(&self) -> bool {
        let chunk = chunk::load(self.scan.text(), self.scan.at);
        let length = chunk::leading(chunk::in_word(chunk)).min(7);
        let word = chunk::lowest(chunk, length);
        let word = chunk::lowered(word, chunk::upper(word));
        const QUERIES: [&[u8]; 4] = [b"select", b"with", b"values", b"table"];
        QUERIES.iter().any(|query| chunk::load(query, 0) == word)
    }

    fn begin_list(&mut self, is_enclosed: bool) {
        self.list = List {
            depth: self.depth,
            is_enclosed,
            outer: self.lanes,
            shape: None,
            base: self.place,
            top: self.place,
        };
        self.lanes = Lanes::new(self.key);
    }

    fn end_element(&mut self) {
        let shape = Some(self.lanes);
        if self.list.shape != shape {
            if self.list.shape.is_some() {
                self.literals.mixed();
            }
            self.list.outer.absorb(self.key, self.lanes);
            self.list.shape = shape;
        }
        self.list.top = self.list.top.max(self.place);
        self.place = self.list.base;
        self.lanes = Lanes::new(self.key);
    }

    pub fn end_list(&mut self) {
        self.end_element();
        self.lanes = self.list.outer;
        self.place = self.list.top;
        self.list.depth = NONE;
    }

    /// Behind a row of VALUES: another may follow.
    fn end_row(&mut self) {
        self.blank();
        let follows = self.scan.byte(self.scan.at) == b',';
        if follows {
            self.scan.at += 1;
            self.blank();
            if self.scan.byte(self.scan.at) == b'(' {
                self.end_element();
                self.mark(OPEN);
                self.depth = self.depth.saturating_add(1);
                return;
            }
        }
        self.end_list();
        if follows {
            self.mix(COMMA);
        }
    }

    /// Passes elements that are nothing but a value: the everyday ones, faster than the rest.
    fn plain_elements(&mut self) {
        loop {
            self.blank();
            let start = self.scan.at;
            let Some(value) = self.plain_value() else {
                self.scan.at = start;
                return;
            };
            self.value(value);
            if self.scan.byte(self.scan.at) != b',' {
                return;
            }
            self.scan.at += 1;
            self.last = COMMA;
            self.end_element();
        }
    }

    /// Passes the values that an inner list begins with; they are one.
    fn inner_values(&mut self) {
        let place = self.place;
        loop {
            let start = self.scan.at;
            let is_first = self.place == place;
            self.scan.at += usize::from(!is_first);
            self.blank();
            let Some(value) = self.plain_value() else {
                self.scan.at = start;
                return;
            };
            if is_first {
                self.value(value);
            } else {
                self.literals.value(place, value);
            }
            if self.scan.byte(self.scan.at) != b',' {
                return;
            }
        }
    }

    /// Passes a value and the blank behind it; `None` if there is more to the element.
    fn plain_value(&mut self) -> Option<Span> {
        let start = self.scan.at;
        self.scan.at = match scan::class(self.scan.byte(start)) {
            scan::DIGIT => self.number(start),
            scan::QUOTE => self.scan.end_of_string(start + 1, Strings::Standard)?,
            scan::OPERATOR => self.plain_number(start)?,
            _ => self.plain_token()?,
        };
        let end = self.scan.at;
        self.blank();
        matches!(self.scan.byte(self.scan.at), b',' | b')' | b']').then_some(Span { start, end })
    }

    /// The end of a number whose sign is here.
    fn plain_number(&mut self, sign: usize) -> Option<usize> {
        if !matches!(self.scan.byte(sign), b'+' | b'-') {
            return None;
        }
        self.scan.at += 1;
        self.blank();
        let start = self.scan.at;
        self.scan.begins_number(start).then(|| self.number(start))
    }

    /// The end of a value of a rarer kind.
    fn plain_token(&mut self) -> Option<usize> {
        let token = self.scan.next()?;
        let is_constant = token.kind == TokenKind::Word && {
            let word = token.span.of(self.scan.text());
            const CONSTANTS: [&[u8]; 3] = [b"null", b"true", b"false"];
            CONSTANTS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(word))
        };
        let is_value = is_constant || token.kind.is_value();
        is_value.then_some(token.span.end)
    }
}
