//! Where the two runs differ, and which of that is known.

use std::{fs, process::Command};

use super::play::Printed;

/// What differs, and why.
struct Listed {
    file: &'static str,
    /// One of the lines before it, the statement's, has this.
    after: &'static str,
    /// With one of these each line of it begins, on either side.
    lines: &'static [&'static str],
    cause: &'static str,
}

/// So many lines back a statement is looked for.
const BACK: usize = 24;

const PREPARED: &str = "the view has what the connection has, ours and what others share too";

const LISTED: &[Listed] = &[
    Listed {
        file: "prepare",
        after: "pg_prepared_statements",
        lines: &["_ambassador_", "q", "("],
        cause: PREPARED,
    },
    Listed {
        file: "guc",
        after: "pg_prepared_statements",
        lines: &["_ambassador_", "foo", "("],
        cause: PREPARED,
    },
    Listed {
        file: "sysviews",
        after: "pg_prepared_statements",
        lines: &["t", "f"],
        cause: PREPARED,
    },
    Listed {
        file: "guc",
        after: "plpgsql.extra_foo_warnings",
        lines: &[
            "WARNING:  invalid configuration parameter name \"plpgsql.extra_foo_warnings\"",
            "ERROR:  invalid configuration parameter name \"plpgsql.extra_foo_warnings\"",
            "DETAIL:  \"plpgsql\" is",
        ],
        cause: "a connection has loaded the library of PL/pgSQL for somebody before",
    },
    Listed {
        file: "temp",
        after: "PREPARE TRANSACTION 'twophase_search'",
        lines: &["ERROR:  cannot PREPARE a transaction that has operated on temporary objects"],
        cause: "a connection has a temporary schema from somebody before, and need not make one",
    },
    Listed {
        file: "stats",
        after: "pg_stat_",
        lines: &["t", "f"],
        cause: "each connection reports its own counts, when it likes; a session is no connection",
    },
    Listed {
        file: "sequence",
        after: "currval('sequence_test'",
        lines: &[
            "currval",
            "2",
            "(1 row)",
            "ERROR:  currval of sequence \"sequence_test\"",
        ],
        cause: "currval is asked of another connection than the one that nextval was",
    },
    Listed {
        file: "triggers",
        after: "pkeys",
        lines: &[
            "NOTICE:  check_pkeys_fkey_cascade",
            "ERROR:  tuple references non-existent key",
            "ERROR:  \"check_fkeys2_fkey_restrict\"",
            "DETAIL:  Trigger \"check_fkeys_pkey_exist\"",
            "CONTEXT:  SQL statement",
        ],
        cause: "refint keeps in the process's memory what it made of the first row it saw",
    },
];

/// Differences that are not listed, as `diff` shows them.
pub fn unlisted(expected: &Printed, seen: &Printed) -> Vec<String> {
    assert_eq!(expected.len(), seen.len());
    let mut unlisted = Vec::new();
    for ((file, direct), through) in expected.iter().zip(seen.values()) {
        for hunk in hunks(direct, through) {
            let shown = format!("{file}: {}", hunk.join("\n  "));
            match listed(file, direct, &hunk) {
                Some(one) => println!("{}: {shown}", one.cause),
                None => unlisted.push(shown),
            }
        }
    }
    unlisted
}

fn listed(file: &str, direct: &str, hunk: &[String]) -> Option<&'static Listed> {
    let digits = hunk[0].split(|letter: char| !letter.is_ascii_digit());
    let at: usize = digits.into_iter().next().unwrap().parse().unwrap();
    let before: Vec<&str> = direct.lines().take(at).collect();
    let before = before.iter().rev().take(BACK);
    let differing: Vec<&str> = hunk[1..]
        .iter()
        .filter_map(|line| line.strip_prefix("< ").or(line.strip_prefix("> ")))
        .collect();
    let mut of_file = LISTED.iter().filter(|one| one.file == file);
    of_file.find(|one| {
        before.clone().any(|line| line.contains(one.after))
            && differing
                .iter()
                .all(|line| one.lines.iter().any(|start| line.starts_with(start)))
    })
}

/// What `diff` says, a group of lines each, where they are in both first.
fn hunks(direct: &str, through: &str) -> Vec<Vec<String>> {
    if direct == through {
        return Vec::new();
    }
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["direct", "through"].map(|name| folder.path().join(name));
    fs::write(&one, direct).unwrap();
    fs::write(&other, through).unwrap();
    let told = Command::new("diff")
        .arg("-a")
        .args([one, other])
        .output()
        .unwrap();
    let mut hunks: Vec<Vec<String>> = Vec::new();
    for line in String::from_utf8_lossy(&told.stdout).lines() {
        if line.starts_with(|letter: char| letter.is_ascii_digit()) {
            hunks.push(Vec::new());
        }
        hunks.last_mut().unwrap().push(line.to_owned());
    }
    hunks
}

#[test]
fn a_difference_counts_unless_it_is_listed() {
    let printed = |file: &str, text: &str| Printed::from([(file.to_owned(), text.to_owned())]);
    let asked = "select name from pg_prepared_statements;\nname\n";
    let direct = format!("{asked}(0 rows)\nselect 1;\n1\n");
    let ours = format!("{asked}_ambassador_1\n(1 row)\nselect 1;\n1\n");
    let other = format!("{asked}(0 rows)\nselect 1;\n2\n");
    assert!(unlisted(&printed("guc", &direct), &printed("guc", &ours)).is_empty());
    for (file, seen) in [("guc", &other), ("select", &ours)] {
        assert_eq!(
            unlisted(&printed(file, &direct), &printed(file, seen)).len(),
            1
        );
    }
}
