//! Doing what an operator says.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    House,
    command::Act,
    fault::Fault,
    report::{Detail, Report},
};
use crate::session::End;

/// How often PAUSE looks whether all is free.
const LOOK: Duration = Duration::from_millis(20);

/// Why a command that takes its time is given up.
pub enum Interruption {
    Fault(Fault),
    End(End),
}

impl From<Fault> for Interruption {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<End> for Interruption {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

/// The operator, while a command takes its time.
pub trait Attention {
    fn poll_interruption(&mut self, cx: &mut Context<'_>) -> Poll<Interruption>;
}

/// Does it, and waits until it is done.
///
/// # Errors
/// It makes no sense, or the operator does not wait for it.
pub async fn perform(
    house: &impl House,
    act: &Act,
    operator: &mut impl Attention,
) -> Result<(), Interruption> {
    match act {
        Act::Pause(database) => pause(house, database.as_deref(), operator).await,
        Act::Resume(database) => {
            let database = database.as_deref();
            known(house, database)?;
            if house.resume(database) {
                return Ok(());
            }
            let what = called(database);
            Err(Fault::NotPaused { what }.into())
        }
        Act::Reconnect(database) => {
            let database = database.as_deref();
            known(house, database)?;
            house.renew(database);
            Ok(())
        }
        Act::KillClient(id) => {
            let reports = house.reports(Detail::Clients).await;
            let mut clients = reports.iter().flat_map(|report| &report.clients);
            if !clients.any(|client| client.id == *id) {
                let id = id.to_string();
                return Err(Fault::NoSuchClient { id }.into());
            }
            house.kill(*id);
            Ok(())
        }
        Act::Shutdown => {
            house.shut_down();
            Ok(())
        }
    }
}

/// Comes back when no connection is open any more. Who does not wait for it takes it back.
async fn pause(
    house: &impl House,
    database: Option<&str>,
    operator: &mut impl Attention,
) -> Result<(), Interruption> {
    known(house, database)?;
    if !house.pause(database) {
        let what = called(database);
        return Err(Fault::Paused { what }.into());
    }
    loop {
        if house.pauses().contain(database)
            && !is_quiet(&house.reports(Detail::Pools).await, database)
        {
            let interruption = poll_fn(|cx| operator.poll_interruption(cx));
            if let Ok(interruption) = tokio::time::timeout(LOOK, interruption).await {
                house.resume(database);
                return Err(interruption);
            }
        } else {
            return Ok(());
        }
    }
}

/// Whether no connection of the database is open.
fn is_quiet(reports: &[Report], database: Option<&str>) -> bool {
    let pools = reports.iter().flat_map(|report| &report.pools);
    let mut pools = pools.filter(|pool| database.is_none_or(|database| database == pool.name));
    pools.all(|pool| pool.counts.open + pool.counts.pinned == 0)
}

/// A database is known by its entry, or else passes through `"*"`.
fn known(house: &impl House, database: Option<&str>) -> Result<(), Fault> {
    let Some(database) = database else {
        return Ok(());
    };
    let mut databases = house.databases().iter();
    if databases.any(|one| one.name == database || one.name == "*") {
        return Ok(());
    }
    let database = database.to_owned();
    Err(Fault::NoSuchDatabase { database })
}

fn called(database: Option<&str>) -> String {
    match database {
        Some(database) => format!("database \"{database}\""),
        None => "everything".to_owned(),
    }
}
