//! A program that serves a port until its guard is dropped.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{BenchError, at},
    machine::Stop,
};

/// How long a program may take until it listens.
const START_SECONDS: u64 = 10;

/// A running program; dropping the guard ends it.
pub struct Service {
    child: Child,
    port: u16,
}

impl Service {
    /// Starts the program, its output in `log`, and waits until it accepts on `port`.
    ///
    /// # Errors
    /// When it cannot start, ends at once or does not listen in time.
    pub fn start(
        mut command: Command,
        port: u16,
        log: &Path,
        stop: &Stop,
    ) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).map_err(at(log))?;
        let errors = output.try_clone().map_err(at(log))?;
        // A group of its own: a Ctrl-C is for us, and the guard ends what we started.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let child = command.spawn().map_err(|source| BenchError::Start {
            program: program.clone(),
            source,
        })?;
        let mut service = Self { child, port };
        service.await_port(&program, log, stop)?;
        Ok(service)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn await_port(&mut self, program: &str, log: &Path, stop: &Stop) -> Result<(), BenchError> {
        let limit = Instant::now() + Duration::from_secs(START_SECONDS);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        loop {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(BenchError::Failed {
                    program: program.to_owned(),
                    said: format!("ended before it listened; {}", tail(log)),
                });
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if Instant::now() > limit {
                return Err(BenchError::Slow {
                    program: program.to_owned(),
                    seconds: START_SECONDS,
                });
            }
            stop.check()?;
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing in it is worth a graceful end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on now.
///
/// # Errors
/// When loopback has none left.
pub fn free_port() -> Result<u16, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("loopback"))?;
    Ok(listener.local_addr().map_err(at("loopback"))?.port())
}

/// Runs a program to its end, within a limit, and returns what it printed.
///
/// # Errors
/// When it cannot start, fails, takes too long, or Ctrl-C comes.
pub fn finish(
    command: Command,
    log: &Path,
    seconds: u64,
    stop: &Stop,
) -> Result<String, BenchError> {
    Running::start(command, log)?.wait(deadline(seconds), stop)
}

/// The same with several programs that run at once.
///
/// # Errors
/// As [`finish`], for the first of them that fails.
pub fn finish_all(
    commands: Vec<Command>,
    log: &Path,
    seconds: u64,
    stop: &Stop,
) -> Result<Vec<String>, BenchError> {
    let numbered = commands.into_iter().enumerate();
    let start = |(number, command): (usize, Command)| {
        Running::start(command, &log.with_extension(number.to_string()))
    };
    let running: Vec<Running> = numbered.map(start).collect::<Result<_, _>>()?;
    let deadline = deadline(seconds);
    let ends = running.into_iter().map(|one| one.wait(deadline, stop));
    ends.collect()
}

/// A moment, and the seconds that led to it.
type Deadline = (Instant, u64);

fn deadline(seconds: u64) -> Deadline {
    (Instant::now() + Duration::from_secs(seconds), seconds)
}

/// A program that is to end by itself.
struct Running {
    program: String,
    child: Ending,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).map_err(at(log))?;
        let errors = output.try_clone().map_err(at(log))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(|source| BenchError::Start {
            program: program.clone(),
            source,
        })?;
        Ok(Self {
            program,
            child: Ending(child),
            log: log.to_owned(),
        })
    }

    fn wait(mut self, (limit, seconds): Deadline, stop: &Stop) -> Result<String, BenchError> {
        let (program, log) = (self.program, self.log);
        loop {
            if let Ok(Some(status)) = self.child.0.try_wait() {
                let said = fs::read_to_string(&log).map_err(at(&log))?;
                if status.success() {
                    return Ok(said);
                }
                return Err(BenchError::Failed {
                    program,
                    said: tail(&log),
                });
            }
            stop.check()?;
            if Instant::now() > limit {
                return Err(BenchError::Slow { program, seconds });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// `outer` with `inner` as its last arguments, in the environment of `inner`.
pub fn wrapped(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A child that does not outlive the wait for it.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The end of a log, on one line.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines.iter().rev().take(4).rev();
    last.copied().collect::<Vec<_>>().join(" | ")
}
