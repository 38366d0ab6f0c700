//! Is it provably a read that any replica may answer?

use super::builtin::{Builtin, builtin, system_relation};
use super::known::Known;
use super::verdict::Finding;
use super::verdict::Named;
use super::verdict::Obstacle;

/// What is made of a finding by what the catalog knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Why it is not provably a read; `None`: it is.
    pub obstacle: Option<Obstacle>,
    /// The name that stands against it, where one does.
    pub subject: Option<Named>,
    /// Provably free of effects, so that it may run twice: all that is a read, and what is none
    /// only because its answer is the server's own.
    pub is_free: bool,
    /// Functions that nothing is known of.
    pub unjudged: Vec<Named>,
}

/// Judges by this catalog; without one by the server's own functions alone, taking every
/// relation that is not the system's for a plain table.
pub fn judge(finding: &Finding, known: Option<&Known>) -> Judgement {
    let mut judgement = Judgement {
        obstacle: None,
        subject: None,
        is_free: true,
        unjudged: Vec::new(),
    };
    judgement.meet(finding.obstacle, None);
    for function in &finding.functions {
        let obstacle = called(function, known);
        if obstacle == Some(Obstacle::UnknownFunction) {
            judgement.unjudged.push(function.clone());
        }
        judgement.meet(obstacle, Some(function));
    }
    for aside in &finding.asides {
        let obstacle = called(aside, known);
        let harmful = obstacle.filter(|obstacle| *obstacle != Obstacle::UnknownFunction);
        judgement.meet(harmful, Some(aside));
    }
    for relation in &finding.relations {
        judgement.meet(read(relation, known), Some(relation));
    }
    if let Some(known) = known {
        judgement.meet(known.everywhere(), None);
        for symbol in &finding.operators {
            judgement.meet(known.operator(symbol).err(), Some(&plain(symbol)));
        }
        for word in &finding.words {
            judgement.meet(known.word(word).err(), Some(&plain(word)));
        }
        for field in &finding.fields {
            judgement.meet(known.field(field).err(), Some(&plain(field)));
        }
    }
    judgement
}

impl Judgement {
    /// The first obstacle is told, but one that may have effects goes before those that have none.
    fn meet(&mut self, obstacle: Option<Obstacle>, subject: Option<&Named>) {
        let Some(obstacle) = obstacle else { return };
        let is_free = obstacle.is_free_of_effects();
        if self.obstacle.is_none() || self.is_free && !is_free {
            self.obstacle = Some(obstacle);
            self.subject = subject.cloned();
        }
        self.is_free &= is_free;
    }
}

fn called(function: &Named, known: Option<&Known>) -> Option<Obstacle> {
    if let Some(known) = known {
        let schema = function.schema.as_deref();
        return known.function(schema, &function.name).err();
    }
    let own = function
        .schema
        .as_deref()
        .is_none_or(|schema| schema == b"pg_catalog");
    match builtin(&function.name).filter(|_| own) {
        Some(Builtin::Passes) => None,
        Some(Builtin::Denied) => Some(Obstacle::DeniedFunction),
        Some(Builtin::Server) => Some(Obstacle::ServerFunction),
        Some(Builtin::Volatile) => Some(Obstacle::VolatileFunction),
        None => Some(Obstacle::UnknownFunction),
    }
}

fn read(relation: &Named, known: Option<&Known>) -> Option<Obstacle> {
    let schema = relation.schema.as_deref();
    match known {
        Some(known) => known.relation(schema, &relation.name).err(),
        None if schema.is_some_and(|schema| schema.starts_with(b"pg_temp")) => {
            Some(Obstacle::TemporaryRelation)
        }
        None => system_relation(schema, &relation.name).then_some(Obstacle::SystemRelation),
    }
}

fn plain(name: &[u8]) -> Named {
    Named {
        schema: None,
        name: name.into(),
    }
}
