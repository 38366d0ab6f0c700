//! psql, pgbench and tokio-postgres against a port of loopback, none of them forever.
//! Never asserts what they say, only that they could say it.

use std::{
    process::{Command, Output},
    sync::OnceLock,
    time::Duration,
};

use pg_ambassador::app::cluster::{SUPERUSER, binaries::Binaries, client};

/// Longer than anything that works; a test that meets it reports a hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn program(name: &'static str) -> Command {
    static FOUND: OnceLock<Binaries> = OnceLock::new();
    let found = FOUND.get_or_init(|| Binaries::find().unwrap());
    let nowhere = std::path::Path::new("/");
    client::untouched(&found.program(name).unwrap(), nowhere)
}

pub fn url(port: u16, database: &str) -> String {
    format!("postgresql://{SUPERUSER}@127.0.0.1:{port}/{database}")
}

/// What psql prints for the statements, unaligned and without headers. Its failure is the test's.
pub fn psql(port: u16, database: &str, sql: &str) -> String {
    let ended = try_psql(port, database, sql);
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success(), "psql, {sql}: {err}");
    out.trim_end().to_owned()
}

/// As [`psql`], with a first line of the columns' names.
pub fn psql_table(port: u16, database: &str, sql: &str) -> String {
    let mut psql = program("psql");
    psql.args(["-X", "-A", "-q", "-P", "footer=off", "-c", sql])
        .arg(url(port, database));
    let ended = client::finish(&mut psql, "psql", PATIENCE).unwrap();
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success(), "psql, {sql}: {err}");
    out
}

/// As [`psql`], for statements that may fail.
pub fn try_psql(port: u16, database: &str, sql: &str) -> Output {
    let mut psql = program("psql");
    psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .arg(url(port, database));
    client::finish(&mut psql, "psql", PATIENCE).unwrap()
}

/// As [`try_psql`], with a connection string of one's own: `host=… sslmode=…`.
pub fn psql_to(conninfo: &str, sql: &str) -> Output {
    let mut psql = program("psql");
    psql.args([
        "-X",
        "-A",
        "-t",
        "-q",
        "-w",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        sql,
    ])
    .args(["-d", conninfo]);
    client::finish(&mut psql, "psql", PATIENCE).unwrap()
}

/// What pgbench found.
#[derive(Debug, Clone)]
pub struct Bench {
    pub transactions: u64,
    pub failed: u64,
    /// Without the time that connecting took, unless `-C` was asked for.
    pub tps: f64,
    /// The whole report.
    pub report: String,
}

/// Runs pgbench with these arguments (say how long: `-T` or `-t`) and reads its report. An aborted
/// client, which pgbench reports as a failure of its own, is the test's failure too.
pub fn pgbench(port: u16, database: &str, args: &[&str]) -> Bench {
    pgbench_at(&url(port, database), args)
}

/// The same for whoever the URL names.
pub fn pgbench_at(url: &str, args: &[&str]) -> Bench {
    let report = run_pgbench_at(url, &[&["--no-vacuum"], args].concat());
    Bench {
        transactions: figure(&report, "number of transactions actually processed: ")
            .unwrap_or_else(|| panic!("no transactions in: {report}")),
        failed: figure(&report, "number of failed transactions: ").unwrap_or(0),
        tps: figure(&report, "tps = ").unwrap_or_else(|| panic!("no tps in: {report}")),
        report,
    }
}

pub fn run_pgbench(port: u16, database: &str, args: &[&str]) -> String {
    run_pgbench_at(&url(port, database), args)
}

fn run_pgbench_at(url: &str, args: &[&str]) -> String {
    let mut pgbench = program("pgbench");
    pgbench.args(args).arg(url);
    client::succeed(&mut pgbench, "pgbench", PATIENCE + duration(args))
        .unwrap_or_else(|error| panic!("pgbench {args:?}: {error}"))
}

/// The seconds of `-T`.
fn duration(args: &[&str]) -> Duration {
    let after = args.iter().skip_while(|arg| **arg != "-T").nth(1);
    let seconds = after.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The number behind the words, up to what is no part of it ("1234/1234", "12.3 (…)").
fn figure<T: std::str::FromStr>(report: &str, words: &str) -> Option<T> {
    let rest = report.split_once(words)?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    rest.split_at(end.unwrap_or(rest.len())).0.parse().ok()
}

/// A tokio-postgres client; its connection ends with the runtime.
pub async fn connect(port: u16, database: &str) -> tokio_postgres::Client {
    let url = url(port, database);
    let connecting = tokio_postgres::connect(&url, tokio_postgres::NoTls);
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    let (client, connection) = connected
        .unwrap_or_else(|_| panic!("a hang in connecting"))
        .unwrap();
    tokio::spawn(connection);
    client
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// psql as somebody with a password; it may fail.
pub fn psql_as(port: u16, database: &str, user: &str, password: &str, sql: &str) -> Output {
    psql_as_at("127.0.0.1", port, database, user, password, sql)
}

/// The same on another address, or in a folder with a Unix socket.
pub fn psql_as_at(
    host: &str,
    port: u16,
    database: &str,
    user: &str,
    password: &str,
    sql: &str,
) -> Output {
    let mut psql = program("psql");
    psql.args(["-X", "-A", "-t", "-q", "-w", "-c", sql])
        .args([
            "-h",
            host,
            "-p",
            &port.to_string(),
            "-U",
            user,
            "-d",
            database,
        ])
        .env("PGPASSWORD", password);
    client::finish(&mut psql, "psql", PATIENCE).unwrap()
}

/// Why tokio-postgres is not let in.
pub fn refused(port: u16, database: &str, user: &str, password: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).dbname(database);
        config.user(user).password(password);
        match config.connect(tokio_postgres::NoTls).await {
            Ok(_) => panic!("it let {user} in"),
            Err(error) => format!("{error:?}"),
        }
    })
}
