//! From rows to a picture: what passes, by what it runs. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Trust,
    body::{look, look_aside},
    graph::{Graph, Node, Told},
    labels::{by_kind, by_label, is_changed, is_machinery, is_own},
    meanings::Meanings,
    rows::{Language, Oid, References, RelationKind, Rows},
};
use crate::sql::{Fact, Facts, Known, Obstacle};

/// Operators that a statement may use without writing them: IN, BETWEEN, CASE, LIKE, SIMILAR TO,
/// USING, DISTINCT, ORDER BY.
const UNWRITTEN: &[&[u8]] = &[
    b"=", b"<>", b"<", b">", b"<=", b">=", b"~~", b"!~~", b"~~*", b"!~~*", b"~", b"!~",
];

/// Functions of the server's own that make a value of a type which they are told as they run.
const MAKERS: &[&[u8]] = &[
    b"pg_input_is_valid",
    b"pg_input_error_info",
    b"json_populate_record",
    b"json_populate_recordset",
    b"jsonb_populate_record",
    b"jsonb_populate_record_valid",
    b"jsonb_populate_recordset",
];

/// What these rows say, as far as the operator trusts labels.
pub fn draw(rows: &Rows, trust: Trust, epoch: u64) -> Known {
    let mut drawing = Drawing::new(rows, trust);
    drawing.connect();
    drawing.graph.settle();
    Known::new(epoch, drawing.facts())
}

/// The graph with a node for each row.
pub(super) struct Drawing<'a> {
    pub rows: &'a Rows,
    graph: Graph,
    pub functions: HashMap<Oid, Node>,
    pub operators: HashMap<Oid, Node>,
    pub relations: HashMap<Oid, Node>,
    pub types: HashMap<Oid, Node>,
    /// The rowtypes that have a column of a user's type, by their relation.
    pub rowtypes: HashMap<Oid, Node>,
    casts: Vec<Node>,
    /// C of extensions.
    machinery: HashSet<Oid>,
    /// Stands for all that makes a value of any type.
    maker: Node,
}

impl<'a> Drawing<'a> {
    fn new(rows: &'a Rows, trust: Trust) -> Self {
        let mut graph = Graph::default();
        let functions = rows.functions.iter();
        let functions = functions
            .map(|function| (function.oid, graph.add(by_label(function, trust))))
            .collect();
        let operators = rows.operators.iter();
        let operators = operators
            .map(|operator| (operator.oid, graph.add(None)))
            .collect();
        let relations = rows.relations.iter();
        let relations = relations
            .map(|relation| (relation.oid, graph.add(by_kind(relation))))
            .collect();
        let types = rows.types.iter();
        let types = types.map(|kind| (kind.oid, graph.add(None))).collect();
        let casts = rows.casts.iter().map(|_| graph.add(None)).collect();
        let maker = graph.add(None);
        let machinery = rows.functions.iter();
        let machinery = machinery.filter(|function| is_machinery(function));
        let machinery = machinery.map(|function| function.oid).collect();
        Self {
            rows,
            graph,
            functions,
            operators,
            relations,
            types,
            rowtypes: HashMap::new(),
            casts,
            machinery,
            maker,
        }
    }

    /// Everything gets what it needs.
    fn connect(&mut self) {
        self.connect_types();
        self.connect_operators_and_casts();
        self.connect_relations();
        self.connect_functions();
    }

    fn connect_types(&mut self) {
        let rows = self.rows;
        let named = rows.relations.iter().filter(|_| !rows.columns.is_empty());
        let rowtypes: HashMap<Oid, Oid> = named
            .map(|relation| (relation.oid, relation.rowtype))
            .collect();
        for (relation, _) in &rows.columns {
            let node = *self
                .rowtypes
                .entry(*relation)
                .or_insert_with(|| self.graph.add(None));
            if let Some(rowtype) = rowtypes.get(relation) {
                self.types.insert(*rowtype, node);
            }
        }
        let own = Told::This(Obstacle::Type);
        for (relation, kind) in &rows.columns {
            if let (Some(who), Some(on)) = (self.rowtypes.get(relation), self.types.get(kind)) {
                self.graph.need(*who, *on, own);
            }
        }
        for kind in &rows.types {
            if let Some(node) = self.types.get(&kind.oid).copied() {
                self.need_machinery(node, &kind.functions, own);
                self.need_types(node, &kind.parts, own);
                self.need_all(node, &kind.checks, own);
            }
        }
        let all: Vec<Node> = self.types.values().copied().collect();
        for node in all {
            self.graph.need(self.maker, node, own);
        }
    }

    fn connect_operators_and_casts(&mut self) {
        let rows = self.rows;
        for operator in &rows.operators {
            if let Some(node) = self.operators.get(&operator.oid).copied() {
                let told = Told::This(Obstacle::Operator);
                self.need_functions(node, &[operator.function], told);
                self.need_machinery(node, &operator.estimates, told);
            }
        }
        let told = Told::This(Obstacle::Type);
        for (cast, node) in rows.casts.iter().zip(self.casts.clone()) {
            match cast.function {
                Some(function) => self.need_functions(node, &[function], told),
                None => self.need_types(node, &[cast.source, cast.target], told),
            }
        }
    }

    fn connect_relations(&mut self) {
        let rows = self.rows;
        for (parent, child) in &rows.children {
            if let (Some(who), Some(on)) = (self.relations.get(parent), self.relations.get(child)) {
                self.graph.need(*who, *on, Told::Same);
            }
        }
        for definition in &rows.definitions {
            if let Some(node) = self.relations.get(&definition.relation).copied() {
                self.need_all(node, &definition.names, Told::This(Obstacle::View));
            }
        }
        // Whoever reads a column runs its type's output.
        let base = rows.types.iter().filter(|kind| kind.is_base);
        let base: HashMap<Oid, Node> = base
            .filter_map(|kind| Some((kind.oid, *self.types.get(&kind.oid)?)))
            .collect();
        for (relation, kind) in &rows.columns {
            if let (Some(who), Some(on)) = (self.relations.get(relation), base.get(kind)) {
                self.graph.need(*who, *on, Told::This(Obstacle::Type));
            }
        }
    }

    fn connect_functions(&mut self) {
        let rows = self.rows;
        let meanings = Meanings::new(self);
        let told = Told::This(Obstacle::VolatileFunction);
        for function in &rows.functions {
            let node = self.functions.get(&function.oid).copied();
            // The server's own do as the table says, what does not pass stays so.
            let Some(node) = node.filter(|node| self.graph.obstacle(*node).is_none()) else {
                continue;
            };
            if is_own(function) {
                continue;
            }
            self.need_all(node, &function.names, told);
            self.need_types(node, &function.types, told);
            if function.is_extensions {
                self.need_machinery(node, &function.steps, told);
            } else {
                self.need_functions(node, &function.steps, told);
            }
            let body = match function.language {
                Language::Sql | Language::Plpgsql => look(&function.body),
                Language::Trusted => look_aside(&function.body),
                Language::Machine | Language::Maker | Language::Untrusted => continue,
            };
            if body.refused {
                self.graph.refuse(node, Obstacle::VolatileFunction);
            }
            for meant in meanings.of(&body) {
                self.graph.need(node, meant, told);
            }
        }
    }

    fn need_functions(&mut self, who: Node, functions: &[Oid], told: Told) {
        for function in functions {
            match self.functions.get(function) {
                Some(on) => self.graph.need(who, *on, told),
                // Gone, or a trigger's: nothing vouches for it.
                None => self.refuse(who, told),
            }
        }
    }

    /// What the server calls by itself for a type, operator or aggregate of an extension: C that
    /// came with it does as it should, and is often labelled with no care, for nobody else may
    /// call it.
    fn need_machinery(&mut self, who: Node, functions: &[Oid], told: Told) {
        let others = functions.iter().copied();
        let others: Vec<Oid> = others.filter(|oid| !self.machinery.contains(oid)).collect();
        self.need_functions(who, &others, told);
    }

    /// Types that are not here are the server's own, enums, or rows of such.
    fn need_types(&mut self, who: Node, types: &[Oid], told: Told) {
        for on in types.iter().filter_map(|kind| self.types.get(kind)) {
            self.graph.need(who, *on, told);
        }
    }

    fn need_all(&mut self, who: Node, names: &References, told: Told) {
        if names.locks {
            self.refuse(who, told);
        }
        self.need_functions(who, &names.functions, told);
        self.need_types(who, &names.types, told);
        for operator in &names.operators {
            match self.operators.get(operator) {
                Some(on) => self.graph.need(who, *on, told),
                None => self.refuse(who, told),
            }
        }
        for relation in &names.relations {
            match self.relations.get(relation) {
                Some(on) => self.graph.need(who, *on, told),
                // The system's.
                None => self.refuse(who, told),
            }
        }
    }

    fn refuse(&mut self, who: Node, told: Told) {
        match told {
            Told::This(why) => self.graph.refuse(who, why),
            Told::Same => {}
        }
    }
}

/// Facts, once the graph has settled.
impl<'a> Drawing<'a> {
    fn facts(&self) -> Facts<'a> {
        Facts {
            functions: self.function_facts(),
            relations: self.relation_facts(),
            operators: self.operator_facts(),
            words: self.word_facts(),
            fields: self.field_facts(),
            everywhere: self.everywhere(),
        }
    }

    fn schema(&self) -> impl Fn(Oid) -> &'a [u8] + use<'a> {
        let schemas = self.rows.schemas.iter();
        let schemas: HashMap<Oid, &'a [u8]> = schemas.map(|(oid, name)| (*oid, &**name)).collect();
        move |oid| schemas.get(&oid).copied().unwrap_or_default()
    }

    fn function_facts(&self) -> Vec<Fact<'a>> {
        let schema = self.schema();
        let rows = self.rows.functions.iter();
        let told = rows.filter(|function| !is_own(function) || is_changed(function));
        let mut facts: Vec<Fact<'a>> = told
            .map(|function| Fact {
                schema: schema(function.schema),
                name: &function.name,
                obstacle: self.of(&self.functions, function.oid),
            })
            .collect();
        if let Some(obstacle) = self.graph.obstacle(self.maker) {
            facts.extend(MAKERS.iter().map(|name| Fact {
                schema: b"pg_catalog",
                name,
                obstacle: Some(obstacle),
            }));
        }
        facts
    }

    fn relation_facts(&self) -> Vec<Fact<'a>> {
        let schema = self.schema();
        let rows = self.rows.relations.iter();
        rows.filter(|relation| relation.kind != RelationKind::Composite)
            .map(|relation| Fact {
                schema: schema(relation.schema),
                name: &relation.name,
                obstacle: self.of(&self.relations, relation.oid),
            })
            .collect()
    }

    fn operator_facts(&self) -> BTreeMap<Box<[u8]>, Obstacle> {
        let rows = self.rows.operators.iter();
        rows.filter_map(|operator| {
            let obstacle = self.of(&self.operators, operator.oid)?;
            Some((operator.symbol.clone(), obstacle))
        })
        .collect()
    }

    fn word_facts(&self) -> BTreeMap<Box<[u8]>, Obstacle> {
        let mut words = BTreeMap::new();
        for kind in &self.rows.types {
            if let Some(why) = self.of(&self.types, kind.oid) {
                words.insert(kind.name.clone(), why);
            }
        }
        for relation in &self.rows.relations {
            if let Some(why) = self.of(&self.rowtypes, relation.oid) {
                words.insert(relation.name.clone(), why);
            }
        }
        for (cast, node) in self.rows.casts.iter().zip(&self.casts) {
            if let Some(why) = self.graph.obstacle(*node)
                && let Some(target) = self.type_name(cast.target)
            {
                words.insert(target.into(), why);
            }
        }
        words
    }

    fn field_facts(&self) -> BTreeMap<Box<[u8]>, Obstacle> {
        let functions = self.rows.functions.iter();
        let columns = functions.filter(|function| function.is_column && !is_own(function));
        columns
            .filter_map(|function| {
                let why = self.of(&self.functions, function.oid)?;
                Some((function.name.clone(), why))
            })
            .collect()
    }

    fn everywhere(&self) -> Option<Obstacle> {
        let casts = self.rows.casts.iter().zip(&self.casts);
        let cast = casts
            .filter(|(_, node)| self.graph.obstacle(**node).is_some())
            // A type of the server's own has many spellings.
            .find(|(cast, _)| cast.is_implicit || self.type_name(cast.target).is_none())
            .map(|_| Obstacle::Type);
        let comparing = self.rows.comparing.iter();
        let comparing = || {
            comparing
                .filter(|function| !self.machinery.contains(function))
                .map(|function| self.of(&self.functions, *function))
                .find_map(|obstacle| obstacle.map(|_| Obstacle::Operator))
        };
        let rows = self.rows.operators.iter();
        let unwritten = || {
            rows.filter(|operator| UNWRITTEN.contains(&&*operator.symbol))
                .find_map(|operator| self.of(&self.operators, operator.oid))
        };
        cast.or_else(comparing).or_else(unwritten)
    }

    /// The name of a user's type.
    fn type_name(&self, oid: Oid) -> Option<&'a [u8]> {
        let mut types = self.rows.types.iter();
        let mut rowtypes = self.rows.relations.iter();
        let own = types.find(|kind| kind.oid == oid).map(|kind| &*kind.name);
        own.or_else(|| {
            let of = rowtypes.find(|relation| relation.rowtype == oid);
            of.map(|relation| &*relation.name)
        })
    }

    fn of(&self, nodes: &HashMap<Oid, Node>, oid: Oid) -> Option<Obstacle> {
        nodes.get(&oid).and_then(|node| self.graph.obstacle(*node))
    }
}

#[cfg(test)]
mod tests;
