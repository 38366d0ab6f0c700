//! The statements that read a catalog, and their rows.
//!
//! What a rule, policy, check, default or parsed function names is taken from its stored tree
//! (`tree`). So it is exact, knows the server's own functions too (which `pg_depend` leaves out,
//! for they are pinned), and takes no lock on anybody's relation, as the functions do that print
//! such trees.

use super::{
    Ask, Row,
    rows::{
        Cast, Definition, Function, Language, Oid, Operator, Persistence, Relation, RelationKind,
        Rows, Type,
    },
    tree::references,
};

const DIGEST: &str = include_str!("digest.sql");
const ROWS: &str = include_str!("rows.sql");

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// The question failed.
    #[error("{0}")]
    Ask(#[from] E),
    /// The answer is none that Postgres gives.
    #[error("the catalog's rows cannot be read")]
    Unreadable,
}

/// What tells one state of a catalog from another; equal: nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digest(Box<[u8]>);

/// Asks what state the catalog is in.
///
/// # Errors
/// See [`ReadError`].
pub async fn read_digest<A: Ask>(connection: &mut A) -> Result<Digest, ReadError<A::Error>> {
    let mut digest = None;
    let mut show = |row: &Row<'_>| digest = row.first().copied().flatten().map(Box::from);
    connection.ask(DIGEST, &mut show).await?;
    digest.map(Digest).ok_or(ReadError::Unreadable)
}

/// Reads everything, as of one moment.
///
/// # Errors
/// See [`ReadError`].
pub async fn read_rows<A: Ask>(connection: &mut A) -> Result<Rows, ReadError<A::Error>> {
    let mut rows = Rows::default();
    let mut readable = true;
    let mut show = |row: &Row<'_>| readable &= take(&mut rows, row).is_some();
    connection.ask(ROWS, &mut show).await?;
    readable.then_some(rows).ok_or(ReadError::Unreadable)
}

/// Puts a row where it belongs; `None`: it is none of ours.
fn take(rows: &mut Rows, row: &Row<'_>) -> Option<()> {
    let (kind, values) = row.split_first()?;
    let text = |index: usize| values.get(index).copied().flatten();
    let name = |index: usize| Some(Box::from(text(index)?));
    let oid = |index: usize| number(text(index)?);
    let list = |index: usize| numbers(text(index).unwrap_or_default());
    let named = |index: usize| references(text(index).unwrap_or_default());
    match (*kind)? {
        b"n" => rows.schemas.push((oid(0)?, name(1)?)),
        b"f" => rows.functions.push(function(values)?),
        b"r" => {
            let (kind, persistence) = standing(text(3)?)?;
            rows.relations.push(Relation {
                oid: oid(0)?,
                schema: oid(1)?,
                name: name(2)?,
                kind,
                persistence,
                rowtype: oid(4)?,
            });
        }
        b"i" => rows.children.push((oid(0)?, oid(1)?)),
        b"d" => rows.definitions.push(Definition {
            relation: oid(0)?,
            names: named(1),
        }),
        b"o" => rows.operators.push(Operator {
            oid: oid(0)?,
            symbol: name(1)?,
            function: oid(2)?,
            estimates: list(3)?,
        }),
        b"c" => rows.casts.push(Cast {
            source: oid(0)?,
            target: oid(1)?,
            function: oid(2).filter(|function| *function != 0),
            is_implicit: text(3)? == b"i",
        }),
        b"t" => rows.types.push(Type {
            oid: oid(0)?,
            name: name(1)?,
            functions: list(2)?,
            parts: list(3)?,
            checks: named(4),
            is_base: text(5)? == b"b",
        }),
        b"a" => {
            let kind = oid(0)?;
            let relations = list(1)?.into_iter();
            rows.columns
                .extend(relations.map(|relation| (relation, kind)));
        }
        b"k" => rows.comparing.push(oid(0)?),
        _ => return None,
    }
    Some(())
}

fn function(values: &Row<'_>) -> Option<Function> {
    let text = |index: usize| values.get(index).copied().flatten();
    let marks = text(3)?;
    let mark = |index: usize| marks.get(index).copied();
    let lists = text(6).unwrap_or_default();
    let slash = lists.iter().position(|byte| *byte == b'/');
    let (types, steps) = lists.split_at(slash.unwrap_or(lists.len()));
    Some(Function {
        oid: number(text(0)?)?,
        schema: number(text(1)?)?,
        name: text(2)?.into(),
        is_aggregate: mark(0)? == b'a',
        is_volatile: mark(1)? == b'v',
        is_unsafe: mark(2)? == b'u',
        is_extensions: mark(3)? == b'e',
        language: match mark(4)? {
            b'm' => Language::Machine,
            b'r' => Language::Maker,
            b's' => Language::Sql,
            b'p' => Language::Plpgsql,
            b't' => Language::Trusted,
            b'u' => Language::Untrusted,
            _ => return None,
        },
        is_column: mark(5)? == b'c',
        body: text(4).unwrap_or_default().into(),
        names: references(text(5).unwrap_or_default()),
        types: numbers(types)?,
        steps: numbers(steps.get(1..).unwrap_or_default())?,
    })
}

fn standing(marks: &[u8]) -> Option<(RelationKind, Persistence)> {
    let (kind, persistence) = marks.split_first()?;
    let kind = match kind {
        b'r' | b'p' | b'm' => RelationKind::Table,
        b'v' => RelationKind::View,
        b'f' => RelationKind::Foreign,
        b'S' => RelationKind::Sequence,
        b'c' => RelationKind::Composite,
        _ => return None,
    };
    let persistence = match persistence {
        b"p" => Persistence::Permanent,
        b"u" => Persistence::Unlogged,
        b"t" => Persistence::Temporary,
        _ => return None,
    };
    Some((kind, persistence))
}

fn number(text: &[u8]) -> Option<Oid> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Numbers between spaces; 0 stands for none.
fn numbers(text: &[u8]) -> Option<Vec<Oid>> {
    let items = text.split(|byte| *byte == b' ');
    let items = items.filter(|item| !item.is_empty() && *item != b"0");
    items.map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_none_of_ours_is_not_taken() {
        let mut rows = Rows::default();
        let good: &Row<'_> = &[Some(b"i"), Some(b"1"), Some(b"2")];
        assert!(take(&mut rows, good).is_some());
        assert_eq!(rows.children, [(1, 2)]);
        for bad in [
            &[] as &Row<'_>,
            &[None],
            &[Some(b"z"), Some(b"1")],
            &[Some(b"i"), Some(b"1")],
            &[Some(b"i"), Some(b"1"), Some(b"99999999999")],
        ] {
            assert!(take(&mut rows, bad).is_none());
        }
    }
}
