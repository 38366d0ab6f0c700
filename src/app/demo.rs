//! `pg-ambassador demo`: a throw-away Postgres, the ambassador in front, and lines to try it with.
//! Never leaves anything behind, and never knows how the ambassador serves: that is handed in.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
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
}

/// Where the ambassador is to listen, and for which server.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub listen: SocketAddr,
    /// A URL with a user and no password: the server trusts loopback.
    pub upstream: String,
    pub upstream_port: u16,
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
/// `Wanted::listen`, with a guard whose drop stops it.
pub fn run<Running, Failure>(
    options: Options,
    serve: impl FnOnce(&Wanted) -> Result<Running, Failure>,
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
    serve: impl FnOnce(&Wanted) -> Result<Running, DemoError>,
) -> Result<(), DemoError> {
    // Until here Ctrl-C simply ends us, and the cluster's guardian cleans up.
    let cluster = Cluster::start(&ClusterOptions::default())?;
    fill(&cluster)?;
    let farewell = Farewell::expect().map_err(DemoError::Signals)?;
    let wanted = Wanted {
        listen: free_port().ok_or(DemoError::NoPort)?,
        upstream: cluster.url(DATABASE),
        upstream_port: cluster.port(),
    };
    let running = serve(&wanted)?;
    greet(out, &cluster, &wanted)?;
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
    drop(cluster);
    Ok(())
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

fn bench(out: &mut impl Write, cluster: &Cluster, wanted: &Wanted) -> Result<(), DemoError> {
    writeln!(out, "\npgbench {} through the ambassador:", BENCH.join(" "))?;
    out.flush()?;
    let mut pgbench = cluster.client("pgbench")?;
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

fn free_port() -> Option<SocketAddr> {
    PORTS
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
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
    use std::{net::TcpStream, thread};

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
        };
        let mut upstream = 0;
        show(once, &mut out, |wanted| {
            upstream = wanted.upstream_port;
            hand_on(wanted).map_err(|why| DemoError::Serve(why.into()))
        })
        .unwrap();
        let told = String::from_utf8(out).unwrap();
        for part in ["DATABASE_URL=postgresql://", "psql postgresql://", "tps = "] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).is_err());
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
