//! Walks the statements of a text, token by token, and notes what they touch.
//!
//! The server splits by grammar. Its semicolons end a statement everywhere but in parentheses
//! (CREATE RULE … DO (…; …)) and in the body of a routine (BEGIN ATOMIC … END), and a body ends
//! with the END that stands where a statement would begin: other ENDs close a CASE or name
//! a column.

use super::call::may_call;
use super::kind::Kind;
use super::kind::Value;
use super::name::Name;
use super::scan::Scanner;
use super::scan::Span;
use super::scan::Strings;
use super::scan::TokenKind;
use super::stake::Stake;
use super::touches::Touches;
use super::word::Word;

/// A walk with one token under its eyes. A token counts once it is passed.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    scan: Scanner<'a>,
    /// The token under the eyes, none at the end of the text. Its two parts lie apart because
    /// a whole one, written in parts and read at once, stalls the processor.
    now: Option<TokenKind>,
    span: Span,
    pub word: Word,
    /// The words just before; [`Word::NONE`] where other tokens were.
    before: Word,
    earlier: Word,
    /// The end of the last token passed.
    pub behind: usize,
    /// Parentheses open here.
    depth: usize,
    /// An UPDATE was seen in this statement.
    updates: bool,
    /// This statement creates a function or procedure.
    pub routine: bool,
    /// INTO was seen in this statement: a query that has it writes.
    into: bool,
    /// A word was seen that writes where WITH leads: INSERT, DELETE or MERGE.
    writes: bool,
    pub touches: Touches,
    pub stake: Stake,
    pub executes: Option<Name>,
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(text: &'a [u8], strings: Strings) -> Self {
        let mut reader = Reader {
            scan: Scanner::new(text, strings),
            now: None,
            span: Span::default(),
            word: Word::NONE,
            before: Word::NONE,
            earlier: Word::NONE,
            behind: 0,
            depth: 0,
            updates: false,
            routine: false,
            into: false,
            writes: false,
            touches: Touches::NONE,
            stake: Stake::NONE,
            executes: None,
        };
        reader.load();
        reader
    }

    /// Goes to the first token of the next statement; false at the end of the text.
    #[inline]
    pub fn begin(&mut self) -> bool {
        while self.is(TokenKind::Semicolon) {
            self.load();
        }
        (self.before, self.earlier) = (Word::NONE, Word::NONE);
        (self.updates, self.routine) = (false, false);
        (self.into, self.writes) = (false, false);
        self.depth = 0;
        self.touches = Touches::NONE;
        self.executes = None;
        self.now.is_some()
    }

    /// Passes the statement that begins here, and says what leads it.
    #[inline]
    pub fn statement(&mut self) -> Kind {
        if self.word == Word::NONE {
            let queries = self.queries();
            self.pass_rest();
            self.stake = Stake::of(Kind::Other, queries && !self.into);
            return Kind::Other;
        }
        let with = self.word == Word::WITH;
        let kind = self.head().unwrap_or(Kind::Other);
        self.touches |= kind.touches();
        let copies_out = kind == Kind::Copy && self.copies_out();
        if self.routine {
            self.pass_routine();
        }
        self.pass_rest();
        let reads = !(self.into || self.writes || self.updates);
        self.stake = Stake::of(kind, reads && (with || copies_out));
        self.up_to_here(kind)
    }

    /// Whether a query begins here, parentheses before it or not. With INTO it writes.
    fn queries(&self) -> bool {
        let rest = self.text().get(self.span.start..).unwrap_or_default();
        let before = |byte: &u8| *byte == b'(' || byte.is_ascii_whitespace();
        let from = rest.iter().position(|byte| !before(byte));
        let rest = rest.get(from.unwrap_or(0)..).unwrap_or_default();
        let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic());
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let queries: [&[u8]; 3] = [b"select", b"values", b"table"];
        queries.iter().any(|one| word.eq_ignore_ascii_case(one))
    }

    /// Passes what COPY is of; whether it goes out.
    fn copies_out(&mut self) -> bool {
        while !(self.ends() || self.depth == 0 && matches!(self.word, Word::FROM | Word::TO)) {
            self.pass();
        }
        self.word == Word::TO
    }

    #[inline]
    fn pass_rest(&mut self) {
        while !self.ends() {
            self.pass();
        }
    }

    /// With the spans that reach to the statement's end ended here.
    fn up_to_here(&self, mut kind: Kind) -> Kind {
        if let Kind::Set {
            value: Value::Text(open),
            ..
        }
        | Kind::Prepare { body: open, .. } = &mut kind
        {
            open.end = self.behind.max(open.start);
        }
        kind
    }

    /// Whether the statement ends here.
    #[inline]
    pub fn ends(&self) -> bool {
        match self.now {
            Some(kind) => kind == TokenKind::Semicolon && self.depth == 0,
            None => true,
        }
    }

    #[inline]
    fn load(&mut self) {
        match self.scan.significant() {
            Some(token) => {
                self.now = Some(token.kind);
                self.span = token.span;
                self.word = self.scan.word(token);
            }
            None => {
                let end = self.scan.text().len();
                self.now = None;
                self.span = Span { start: end, end };
                self.word = Word::NONE;
            }
        }
    }

    /// Passes the token under the eyes.
    #[inline]
    pub fn pass(&mut self) {
        let Some(kind) = self.now else { return };
        if kind == TokenKind::Open {
            self.depth += 1;
            // A table that is inserted into, with its columns, is none.
            let target = self.before == Word::NONE && self.earlier == Word::INTO;
            if !target && may_call(self.scan.text(), self.behind, self.span.start) {
                self.touches |= Touches::FUNCTION;
            }
        } else if kind == TokenKind::Close {
            self.depth = self.depth.saturating_sub(1);
        } else if kind.hides_names() {
            self.touches |= Touches::UNCLEAR;
        }
        if self.word != Word::NONE {
            self.notice(self.word);
        }
        (self.earlier, self.before) = (self.before, self.word);
        self.behind = self.span.end;
        self.load();
    }

    /// What a word touches wherever it stands.
    fn notice(&mut self, word: Word) {
        self.touches |= word.touches();
        match word {
            Word::UPDATE => self.updates = true,
            Word::INTO => self.into = true,
            Word::INSERT | Word::DELETE | Word::MERGE => self.writes = true,
            // The view passes updates on to set_config.
            Word::PG_SETTINGS if self.updates => self.touches |= Touches::SETTING,
            Word::TEMP | Word::TEMPORARY if self.makes_temporary() => {
                self.touches |= Touches::TEMP;
            }
            _ => {}
        }
    }

    /// Whether TEMP here is a keyword: after CREATE, or SELECT … INTO, not INSERT INTO temp.
    fn makes_temporary(&self) -> bool {
        match self.before {
            Word::CREATE | Word::REPLACE | Word::LOCAL | Word::GLOBAL => true,
            Word::INTO => !matches!(self.earlier, Word::INSERT | Word::MERGE),
            _ => false,
        }
    }

    pub fn is(&self, kind: TokenKind) -> bool {
        self.now == Some(kind)
    }

    /// Whether `=` is here.
    pub fn is_equals(&self) -> bool {
        self.span.of(self.text()) == b"="
    }

    /// Whether `*` is here.
    pub fn is_star(&self) -> bool {
        self.span.of(self.text()) == b"*"
    }

    pub fn text(&self) -> &'a [u8] {
        self.scan.text()
    }

    /// The offset of the token under the eyes, or of the text's end.
    pub fn here(&self) -> usize {
        self.span.start
    }

    /// A span from here on whose end is not known yet.
    pub fn open_span(&self) -> Span {
        let here = self.here();
        Span {
            start: here,
            end: here,
        }
    }

    /// Passes `word` if it is here.
    pub fn take(&mut self, word: Word) -> bool {
        let here = self.word == word;
        if here {
            self.pass();
        }
        here
    }

    /// This walk one token further, to look what follows.
    pub fn ahead(&self) -> Self {
        let mut ahead = self.clone();
        ahead.pass();
        ahead
    }

    /// Passes a name.
    pub fn name(&mut self) -> Option<Name> {
        let kind = self.now.filter(|kind| kind.is_name())?;
        let start = self.span.start;
        self.pass();
        if kind == TokenKind::UnicodeName && self.take(Word::UESCAPE) {
            self.pass();
        }
        Some(Name {
            span: Span {
                start,
                end: self.behind,
            },
        })
    }

    /// Passes a name that may have dots in it.
    pub fn dotted_name(&mut self) -> Option<Name> {
        let mut name = self.name()?;
        while self.is(TokenKind::Dot) {
            self.pass();
            name.span.end = self.name()?.span.end;
        }
        Some(name)
    }

    /// Passes a name after `noise`, which may be left out, or be the name itself.
    pub fn name_after(&mut self, noise: Word) -> Option<Name> {
        let noise = match self.word == noise {
            true => self.name(),
            false => None,
        };
        self.name().or(noise)
    }

    /// Passes an opening parenthesis and all up to the one that closes it.
    pub fn pass_parentheses(&mut self) {
        if !self.is(TokenKind::Open) {
            return;
        }
        let outside = self.depth;
        self.pass();
        while self.depth > outside && self.now.is_some() {
            self.pass();
        }
    }

    /// Up to the first `word` outside parentheses, or to the end of the statement.
    pub fn pass_up_to(&mut self, word: Word) {
        while !(self.ends() || self.word == word && self.depth == 0) {
            self.pass();
        }
    }

    /// What is left of CREATE FUNCTION or PROCEDURE. Routines may nest as far as the grammar
    /// goes (the server refuses it only later), so the bodies are counted.
    fn pass_routine(&mut self) {
        let mut bodies = 0_usize;
        let mut opens = true; // whether BEGIN ATOMIC may open a body here
        while self.now.is_some() {
            let begins = match self.depth {
                0 if self.is(TokenKind::Semicolon) && bodies == 0 => return,
                0 if self.is(TokenKind::Semicolon) => true,
                0 if opens && self.word == Word::ATOMIC && self.before == Word::BEGIN => {
                    bodies += 1;
                    true
                }
                _ => false,
            };
            self.pass();
            if begins && bodies > 0 && self.take(Word::END) {
                bodies -= 1;
                opens = false;
            } else if begins {
                opens = self.takes_routine();
            }
        }
    }

    /// Passes CREATE [OR REPLACE] FUNCTION or PROCEDURE as far as it is here.
    fn takes_routine(&mut self) -> bool {
        if !self.take(Word::CREATE) {
            return false;
        }
        if self.take(Word::OR) {
            self.take(Word::REPLACE);
        }
        self.take(Word::FUNCTION) || self.take(Word::PROCEDURE)
    }
}
