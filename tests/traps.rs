//! Every trap of the wire protocol that other proxies have fallen into has a test that names it.
//! The numbers are those of our list.

#![expect(clippy::unwrap_used, reason = "here a failure is a failed test")]

use std::{collections::BTreeSet, fs, path::Path};

const LAST: u32 = 46;

#[test]
fn every_trap_has_a_test_that_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = BTreeSet::new();
    for folder in ["src", "tests", "fixtures/wire"] {
        collect(&root.join(folder), &mut named);
    }
    let wanted = (1..=LAST).map(|number| number.to_string());
    let missing: Vec<String> = wanted
        .chain(["31a".to_owned()])
        .filter(|trap| !named.contains(trap))
        .collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

/// Tests are called `fact_07_…`, conversations `fact-07 …`.
fn collect(path: &Path, named: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), named);
        }
        return;
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    for begin in ["fn fact_", "== fact-"] {
        for rest in text.split(begin).skip(1) {
            let number: String = rest
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            named.insert(number.trim_start_matches('0').to_owned());
        }
    }
}
