//! Replication connections: a connection of its own for each, and every byte as directly.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use pg_ambassador::app::cluster::{Cluster, client};

use crate::{
    stage::eventually,
    support::{self, Served},
    wire::{Frame, Wire, cancel, copy_done, error, query, said},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that can be replicated from, and an ambassador with one pooled connection to it.
struct Source {
    cluster: Cluster,
    served: Served,
}

impl Source {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(args: &[&str]) -> Self {
        let cluster = support::own_cluster(support::options().with("wal_level", "logical"));
        let args = [&["--workers", "1", "--pool-size", "1"], args].concat();
        let served = Served::ambassador(&cluster, &args);
        Self { cluster, served }
    }

    fn through(&self, kind: &str) -> Wire {
        Wire::login(self.served.port(), "postgres", &[("replication", kind)]).unwrap()
    }

    fn direct(&self, kind: &str) -> Wire {
        Wire::login(self.cluster.port(), "postgres", &[("replication", kind)]).unwrap()
    }

    fn directly(&self, sql: &str) -> String {
        support::psql(self.cluster.port(), "postgres", sql)
    }

    fn senders(&self) -> String {
        self.directly("select count(*) from pg_stat_activity where backend_type = 'walsender'")
    }

    /// One of Postgres' programs, on this port.
    fn program(&self, name: &'static str, port: u16, args: &[&str]) -> Command {
        let mut program = self.cluster.client(name).unwrap();
        let port = port.to_string();
        program.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
        program.args(args);
        program
    }
}

/// Where in the log a moving server is does not stay the same.
fn steady(frames: Vec<Frame>) -> Vec<Frame> {
    let moves = |frame: &Frame| frame.tag == b'D' && frame.to_string().contains('/');
    frames.into_iter().filter(|frame| !moves(frame)).collect()
}

/// Of replication and of SQL, right and wrong.
const COMMANDS: [&str; 17] = [
    "IDENTIFY_SYSTEM",
    "SHOW wal_level",
    "TIMELINE_HISTORY 7",
    "READ_REPLICATION_SLOT nosuch",
    "CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL",
    "READ_REPLICATION_SLOT a",
    "DROP_REPLICATION_SLOT a",
    "START_REPLICATION SLOT nosuch PHYSICAL 0/1000000",
    "CREATE_REPLICATION_SLOT b TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT",
    "BASE_BACKUP (nonsense)",
    "select 1; select 2",
    "begin; select 1/0",
    "select 1",
    "rollback",
    "set work_mem = '7MB'",
    "show work_mem",
    "",
];

#[test]
fn fact_45_a_replication_connection_answers_as_directly() {
    let source = Source::new();
    for kind in ["true", "TRUE", "on", "1", "yes", "t", "database"] {
        let act = |mut wire: Wire| {
            let told = (wire.statuses.clone(), wire.greeting.clone());
            let mut seen = COMMANDS.map(|command| steady(wire.query(command))).to_vec();
            seen.push(wire.ask(&[crate::wire::unnamed("select 1", &[]), crate::wire::sync()]));
            wire.bye();
            (told, seen)
        };
        let direct = act(source.direct(kind));
        crate::stage::alike(&act(source.through(kind)), &direct);
    }
    for kind in ["false", "off", "0", "no"] {
        let mut plain = source.through(kind);
        assert_eq!(plain.value("select 1"), "1");
        assert_eq!(source.senders(), "0", "{kind}");
    }
}

#[test]
fn fact_45_settings_go_with_the_start_up_and_bad_ones_are_refused_in_the_servers_words() {
    let source = Source::new();
    source.directly("create role plain login");
    let enter = |port, settings: &[(&str, &str)]| {
        let settings = [&[("replication", "database")], settings].concat();
        Wire::login(port, "postgres", &settings)
    };
    let settings = [
        ("DateStyle", "German"),
        ("application_name", "copy"),
        ("options", "-c work_mem=3MB -P -c wal_sender_timeout=7s"),
    ];
    let mut through = enter(source.served.port(), &settings).unwrap();
    for name in [
        "datestyle",
        "application_name",
        "work_mem",
        "wal_sender_timeout",
    ] {
        let mut direct = enter(source.cluster.port(), &settings).unwrap();
        let show = format!("show {name}");
        assert_eq!(through.query(&show), direct.query(&show));
    }
    let refuse = |port, settings: &[(&str, &str)]| {
        let error = enter(port, settings).unwrap_err();
        b"SVCMDH".map(|field| error.field(field))
    };
    for bad in [
        &[("replication", "maybe")][..],
        &[("replication", "")],
        &[("work_mem", "x")],
        &[("options", "-c user=plain")],
        &[("user", "plain")],
        &[("database", "nowhere")],
    ] {
        let direct = refuse(source.cluster.port(), bad);
        if bad[0].0 != "user" {
            assert_eq!(refuse(source.served.port(), bad), direct, "{bad:?}");
            continue;
        }
        // The URL's user is everybody's upstream, so this one has its own.
        let port = source.cluster.port();
        let url = format!("postgres://plain@127.0.0.1:{port}/postgres");
        let served = Served::ambassador_with(&["--upstream", &url]);
        assert_eq!(refuse(served.port(), bad), direct);
    }
}

#[test]
fn fact_45_the_log_streams_until_the_client_has_enough() {
    let source = Source::new();
    let act = |mut wire: Wire| {
        let position = source.directly("select pg_current_wal_flush_lsn()");
        wire.send(&query(&format!("START_REPLICATION PHYSICAL {position}")));
        let begun = wire.frame();
        source.directly("create table streamed (x int); drop table streamed");
        let mut data = wire.frame();
        while data.body[0] != b'w' {
            data = wire.frame();
        }
        wire.send(&copy_done());
        let mut rest = wire.until_ready();
        rest.retain(|frame| frame.tag != b'd');
        let after = wire.query("SHOW wal_level");
        (begun, data.tag, rest, after)
    };
    let seen = act(source.through("true"));
    assert_eq!(seen, act(source.direct("true")));
    assert_eq!(seen.0.tag, b'W');
    assert_eq!(said(&seen.2)[0], "copy done");
}

#[test]
fn fact_45_a_change_streams_while_the_pool_s_one_connection_serves_others() {
    let source = Source::new();
    source.directly("create table t (x int)");
    let mut stream = source.through("database");
    stream.run("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT");
    stream.send(&query("START_REPLICATION SLOT s LOGICAL 0/0"));
    assert_eq!(stream.frame().tag, b'W');
    let mut client = Wire::login(source.served.port(), "postgres", &[]).unwrap();
    for number in 0..50 {
        client.run(&format!("insert into t values ({number})"));
    }
    let mut seen = 0;
    while seen < 50 {
        let frame = stream.frame();
        let text = String::from_utf8_lossy(&frame.body).into_owned();
        if text.contains(&format!("INSERT: x[integer]:{seen}")) {
            seen += 1;
        }
    }
    assert_eq!(source.senders(), "1");
    assert_ne!(
        client.value("select pg_backend_pid()"),
        stream.pid.to_string()
    );
    drop(stream);
    eventually("the stream's connection ends with it", || {
        source.senders() == "0"
    });
    let others = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    eventually("the pool has its one connection", || {
        client.value(others) == "1"
    });
}

fn folder(parent: &Path, name: &str) -> PathBuf {
    let folder = parent.join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn fact_45_pg_basebackup_pg_receivewal_and_pg_recvlogical_work() {
    let source = Source::new();
    source.directly("create table t as select generate_series(1, 100000) x");
    let place = tempfile::tempdir().unwrap();
    let port = source.served.port();
    for method in ["none", "fetch", "stream"] {
        let to = place.path().join(method);
        let to = to.to_str().unwrap();
        let mut backup = source.program(
            "pg_basebackup",
            port,
            &["-X", method, "-c", "fast", "-D", to],
        );
        client::succeed(&mut backup, "pg_basebackup", PATIENCE).unwrap();
        if method != "none" {
            let mut verify = source.cluster.client("pg_verifybackup").unwrap();
            client::succeed(verify.arg(to), "pg_verifybackup", PATIENCE).unwrap();
        }
    }
    let log = folder(place.path(), "log");
    let to = log.to_str().unwrap();
    source.directly("select pg_create_physical_replication_slot('wal', true)");
    // Up to a position that is there already: it ends by itself.
    let end = source.directly("insert into t values (0); select pg_current_wal_insert_lsn()");
    source.directly("insert into t values (0); select pg_switch_wal()");
    let args = ["-D", to, "-S", "wal", "--endpos", &end, "--no-loop"];
    let mut receive = source.program("pg_receivewal", port, &args);
    client::succeed(&mut receive, "pg_receivewal", PATIENCE).unwrap();
    assert!(std::fs::read_dir(&log).unwrap().count() > 0);

    let slots = ["through", "direct"].map(|name| {
        let create = "select pg_create_logical_replication_slot";
        source.directly(&format!("{create}('{name}', 'test_decoding')"));
        name
    });
    source.directly("insert into t select generate_series(1, 5000)");
    let end = source.directly("select pg_current_wal_insert_lsn()");
    source.directly("insert into t values (0)");
    let [through, direct] = [port, source.cluster.port()].map(|port| {
        let slot = slots[usize::from(port == source.cluster.port())];
        let args = [
            "-d",
            "postgres",
            "-S",
            slot,
            "--start",
            "-f",
            "-",
            "--no-loop",
        ];
        let args = [&args[..], &["--endpos", &end]].concat();
        let mut receive = source.program("pg_recvlogical", port, &args);
        client::succeed(&mut receive, "pg_recvlogical", PATIENCE).unwrap()
    });
    assert!(
        through.lines().count() >= 5000,
        "{}",
        through.lines().count()
    );
    assert_eq!(through, direct);
    eventually("their connections are gone", || source.senders() == "0");
}

#[test]
fn fact_45_a_physical_one_needs_no_database_of_its_name() {
    let cluster = support::own_cluster(support::options());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config.toml");
    let backend = format!("address = \"127.0.0.1:{}\"", cluster.port());
    let text = format!(
        "[databases.app]\ndbname = \"postgres\"\n[databases.app.auth]\nmethod = \"trust\"\n\
         [databases.app.users.\"*\"]\nupstream_user = \"postgres\"\n\
         [[databases.app.backends]]\n{backend}\n"
    );
    std::fs::write(&file, text).unwrap();
    let served = Served::ambassador_with(&["--config", file.to_str().unwrap()]);
    let enter = |database, kind| Wire::login(served.port(), database, &[("replication", kind)]);
    assert_eq!(
        said(&enter("replication", "true").unwrap().query("SHOW port"))[2],
        "SHOW"
    );
    assert_eq!(
        enter("app", "database")
            .unwrap()
            .value("select current_database()"),
        "postgres"
    );
    assert_eq!(
        enter("replication", "database").unwrap_err().code(),
        "3D000"
    );
    assert_eq!(enter("replication", "false").unwrap_err().code(), "3D000");
}

#[test]
fn fact_45_a_replication_connection_is_cancelled_with_the_key_that_it_was_told() {
    let source = Source::new();
    let (mut one, mut other) = (source.through("database"), source.through("database"));
    for wire in [&mut one, &mut other] {
        wire.send(&query("select pg_sleep(60)"));
    }
    let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    eventually("both run", || source.directly(sleeping) == "2");
    cancel(source.served.port(), one.pid, &other.key);
    cancel(source.served.port(), one.pid, &one.key);
    assert_eq!(error(&one.until_ready()).code(), "57014");
    assert!(other.is_silent(Duration::from_millis(200)));
    assert_eq!(one.value("select 1"), "1");
}

#[test]
fn fact_45_when_the_client_vanishes_its_connection_ends_and_what_ran_is_stopped() {
    let source = Source::new();
    for command in [
        None,
        Some("START_REPLICATION 0/0"),
        Some("select pg_sleep(60)"),
    ] {
        let mut wire = source.through("database");
        if let Some(command) = command {
            let position = source.directly("select pg_current_wal_flush_lsn()");
            wire.send(&query(&command.replace("0/0", &position)));
            let state = "select count(*) from pg_stat_activity where backend_type = 'walsender' \
                         and wait_event in ('PgSleep', 'WalSenderMain', 'WalSenderWaitForWAL')";
            eventually("it runs", || source.directly(state) == "1");
        }
        drop(wire);
        eventually("it is gone", || source.senders() == "0");
    }
}

#[test]
fn fact_45_when_the_server_ends_it_the_client_hears_it_as_directly() {
    let source = Source::new();
    let end = |mut wire: Wire| {
        source.directly(
            "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'",
        );
        wire.until_closed()
    };
    let direct = end(source.direct("true"));
    assert_eq!(end(source.through("true")), direct);
    assert_eq!(error(&direct).code(), "57P01");
}

#[test]
fn fact_45_a_drain_ends_streams_and_idle_ones_and_waits_for_what_has_an_end() {
    let mut source = Source::with(&["--set", "shutdown.grace=\"0s\""]);
    let mut idle = source.through("true");
    let mut stream = source.through("true");
    let position = source.directly("select pg_current_wal_flush_lsn()");
    stream.send(&query(&format!("START_REPLICATION PHYSICAL {position}")));
    assert_eq!(stream.frame().tag, b'W');
    let mut holder = Wire::login(source.cluster.port(), "postgres", &[]).unwrap();
    holder.run("select pg_advisory_lock(2)");
    let mut busy = source.through("database");
    busy.send(&query("select pg_advisory_lock(2), 'done'"));
    let waits = "select count(*) from pg_stat_activity where wait_event = 'advisory'";
    eventually("it waits", || source.directly(waits) == "1");
    let last = "57P01";
    source.served.signal("TERM");
    for wire in [&mut idle, &mut stream] {
        let frames = wire.until_closed();
        assert_eq!(frames.last().unwrap().code(), last, "{frames:?}");
    }
    assert!(busy.is_silent(Duration::from_millis(200)));
    holder.run("select pg_advisory_unlock(2)");
    let frames = busy.until_closed();
    assert_eq!(said(&frames)[1..3], ["row  done", "SELECT 1"]);
    assert_eq!(frames.last().unwrap().code(), last, "{frames:?}");
    assert!(source.served.ended_within(PATIENCE).success());
}

#[test]
fn fact_45_the_backend_s_limit_counts_it_and_the_pool_s_size_does_not() {
    let limit = "databases.\"*\".max_backend_connections=2";
    let source = Source::with(&["--set", limit]);
    let mut client = Wire::login(source.served.port(), "postgres", &[]).unwrap();
    client.run("begin; select 1");
    let first = source.through("true");
    let enter = || Wire::login(source.served.port(), "postgres", &[("replication", "true")]);
    let refused = enter().unwrap_err();
    assert_eq!(refused.code(), "53300");
    assert!(
        refused.message().contains("max_backend_connections"),
        "{refused}"
    );
    first.bye();
    eventually("its place is free", || enter().is_ok());
    client.run("commit");
}

/// The client reads nothing for a while: what streams waits in the sockets, not here.
#[test]
fn fact_45_a_slow_receiver_is_waited_for_in_bounded_memory() {
    let source = Source::new();
    source
        .directly("create table big as select repeat('x', 1000) x from generate_series(1, 60000)");
    let mut wire = source.through("true");
    let before = resident(&source.served);
    wire.send(&query("BASE_BACKUP (CHECKPOINT 'fast')"));
    std::thread::sleep(Duration::from_millis(500));
    let grown = resident(&source.served).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    let frames = wire.until_ready();
    let size: usize = frames.iter().map(|frame| frame.body.len()).sum();
    assert!(size > 60_000_000, "{size}");
    assert_eq!(said(&frames).last().unwrap(), "ready I");
}

/// KiB that the ambassador has in memory.
fn resident(served: &Served) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.pid()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    figure.unwrap_or_default()
}
