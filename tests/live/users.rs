//! Several users upstream over one ambassador, and the bound on all connections to one backend.

use std::fmt::Write as _;

use crate::{
    stage::{connections, eventually, observer},
    support::{self, Served},
    wire::{Frame, VERSION, Wire, again, error, parse, query, said, startup, sync, unnamed},
};

/// An ambassador by a file: a new database, users of their own upstream, and further keys of the
/// database's table.
struct Shared {
    database: String,
    served: Served,
    _file: tempfile::NamedTempFile,
}

impl Shared {
    fn new(users: &[&str], keys: &str, workers: usize) -> Self {
        let cluster = support::cluster();
        let database = support::database(cluster);
        let port = cluster.port();
        let mut text = format!(
            "[listen]\nworkers = {workers}\n[databases.\"*\"]\n{keys}\n\
             [databases.\"*\".auth]\nmethod = \"trust\"\n"
        );
        for user in users {
            // The tests of a process share a cluster, and roles are the cluster's.
            let create = format!(
                "do $$ begin create role \"{user}\" login superuser; \
                 exception when duplicate_object or unique_violation then null; end $$"
            );
            support::psql(port, "postgres", &create);
            writeln!(text, "[databases.\"*\".users.\"{user}\"]").unwrap();
        }
        writeln!(
            text,
            "[databases.\"*\".users.alias]\nupstream_user = \"{}\"",
            users[0]
        )
        .unwrap();
        writeln!(
            text,
            "[[databases.\"*\".backends]]\naddress = \"127.0.0.1:{port}\""
        )
        .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let served = Served::ambassador_with(&["--config", file.path().to_str().unwrap()]);
        Self {
            database,
            served,
            _file: file,
        }
    }

    fn login(&self, user: &str) -> Result<Wire, Frame> {
        let mut wire = Wire::open(self.served.port());
        wire.send(&startup(
            VERSION,
            &[("user", user), ("database", &self.database)],
        ));
        wire.welcomed().map(|()| wire)
    }

    fn client(&self, user: &str) -> Wire {
        self.login(user).unwrap()
    }

    fn connections(&self) -> usize {
        connections(&mut observer(), &self.database)
    }
}

#[test]
fn users_have_pools_of_their_own_and_nothing_of_one_is_seen_by_another() {
    let shared = Shared::new(&["one", "two"], "pool_size = 1", 1);
    let mut one = shared.client("one");
    let mut two = shared.client("two");
    let mut alias = shared.client("alias");
    for _ in 0..3 {
        for (wire, user) in [(&mut one, "one"), (&mut two, "two"), (&mut alias, "one")] {
            assert_eq!(
                wire.value("select current_user || ' ' || session_user"),
                format!("{user} {user}")
            );
            let frames = wire.ask(&[unnamed("select current_user", &[]), sync()]);
            assert_eq!(said(&frames)[2], format!("row {user}"));
        }
    }
    // The same name and the same text, prepared by both; neither stands in the other's way.
    for (wire, user) in [(&mut one, "one"), (&mut two, "two"), (&mut alias, "one")] {
        let frames = wire.ask(&[
            parse("who", "select current_user"),
            again("who", &[]),
            sync(),
        ]);
        assert_eq!(
            said(&frames),
            [
                "parsed",
                "bound",
                &format!("row {user}"),
                "SELECT 1",
                "ready I"
            ]
        );
    }
    // One user's transaction keeps its own pool busy and nobody else's.
    one.run("begin; select 1");
    assert_eq!(two.value("select current_user"), "two");
    alias.send(&query("select current_user"));
    assert!(alias.is_silent(std::time::Duration::from_millis(200)));
    one.run("set local role two; select 1; commit");
    assert_eq!(said(&alias.until_ready())[1], "row one");
    // What is owned and what is temporary stays with who made it.
    one.run("create table mine (a int); create temp table hidden (a int)");
    assert_eq!(
        two.value("select tableowner from pg_tables where tablename = 'mine'"),
        "one"
    );
    assert_eq!(two.failure("select * from hidden").code(), "42P01");
    assert_eq!(
        error(&two.ask(&[again("nobody's", &[]), sync()])).code(),
        "26000"
    );
    assert_eq!(shared.login("three").unwrap_err().code(), "28P01");
    // One for each user, and the one that the temporary table keeps.
    assert_eq!(shared.connections(), 2);
    alias.run("select 1");
    assert_eq!(shared.connections(), 3);
}

#[test]
fn a_cancel_of_one_user_never_reaches_another() {
    let shared = Shared::new(&["one", "two"], "pool_size = 1", 1);
    let (mut one, mut two) = (shared.client("one"), shared.client("two"));
    two.send(&query("select pg_sleep(0.5)"));
    for _ in 0..20 {
        crate::wire::cancel(shared.served.port(), one.pid, &one.key);
        crate::wire::cancel(shared.served.port(), two.pid, &one.key);
    }
    assert_eq!(said(&two.until_ready())[2], "SELECT 1");
    assert_eq!(one.value("select 1"), "1");
}

#[test]
fn max_backend_connections_bounds_all_pools_of_a_backend_together() {
    let keys = "pool_size = 4\nmax_backend_connections = 5\nacquire_timeout = \"500ms\"";
    for workers in [1, 2] {
        let shared = Shared::new(&["one", "two"], keys, workers);
        let mut ones: Vec<_> = (0..4).map(|_| shared.client("one")).collect();
        ones.iter_mut().for_each(|wire| wire.run("begin; select 1"));
        let mut twos: Vec<_> = (0..2).map(|_| shared.client("two")).collect();
        twos[0].run("begin; select 1");
        assert_eq!(shared.connections(), 5);
        // The pool of `two` has room, the backend has none.
        let refused = twos[1].failure("select 1");
        assert_eq!(
            (refused.code(), refused.field(b'S')),
            ("53300".into(), "ERROR".into())
        );
        let told = refused.message();
        assert!(told.contains("max_backend_connections"), "{told}");
        assert_eq!(shared.connections(), 5);
        // A connection of its own pool serves it, and so does the place of one that is idle.
        twos[0].run("commit");
        assert_eq!(twos[1].value("select 1"), "1");
        twos[0].run("begin; select 1");
        drop(ones.pop());
        eventually("there is a place", || twos[1].query("select 1").len() == 4);
        assert_eq!(shared.connections(), 5);
        drop((ones, twos));
    }
}

#[test]
fn pinned_connections_count_among_max_backend_connections() {
    let keys = "pool_size = 2\nmax_backend_connections = 3\nacquire_timeout = \"500ms\"";
    let shared = Shared::new(&["one", "two"], keys, 1);
    let mut pinned: Vec<_> = (0..2).map(|_| shared.client("one")).collect();
    pinned
        .iter_mut()
        .for_each(|wire| wire.run("create temp table mine (a int)"));
    let mut other = shared.client("one");
    other.run("begin; select 1");
    assert_eq!(shared.connections(), 3);
    let refused = shared.client("one").failure("select 1");
    assert_eq!(refused.code(), "53300");
    // Who is pinned goes on, and its place is free when it leaves.
    assert_eq!(pinned[0].value("select count(*) from mine"), "0");
    drop(pinned.pop());
    let mut late = shared.client("one");
    eventually("there is a place", || late.query("select 1").len() == 4);
    other.run("commit");
    assert!(shared.connections() <= 3);
}
