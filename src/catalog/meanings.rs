//! What a name in the text of a function may mean.

use super::{
    body::Body,
    graph::Node,
    labels::{is_changed, is_own},
    picture::Drawing,
    rows::RelationKind,
};

/// What a name in a text may mean, sorted.
pub(super) struct Meanings<'a> {
    calls: Vec<(&'a [u8], Node)>,
    words: Vec<(&'a [u8], Node)>,
    fields: Vec<(&'a [u8], Node)>,
    operators: Vec<(&'a [u8], Node)>,
}

impl<'a> Meanings<'a> {
    pub fn new(drawing: &Drawing<'a>) -> Self {
        let mut meanings = Self {
            calls: Vec::new(),
            words: Vec::new(),
            fields: Vec::new(),
            operators: Vec::new(),
        };
        let rows = drawing.rows;
        for function in &rows.functions {
            let Some(node) = drawing.functions.get(&function.oid) else {
                continue;
            };
            // The server's own are known by their names alone, unless they have changed.
            if !is_own(function) || is_changed(function) {
                meanings.calls.push((&function.name, *node));
                if function.is_column {
                    meanings.fields.push((&function.name, *node));
                }
            }
        }
        for relation in &rows.relations {
            let read = drawing.relations.get(&relation.oid);
            let read = read.filter(|_| relation.kind != RelationKind::Composite);
            let made = drawing.rowtypes.get(&relation.oid);
            for node in read.into_iter().chain(made) {
                meanings.words.push((&relation.name, *node));
            }
        }
        for kind in &rows.types {
            let node = drawing.types.get(&kind.oid);
            meanings.words.extend(node.map(|node| (&*kind.name, *node)));
        }
        for operator in &rows.operators {
            let node = drawing.operators.get(&operator.oid);
            let meant = node.map(|node| (&*operator.symbol, *node));
            meanings.operators.extend(meant);
        }
        for list in [
            &mut meanings.calls,
            &mut meanings.words,
            &mut meanings.fields,
            &mut meanings.operators,
        ] {
            list.sort_unstable();
        }
        meanings
    }

    /// Everything that a text may mean by what it names.
    pub fn of(&self, body: &Body) -> Vec<Node> {
        let mut meant = Vec::new();
        // A name before a bracket may be a relation's or a type's as well.
        let words = body.calls.iter().chain(&body.words);
        for (names, list) in [
            (body.calls.iter().collect::<Vec<_>>(), &self.calls),
            (words.collect(), &self.words),
            (body.fields.iter().collect(), &self.fields),
            (body.operators.iter().collect(), &self.operators),
        ] {
            for name in names {
                let from = list.partition_point(|(other, _)| *other < name.as_slice());
                let same = list.get(from..).unwrap_or_default().iter();
                let same = same.take_while(|(other, _)| *other == name.as_slice());
                meant.extend(same.map(|(_, node)| *node));
            }
        }
        meant
    }
}
