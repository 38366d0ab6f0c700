//! The command line, and the variables that stand for its flags.
//! Never judges a value: a flag's text is read by the same eyes as the file's.

use core::{convert::Infallible, fmt, str::FromStr};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    mistake::{KeyPath, Mistake, Mistakes, Origin, Wrong},
    resolve::ADMIN,
    tree::Variable,
    units,
};

/// A Postgres proxy beside the application.
///
/// Every flag of `run` has a variable, AMBASSADOR_ and the flag's name (AMBASSADOR_POOL_SIZE).
/// A flag counts before a variable, a variable before the file.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "pg-ambassador",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Box<Run>,
}

impl Cli {
    /// The command, which is `run` when none is named.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve: with a file (--config), or without one (--upstream).
    Run(Box<Run>),
    /// Validate a file; exit 1 if anything is wrong.
    Check(Check),
    /// Tell what a statement does and where it goes, and why; nothing is run.
    Route(Box<Route>),
    /// Exit 0 when the ambassador on this machine is ready: for probes in images without a shell.
    Health(Health),
    /// A throw-away Postgres from the local binaries, the ambassador in front; Ctrl-C removes it.
    Demo(Demo),
}

/// A flag's text that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// The flags of `run`, as text.
#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    /// The file to serve with.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Postgres to serve without a file, e.g. postgres://app:secret@db.internal:5432/app.
    #[arg(long, value_name = "URL")]
    pub upstream: Option<Hidden>,
    /// A replica of --upstream, which it is reached as (AMBASSADOR_REPLICAS, comma separated);
    /// repeatable.
    #[arg(long, value_name = "URL")]
    pub replica: Vec<Hidden>,
    /// Where to listen; repeatable [default: 127.0.0.1:5432].
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Where the admin's HTTP listens, "" for nowhere [default: 127.0.0.1:9127].
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Connections per backend, database and user, in every database [default: 20].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pool_size: Option<String>,
    /// session, transaction or statement, in every database [default: transaction].
    #[arg(long, value_name = "MODE")]
    pub pool_mode: Option<String>,
    /// Threads that serve; 0: as many as CPUs and pools are good for [default: 0].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub workers: Option<String>,
    /// text or json [default: text].
    #[arg(long, value_name = "F")]
    pub log_format: Option<String>,
    /// error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "L")]
    pub log_level: Option<String>,
    /// Any key of the file, e.g. --set 'databases."*".query_timeout=30s'; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Hidden>,
}

impl Run {
    /// The same flags as the AMBASSADOR_ variables give them. An empty variable is an unset one,
    /// as charts write it, but for AMBASSADOR_ADMIN, where it switches off.
    pub(super) fn from_variables(variable: Variable<'_>) -> Self {
        let full = |name| variable(name).filter(|text| !text.is_empty());
        let list = |name, between: char| {
            let text = full(name).unwrap_or_default();
            let items = text.split(between).map(str::trim).map(str::to_owned);
            items.filter(|item| !item.is_empty()).collect::<Vec<_>>()
        };
        let hidden = |items: Vec<String>| items.into_iter().map(Hidden).collect();
        Self {
            config: full("AMBASSADOR_CONFIG").map(PathBuf::from),
            upstream: full("AMBASSADOR_UPSTREAM").map(Hidden),
            replica: hidden(list("AMBASSADOR_REPLICAS", ',')),
            listen: list("AMBASSADOR_LISTEN", ','),
            admin: variable("AMBASSADOR_ADMIN"),
            pool_size: full("AMBASSADOR_POOL_SIZE"),
            pool_mode: full("AMBASSADOR_POOL_MODE"),
            workers: full("AMBASSADOR_WORKERS"),
            log_format: full("AMBASSADOR_LOG_FORMAT"),
            log_level: full("AMBASSADOR_LOG_LEVEL"),
            set: hidden(list("AMBASSADOR_SET", '\n')),
        }
    }
}

/// The flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The file to validate (AMBASSADOR_CONFIG).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also dial and log in to every backend, as every user whose login is known.
    #[arg(long)]
    pub connect: bool,
}

impl Check {
    /// What `run` would be asked for with this file.
    pub fn into_run(self) -> Run {
        Run {
            config: self.config,
            ..Run::default()
        }
    }
}

/// The flags of `route`.
#[derive(Debug, Clone, Args)]
pub struct Route {
    /// The file that says which backends there are (AMBASSADOR_CONFIG).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Postgres to ask about without a file (AMBASSADOR_UPSTREAM).
    #[arg(long, value_name = "URL")]
    pub upstream: Option<Hidden>,
    /// A replica of it (AMBASSADOR_REPLICAS, comma separated); repeatable.
    #[arg(long, value_name = "URL")]
    pub replica: Vec<Hidden>,
    /// The database that a client would ask for [default: the only one of the file].
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// The user that a client would log in as: with --connect, its login upstream is taken.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The value of $1, of $2 and so on; what a shard key could hang on.
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub param: Vec<OsString>,
    /// Read the catalog of the database first: its functions, views, policies, types.
    #[arg(long)]
    pub connect: bool,
    /// text for people, json for programs: one object a line.
    #[arg(long, value_enum, value_name = "F", default_value_t = Format::Text)]
    pub format: Format,
    /// The statement, or several; -: any number of texts from standard input, a NUL behind each.
    #[arg(value_name = "SQL|-", allow_hyphen_values = true)]
    pub sql: OsString,
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

impl Route {
    /// What `run` would be asked for with this file or this URL.
    pub fn as_run(&self) -> Run {
        Run {
            config: self.config.clone(),
            upstream: self.upstream.clone(),
            replica: self.replica.clone(),
            ..Run::default()
        }
    }
}

/// The flags of `health`.
#[derive(Debug, Clone, Args)]
pub struct Health {
    /// Where the admin's HTTP listens (AMBASSADOR_ADMIN) [default: 127.0.0.1:9127].
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
}

impl Health {
    /// Whom to ask. One that listens everywhere is asked on loopback.
    ///
    /// # Errors
    /// The address is none, or is switched off.
    pub fn address(self, variable: Variable<'_>) -> Result<SocketAddr, Mistakes> {
        let flag = self.admin.map(|text| (text, Origin::Flag("--admin")));
        let set = || {
            Some((
                variable("AMBASSADOR_ADMIN")?,
                Origin::Variable("AMBASSADOR_ADMIN"),
            ))
        };
        let Some((text, at)) = flag.or_else(set) else {
            return Ok(ADMIN.into());
        };
        let wrong = match units::admin(&text) {
            Ok((ip, port)) => return Ok(on_this_machine(ip, port)),
            Err(_) if text.is_empty() => Wrong::AdminIsOff,
            Err(wrong) => wrong,
        };
        let key = KeyPath::default();
        Err(Mistakes::one(Mistake { at, key, wrong }))
    }
}

fn on_this_machine(ip: Option<IpAddr>, port: u16) -> SocketAddr {
    let ip = match ip {
        None => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(ip) => ip,
    };
    SocketAddr::new(ip, port)
}

/// The flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Replicas beside the primary.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub replicas: u16,
    /// Shards. Not supported yet.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub shards: u16,
    /// End after the report instead of staying up.
    #[arg(long)]
    pub once: bool,

    /// Run a short pgbench through the ambassador first, and stay up.
    #[arg(long)]
    pub bench: bool,
}

impl Demo {
    /// Refuses what does not exist yet.
    pub fn validate(&self) -> Result<(), Mistakes> {
        if self.shards == 0 {
            return Ok(());
        }
        Err(Mistakes::one(Mistake {
            at: Origin::Flag("--shards"),
            key: KeyPath::default(),
            wrong: Wrong::NotSupportedYet,
        }))
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a failed step is a failed test"
)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Command {
        let all = ["pg-ambassador"].iter().chain(words);
        Cli::try_parse_from(all).unwrap().into_command()
    }

    fn run(words: &[&str]) -> Run {
        match parse(words) {
            Command::Run(run) => *run,
            other @ (Command::Check(_)
            | Command::Route(_)
            | Command::Health(_)
            | Command::Demo(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_command_when_none_is_named() {
        for words in [
            ["--listen", "127.0.0.1:1", "--listen", "[::1]:1"].as_slice(),
            ["run", "--listen", "127.0.0.1:1", "--listen", "[::1]:1"].as_slice(),
        ] {
            assert_eq!(run(words).listen, ["127.0.0.1:1", "[::1]:1"]);
        }
        assert!(run(&[]).config.is_none());
    }

    #[test]
    fn variables_stand_for_flags() {
        let set = Run::from_variables(&|name| {
            let text = match name {
                "AMBASSADOR_LISTEN" => "127.0.0.1:1, [::1]:1",
                "AMBASSADOR_SET" => "log.level=debug\n\nshutdown.grace=1s\n",
                "AMBASSADOR_ADMIN" | "AMBASSADOR_POOL_SIZE" => "",
                _ => return None,
            };
            Some(text.to_owned())
        });
        assert_eq!(set.listen, ["127.0.0.1:1", "[::1]:1"]);
        let sets: Vec<&str> = set.set.iter().map(Hidden::expose).collect();
        assert_eq!(sets, ["log.level=debug", "shutdown.grace=1s"]);
        assert_eq!(set.admin.as_deref(), Some(""));
        assert_eq!(set.pool_size, None);
    }

    #[test]
    fn a_secret_on_the_command_line_is_not_shown() {
        let run = run(&["--upstream", "postgres://a:hunter2@b", "--set", "x=hunter2"]);
        assert!(!format!("{run:?}").contains("hunter2"));
    }

    #[test]
    fn a_demo_with_shards_is_refused() {
        let Command::Demo(demo) = parse(&["demo", "--replicas", "1", "--shards", "2"]) else {
            panic!("not a demo");
        };
        let refused = demo.validate().unwrap_err().to_string();
        assert_eq!(refused, "--shards: not supported yet");
        let Command::Demo(demo) = parse(&["demo", "--once", "--replicas", "2"]) else {
            panic!("not a demo");
        };
        assert!(demo.once && demo.validate().is_ok());
        assert_eq!(demo.replicas, 2);
    }
}
