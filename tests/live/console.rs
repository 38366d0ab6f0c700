//! The console: what it shows is what there is, and what it is told happens.

use std::{thread, time::Duration};

use tokio_postgres::SimpleQueryMessage;

use crate::{
    house::{ASKING, House, PASSWORD, WRONG, stored, wrong},
    stage::{PATIENCE, Stage, eventually},
    support::{self, Served, clients},
    wire::{
        VERSION, Wire, bind, cancel, close_statement, describe_portal, describe_statement, error,
        execute, message, parse, query, said, startup, sync, terminate,
    },
};

/// An operator at the ambassador's console.
fn console(stage: &Stage) -> Wire {
    operator(stage.port())
}

fn operator(port: u16) -> Wire {
    Wire::login(port, "pgbouncer", &[]).unwrap()
}

/// What it shows, by the names of the columns.
struct Shown {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Shown {
    fn of(port: u16, topic: &str) -> Self {
        Self::with(port, "pgbouncer", topic)
    }

    /// Through psql, with the names of the columns.
    fn with(port: u16, database: &str, topic: &str) -> Self {
        let out = support::psql_table(port, database, &format!("show {topic}"));
        let split = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = out.lines().map(split);
        let columns = lines.next().unwrap();
        Self {
            columns,
            rows: lines.collect(),
        }
    }

    fn at(&self, column: &str) -> usize {
        let found = self.columns.iter().position(|name| name == column);
        found.unwrap_or_else(|| panic!("no {column} in {:?}", self.columns))
    }

    /// The rows in which a column says this.
    fn where_is(&self, column: &str, value: &str) -> Vec<&Vec<String>> {
        let at = self.at(column);
        self.rows.iter().filter(|row| row[at] == value).collect()
    }

    /// Columns of the only row in which `database` is this.
    fn of_database(&self, name: &str, columns: &[&str]) -> Vec<String> {
        let key = if self.columns[0] == "name" {
            "name"
        } else {
            "database"
        };
        let rows = self.where_is(key, name);
        assert_eq!(rows.len(), 1, "{name}: {:?}", self.rows);
        columns
            .iter()
            .map(|one| rows[0][self.at(one)].clone())
            .collect()
    }
}

/// PgBouncer 1.25's columns: what exporters and dashboards know. Ours may only come behind.
const PGBOUNCER: &[(&str, &str)] = &[
    (
        "pools",
        "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts",
    ),
    (
        "clients",
        "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id",
    ),
    (
        "servers",
        "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id",
    ),
    (
        "databases",
        "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode load_balance_hosts max_connections current_connections max_client_connections current_client_connections paused disabled",
    ),
    (
        "users",
        "name pool_size reserve_pool_size pool_mode max_user_connections current_connections max_user_client_connections current_client_connections",
    ),
    (
        "stats",
        "database total_server_assignment_count total_xact_count total_query_count total_received total_sent total_xact_time total_query_time total_wait_time total_client_parse_count total_server_parse_count total_bind_count avg_server_assignment_count avg_xact_count avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count avg_bind_count",
    ),
    (
        "stats_totals",
        "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time client_parse_count server_parse_count bind_count",
    ),
    (
        "stats_averages",
        "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time avg_client_parse_count avg_server_parse_count avg_bind_count",
    ),
    ("config", "key value default changeable"),
    ("lists", "list items"),
    ("state", "key value"),
    ("version", "version"),
];

#[test]
fn what_is_shown_has_the_columns_of_pgbouncer_in_their_order() {
    let stage = Stage::with_pool_of(2);
    for (topic, columns) in PGBOUNCER {
        let shown = Shown::of(stage.port(), topic);
        let expected: Vec<&str> = columns.split(' ').collect();
        assert_eq!(shown.columns[..expected.len()], expected, "SHOW {topic}");
    }
}

#[test]
fn pools_clients_and_servers_are_counted_as_they_are() {
    let stage = Stage::with_pool_of(2);
    let [mut a, mut b, mut c] = [stage.client(), stage.client(), stage.client()];
    let mut idle = stage.client_with(&[("application_name", "sits here")]);
    idle.ask(&[parse("mine", "select 1"), sync()]);
    a.run("begin; select 1");
    b.run("begin; select 1");
    c.send(&query("select 'waited'"));
    let pools = || Shown::of(stage.port(), "pools");
    let columns = [
        "cl_active",
        "cl_waiting",
        "sv_active",
        "sv_idle",
        "sv_login",
    ];
    eventually("two work, one waits, one is idle", || {
        pools().of_database(&stage.database, &columns) == ["3", "1", "2", "0", "0"]
    });
    eventually("who waits has waited", || {
        let waited = pools().of_database(&stage.database, &["maxwait", "maxwait_us"]);
        waited != ["0", "0"]
    });
    let told = ["user", "pool_mode", "pool_size"];
    let told = pools().of_database(&stage.database, &told);
    assert_eq!(told[1..], ["transaction", "2"]);

    let clients = Shown::of(stage.port(), "clients");
    let states = |state| clients.where_is("state", state).len();
    // The one who asks is active too.
    assert_eq!(
        (states("active"), states("waiting"), states("idle")),
        (3, 1, 1)
    );
    let sits = clients.where_is("application_name", "sits here");
    let sits = |column| sits[0][clients.at(column)].clone();
    assert_eq!(sits("database"), stage.database);
    assert_eq!(
        (sits("state"), sits("prepared_statements")),
        ("idle".to_owned(), "1".to_owned())
    );
    assert_eq!(
        (sits("addr"), sits("local_port")),
        ("127.0.0.1".to_owned(), stage.port().to_string())
    );

    let servers = Shown::of(stage.port(), "servers");
    let pids = format!(
        "select pid from pg_stat_activity where datname = '{}' and state = 'idle in transaction'",
        stage.database
    );
    let pids: Vec<String> = stage.directly(&pids).lines().map(str::to_owned).collect();
    assert_eq!(pids.len(), 2);
    for pid in &pids {
        let row = servers.where_is("remote_pid", pid)[0];
        assert_eq!(row[servers.at("state")], "active");
        let holder = clients.where_is("ptr", &row[servers.at("link")])[0];
        assert_eq!(holder[clients.at("link")], row[servers.at("ptr")]);
        assert_eq!(holder[clients.at("state")], "active");
    }

    a.run("commit");
    assert_eq!(said(&c.until_ready())[1], "row waited");
    b.run("commit");
    eventually("all rest", || {
        pools().of_database(&stage.database, &columns) == ["4", "0", "0", "2", "0"]
    });
    let databases = Shown::of(stage.port(), "databases");
    let columns = [
        "pool_size",
        "current_connections",
        "current_client_connections",
        "paused",
    ];
    let told = databases.of_database(&stage.database, &columns);
    assert_eq!(told, ["2", "2", "4", "0"]);
    let lists = Shown::of(stage.port(), "lists");
    let items = |list| lists.where_is("list", list)[0][1].clone();
    assert_eq!(
        (items("used_clients"), items("used_servers")),
        ("5".to_owned(), "2".to_owned())
    );
}

#[test]
fn all_workers_are_seen_as_one() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "4"]);
    let mut clients: Vec<Wire> = (0..4).map(|_| stage.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.run("begin; select 1"));
    let pools = Shown::of(stage.port(), "pools");
    let told = pools.of_database(&stage.database, &["cl_active", "sv_active", "pool_size"]);
    assert_eq!(told, ["4", "4", "4"]);
}

#[test]
fn what_has_been_done_is_added_up() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "2"]);
    let (mut one, mut other) = (stage.client(), stage.client());
    one.run("select 1");
    one.run("begin; select pg_sleep(0.3)");
    one.run("commit");
    one.ask(&[parse("s", "select 2"), sync()]);
    other.ask(&[bind("", "s", &[]), sync()]);
    for wire in [&mut one, &mut other] {
        wire.ask(&[
            parse("t", "select 3"),
            bind("", "t", &[]),
            execute("", 0),
            sync(),
        ]);
    }
    let totals = Shown::of(stage.port(), "stats_totals");
    let columns = [
        "xact_count",
        "query_count",
        "client_parse_count",
        "bind_count",
        "client_login_count",
    ];
    let told = totals.of_database(&stage.database, &columns);
    // A Bind of a name that there is not is a transaction, and no Bind.
    assert_eq!(told, ["6", "7", "3", "2", "2"]);
    let number = |shown: &Shown, column| {
        let told = shown.of_database(&stage.database, &[column]);
        told[0].parse::<u64>().unwrap()
    };
    // By a clock that ticks ten times a second.
    let slept = 200_000..2_000_000;
    assert!(slept.contains(&number(&totals, "xact_time")));
    assert!(slept.contains(&number(&totals, "query_time")));
    assert!(number(&totals, "bytes_received") > 100);
    assert!(number(&totals, "bytes_sent") > 200);
    assert!((2..=6).contains(&number(&totals, "server_assignment_count")));
    let averages = Shown::of(stage.port(), "stats_averages");
    assert!((30_000..400_000).contains(&number(&averages, "xact_time")));
    let both = Shown::of(stage.port(), "stats");
    assert_eq!(number(&both, "total_xact_count"), 6);
    assert_eq!(number(&both, "total_client_login_count"), 2);
}

#[test]
fn who_keeps_a_connection_is_shown_with_the_reason_until_he_gives_it_up() {
    let stage = Stage::with_pool_of(2);
    let mut client = stage.client_with(&[("application_name", "keeper")]);
    client.run("create temp table kept ()");
    client.run("set application_name = 'renamed'");
    let pid = client.value("select pg_backend_pid()");
    let pins = Shown::of(stage.port(), "pins");
    let row = pins.where_is("application_name", "renamed")[0];
    assert_eq!(row[pins.at("reason")], "temp");
    assert_eq!(row[pins.at("remote_pid")], pid);
    let pools = Shown::of(stage.port(), "pools");
    assert_eq!(pools.of_database(&stage.database, &["sv_pinned"]), ["1"]);
    client.run("discard all");
    eventually("given up", || {
        Shown::of(stage.port(), "pins").rows.is_empty()
    });
}

#[test]
fn a_driver_of_the_extended_protocol_reads_text_and_numbers() {
    let stage = Stage::with_pool_of(2);
    let mut client = stage.client();
    assert_eq!(client.value("select 1"), "1");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let console = support::connect(stage.port(), "ambassador").await;
        let rows = console.query("SHOW POOLS", &[]).await.unwrap();
        let row = rows
            .iter()
            .find(|row| row.get::<_, &str>("database") == stage.database);
        // Binary, as this driver asks for everything.
        assert_eq!(row.unwrap().get::<_, i64>("sv_idle"), 1);
        let version = console.query_one("show version;", &[]).await.unwrap();
        assert!(version.get::<_, &str>(0).starts_with("pg-ambassador "));
        assert_eq!(
            console
                .query_one("select 1", &[])
                .await
                .unwrap()
                .get::<_, i64>(0),
            1
        );
        let wrong = console.query("SHOW NOTHING", &[]).await.unwrap_err();
        assert_eq!(wrong.code().unwrap().code(), "42601");
        let asked = console
            .query("select * from pg_class", &[])
            .await
            .unwrap_err();
        assert_eq!(asked.code().unwrap().code(), "0A000");
        let told = console.simple_query("show state").await.unwrap();
        let rows = told
            .iter()
            .filter(|one| matches!(one, SimpleQueryMessage::Row(_)));
        assert_eq!(rows.count(), 3);
        console
            .execute("set extra_float_digits = 3", &[])
            .await
            .unwrap();
    });
}

#[test]
fn the_extended_protocol_is_answered_message_by_message() {
    let stage = Stage::with_pool_of(1);
    let mut wire = console(&stage);
    let frames = wire.ask(&[
        parse("s", "show state"),
        describe_statement("s"),
        bind("p", "s", &[]),
        describe_portal("p"),
        execute("p", 2),
        execute("p", 2),
        close_statement("s"),
        sync(),
    ]);
    let expected = [
        "parsed",
        "parameters",
        "columns",
        "bound",
        "columns",
        "row active yes",
        "row paused no",
        "suspended",
        "row suspended no",
        "SHOW",
        "closed",
        "ready I",
    ];
    assert_eq!(said(&frames), expected);
    // An error drops all up to the Sync, and nothing behind it.
    let frames = wire.ask(&[
        parse("", "frobnicate"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ]);
    assert_eq!(error(&frames).code(), "42601");
    assert_eq!(frames.len(), 2);
    for (messages, code) in [
        (vec![bind("", "s", &[])], "26000"),
        (vec![execute("p", 0)], "34000"),
        (vec![parse("t", "show state; show pools")], "42601"),
        (
            vec![parse("t", "show state"), bind("", "t", &["1"])],
            "08P01",
        ),
        (vec![parse("t", "show state")], "42P05"),
    ] {
        let frames = wire.ask(&[messages.concat(), sync()]);
        assert_eq!(error(&frames).code(), code);
    }
    assert_eq!(said(&wire.query(" -- nothing\n")), ["empty", "ready I"]);
    // Two statements of one text, and an error between two.
    let said_of = |wire: &mut Wire, sql| said(&wire.query(sql));
    let told = said_of(&mut wire, "select 1; SELECT 2;");
    assert_eq!(
        told,
        [
            "columns", "row 1", "SELECT 1", "columns", "row 2", "SELECT 1", "ready I"
        ]
    );
    let told = said_of(&mut wire, "select 1; frob; select 2");
    assert_eq!(told.len(), 5);
    assert!(told[3].starts_with("42601"));
    // A transaction that failed is one until it ends.
    assert_eq!(said_of(&mut wire, "begin"), ["BEGIN", "ready T"]);
    assert_eq!(said_of(&mut wire, "frob")[1], "ready E");
    assert!(said_of(&mut wire, "show state")[0].starts_with("25P02"));
    assert_eq!(said_of(&mut wire, "commit"), ["ROLLBACK", "ready I"]);
    wire.send(&terminate());
    assert!(wire.until_closed().is_empty());
}

#[test]
fn what_is_no_message_ends_the_conversation_and_no_other() {
    let stage = Stage::with_pool_of(1);
    for bytes in [
        message(b'p', b""),
        message(b'?', b""),
        vec![b'Q', 0, 0, 0, 1],
    ] {
        let mut wire = console(&stage);
        wire.send(&bytes);
        assert_eq!(error(&wire.until_closed()).code(), "08P01");
    }
    let mut wire = console(&stage);
    wire.send(&[b'Q', 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(error(&wire.until_closed()).code(), "54000");
    assert_eq!(console(&stage).value("select 1"), "1");
}

#[test]
fn a_pause_waits_for_what_runs_and_lends_nothing_until_it_ends() {
    let stage = Stage::with(2, &["acquire_timeout=300ms"]);
    let (mut works, mut comes) = (stage.client(), stage.client());
    works.run("begin; select 1");
    let mut operator = console(&stage);
    operator.send(&query(&format!("pause {}", stage.database)));
    let paused =
        || Shown::of(stage.port(), "databases").of_database(&stage.database, &["paused"]) == ["1"];
    eventually("it is paused", paused);
    // What runs goes on, what comes waits: longer than it would otherwise.
    comes.send(&query("select 'after'"));
    assert_eq!(works.value("select 2"), "2");
    assert!(operator.is_silent(Duration::from_millis(500)));
    works.run("commit");
    assert_eq!(said(&operator.until_ready()), ["PAUSE", "ready I"]);
    assert_eq!(stage.connections(), 0);
    assert!(comes.is_silent(Duration::from_millis(500)));
    // So does who comes now.
    let port = stage.port();
    let database = stage.database.clone();
    let late = thread::spawn(move || {
        Wire::login(port, &database, &[]).map(|mut wire| wire.value("select 3"))
    });
    let again = format!("pause {}", stage.database);
    assert_eq!(operator.failure(&again).code(), "55000");
    operator.run(&format!("resume {}", stage.database));
    assert_eq!(said(&comes.until_ready())[1], "row after");
    assert_eq!(late.join().unwrap().unwrap(), "3");
    let again = format!("resume {}", stage.database);
    assert_eq!(operator.failure(&again).code(), "55000");
}

#[test]
fn a_pause_of_all_holds_databases_that_nobody_has_come_to_yet() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "2"]);
    let mut operator = console(&stage);
    operator.run("PAUSE");
    assert_eq!(
        Shown::of(stage.port(), "state").where_is("key", "paused")[0][1],
        "yes"
    );
    let (port, database) = (stage.port(), stage.database.clone());
    let comes = thread::spawn(move || {
        Wire::login(port, &database, &[]).map(|mut wire| wire.value("select 1"))
    });
    // And one that needs a connection of its own.
    let database = stage.database.clone();
    let alone = thread::spawn(move || {
        let own = [("options", "-c ignore_system_indexes=on")];
        Wire::login(port, &database, &own).map(|mut wire| wire.value("show ignore_system_indexes"))
    });
    eventually("they wait", || {
        let lists = Shown::of(stage.port(), "lists");
        lists.where_is("list", "login_clients")[0][1] == "2"
    });
    assert_eq!(stage.connections(), 0);
    operator.run("RESUME");
    assert_eq!(comes.join().unwrap().unwrap(), "1");
    assert_eq!(alone.join().unwrap().unwrap(), "on");
}

#[test]
fn a_pause_that_its_operator_does_not_wait_for_is_none() {
    let stage = Stage::with_pool_of(2);
    let mut works = stage.client();
    works.run("begin; select 1");
    let mut operator = console(&stage);
    operator.send(&query("pause"));
    let paused = || Shown::of(stage.port(), "state").where_is("key", "paused")[0][1] == "yes";
    eventually("it is paused", paused);
    cancel(stage.port(), operator.pid, &operator.key);
    assert_eq!(error(&operator.until_ready()).code(), "57014");
    assert!(!paused());
    operator.send(&query("pause"));
    eventually("it is paused again", paused);
    drop(operator);
    eventually("it is over", || !paused());
    assert_eq!(stage.client().value("select 1"), "1");
}

#[test]
fn who_keeps_a_connection_holds_a_pause_up() {
    let stage = Stage::with_pool_of(2);
    let mut keeps = stage.client();
    keeps.run("create temp table t as select 7 as a");
    let mut operator = console(&stage);
    operator.send(&query("pause"));
    assert!(operator.is_silent(Duration::from_millis(300)));
    assert_eq!(keeps.value("select a from t"), "7");
    keeps.bye();
    assert_eq!(said(&operator.until_ready()), ["PAUSE", "ready I"]);
}

#[test]
fn connections_are_made_anew_after_a_reconnect_and_nobody_notices() {
    let stage = Stage::with_pool_of(2);
    let (mut idle, mut works, mut keeps) = (stage.client(), stage.client(), stage.client());
    let pid_in = |state: &str| {
        let pids = "select string_agg(pid::text, ' ') from pg_stat_activity where datname = ";
        let mine = "pid <> pg_backend_pid()";
        stage.directly(&format!(
            "{pids} current_database() and state = '{state}' and {mine}"
        ))
    };
    keeps.run("create temp table t as select 7 as a");
    let of_keeps = pid_in("idle");
    works.run("begin; select 1");
    let of_works = pid_in("idle in transaction");
    idle.run("select 1");
    let of_idle = pid_in("idle").replace(&of_keeps, "").trim().to_owned();
    assert_eq!(stage.connections(), 3);
    console(&stage).run(&format!("reconnect {}", stage.database));
    let alive = |pid: &str| {
        stage.directly(&format!(
            "select count(*) from pg_stat_activity where pid = {pid}"
        )) == "1"
    };
    eventually("what was idle is gone", || !alive(&of_idle));
    assert_eq!(pid_in("idle in transaction"), of_works);
    works.run("commit");
    eventually("what was in use is gone", || !alive(&of_works));
    assert_eq!(
        (works.value("select 1"), idle.value("select 2")),
        ("1".to_owned(), "2".to_owned())
    );
    assert_eq!(keeps.value("select a from t"), "7");
    assert!(alive(&of_keeps));
}

#[test]
fn a_client_that_is_killed_is_sent_away_and_leaves_nothing() {
    let stage = Stage::new(&["--workers", "2", "--pool-size", "2"]);
    stage.directly("create table t (a int)");
    let mut others = stage.client();
    let mut client = stage.client_with(&[("application_name", "doomed")]);
    client.run("begin; insert into t values (1)");
    let clients = Shown::of(stage.port(), "clients");
    let id = clients.where_is("application_name", "doomed")[0][clients.at("id")].clone();
    let mut operator = console(&stage);
    operator.run(&format!("KILL_CLIENT {id}"));
    let last = client.until_closed();
    assert_eq!(
        (error(&last).code(), error(&last).field(b'S')),
        ("57P01".to_owned(), "FATAL".to_owned())
    );
    assert_eq!(stage.directly("lock table t; select count(*) from t"), "0");
    assert_eq!(others.value("select 1"), "1");
    for id in [id.as_str(), "999999", "nobody"] {
        assert_eq!(
            operator.failure(&format!("kill_client {id}")).code(),
            "42704"
        );
    }
}

#[test]
fn a_replication_connection_is_shown_and_can_be_killed() {
    let stage = Stage::new(&["--workers", "2"]);
    let settings = [
        ("replication", "database"),
        ("application_name", "follower"),
    ];
    let mut follower = Wire::login(stage.port(), &stage.database, &settings).unwrap();
    let clients = Shown::of(stage.port(), "clients");
    let shown = clients.where_is("application_name", "follower")[0];
    let told =
        ["user", "database", "state", "wait"].map(|column| shown[clients.at(column)].as_str());
    assert_eq!(told, ["postgres", &stage.database, "active", "0"]);
    console(&stage).run(&format!("KILL_CLIENT {}", shown[clients.at("id")]));
    let last = follower.until_closed();
    assert_eq!(error(&last).code(), "57P01");
}

#[test]
fn a_shutdown_is_a_sigterm() {
    let mut stage = Stage::new(&["--workers", "2", "--set", "shutdown.grace=300ms"]);
    let mut works = stage.client();
    works.run("begin; select 1");
    let mut operator = console(&stage);
    assert_eq!(said(&operator.query("SHUTDOWN")), ["SHUTDOWN", "ready I"]);
    // The grace: everything works.
    assert_eq!(stage.client().value("select 1"), "1");
    assert_eq!(error(&operator.until_closed()).code(), "57P01");
    works.run("commit");
    assert_eq!(error(&works.until_closed()).code(), "57P01");
    assert!(stage.served.ended_within(PATIENCE).success());
}

#[test]
fn an_operator_gets_in_when_the_house_is_full() {
    let stage = Stage::new(&["--set", "listen.max_clients=1"]);
    let mut client = stage.client();
    let refused = Wire::login(stage.port(), &stage.database, &[]).unwrap_err();
    assert_eq!(refused.code(), "53300");
    assert_eq!(console(&stage).value("select 1"), "1");
    assert_eq!(client.value("select 2"), "2");
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let stage = Stage::with_pool_of(1);
    let mut operator = console(&stage);
    for (sql, code) in [
        ("reload", "0A000"),
        ("disable app", "0A000"),
        ("kill app", "0A000"),
        ("breaker open here", "0A000"),
        ("show retries", "0A000"),
        ("shutdown wait_for_clients", "0A000"),
        ("drop table t", "42601"),
        ("show", "42601"),
    ] {
        assert_eq!(operator.failure(sql).code(), code, "{sql}");
    }
    assert_eq!(operator.value("select 1"), "1");
}

#[test]
fn a_database_of_that_name_is_the_application_s() {
    let cluster = support::cluster();
    let direct = |sql| support::psql(cluster.port(), "postgres", sql);
    direct("create database pgbouncer");
    let address = format!("address = \"127.0.0.1:{}\"", cluster.port());
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("[databases.pgbouncer]\n[[databases.pgbouncer.backends]]\n{address}\n");
    std::fs::write(file.path(), text).unwrap();
    let served = Served::ambassador_with(&["--config", file.path().to_str().unwrap()]);
    let mut wire = operator(served.port());
    assert_eq!(wire.value("select current_database()"), "pgbouncer");
    let mut console = Wire::login(served.port(), "ambassador", &[]).unwrap();
    assert_eq!(console.failure("pause nosuch").code(), "3D000");
    let shown = Shown::with(served.port(), "ambassador", "config");
    let value = |key| shown.where_is("key", key)[0][1].clone();
    assert_eq!(value("databases.pgbouncer.pool_size"), "20");
    direct("drop database pgbouncer with (force)");
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let stage = Stage::with(3, &["users.\"*\".upstream_password=hunter2"]);
    let config = Shown::of(stage.port(), "config");
    let row = config.where_is("key", "databases.\"*\".pool_size")[0];
    assert_eq!(row[1..], ["3", "20", "no"]);
    assert!(
        config
            .rows
            .iter()
            .flatten()
            .all(|value| !value.contains("hunter2"))
    );
}

/// What psql shows of the console, or the error that it hears.
fn ask(house: &House, user: &str, password: &str, command: &str) -> Result<String, String> {
    let ended = clients::psql_as(house.port(), "pgbouncer", user, password, command);
    if ended.status.success() {
        return Ok(String::from_utf8(ended.stdout).unwrap().trim().to_owned());
    }
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    let at = told.find("FATAL").or_else(|| told.find("ERROR"));
    Err(told[at.unwrap_or_default()..].trim().to_owned())
}

const OPERATORS: [&str; 4] = [
    "--set",
    "admin.console_users=[\"scrammed\", \"ghost\"]",
    "--set",
    "admin.stats_users=[\"other\"]",
];

/// Where some database asks for passwords.
#[test]
fn an_operator_proves_who_he_is_and_does_what_his_list_allows() {
    let entries = format!(
        "auth.method = \"scram-sha-256\"
users.scrammed.password = '{}'
users.other.password = \"PASSWORD\"
users.open.password = \"PASSWORD\"",
        stored("scrammed")
    );
    for auth in [entries.as_str(), ASKING] {
        let house = House::with(auth, &OPERATORS);
        let may = |user, command| ask(&house, user, PASSWORD, command);
        assert!(may("scrammed", "show pools").is_ok(), "{auth}");
        assert_eq!(may("scrammed", "reconnect"), Ok(String::new()));
        assert!(may("other", "show pools").is_ok());
        let denied = may("other", "reconnect").unwrap_err();
        assert!(denied.contains("other"), "{denied}");
        // He is who he says, and no operator.
        let open = may("open", "show pools").unwrap_err();
        let expected = "FATAL:  ambassador: user \"open\" may not open the console";
        assert!(open.starts_with(expected), "{open}");
        assert_eq!(house.is("open"), "open");
    }
}

#[test]
fn who_is_no_operator_is_asked_and_told_what_a_stranger_is() {
    let house = House::with(ASKING, &OPERATORS);
    for user in ["scrammed", "other", "open", "ghost", "stranger"] {
        let told = ask(&house, user, WRONG, "show pools");
        assert_eq!(told, Err(wrong(user)));
    }
    // In the list, and known to nobody: no password is his.
    let told = ask(&house, "ghost", PASSWORD, "show pools");
    assert_eq!(told, Err(wrong("ghost")));
    let asked = |user: &str| {
        let mut wire = Wire::open(house.port());
        let who = [("user", user), ("database", "pgbouncer")];
        wire.send(&startup(VERSION, &who));
        wire.frame()
    };
    let stranger = asked("stranger");
    assert_eq!(stranger.tag, b'R');
    for user in ["scrammed", "ghost", "open"] {
        assert_eq!(asked(user), stranger, "{user}");
    }
    let told = clients::refused(house.port(), "pgbouncer", "ghost", WRONG);
    assert!(told.contains("28P01"), "{told}");
}

#[test]
fn a_password_that_is_everybody_s_makes_no_operator() {
    let everybody = "auth.method = \"scram-sha-256\"\nusers.\"*\".password = \"PASSWORD\"";
    let house = House::with(everybody, &OPERATORS);
    assert_eq!(house.is("scrammed"), "scrammed");
    let told = ask(&house, "scrammed", PASSWORD, "show pools");
    assert_eq!(told, Err(wrong("scrammed")));
}

/// One database that asks for a password is enough: the console stops them all.
#[test]
fn trust_in_another_database_opens_no_console() {
    let port = crate::house::cluster().port();
    let auth = format!(
        "users.scrammed.password = \"PASSWORD\"
[databases.strict]
backends = [{{ address = \"127.0.0.1:{port}\" }}]
auth.method = \"scram-sha-256\"
users.open.password = \"PASSWORD\""
    );
    let house = House::with(&auth, &OPERATORS);
    assert_eq!(house.try_as("scrammed", WRONG), Ok("scrammed".to_owned()));
    assert_eq!(
        ask(&house, "scrammed", WRONG, "show pools"),
        Err(wrong("scrammed"))
    );
    assert!(ask(&house, "scrammed", PASSWORD, "show pools").is_ok());
}

#[test]
fn why_a_statement_goes_where_it_goes_is_shown_without_its_values() {
    let always = "databases.\"*\".routing.verdicts=always";
    let stage = Stage::new(&["--workers", "1", "--set", always]);
    stage.directly(
        "create function discount(int) returns int language sql volatile as 'select $1 - 1'",
    );
    let mut client = stage.client();
    let routes = || Shown::of(stage.port(), "routes");
    eventually("the catalog is known", || {
        client.run("select discount(100) as secret");
        let shown = routes();
        let column = shown.at("because_of");
        shown.rows.iter().any(|row| row[column] == "discount")
    });
    for value in 0..3 {
        client.run(&format!("select {value} in (4711, 4712) /* 4713 */"));
    }
    client.ask(&[
        crate::wire::parse("s", "select $1 = 'x'"),
        crate::wire::sync(),
    ]);
    for _ in 0..2 {
        client.ask(&[crate::wire::again("s", &["a"]), crate::wire::sync()]);
    }
    let shown = routes();
    let of = |statement: &str, column: &str| {
        let rows = shown.where_is("statement", statement);
        let rows: Vec<_> = rows
            .iter()
            .filter(|row| row[shown.at("database")] == stage.database)
            .collect();
        assert_eq!(rows.len(), 1, "{statement}: {rows:?}");
        rows[0][shown.at(column)].clone()
    };
    let volatile = "select discount(?) as secret";
    assert_eq!(of(volatile, "reason"), "volatile_function");
    assert_eq!(of(volatile, "class"), "read");
    assert_eq!(of(volatile, "role"), "any");
    let plain = "select ? in (?, …)";
    assert_eq!(of(plain, "total_count"), "3");
    assert_eq!(of(plain, "reason"), "proven_read");
    assert_eq!(of(plain, "because_of"), "");
    assert_eq!(of("select $1 = ?", "total_count"), "2");
    assert!(!shown.rows.iter().flatten().any(|cell| cell.contains("471")));
}
