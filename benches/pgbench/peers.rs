//! Who is compared, and how each is started: the same pool, the same Postgres, nothing tuned.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;
use pg_ambassador::app::cluster::{Cluster, Options, SUPERUSER};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::{
    cases::{Case, Kind, Mode, SPELLINGS},
    client::Client,
    error::{BenchError, at},
    machine::{Stop, find_program},
    service::{Service, finish, free_port},
};

/// Connections to Postgres that every peer may hold.
pub const POOL_SIZE: u32 = 16;
/// Where the measured rows are: a database's name, the same downstream and upstream.
pub const DATABASE: &str = "postgres";
const SCALE: &str = "10";
const ROTATING: &str = "rotating.sql";
const PREPARE_SECONDS: u64 = 120;

/// A proxy, or a way to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// What everyone knows: the ratios are relative to it.
    #[value(name = "pgbouncer")]
    PgBouncer,
    /// The least that a pooling relay can do.
    Relay,
    /// The ambassador with one worker.
    Ambassador,
    /// The ambassador with one worker, judging every text.
    #[value(name = "verdicts")]
    Judging,
    /// The ambassador with two workers.
    #[value(skip)]
    TwoWorkers,
    /// PgBouncer, by TLS.
    #[value(skip)]
    TlsPgBouncer,
    /// The ambassador with one worker, by TLS.
    #[value(skip)]
    TlsAmbassador,
}

impl Peer {
    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgBouncer => "PgBouncer",
            Self::Relay => "C relay",
            Self::Ambassador => "ambassador",
            Self::Judging => "ambassador, verdicts",
            Self::TwoWorkers => "ambassador, 2 workers",
            Self::TlsPgBouncer => "PgBouncer, TLS",
            Self::TlsAmbassador => "ambassador, TLS",
        }
    }

    /// How it reaches Postgres.
    fn tls(self) -> Tls {
        match self {
            Self::PgBouncer | Self::Relay | Self::Ambassador | Self::Judging | Self::TwoWorkers => {
                Tls::Disable
            }
            Self::TlsPgBouncer | Self::TlsAmbassador => Tls::Require,
        }
    }

    /// Who runs this case in this one's place.
    pub fn in_case(self, case: Case) -> Self {
        match (self, case.kind) {
            (Self::Ambassador, Kind::TwoWorkers) => Self::TwoWorkers,
            (Self::Ambassador, Kind::Tls | Kind::TlsCopy) => Self::TlsAmbassador,
            (Self::PgBouncer, Kind::Tls | Kind::TlsCopy) => Self::TlsPgBouncer,
            (
                other,
                Kind::Steady
                | Kind::Reconnect
                | Kind::TwoWorkers
                | Kind::Rotating
                | Kind::Groups
                | Kind::Own
                | Kind::Same
                | Kind::Tls
                | Kind::TlsCopy,
            ) => other,
        }
    }
}

/// How a proxy reaches Postgres: said to each, whose default it is to take what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Disable,
    /// Nobody looks at the certificate: after the logins that makes no difference.
    Require,
}

impl Tls {
    /// libpq's `sslmode`, and PgBouncer's.
    fn mode(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
        }
    }
}

/// Everything that the peers stand on; dropping it ends Postgres and removes the files.
pub struct Ground {
    cluster: Cluster,
    folder: TempDir,
    pgbench: PathBuf,
    pgbouncer: Option<PgBouncer>,
    relay: Option<PathBuf>,
    stop: Stop,
}

struct PgBouncer {
    program: PathBuf,
    version: String,
}

impl Ground {
    /// Starts Postgres, fills it, compiles the relay and looks for PgBouncer.
    ///
    /// # Errors
    /// When there is no Postgres or pgbench. A peer that is missing is missed when it is started.
    pub fn prepare(stop: &Stop) -> Result<Self, BenchError> {
        let options = Options {
            max_connections: 300,
            ..Options::default()
        };
        let options = options.with("fsync", "off").with("shared_buffers", "256MB");
        let mut cluster = Cluster::start(&options)?;
        offer_tls(&mut cluster)?;
        let pgbench = cluster.bin("pgbench")?;
        let folder = TempDir::with_prefix("pgbench-").map_err(at("temporary folder"))?;
        give_to_owner_of(cluster.folder(), folder.path())?;
        let ground = Self {
            relay: compile_relay(folder.path(), stop)?,
            pgbouncer: find_pgbouncer(folder.path(), stop),
            stop: stop.clone(),
            cluster,
            folder,
            pgbench,
        };
        ground.fill()?;
        ground.write(ROTATING, &rotating())?;
        Ok(ground)
    }

    /// The script of a rotating case.
    pub fn rotating(&self) -> PathBuf {
        self.folder.path().join(ROTATING)
    }

    fn fill(&self) -> Result<(), BenchError> {
        let mut command = self.pgbench(self.cluster.port());
        command.args(["-i", "-q", "-s", SCALE, DATABASE]);
        finish(command, &self.log("fill"), PREPARE_SECONDS, &self.stop).map(drop)
    }

    /// pgbench, told to connect to this port; a database name is to follow.
    pub fn pgbench(&self, port: u16) -> Command {
        let mut command = Command::new(&self.pgbench);
        for setting in std::env::vars_os().filter(|(name, _)| is_libpq(name)) {
            command.env_remove(setting.0);
        }
        command.args(["-h", "127.0.0.1", "-U", SUPERUSER, "-p", &port.to_string()]);
        command
    }

    /// Where a program of this name may write what it says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// For files that a load leaves behind.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ctrl-C.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The postmaster, whose children are the backends.
    pub fn postmaster(&self) -> Option<u32> {
        self.cluster.pid()
    }

    /// "PgBouncer 1.18.0, PostgreSQL 15.18".
    pub fn versions(&self) -> String {
        let pgbouncer = self
            .pgbouncer
            .as_ref()
            .map_or("no PgBouncer", |it| &it.version);
        let postgres = self.cluster.version().unwrap_or_default();
        format!("{pgbouncer}, PostgreSQL {postgres}")
    }

    /// Why a peer cannot run a case, if so.
    pub fn refusal(&self, peer: Peer, case: Case) -> Option<&'static str> {
        match peer {
            Peer::PgBouncer if case.mode == Mode::Prepared && !self.pgbouncer_prepares() => {
                Some("PgBouncer before 1.21 has no prepared statements")
            }
            Peer::Relay if case.mode == Mode::Prepared && case.clients > 1 => {
                Some("the C relay does not rename statements")
            }
            Peer::Relay if case.kind == Kind::TwoWorkers => Some("the C relay has one thread"),
            Peer::Relay if matches!(case.kind, Kind::Tls | Kind::TlsCopy) => {
                Some("the C relay knows no TLS")
            }
            Peer::Relay if case.kind.programs(case.clients) > 1 => {
                Some("the C relay knows no settings")
            }
            Peer::PgBouncer if case.kind == Kind::Own => {
                Some("PgBouncer refuses a client that starts with a search_path")
            }
            Peer::Judging if !Case::JUDGED.contains(&case) => {
                Some("what verdicts cost is measured at 32 clients, without TLS")
            }
            Peer::PgBouncer
            | Peer::Relay
            | Peer::Ambassador
            | Peer::Judging
            | Peer::TwoWorkers
            | Peer::TlsPgBouncer
            | Peer::TlsAmbassador => None,
        }
    }

    /// Whether this PgBouncer keeps prepared statements in transaction pooling.
    pub fn pgbouncer_prepares(&self) -> bool {
        let version = self.pgbouncer.as_ref().map(|it| it.version.as_str());
        version
            .and_then(major_minor)
            .is_some_and(|version| version >= (1, 21))
    }

    /// Starts a peer on a port of its own.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn start(&self, peer: Peer) -> Result<Service, BenchError> {
        let port = free_port()?;
        let tls = peer.tls();
        let command = match peer {
            Peer::PgBouncer | Peer::TlsPgBouncer => self.pgbouncer_command(port, tls)?,
            Peer::Relay => self.relay_command(port)?,
            Peer::Ambassador | Peer::TlsAmbassador => self.ambassador_command(port, 1, tls),
            Peer::TwoWorkers => self.ambassador_command(port, 2, tls),
            Peer::Judging => {
                let mut command = self.ambassador_command(port, 1, tls);
                command.args(["--set", "databases.\"*\".routing.verdicts=always"]);
                command
            }
        };
        Service::start(
            command,
            port,
            &self.log(&format!("{peer:?}-{port}")),
            &self.stop,
        )
    }

    fn pgbouncer_command(&self, port: u16, tls: Tls) -> Result<Command, BenchError> {
        let pgbouncer = self.pgbouncer.as_ref().ok_or(BenchError::Missing {
            program: "pgbouncer",
            hint: "install it, or set PGBOUNCER to its path",
        })?;
        let users = self.write("users.txt", &format!("\"{SUPERUSER}\" \"\"\n"))?;
        let text = self.pgbouncer_ini(port, &users, tls);
        let file = self.write(&format!("pgbouncer-{port}.ini"), &text)?;
        let mut command = Command::new(&pgbouncer.program);
        command.arg(file);
        self.run_as_owner(&mut command)?;
        Ok(command)
    }

    /// Only what makes it the same pool; all else is its default.
    fn pgbouncer_ini(&self, port: u16, users: &Path, tls: Tls) -> String {
        let upstream = self.cluster.port();
        let (users, tls) = (users.display(), tls.mode());
        let mut text = format!(
            "[databases]\n{DATABASE} = host=127.0.0.1 port={upstream} dbname={DATABASE}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\npool_mode = transaction\n\
             default_pool_size = {POOL_SIZE}\nmax_client_conn = 5000\n\
             server_tls_sslmode = {tls}\n"
        );
        if self.pgbouncer_prepares() {
            // Off by default before 1.24; this is the default since.
            text.push_str("max_prepared_statements = 200\n");
        }
        text
    }

    fn relay_command(&self, port: u16) -> Result<Command, BenchError> {
        let relay = self.relay.as_ref().ok_or(BenchError::Missing {
            program: "cc",
            hint: "a C compiler builds the relay",
        })?;
        let mut command = Command::new(relay);
        command.args([
            port.to_string(),
            self.cluster.port().to_string(),
            POOL_SIZE.to_string(),
        ]);
        command.args([SUPERUSER, DATABASE]);
        Ok(command)
    }

    fn ambassador_command(&self, port: u16, workers: u32, tls: Tls) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
        let upstream = format!(
            "postgres://{SUPERUSER}@127.0.0.1:{}/{DATABASE}?sslmode={}",
            self.cluster.port(),
            tls.mode()
        );
        command.args([
            "--upstream",
            &upstream,
            "--listen",
            &format!("127.0.0.1:{port}"),
        ]);
        command.args([
            "--pool-size",
            &POOL_SIZE.to_string(),
            "--workers",
            &workers.to_string(),
        ]);
        for setting in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(setting.0);
        }
        command
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, BenchError> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).map_err(at(&path))?;
        Ok(path)
    }

    /// PgBouncer, like Postgres, refuses to run as root: it runs as whoever owns the cluster.
    fn run_as_owner(&self, command: &mut Command) -> Result<(), BenchError> {
        let folder = self.cluster.folder();
        let owner = fs::metadata(folder).map_err(at(folder))?;
        let me = fs::metadata("/proc/self").map_err(at("/proc/self"))?;
        if me.uid() != owner.uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Ok(())
    }
}

/// Has Postgres say that a peer reaches it by TLS where it was told to, and nowhere else.
///
/// # Errors
/// When it is otherwise.
pub fn prove_tls(peer: Peer, service: &Service) -> Result<(), BenchError> {
    let encrypted = peer.tls() == Tls::Require;
    // A division by zero where it is otherwise: the client throws answers away, but no errors.
    let sql = format!(
        "SELECT 1 / (ssl = {encrypted})::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    );
    let asked = Client::login(service.port()).and_then(|mut client| client.ask(&sql));
    asked
        .map(drop)
        .map_err(|source| BenchError::Tls { encrypted, source })
}

/// As `-S`, but the column is called differently from time to time: simple queries carry the
/// number in their text.
fn rotating() -> String {
    format!(
        "\\set aid random(1, 100000 * {SCALE})\n\\set spelling random(1, {SPELLINGS})\n\
         SELECT abalance AS a:spelling FROM pgbench_accounts WHERE aid = :aid;\n"
    )
}

/// A server that takes TLS from whoever asks for it.
fn offer_tls(cluster: &mut Cluster) -> Result<(), BenchError> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    cluster.write("server.crt", &certificate.pem())?;
    cluster.write("server.key", &key.serialize_pem())?;
    cluster.write("postgresql.auto.conf", "ssl = on\n")?;
    Ok(cluster.restart()?)
}

fn give_to_owner_of(model: &Path, folder: &Path) -> Result<(), BenchError> {
    let owner = fs::metadata(model).map_err(at(model))?;
    chown(folder, Some(owner.uid()), Some(owner.gid())).map_err(at(folder))
}

fn is_libpq(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("PG"))
}

fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("AMBASSADOR_"))
}

fn compile_relay(folder: &Path, stop: &Stop) -> Result<Option<PathBuf>, BenchError> {
    let Some(compiler) = find_program("cc") else {
        return Ok(None);
    };
    let program = folder.join("poolrelay");
    let mut command = Command::new(compiler);
    command.args(["-O2", "-o"]).arg(&program);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/poolrelay.c"));
    finish(command, &folder.join("cc.log"), PREPARE_SECONDS, stop)?;
    Ok(Some(program))
}

fn find_pgbouncer(folder: &Path, stop: &Stop) -> Option<PgBouncer> {
    let named = std::env::var_os("PGBOUNCER").map(PathBuf::from);
    let program = named.or_else(|| find_program("pgbouncer"))?;
    let mut command = Command::new(&program);
    command.arg("--version");
    let said = finish(command, &folder.join("version.log"), 10, stop).ok()?;
    let version = said.lines().next()?.trim().to_owned();
    Some(PgBouncer { program, version })
}

/// (1, 21) of "PgBouncer 1.21.0".
fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}
