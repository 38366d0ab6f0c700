//! Keeps the pictures of the databases' names, by which texts are judged.

use std::{
    rc::Rc,
    sync::Weak,
    time::{Duration, Instant},
};

use tokio::time::{sleep_until, timeout};

use super::Reader;
use crate::backend::{AskError, ConnectError, Login, Target};
use crate::catalog::{Catalog, Outcome, ReadError, Refresh, Trust};
use crate::protocol::SqlState;
use crate::route::UserFunctions;
use crate::session::Snapshot;
use crate::telemetry::events;

/// How long a look may take, whatever the backend makes of its own time-outs.
const LONGEST: Duration = Duration::from_secs(60);

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Read(#[from] ReadError<AskError>),
    #[error("it took longer than {LONGEST:?}")]
    Late,
}

impl Failure {
    fn is_of_no_database(&self) -> bool {
        match self {
            Self::Connect(error) => error.code() == Some(SqlState::INVALID_CATALOG_NAME),
            Self::Read(_) | Self::Late => false,
        }
    }
}

/// What the file says of users' functions, in the words of the catalog.
pub fn trust(settings: UserFunctions) -> Trust {
    match settings {
        UserFunctions::TrustVolatility => Trust::Volatility,
        UserFunctions::Primary => Trust::Primary,
    }
}

/// Who looks at one database's catalog.
pub struct Keeper {
    pub database: String,
    pub target: Target,
    /// As whom, in the order in which they are tried; the one that worked goes on.
    pub logins: Vec<Rc<Login>>,
    pub trust: Trust,
}

impl Keeper {
    /// Looks whenever it is due, until nobody judges by the snapshot any more.
    pub async fn keep(self, snapshot: Weak<Snapshot>) {
        let mut catalog = Catalog::new(self.trust);
        let mut refresh = Refresh::default();
        let (mut login, mut has_failed) = (0, false);
        loop {
            if !rest(&snapshot, &mut refresh).await {
                return;
            }
            refresh.begin(Instant::now());
            let looked = self.look(&mut catalog, login).await;
            let outcome = match &looked {
                Ok(outcome) => *outcome,
                Err(_) => Outcome::Failed,
            };
            refresh.end(Instant::now(), outcome);
            match looked {
                Ok(_) => has_failed = false,
                Err(failure) => {
                    login += 1;
                    // What stays away is told once, and a name that a client made up never.
                    if !failure.is_of_no_database() && !std::mem::replace(&mut has_failed, true) {
                        events::catalog_not_read(&self.database, &failure);
                    }
                }
            }
            if outcome == Outcome::Changed
                && let (Some(snapshot), Some(known)) = (snapshot.upgrade(), catalog.known())
            {
                snapshot.put(known);
            }
        }
    }

    async fn look(&self, catalog: &mut Catalog, login: usize) -> Result<Outcome, Failure> {
        let at = login % self.logins.len().max(1);
        let Some(login) = self.logins.get(at) else {
            return Ok(Outcome::Same);
        };
        let look = async {
            let mut reader = Reader::open(&self.target, login).await?;
            Ok(catalog.look(&mut reader).await?)
        };
        timeout(LONGEST, look).await.map_err(|_| Failure::Late)?
    }
}

/// Waits until a look is due. False: nobody wants it any more.
async fn rest(snapshot: &Weak<Snapshot>, refresh: &mut Refresh) -> bool {
    loop {
        // Not held while waiting, or it would never be forgotten.
        let Some(held) = snapshot.upgrade() else {
            return false;
        };
        if let Some(occasion) = held.take_doubt() {
            refresh.note(occasion);
        }
        let bell = held.bell();
        drop(held);
        let now = Instant::now();
        match refresh.due(now) {
            Some(due) if due > now => {
                tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = bell.notified() => {}
                }
            }
            Some(_) | None => return true,
        }
    }
}
