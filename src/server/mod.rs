//! Listens, lets clients in, and runs the workers.
//! Never reads a client's requests: once it is in, it is `session`'s.

mod accept;
mod client;
mod plan;
mod settings;
mod worker;

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use plan::Plan;
pub use settings::{Database, Listen, Settings, Shutdown};
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
    #[error("listening on a Unix socket is not supported yet")]
    Unix,
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

/// A running ambassador. Dropping it ends it at once.
pub struct Running {
    plan: Arc<Plan>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Binds every address and starts the workers; returns once clients can connect. The backends
/// may be down.
///
/// # Errors
/// See [`StartError`].
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let listeners = accept::bind(&settings.addresses)?;
    let (plan, inboxes) = Plan::new(settings);
    let plan = Arc::new(plan);
    let mut listeners = Some(listeners);
    let mut threads = Vec::new();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        // The first worker accepts for all.
        let listeners = listeners.take().unwrap_or_default();
        let plan = Arc::clone(&plan);
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || worker::run(index, plan, inbox, listeners))
            .map_err(StartError::Worker)?;
        threads.push(thread);
    }
    Ok(Running { plan, threads })
}

impl Running {
    /// Clients that are connected.
    pub fn clients(&self) -> usize {
        self.plan.clients()
    }

    /// No new client is let in (57P03); sessions leave as soon as they are idle (57P01).
    pub fn drain(&self) {
        self.plan.close_the_door();
        self.plan.tell_all(|| Mail::Drain);
    }

    /// Sends every client away (57P01), whatever it is doing.
    pub fn send_away(&self) {
        self.plan.tell_all(|| Mail::Terminate);
    }

    /// Waits until the last client has left; false: some were still there after `limit`.
    pub fn wait_until_empty(&self, limit: Duration) -> bool {
        let end = std::time::Instant::now() + limit;
        while self.clients() > 0 {
            if std::time::Instant::now() >= end {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.plan.tell_all(|| Mail::Stop);
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already.
            thread.join().ok();
        }
    }
}
