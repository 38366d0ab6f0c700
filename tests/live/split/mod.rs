//! A primary and its replicas behind the ambassador: reads go to the ones, everything else to the
//! other, and no answer is wrong.

mod consistency;
mod extended;
mod fresh;
mod heal;
mod hints;
mod load;
mod mixed;
mod place;
mod promotion;
mod transactions;

use pg_ambassador::app::cluster::{Cluster, Options};

use crate::{
    admin::get,
    stage::{admin_port, eventually},
    support::{self, Served},
    wire::Wire,
};

/// A primary with two replicas, and an ambassador before them.
pub struct Troupe {
    pub served: Served,
    pub replicas: Vec<Cluster>,
    pub primary: Cluster,
}

impl Troupe {
    /// `keys` are of the database's table, such as `routing.consistency="eventual"`. `schema` has
    /// run when the replicas are made.
    pub fn new(replicas: usize, schema: &str, keys: &[&str]) -> Self {
        let troupe = Self::unready(replicas, schema, keys);
        troupe.wait_for_the_catalog();
        troupe
    }

    /// The same, before anything is known of its relations.
    pub fn unready(replicas: usize, schema: &str, keys: &[&str]) -> Self {
        Self::gather(schema, keys, &vec![options(); replicas])
    }

    /// One replica for each of these options.
    fn gather(schema: &str, keys: &[&str], replicas: &[Options]) -> Self {
        let primary = support::own_cluster(options());
        primary
            .ask("create table watched (a int primary key, b text)")
            .unwrap();
        primary
            .ask("insert into watched values (1, 'one')")
            .unwrap();
        if !schema.is_empty() {
            primary.ask(schema).unwrap();
        }
        let made = replicas.iter().map(|one| primary.replica(one).unwrap());
        let replicas: Vec<Cluster> = made.collect();
        let served = serve(&primary, &replicas, keys);
        Self {
            served,
            replicas,
            primary,
        }
    }

    /// Reads that miss what is not there yet are no matter.
    pub fn eventual(schema: &str) -> Self {
        Self::new(1, schema, &["routing.consistency=\"eventual\""])
    }

    pub fn client(&self) -> Wire {
        self.client_with(&[])
    }

    pub fn client_with(&self, settings: &[(&str, &str)]) -> Wire {
        Wire::login(self.served.port(), "postgres", settings).unwrap()
    }

    /// What was written on the primary is on all replicas.
    pub fn settle(&self) {
        for replica in &self.replicas {
            replica.catch_up(&self.primary).unwrap();
        }
    }

    /// Where this ran, by the statements that each server has logged since.
    pub fn ran_on(&self, act: impl FnOnce()) -> Vec<&'static str> {
        let servers = || std::iter::once(&self.primary).chain(&self.replicas);
        let before: Vec<usize> = servers().map(|one| one.log().len()).collect();
        act();
        let said = servers()
            .zip(before)
            .map(|(one, len)| one.log()[len..].to_owned());
        let ran = said.map(|log| log.contains(MARK));
        let mut places = Vec::new();
        for (at, ran) in ran.enumerate() {
            let place = if at == 0 { "primary" } else { "replica" };
            if ran && !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// What a metric counts, all its samples together whose labels have these words.
    pub fn counted(&self, name: &str, words: &[&str]) -> u64 {
        let (_, page) = get(admin_port(&self.served), "/metrics");
        let lines = page.lines().filter(|line| {
            line.starts_with(&format!("ambassador_{name}{{"))
                && words.iter().all(|word| line.contains(word))
        });
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    fn wait_for_the_catalog(&self) {
        eventually("a read is known to be one", || {
            let mut client = self.client();
            self.ran_on(|| client.run(&marked("select a from watched"))) == ["replica"]
        });
    }
}

/// Statements are logged as they begin.
fn options() -> Options {
    support::options().with("log_statement", "all")
}

fn serve(primary: &Cluster, replicas: &[Cluster], keys: &[&str]) -> Served {
    let upstream = primary.url("postgres");
    let replicas: Vec<String> = replicas.iter().map(|one| one.url("postgres")).collect();
    let mut args = vec![
        "--upstream",
        &upstream,
        "--workers",
        "1",
        "--admin",
        "127.0.0.1:0",
    ];
    for replica in &replicas {
        args.extend(["--replica", replica]);
    }
    // On a busy machine neither is a sign of anything.
    let patient = ["health.timeout=\"20s\"", "routing.max_replica_lag=\"0s\""];
    let keys: Vec<String> = [&patient, keys]
        .concat()
        .iter()
        .map(|key| format!("databases.\"*\".{key}"))
        .collect();
    for key in &keys {
        args.extend(["--set", key]);
    }
    Served::ambassador_with(&args)
}

/// What tells a statement of a test from others in a server's log.
pub const MARK: &str = "/* here */";

/// The statement, to be found in a server's log.
pub fn marked(sql: &str) -> String {
    format!("{sql} {MARK}")
}
