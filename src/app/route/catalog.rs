//! `--connect`: the names of the database itself.

use std::{rc::Rc, sync::Arc, time::Duration};

use tokio::{runtime::Builder, time::timeout};

use crate::backend::{Login, Target};
use crate::catalog::Catalog;
use crate::config::{Config, Own, Route, own, own_of};
use crate::server::{Database, Reader, trust};
use crate::sql::Known;

/// How long the catalog may take to be read, whatever the backend makes of its own time-outs.
const LONGEST: Duration = Duration::from_secs(60);

/// Reads the catalog of a database once.
///
/// # Errors
/// What went wrong, and what to do.
pub fn read(config: &Config, database: &Database, asked: &Route) -> Result<Arc<Known>, String> {
    let own = login(config, database, asked);
    let backend = database.presumed_primary().ok_or("there is no backend")?;
    let target = Target {
        address: backend.address.clone(),
        settings: database.backend.clone(),
        dialect: Arc::default(),
    };
    let whom = format!(
        "{}, user {:?}, database {:?}",
        backend.address, own.user, own.database
    );
    let login = Login::new(own.user.into(), own.database.into(), own.credential);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot connect to anybody: {error}"))?;
    let look = async {
        let mut catalog = Catalog::new(trust(database.routing.user_functions));
        let mut reader = Reader::open(&target, &Rc::new(login))
            .await
            .map_err(|error| error.to_string())?;
        catalog
            .look(&mut reader)
            .await
            .map_err(|error| error.to_string())?;
        catalog.known().ok_or("it was not read".to_owned())
    };
    let late = || format!("it took longer than {LONGEST:?}");
    let looked = runtime.block_on(async { timeout(LONGEST, look).await });
    let known = looked.map_err(|_| late()).and_then(|known| known);
    known.map_err(|wrong| {
        format!(
            "the catalog cannot be read: {whom}: {wrong}; `pg-ambassador check --connect` tells what to change, or leave --connect out"
        )
    })
}

/// As whom, and where: the user's own login if one was named and is known.
fn login(config: &Config, database: &Database, asked: &Route) -> Own {
    let health = config.health.get(database.entry());
    let health = health.cloned().unwrap_or_default();
    let user = asked.user.as_deref();
    let login = user.and_then(|user| own_of(database, &health, user));
    let login = login.unwrap_or_else(|| own(database, &health));
    // Its own names are asked for, not those of where our own logins go otherwise.
    let name = database.dbname.as_ref().or(asked.database.as_ref());
    let name = name.or(database.name.as_ref());
    let name = name.or(database.default_dbname.as_ref());
    Own {
        database: name.cloned().unwrap_or(login.database),
        ..login
    }
}
