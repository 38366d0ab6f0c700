//! The way to the console, and what it may ask of the house.

use std::{
    rc::Rc,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Database,
    login::{Door, prove_operator},
    plan::Plan,
    settings::Settings,
    worker::{Mail, Worker},
};
use crate::admin::{self, Console, Detail, History, House, Pauses, Report, Rights, Visitor};
use crate::auth::Method;
use crate::backend::Fleet;
use crate::net::{Link, tls::State};
use crate::protocol::Parameters;
use crate::protocol::backend::{
    Status, put_authentication_ok, put_key_data, put_parameter_status, put_ready,
};
use crate::protocol::startup::Startup;
use crate::session::{End, Fault, Handle, KeyHandle, Place, Signal, Who, worker_of};
use crate::telemetry::events;
use crate::topology::{Address, Role};

/// Somebody who may come in to the console.
pub struct Guest {
    startup: Startup,
    ahead: Vec<u8>,
    name: String,
    rights: Rights,
}

/// Whether a client that asks for this database means the console.
pub fn is_meant(plan: &Plan, name: &str) -> bool {
    let mut databases = plan.settings.databases.iter();
    let configured = databases.any(|database| database.name.as_deref() == Some(name));
    admin::DATABASES.contains(&name) && !configured
}

impl Guest {
    pub fn new(startup: Startup, ahead: Vec<u8>, name: String, rights: Rights) -> Self {
        Self {
            startup,
            ahead,
            name,
            rights,
        }
    }
}

/// What a client may do here. Who is not trusted proves first who it is: whether a name is an
/// operator's is told to nobody else.
///
/// # Errors
/// It may do nothing, or proved nothing: what it is to hear.
pub async fn admit(worker: &Worker, door: Door<'_>, user: &str) -> Result<Rights, End> {
    let plan = worker.plan();
    // Where one database wants a proof, the console, which can stop them all, is not given away.
    let mut databases = plan.settings.databases.iter();
    let trusting = databases.all(|database| database.auth.method == Method::Trust);
    let trusted = trusting && door.link.ends().peer.is_here();
    if !trusted {
        prove_operator(worker, door, user).await?;
    }
    let rights = Rights::of(&plan.settings.admin, user, trusted);
    rights.ok_or_else(|| {
        let user = user.to_owned();
        Fault::NoConsole { user }.into()
    })
}

/// An operator's place among the clients; dropping it frees the place.
struct Presence {
    worker: Rc<Worker>,
    handle: Rc<Handle>,
    key: (i32, KeyHandle),
}

impl Drop for Presence {
    fn drop(&mut self) {
        let shared = self.worker.shared();
        let (pid, key) = self.key;
        shared.cancels.revoke(pid, key);
        shared.sessions.leave(self.handle.id);
    }
}

/// Serves an operator until he leaves.
///
/// `welcome` is what he is to be told before all else.
pub async fn serve(worker: &Rc<Worker>, link: Link, guest: Guest, mut welcome: Vec<u8>) -> End {
    let shared = worker.shared();
    let told = Rc::new(told(&guest.startup));
    let who = Who {
        database: guest.name.as_bytes().into(),
        user: guest.startup.user.as_slice().into(),
        ends: link.ends(),
        pool: None,
        told: Rc::clone(&told),
    };
    let handle = shared
        .sessions
        .enter(shared.clock.now(), &Rc::default(), who);
    let place = Place {
        worker: shared.worker,
        session: handle.id,
    };
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let minor = guest.startup.spoken();
    let (key, key_handle) = match shared.cancels.issue(pid, minor, place) {
        Ok(issued) => issued,
        Err(error) => {
            shared.sessions.leave(handle.id);
            return Fault::Randomness(error).into();
        }
    };
    let presence = Presence {
        worker: Rc::clone(worker),
        handle: Rc::clone(&handle),
        key: (pid, key_handle),
    };
    put_authentication_ok(&mut welcome);
    for (name, value) in told.iter() {
        put_parameter_status(&mut welcome, name, value);
    }
    put_key_data(&mut welcome, pid, &key);
    put_ready(&mut welcome, Status::Idle);
    let id = handle.id;
    let (name, user) = (guest.name.as_bytes(), &guest.startup.user);
    events::client_in(id, &handle.client(), name, user);
    if worker.plan().is_closed() {
        handle.signal(Signal::Drain);
    }
    let visitor = Visitor {
        user: String::from_utf8_lossy(&guest.startup.user).into_owned(),
        rights: guest.rights,
        handle,
    };
    let plan = Arc::clone(worker.plan());
    let end = Console::new(&*plan, visitor, link, guest.ahead, welcome)
        .run()
        .await;
    events::client_out(id, &end);
    drop(presence);
    end
}

/// The settings that drivers look at when they come in.
fn told(startup: &Startup) -> Parameters {
    let mut told = Parameters::default();
    let version = concat!(env!("CARGO_PKG_VERSION"), "/ambassador");
    let application = startup.parameters.get(b"application_name");
    let fixed: [(&[u8], &[u8]); 9] = [
        (b"server_version", version.as_bytes()),
        (b"server_encoding", b"UTF8"),
        (b"client_encoding", b"UTF8"),
        (b"application_name", application.unwrap_or_default()),
        (b"DateStyle", b"ISO, MDY"),
        (b"TimeZone", b"UTC"),
        (b"integer_datetimes", b"on"),
        (b"standard_conforming_strings", b"on"),
        (b"is_superuser", b"off"),
    ];
    for (name, value) in fixed {
        told.set(name, value);
    }
    told
}

impl House for Plan {
    async fn reports(&self, detail: Detail) -> Vec<Report> {
        let ask = |worker| {
            let (reply, answer) = oneshot::channel();
            self.tell(worker, Mail::Report(detail, reply));
            answer
        };
        let answers: Vec<_> = (0..self.workers()).map(ask).collect();
        let mut reports = Vec::with_capacity(answers.len());
        for answer in answers {
            reports.extend(answer.await);
        }
        reports
    }

    fn history(&self) -> History {
        Plan::history(self)
    }

    fn earlier(&self) -> (History, Duration) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.earlier(Instant::now())
    }

    fn settings(&self) -> &admin::Settings {
        &self.settings.admin
    }

    fn databases(&self) -> &[admin::Database] {
        &self.databases
    }

    fn fleets(&self) -> Vec<(String, Arc<Fleet>)> {
        Plan::fleets(self)
    }

    fn papers(&self) -> Vec<State> {
        self.rotation.states()
    }

    fn arriving(&self, logged_in: usize) -> usize {
        self.clients().saturating_sub(logged_in)
    }

    fn pauses(&self) -> Pauses {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.clone()
    }

    fn pause(&self, database: Option<&str>) -> bool {
        self.change_pauses(|pauses| pauses.add(database))
    }

    fn resume(&self, database: Option<&str>) -> bool {
        self.change_pauses(|pauses| pauses.remove(database))
    }

    fn renew(&self, database: Option<&str>) {
        let moment = Instant::now();
        self.tell_all(|| Mail::Renew {
            database: database.map(str::to_owned),
            moment,
        });
    }

    fn kill(&self, client: crate::session::SessionId) {
        self.tell(worker_of(client), Mail::Kill(client));
    }

    fn shut_down(&self) {
        self.asked_to_end.notify_one();
    }
}

impl Plan {
    fn change_pauses(&self, change: impl FnOnce(&mut Pauses) -> bool) -> bool {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut pauses);
        drop(pauses);
        // A pool that is made from now on sees it at once, the others when they read this.
        self.tell_all(|| Mail::Pauses);
        changed
    }
}

/// The databases as the console shows them.
pub fn databases(settings: &Settings) -> Vec<admin::Database> {
    settings.databases.iter().map(database).collect()
}

fn database(database: &Database) -> admin::Database {
    let backend = database.presumed_primary();
    let address = backend.map(|one| one.address.clone());
    let address = address.unwrap_or_else(Address::nowhere);
    let everyone = database.auth.everyone.as_ref();
    admin::Database {
        name: database.name.clone().unwrap_or_else(|| "*".to_owned()),
        port: address.port(),
        backend: address.to_string(),
        host: match address {
            Address::Tcp { host, .. } => host,
            Address::Unix { folder, .. } => folder,
        },
        role: backend.map_or("auto", |one| match one.role {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Auto => "auto",
        }),
        dbname: database.dbname.clone(),
        force_user: everyone.and_then(|user| user.upstream_user.clone()),
        users: database.auth.users.keys().cloned().collect(),
        pool_mode: database.session.pool_mode.name(),
        pool_size: database.pool.pool_size,
        min_pool_size: database.pool.min_pool_size,
        max_backend_connections: database.pool.max_backend_connections,
        server_lifetime: database.pool.server_lifetime,
    }
}
