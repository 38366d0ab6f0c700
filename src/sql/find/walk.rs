//! Walks a query for its relations, its calls, and the words that write or lock.

use super::super::scan::TokenKind;
use super::super::verdict::{Class, Effect, Named, Obstacle};
use super::Gathered;
use super::effects;
use super::grammar::{self, is_in};
use super::piece::{LONGEST_KEYWORD, Piece};

/// Parentheses deeper than this the server refuses too, by its stack.
const DEEPEST: usize = 1000;

/// Walks `pieces`, a whole query or expression.
pub(super) fn walk(pieces: &[Piece<'_>], gathered: &mut Gathered) {
    let mut walk = Walk {
        pieces,
        at: 0,
        before: Before::Start,
        mute: false,
        verb: None,
        frame: Frame::query(),
        outer: Vec::new(),
        ctes: Vec::new(),
        gathered,
    };
    while let Some(piece) = walk.pieces.get(walk.at) {
        walk.step(*piece);
        if walk.outer.len() > DEEPEST {
            walk.gathered.unknown();
            return;
        }
    }
    walk.settle();
}

struct Walk<'a> {
    pieces: &'a [Piece<'a>],
    at: usize,
    before: Before,
    /// The next parenthesis is part of a keyword, so that an operand may follow it.
    mute: bool,
    /// Where the last verb that writes stands.
    verb: Option<usize>,
    /// The parenthesis that is open here, or the query itself.
    frame: Frame,
    /// Those around it.
    outer: Vec<Frame>,
    /// The names of WITH clauses that are in force, with the depth that they end with.
    ctes: Vec<(usize, Box<[u8]>)>,
    gathered: &'a mut Gathered,
}

/// What stands before the piece under the eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    /// What is complete: a name, a literal, a closed parenthesis.
    Operand,
    Open,
    Close,
    /// AS, `::`
    Naming,
    /// An operator, a comma, a keyword.
    Other,
}

/// What a parenthesis, or the query as a whole, is in the middle of.
#[derive(Debug, Default)]
struct Frame {
    /// A query, where FROM means relations.
    query: bool,
    /// In a list of relations.
    from: bool,
    /// A relation comes next.
    expect: Expect,
    /// A relation has just been named: an alias may follow, with names for its columns.
    named: bool,
    /// In a list of WITH, where a name comes next if `expect` says so.
    with: bool,
    /// Its queries may name themselves.
    recursive: bool,
    /// In GROUP BY.
    groups: bool,
    /// The WITH query whose text is being passed; in force afterwards.
    defining: Option<Box<[u8]>>,
    /// A parenthesis after which an operand may follow.
    mute: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Expect {
    #[default]
    Nothing,
    /// A relation, a function, or a parenthesis.
    Item,
    /// A relation, whatever follows its name.
    Target,
    /// The name of a WITH query.
    Cte,
}

impl Frame {
    fn query() -> Self {
        Self {
            query: true,
            ..Self::default()
        }
    }

    /// Another SELECT begins, or the list of relations has ended.
    fn leave_from(&mut self) {
        self.from = false;
        self.expect = Expect::Nothing;
        self.named = false;
        self.groups = false;
        self.with = false;
    }
}

impl<'a> Walk<'a> {
    fn step(&mut self, piece: Piece<'a>) {
        match piece.kind {
            TokenKind::Word | TokenKind::QuotedName | TokenKind::UnicodeName => {
                return self.name(piece);
            }
            TokenKind::Open => self.open(),
            TokenKind::Close => self.close(),
            TokenKind::Comma => self.comma(),
            TokenKind::Operator => {
                if piece.bytes != b"*" || self.before == Before::Operand {
                    self.gathered.operators.put(piece.bytes.into());
                }
                self.before = Before::Other;
            }
            // After `)`, `]` or a parameter: a field, or a function in column notation.
            TokenKind::Dot => {
                self.at += 1;
                return self.field();
            }
            TokenKind::Symbol => {
                self.before = match piece.bytes {
                    b"::" => Before::Naming,
                    b"]" => Before::Operand,
                    _ => Before::Other,
                };
            }
            TokenKind::String
            | TokenKind::EscapeString
            | TokenKind::UnicodeString
            | TokenKind::BitString
            | TokenKind::DollarString
            | TokenKind::Number
            | TokenKind::Parameter => self.before = Before::Operand,
            TokenKind::Semicolon => self.before = Before::Start,
            TokenKind::Space | TokenKind::Comment => {}
            TokenKind::Other | TokenKind::Unterminated => self.gathered.unknown(),
        }
        self.at += 1;
    }

    fn open(&mut self) {
        let items = self.frame.expect == Expect::Item;
        let begins = self.begins_query(items);
        if items {
            self.named_item();
        }
        if self.before == Before::Close {
            // Behind its last query, WITH's own in parentheses.
            self.settle();
            self.frame.with = false;
        }
        let mut frame = match (begins, items) {
            (true, _) => Frame::query(),
            (false, true) => Frame {
                query: true,
                from: true,
                expect: Expect::Item,
                ..Frame::default()
            },
            (false, false) => Frame::default(),
        };
        frame.groups = self.frame.groups && !begins;
        frame.mute = std::mem::take(&mut self.mute);
        self.outer.push(std::mem::replace(&mut self.frame, frame));
        self.before = Before::Open;
    }

    /// Whether a query begins behind the parenthesis here, which may hold `items` of FROM.
    fn begins_query(&self, items: bool) -> bool {
        let follows = |kind| self.is_at(self.at + 2, kind);
        let then = |word: &str| self.peek(2).is_some_and(|piece| piece.is(word));
        let Some(next) = self.peek(1) else {
            return false;
        };
        if next.is_any(&["select", "with", "table"]) {
            return true;
        }
        if next.is("values") {
            return follows(TokenKind::Open);
        }
        let named = self.peek(2).is_some_and(|piece| piece.kind.is_name());
        let writes = next.is_any(&["insert", "merge"]) && then("into")
            || next.is("delete") && then("from")
            || next.is("update") && named;
        writes && !items
    }

    fn close(&mut self) {
        self.settle();
        let depth = self.outer.len();
        self.ctes.retain(|(ends, _)| *ends < depth);
        let mute = self.frame.mute;
        if let Some(outer) = self.outer.pop() {
            self.frame = outer;
        }
        self.before = match mute {
            true => Before::Other,
            false => Before::Close,
        };
    }

    fn comma(&mut self) {
        if self.frame.with {
            self.settle();
            self.frame.expect = Expect::Cte;
        } else if self.frame.from {
            self.frame.expect = Expect::Item;
            self.frame.named = false;
        }
        self.before = Before::Other;
    }

    /// A name after a dot that follows no name.
    fn field(&mut self) {
        if let Some(piece) = self.peek(0)
            && piece.kind.is_name()
        {
            self.gathered.fields.put(piece.name());
            self.at += 1;
        }
        self.before = Before::Operand;
    }

    /// A word or name, and all that is joined to it by dots.
    fn name(&mut self, piece: Piece<'a>) {
        let start = self.at;
        let mut end = start + 1;
        while self.is_at(end, TokenKind::Dot)
            && self
                .pieces
                .get(end + 1)
                .is_some_and(|next| next.kind.is_name())
        {
            end += 2;
        }
        let calls = self.is_at(end, TokenKind::Open);
        if end == start + 1 && self.before != Before::Naming && self.keyword(piece, calls) {
            return;
        }
        self.at = end;
        let parts = self.pieces.get(start..end).unwrap_or_default();
        self.written(parts, calls);
        let name = piece.name();
        let leads = std::str::from_utf8(&name).is_ok_and(|name| is_in(grammar::LEADING, name));
        let leads = leads && end == start + 1;
        self.before = match leads {
            true => Before::Other,
            false => Before::Operand,
        };
    }

    /// A name that is no keyword, of one part or several.
    fn written(&mut self, parts: &[Piece<'a>], calls: bool) {
        let expect = self.frame.expect;
        match expect {
            Expect::Cte => self.define(parts),
            Expect::Target => {
                self.frame.expect = Expect::Nothing;
                self.relation(parts);
            }
            Expect::Item => {
                self.named_item();
                match calls {
                    true => self.call(parts),
                    false => self.relation(parts),
                }
            }
            Expect::Nothing if calls && self.before != Before::Naming => {
                let follows = matches!(self.before, Before::Operand | Before::Close);
                match follows || self.frame.named {
                    true => self.aside(parts),
                    false => self.call(parts),
                }
            }
            Expect::Nothing => self.words(parts),
        }
    }

    fn words(&mut self, parts: &[Piece<'a>]) {
        let mut names = parts.iter().step_by(2).map(Piece::name);
        names
            .next()
            .into_iter()
            .for_each(|name| self.gathered.words.put(name));
        names.for_each(|name| self.gathered.fields.put(name));
    }

    fn define(&mut self, parts: &[Piece<'a>]) {
        self.frame.expect = Expect::Nothing;
        // SEARCH and CYCLE have lists with commas too.
        if !self.is_cte(self.at) {
            return match self.is_at(self.at, TokenKind::Open) {
                true => self.call(parts),
                false => self.words(parts),
            };
        }
        let name = named(parts).name;
        if self.frame.recursive {
            self.ctes.push((self.outer.len(), name));
        } else {
            self.frame.defining = Some(name);
        }
    }

    /// The WITH query that was being passed is in force from here on.
    fn settle(&mut self) {
        if let Some(name) = self.frame.defining.take() {
            self.ctes.push((self.outer.len(), name));
        }
    }

    fn relation(&mut self, parts: &[Piece<'a>]) {
        let relation = named(parts);
        let is_cte = |(_, name): &(usize, Box<[u8]>)| *name == relation.name;
        if relation.schema.is_some() || !self.ctes.iter().any(is_cte) {
            self.gathered.relations.put(relation);
        }
    }

    fn call(&mut self, parts: &[Piece<'a>]) {
        let function = named(parts);
        let arguments = self.pieces.get(self.at + 1..).unwrap_or_default();
        effects::called(&function.name, arguments, self.gathered);
        self.gathered.functions.put(function);
    }

    fn aside(&mut self, parts: &[Piece<'a>]) {
        let function = named(parts);
        let arguments = self.pieces.get(self.at + 1..).unwrap_or_default();
        effects::called(&function.name, arguments, self.gathered);
        self.gathered.asides.put(function);
    }

    fn named_item(&mut self) {
        self.frame.expect = Expect::Nothing;
        self.frame.named = true;
    }

    /// Whether this word is one of the grammar's here; then it is passed.
    fn keyword(&mut self, piece: Piece<'a>, calls: bool) -> bool {
        let mut buffer = [0; LONGEST_KEYWORD];
        let word = piece.keyword(&mut buffer);
        let operand = matches!(self.before, Before::Operand | Before::Close);
        let named = matches!(self.frame.expect, Expect::Cte | Expect::Target);
        if named && !is_in(grammar::RESERVED, word) {
            return false;
        }
        let mut after = Before::Other;
        match word {
            "" => return false,
            "select" => self.begin_query(),
            "values" if calls && self.frame.expect == Expect::Nothing => self.begin_query(),
            "table" => {
                self.begin_query();
                self.expect(Expect::Item);
            }
            "with" => self.with(),
            "from" => self.from(),
            "rows" if self.frame.expect == Expect::Item && self.next_is("from") => {
                self.at += 1;
                self.named_item();
            }
            "only" | "lateral" => {}
            "join" if self.frame.from => self.expect(Expect::Item),
            "on" => {
                self.mute = self.last_is("distinct");
                self.frame.named = false;
            }
            "using" if self.frame.from && !calls => self.expect(Expect::Item),
            "where" | "having" | "limit" | "offset" | "fetch" | "window" | "union"
            | "intersect" | "except" | "returning" => self.frame.leave_from(),
            "order" if self.next_is("by") => self.frame.leave_from(),
            "group" if self.next_is("by") => {
                self.frame.leave_from();
                self.frame.groups = true;
            }
            // Each may be a function's name too, though not behind these.
            "by" if ["order", "group", "partition"]
                .iter()
                .any(|word| self.last_is(word)) => {}
            "first" | "next" if self.last_is("fetch") => {}
            "into" => self.into(),
            "insert" | "delete" | "merge" | "update" if self.is_verb(word) => self.write(word),
            "for" => self.locks(),
            "as" => after = Before::Naming,
            "tablesample" => self.sample(),
            "operator" if calls && self.is_operator() => self.mute = true,
            "over" | "filter" if calls && self.before == Before::Close => {}
            "rollup" | "cube" | "sets" if calls && self.frame.groups => self.aside_of(word),
            _ if is_in(grammar::VALUES, word) => {
                if self.frame.expect != Expect::Nothing {
                    self.named_item();
                }
                after = Before::Operand;
            }
            _ if is_in(grammar::RESERVED, word) => {}
            _ if is_in(grammar::OPERATORS_OR_FUNCTIONS, word) => {
                let negated = self.last_is("not") && matches!(word, "like" | "ilike" | "similar");
                if calls && !operand && !negated {
                    return false;
                }
            }
            _ if calls && is_in(grammar::CONSTRUCTS, word) => self.construct(),
            _ if calls && is_in(grammar::LATE_CONSTRUCTS, word) => {
                self.aside_of(word);
                self.construct();
            }
            _ => return false,
        }
        self.at += 1;
        self.before = after;
        true
    }

    /// A construct of the grammar that may be a function's name elsewhere.
    fn aside_of(&mut self, word: &str) {
        self.gathered.asides.put(Named {
            schema: None,
            name: word.as_bytes().into(),
        });
    }

    fn begin_query(&mut self) {
        self.settle();
        self.frame.query = true;
        self.frame.with = false;
        self.frame.leave_from();
    }

    fn expect(&mut self, expect: Expect) {
        self.frame.from = true;
        self.frame.named = false;
        self.frame.expect = expect;
    }

    /// A function of the grammar's own where a relation may stand.
    fn construct(&mut self) {
        if self.frame.expect == Expect::Item {
            self.named_item();
        }
    }

    /// WITH that names queries; there are others (WITH ORDINALITY, WITH TIME ZONE).
    fn with(&mut self) {
        let recursive = self.next_is("recursive") && self.is_cte(self.at + 3);
        if self.frame.from || !(recursive || self.is_cte(self.at + 2)) {
            return;
        }
        self.at += usize::from(recursive);
        self.begin_query();
        self.frame.with = true;
        self.frame.recursive = recursive;
        self.frame.expect = Expect::Cte;
    }

    /// Whether what follows here makes the name before it that of a WITH query: perhaps columns,
    /// AS, perhaps how, and a parenthesis.
    fn is_cte(&self, mut at: usize) -> bool {
        if self.is_at(at, TokenKind::Open) {
            let rest = self.pieces.get(at + 1..).unwrap_or_default();
            let column =
                |piece: &&Piece<'_>| piece.kind.is_name() || piece.kind == TokenKind::Comma;
            at += rest.iter().take_while(column).count() + 2;
        }
        let rest = self.pieces.get(at..).unwrap_or_default();
        let is = |at: usize, word| rest.get(at).is_some_and(|piece| piece.is(word));
        let how = usize::from(is(1, "not"));
        let how = how + usize::from(is(1 + how, "materialized"));
        is(0, "as") && self.is_at(at + 1 + how, TokenKind::Open)
    }

    fn from(&mut self) {
        let distinct = self.last_is("distinct")
            && self
                .back(2)
                .is_some_and(|piece| piece.is_any(&["is", "not"]))
            && !self
                .back(3)
                .is_some_and(|piece| piece.kind == TokenKind::Dot);
        if self.frame.query && !distinct {
            self.expect(Expect::Item);
        }
    }

    fn into(&mut self) {
        let inserts = self.verb.is_some() && self.verb == self.at.checked_sub(1);
        if !inserts {
            self.gathered.class(Class::Ddl, Some(Obstacle::Ddl));
            self.frame.leave_from();
            while self.next_is("local") || self.next_is("global") || self.next_is("unlogged") {
                self.at += 1;
            }
            if self.next_is("temp") || self.next_is("temporary") {
                self.gathered.effect(Effect::Temp);
                self.at += 1;
            }
            if self.next_is("table") {
                self.at += 1;
            }
            if makes_temporary(self.pieces.get(self.at + 1..).unwrap_or_default()) {
                self.gathered.effect(Effect::Temp);
            }
        }
        self.frame.expect = Expect::Target;
    }

    /// Whether a statement that writes begins here: by itself, or in WITH.
    fn is_verb(&self, word: &str) -> bool {
        let here = matches!(
            self.before,
            Before::Start | Before::Open | Before::Close | Before::Naming
        );
        // SEARCH and CYCLE end in names.
        (here || self.frame.with)
            && match word {
                "insert" | "merge" => self.next_is("into"),
                "delete" => self.next_is("from"),
                _ => self.peek(1).is_some_and(|piece| piece.kind.is_name()),
            }
    }

    fn write(&mut self, word: &str) {
        self.begin_query();
        self.verb = Some(self.at);
        self.gathered.class(Class::Write, Some(Obstacle::Write));
        self.frame.from = word == "merge"; // for its USING
        if word == "update" {
            self.frame.expect = Expect::Target;
        }
    }

    fn locks(&mut self) {
        let locks = self
            .peek(1)
            .is_some_and(|next| next.is_any(&["update", "no", "share", "key"]));
        if locks {
            self.gathered.class(Class::Write, Some(Obstacle::Locking));
            self.frame.leave_from();
            self.at += 1;
        }
    }

    /// The methods that every server has are no functions that anyone calls.
    fn sample(&mut self) {
        let own = self.next_is("bernoulli") || self.next_is("system");
        if own && self.is_at(self.at + 2, TokenKind::Open) {
            self.at += 1;
        }
        self.frame.named = false;
    }

    /// OPERATOR(schema.+) rather than a function of that name.
    fn is_operator(&self) -> bool {
        let rest = self.pieces.get(self.at + 2..).unwrap_or_default();
        let named = |piece: &&Piece<'_>| piece.kind.is_name() || piece.kind == TokenKind::Dot;
        let path = rest.iter().take_while(named).count();
        rest.get(path)
            .is_some_and(|piece| piece.kind == TokenKind::Operator)
    }

    fn peek(&self, ahead: usize) -> Option<&Piece<'a>> {
        self.pieces.get(self.at + ahead)
    }

    fn back(&self, behind: usize) -> Option<&Piece<'a>> {
        self.pieces.get(self.at.checked_sub(behind)?)
    }

    fn next_is(&self, word: &str) -> bool {
        self.peek(1).is_some_and(|piece| piece.is(word))
    }

    fn last_is(&self, word: &str) -> bool {
        self.back(1).is_some_and(|piece| piece.is(word))
    }

    fn is_at(&self, at: usize, kind: TokenKind) -> bool {
        self.pieces.get(at).is_some_and(|piece| piece.kind == kind)
    }
}

/// The last two parts of a dotted name.
pub(super) fn named(parts: &[Piece<'_>]) -> Named {
    let mut names = parts.iter().rev().step_by(2).map(Piece::name);
    Named {
        name: names.next().unwrap_or_default(),
        schema: names.next(),
    }
}

/// Whether what is made under the name that begins here is temporary for its schema's sake.
pub(super) fn makes_temporary(pieces: &[Piece<'_>]) -> bool {
    match pieces {
        [schema, dot, ..] if dot.kind == TokenKind::Dot => schema.name().starts_with(b"pg_temp"),
        _ => false,
    }
}
