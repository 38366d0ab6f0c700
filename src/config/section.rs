//! One table while it is read: values by name and type, a default where there is none,
//! a mistake and the default where it is wrong, so that reading always goes on.

use std::{cell::RefCell, time::Duration};

use super::{
    mistake::{KeyPath, Notes, Origin, Wrong},
    schema,
    tree::{Node, Table, Value},
    units,
};

/// A table, or the place where one could have been.
#[derive(Clone)]
pub struct Section<'a> {
    pub path: KeyPath,
    pub at: Origin,
    table: Option<&'a Table>,
    notes: &'a RefCell<Notes>,
}

impl<'a> Section<'a> {
    pub fn root(root: &'a Node, notes: &'a RefCell<Notes>) -> Self {
        Self::of(root, KeyPath::default(), notes)
    }

    fn of(node: &'a Node, path: KeyPath, notes: &'a RefCell<Notes>) -> Self {
        // What is none is reported by the schema already.
        let table = node.value.as_table();
        let at = node.at.clone();
        Self {
            path,
            at,
            table,
            notes,
        }
    }

    /// The node under `key`, whatever it is.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.table?.get(key)
    }

    pub fn table(&self, key: &str) -> Self {
        let path = self.path.join(key);
        match self.get(key) {
            Some(node) => Self::of(node, path, self.notes),
            None => Self {
                path,
                at: self.at.clone(),
                table: None,
                notes: self.notes,
            },
        }
    }

    /// The tables inside, by the names that the operator chose. What is none is passed over: the
    /// schema has told.
    pub fn named(&self) -> Vec<(&'a str, Self)> {
        let entries = self.table.into_iter().flatten();
        entries
            .filter(|(_, node)| matches!(node.value, Value::Table(_)))
            .map(|(name, node)| {
                (
                    name.as_str(),
                    Self::of(node, self.path.join(name), self.notes),
                )
            })
            .collect()
    }

    /// The tables of `[[key]]`.
    pub fn many(&self, key: &str) -> Vec<Self> {
        let items = match self.get(key).map(|node| &node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(_) | None => &[],
        };
        let path = self.path.join(key);
        items
            .iter()
            .map(|node| Self::of(node, path.clone(), self.notes))
            .collect()
    }

    /// A mistake about `key`, where it stands, or where it is missing.
    pub fn mistake(&self, key: &str, wrong: Wrong) {
        let at = self.get(key).map_or(&self.at, |node| &node.at);
        let path = self.path.join(key);
        self.notes.borrow_mut().mistake(at, path, wrong);
    }

    /// The same at a place of its own, as of one item of an array.
    pub fn mistake_at(&self, at: &Origin, key: &str, wrong: Wrong) {
        let path = self.path.join(key);
        self.notes.borrow_mut().mistake(at, path, wrong);
    }

    /// A mistake about this table itself.
    pub fn mistake_here(&self, wrong: Wrong) {
        let path = self.path.clone();
        self.notes.borrow_mut().mistake(&self.at, path, wrong);
    }

    /// A mistake of something that has no key, as a URL.
    pub fn mistake_whole(&self, at: &Origin, wrong: Wrong) {
        let path = KeyPath::default();
        self.notes.borrow_mut().mistake(at, path, wrong);
    }

    /// A text that is not empty: everywhere in the contract `""` means that there is none.
    pub fn text(&self, key: &str) -> Option<String> {
        let text = self.string(self.get(key)?, key)?;
        (!text.is_empty()).then_some(text)
    }

    fn string(&self, node: &Node, key: &str) -> Option<String> {
        match (&node.value, &node.raw) {
            (Value::Text(text), _) => Some(text.clone()),
            // `--set …upstream_password=12345` is a text that only looks like a number.
            (Value::Integer(_) | Value::Float | Value::Boolean(_) | Value::Datetime, Some(raw)) => {
                Some(raw.clone())
            }
            (value, _) => {
                self.wrong_type(node, key, "a string", value);
                None
            }
        }
    }

    fn wrong_type(&self, node: &Node, key: &str, expected: &'static str, value: &Value) {
        let found = value.kind();
        self.wrong(node, key, Wrong::Type { expected, found });
    }

    /// A mistake of `key`'s node, or of one item in it. What its message shows is the text as
    /// written, `${NAME}` unexpanded.
    pub fn wrong(&self, node: &Node, key: &str, wrong: Wrong) {
        self.mistake_at(&node.at, key, as_written(wrong, node));
    }

    fn checked<T>(&self, node: &Node, key: &str, result: Result<T, Wrong>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(node, key, wrong);
                None
            }
        }
    }

    /// A text that `parse` understands; `None`: absent or wrong.
    pub fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let node = self.get(key)?;
        let text = self.string(node, key)?;
        self.checked(node, key, parse(&text))
    }

    pub fn duration(&self, key: &str, default: Duration) -> Duration {
        self.with_unit(key, units::duration, "a duration like \"15s\"")
            .unwrap_or(default)
    }

    pub fn size(&self, key: &str, default: u64) -> u64 {
        self.with_unit(key, units::size, "a size like \"64MiB\"")
            .unwrap_or(default)
    }

    fn with_unit<T>(
        &self,
        key: &str,
        parse: fn(&str) -> Result<T, Wrong>,
        expected: &'static str,
    ) -> Option<T> {
        let node = self.get(key)?;
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Integer(None)
            | Value::Float
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_) => {
                self.wrong_type(node, key, expected, &node.value);
                return None;
            }
        };
        self.checked(node, key, parse(&text))
    }

    /// True or false.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        let Some(node) = self.get(key) else {
            return default;
        };
        match (&node.value, &node.raw) {
            (Value::Boolean(value), _) => *value,
            // From a variable.
            (Value::Text(text), Some(_)) if text == "true" => true,
            (Value::Text(text), Some(_)) if text == "false" => false,
            (value, _) => {
                self.wrong_type(node, key, "true or false", value);
                default
            }
        }
    }

    /// A whole number, at least `least`.
    pub fn count(&self, key: &str, least: usize, default: usize) -> usize {
        let Some(node) = self.get(key) else {
            return default;
        };
        let number = match (&node.value, &node.raw) {
            (Value::Integer(number), _) => number.ok_or(Wrong::TooLarge),
            (Value::Text(text), Some(_)) => text.trim().parse().map_err(|_| Wrong::Malformed {
                expected: "a whole number",
                found: text.clone(),
            }),
            (value, _) => Err(Wrong::Type {
                expected: "a whole number",
                found: value.kind(),
            }),
        };
        let number = number.and_then(|number| match usize::try_from(number) {
            Ok(number) if number >= least => Ok(number),
            Err(_) if least == 0 => Err(Wrong::Negative),
            Ok(_) | Err(_) => Err(Wrong::TooSmall { least }),
        });
        self.checked(node, key, number).unwrap_or(default)
    }

    /// One of a few words; those with `None` are known but do not work yet.
    pub fn choice<T: Copy>(
        &self,
        key: &str,
        options: &[(&'static str, Option<T>)],
        default: T,
    ) -> T {
        let chosen = self.parsed(key, |text| pick(text, options));
        chosen.unwrap_or(default)
    }

    /// Several of a few words, at least one.
    pub fn choices<T: Copy>(&self, key: &str, options: &[(&'static str, Option<T>)]) -> Vec<T> {
        let texts = self.texts(key);
        if texts.as_ref().is_some_and(Vec::is_empty) {
            self.mistake(key, Wrong::NoChoice);
        }
        let texts = texts.unwrap_or_default().into_iter();
        let chosen = texts.filter_map(|(text, item)| self.checked(item, key, pick(&text, options)));
        chosen.collect()
    }

    /// The items of an array of texts. A flag's single text is one item.
    pub fn texts(&self, key: &str) -> Option<Vec<(String, &'a Node)>> {
        let node = self.get(key)?;
        let Value::Array(items) = &node.value else {
            if let (Value::Text(text), Some(_)) = (&node.value, &node.raw) {
                return Some(vec![(text.clone(), node)]);
            }
            self.wrong_type(node, key, "an array of strings", &node.value);
            return None;
        };
        let texts = items
            .iter()
            .filter_map(|item| Some((self.string(item, key)?, item)));
        Some(texts.collect())
    }
}

fn pick<T: Copy>(text: &str, options: &[(&'static str, Option<T>)]) -> Result<T, Wrong> {
    match options.iter().find(|(word, _)| *word == text) {
        Some((_, Some(value))) => Ok(*value),
        Some((word, None)) => Err(Wrong::ValueNotSupportedYet {
            value: (*word).to_owned(),
        }),
        None => Err(unknown_word(text, options)),
    }
}

fn unknown_word<T>(text: &str, options: &[(&'static str, Option<T>)]) -> Wrong {
    let words = || options.iter().map(|(word, _)| *word);
    let near = schema::closest(&text.to_lowercase(), words());
    Wrong::Choice {
        allowed: words().collect(),
        found: text.to_owned(),
        nearest: near
            .filter(|(distance, word)| *distance <= 2 || schema::begins(text, word))
            .map(|(_, word)| word),
    }
}

fn as_written(mut wrong: Wrong, node: &Node) -> Wrong {
    if let (
        Some(raw),
        Wrong::Malformed { found, .. }
        | Wrong::Choice { found, .. }
        | Wrong::ValueNotSupportedYet { value: found },
    ) = (&node.raw, &mut wrong)
    {
        found.clone_from(raw);
    }
    wrong
}
