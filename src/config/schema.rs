//! Every key of the contract: which exist, which work already, which is nearest to a slip.
//! Never looks at values: those are read, and judged, by whoever asks for them.

use super::{
    mistake::{Hint, KeyPath, Notes, Wrong},
    tree::{Node, Table, Value},
};

/// One key of a table.
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// False: known to the contract, refused as not supported yet.
    pub works: bool,
}

/// What stands behind a key.
#[derive(Clone, Copy)]
pub enum Shape {
    Value,
    Table(&'static [Key]),
    /// A table of tables with names that the operator chooses.
    Named(&'static [Key]),
    /// `[[array of tables]]`.
    Many(&'static [Key]),
}

const fn works(name: &'static str) -> Key {
    shaped(name, Shape::Value, true)
}

const fn later(name: &'static str) -> Key {
    shaped(name, Shape::Value, false)
}

const fn shaped(name: &'static str, shape: Shape, works: bool) -> Key {
    Key { name, shape, works }
}

/// The whole file.
pub const ROOT: &[Key] = &[
    shaped("listen", Shape::Table(LISTEN), true),
    shaped("admin", Shape::Table(ADMIN), true),
    shaped("log", Shape::Table(LOG), true),
    shaped("tracing", Shape::Table(TRACING), false),
    shaped("shutdown", Shape::Table(SHUTDOWN), true),
    shaped("databases", Shape::Named(DATABASE), true),
];

const LISTEN: &[Key] = &[
    works("addresses"),
    works("workers"),
    works("max_clients"),
    works("login_timeout"),
    works("client_idle_timeout"),
    works("max_message_size"),
    works("tls_mode"),
    works("tls_cert_file"),
    works("tls_key_file"),
    works("tls_client_ca_file"),
];

const ADMIN: &[Key] = &[
    works("address"),
    works("console_users"),
    works("stats_users"),
];

const LOG: &[Key] = &[
    works("format"),
    works("level"),
    later("statements"),
    later("slow_statement"),
    later("literals"),
];

const TRACING: &[Key] = &[later("otlp_endpoint")];

const SHUTDOWN: &[Key] = &[works("grace"), works("drain_timeout")];

const DATABASE: &[Key] = &[
    works("dbname"),
    works("pool_mode"),
    works("pool_size"),
    works("max_pinned"),
    works("min_pool_size"),
    works("max_backend_connections"),
    works("acquire_timeout"),
    works("connect_timeout"),
    works("max_waiting"),
    works("server_lifetime"),
    works("server_idle_timeout"),
    works("query_timeout"),
    works("idle_in_transaction_timeout"),
    works("prepared_statements"),
    works("on_pin"),
    shaped("auth", Shape::Table(AUTH), true),
    shaped("users", Shape::Named(USER), true),
    shaped("upstream_tls", Shape::Table(UPSTREAM_TLS), true),
    shaped("routing", Shape::Table(ROUTING), true),
    shaped("health", Shape::Table(HEALTH), true),
    shaped("breaker", Shape::Table(BREAKER), false),
    shaped("retry", Shape::Table(RETRY), false),
    shaped("backends", Shape::Many(BACKEND), true),
    shaped("sharding", Shape::Table(SHARDING), false),
    shaped("mirror", Shape::Table(MIRROR), false),
];

const AUTH: &[Key] = &[
    works("method"),
    works("allow_md5"),
    works("query"),
    works("query_user"),
    works("query_database"),
];

const USER: &[Key] = &[
    works("password"),
    works("password_file"),
    works("password_env"),
    works("upstream_user"),
    works("upstream_password"),
    works("upstream_password_file"),
    works("upstream_password_env"),
];

const UPSTREAM_TLS: &[Key] = &[
    works("mode"),
    works("ca_file"),
    works("cert_file"),
    works("key_file"),
    works("server_name"),
    works("negotiation"),
    works("min_version"),
    works("channel_binding"),
    works("require_auth"),
];

const ROUTING: &[Key] = &[
    works("reads"),
    works("consistency"),
    works("max_replica_lag"),
    works("balance"),
    works("replica_fallback"),
    works("user_functions"),
    works("verdicts"),
];

const HEALTH: &[Key] = &[
    works("interval"),
    works("timeout"),
    works("user"),
    works("password_file"),
    works("database"),
];

const BREAKER: &[Key] = &[later("failures"), later("open_for"), later("max_open_for")];

const RETRY: &[Key] = &[
    later("attempts"),
    later("backoff"),
    later("max_backoff"),
    later("budget_percent"),
    later("hold"),
    later("hold_max"),
];

const BACKEND: &[Key] = &[
    works("address"),
    works("role"),
    later("shard"),
    works("weight"),
];

const SHARDING: &[Key] = &[
    later("unroutable"),
    later("global_tables"),
    shaped("tables", Shape::Many(SHARDED), false),
];

const SHARDED: &[Key] = &[
    later("name"),
    later("key"),
    later("type"),
    later("function"),
    later("values"),
];

const MIRROR: &[Key] = &[later("backend"), later("percent"), later("statements")];

/// Reports every key of `table` that does not exist, does not work yet, or is no table where
/// one has to be.
pub fn check(table: &Table, keys: &'static [Key], path: &KeyPath, notes: &mut Notes) {
    for (name, node) in table {
        let here = path.join(name);
        match keys.iter().find(|key| key.name == name) {
            None => {
                let hint = nearest(name, keys);
                notes.mistake(&node.at, here, Wrong::UnknownKey { hint });
            }
            Some(key) if !key.works => notes.mistake(&node.at, here, Wrong::NotSupportedYet),
            Some(key) => check_shape(node, key.shape, &here, notes),
        }
    }
}

fn check_shape(node: &Node, shape: Shape, path: &KeyPath, notes: &mut Notes) {
    match (shape, &node.value) {
        (Shape::Value, _) => {}
        (Shape::Table(keys), Value::Table(table)) => check(table, keys, path, notes),
        (Shape::Named(keys), Value::Table(table)) => {
            for (name, node) in table {
                check_shape(node, Shape::Table(keys), &path.join(name), notes);
            }
        }
        (Shape::Many(keys), Value::Array(items)) => {
            for item in items {
                check_shape(item, Shape::Table(keys), path, notes);
            }
        }
        (Shape::Table(_) | Shape::Named(_), value) => {
            let (expected, found) = ("a table", value.kind());
            notes.mistake(&node.at, path.clone(), Wrong::Type { expected, found });
        }
        (Shape::Many(_), value) => {
            let (expected, found) = ("an array of tables", value.kind());
            notes.mistake(&node.at, path.clone(), Wrong::Type { expected, found });
        }
    }
}

/// The valid key that `name` was probably meant to be: one letter off or begun here, the same word in
/// another table, a few letters off here, a few letters off in another table.
fn nearest(name: &str, keys: &'static [Key]) -> Hint {
    let here = closest(name, keys.iter().map(|key| key.name));
    let slips = (name.chars().count() / 3).max(2);
    let begun = keys.iter().find(|key| begins(name, key.name));
    match (here, begun) {
        (Some((1, key)), _) => return Hint::Near(key),
        (_, Some(key)) => return Hint::Near(key.name),
        (_, None) => {}
    }
    let places = places();
    let mut same = places.iter().filter(|(_, key)| key.name == name);
    let best = same.clone().find(|(_, key)| key.works);
    if let Some((table, _)) = best.or_else(|| same.next()) {
        return Hint::Elsewhere(table.clone());
    }
    if let Some((distance, key)) = here
        && distance <= slips
    {
        return Hint::Near(key);
    }
    let far = places
        .iter()
        .map(|(table, key)| (distance(name, key.name), table, key))
        .min_by_key(|(distance, _, key)| (*distance, !key.works));
    match far {
        Some((distance, table, key)) if distance <= slips => {
            Hint::NearElsewhere(format!("{table}.{}", key.name))
        }
        Some(_) | None => Hint::Known(keys.iter().map(|key| key.name).collect()),
    }
}

/// True when one word is the beginning of the other, and more than a few letters.
pub fn begins(one: &str, other: &str) -> bool {
    one.len().min(other.len()) >= 4 && (one.starts_with(other) || other.starts_with(one))
}

/// The word with the fewest slips, and how many.
pub fn closest(
    name: &str,
    words: impl Iterator<Item = &'static str>,
) -> Option<(usize, &'static str)> {
    words
        .map(|word| (distance(name, word), word))
        .min_by_key(|(distance, _)| *distance)
}

/// Every key that stands in a table, with that table's name; `NAME` where the operator chooses.
pub fn places() -> Vec<(String, &'static Key)> {
    let mut found = Vec::new();
    collect("", ROOT, &mut found);
    found
}

fn collect(table: &str, keys: &'static [Key], found: &mut Vec<(String, &'static Key)>) {
    for key in keys {
        let inner = match table {
            "" => key.name.to_owned(),
            outer => format!("{outer}.{}", key.name),
        };
        if !table.is_empty() {
            found.push((table.to_owned(), key));
        }
        match key.shape {
            Shape::Value => {}
            Shape::Table(keys) | Shape::Many(keys) => collect(&inner, keys, found),
            Shape::Named(keys) => collect(&format!("{inner}.NAME"), keys, found),
        }
    }
}

/// Slips between two words: letters added, dropped, changed or swapped with their neighbour
/// (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let mut last: Option<char> = None;
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        for (column, &theirs) in other.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let changed = at(&row, column) + usize::from(letter != theirs);
            let mut best = changed
                .min(at(&row, column + 1) + 1)
                .min(at(&next, column) + 1);
            let swapped = column
                .checked_sub(1)
                .filter(|&prior| other.get(prior) == Some(&letter) && last == Some(theirs));
            if let Some(prior) = swapped {
                best = best.min(at(&before, prior).saturating_add(1));
            }
            next.push(best);
        }
        before = row;
        row = next;
        last = Some(letter);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_a_letter_added_dropped_changed_or_swapped() {
        assert_eq!(distance("pool_size", "pool_size"), 0);
        assert_eq!(distance("pol_size", "pool_size"), 1);
        assert_eq!(distance("pool_sizes", "pool_size"), 1);
        assert_eq!(distance("pool_sise", "pool_size"), 1);
        assert_eq!(distance("polo_size", "pool_size"), 1);
        assert_eq!(distance("", "role"), 4);
        assert_eq!(distance("role", ""), 4);
    }

    #[test]
    fn a_key_of_another_table_is_sent_there() {
        assert_eq!(nearest("pool_sise", DATABASE), Hint::Near("pool_size"));
        assert_eq!(
            nearest("max_clients", DATABASE),
            Hint::Elsewhere("listen".to_owned())
        );
        assert_eq!(
            nearest("pool_sise", LISTEN),
            Hint::NearElsewhere("databases.NAME.pool_size".to_owned())
        );
        assert_eq!(
            nearest("zzzzzzzz", SHUTDOWN),
            Hint::Known(vec!["grace", "drain_timeout"])
        );
    }
}
