//! Connections that one session has to itself from the first.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{Lease, Pool, Refusal, acquire::REST, pins::Beyond};
use crate::backend::{Opened, Opening, connect};
use crate::protocol::Parameters;
use crate::telemetry::events;

impl Pool {
    /// Dials a connection outside of the pool's size, with a start-up of its own. It is pinned
    /// from the start and never lent to another session. Where there are too many already it is
    /// waited for, as for one of the pool's.
    ///
    /// Also gives what the connection was told on its way in.
    ///
    /// # Errors
    /// [`Refusal::BackendFull`], [`Refusal::ServerFull`], [`Refusal::PinsFull`],
    /// [`Refusal::Unreachable`] or [`Refusal::Rejected`].
    pub async fn dial_own(
        self: &Rc<Self>,
        parameters: &Parameters,
        switches: Option<&[u8]>,
    ) -> Result<(Lease, Vec<u8>), Refusal> {
        self.until_resumed().await;
        let (begun, limit) = (Instant::now(), self.settings.acquire_timeout);
        let mut failures = 0;
        loop {
            let waited = match failures {
                0 => Duration::ZERO,
                _ => begun.elapsed(),
            };
            let result = self.dial_beyond(parameters, switches, waited).await;
            let passes = matches!(
                result,
                Err(Refusal::ServerFull { .. } | Refusal::PinsFull { .. })
            );
            if !passes || !limit.is_zero() && begun.elapsed() >= limit {
                return result;
            }
            tokio::time::sleep(REST.delay(failures, fastrand::f64())).await;
            failures = failures.saturating_add(1);
        }
    }

    async fn dial_beyond(
        self: &Rc<Self>,
        parameters: &Parameters,
        switches: Option<&[u8]>,
        waited: Duration,
    ) -> Result<(Lease, Vec<u8>), Refusal> {
        let limit = self.settings.max_pinned;
        let beyond = Beyond::take(&self.exchange, limit).ok_or_else(|| Refusal::PinsFull {
            waited,
            limit,
            pins: self.pins_of_backend(),
        })?;
        let limit = self.settings.max_backend_connections;
        let seat = self.exchange.take_seat(limit);
        let seat = seat.ok_or_else(|| Refusal::BackendFull {
            waited,
            limit,
            pins: self.pins_of_backend(),
        })?;
        let id = self.exchange.next_connection();
        let opening = Opening {
            parameters,
            switches,
            replication: None,
        };
        let begun = Instant::now();
        let result = connect(&self.target, &self.login, opening, id, seat).await;
        let Opened {
            mut connection,
            greeting,
        } = result.map_err(|error| {
            let key = &self.key;
            self.traffic.connects.add(error.word());
            events::connect_failed(
                &key.backend,
                &key.database,
                &key.user,
                &error,
                waited.is_zero(),
            );
            if error.is_of_number() {
                return Refusal::ServerFull {
                    waited,
                    error: Rc::new(error),
                    pins: self.pins_of_backend(),
                };
            }
            Refusal::alone(error)
        })?;
        self.traffic.connected(begun.elapsed());
        connection.memory.wearing = std::sync::Arc::new(parameters.clone());
        let badge = Rc::clone(&connection.badge);
        self.shelf.borrow_mut().beyond.push((badge, beyond));
        Ok((Lease::own(self, Box::new(connection)), greeting))
    }
}
