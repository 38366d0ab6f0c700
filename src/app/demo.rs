//! `pg-ambassador demo`: a throw-away Postgres, the ambassador in front, and lines to try it with.
//! Never leaves anything behind, and never knows how the ambassador serves: that is handed in.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
    os::unix::process::CommandExt,
    process::ExitCode,
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::cluster::{Cluster, ClusterError, Options as ClusterOptions, SUPERUSER, client};

/// The port that every DATABASE_URL knows, and the ones to take when somebody has it.
const PORTS: RangeInclusive<u16> = 5432..=5532;
const DATABASE: &str = "postgres";
const BENCH: &[&str] = &["-S", "-c", "8", "-T", "3"];
const BENCH_PATIENCE: Duration = Duration::from_secs(60);
/// What of pgbench's report a person wants to see.
const TELLING: &[&str] = &["number of", "latency", "initial connection", "tps"];

/// What the command line asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Run pgbench through the ambassador, print its report, and end.
    pub once: bool,
    /// Run pgbench through the ambassador first, and stay up.
    pub bench: bool,
    /// So many that stream from the primary.
    pub replicas: u16,
}

/// Where the ambassador is to listen, and for which server.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub listen: SocketAddr,
    /// A URL with a user and no password: the server trusts loopback.
    pub upstream: String,
    pub upstream_port: u16,
    /// As `upstream`, of each replica.
    pub replicas: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot run a throw-away Postgres")]
    Cluster(#[from] ClusterError),
    #[error("the ports {} to {} of 127.0.0.1 are all taken", PORTS.start(), PORTS.end())]
    NoPort,
    #[error("cannot serve")]
    Serve(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// Runs the demo until Ctrl-C or SIGTERM, or with `once` until its report.
///
/// `serve` is the seam to the rest of the program: it returns once the ambassador accepts on
/// `Wanted::listen`, with a guard whose drop stops it. It is called again, for the next port, when
/// somebody else was faster to take the one before.
pub fn run<Running, Failure>(
    options: Options,
    mut serve: impl FnMut(&Wanted) -> Result<Running, Failure>,
) -> ExitCode
where
    Failure: Into<Box<dyn Error + Send + Sync>>,
{
    let serve = |wanted: &Wanted| serve(wanted).map_err(|why| DemoError::Serve(why.into()));
    match show(options, &mut io::stdout(), serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn show<Running>(
    options: Options,
    out: &mut impl Write,
    serve: impl FnMut(&Wanted) -> Result<Running, DemoError>,
) -> Result<(), DemoError> {
    // Until here Ctrl-C simply ends us, and the cluster's guardian cleans up.
    let cluster = Cluster::start(&ClusterOptions::default())?;
    fill(&cluster)?;
    let replica = |_| cluster.replica(&ClusterOptions::default());
    let replicas: Result<Vec<Cluster>, _> = (0..options.replicas).map(replica).collect();
    let replicas = replicas?;
    let farewell = Farewell::expect().map_err(DemoError::Signals)?;
    let (wanted, running) = serve_on_a_free_port(&cluster, &replicas, serve)?;
    greet(out, &cluster, &wanted)?;
    introduce(out, &cluster, &replicas, &wanted)?;
    if options.once || options.bench {
        bench(out, &cluster, &wanted)?;
    }
    if !options.once {
        writeln!(out, "\nCtrl-C ends it and removes everything.")?;
        out.flush()?;
        farewell.wait();
        writeln!(out, "\nRemoving everything.")?;
    }
    // The ambassador first: its clients hear a goodbye, not a lost server.
    drop(running);
    drop(replicas);
    drop(cluster);
    Ok(())
}

/// On the first port that is free, and still is when the ambassador comes to listen on it.
fn serve_on_a_free_port<Running>(
    cluster: &Cluster,
    replicas: &[Cluster],
    mut serve: impl FnMut(&Wanted) -> Result<Running, DemoError>,
) -> Result<(Wanted, Running), DemoError> {
    let addresses = PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    for listen in addresses.filter(is_free) {
        let wanted = Wanted {
            listen,
            upstream: cluster.url(DATABASE),
            upstream_port: cluster.port(),
            replicas: replicas.iter().map(|one| one.url(DATABASE)).collect(),
        };
        match serve(&wanted) {
            Ok(running) => return Ok((wanted, running)),
            Err(why) if is_free(&listen) => return Err(why),
            // Somebody was faster.
            Err(_) => {}
        }
    }
    Err(DemoError::NoPort)
}

/// Makes pgbench's tables, without which its line would not work.
fn fill(cluster: &Cluster) -> Result<(), DemoError> {
    let mut pgbench = cluster.client("pgbench")?;
    pgbench.args(["-i", "-q", "-s", "1"]);
    pgbench.arg(cluster.url(DATABASE));
    client::succeed(&mut pgbench, "pgbench -i", BENCH_PATIENCE)?;
    Ok(())
}

fn greet(out: &mut impl Write, cluster: &Cluster, wanted: &Wanted) -> Result<(), DemoError> {
    let url = url(wanted);
    let version = cluster.version().unwrap_or_default();
    let (psql, pgbench) = (callable(cluster, "psql")?, callable(cluster, "pgbench")?);
    writeln!(
        out,
        "pg-ambassador listens on {}, in front of a throw-away Postgres {version} on port {}.\n",
        wanted.listen, wanted.upstream_port
    )?;
    writeln!(out, "  DATABASE_URL={url}")?;
    writeln!(out, "  {psql} {url}")?;
    writeln!(out, "  {pgbench} {} {url}", BENCH.join(" "))?;
    out.flush()?;
    Ok(())
}

/// Where the replicas are, and where to see what becomes of them and of a statement.
fn introduce(
    out: &mut impl Write,
    cluster: &Cluster,
    replicas: &[Cluster],
    wanted: &Wanted,
) -> Result<(), DemoError> {
    if replicas.is_empty() {
        return Ok(());
    }
    let ports: Vec<String> = replicas.iter().map(|one| one.port().to_string()).collect();
    let psql = callable(cluster, "psql")?;
    writeln!(
        out,
        "\nIts replicas are on the ports {}.\n",
        ports.join(", ")
    )?;
    let console = format!("postgresql://{SUPERUSER}@{}/ambassador", wanted.listen);
    writeln!(out, "  {psql} {console} -c 'SHOW BACKENDS'")?;
    let flags = wanted
        .replicas
        .iter()
        .map(|url| format!(" --replica {url}"));
    let flags: String = flags.collect();
    writeln!(
        out,
        "  pg-ambassador route --upstream {}{flags} --connect 'SELECT * FROM pgbench_accounts'",
        wanted.upstream
    )?;
    out.flush()?;
    Ok(())
}

fn bench(out: &mut impl Write, cluster: &Cluster, wanted: &Wanted) -> Result<(), DemoError> {
    writeln!(out, "\npgbench {} through the ambassador:", BENCH.join(" "))?;
    out.flush()?;
    let mut pgbench = cluster.client("pgbench")?;
    // A terminal's Ctrl-C is for us: the report, seconds away, is not cut off by it.
    pgbench.process_group(0);
    pgbench.args(BENCH).arg("--no-vacuum").arg(url(wanted));
    let told = client::succeed(&mut pgbench, "pgbench", BENCH_PATIENCE)?;
    let telling = told
        .lines()
        .filter(|line| TELLING.iter().any(|start| line.starts_with(start)));
    for line in telling {
        writeln!(out, "  {line}")?;
    }
    out.flush()?;
    Ok(())
}

fn url(wanted: &Wanted) -> String {
    format!("postgresql://{SUPERUSER}@{}/{DATABASE}", wanted.listen)
}

/// A program's bare name when the shell would find it, else its whole path.
fn callable(cluster: &Cluster, name: &'static str) -> Result<String, DemoError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if on_path {
        return Ok(name.to_owned());
    }
    Ok(cluster.bin(name)?.display().to_string())
}

fn is_free(address: &SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// The signals that end the demo, caught from the moment this exists.
struct Farewell {
    runtime: tokio::runtime::Runtime,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Farewell {
    fn expect() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let within = runtime.enter();
        let (interrupt, terminate, hang_up) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        drop(within);
        Ok(Self {
            runtime,
            interrupt,
            terminate,
            hang_up,
        })
    }

    /// Returns at once when one has come meanwhile.
    fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hang_up.recv() => {}
            }
        });
    }
}

fn report(error: &DemoError) {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        told.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    // Whoever closed standard error does not want to hear it.
    let _ = writeln!(io::stderr(), "pg-ambassador demo: {told}");
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "here a failure is a failed test")]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpStream,
        process::{Command, Stdio},
        thread,
    };

    use super::*;

    /// The least an ambassador can be: every byte handed on.
    fn hand_on(wanted: &Wanted) -> io::Result<()> {
        let (listener, upstream) = (TcpListener::bind(wanted.listen)?, wanted.upstream_port);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut from, &mut to));
                let (mut from, mut to) = (server, client);
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    to.shutdown(std::net::Shutdown::Both)
                });
            }
        });
        Ok(())
    }

    #[test]
    fn the_demo_prints_lines_to_try_it_with_and_a_report_and_leaves_nothing() {
        let mut out = Vec::new();
        let once = Options {
            once: true,
            bench: false,
            replicas: 1,
        };
        let mut upstream = 0;
        let mut replicas = Vec::new();
        show(once, &mut out, |wanted| {
            upstream = wanted.upstream_port;
            replicas.clone_from(&wanted.replicas);
            hand_on(wanted).map_err(|why| DemoError::Serve(why.into()))
        })
        .unwrap();
        let told = String::from_utf8(out).unwrap();
        let parts = [
            "DATABASE_URL=postgresql://",
            "psql postgresql://",
            "SHOW BACKENDS",
            " --replica postgresql://",
            "tps = ",
        ];
        for part in parts {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).is_err());
        let [replica] = replicas.as_slice() else {
            unreachable!("not one replica: {replicas:?}")
        };
        let (_, rest) = replica.split_once('@').unwrap();
        let (address, _) = rest.split_once('/').unwrap();
        assert!(TcpStream::connect(address).is_err());
    }

    /// Plays the demo in a process of its own, since signals are a process's.
    #[test]
    fn ctrl_c_ends_the_demo_well_and_removes_everything() {
        const ROLE: &str = "DEMO_TEST_ROLE";
        let test = "app::demo::tests::ctrl_c_ends_the_demo_well_and_removes_everything";
        if env::var_os(ROLE).is_some() {
            assert_eq!(run(Options::default(), hand_on), ExitCode::SUCCESS);
            return;
        }
        let mut demo = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, "demo")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        let mut line_with = |part: &str| {
            let mut lines = lines.by_ref().map(Result::unwrap);
            lines.find(|line| line.contains(part)).unwrap()
        };
        let port = line_with("on port ").replace('.', " ");
        let port = port.split_whitespace().next_back().unwrap();
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
        line_with("Ctrl-C");
        assert!(TcpStream::connect(upstream).is_ok());
        let interrupt = format!("kill -s INT {}", demo.id());
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap();
        line_with("Removing everything");
        assert!(demo.wait().unwrap().success());
        assert!(TcpStream::connect(upstream).is_err());
    }

    #[test]
    fn a_port_that_is_taken_at_the_last_moment_is_passed_by() {
        let mut faster = Vec::new();
        let mut out = Vec::new();
        let once = Options {
            once: true,
            ..Options::default()
        };
        show(once, &mut out, |wanted| {
            if faster.is_empty() {
                faster.push(TcpListener::bind(wanted.listen).unwrap());
            }
            hand_on(wanted).map_err(|why| DemoError::Serve(why.into()))
        })
        .unwrap();
        let taken = faster.first().unwrap().local_addr().unwrap();
        let told = String::from_utf8(out).unwrap();
        assert!(!told.contains(&format!("{taken}/")), "{told}");
    }

    #[test]
    fn a_server_that_cannot_serve_ends_the_demo_with_its_reason() {
        let refused = show(Options::default(), &mut Vec::new(), |_| {
            Err::<(), _>(DemoError::Serve("no listener".into()))
        });
        let refused = refused.unwrap_err();
        assert_eq!(refused.source().unwrap().to_string(), "no listener");
    }
}
