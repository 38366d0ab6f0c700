//! Many names in little memory: a name's letters are kept once, whatever schemas have it.

use super::Fact;
use crate::sql::Obstacle;

/// Names with what stands against them, sorted by name, then schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    letters: Box<[u8]>,
    entries: Box<[Entry]>,
    schemas: Box<[Box<[u8]>]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where the name's letters begin.
    start: u32,
    /// Its schema's number.
    schema: u32,
    length: u8,
    obstacle: Option<Obstacle>,
}

impl Names {
    /// All facts, those of one schema and name as one.
    pub fn new(mut facts: Vec<Fact<'_>>) -> Self {
        facts.sort_unstable_by_key(|fact| (fact.name, fact.schema, fact.obstacle.is_none()));
        // The first of each name is the one that does not pass, if any.
        facts.dedup_by_key(|fact| (fact.name, fact.schema));
        let mut schemas: Vec<&[u8]> = facts.iter().map(|fact| fact.schema).collect();
        schemas.sort_unstable();
        schemas.dedup();
        let mut letters: Vec<u8> = Vec::new();
        let mut entries = Vec::with_capacity(facts.len());
        let mut last: &[u8] = b"";
        for fact in &facts {
            if fact.name != last {
                letters.extend_from_slice(fact.name);
                last = fact.name;
            }
            let entry = (|| {
                Some(Entry {
                    start: u32::try_from(letters.len() - last.len()).ok()?,
                    schema: u32::try_from(schemas.binary_search(&fact.schema).ok()?).ok()?,
                    length: u8::try_from(last.len()).ok()?,
                    obstacle: fact.obstacle,
                })
            })();
            // What does not fit is not known.
            entries.extend(entry);
        }
        Self {
            letters: letters.into(),
            entries: entries.into(),
            schemas: schemas.into_iter().map(Box::from).collect(),
        }
    }

    /// What all of this name say together, in this schema or in any; `None`: there is none.
    ///
    /// A temporary relation counts only where nothing else has the name: it is seen by its own
    /// session alone, which stays on its connection.
    pub fn all(&self, schema: Option<&[u8]>, name: &[u8]) -> Option<Result<(), Obstacle>> {
        let from = self
            .entries
            .partition_point(|entry| self.name(entry) < name);
        let named = self.entries.get(from..).unwrap_or_default().iter();
        let named = named
            .take_while(|entry| self.name(entry) == name)
            .filter(|entry| schema.is_none_or(|schema| self.schema(entry) == schema));
        let mut found = None;
        for entry in named {
            match entry.obstacle {
                None => found = Some(Ok(())),
                Some(Obstacle::TemporaryRelation) => {
                    found = found.or(Some(Err(Obstacle::TemporaryRelation)));
                }
                Some(why) => return Some(Err(why)),
            }
        }
        found
    }

    pub fn weight(&self) -> usize {
        let schemas = self.schemas.iter().map(|name| name.len() + 16);
        self.letters.len() + size_of_val(&*self.entries) + schemas.sum::<usize>()
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        let end = start + usize::from(entry.length);
        self.letters.get(start..end).unwrap_or_default()
    }

    fn schema(&self, entry: &Entry) -> &[u8] {
        self.schemas
            .get(entry.schema as usize)
            .map_or(&[], |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_takes_few_bytes() {
        let names: Vec<String> = (0..10_000).map(|n| format!("measurements_{n}")).collect();
        let facts = names.iter().map(|name| Fact {
            schema: b"public",
            name: name.as_bytes(),
            obstacle: None,
        });
        let names = Names::new(facts.collect());
        assert!(names.weight() < 10_000 * 32, "{}", names.weight());
        assert_eq!(size_of::<Entry>(), 12);
        assert_eq!(names.all(None, b"measurements_77"), Some(Ok(())));
    }

    #[test]
    fn a_name_that_many_schemas_have_is_kept_once() {
        let schemas: Vec<String> = (0..1000).map(|n| format!("tenant_{n}")).collect();
        let facts = schemas.iter().map(|schema| Fact {
            schema: schema.as_bytes(),
            name: b"orders",
            obstacle: None,
        });
        let names = Names::new(facts.collect());
        assert_eq!(&*names.letters, b"orders");
        assert_eq!(names.all(Some(b"tenant_999"), b"orders"), Some(Ok(())));
        assert_eq!(names.all(Some(b"tenant_1000"), b"orders"), None);
    }
}
