//! A database of the test's own and an ambassador before it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    support::{self, Served},
    wire::Wire,
};

/// Longer than anything that is to happen takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub database: String,
    pub served: Served,
}

impl Stage {
    /// Further arguments are the ambassador's.
    pub fn new(args: &[&str]) -> Self {
        let cluster = support::cluster();
        Self {
            database: support::database(cluster),
            served: Served::ambassador(cluster, args),
        }
    }

    pub fn with_pool_of(size: usize) -> Self {
        Self::new(&["--workers", "1", "--pool-size", &size.to_string()])
    }

    /// A pool of this size, one worker, and keys of the database's table such as
    /// `acquire_timeout=1s`.
    pub fn with(size: usize, keys: &[&str]) -> Self {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("databases.\"*\".{key}"))
            .collect();
        let size = size.to_string();
        let mut args = vec!["--workers", "1", "--pool-size", &size];
        for key in &keys {
            args.extend(["--set", key]);
        }
        Self::new(&args)
    }

    /// With the admin's HTTP on a port of its own, see [`Stage::admin`].
    pub fn with_admin(args: &[&str]) -> Self {
        Self::new(&[&["--admin", "127.0.0.1:0"], args].concat())
    }

    /// Where the admin's HTTP listens, as the log tells it.
    pub fn admin(&self) -> u16 {
        admin_port(&self.served)
    }

    pub fn port(&self) -> u16 {
        self.served.port()
    }

    /// A client of the ambassador.
    pub fn client(&self) -> Wire {
        self.client_with(&[])
    }

    /// A client of the ambassador that asks for these settings at its start-up.
    pub fn client_with(&self, settings: &[(&str, &str)]) -> Wire {
        Wire::login(self.port(), &self.database, settings).unwrap()
    }

    /// A client of Postgres itself.
    pub fn direct(&self) -> Wire {
        self.direct_with(&[])
    }

    pub fn direct_with(&self, settings: &[(&str, &str)]) -> Wire {
        Wire::login(support::cluster().port(), &self.database, settings).unwrap()
    }

    /// Through psql, past the ambassador.
    pub fn directly(&self, sql: &str) -> String {
        support::psql(support::cluster().port(), &self.database, sql)
    }

    /// How many connections Postgres has to the test's database.
    pub fn connections(&self) -> usize {
        connections(&mut observer(), &self.database)
    }

    /// Does the same directly and through the ambassador, and finds no difference. Each runs from
    /// a fresh connection; gives what was seen.
    #[track_caller]
    pub fn same<T: PartialEq + std::fmt::Debug>(&self, mut act: impl FnMut(&mut Wire) -> T) -> T {
        let expected = act(&mut self.direct());
        let seen = act(&mut self.client());
        alike(&seen, &expected);
        seen
    }
}

/// Where an ambassador's HTTP listens, as its log tells it.
pub fn admin_port(served: &Served) -> u16 {
    let told = "metrics and probes on 127.0.0.1:";
    let port = || {
        let log = served.log();
        let (_, rest) = log.split_once(told)?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        rest.get(..digits)?.parse().ok()
    };
    eventually("the admin's HTTP listens", || port().is_some());
    port().unwrap()
}

/// What was seen through the ambassador is what was seen directly; else shows where they part.
#[track_caller]
pub fn alike<T: PartialEq + std::fmt::Debug>(seen: &T, direct: &T) {
    if seen == direct {
        return;
    }
    let (seen, direct) = (format!("{seen:?}"), format!("{direct:?}"));
    let parts = seen.bytes().zip(direct.bytes()).take_while(|(a, b)| a == b);
    let from = parts.count().saturating_sub(300);
    let around = |text: &str| text.chars().skip(from).take(600).collect::<String>();
    panic!(
        "through the ambassador: … {}\n\ndirectly: … {}",
        around(&seen),
        around(&direct)
    );
}

/// Somebody who sees all connections and is not in any test's database.
pub fn observer() -> Wire {
    Wire::login(support::cluster().port(), "postgres", &[]).unwrap()
}

pub fn connections(observer: &mut Wire, database: &str) -> usize {
    let count = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    let count = observer.value(&format!("{count} and datname = '{database}'"));
    count.parse().unwrap()
}

/// The same without the one that listens for all, which ends a while after the last who does.
pub fn shared_connections(observer: &mut Wire, database: &str) -> usize {
    let count = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    let shared = "application_name <> 'ambassador listen'";
    let count = observer.value(&format!("{count} and {shared} and datname = '{database}'"));
    count.parse().unwrap()
}

/// Counts a database's connections until it is asked for what it saw.
pub struct Census {
    done: Arc<AtomicBool>,
    counting: JoinHandle<(usize, HashSet<usize>)>,
}

impl Census {
    pub fn of(database: &str) -> Self {
        let (done, database) = (Arc::new(AtomicBool::new(false)), database.to_owned());
        let until = Arc::clone(&done);
        let mut observer = observer();
        let counting = thread::spawn(move || {
            let (mut looks, mut seen) = (0, HashSet::new());
            while !until.load(Ordering::Relaxed) {
                seen.insert(connections(&mut observer, &database));
                looks += 1;
                thread::sleep(Duration::from_millis(10));
            }
            (looks, seen)
        });
        Self { done, counting }
    }

    /// The most connections that were ever seen at once.
    pub fn most(self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        let (looks, seen) = self.counting.join().unwrap();
        assert!(looks > 3, "only {looks} looks");
        seen.into_iter().max().unwrap_or_default()
    }
}

/// Waits until it holds; that it never does is the test's failure.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
