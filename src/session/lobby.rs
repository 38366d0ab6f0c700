//! Where the clients of one pool come in, and what those before them were told.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Pools, Settings, Shared, Verdicts, calls::SharedCalls, prepared::Scope};
use crate::auth::Credential;
use crate::pool::Pool;
use crate::protocol::{
    Parameters,
    backend::{put_authentication_ok, put_parameter_status},
};

/// How long a welcome is trusted before it is asked for anew: defaults of roles and databases
/// may change.
const TRUSTED: Duration = Duration::from_secs(30);
/// Welcomes remembered for one pool.
const REMEMBERED: usize = 1000;

/// What clients with the same start-up settings are told.
pub(super) struct Welcome {
    pub parameters: Arc<Parameters>,
    pub scope: Scope,
    pub told: Rc<Parameters>,
    /// From AuthenticationOk to the last ParameterStatus, with the notices of the start-up.
    pub frames: Vec<u8>,
    since: Instant,
    /// Of the pool, then.
    epoch: u32,
}

impl Welcome {
    /// `greeting` is what the backend said of it: notices, and perhaps the settings.
    pub fn new(
        shared: &Shared,
        pool: &Pool,
        parameters: Arc<Parameters>,
        told: &Parameters,
        greeting: Greeting<'_>,
    ) -> Self {
        let mut frames = Vec::new();
        put_authentication_ok(&mut frames);
        match greeting {
            Greeting::Whole(greeting) => frames.extend_from_slice(greeting),
            Greeting::Notices(notices) => {
                frames.extend_from_slice(notices);
                for (name, value) in told.iter() {
                    put_parameter_status(&mut frames, name, value);
                }
            }
        }
        let scope = shared.registry.borrow_mut().scope(&parameters);
        Self {
            parameters,
            scope,
            told: Rc::new(told.clone()),
            frames,
            since: shared.clock.now(),
            epoch: pool.epoch(),
        }
    }
}

/// What a backend said when it was given the client's settings.
pub(super) enum Greeting<'a> {
    /// Its notices alone.
    Notices(&'a [u8]),
    /// Its notices and its settings, as it greeted us.
    Whole(&'a [u8]),
}

/// Where the clients of one pool come in, and what they were told.
pub struct Lobby {
    /// That of the presumed primary.
    pool: Rc<Pool>,
    /// All of the database's backends, where there are several.
    pools: Option<Rc<Pools>>,
    pub(super) settings: Rc<Settings>,
    pub(super) verdicts: Option<Rc<Verdicts>>,
    pub(super) known: RefCell<Welcomes>,
    pub(super) calls: SharedCalls,
}

impl Lobby {
    /// Without `verdicts` no text is judged.
    pub fn new(pool: Rc<Pool>, settings: Rc<Settings>, verdicts: Option<Rc<Verdicts>>) -> Self {
        Self {
            pool,
            pools: None,
            settings,
            verdicts,
            known: RefCell::default(),
            calls: SharedCalls::default(),
        }
    }

    /// One whose sessions go now to the one backend and now to another.
    pub fn among(self, pools: Pools) -> Self {
        Self {
            pools: Some(Rc::new(pools)),
            ..self
        }
    }

    /// The pool in which clients come in: that of the primary.
    pub(super) fn pool(&self) -> &Rc<Pool> {
        let pools = self.pools.as_ref();
        let entrance = pools.and_then(|pools| pools.get(pools.entrance()?));
        entrance.unwrap_or(&self.pool)
    }

    /// Another client has come in.
    pub fn count_login(&self) {
        self.pool().traffic().logins.add(1);
    }

    /// A client has shown what logs in upstream.
    pub fn learn(&self, credential: &Credential) {
        for pool in self.each_pool() {
            pool.learn(credential.clone());
        }
    }

    pub(super) fn pools(&self) -> Option<&Rc<Pools>> {
        self.pools.as_ref()
    }

    /// All pools, of whichever backend.
    pub fn each_pool(&self) -> impl Iterator<Item = &Rc<Pool>> {
        let alone = self.pools.is_none().then_some(&self.pool);
        let several = self.pools.iter().flat_map(|pools| pools.iter());
        alone.into_iter().chain(several)
    }

    /// Whether no session is of these pools, and they have nothing.
    pub fn is_unused(&self) -> bool {
        let free = match &self.pools {
            None => Rc::strong_count(&self.pool) == 1,
            Some(pools) => Rc::strong_count(pools) == 1,
        };
        free && self.each_pool().all(|pool| pool.is_unused())
    }
}

/// The welcomes that are known.
#[derive(Default)]
pub(super) struct Welcomes {
    known: HashMap<Parameters, Rc<Welcome>>,
    /// The one that served last: most clients of a pool are alike.
    last: Option<Rc<Welcome>>,
    /// What a connection can only be given at its start.
    alone: HashSet<Parameters>,
}

impl Welcomes {
    /// Only what was heard within the last while, of the server that is there now.
    pub fn get(
        &mut self,
        parameters: &Parameters,
        now: Instant,
        epoch: u32,
    ) -> Option<Rc<Welcome>> {
        let last = self.last.as_ref();
        let same = last.filter(|last| *last.parameters == *parameters);
        let welcome = Rc::clone(same.or_else(|| self.known.get(parameters))?);
        let recent = now.saturating_duration_since(welcome.since) < TRUSTED;
        let fresh = recent && welcome.epoch == epoch;
        self.last = fresh.then(|| Rc::clone(&welcome));
        fresh.then_some(welcome)
    }

    pub fn is_alone(&self, parameters: &Parameters) -> bool {
        self.alone.contains(parameters)
    }

    pub fn put_alone(&mut self, parameters: &Parameters) {
        if self.alone.len() >= REMEMBERED {
            self.alone.clear();
        }
        self.alone.insert(parameters.clone());
    }

    /// Remembers it, under the very settings that were worn before if they are the same ones:
    /// connections that wear them go on fitting.
    pub fn put(&mut self, mut welcome: Welcome) -> Rc<Welcome> {
        if let Some(former) = self.known.get(&*welcome.parameters) {
            welcome.parameters = Arc::clone(&former.parameters);
        } else if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let welcome = Rc::new(welcome);
        let parameters = (*welcome.parameters).clone();
        self.known.insert(parameters, Rc::clone(&welcome));
        self.last = None;
        welcome
    }
}
