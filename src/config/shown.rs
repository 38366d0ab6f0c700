//! Every key as it counts, for people to read. Never a secret: what may hold one is left out.

use std::sync::Arc;

use super::{
    mistake::{KeyPath, Notes},
    schema::{Key, ROOT, Shape},
    tree::{self, Node, Table, Value},
};
use crate::admin::Setting;

/// Shows the defaults too, so it is where the defaults are looked up.
const REFERENCE: &str = include_str!("../../config/reference.toml");
/// Users and backends are no keys with a value; passwords live among them.
const DATABASES: &str = "databases";

/// The keys that work, those of every database among them.
pub fn settings(root: &Node) -> Vec<Setting> {
    let name: Arc<str> = "reference.toml".into();
    let reference = tree::parse(&name, REFERENCE, &|_| None, &mut Notes::default());
    let mut found = Vec::new();
    let path = KeyPath::default();
    walk(
        ROOT,
        table(Some(root)),
        table(Some(&reference)),
        &path,
        &mut found,
    );
    found
}

fn walk(
    keys: &'static [Key],
    given: Option<&Table>,
    defaults: Option<&Table>,
    path: &KeyPath,
    found: &mut Vec<Setting>,
) {
    for key in keys.iter().filter(|key| key.works) {
        let given = given.and_then(|table| table.get(key.name));
        let default = defaults.and_then(|table| table.get(key.name));
        let path = path.join(key.name);
        match key.shape {
            Shape::Value if key.name.contains("password") => {}
            Shape::Value => {
                let default = default.map(text).unwrap_or_default();
                found.push(Setting {
                    key: path.to_string(),
                    value: given.map_or_else(|| default.clone(), text),
                    default,
                });
            }
            Shape::Table(keys) => walk(keys, table(given), table(default), &path, found),
            Shape::Named(keys) if key.name == DATABASES => {
                // The reference has one, as an example of all.
                let example = table(default).and_then(|databases| databases.values().next());
                for (name, database) in table(given).into_iter().flatten() {
                    let path = path.join(name);
                    walk(keys, table(Some(database)), table(example), &path, found);
                }
            }
            Shape::Named(_) | Shape::Many(_) => {}
        }
    }
}

fn table(node: Option<&Node>) -> Option<&Table> {
    node?.value.as_table()
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::Integer(Some(number)) => number.to_string(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(None) | Value::Float | Value::Datetime | Value::Table(_) => {
            node.raw.clone().unwrap_or_default()
        }
    }
}
