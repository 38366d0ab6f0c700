//! What judges texts, one for each database that a worker serves, and what they hang on together.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use tokio::task::spawn_local;

use super::{
    Database,
    catalogs::{Keeper, trust},
    plan::Plan,
};
use crate::backend::{Login, Target};
use crate::route::Rules;
use crate::session::{Path, Verdicts};

/// Names a database upstream: the entry that led there, and its name there.
pub type Place = (String, Vec<u8>);

/// A worker's, by the databases.
#[derive(Default)]
pub struct Judges(RefCell<HashMap<Place, Rc<Verdicts>>>);

impl Judges {
    /// What judges the texts for a database; `None`: nothing hangs on what they do. The first of
    /// all workers to ask has its catalog kept, read as `login` if the file names nobody.
    pub fn get(
        &self,
        plan: &Plan,
        database: &Database,
        target: &Target,
        login: &Rc<Login>,
    ) -> Option<Rc<Verdicts>> {
        if !database.routing.judges(database.backends.len()) {
            return None;
        }
        let name = login.database.as_slice();
        let place = (database.entry().to_owned(), name.to_owned());
        let mut judges = self.0.borrow_mut();
        if let Some(known) = judges.get(&place) {
            return Some(Rc::clone(known));
        }
        let rules = Rules::of(&database.backends, database.routing.reads);
        let (snapshot, is_new) = plan.snapshot(&place);
        if is_new {
            let own = database.own.as_ref();
            let own = own.map(|own| {
                let (user, credential) = (own.user.clone().into(), own.credential.clone());
                Rc::new(Login::new(user, name.to_owned(), credential))
            });
            let keeper = Keeper {
                database: String::from_utf8_lossy(name).into_owned(),
                target: target.clone(),
                logins: own.into_iter().chain([Rc::clone(login)]).collect(),
                trust: trust(database.routing.user_functions),
            };
            spawn_local(keeper.keep(Arc::downgrade(&snapshot)));
        }
        let verdicts = Rc::new(Verdicts::new(rules, snapshot, plan.print_seed));
        judges.insert(place, Rc::clone(&verdicts));
        Some(verdicts)
    }

    /// Forgets those of databases that nobody uses.
    pub fn forget_unused(&self) {
        let mut judges = self.0.borrow_mut();
        judges.retain(|_, verdicts| Rc::strong_count(verdicts) > 1);
    }

    /// Where the texts that are remembered went, by the names of the entries that led there.
    pub fn paths(&self) -> Vec<(String, Path)> {
        let judges = self.0.borrow();
        let of = |((entry, upstream), verdicts): (&Place, &Rc<Verdicts>)| {
            let name = match entry.as_str() {
                "*" => String::from_utf8_lossy(upstream).into_owned(),
                entry => entry.to_owned(),
            };
            let paths = verdicts.paths().into_iter();
            paths.map(move |path| (name.clone(), path))
        };
        judges.iter().flat_map(of).collect()
    }

    /// How many verdicts are remembered.
    pub fn remembered(&self) -> usize {
        let judges = self.0.borrow();
        judges.values().map(|verdicts| verdicts.len()).sum()
    }
}
