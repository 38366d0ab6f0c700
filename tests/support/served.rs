//! A program that serves a port, most often the ambassador as it was built.
//! Never outlives the test, even one that is killed.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::FileExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::{Cluster, guardian::Guardian};

use super::{clients, free_port};

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A port that was free may be taken before the program listens on it.
const PORTS_TO_TRY: u32 = 10;

/// A running program that accepts on [`Served::port`].
#[derive(Debug)]
pub struct Served {
    port: u16,
    process: Child,
    guardian: Guardian,
    log: fs::File,
}

impl Served {
    /// The ambassador in front of the cluster, with further arguments such as `--pool-size`.
    pub fn ambassador(cluster: &Cluster, args: &[&str]) -> Self {
        let upstream = cluster.url("postgres");
        Self::ambassador_with(&[&["--upstream", &upstream], args].concat())
    }

    /// The ambassador with these arguments; where it listens is added.
    pub fn ambassador_with(args: &[&str]) -> Self {
        Self::ambassador_in(&[], args)
    }

    /// The same with these variables.
    pub fn ambassador_in(variables: &[(&str, &str)], args: &[&str]) -> Self {
        Self::start(|port| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"));
            command
                .envs(variables.iter().copied())
                // Its usual address is one for all the ambassadors of this machine.
                .env("AMBASSADOR_ADMIN", "")
                .args(args)
                .args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        })
    }

    /// Starts what `command` makes for a port, and waits until it accepts there.
    pub fn start(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..PORTS_TO_TRY {
            let port = free_port();
            let mut served = Self::spawn(command(port), port);
            match served.wait_until_it_accepts() {
                None => return served,
                Some(_) if served.log().contains("in use") => {}
                Some(status) => panic!("it ended ({status}): {}", served.log()),
            }
        }
        panic!("every port was taken by somebody else before it could be listened on");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn url(&self, database: &str) -> String {
        clients::url(self.port, database)
    }

    /// Everything that it wrote so far.
    pub fn log(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.log.metadata().unwrap().len()).unwrap()];
        // Not read and seek: the position in the file is also where the program writes.
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal by its short name, such as `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$1" "$2""#, "kill", name])
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(sent.success(), "cannot send {name}");
    }

    /// Waits for its end. Longer than `patience` is the test's failure.
    pub fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            thread::sleep(LOOK_AGAIN);
        }
        panic!("it did not end within {patience:?}: {}", self.log());
    }

    fn spawn(mut command: Command, port: u16) -> Self {
        let log = tempfile::tempfile().unwrap();
        let mut guardian = Guardian::post(None).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        guardian.guard(&process).unwrap();
        Self {
            port,
            process,
            guardian,
            log,
        }
    }

    /// `Some` when it ended instead.
    fn wait_until_it_accepts(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // First, or somebody else who took the port would be taken for ours.
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return None;
            }
            thread::sleep(LOOK_AGAIN);
        }
        panic!("it does not accept: {}", self.log());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if thread::panicking() {
            // The test's output is the only place where somebody will look.
            eprintln!(
                "--- what port {} was served by said:\n{}---",
                self.port,
                self.log()
            );
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.guardian.guard_none();
    }
}
