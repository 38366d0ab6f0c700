//! The statements of PostgreSQL's own regression suite, put before the oracle.
//!
//! What they need is made first, as far as that goes: every file is fed to the primary without its
//! DROPs. Then each statement of each file is judged and tried by itself.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use pg_ambassador::sql::{find, judge, statements};

use crate::{
    known,
    oracle::{self, Case},
    proof::told,
    stand::Stand,
    support::suite,
    verdicts::reason,
};

/// Files that are not fed: what they leave behind stands against every other statement, or they
/// make what cannot be copied.
const NOT_FED: &[&str] = &["event_trigger", "tablespace", "create_cast", "vacuum"];

/// Some of what is made stands against every statement: operators that a statement uses without
/// writing them, casts that it does not write either, functions that take a row of anything and
/// are called as many a column is. Without them the rest can be judged.
const TIDY: &str = "\
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT oid::regoperator AS name FROM pg_operator WHERE oid >= 16384 LOOP
    BEGIN EXECUTE 'DROP OPERATOR IF EXISTS ' || one.name || ' CASCADE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  FOR one IN SELECT castsource::regtype AS s, casttarget::regtype AS t FROM pg_cast WHERE oid >= 16384 LOOP
    BEGIN EXECUTE format('DROP CAST (%s AS %s) CASCADE', one.s, one.t); EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  FOR one IN SELECT opcname, opcnamespace::regnamespace AS n, amname FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE c.oid >= 16384 LOOP
    BEGIN EXECUTE format('DROP OPERATOR CLASS %s.%I USING %I CASCADE', one.n, one.opcname, one.amname); EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  FOR one IN SELECT opfname, opfnamespace::regnamespace AS n, amname FROM pg_opfamily f JOIN pg_am a ON a.oid = opfmethod WHERE f.oid >= 16384 LOOP
    BEGIN EXECUTE format('DROP OPERATOR FAMILY %s.%I USING %I CASCADE', one.n, one.opfname, one.amname); EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  FOR one IN SELECT DISTINCT p.oid::regprocedure AS name FROM pg_proc p
               JOIN pg_type t ON t.oid = p.proargtypes[0] AND t.typtype = 'p'
               JOIN pg_attribute a ON a.attname = p.proname
               JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.oid >= 16384
              WHERE p.oid >= 16384 AND p.pronargs = 1 AND p.provolatile = 'v' LOOP
    BEGIN EXECUTE 'DROP FUNCTION IF EXISTS ' || one.name || ' CASCADE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  -- What was added to a family of the server's own.
  FOR one IN SELECT DISTINCT amproc::regprocedure AS name FROM pg_amproc WHERE oid >= 16384 AND amproc >= 16384 LOOP
    BEGIN EXECUTE 'DROP FUNCTION IF EXISTS ' || one.name || ' CASCADE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
END $$;
";

/// The text of a file; a few are in other encodings.
fn text(suite: &Path, name: &str) -> String {
    let bytes = fs::read(suite.join(format!("sql/{name}.sql"))).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A file without its DROPs, beside the data.
fn without_drops(suite: &Path, name: &str) -> PathBuf {
    let told = text(suite, name);
    let keep = |line: &&str| !line.to_lowercase().trim_start().starts_with("drop ");
    let lines: Vec<&str> = told.lines().filter(keep).collect();
    let head = format!("\\set abs_srcdir '{}'\n", suite.display());
    let file = suite.join(format!("{name}.sql"));
    let text = lines
        .join("\n")
        .replace("\\getenv abs_srcdir PG_ABS_SRCDIR", "");
    fs::write(&file, head + &text).unwrap();
    file
}

/// The statements of a file, without psql's own commands and the data of its COPYs.
fn statements_of(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_data = false;
    for line in text.lines() {
        if is_data {
            is_data = line != "\\.";
        } else if !line.trim_start().starts_with('\\') {
            let (line, _) = line.split_once(" \\g").unwrap_or((line, ""));
            lines.push(line);
            let lower = line.to_lowercase();
            is_data = lower.starts_with("copy ") && lower.contains("from stdin");
        }
    }
    let text = lines.join("\n");
    let spans = statements(text.as_bytes()).map(|statement| statement.span);
    let texts = spans.map(|span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned());
    texts.filter(|text| !text.trim().is_empty()).collect()
}

#[test]
#[ignore = "long: feeds and asks two servers some 20,000 statements"]
fn no_read_of_the_regression_suite_is_false() {
    let Some(suite) = suite::folder() else {
        return;
    };
    let names: Vec<String> = suite::groups(suite.path()).concat();
    let fed = names
        .iter()
        .filter(|name| !NOT_FED.contains(&name.as_str()));
    let mut files: Vec<PathBuf> = fed.map(|name| without_drops(suite.path(), name)).collect();
    let tidy = suite.path().join("tidy.sql");
    fs::write(&tidy, TIDY).unwrap();
    files.push(tidy);
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let stand = Stand::with(&files);
    let known = known::of(&stand);
    let mut seen = HashSet::new();
    let mut cases = Vec::new();
    for name in &names {
        for text in statements_of(&text(suite.path(), name)) {
            let judgement = judge(&find(text.as_bytes()), Some(&known));
            let reason = judgement.obstacle.is_some().then(|| reason(&judgement));
            if seen.insert(text.clone()) {
                let source = "regression";
                cases.push(Case {
                    source,
                    text,
                    reason,
                });
            }
        }
    }
    let report = oracle::ask(&stand, &cases);
    told(&report);
    let (number, all) = (report.false_reads.len(), cases.len());
    let reads = report.whole().recognised;
    assert!(
        number == 0,
        "{number} false reads of {all}:\n{}",
        report.false_reads.join("\n")
    );
    assert!(
        reads > all / 4,
        "{reads} reads of {all} statements: the suite was not fed"
    );
}
