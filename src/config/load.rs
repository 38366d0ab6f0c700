//! Lays variables and flags over the file, or over nothing but a URL, and has the whole read.

use std::{cell::RefCell, fs, path::Path, sync::Arc};

use super::{
    Config,
    cli::{Hidden, Run},
    mistake::{KeyPath, Mistakes, Notes, Origin, Refusal, Wrong},
    replicas, resolve, schema, tree,
    tree::{Node, Table, Value, Variable},
    url::{self, Upstream},
};
use crate::topology::Address;

/// What the configuration depends on beside its file: given, so that a test can give another.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub variable: Variable<'a>,
    /// CPUs that may be used.
    pub cpus: usize,
}

/// A variable of this process; what is not UTF-8 counts as unset.
pub fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The configuration that the command line, the variables and the file ask for,
/// or everything that is wrong with it.
pub fn load(run: &Run, world: &World<'_>) -> Result<Config, Refusal> {
    let variables = Run::from_variables(world.variable);
    let layers = [
        Layer {
            run: &variables,
            names: |name| Origin::Variable(name.variable),
        },
        Layer {
            run,
            names: |name| Origin::Flag(name.flag),
        },
    ];
    let mut notes = Notes::default();
    let base = base(&layers, world, &mut notes)?;
    let Some((mut root, upstream)) = base else {
        return Err(refuse(notes));
    };
    for layer in &layers {
        layer.lay_over(&mut root, &mut notes);
    }
    if let Value::Table(table) = &root.value {
        schema::check(table, schema::ROOT, &KeyPath::default(), &mut notes);
    }
    let notes = RefCell::new(notes);
    let config = resolve::config(&root, upstream, world, &notes);
    let mut notes = notes.into_inner();
    drop_consequences(&mut notes);
    match Mistakes::new(notes.mistakes) {
        Some(mistakes) => Err(mistakes.into()),
        None => Ok(Config {
            warnings: notes.warnings,
            ..config
        }),
    }
}

fn refuse(notes: Notes) -> Refusal {
    Mistakes::new(notes.mistakes).map_or(Refusal::NothingToServe, Refusal::Mistakes)
}

/// A URL and where it was given.
pub(super) struct Given {
    pub at: Origin,
    pub upstream: Upstream,
    /// Those of `--replica`.
    pub replicas: Vec<(Origin, Address)>,
}

type Base = (Node, Option<Given>);

/// What lies below variables and flags: the file, or the URL alone. `None`: told in the notes.
fn base(
    layers: &[Layer<'_>],
    world: &World<'_>,
    notes: &mut Notes,
) -> Result<Option<Base>, Refusal> {
    let file = last(layers, &CONFIG, |run| run.config.as_deref());
    let url = last(layers, &UPSTREAM, |run| run.upstream.as_ref());
    match (file, url) {
        (None, None) => Err(Refusal::NothingToServe),
        (Some((_, other)), Some((_, at))) => {
            let other = match other {
                Origin::Variable(name) | Origin::Flag(name) => name,
                Origin::File { .. } => CONFIG.flag,
            };
            notes.mistake(&at, KeyPath::default(), Wrong::Exclusive { other });
            Ok(None)
        }
        (Some((path, _)), None) => {
            if let Some((_, at)) = last(layers, &REPLICA, |run| some(&run.replica)) {
                let other = UPSTREAM.flag.to_owned();
                notes.mistake(&at, KeyPath::default(), Wrong::Needs { other });
            }
            Ok(read(path, world, notes).map(|root| (root, None)))
        }
        (None, Some((text, at))) => {
            let base = without_file(text, at, world, notes);
            Ok(base.map(|(root, mut given)| {
                let urls = last(layers, &REPLICA, |run| some(&run.replica));
                replicas::add(&mut given, urls, notes);
                (root, Some(given))
            }))
        }
    }
}

fn last<'a, T>(
    layers: &[Layer<'a>],
    name: &Name,
    get: impl Fn(&'a Run) -> Option<T>,
) -> Option<(T, Origin)> {
    let given = layers.iter().rev();
    given
        .filter_map(|layer| Some((get(layer.run)?, (layer.names)(name))))
        .next()
}

fn some<T>(items: &[T]) -> Option<&[T]> {
    (!items.is_empty()).then_some(items)
}

fn read(path: &Path, world: &World<'_>, notes: &mut Notes) -> Option<Node> {
    let name: Arc<str> = path.display().to_string().into();
    match fs::read_to_string(path) {
        Ok(text) => Some(tree::parse(&name, &text, world.variable, notes)),
        Err(source) => {
            let at = Origin::File {
                path: name,
                line: None,
            };
            notes.mistake(&at, KeyPath::default(), Wrong::File { source });
            None
        }
    }
}

/// `--upstream` alone is `[databases."*"]` with the URL's backend.
fn without_file(
    text: &Hidden,
    at: Origin,
    world: &World<'_>,
    notes: &mut Notes,
) -> Option<(Node, Given)> {
    match url::parse(text.expose(), &at, world.variable, &mut notes.warnings) {
        Ok(upstream) => {
            let every = Table::from([("*".to_owned(), Node::table(at.clone()))]);
            let databases = Node {
                value: Value::Table(every),
                ..Node::table(at.clone())
            };
            let root = Node {
                value: Value::Table(Table::from([("databases".to_owned(), databases)])),
                ..Node::table(at.clone())
            };
            let given = Given {
                at,
                upstream,
                replicas: Vec::new(),
            };
            Some((root, given))
        }
        Err(slips) => {
            for slip in slips {
                notes.mistake(&at, KeyPath::default(), slip.into());
            }
            None
        }
    }
}

/// One flag and its variable.
struct Name {
    flag: &'static str,
    variable: &'static str,
}

const fn name(flag: &'static str, variable: &'static str) -> Name {
    Name { flag, variable }
}

const CONFIG: Name = name("--config", "AMBASSADOR_CONFIG");
const UPSTREAM: Name = name("--upstream", "AMBASSADOR_UPSTREAM");
const REPLICA: Name = name("--replica", "AMBASSADOR_REPLICAS");
const LISTEN: Name = name("--listen", "AMBASSADOR_LISTEN");
const ADMIN: Name = name("--admin", "AMBASSADOR_ADMIN");
const POOL_SIZE: Name = name("--pool-size", "AMBASSADOR_POOL_SIZE");
const POOL_MODE: Name = name("--pool-mode", "AMBASSADOR_POOL_MODE");
const WORKERS: Name = name("--workers", "AMBASSADOR_WORKERS");
const LOG_FORMAT: Name = name("--log-format", "AMBASSADOR_LOG_FORMAT");
const LOG_LEVEL: Name = name("--log-level", "AMBASSADOR_LOG_LEVEL");
const SET: Name = name("--set", "AMBASSADOR_SET");

/// All variables, or all flags.
struct Layer<'a> {
    run: &'a Run,
    names: fn(&Name) -> Origin,
}

impl Layer<'_> {
    fn lay_over(&self, root: &mut Node, notes: &mut Notes) {
        for assignment in &self.run.set {
            let at = (self.names)(&SET);
            let put = tree::parse_assignment(assignment.expose(), &at)
                .and_then(|(path, node)| root.put(&path, node));
            if let Err(wrong) = put {
                notes.mistake(&at, KeyPath::default(), wrong);
            }
        }
        self.listeners(root, notes);
        let run = self.run;
        let singles = [
            (&ADMIN, ["admin", "address"], &run.admin),
            (&WORKERS, ["listen", "workers"], &run.workers),
            (&LOG_FORMAT, ["log", "format"], &run.log_format),
            (&LOG_LEVEL, ["log", "level"], &run.log_level),
        ];
        for (name, path, text) in singles {
            if let Some(text) = text {
                let at = (self.names)(name);
                put(root, &path, Node::text(at, text), notes);
            }
        }
        self.pools(root, notes);
    }

    fn listeners(&self, root: &mut Node, notes: &mut Notes) {
        if self.run.listen.is_empty() {
            return;
        }
        let at = (self.names)(&LISTEN);
        let items = self.run.listen.iter();
        let node = Node {
            value: Value::Array(items.map(|text| Node::text(at.clone(), text)).collect()),
            ..Node::table(at)
        };
        put(root, &["listen", "addresses"], node, notes);
    }

    /// The flags on pools mean every database.
    fn pools(&self, root: &mut Node, notes: &mut Notes) {
        let databases = root.value.as_table().and_then(|root| root.get("databases"));
        let databases = databases.and_then(|node| node.value.as_table());
        let names: Vec<String> = databases
            .into_iter()
            .flat_map(Table::keys)
            .cloned()
            .collect();
        let flags = [
            (&POOL_SIZE, "pool_size", &self.run.pool_size),
            (&POOL_MODE, "pool_mode", &self.run.pool_mode),
        ];
        for (flag, key, text) in flags {
            let Some(text) = text else { continue };
            for database in &names {
                let node = Node::text((self.names)(flag), text);
                put(root, &["databases", database, key], node, notes);
            }
        }
    }
}

fn put(root: &mut Node, path: &[&str], node: Node, notes: &mut Notes) {
    let at = node.at.clone();
    let names: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
    if let Err(wrong) = root.put(&names, node) {
        notes.mistake(&at, KeyPath::new(path), wrong);
    }
}

/// Of a file that is no TOML only a part was read: what seems to be missing, or wrong on a torn
/// line, may not be.
fn drop_consequences(notes: &mut Notes) {
    let torn = |wrong: &Wrong| matches!(wrong, Wrong::Syntax { .. } | Wrong::DuplicateKey { .. });
    let lines: Vec<Origin> = notes
        .mistakes
        .iter()
        .filter(|mistake| torn(&mistake.wrong))
        .map(|mistake| mistake.at.clone())
        .collect();
    if lines.is_empty() {
        return;
    }
    notes.mistakes.retain(|mistake| {
        torn(&mistake.wrong) || !(mistake.wrong.is_absence() || lines.contains(&mistake.at))
    });
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use super::super::schema::{Key, Shape};
    use super::*;

    /// Every key that holds a value, in the table `[databases.NAME…]` and the like.
    fn values() -> impl Iterator<Item = (String, &'static Key)> {
        let places = schema::places().into_iter();
        places.filter(|(_, key)| matches!(key.shape, Shape::Value))
    }

    /// All that is told of a file whose `key` is a table, which no value can be.
    fn told_of(table: &str, key: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let header = match table {
            "databases.NAME.backends" | "databases.NAME.sharding.tables" => format!("[[{table}]]"),
            table => format!("[{table}]"),
        };
        fs::write(&path, format!("{header}\n{key} = {{ a = 1 }}\n")).unwrap();
        let run = Run {
            config: Some(path),
            ..Run::default()
        };
        let world = World {
            variable: &|_| None,
            cpus: 1,
        };
        load(&run, &world).unwrap_err().to_string()
    }

    #[test]
    fn every_key_of_the_contract_is_read_or_refused() {
        for (table, key) in values() {
            let told = told_of(&table, key.name);
            let wanted = match key.works {
                true => format!("{table}.{}: expected", key.name),
                false => ": not supported yet".to_owned(),
            };
            assert!(told.contains(&wanted), "{table}.{}: {told}", key.name);
        }
    }

    #[test]
    fn every_key_that_works_is_in_the_reference_and_no_other() {
        let text = include_str!("../../config/reference.toml");
        let mut notes = Notes::default();
        let root = tree::parse(&"reference".into(), text, &|_| None, &mut notes);
        assert!(notes.mistakes.is_empty());
        let mut shown = Vec::new();
        list("", &root, &mut shown);
        let named = |path: String| path.replace("NAME", "app").replace("users.app", "users.*");
        let mut works: Vec<String> = values()
            .filter(|(_, key)| key.works)
            .map(|(table, key)| named(format!("{table}.{}", key.name)))
            .collect();
        shown.sort();
        works.sort();
        assert_eq!(shown, works);
    }

    fn list(path: &str, node: &Node, found: &mut Vec<String>) {
        let inner = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        match &node.value {
            Value::Table(table) => {
                for (name, node) in table {
                    list(&inner(name), node, found);
                }
            }
            Value::Array(items) if path.ends_with(".backends") => {
                for item in items {
                    list(path, item, found);
                }
            }
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Array(_) => found.push(path.to_owned()),
        }
    }
}
