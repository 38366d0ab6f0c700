//! The statements of `fixtures/sql`; its README says how they are written.

use std::{collections::BTreeSet, fs, path::PathBuf};

/// The themes, a file each.
pub const THEMES: &[&str] = &[
    "commands",
    "routing",
    "session",
    "functions",
    "relations",
    "hostile",
    "reads",
];

/// A statement, or several sent as one, and what it is.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// File and line.
    pub place: String,
    pub text: String,
    pub expected: Expected,
}

/// What a `--:` line says.
#[derive(Debug, Clone)]
pub struct Expected {
    /// One of these.
    pub class: Vec<String>,
    /// One of these, with the catalog.
    pub reason: Vec<String>,
    /// One of these, without.
    pub offline: Vec<String>,
    pub effects: BTreeSet<String>,
    /// These may be there too.
    pub optional: BTreeSet<String>,
    pub relations: Option<BTreeSet<String>>,
    pub functions: Option<BTreeSet<String>>,
    /// The first major version that takes it.
    pub since: u32,
}

/// A file of `fixtures/sql`.
pub fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/sql");
    folder.join(name)
}

pub fn all() -> Vec<Fixture> {
    THEMES.iter().flat_map(|theme| of(theme)).collect()
}

/// The statements of one file.
pub fn of(theme: &str) -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = Vec::new();
    let mut expected = None;
    let mut continues = false;
    for (number, line) in fs::read_to_string(path(&format!("{theme}.sql")))
        .unwrap()
        .lines()
        .enumerate()
    {
        let place = format!("fixtures/sql/{theme}.sql:{}", number + 1);
        if let Some(told) = line.strip_prefix("--:") {
            expected = Some(parse(told).unwrap_or_else(|| panic!("{place}: {line}")));
        } else if line.starts_with([' ', '\t']) && continues {
            let last = fixtures.last_mut().unwrap();
            last.text.push('\n');
            last.text.push_str(line);
            continue;
        } else if !line.starts_with("--") && !line.trim().is_empty() {
            fixtures.push(Fixture {
                expected: expected
                    .clone()
                    .unwrap_or_else(|| panic!("{place}: no --:")),
                text: line.to_owned(),
                place,
            });
            continues = true;
            continue;
        }
        continues = false;
    }
    for fixture in &mut fixtures {
        let ended = fixture.text.strip_suffix(';');
        let ended = ended.unwrap_or_else(|| panic!("{}: no ; at its end", fixture.place));
        fixture.text = ended.to_owned();
    }
    fixtures
}

fn parse(told: &str) -> Option<Expected> {
    let mut words = told
        .split_whitespace()
        .map(|word| word.replace("%20", " "))
        .peekable();
    let class = alternatives(&words.next()?);
    let named = words.next_if(|word| is_reason(word));
    let reason = match named {
        Some(reason) => alternatives(&reason),
        None => vec![own_reason(&class[0])?],
    };
    let mut expected = Expected {
        class,
        offline: reason.clone(),
        reason,
        effects: BTreeSet::new(),
        optional: BTreeSet::new(),
        relations: None,
        functions: None,
        since: 0,
    };
    for word in words {
        match word.split_once(':') {
            Some(("offline", reasons)) => expected.offline = alternatives(reasons),
            Some(("relations", names)) => expected.relations = Some(names_of(names)),
            Some(("functions", names)) => expected.functions = Some(names_of(names)),
            Some(("since", version)) => expected.since = version.parse().ok()?,
            _ => match word.strip_suffix('?') {
                Some(effect) => expected.optional.insert(effect.to_owned()),
                None => expected.effects.insert(word),
            }
            .then_some(())?,
        }
    }
    Some(expected)
}

fn alternatives(word: &str) -> Vec<String> {
    word.split('|').map(str::to_owned).collect()
}

fn names_of(word: &str) -> BTreeSet<String> {
    let names = word.split(',').filter(|name| *name != "-");
    names.map(str::to_owned).collect()
}

/// Effects and reasons share words (`listen`): the second word is a reason unless it has a colon
/// or is no obstacle's name.
fn is_reason(word: &str) -> bool {
    let first = word.split('|').next().unwrap_or_default();
    REASONS.contains(&first)
}

const REASONS: &[&str] = &[
    "proven_read",
    "empty",
    "unparsable",
    "write",
    "ddl",
    "locking",
    "transaction",
    "session",
    "listen",
    "cursor",
    "prepare",
    "call",
    "copy_in",
    "server_file",
    "utility",
    "denied_function",
    "server_function",
    "volatile_function",
    "unknown_function",
    "user_function",
    "operator",
    "type",
    "system_relation",
    "temporary_relation",
    "unlogged_relation",
    "foreign_relation",
    "sequence_relation",
    "view",
    "unknown_relation",
];

/// The reason of a class that has one of its own.
fn own_reason(class: &str) -> Option<String> {
    match class {
        "read" | "copy_out" => None,
        "unknown" => Some("unparsable".to_owned()),
        same => Some(same.to_owned()),
    }
}
