//! Certificates, keys and authorities that are replaced while we run.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::Settings;
use crate::net::{
    tls::{Paper, Renewable, State},
    watch::Looked,
};
use crate::telemetry::events;

/// How often the files are looked after.
pub const APART: Duration = Duration::from_secs(1);
/// How often it is looked after what expires.
const LOOK: Duration = Duration::from_secs(60);

const DAY: i64 = 24 * 60 * 60;
/// How long ahead it is told that a certificate expires; once a day.
const AHEAD: i64 = 7 * DAY;

/// All papers that the configuration names.
pub struct Rotation {
    papers: Vec<Arc<dyn Renewable>>,
    reminders: Mutex<Reminders>,
}

impl Rotation {
    pub fn of(settings: &Settings) -> Self {
        let listen = settings.tls.iter();
        let listen = listen.map(|tls| Arc::clone(&tls.papers) as Arc<dyn Renewable>);
        let databases = settings.databases.iter();
        let upstream = databases.filter_map(|database| database.backend.tls.as_ref());
        let upstream = upstream.map(|tls| Arc::clone(tls.client.papers()) as Arc<dyn Renewable>);
        Self {
            papers: listen.chain(upstream).collect(),
            reminders: Mutex::default(),
        }
    }

    /// Takes up what has changed; `again`: reads all, whether it seems changed or not.
    ///
    /// Blocks for a few reads of small files, and only where something has changed.
    pub fn look(&self, again: bool) {
        let mut renewed = again;
        for papers in &self.papers {
            match papers.look(again) {
                Looked::Same => {}
                Looked::Renewed => {
                    renewed = true;
                    events::papers_renewed(papers.table());
                }
                Looked::Refused(why) => events::papers_refused(papers.table(), &why),
            }
        }
        let mut reminders = lock(&self.reminders);
        if renewed || reminders.are_due(Instant::now()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs().cast_signed());
            for paper in self.states().iter().flat_map(|state| &state.papers) {
                reminders.remind(paper, now);
            }
        }
    }

    /// How all of them are.
    pub fn states(&self) -> Vec<State> {
        self.papers.iter().map(|papers| papers.state()).collect()
    }
}

/// What has been told of certificates that expire.
#[derive(Default)]
struct Reminders {
    looked: Option<Instant>,
    /// By file and serial number, when it was told last, in seconds since 1970.
    told: HashMap<(PathBuf, String), i64>,
}

impl Reminders {
    fn are_due(&mut self, now: Instant) -> bool {
        let last = self.looked;
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= LOOK);
        if due {
            self.looked = Some(now);
        }
        due
    }

    fn remind(&mut self, paper: &Paper, now: i64) {
        let left = paper.not_after - now;
        if left > AHEAD {
            return;
        }
        let last = self.told.entry((paper.file.clone(), paper.serial.clone()));
        let last = last.or_insert(i64::MIN);
        if now.saturating_sub(*last) >= DAY {
            *last = now;
            events::certificate_expires(&paper.file, &paper.subject, left.div_euclid(DAY));
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
