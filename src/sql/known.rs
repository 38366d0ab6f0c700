//! What a database's own catalog says about names.
//!
//! By name: of all that a name may mean, all must pass. Without a schema that is what any schema
//! has, for a search_path may lead anywhere, and a user's function may shadow the server's own.

mod names;

use std::collections::BTreeMap;

use super::builtin::Builtin;
use super::builtin::builtin;
use super::builtin::system_relation;
use super::verdict::Obstacle;
use names::Names;

/// An immutable picture of a database's functions, relations, operators and types, as far as
/// they tell reads from the rest. `catalog` makes it; without one no name of a user's is known.
///
/// The server's own functions are in it only where the database has changed them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Another for every picture that differs: part of what a cached verdict hangs on.
    pub epoch: u64,
    functions: Names,
    relations: Names,
    operators: BTreeMap<Box<[u8]>, Obstacle>,
    words: BTreeMap<Box<[u8]>, Obstacle>,
    fields: BTreeMap<Box<[u8]>, Obstacle>,
    everywhere: Option<Obstacle>,
}

/// What a picture is made of.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// Every function that a statement may call, each overload by itself, and those of the
    /// server's own that are not what they were.
    pub functions: Vec<Fact<'a>>,
    /// Every relation that is not the system's.
    pub relations: Vec<Fact<'a>>,
    /// Operators that do not pass, by their spelling.
    pub operators: BTreeMap<Box<[u8]>, Obstacle>,
    /// Types that do not pass.
    pub words: BTreeMap<Box<[u8]>, Obstacle>,
    /// Functions that do not pass and that `x.f` may call.
    pub fields: BTreeMap<Box<[u8]>, Obstacle>,
    /// See [`Known::everywhere`].
    pub everywhere: Option<Obstacle>,
}

/// One function or relation.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Its schema.
    pub schema: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
    /// What stands against it; `None`: it passes.
    pub obstacle: Option<Obstacle>,
}

impl Known {
    /// A picture of these facts.
    pub fn new(epoch: u64, facts: Facts<'_>) -> Self {
        Self {
            epoch,
            functions: Names::new(facts.functions),
            relations: Names::new(facts.relations),
            operators: facts.operators,
            words: facts.words,
            fields: facts.fields,
            everywhere: facts.everywhere,
        }
    }

    /// Whether both say the same of everything, whatever their epochs.
    pub fn agrees(&self, other: &Self) -> bool {
        self.functions == other.functions
            && self.relations == other.relations
            && self.operators == other.operators
            && self.words == other.words
            && self.fields == other.fields
            && self.everywhere == other.everywhere
    }

    /// Bytes on the heap, nearly.
    pub fn weight(&self) -> usize {
        let few = |map: &BTreeMap<Box<[u8]>, Obstacle>| -> usize {
            map.keys().map(|name| name.len() + 40).sum()
        };
        let spelt = [&self.operators, &self.words, &self.fields];
        let spelt: usize = spelt.into_iter().map(few).sum();
        self.functions.weight() + self.relations.weight() + spelt
    }

    /// Whether calling `name` passes, in whatever overload; in all schemas where none is given.
    ///
    /// # Errors
    /// What stands against it.
    pub fn function(&self, schema: Option<&[u8]>, name: &[u8]) -> Result<(), Obstacle> {
        let own = builtin(name);
        // Refused wherever they are said to be.
        match own {
            Some(Builtin::Denied) => return Err(Obstacle::DeniedFunction),
            Some(Builtin::Server) => return Err(Obstacle::ServerFunction),
            Some(Builtin::Passes | Builtin::Volatile) | None => {}
        }
        let users = self.functions.all(schema, name);
        if let Some(Err(obstacle)) = users {
            return Err(obstacle);
        }
        let own = own.filter(|_| schema.is_none_or(|schema| schema == b"pg_catalog"));
        match (own, users) {
            (Some(Builtin::Volatile), _) => Err(Obstacle::VolatileFunction),
            (None, None) => Err(Obstacle::UnknownFunction),
            (Some(_), _) | (None, Some(_)) => Ok(()),
        }
    }

    /// Whether reading the relation passes, with its views, policies, children.
    ///
    /// # Errors
    /// What stands against it.
    pub fn relation(&self, schema: Option<&[u8]>, name: &[u8]) -> Result<(), Obstacle> {
        if schema.is_some_and(|schema| schema.starts_with(b"pg_temp")) {
            return Err(Obstacle::TemporaryRelation);
        }
        if system_relation(schema, name) {
            return Err(Obstacle::SystemRelation);
        }
        let found = self.relations.all(schema, name);
        found.unwrap_or(Err(Obstacle::UnknownRelation))
    }

    /// Whether every operator of this spelling passes.
    ///
    /// # Errors
    /// What stands against it.
    pub fn operator(&self, symbol: &[u8]) -> Result<(), Obstacle> {
        self.operators.get(symbol).map_or(Ok(()), |why| Err(*why))
    }

    /// Whether a name that is neither a call nor a relation passes: it could be a type whose
    /// input, cast or check runs something.
    ///
    /// # Errors
    /// What stands against it.
    pub fn word(&self, name: &[u8]) -> Result<(), Obstacle> {
        self.words.get(name).map_or(Ok(()), |why| Err(*why))
    }

    /// Whether such a name behind a dot passes: it could be a function in column notation, too.
    /// A name by itself never is one (the server's `transformColumnRef`).
    ///
    /// # Errors
    /// What stands against it.
    pub fn field(&self, name: &[u8]) -> Result<(), Obstacle> {
        self.word(name)?;
        self.fields.get(name).map_or(Ok(()), |why| Err(*why))
    }

    /// What stands against every statement: an implicit cast that runs something, or an operator
    /// that statements use without writing it (`=` behind IN, `<` behind ORDER BY).
    pub fn everywhere(&self) -> Option<Obstacle> {
        self.everywhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact<'a>(path: &'a str, obstacle: Option<Obstacle>) -> Fact<'a> {
        let (schema, name) = path.split_once('.').unwrap_or_default();
        Fact {
            schema: schema.as_bytes(),
            name: name.as_bytes(),
            obstacle,
        }
    }

    fn functions(facts: Vec<Fact<'_>>) -> Known {
        Known::new(
            1,
            Facts {
                functions: facts,
                ..Facts::default()
            },
        )
    }

    fn relations(facts: Vec<Fact<'_>>) -> Known {
        Known::new(
            1,
            Facts {
                relations: facts,
                ..Facts::default()
            },
        )
    }

    #[test]
    fn all_that_a_bare_name_may_mean_must_pass() {
        let known = functions(vec![
            fact("a.f", None),
            fact("b.f", None),
            fact("b.f", Some(Obstacle::VolatileFunction)),
            fact("a.g", None),
        ]);
        assert_eq!(known.function(Some(b"a"), b"f"), Ok(()));
        assert_eq!(known.function(None, b"f"), Err(Obstacle::VolatileFunction));
        assert_eq!(
            known.function(Some(b"b"), b"f"),
            Err(Obstacle::VolatileFunction)
        );
        assert_eq!(known.function(None, b"g"), Ok(()));
        assert_eq!(
            known.function(Some(b"b"), b"g"),
            Err(Obstacle::UnknownFunction)
        );
        assert_eq!(known.function(None, b"h"), Err(Obstacle::UnknownFunction));
    }

    #[test]
    fn a_users_function_may_shadow_the_servers_own() {
        let volatile = Some(Obstacle::VolatileFunction);
        let known = functions(vec![
            fact("public.now", volatile),
            fact("public.lower", None),
        ]);
        assert_eq!(
            known.function(None, b"now"),
            Err(Obstacle::VolatileFunction)
        );
        assert_eq!(known.function(Some(b"pg_catalog"), b"now"), Ok(()));
        assert_eq!(known.function(None, b"lower"), Ok(()));
        // It is not the server's where a schema of the user's is written.
        let upper = known.function(Some(b"public"), b"upper");
        assert_eq!(upper, Err(Obstacle::UnknownFunction));
    }

    #[test]
    fn the_silent_list_stands_whatever_the_catalog_says() {
        let known = functions(vec![
            fact("public.set_config", None),
            fact("public.pg_is_in_recovery", None),
        ]);
        let denied = Err(Obstacle::DeniedFunction);
        assert_eq!(known.function(Some(b"public"), b"set_config"), denied);
        assert_eq!(known.function(None, b"nextval"), denied);
        assert_eq!(
            known.function(Some(b"public"), b"pg_is_in_recovery"),
            Err(Obstacle::ServerFunction)
        );
    }

    #[test]
    fn a_changed_function_of_the_servers_own_is_what_it_has_become() {
        let volatile = Some(Obstacle::VolatileFunction);
        let known = functions(vec![fact("pg_catalog.now", volatile)]);
        assert_eq!(
            known.function(None, b"now"),
            Err(Obstacle::VolatileFunction)
        );
        let named = known.function(Some(b"pg_catalog"), b"now");
        assert_eq!(named, Err(Obstacle::VolatileFunction));
        let own = known.function(None, b"current_schema");
        assert_eq!(own, Err(Obstacle::VolatileFunction));
    }

    #[test]
    fn relations_are_found_by_schema_and_without() {
        let known = relations(vec![
            fact("a.t", None),
            fact("b.t", Some(Obstacle::UnloggedRelation)),
            fact("a.u", None),
        ]);
        assert_eq!(known.relation(Some(b"a"), b"t"), Ok(()));
        let unlogged = Err(Obstacle::UnloggedRelation);
        assert_eq!(known.relation(Some(b"b"), b"t"), unlogged);
        assert_eq!(known.relation(None, b"t"), unlogged);
        assert_eq!(known.relation(None, b"u"), Ok(()));
        let unknown = Err(Obstacle::UnknownRelation);
        assert_eq!(known.relation(None, b"v"), unknown);
        assert_eq!(known.relation(Some(b"a"), b"v"), unknown);
        let system = Err(Obstacle::SystemRelation);
        assert_eq!(known.relation(None, b"pg_class"), system);
        assert_eq!(known.relation(Some(b"pg_catalog"), b"pg_class"), system);
    }

    #[test]
    fn somebodys_temporary_table_does_not_hide_the_one_that_all_see() {
        let temporary = Some(Obstacle::TemporaryRelation);
        let known = relations(vec![
            fact("pg_temp_3.users", temporary),
            fact("public.users", None),
            fact("pg_temp_3.work", temporary),
        ]);
        assert_eq!(known.relation(None, b"users"), Ok(()));
        assert_eq!(
            known.relation(None, b"work"),
            Err(Obstacle::TemporaryRelation)
        );
        for schema in [&b"pg_temp"[..], b"pg_temp_3"] {
            let named = known.relation(Some(schema), b"users");
            assert_eq!(named, Err(Obstacle::TemporaryRelation));
        }
    }

    #[test]
    fn pictures_agree_whatever_their_epoch() {
        let one = relations(vec![fact("a.t", None), fact("a.u", None)]);
        let mut other = relations(vec![fact("a.u", None), fact("a.t", None)]);
        other.epoch = 7;
        assert!(one.agrees(&other));
        assert!(!one.agrees(&relations(vec![fact("a.t", None)])));
        assert!(!one.agrees(&Known::default()));
    }
}
