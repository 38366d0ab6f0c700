//! The tests' support keeps its own promises.

#![expect(clippy::unwrap_used, reason = "here a failure is a failed test")]

#[path = "mod.rs"]
mod support;

use std::{
    env,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::{Cluster, Stop};
use support::Served;

/// Set in the processes that these tests start from themselves.
const ROLE: &str = "SUPPORT_TEST_ROLE";

/// The very test that calls this, in a process of its own with a part to play.
fn myself(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, role);
    command
}

fn role() -> Option<String> {
    env::var(ROLE).ok()
}

fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

#[tokio::test]
async fn the_shared_cluster_answers_a_driver() {
    let client = support::connect(support::cluster().port(), "postgres").await;
    let row = client.query_one("select 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[test]
fn a_database_is_each_tests_own() {
    let cluster = support::cluster();
    let (one, other) = (support::database(cluster), support::database(cluster));
    support::psql(cluster.port(), &one, "create table mine (x int)");
    let seen = "select count(*) from pg_class where relname = 'mine'";
    assert_eq!(support::psql(cluster.port(), &one, seen), "1");
    assert_eq!(support::psql(cluster.port(), &other, seen), "0");
}

#[test]
fn a_failed_statement_is_seen() {
    let ended = support::try_psql(support::cluster().port(), "postgres", "select 1/0");
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("division by zero"), "{said}");
}

#[test]
fn pgbench_is_run_and_its_report_is_read() {
    let cluster = support::cluster();
    let database = support::pgbench_database(cluster, 1);
    let bench = support::pgbench(cluster.port(), &database, &["-S", "-c", "2", "-t", "50"]);
    assert_eq!((bench.transactions, bench.failed), (100, 0));
    assert!(bench.tps > 1.0, "{}", bench.report);
}

#[test]
fn a_replica_follows_rests_when_told_and_takes_over() {
    let mut primary = support::own_cluster(support::options());
    let mut replica = primary.replica(&support::options()).unwrap();
    let seen = "select count(*) from t";
    primary.ask("create table t (x int)").unwrap();
    replica.catch_up(&primary).unwrap();
    replica.pause_replay().unwrap();
    primary.ask("insert into t values (1)").unwrap();
    assert_eq!(replica.ask(seen).unwrap(), "0");
    replica.resume_replay().unwrap();
    replica.catch_up(&primary).unwrap();
    assert_eq!(replica.ask(seen).unwrap(), "1");
    replica.stop(Stop::Kill).unwrap();
    replica.run().unwrap();
    replica.catch_up(&primary).unwrap();
    primary.stop(Stop::Kill).unwrap();
    replica.promote().unwrap();
    replica.ask("insert into t values (2)").unwrap();
    assert_eq!(replica.ask(seen).unwrap(), "2");
}

#[test]
fn a_dropped_cluster_leaves_no_folder_and_no_process() {
    let cluster = support::own_cluster(support::options());
    let (folder, pid) = (cluster.folder().to_owned(), cluster.pid().unwrap());
    assert!(folder.exists() && alive(pid));
    drop(cluster);
    assert!(!folder.exists() && !alive(pid));
}

#[test]
fn a_frozen_or_crashed_cluster_leaves_nothing_either() {
    let freeze = |cluster: &mut Cluster| cluster.signal("STOP").unwrap();
    let crash = |cluster: &mut Cluster| cluster.stop(Stop::Kill).unwrap();
    for break_it in [freeze, crash] {
        let mut cluster = support::own_cluster(support::options());
        let (folder, pid) = (cluster.folder().to_owned(), cluster.pid().unwrap());
        break_it(&mut cluster);
        drop(cluster);
        assert!(!folder.exists() && !alive(pid));
    }
}

#[test]
fn a_test_that_is_killed_leaves_no_cluster_behind() {
    let test = "a_test_that_is_killed_leaves_no_cluster_behind";
    if role().is_some() {
        tell_of(support::cluster());
        wait_to_be_killed();
    }
    let mut child = started(myself(test, "victim"));
    let (pid, folder) = told(&mut child);
    assert!(Path::new(&folder).exists() && alive(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = within(Duration::from_secs(15), || !Path::new(&folder).exists());
    assert!(gone && !alive(pid), "{folder} and {pid} are still there");
}

#[test]
fn a_test_that_just_ends_leaves_no_shared_cluster_behind() {
    let test = "a_test_that_just_ends_leaves_no_shared_cluster_behind";
    if role().is_some() {
        tell_of(support::cluster());
        return;
    }
    let mut child = started(myself(test, "victim"));
    let (pid, folder) = told(&mut child);
    assert!(child.wait().unwrap().success());
    let gone = within(Duration::from_secs(15), || !Path::new(&folder).exists());
    assert!(gone && !alive(pid), "{folder} and {pid} are still there");
}

#[test]
fn a_served_program_is_waited_for_and_ends_with_its_test() {
    let test = "a_served_program_is_waited_for_and_ends_with_its_test";
    if let Some(port) = role() {
        accept_slowly(port.parse().unwrap());
    }
    let served = Served::start(|port| myself(test, &port.to_string()));
    let (port, pid) = (served.port(), served.pid());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    assert!(served.log().contains("listening"), "{}", served.log());
    drop(served);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    assert!(!alive(pid));
}

#[test]
fn a_test_that_is_killed_leaves_no_served_program_behind() {
    let test = "a_test_that_is_killed_leaves_no_served_program_behind";
    match role().as_deref() {
        Some("victim") => {
            let served = Served::start(|port| myself(test, &port.to_string()));
            tell(served.pid(), Path::new(""));
            wait_to_be_killed();
        }
        Some(port) => accept_slowly(port.parse().unwrap()),
        None => {}
    }
    let mut child = started(myself(test, "victim"));
    let (pid, _) = told(&mut child);
    assert!(alive(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(within(Duration::from_secs(15), || !alive(pid)));
}

#[test]
#[should_panic(expected = "it ended")]
fn a_served_program_that_ends_at_once_is_reported_with_what_it_said() {
    Served::start(|_| {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such file; exit 1"]);
        command
    });
}

fn accept_slowly(port: u16) -> ! {
    thread::sleep(Duration::from_millis(100));
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    println!("listening");
    wait_to_be_killed()
}

/// Not forever, should nobody kill us.
fn wait_to_be_killed() -> ! {
    thread::sleep(Duration::from_secs(60));
    std::process::exit(1);
}

fn started(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).spawn().unwrap()
}

const MARK: &str = "cluster: ";

fn tell_of(cluster: &Cluster) {
    tell(cluster.pid().unwrap(), cluster.folder());
}

fn tell(pid: u32, folder: &Path) {
    println!("{MARK}{pid} {}", folder.display());
}

/// The process id and the folder that the child told.
fn told(child: &mut Child) -> (u32, String) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = lines.find_map(|line| Some(line.unwrap().split_once(MARK)?.1.to_owned()));
    let line = line.unwrap();
    let (pid, folder) = line.split_once(' ').unwrap();
    (pid.parse().unwrap(), folder.to_owned())
}

fn alive(pid: u32) -> bool {
    let asked = Command::new("sh")
        .args(["-c", r#"kill -s 0 "$1""#, "kill", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    asked.unwrap().success()
}
