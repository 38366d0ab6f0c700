//! What is known of a database's names, by all workers alike.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::catalog::Occasion;
use crate::sql::Known;

/// The catalog of a database, as all workers know it.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Changes whenever there is another one; 0: there has been none.
    epoch: AtomicU64,
    known: Mutex<Option<Arc<Known>>>,
    /// Why it may be out of date, as bits.
    doubts: AtomicU8,
    /// Rung with every new doubt.
    bell: Arc<Notify>,
}

const UNKNOWN: u8 = 1;
const DDL: u8 = 2;

impl Snapshot {
    /// There is a newer one.
    pub fn put(&self, known: Arc<Known>) {
        let mut held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(known);
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// It may be out of date.
    #[cold]
    pub(super) fn doubt(&self, why: Occasion) {
        let why = match why {
            Occasion::Unknown => UNKNOWN,
            Occasion::Ddl | Occasion::Reload => DDL,
        };
        if self.doubts.fetch_or(why, Ordering::Relaxed) & why == 0 {
            self.bell.notify_one();
        }
    }

    /// Why it was doubted since this was last asked.
    pub fn take_doubt(&self) -> Option<Occasion> {
        match self.doubts.swap(0, Ordering::Relaxed) {
            0 => None,
            UNKNOWN => Some(Occasion::Unknown),
            _ => Some(Occasion::Ddl),
        }
    }

    /// Rings with every new doubt.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// The number of the one that counts now.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The one that counts now.
    pub(super) fn take(&self) -> (u64, Option<Arc<Known>>) {
        let held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (self.epoch.load(Ordering::Acquire), held.clone())
    }
}
