//! What another parser finds in a statement is found too.
//!
//! sqlparser makes a tree of many statements, by a grammar that somebody else has read out of the
//! same manual. What it takes for a relation or a function has to be among ours, or has a reason
//! here. The other way round is not asked: what is found here and not there is careful, not wrong.
//! Nor are statements that are no queries: which tables a CREATE names decides nothing.

use std::{collections::BTreeSet, ops::ControlFlow};

use pg_ambassador::sql::{Class, Finding, Named, find};
use sqlparser::{
    ast::{Expr, Ident, ObjectName, Query, TableFactor, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use crate::{corpus, fixture};

/// Functions to that parser, constructs of the grammar to the server: they run nothing that has a
/// name.
const CONSTRUCTS: &[&str] = &[
    "array",
    "coalesce",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "greatest",
    "grouping",
    "json_array",
    "json_object",
    "json_scalar",
    "json_serialize",
    "json",
    "least",
    "localtime",
    "localtimestamp",
    "normalize",
    "nullif",
    "row",
    "session_user",
    "treat",
    "user",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlparse",
    "xmlserialize",
];

/// Names that the other parser makes where the server has none: it takes ONLY for a relation,
/// FROM in `trim(BOTH FROM (x))` for a function, and what is in U&"…" as it is written.
fn is_misread((_, name): &Path) -> bool {
    matches!(name.as_str(), "only" | "from") || name.contains('\\')
}

/// Schema and name, as the server makes them of the written ones.
type Path = (Option<String>, String);

#[derive(Default)]
struct Theirs {
    relations: BTreeSet<Path>,
    functions: BTreeSet<Path>,
    /// Names of WITH clauses, wherever they reach.
    own: BTreeSet<String>,
}

impl Visitor for Theirs {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let clauses = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.extend(clauses.map(|cte| folded(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args, .. } = factor {
            let named = match args {
                None => &mut self.relations,
                Some(_) => &mut self.functions,
            };
            named.extend(path(name));
        } else if let TableFactor::Function { name, .. } = factor {
            self.functions.extend(path(name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.functions.extend(path(&function.name));
        }
        ControlFlow::Continue(())
    }
}

/// As the server knows it, which cuts names to 63 bytes.
fn folded(ident: &Ident) -> String {
    let mut name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    name.truncate(63);
    name
}

/// The last two parts.
fn path(name: &ObjectName) -> Option<Path> {
    let mut parts = name.0.iter().rev().filter_map(|part| part.as_ident());
    let last = folded(parts.next()?);
    Some((parts.next().map(folded), last))
}

fn ours(named: &[Named]) -> BTreeSet<Path> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = |one: &Named| (one.schema.as_deref().map(text), text(&one.name));
    named.iter().map(path).collect()
}

/// What the other parser finds and we do not; `None`: it does not understand the text.
fn missing(text: &str, finding: &Finding) -> Option<Vec<String>> {
    let tree = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    let mut theirs = Theirs::default();
    let _ = tree.visit(&mut theirs);
    let (relations, functions) = (ours(&finding.relations), ours(&finding.functions));
    let asides = ours(&finding.asides);
    let relations_missing = theirs.relations.iter().filter(|path| {
        let is_own = path.0.is_none() && theirs.own.contains(&path.1);
        !is_own && !is_misread(path) && !relations.contains(*path)
    });
    let functions_missing = theirs.functions.iter().filter(|path| {
        let is_construct = path.0.is_none() && CONSTRUCTS.contains(&path.1.as_str());
        !is_construct && !is_misread(path) && !functions.contains(*path) && !asides.contains(*path)
    });
    let missing = relations_missing
        .map(|path| format!("relation {path:?}"))
        .chain(functions_missing.map(|path| format!("function {path:?}")));
    Some(missing.collect())
}

/// Compares all that are queries; how many there are, and how many it does not understand.
fn compare(texts: &[String]) -> (usize, usize) {
    let mut failures = Vec::new();
    let (mut all, mut strange) = (0, 0);
    for text in texts {
        all += 1;
        let finding = find(text.as_bytes());
        match missing(text, &finding) {
            None => strange += 1,
            Some(missing) if missing.is_empty() => {}
            Some(_) if finding.class > Class::CopyOut => {}
            Some(missing) => failures.push(format!("{text}\n    {}", missing.join(", "))),
        }
    }
    let number = failures.len();
    assert!(
        failures.is_empty(),
        "{number} of {all}:\n{}",
        failures.join("\n")
    );
    (all, strange)
}

#[test]
fn what_another_parser_finds_in_the_fixtures_is_found_too() {
    let texts = |themes: &[&str]| -> Vec<String> {
        let fixtures = themes.iter().flat_map(|theme| fixture::of(theme));
        fixtures.map(|fixture| fixture.text).collect()
    };
    let (all, strange) = compare(&texts(fixture::THEMES));
    let (reads, strange_reads) = compare(&texts(&["reads"]));
    println!(
        "sqlparser does not understand {strange} of {all} fixtures, {strange_reads} of {reads} of the reads"
    );
}

#[test]
fn what_another_parser_finds_in_generated_statements_is_found_too() {
    let (all, strange) = compare(&corpus::generated(5000, 7));
    println!("sqlparser does not understand {strange} of {all} generated statements");
}
