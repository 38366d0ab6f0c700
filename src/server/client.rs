//! A client's life, from its first byte to its last.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use tokio::sync::oneshot;

use super::{
    Database, console,
    knock::{Knock, Limit, count_refused, encrypted_enough, knock},
    login::{Door, elsewhere, look_up},
    plan::{ClientSeat, Plan},
    worker::{Caller, Mail, Worker},
};
use crate::auth::{Credential, User};
use crate::handshake::Arrival;
use crate::net::Link;
use crate::protocol::SqlState;
use crate::protocol::backend::put_authentication_ok;
use crate::protocol::notice::Severity;
use crate::protocol::startup::{Replication as Kind, Startup};
use crate::session::{
    End, Fault, Handle, Replication, Session, Signal, Wishes, replicate, welcome,
};
use crate::telemetry::events;

/// A client that is in.
enum Guest {
    Session(Box<Session>),
    Replication(Box<Replication>),
}

impl Guest {
    fn handle(&self) -> &Handle {
        match self {
            Self::Session(session) => session.handle(),
            Self::Replication(replication) => replication.handle(),
        }
    }

    fn signal(&self, signal: Signal) {
        match self {
            Self::Session(session) => session.signal(signal),
            Self::Replication(replication) => replication.signal(signal),
        }
    }
}

/// Serves one client until it leaves.
pub async fn serve(worker: Rc<Worker>, link: Link, mut seat: ClientSeat) {
    // Boxed: a login holds much more than a session does.
    let login = Box::pin(login(&worker, link, &mut seat));
    let Some(guest) = login.await else {
        return;
    };
    let id = guest.handle().id;
    let end = match guest {
        Guest::Session(mut session) => {
            let end = poll_fn(|cx| guarded(&worker, || session.poll(cx))).await;
            Box::pin(session.finish(end)).await
        }
        Guest::Replication(mut replication) => {
            let end = poll_fn(|cx| guarded(&worker, || replication.poll(cx))).await;
            Box::pin(replication.finish(end)).await
        }
    };
    events::client_out(id, &end);
    drop(seat);
}

/// A panic ends the session that has it, and no other.
fn guarded(worker: &Worker, poll: impl FnOnce() -> Poll<End>) -> Poll<End> {
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| {
        events::session_panicked();
        if let Some(book) = worker.doorbook() {
            book.panics.add(1);
        }
        Poll::Ready(Fault::Panic.into())
    })
}

/// `None`: the client did not come to stay, or was not let in and knows why.
async fn login(worker: &Rc<Worker>, link: Link, seat: &mut ClientSeat) -> Option<Guest> {
    let limit = Limit::new(worker.plan().settings.login_timeout);
    let mut preface = Vec::new();
    let (mut link, arrival, end_point) = match knock(worker, link, &limit).await {
        Knock::Arrived(link, arrival, end_point) => (link, arrival, end_point),
        Knock::Refused(link, end) => {
            refuse(worker, None, link, preface, end).await;
            return None;
        }
        Knock::Gone => return None,
    };
    let asked = Cell::new(None);
    let visitor = Visitor {
        arrival,
        end_point,
        asked_for: &asked,
    };
    let entering = enter(worker, &mut link, visitor, seat, &mut preface);
    let entered = limit.within(entering).await.unwrap_or_else(Err);
    match entered {
        Ok(Visit::Stay(entry)) => finish_login(worker, link, *entry, preface).await,
        Ok(Visit::Console(guest)) => {
            // Boxed: the future of every login has room for it.
            Box::pin(console::serve(worker, link, guest, preface)).await;
            None
        }
        Ok(Visit::Cancel { pid, key }) => {
            cancel(worker.plan(), pid, &key).await;
            link.farewell();
            None
        }
        Ok(Visit::Nothing) => None,
        Err(end) => {
            refuse(worker, asked.get(), link, preface, end).await;
            None
        }
    }
}

/// What somebody comes for.
enum Visit {
    Stay(Box<Entry>),
    Console(console::Guest),
    Cancel { pid: i32, key: Vec<u8> },
    Nothing,
}

/// Somebody who may come in, and where to.
struct Entry {
    startup: Startup,
    ahead: Vec<u8>,
    database: usize,
    name: Vec<u8>,
    user: User,
    /// What logs in upstream.
    credential: Credential,
}

/// Somebody who has shown what it comes for.
struct Visitor<'a> {
    arrival: Arrival,
    /// What its login can be bound to.
    end_point: Option<Vec<u8>>,
    /// Which entry of the configuration it asks for, as soon as that is known.
    asked_for: &'a Cell<Option<usize>>,
}

/// `preface` is what the client is to be told before all else.
async fn enter(
    worker: &Rc<Worker>,
    link: &mut Link,
    visitor: Visitor<'_>,
    seat: &mut ClientSeat,
    preface: &mut Vec<u8>,
) -> Result<Visit, End> {
    let Visitor {
        arrival,
        end_point,
        asked_for,
    } = visitor;
    let (startup, mut ahead) = match arrival {
        Arrival::Startup(startup, ahead) => (startup, ahead),
        Arrival::Cancel { pid, key } => return Ok(Visit::Cancel { pid, key }),
        Arrival::Tls(_) | Arrival::Nothing => return Ok(Visit::Nothing),
    };
    let plan = worker.plan();
    if plan.is_closed() {
        return Err(Fault::Draining.into());
    }
    startup.negotiate(preface);
    encrypted_enough(plan, link)?;
    let user = String::from_utf8_lossy(&startup.user).into_owned();
    let asked = startup
        .database
        .clone()
        .unwrap_or_else(|| default_name(plan, &startup));
    let name = String::from_utf8_lossy(&asked).into_owned();
    // Whom the house is too full for may still see why.
    if startup.replication.is_none() && console::is_meant(plan, &name) {
        let door = Door {
            link,
            ahead: &mut ahead,
            preface,
            end_point,
        };
        // Boxed: the future of every login has room for it.
        let rights = Box::pin(console::admit(worker, door, &user)).await?;
        let guest = console::Guest::new(startup, ahead, name, rights);
        return Ok(Visit::Console(guest));
    }
    admit(plan, seat)?;
    let at = find(plan, &name, startup.replication.as_ref());
    asked_for.set(at);
    let found = at.and_then(|at| plan.settings.databases.get(at));
    // Without any database, nobody is let in anywhere.
    let Some(database) = found.or_else(|| elsewhere(plan, &user)) else {
        return Err(Fault::NoSuchDatabase { database: name }.into());
    };
    let known = look_up(worker, database, &user).await?;
    let door = Door {
        link,
        ahead: &mut ahead,
        preface,
        end_point,
    };
    let proved = door.prove(&database.auth, &plan.seed, &user, known).await;
    let (entry, proof) = proved.inspect_err(|_| worker.verifiers().doubt(database, &user))?;
    let Some(at) = at else {
        return Err(Fault::NoSuchDatabase { database: name }.into());
    };
    Ok(Visit::Stay(Box::new(Entry {
        startup,
        ahead,
        database: at,
        name: asked,
        credential: entry.upstream(&user, proof),
        user: entry,
    })))
}

/// The database of a client that names none.
fn default_name(plan: &Plan, startup: &Startup) -> Vec<u8> {
    let mut default = plan.settings.databases.iter();
    let default = default.find_map(|one| one.default_dbname.clone());
    default.map_or_else(|| startup.user.clone(), String::into_bytes)
}

/// Which of the configured databases is meant. Physical replication is of a whole server, and its
/// programs ask for a database `replication`: where there is only one database, it tells the server.
fn find(plan: &Plan, name: &str, replication: Option<&Kind>) -> Option<usize> {
    let databases = &plan.settings.databases;
    let only = match (replication, databases.as_slice()) {
        (Some(Kind::Physical), [only]) => Some(only),
        _ => None,
    };
    let database: &Database = plan.database(name).or(only)?;
    databases.iter().position(|one| std::ptr::eq(one, database))
}

fn admit(plan: &Plan, seat: &mut ClientSeat) -> Result<(), Fault> {
    let limit = plan.settings.max_clients;
    if plan.admit(seat) {
        Ok(())
    } else {
        Err(Fault::TooManyClients { limit })
    }
}

async fn finish_login(
    worker: &Rc<Worker>,
    link: Link,
    entry: Entry,
    preface: Vec<u8>,
) -> Option<Guest> {
    let Entry {
        mut startup,
        ahead,
        database,
        name,
        user,
        credential,
    } = entry;
    let at = database;
    let database = worker.plan().settings.databases.get(at)?;
    for (key, value) in &database.startup {
        startup.default_to(key.as_bytes(), value.as_bytes());
    }
    let wishes = Wishes {
        names: (name.clone().into(), startup.user.clone().into()),
        minor: startup.spoken(),
        parameters: startup.parameters,
        switches: startup.switches,
        preface,
        ahead,
    };
    let shared = worker.shared();
    let who = Caller {
        name: &name,
        user: &startup.user,
        is: &user,
        credential,
    };
    let entered = if let Some(kind) = startup.replication {
        let upstream = worker.replicate(database, who, kind);
        let entering = Box::pin(replicate(shared, upstream, wishes, link));
        entering.await.map(Guest::Replication)
    } else {
        let lobby = worker.lobby(database, who);
        let entering = welcome(shared, &lobby, wishes, link);
        let entered = entering.await.map(Guest::Session);
        if entered.is_ok() {
            lobby.count_login();
        }
        entered
    };
    match entered {
        Ok(guest) => {
            let handle = guest.handle();
            events::client_in(handle.id, &handle.client(), &name, &startup.user);
            // Told to all while this one was still at the door.
            if worker.plan().is_closed() {
                guest.signal(Signal::Drain);
            }
            Some(guest)
        }
        Err((link, preface, end)) => {
            refuse(worker, Some(at), link, preface, end).await;
            None
        }
    }
}

/// Tells a client why it does not get in, after what it is to be told before all else.
async fn refuse(
    worker: &Worker,
    database: Option<usize>,
    mut link: Link,
    mut reply: Vec<u8>,
    end: End,
) {
    let End::Fault(fault) = &end else {
        events::client_lost(&link.ends().peer, &end);
        return;
    };
    if !fault.is_told() {
        events::client_refused(&link.ends().peer, fault);
    }
    count_refused(worker, database, word(fault.sqlstate()));
    if fault.is_behind_admission() {
        put_authentication_ok(&mut reply);
    }
    fault.put(&mut reply, Severity::Fatal);
    poll_fn(|cx| {
        link.send(cx, &reply).ok();
        Poll::Ready(())
    })
    .await;
    link.farewell();
}

/// Why a client is refused, in one word for the counters.
fn word(code: SqlState) -> &'static str {
    if code == SqlState::PROTOCOL_VIOLATION {
        return "protocol";
    }
    match code.class() {
        b"28" => "denied",
        b"3D" => "no_database",
        b"53" => "no_room",
        b"57" => "unavailable",
        b"08" => "timeout",
        b"0A" => "unsupported",
        _ => "error",
    }
}

/// No answer, whatever comes of it. Ends when the cancel can hit nothing any more that is sent
/// from then on: who waits for our end relies on that, as on the server's.
async fn cancel(plan: &Arc<Plan>, pid: i32, key: &[u8]) {
    if let Some(place) = plan.cancels.find(pid, key) {
        let (pending, over) = oneshot::channel();
        plan.tell(place.worker, Mail::Cancel(place.session, pending));
        // Nothing is ever sent: it is dropped when it is over.
        over.await.ok();
    }
}
