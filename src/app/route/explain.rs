//! An answer for people, who need not know anything of this program.

use core::fmt::Write;

use super::answer::Answer;
use super::json::shown;
use crate::route::{self, Decision, Reason, Role, Wish};
use crate::sql::{Class, Effect, Named, Obstacle};

/// How wide the left column is.
const LABEL: usize = 16;

/// All that there is to say. Writing to a text cannot fail, so the results say nothing.
pub fn whole(answer: &Answer<'_>) -> String {
    let mut out = String::new();
    let mut say = |label: &str, said: &str| {
        let _ = writeln!(out, "{label:LABEL$}{said}");
    };
    let (finding, judgement) = (&answer.finding, &answer.judgement);
    say("What it is", &what(answer));
    if !finding.effects.is_empty() {
        let effects: Vec<String> = finding.effects.iter().map(effect).collect();
        say("It also", &effects.join("; "));
    }
    say("Where it goes", &whither(answer));
    say("Why", &why(answer));
    if !finding.relations.is_empty() {
        say("Relations", &list(&finding.relations));
    }
    if !finding.functions.is_empty() {
        say("Functions", &list(&finding.functions));
    }
    if !judgement.unjudged.is_empty() {
        let nobody = match answer.judge.known {
            Some(_) => "the database has none of this name",
            None => "none of the server's own has this name",
        };
        let said = format!("{}: {nobody}", list(&judgement.unjudged));
        say("Not judged", &said);
    }
    if !answer.unheard.is_empty() {
        let said = format!(
            "in the hint, ignored: {}",
            one_line(&answer.unheard.join(", "))
        );
        say("Not understood", &said);
    }
    if let Some(assumed) = assumed(answer) {
        say("Assumed", &assumed);
    }
    if let Some(advice) = advice(answer) {
        say("What to do", &advice);
    }
    if answer.judge.params > 0 {
        say("Parameters", "make no difference: no table here is sharded");
    }
    let _ = writeln!(out, "{:LABEL$}{}", "Fingerprint", answer.fingerprint());
    out
}

/// The same in one line, where there are many.
pub fn line(answer: &Answer<'_>) -> String {
    let (class, decision) = (answer.finding.class.name(), &answer.decision);
    let role = decision.role.name();
    let mut out = format!("{class} -> {role}: {}", decision.reason.name());
    if let Some(subject) = &answer.judgement.subject {
        let _ = write!(out, " {}", one_line(&shown(subject)));
    }
    out.push('\n');
    out
}

fn what(answer: &Answer<'_>) -> String {
    let finding = &answer.finding;
    let class = finding.class;
    let kind = format!("{}: {}", class.name(), meaning(class));
    match finding.statements {
        0 | 1 => kind,
        several => format!("{kind}; the strongest of {several} statements"),
    }
}

fn meaning(class: Class) -> &'static str {
    match class {
        Class::Empty => "there is no statement in it",
        Class::Read => "a query that writes nothing itself",
        Class::CopyOut => "copies data out",
        Class::Cursor => "opens, moves or closes a cursor",
        Class::Prepare => "prepares a statement, runs or drops one that is prepared",
        Class::Transaction => "begins, ends or divides a transaction",
        Class::Session => "changes the session",
        Class::Listen => "listens or notifies",
        Class::Utility => "a command of the server's",
        Class::Call => "runs code that the text does not show",
        Class::CopyIn => "copies data in",
        Class::Write => "writes, or locks rows",
        Class::Ddl => "defines, changes or drops something",
        Class::Unknown => "not understood",
    }
}

fn effect(effect: &Effect) -> String {
    let named = |name: &str| one_line(name);
    match effect {
        Effect::Set(name) => format!("changes {} for the session", named(name)),
        Effect::SetLocal(name) => format!("changes {} for the transaction", named(name)),
        Effect::Temp => "makes a temporary object".to_owned(),
        Effect::AdvisoryLock => "takes or gives back an advisory lock".to_owned(),
        Effect::Listen => "changes which channels the session listens to".to_owned(),
        Effect::Prepare(name) if name.is_empty() => "drops prepared statements".to_owned(),
        Effect::Prepare(name) => format!("prepares or drops {}", named(name)),
        Effect::CursorHold => "opens a cursor that outlives its transaction".to_owned(),
        Effect::Sequence => "uses a sequence".to_owned(),
        Effect::Anything => "may do anything".to_owned(),
    }
}

fn whither(answer: &Answer<'_>) -> String {
    let place = |decision: &Decision| match decision.role {
        _ if decision.is_refused => "nowhere: it is refused with 25006",
        Role::Replica => "a replica",
        Role::Primary | Role::Any => "the primary",
    };
    match answer.decision.role {
        Role::Any => format!(
            "any: there is one backend, which takes everything; with replicas: {}",
            place(&answer.split)
        ),
        Role::Primary | Role::Replica => place(&answer.decision).to_owned(),
    }
}

fn why(answer: &Answer<'_>) -> String {
    let reason = answer.decision.reason;
    let mut said = format!("{}: {}", reason.name(), reason.sentence());
    if let (Reason::Against(_), Some(subject)) = (reason, &answer.judgement.subject) {
        let _ = write!(said, ": {}", one_line(&shown(subject)));
    }
    said
}

/// Whether the catalog could tell more.
fn is_open(answer: &Answer<'_>) -> bool {
    let unknown = [Obstacle::UnknownFunction, Obstacle::UnknownRelation];
    let judged = answer.judgement.obstacle;
    answer.judge.known.is_none() && judged.is_none_or(|one| unknown.contains(&one))
}

/// What was taken for granted, for want of the catalog.
fn assumed(answer: &Answer<'_>) -> Option<String> {
    if !is_open(answer) {
        return None;
    }
    let finding = &answer.finding;
    let tables = match finding.relations.as_slice() {
        [] => None,
        relations => Some(format!(
            "{}: plain, no view, no policy, neither temporary nor foreign",
            list(relations),
        )),
    };
    let own = match route::names_anything(finding) {
        true => Some("no name of the server's is also a user's".to_owned()),
        false => None,
    };
    let all: Vec<String> = [tables, own].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn advice(answer: &Answer<'_>) -> Option<String> {
    if is_open(answer) && route::names_anything(&answer.finding) {
        return Some("--connect looks all of it up in the database".to_owned());
    }
    let hint = "/* ambassador: replica */ in front sends it to a replica all the same";
    let said = match answer.decision.reason {
        Reason::Against(Obstacle::VolatileFunction) => {
            format!(
                "a function that only reads can be declared so (ALTER FUNCTION … STABLE); {hint}"
            )
        }
        Reason::Against(Obstacle::UserFunction) => {
            format!("routing.user_functions = \"trust-volatility\" trusts them; {hint}")
        }
        Reason::Against(
            Obstacle::Unparsable
            | Obstacle::UnknownFunction
            | Obstacle::UnknownRelation
            | Obstacle::Operator
            | Obstacle::Type
            | Obstacle::View
            | Obstacle::SystemRelation
            | Obstacle::ServerFunction
            | Obstacle::ForeignRelation,
        ) if answer.wish == Wish::None => format!("if you know that it only reads: {hint}"),
        Reason::HintRefused => "leave the hint out".to_owned(),
        Reason::ProvenRead
        | Reason::Hint
        | Reason::ReadsPrimary
        | Reason::NoReplica
        | Reason::NotFresh
        | Reason::InTransaction
        | Reason::Pinned
        | Reason::Joined
        | Reason::Serializable
        | Reason::Batch
        | Reason::Healed
        | Reason::NoCatalog
        | Reason::Strings
        | Reason::Encoding
        | Reason::Oversize
        | Reason::Against(_) => return None,
    };
    Some(said)
}

fn list(names: &[Named]) -> String {
    let names: Vec<String> = names.iter().map(|name| one_line(&shown(name))).collect();
    names.join(", ")
}

/// What a name holds does not end a line, nor obey a terminal.
fn one_line(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(shown).collect()
}
