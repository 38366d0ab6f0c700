//! Answers of the console: columns, rows, and how they go over the wire.

use std::borrow::Cow;

use crate::protocol::backend::{Field, put_data_row, put_row_description};
use crate::protocol::frontend::Format;

/// OIDs of `pg_type`, and bytes of a value.
const TEXT: (u32, i16) = (25, -1);
const INT8: (u32, i16) = (20, 8);

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A column of text.
pub const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Text,
    }
}

/// A column of numbers.
pub const fn number(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Number,
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Text(Cow<'static, str>),
    Number(i64),
    Null,
}

/// As many cells as there are columns.
pub type Row = Vec<Cell>;

impl From<&'static str> for Cell {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Cell {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Cell {
    /// PgBouncer's 0 and 1.
    fn from(yes: bool) -> Self {
        Self::Number(yes.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Cell {
    fn encode(&self, format: Format) -> Option<Cow<'_, [u8]>> {
        match (self, format) {
            (Self::Null, _) => None,
            (Self::Text(text), _) => Some(text.as_bytes().into()),
            (Self::Number(number), Format::Text) => Some(number.to_string().into_bytes().into()),
            (Self::Number(number), Format::Binary) => Some(number.to_be_bytes().to_vec().into()),
        }
    }
}

/// Appends a RowDescription.
pub fn put_columns(out: &mut Vec<u8>, columns: &[Column], formats: &[Format]) {
    let fields = columns.iter().enumerate().map(|(at, column)| {
        let (oid, size) = match column.kind {
            Kind::Text => TEXT,
            Kind::Number => INT8,
        };
        Field {
            name: column.name,
            oid,
            size,
            format: format_of(formats, at),
        }
    });
    put_row_description(out, &fields.collect::<Vec<_>>());
}

/// Appends a DataRow.
pub fn put_row(out: &mut Vec<u8>, row: &Row, formats: &[Format]) {
    let cells = row.iter().enumerate();
    let values: Vec<_> = cells
        .map(|(at, cell)| cell.encode(format_of(formats, at)))
        .collect();
    put_data_row(out, &values);
}

/// No format: text; one: that for all.
fn format_of(formats: &[Format], at: usize) -> Format {
    let format = match formats {
        [one] => Some(one),
        formats => formats.get(at),
    };
    format.copied().unwrap_or_default()
}
