//! Where a shard key could be: columns that a value of the text is compared with or put into.
//!
//! They are candidates. Whether a comparison binds the whole statement (not under OR or NOT, of
//! the table meant) is for whoever shards by it.

use std::collections::HashMap;

use super::super::fingerprint::fingerprint_with;
use super::super::literals::Places;
use super::super::scan::{Strings, TokenKind};
use super::super::verdict::Key;
use super::piece::Piece;
use super::walk::named;

/// Nobody shards by more columns than this.
const MOST: usize = 32;
/// Values looked at in one text.
const VALUES: usize = 1024;

/// The keys of a statement, whose `values` lie at these places.
pub(super) fn keys(pieces: &[Piece<'_>], values: &Values, found: &mut Vec<Key>) {
    for (at, piece) in pieces.iter().enumerate() {
        if found.len() >= MOST {
            return;
        }
        let before = pieces.get(..at).unwrap_or_default();
        let after = pieces.get(at + 1..).unwrap_or_default();
        if piece.kind == TokenKind::Operator && piece.bytes == b"=" {
            let (left, right) = (column_before(before), column_after(after));
            let first = values.first(compared(after));
            put(left, first, found);
            put(right, before.last().and_then(|last| values.of(last)), found);
        } else if piece.is("in") {
            put(column_before(before), values.first(after), found);
        } else if piece.is("insert") {
            inserted(after, values, found);
        }
    }
}

fn put(column: Option<&[Piece<'_>]>, place: Option<u32>, found: &mut Vec<Key>) {
    if let (Some(column), Some(place)) = (column, place) {
        let key = Key {
            column: named(column),
            place,
        };
        if !found.contains(&key) {
            found.push(key);
        }
    }
}

/// What `= ANY (` compares with, or `=` itself.
fn compared<'p, 'a>(after: &'p [Piece<'a>]) -> &'p [Piece<'a>] {
    match after {
        [any, rest @ ..] if any.is_any(&["any", "some"]) => rest,
        _ => after,
    }
}

/// The dotted name that ends here.
fn column_before<'p, 'a>(before: &'p [Piece<'a>]) -> Option<&'p [Piece<'a>]> {
    let len = path(before.iter().rev());
    before
        .get(before.len() - len..)
        .filter(|column| !column.is_empty())
}

/// The dotted name that begins here, and is no call.
fn column_after<'p, 'a>(after: &'p [Piece<'a>]) -> Option<&'p [Piece<'a>]> {
    let len = path(after.iter());
    let calls = after
        .get(len)
        .is_some_and(|next| next.kind == TokenKind::Open);
    after
        .get(..len)
        .filter(|column| !(column.is_empty() || calls))
}

/// How many pieces are names with dots between them.
fn path<'p, 'a: 'p>(pieces: impl Iterator<Item = &'p Piece<'a>>) -> usize {
    let fits = |(at, piece): &(usize, &Piece<'_>)| match at % 2 {
        0 => piece.kind.is_name(),
        _ => piece.kind == TokenKind::Dot,
    };
    let len = pieces.enumerate().take_while(fits).count();
    len - usize::from(len > 0 && len % 2 == 0)
}

/// INSERT INTO t (columns) VALUES (…): what the first row puts into each, all rows alike.
fn inserted(after: &[Piece<'_>], values: &Values, found: &mut Vec<Key>) {
    let open = after.iter().position(|piece| piece.kind == TokenKind::Open);
    let Some(columns) = open.and_then(|open| after.get(open + 1..)) else {
        return;
    };
    let close = columns
        .iter()
        .position(|piece| piece.kind == TokenKind::Close);
    let (columns, rest) = columns.split_at(close.unwrap_or(columns.len()));
    let [_, word, open, row @ ..] = rest else {
        return;
    };
    if !(word.is("values") && open.kind == TokenKind::Open) {
        return;
    }
    let columns = columns.split(|piece| piece.kind == TokenKind::Comma);
    for (column, item) in columns.zip(items(row)) {
        let alone = column.iter().all(|piece| piece.kind.is_name());
        put(Some(column).filter(|_| alone), values.first(item), found);
    }
}

/// What stands between the commas of a row.
fn items<'p, 'a>(row: &'p [Piece<'a>]) -> Vec<&'p [Piece<'a>]> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, piece) in row.iter().enumerate() {
        let ends = depth == 0 && matches!(piece.kind, TokenKind::Comma | TokenKind::Close);
        if ends {
            items.push(row.get(start..at).unwrap_or_default());
            start = at + 1;
        }
        if piece.kind == TokenKind::Open {
            depth += 1;
        } else if piece.kind == TokenKind::Close && depth == 0 {
            break;
        } else if piece.kind == TokenKind::Close {
            depth -= 1;
        }
    }
    items
}

/// The places of a text's values, by where they begin.
#[derive(Debug, Default)]
pub(super) struct Values(HashMap<usize, u32>);

impl Values {
    pub fn of_text(text: &[u8]) -> Self {
        let mut places = Places::new(VALUES);
        fingerprint_with(text, Strings::Standard, 0, &mut places);
        let found = places.found().iter();
        Self(found.map(|(place, span)| (span.start, *place)).collect())
    }

    fn of(&self, piece: &Piece<'_>) -> Option<u32> {
        self.0.get(&piece.start).copied()
    }

    /// That of a value which begins here, behind what opens a list.
    fn first(&self, pieces: &[Piece<'_>]) -> Option<u32> {
        let opens = |piece: &&Piece<'_>| {
            piece.kind == TokenKind::Open || piece.is("array") || piece.bytes == b"["
        };
        let first = pieces.iter().find(|piece| !opens(piece))?;
        self.of(first)
    }
}
