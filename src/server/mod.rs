//! Listens, lets clients in, and runs the workers.
//! Never reads a client's requests: once it is in, it is `session`'s.

mod accept;
mod catalogs;
mod client;
mod console;
mod knock;
mod login;
mod numbers;
mod plan;
mod question;
mod reader;
mod rotation;
mod settings;
mod verdicts;
mod verifiers;
mod watcher;
mod worker;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread};

use tokio::sync::oneshot;

use crate::admin::{Census, History};
use crate::backend::Fleet;
use crate::net::tls::State;
use accept::Listener;
pub use catalogs::trust;
use plan::Plan;
pub use reader::Reader;
pub use settings::{
    Database, Health, Listen, OwnLogin, Rhythm, Settings, Shutdown, Tls, TlsDemand,
};
use worker::Mail;

/// Why the ambassador does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen or listen.addresses, or end the program that has it"
    )]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "cannot listen on {path}: {source}; its folder has to be there, and nobody else's server on it"
    )]
    ListenUnix { path: PathBuf, source: io::Error },
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

/// A running ambassador, for whoever wants it to end.
#[derive(Clone)]
pub struct Door(Arc<Plan>);

impl Door {
    /// Clients that are connected.
    pub fn clients(&self) -> usize {
        self.0.clients()
    }

    /// The end is near: everything still works, but no new work should be sent here.
    pub fn announce_end(&self) {
        self.0.announce_end();
    }

    /// Whether the end has been announced.
    pub fn is_leaving(&self) -> bool {
        self.0.is_leaving()
    }

    /// No new client is let in (57P03); sessions leave as soon as they are idle (57P01).
    pub fn drain(&self) {
        self.0.close();
        self.0.tell_all(|| Mail::Drain);
    }

    /// What has happened so far.
    pub fn history(&self) -> History {
        self.0.history()
    }

    /// How much every worker has at the moment.
    pub async fn census(&self) -> Vec<Census> {
        self.0.census().await
    }

    /// The backends of the databases that have several, by the names of their entries.
    pub fn fleets(&self) -> Vec<(String, Arc<Fleet>)> {
        self.0.fleets()
    }

    /// Reads all certificates, keys and authorities anew.
    pub fn reread(&self) {
        self.0.rotation.look(true);
    }

    /// The certificates of both sides, and how their files are.
    pub fn papers(&self) -> Vec<State> {
        self.0.rotation.states()
    }

    /// Waits until an operator asks for the end.
    pub async fn asked_to_end(&self) {
        self.0.asked_to_end.notified().await;
    }

    /// Sends every client away (57P01), whatever it is doing.
    pub fn send_away(&self) {
        self.0.tell_all(|| Mail::Terminate);
    }
}

/// Binds every address and serves, the first worker on this very thread, until `until` is over:
/// a process with one worker has one thread, which makes its system calls and its memory
/// cheaper. `until` runs beside it once clients can connect. The backends may be down.
///
/// # Errors
/// See [`StartError`].
pub fn run<T>(settings: Settings, until: impl AsyncFnOnce(Door) -> T) -> Result<T, StartError> {
    let listeners = accept::bind(&settings.addresses)?;
    serve(settings, listeners, until)
}

fn serve<T>(
    settings: Settings,
    listeners: Vec<Listener>,
    until: impl AsyncFnOnce(Door) -> T,
) -> Result<T, StartError> {
    let (plan, inboxes) = Plan::new(settings).map_err(StartError::Worker)?;
    let plan = Arc::new(plan);
    let mut inboxes = inboxes.into_iter().enumerate();
    let first = inboxes.next();
    let mut threads = Vec::new();
    for (index, inbox) in inboxes {
        let plan = Arc::clone(&plan);
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || worker::run(index, plan, inbox, Vec::new(), async || ()))
            .map_err(StartError::Worker)?;
        threads.push(thread);
    }
    let door = Door(Arc::clone(&plan));
    let result = match first {
        Some((index, inbox)) => {
            let until = async || until(door).await;
            worker::run(index, Arc::clone(&plan), inbox, listeners, until)
        }
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    plan.tell_all(|| Mail::Stop);
    for thread in threads {
        // A worker that panicked has said so already.
        thread.join().ok();
    }
    result.map_err(StartError::Worker)
}

/// An ambassador that serves beside its caller. Dropping it ends it at once.
pub struct Beside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// As [`run`], on threads of its own; returns once clients can connect.
///
/// # Errors
/// See [`StartError`].
pub fn run_beside(settings: Settings) -> Result<Beside, StartError> {
    let listeners = accept::bind(&settings.addresses)?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("worker-0".to_owned())
        .spawn(move || {
            // Told to stop, or its owner is gone: both are the end.
            let until = async |door: Door| {
                tokio::select! {
                    stopped = stopped => stopped.unwrap_or_default(),
                    () = door.asked_to_end() => {}
                }
            };
            if let Err(error) = serve(settings, listeners, until) {
                tracing::error!("{error}");
            }
        })
        .map_err(StartError::Worker)?;
    Ok(Beside {
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so already.
            thread.join().ok();
        }
    }
}
