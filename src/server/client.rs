//! A client's life, from its first byte to its last.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    Database, console,
    plan::{ClientSeat, Plan},
    worker::{Mail, Worker},
};
use crate::handshake::{self, Arrival, negotiate};
use crate::net::Link;
use crate::protocol::SqlState;
use crate::protocol::backend::{put_authentication_ok, put_negotiate_version};
use crate::protocol::notice::Severity;
use crate::protocol::startup::{Refused, Startup};
use crate::session::{End, Fault, Session, Signal, Wishes, welcome};
use crate::telemetry::events;

/// Serves one client until it leaves.
pub async fn serve(worker: Rc<Worker>, link: Link, mut seat: ClientSeat) {
    // Boxed: a login holds much more than a session does.
    let login = Box::pin(login(&worker, link, &mut seat));
    let Some(mut session) = login.await else {
        return;
    };
    let end = poll_fn(|cx| poll(&mut session, cx)).await;
    if let (End::Fault(Fault::Panic), Some(book)) = (&end, worker.doorbook()) {
        book.panics.add(1);
    }
    let id = session.handle().id;
    let end = Box::pin(session.finish(end)).await;
    events::client_out(id, &end);
    drop(seat);
}

/// A panic ends the session that has it, and no other.
fn poll(session: &mut Session, cx: &mut Context<'_>) -> Poll<End> {
    catch_unwind(AssertUnwindSafe(|| session.poll(cx))).unwrap_or_else(|_| {
        events::session_panicked();
        Poll::Ready(Fault::Panic.into())
    })
}

/// `None`: the client did not come to stay, or was not let in and knows why.
async fn login(worker: &Rc<Worker>, mut link: Link, seat: &mut ClientSeat) -> Option<Box<Session>> {
    let limit = worker.plan().settings.login_timeout;
    let asked = Cell::new(None);
    let entering = enter(worker, &mut link, seat, &asked);
    let entered = if limit.is_zero() {
        entering.await
    } else {
        match timeout(limit, entering).await {
            Ok(entered) => entered,
            Err(_) => Err(Fault::LoginTimeout(limit).into()),
        }
    };
    match entered {
        Ok(Visit::Stay(entry)) => finish_login(worker, link, entry).await,
        Ok(Visit::Console(guest)) => {
            // Boxed: the future of every login has room for it.
            Box::pin(console::serve(worker, link, guest)).await;
            None
        }
        Ok(Visit::Cancel { pid, key }) => {
            cancel(worker.plan(), pid, &key).await;
            None
        }
        Ok(Visit::Nothing) => None,
        Err(end) => {
            refuse(worker, asked.get(), link, end).await;
            None
        }
    }
}

/// What somebody comes for.
enum Visit {
    Stay(Entry),
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
    user: crate::auth::User,
}

/// Also tells which entry of the configuration was `asked` for, as soon as that is known.
async fn enter(
    worker: &Rc<Worker>,
    link: &mut Link,
    seat: &mut ClientSeat,
    asked_for: &Cell<Option<usize>>,
) -> Result<Visit, End> {
    let arrived = match negotiate(link).await {
        // As the server: a cancel has no answer, not even a wrong one.
        Err(handshake::Error::Refused(Refused::CancelLength)) => Arrival::Nothing,
        arrived => arrived.map_err(refused)?,
    };
    let (startup, ahead) = match arrived {
        Arrival::Startup(startup, ahead) => (startup, ahead),
        Arrival::Cancel { pid, key } => return Ok(Visit::Cancel { pid, key }),
        Arrival::Nothing => return Ok(Visit::Nothing),
    };
    let plan = worker.plan();
    if plan.is_closed() {
        return Err(Fault::Draining.into());
    }
    if startup.replication {
        return Err(Fault::Replication.into());
    }
    let user = String::from_utf8_lossy(&startup.user).into_owned();
    let asked = startup.database.clone().unwrap_or_else(|| {
        let mut default = plan.settings.databases.iter();
        let default = default.find_map(|one| one.default_dbname.clone());
        default.map_or_else(|| startup.user.clone(), String::into_bytes)
    });
    let name = String::from_utf8_lossy(&asked);
    // Whom the house is too full for may still see why.
    if console::is_meant(plan, &name) {
        let name = name.into_owned();
        let guest = console::enter(plan, link, startup, ahead, name)?;
        return Ok(Visit::Console(guest));
    }
    admit(plan, seat)?;
    let Some(at) = find(plan, &name) else {
        let database = name.into_owned();
        return Err(Fault::NoSuchDatabase { database }.into());
    };
    asked_for.set(Some(at));
    let found = plan.settings.databases.get(at);
    let Some(entry) = found.and_then(|database| database.auth.find(&user)) else {
        return Err(Fault::NoSuchUser { user }.into());
    };
    Ok(Visit::Stay(Entry {
        startup,
        ahead,
        database: at,
        name: asked,
        user: entry,
    }))
}

fn find(plan: &Plan, name: &str) -> Option<usize> {
    let database: &Database = plan.database(name)?;
    let mut databases = plan.settings.databases.iter();
    databases.position(|one| std::ptr::eq(one, database))
}

fn admit(plan: &Plan, seat: &mut ClientSeat) -> Result<(), Fault> {
    let limit = plan.settings.max_clients;
    if plan.admit(seat) {
        Ok(())
    } else {
        Err(Fault::TooManyClients { limit })
    }
}

async fn finish_login(worker: &Rc<Worker>, link: Link, entry: Entry) -> Option<Box<Session>> {
    let Entry {
        mut startup,
        ahead,
        database,
        name,
        user,
    } = entry;
    let at = database;
    let database = worker.plan().settings.databases.get(at)?;
    for (key, value) in &database.startup {
        if startup.parameters.get(key.as_bytes()).is_none() {
            startup.parameters.set(key.as_bytes(), value.as_bytes());
        }
    }
    let preface = preface(&startup);
    let lobby = worker.lobby(database, &name, &startup.user, &user);
    let wishes = Wishes {
        names: (name.clone().into(), startup.user.clone().into()),
        parameters: startup.parameters,
        switches: startup.switches,
        preface,
        ahead,
    };
    match welcome(worker.shared(), &lobby, wishes, link).await {
        Ok(session) => {
            lobby.pool().traffic().logins.add(1);
            let handle = session.handle();
            events::client_in(handle.id, &handle.client(), &name, &startup.user);
            // Told to all while this one was still at the door.
            if worker.plan().is_closed() {
                session.signal(Signal::Drain);
            }
            Some(session)
        }
        Err((link, end)) => {
            refuse(worker, Some(at), link, end).await;
            None
        }
    }
}

/// What is to be told before all else.
pub(super) fn preface(startup: &Startup) -> Vec<u8> {
    let mut preface = Vec::new();
    if startup.minor > 0 || !startup.extensions.is_empty() {
        put_negotiate_version(&mut preface, 0, &startup.extensions);
    }
    preface
}

fn refused(error: handshake::Error) -> End {
    match error {
        handshake::Error::Refused(why) => Fault::Startup(why).into(),
        handshake::Error::Broken(error) => End::Client(error),
        order @ (handshake::Error::Twice(_)
        | handshake::Error::Injected(_)
        | handshake::Error::DirectTls) => Fault::StartupOrder(order).into(),
    }
}

/// Tells a client why it does not get in.
async fn refuse(worker: &Worker, database: Option<usize>, mut link: Link, end: End) {
    let client = link.ends().peer;
    let End::Fault(fault) = &end else {
        events::client_lost(&client, &end);
        return;
    };
    events::client_refused(&client, fault, fault.unsaid());
    if let Some(book) = worker.doorbook() {
        book.refused(database, word(fault.sqlstate()));
    }
    let mut reply = Vec::new();
    if fault.is_behind_admission() {
        put_authentication_ok(&mut reply);
    }
    fault.put(&mut reply, Severity::Fatal);
    poll_fn(|cx| {
        link.send(cx, &reply).ok();
        Poll::Ready(())
    })
    .await;
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
