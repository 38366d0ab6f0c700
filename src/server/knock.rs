//! A client's first packets, and TLS with it if it asks for that.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{TlsDemand, plan::Plan, worker::Worker};
use crate::handshake::{self, Arrival, Negotiation, TlsError, encrypt};
use crate::net::Link;
use crate::session::{End, Fault};
use crate::telemetry::events;

/// Who is at the door.
pub enum Knock {
    /// With what a login can be bound to.
    Arrived(Link, Arrival, Option<Vec<u8>>),
    /// It is told why it does not get in.
    Refused(Link, End),
    /// There is nobody left to be told anything.
    Gone,
}

/// Reads a client's first packets, inside of TLS if it wants that.
///
/// Cancel safe in that a dropped call loses the connection and nothing else.
pub async fn knock(worker: &Worker, mut link: Link, limit: &Limit) -> Knock {
    let tls = worker.plan().settings.tls.as_ref();
    let tls = tls.filter(|_| link.is_tcp());
    let mut negotiation = Negotiation::new(tls.is_some());
    let mut end_point = None;
    loop {
        let arrived = limit.within(negotiation.go_on(&mut link)).await;
        let (ahead, tls) = match (arrived, tls) {
            (Ok(Ok(Arrival::Tls(ahead))), Some(tls)) => (ahead, tls),
            (Ok(Ok(arrival)), _) => return Knock::Arrived(link, arrival, end_point),
            (Ok(Err(error)), _) if error.is_silent() => {
                events::client_refused(&link.ends().peer, &error);
                count_refused(worker, None, "protocol");
                link.farewell();
                return Knock::Gone;
            }
            (Ok(Err(error)), _) => return Knock::Refused(link, told(error)),
            (Err(end), _) => return Knock::Refused(link, end),
        };
        let peer = link.ends().peer;
        let offer = tls.papers.settings();
        let settings = Arc::clone(&offer.settings);
        // Boxed: most logins have no use for the room.
        let encrypting = Box::pin(encrypt(link, settings, ahead, negotiation.is_direct()));
        end_point.clone_from(&offer.end_point);
        link = match limit.within(encrypting).await {
            Ok(Ok(encrypted)) => encrypted,
            Ok(Err(error)) => {
                match is_news(&error) {
                    true => events::client_refused(&peer, &error),
                    false => events::client_lost(&peer, &error),
                }
                count_refused(worker, None, "tls");
                return Knock::Gone;
            }
            Err(end) => {
                events::client_refused(&peer, &end);
                count_refused(worker, None, "timeout");
                return Knock::Gone;
            }
        };
    }
}

/// A client that leaves in the middle, as probes of TLS do, is nothing to tell of.
fn is_news(error: &TlsError) -> bool {
    !matches!(
        error,
        TlsError::Handshake(crate::net::tls::HandshakeError::Lost(_))
    )
}

fn told(error: handshake::Error) -> End {
    match error {
        handshake::Error::Refused(why) => Fault::Startup(why).into(),
        handshake::Error::Broken(error) => End::Client(error),
        // Silent ones; nothing of them reaches the client.
        handshake::Error::DirectTls | handshake::Error::Tls(_) => End::Gone,
    }
}

/// Whether a client's connection is as safe as it has to be. On a Unix socket it is.
///
/// Asked of those who come to stay. A cancel shows a key that nobody can guess, and programs
/// older than libpq 17 send it without TLS, which Postgres takes too.
///
/// # Errors
/// It is not: what the client is to hear.
pub fn encrypted_enough(plan: &Plan, link: &Link) -> Result<(), Fault> {
    let Some(tls) = plan.settings.tls.as_ref().filter(|_| link.is_tcp()) else {
        return Ok(());
    };
    match (tls.demand, link.tls()) {
        (TlsDemand::Allow, _) | (TlsDemand::Require, Some(_)) => Ok(()),
        (TlsDemand::Require | TlsDemand::VerifyClient, None) => Err(Fault::TlsRequired),
        (TlsDemand::VerifyClient, Some(tls)) if tls.certificates().is_empty() => {
            Err(Fault::NoCertificate)
        }
        (TlsDemand::VerifyClient, Some(_)) => Ok(()),
    }
}

pub fn count_refused(worker: &Worker, database: Option<usize>, why: &'static str) {
    if let Some(book) = worker.doorbook() {
        book.refused(database, why);
    }
}

/// How long a login may take, all its parts together.
pub struct Limit {
    limit: Duration,
    end: Option<Instant>,
}

impl Limit {
    /// From now on; zero: for ever.
    pub fn new(limit: Duration) -> Self {
        let end = (!limit.is_zero()).then(|| Instant::now() + limit);
        Self { limit, end }
    }

    /// # Errors
    /// It is not over in time: what the client is to hear.
    pub async fn within<T>(&self, part: impl Future<Output = T>) -> Result<T, End> {
        match self.end {
            None => Ok(part.await),
            Some(end) => {
                let done = timeout_at(end, part).await;
                done.map_err(|_| Fault::LoginTimeout(self.limit).into())
            }
        }
    }
}
