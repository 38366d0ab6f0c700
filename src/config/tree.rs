//! A TOML document with the place of every value, so that a mistake can name its line.
//! Never judges a key: it only reads what is written, over which flags can be laid.

use std::{collections::BTreeMap, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::mistake::{KeyPath, Notes, Origin, Wrong};

/// Looks up a variable of the environment.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The entries of a table.
pub type Table = BTreeMap<String, Node>;

/// A value and where it stands. Not `Debug`: it may be a password.
pub struct Node {
    /// Of an entry the key's line, of an array's item its own.
    pub at: Origin,
    /// The text as given where it was not typed TOML: a flag, a variable, a string with `${…}`.
    /// Such a text may stand for a number too.
    pub raw: Option<String>,
    pub value: Value,
}

/// What is written.
pub enum Value {
    Text(String),
    /// `None`: does not fit 64 bits.
    Integer(Option<i64>),
    Float,
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// For messages: what it is, never what it says.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::Text(_)
            | Self::Integer(_)
            | Self::Float
            | Self::Boolean(_)
            | Self::Datetime
            | Self::Array(_) => None,
        }
    }
}

impl Node {
    pub fn text(at: Origin, text: &str) -> Self {
        Self {
            at,
            raw: Some(text.to_owned()),
            value: Value::Text(text.to_owned()),
        }
    }

    pub fn table(at: Origin) -> Self {
        Self {
            at,
            raw: None,
            value: Value::Table(Table::new()),
        }
    }

    /// Puts `node` at `path`, making the tables on the way; `Err` names what is no table.
    pub fn put(&mut self, path: &[String], node: Node) -> Result<(), Wrong> {
        let mut here = self;
        let mut part = KeyPath::default();
        let Some((last, way)) = path.split_last() else {
            return Err(Wrong::Assignment);
        };
        for name in way {
            let at = node.at.clone();
            let Value::Table(table) = &mut here.value else {
                return Err(not_a_table(&part));
            };
            here = table.entry(name.clone()).or_insert_with(|| Self::table(at));
            part = part.join(name);
        }
        let Value::Table(table) = &mut here.value else {
            return Err(not_a_table(&part));
        };
        table.insert(last.clone(), node);
        Ok(())
    }
}

fn not_a_table(part: &KeyPath) -> Wrong {
    Wrong::NotATable {
        part: part.to_string(),
    }
}

/// Reads a file's text. What is no TOML is reported, and the rest read as well as it can be.
pub fn parse(path: &Arc<str>, text: &str, variable: Variable<'_>, notes: &mut Notes) -> Node {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or_default();
        let at = place(path, text, span.start);
        // Not the error's own rendering: that shows the line, and with it perhaps a password.
        let wrong = match error.message() {
            "duplicate key" => Wrong::DuplicateKey {
                key: text.get(span).unwrap_or_default().to_owned(),
            },
            message => Wrong::Syntax {
                message: message.to_owned(),
            },
        };
        notes.mistake(&at, KeyPath::default(), wrong);
    }
    let mut reader = Reader {
        place: &|offset| place(path, text, offset),
        expand: &|text| expand(text, variable),
        notes,
    };
    Node {
        at: Origin::File {
            path: path.clone(),
            line: None,
        },
        raw: None,
        value: Value::Table(reader.table(root.get_ref(), &KeyPath::default())),
    }
}

fn place(path: &Arc<str>, text: &str, offset: usize) -> Origin {
    let before = text.bytes().take(offset);
    Origin::File {
        path: path.clone(),
        line: Some(before.filter(|byte| *byte == b'\n').count() + 1),
    }
}

/// Reads `KEY=VALUE` of `--set` into the key's path and its value.
pub fn parse_assignment(text: &str, at: &Origin) -> Result<(Vec<String>, Node), Wrong> {
    // A quoted name may hold a `=`: the first one after a whole key counts.
    let cut = text.match_indices('=').find_map(|(index, _)| {
        let (key, value) = text.split_at_checked(index)?;
        Some((parse_key(key)?, value.strip_prefix('=')?))
    });
    let Some((path, raw)) = cut else {
        return Err(Wrong::Assignment);
    };
    let Ok(value) = DeValue::parse(raw) else {
        return Ok((path, Node::text(at.clone(), raw)));
    };
    let mut notes = Notes::default();
    let mut reader = Reader {
        place: &|_| at.clone(),
        expand: &|_| Ok(None),
        notes: &mut notes,
    };
    let value = reader.value(value.get_ref(), &KeyPath::default());
    let raw = match &value {
        Value::Text(text) => text.clone(),
        Value::Integer(_)
        | Value::Float
        | Value::Boolean(_)
        | Value::Datetime
        | Value::Array(_)
        | Value::Table(_) => raw.trim().to_owned(),
    };
    let at = at.clone();
    let raw = Some(raw);
    Ok((path, Node { at, raw, value }))
}

fn parse_key(key: &str) -> Option<Vec<String>> {
    // A line break or a bracket would make it a document instead of a key.
    if key.contains('\n') || key.trim_start().starts_with('[') {
        return None;
    }
    let document = format!("{key} = 0");
    let parsed = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut table = parsed.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return Some(path),
        }
    }
}

struct Reader<'a> {
    place: &'a dyn Fn(usize) -> Origin,
    expand: &'a dyn Fn(&str) -> Result<Option<String>, Wrong>,
    notes: &'a mut Notes,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Table {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let at = (self.place)(key.span().start);
            let node = self.node(at, value.get_ref(), &path.join(name));
            (name.to_string(), node)
        };
        table.iter().map(entry).collect()
    }

    fn node(&mut self, at: Origin, value: &DeValue<'_>, path: &KeyPath) -> Node {
        if let DeValue::String(text) = value {
            match (self.expand)(text) {
                Ok(None) => {}
                Ok(Some(full)) => {
                    let (raw, value) = (Some(text.to_string()), Value::Text(full));
                    return Node { at, raw, value };
                }
                Err(wrong) => self.notes.mistake(&at, path.clone(), wrong),
            }
        }
        let value = self.value(value, path);
        let raw = None;
        Node { at, raw, value }
    }

    fn value(&mut self, value: &DeValue<'_>, path: &KeyPath) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => {
                let item = |item: &Spanned<DeValue<'_>>| {
                    let at = (self.place)(item.span().start);
                    self.node(at, item.get_ref(), path)
                };
                Value::Array(items.iter().map(item).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, path)),
        }
    }
}

/// Replaces every `${NAME}`; `$${` stands for a plain `${`. `None`: nothing to replace.
fn expand(text: &str, variable: Variable<'_>) -> Result<Option<String>, Wrong> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut full = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            full.push_str(escaped);
            full.push_str("${");
            rest = after;
            continue;
        }
        full.push_str(before);
        let (name, after) = after.split_once('}').ok_or(Wrong::Dollar)?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Wrong::Dollar);
        }
        let name = name.to_owned();
        full.push_str(&variable(&name).ok_or(Wrong::NoVariable { name })?);
        rest = after;
    }
    full.push_str(rest);
    Ok(Some(full))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "here a failed step is a failed test"
)]
mod tests {
    use super::*;

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    #[test]
    fn variables_are_replaced_and_a_doubled_dollar_keeps_them() {
        let full = |text| expand(text, &home).unwrap();
        assert_eq!(full("plain $HOME"), None);
        assert_eq!(full("a ${HOME} b ${HOME}").unwrap(), "a /root b /root");
        assert_eq!(full("$${HOME}").unwrap(), "${HOME}");
    }

    #[test]
    fn an_unknown_variable_or_a_torn_one_is_a_mistake() {
        assert!(matches!(
            expand("${NOPE}", &home),
            Err(Wrong::NoVariable { name }) if name == "NOPE"
        ));
        assert!(matches!(expand("${HOME", &home), Err(Wrong::Dollar)));
        assert!(matches!(expand("${}", &home), Err(Wrong::Dollar)));
        assert!(matches!(expand("pa${s s}", &home), Err(Wrong::Dollar)));
    }

    fn assign(text: &str) -> Option<(Vec<String>, Node)> {
        parse_assignment(text, &Origin::Flag("--set")).ok()
    }

    #[test]
    fn an_assignment_takes_toml_or_a_bare_string() {
        let (path, node) = assign("databases.\"a=b\".pool_size=5").unwrap();
        assert_eq!(path, ["databases", "a=b", "pool_size"]);
        assert!(matches!(node.value, Value::Integer(Some(5))));
        let (_, node) = assign("shutdown.grace=5s").unwrap();
        assert!(matches!(node.value, Value::Text(text) if text == "5s"));
        let (_, node) = assign("log.level=\"debug\"").unwrap();
        assert!(matches!(node.value, Value::Text(text) if text == "debug"));
        let (_, node) = assign("admin.address=").unwrap();
        assert!(matches!(node.value, Value::Text(text) if text.is_empty()));
        let (_, node) = assign("listen.addresses=[\"127.0.0.1:1\"]").unwrap();
        assert!(matches!(node.value, Value::Array(items) if items.len() == 1));
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for text in ["", "=", "log.level", "a b=1", "[log]\nlevel=1", "log.\n=1"] {
            assert!(assign(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_value_cannot_be_put_below_a_value() {
        let at = Origin::Flag("--set");
        let mut root = Node::table(at.clone());
        let path = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        root.put(&path(&["log", "level"]), Node::text(at.clone(), "info"))
            .unwrap();
        let Err(wrong) = root.put(&path(&["log", "level", "x"]), Node::text(at, "y")) else {
            panic!("it was put there");
        };
        assert_eq!(wrong.to_string(), "log.level is not a table");
    }
}
