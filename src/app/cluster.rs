//! A throw-away Postgres from the programs on this machine, for the demo, the tests and the benches.
//! Never listens beyond loopback, never outlives this process, never keeps a byte.
//!
//! Everything here blocks; call it outside a runtime, or from a thread of its own.

pub mod binaries;
pub mod client;
pub mod guardian;
mod home;
mod replica;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use self::{
    binaries::Binaries,
    home::{Home, at},
};

/// The one superuser; every login from loopback is trusted unless [`Options::hba`] says otherwise.
pub const SUPERUSER: &str = "postgres";

/// Counts up when initdb's arguments change: what was kept before must not be taken for ours.
const TEMPLATE_FORMAT: u32 = 1;
/// A port that was free a moment ago may be somebody's now; so many times we draw again.
const PORTS_TO_TRY: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Fast where nobody misses the data: a crash of the machine may lose it all.
const BASE_SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "1h"),
    ("shared_buffers", "128MB"),
    ("autovacuum_naptime", "1h"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
];

/// What a cluster is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lines for postgresql.conf, name and value; they win over the fast defaults.
    pub settings: Vec<(String, String)>,
    /// The whole pg_hba.conf; `None` trusts everyone.
    pub hba: Option<String>,
    /// Postgres' own limit of connections.
    pub max_connections: u16,
    /// The folder of the server's programs; `None` finds one on this machine.
    pub programs: Option<PathBuf>,
    /// A folder that keeps an initialised data folder, packed; made when missing. Saves most of
    /// the time a start takes, and is safe to share between processes.
    pub template: Option<PathBuf>,
    /// How long initialising, starting and stopping may each take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            hba: None,
            max_connections: 100,
            programs: None,
            template: None,
            patience: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Adds a line to postgresql.conf.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// How a server is asked to stop; see "Shutting Down the Server" in the Postgres manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are told (57P01) and rolled back, the data is written.
    Fast,
    /// Sessions are cut; the next start recovers from the log.
    Immediate,
    /// SIGKILL to the postmaster. Its children notice and leave without a word.
    Kill,
}

/// Why there is no cluster, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("no Postgres server programs found: install postgresql or set PG_BIN to their folder")]
    NoServer,
    #[error("{} holds no initdb and postgres (PG_BIN)", folder.display())]
    NoServerIn { folder: PathBuf },
    #[error("{name} not found: install Postgres' client programs (on Debian: postgresql-contrib)")]
    NoProgram { name: &'static str },
    #[error(
        "Postgres refuses to run as root, and there is no user postgres or nobody to run it as"
    )]
    NoUser,
    #[error("cannot run {}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot find a free port on loopback")]
    NoPort { source: io::Error },
    #[error("every port drawn was taken by somebody else before Postgres could listen on it")]
    PortsTaken,
    #[error("{program} failed ({status}): {said}")]
    Failed {
        program: &'static str,
        status: ExitStatus,
        said: String,
    },
    #[error("{what} took longer than {}s", after.as_secs())]
    TooSlow { what: &'static str, after: Duration },
    #[error("{program} did not end within {}s: {said}", after.as_secs())]
    Hung {
        program: &'static str,
        after: Duration,
        said: String,
    },
    #[error("the process that would clean up after us is gone")]
    GuardianLost { source: io::Error },
}

/// A running server in a folder of its own. Dropping it stops the server and removes the folder;
/// should this process be killed, its guardian does.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    patience: Duration,
    port: u16,
    server: Option<Child>,
    /// Last: the folder goes after the server.
    home: Home,
}

impl Cluster {
    /// Initialises and starts a server, and waits until it takes connections.
    ///
    /// # Errors
    /// When Postgres is not installed, or will not start; the error says why.
    pub fn start(options: &Options) -> Result<Self, ClusterError> {
        let binaries = match &options.programs {
            Some(folder) => Binaries::named(folder)?,
            None => Binaries::find()?,
        };
        let mut cluster = Self {
            binaries,
            patience: options.patience,
            port: 0,
            server: None,
            home: Home::make()?,
        };
        cluster.initialise(options.template.as_deref())?;
        cluster.configure(options)?;
        cluster.run_on_a_free_port()?;
        Ok(cluster)
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `postgresql://postgres@127.0.0.1:PORT/DATABASE`
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@{}/{database}", self.address())
    }

    /// The folder with everything in it: the Unix socket, `data`, `log`.
    pub fn folder(&self) -> &Path {
        self.home.folder()
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> Option<String> {
        self.binaries.version()
    }

    /// The path of a Postgres program of the same version, such as `psql` or `pgbench`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn bin(&self, name: &'static str) -> Result<PathBuf, ClusterError> {
        self.binaries.program(name)
    }

    /// A client program that knows nothing of the caller's environment; see [`client`].
    ///
    /// # Errors
    /// When it is not installed.
    pub fn client(&self, name: &'static str) -> Result<Command, ClusterError> {
        Ok(client::untouched(&self.bin(name)?, self.folder()))
    }

    /// Replaces a file of the data folder, such as pg_hba.conf; see [`Cluster::reload`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), ClusterError> {
        self.home.write(&self.home.data().join(name), text)
    }

    /// Has the server read its configuration again.
    ///
    /// # Errors
    /// When there is no `sh` to send the signal with.
    pub fn reload(&self) -> Result<(), ClusterError> {
        self.signal("HUP")
    }

    /// Sends the postmaster a signal by its short name, such as `STOP` or `CONT`.
    ///
    /// # Errors
    /// When there is no `sh` to send it with.
    pub fn signal(&self, name: &str) -> Result<(), ClusterError> {
        // The shell's own `kill` is always there; /bin/kill is not.
        let Some(server) = &self.server else {
            return Ok(());
        };
        Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", name])
            .arg(server.id().to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(cannot_run(Path::new("sh")))?;
        Ok(())
    }

    /// Stops the server and waits for its end; the data stays. Nothing happens when it is stopped.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub fn stop(&mut self, how: Stop) -> Result<(), ClusterError> {
        match how {
            Stop::Fast => self.signal("INT")?,
            Stop::Immediate => self.signal("QUIT")?,
            Stop::Kill => self.signal("KILL")?,
        }
        if let Some(server) = &mut self.server {
            wait(server, "stopping Postgres", self.patience)?;
            self.server = None;
            self.home.guardian().guard_none()?;
        }
        Ok(())
    }

    /// Starts a stopped server again, on the same port.
    ///
    /// # Errors
    /// When it will not start, or somebody else took the port meanwhile.
    pub fn run(&mut self) -> Result<(), ClusterError> {
        if self.server.is_some() {
            return Ok(());
        }
        match self.try_port(self.port)? {
            Start::Ready => Ok(()),
            Start::PortTaken => Err(ClusterError::PortsTaken),
        }
    }

    /// A fast stop and a start.
    ///
    /// # Errors
    /// As [`Cluster::stop`] and [`Cluster::run`].
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.stop(Stop::Fast)?;
        self.run()
    }

    /// Fills the data folder: from the template if there is one, else with initdb.
    fn initialise(&mut self, templates: Option<&Path>) -> Result<(), ClusterError> {
        let Some(templates) = templates else {
            return self.initdb();
        };
        let template = templates.join(format!(
            "postgres-{}-{TEMPLATE_FORMAT}.tar",
            self.binaries.version().unwrap_or_default(),
        ));
        if !template.is_file() {
            self.initdb()?;
            return self.keep_as(&template);
        }
        // The server's user unpacks what we have opened: it may not be able to reach the file.
        let packed = fs::File::open(&template).map_err(at(&template))?;
        let mut unpack = self.home.command(Path::new("tar"));
        unpack.arg("-xmf-").stdin(packed);
        client::succeed(&mut unpack, "tar", self.patience).map(drop)
    }

    /// Packs the data folder, in one step for whoever looks for it.
    fn keep_as(&self, template: &Path) -> Result<(), ClusterError> {
        let draft = template.with_extension(format!("{:08x}", fastrand::u32(..)));
        if let Some(folder) = template.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        let mut pack = Command::new("tar");
        pack.arg("-cf").arg(&draft).arg("-C").arg(self.folder());
        pack.arg("data").stdin(Stdio::null());
        client::succeed(&mut pack, "tar", self.patience)?;
        fs::rename(&draft, template).map_err(at(template))
    }

    fn initdb(&mut self) -> Result<(), ClusterError> {
        let program = self.binaries.program("initdb")?;
        let log_path = self.folder().join("initdb.log");
        let log = fs::File::create(&log_path).map_err(at(&log_path))?;
        let mut initdb = self
            .home
            .command(&program)
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--username", SUPERUSER, "--pgdata"])
            .arg(self.home.data())
            .stdout(log.try_clone().map_err(at(&log_path))?)
            .stderr(log)
            .spawn()
            .map_err(cannot_run(&program))?;
        self.home.guardian().guard(&initdb)?;
        let status = wait(&mut initdb, "initdb", self.patience)?;
        self.home.guardian().guard_none()?;
        if status.success() {
            return Ok(());
        }
        Err(ClusterError::Failed {
            program: "initdb",
            status,
            said: last_lines(&fs::read_to_string(&log_path).unwrap_or_default()),
        })
    }

    fn configure(&self, options: &Options) -> Result<(), ClusterError> {
        let path = self.home.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&path).map_err(at(&path))?;
        let sockets = self.folder().to_string_lossy();
        let most = options.max_connections.to_string();
        let own = [
            ("unix_socket_directories", sockets.as_ref()),
            ("max_connections", most.as_str()),
        ];
        let asked = options.settings.iter();
        let asked = asked.map(|(name, value)| (name.as_str(), value.as_str()));
        // The last line of a name wins.
        for (name, value) in BASE_SETTINGS.iter().copied().chain(own).chain(asked) {
            text.push_str(&format!("\n{name} = '{}'", value.replace('\'', "''")));
        }
        text.push('\n');
        self.home.write(&path, &text)?;
        match &options.hba {
            Some(hba) => self.write("pg_hba.conf", hba),
            None => Ok(()),
        }
    }

    fn run_on_a_free_port(&mut self) -> Result<(), ClusterError> {
        for _ in 0..PORTS_TO_TRY {
            self.port = free_port()?;
            match self.try_port(self.port)? {
                Start::Ready => return Ok(()),
                Start::PortTaken => {}
            }
        }
        Err(ClusterError::PortsTaken)
    }

    fn try_port(&mut self, port: u16) -> Result<Start, ClusterError> {
        let program = self.binaries.program("postgres")?;
        let log_path = self.log_path();
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(&log_path)
            .map_err(at(&log_path))?;
        let logged_before = self.log().len();
        let server = self
            .home
            .command(&program)
            .arg("-D")
            .arg(self.home.data())
            .args(["-p", &port.to_string()])
            .stdout(log.try_clone().map_err(at(&log_path))?)
            .stderr(log)
            .spawn()
            .map_err(cannot_run(&program))?;
        self.home.guardian().guard(&server)?;
        let server = self.server.insert(server);
        let ended = wait_until_ready(server, &self.home.data(), self.patience)?;
        let Some(status) = ended else {
            return Ok(Start::Ready);
        };
        self.server = None;
        self.home.guardian().guard_none()?;
        let log = self.log();
        let said = log.get(logged_before..).unwrap_or_default();
        if said.contains("could not bind") {
            return Ok(Start::PortTaken);
        }
        Err(ClusterError::Failed {
            program: "postgres",
            status,
            said: last_lines(said),
        })
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A stopped process (SIGSTOP) takes no other signal.
        let _ = self.signal("CONT");
        if self.stop(Stop::Immediate).is_err() {
            let _ = self.stop(Stop::Kill);
        }
    }
}

enum Start {
    Ready,
    PortTaken,
}

fn free_port() -> Result<u16, ClusterError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ClusterError::NoPort { source })
}

/// `Some` when the server ended instead. Ready is what it says itself: the last of postmaster.pid's
/// eight lines ("src/include/utils/pidfile.h"), the first being its process id.
fn wait_until_ready(
    server: &mut Child,
    data: &Path,
    patience: Duration,
) -> Result<Option<ExitStatus>, ClusterError> {
    let what = "starting Postgres";
    let pid = server.id().to_string();
    let pid_file = data.join("postmaster.pid");
    let begun = Instant::now();
    while begun.elapsed() < patience {
        let told = fs::read_to_string(&pid_file).unwrap_or_default();
        let mut lines = told.lines();
        let is_ours = lines.next() == Some(pid.as_str());
        if is_ours
            && lines
                .nth(6)
                .is_some_and(|status| status.starts_with("ready"))
        {
            return Ok(None);
        }
        if let Some(status) = server.try_wait().map_err(at(&pid_file))? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK_AGAIN);
    }
    let after = patience;
    Err(ClusterError::TooSlow { what, after })
}

fn wait(
    child: &mut Child,
    what: &'static str,
    patience: Duration,
) -> Result<ExitStatus, ClusterError> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(status) = child.try_wait().map_err(at(Path::new(what)))? {
            return Ok(status);
        }
        thread::sleep(LOOK_AGAIN);
    }
    let after = patience;
    Err(ClusterError::TooSlow { what, after })
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

fn cannot_run(program: &Path) -> impl FnOnce(io::Error) -> ClusterError + use<> {
    let program = program.to_owned();
    |source| ClusterError::Spawn { program, source }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "here a failure is a failed test")]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn psql(cluster: &Cluster, sql: &str) -> String {
        let mut psql = cluster.client("psql").unwrap();
        psql.args(["-X", "-A", "-t", "-c", sql, "-d"]);
        psql.arg(cluster.url("postgres"));
        let told = client::succeed(&mut psql, "psql", Duration::from_secs(20)).unwrap();
        told.trim().to_owned()
    }

    #[test]
    fn a_cluster_answers_and_leaves_nothing_behind() {
        let cluster = Cluster::start(&Options::default().with("work_mem", "7MB")).unwrap();
        let (folder, address) = (cluster.folder().to_owned(), cluster.address());
        assert_eq!(psql(&cluster, "show work_mem"), "7MB");
        assert_eq!(psql(&cluster, "show server_encoding"), "UTF8");
        drop(cluster);
        assert!(!folder.exists());
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_killed_server_comes_back_on_its_port_with_its_data() {
        let mut cluster = Cluster::start(&Options::default()).unwrap();
        psql(&cluster, "create table kept (x int)");
        let port = cluster.port();
        cluster.stop(Stop::Kill).unwrap();
        assert_eq!(cluster.pid(), None);
        cluster.run().unwrap();
        assert_eq!(cluster.port(), port);
        assert_eq!(psql(&cluster, "select count(*) from kept"), "0");
        cluster.restart().unwrap();
        assert_eq!(psql(&cluster, "select count(*) from kept"), "0");
    }

    #[test]
    fn a_setting_that_postgres_refuses_is_told_in_its_own_words() {
        let refused = Cluster::start(&Options::default().with("work_mem", "lots")).unwrap_err();
        assert!(refused.to_string().contains("work_mem"), "{refused}");
    }

    #[test]
    fn a_taken_port_is_told_from_other_failures() {
        let mut cluster = Cluster::start(&Options::default()).unwrap();
        cluster.stop(Stop::Fast).unwrap();
        let squatter = TcpListener::bind(cluster.address()).unwrap();
        assert!(matches!(cluster.run(), Err(ClusterError::PortsTaken)));
        drop(squatter);
        cluster.run().unwrap();
    }

    #[test]
    fn a_template_is_made_once_and_copied_from() {
        let templates = tempfile::tempdir().unwrap();
        let options = Options {
            template: Some(templates.path().to_owned()),
            ..Options::default()
        };
        drop(Cluster::start(&options).unwrap());
        let kept: Vec<_> = fs::read_dir(templates.path()).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1);
        let again = Cluster::start(&options).unwrap();
        assert_eq!(psql(&again, "select 1"), "1");
        assert!(!again.folder().join("initdb.log").exists());
    }
}
