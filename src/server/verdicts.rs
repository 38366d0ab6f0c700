//! What judges texts, one for each database that a worker serves, and what they hang on together.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use super::{Database, plan::Plan};
use crate::route::Rules;
use crate::session::{Snapshot, Verdicts};

/// Names a database upstream: the entry that led there, and its name there.
pub type Place = (String, Vec<u8>);

/// A worker's, by the databases.
#[derive(Default)]
pub struct Judges(RefCell<HashMap<Place, Rc<Verdicts>>>);

impl Judges {
    /// What judges the texts for a database; `None`: nothing hangs on what they do.
    pub fn get(&self, plan: &Plan, database: &Database, name: &[u8]) -> Option<Rc<Verdicts>> {
        if !database.routing.judges(database.backends.len()) {
            return None;
        }
        let place = (database.entry().to_owned(), name.to_owned());
        let mut judges = self.0.borrow_mut();
        if let Some(known) = judges.get(&place) {
            return Some(Rc::clone(known));
        }
        let rules = Rules::of(&database.backends);
        let snapshot: Arc<Snapshot> = plan.snapshot(&place);
        let verdicts = Rc::new(Verdicts::new(rules, snapshot, plan.print_seed));
        judges.insert(place, Rc::clone(&verdicts));
        Some(verdicts)
    }

    /// Forgets those of databases that nobody uses.
    pub fn forget_unused(&self) {
        let mut judges = self.0.borrow_mut();
        judges.retain(|_, verdicts| Rc::strong_count(verdicts) > 1);
    }

    /// How many verdicts are remembered.
    pub fn remembered(&self) -> usize {
        let judges = self.0.borrow();
        judges.values().map(|verdicts| verdicts.len()).sum()
    }
}
