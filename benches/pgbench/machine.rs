//! What the kernel knows: processor time, memory, cores, Ctrl-C.
//! Never touches a process that the comparison did not start.

use std::{
    fs,
    path::Path,
    process::{self, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::BenchError;

/// Processor time of one process, over all of its threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// Nanoseconds on a processor (schedstat, exact).
    pub nanoseconds: u64,
    /// Ticks in user space (stat, sampled).
    pub user_ticks: u64,
    /// Ticks in the kernel (stat, sampled).
    pub system_ticks: u64,
}

impl CpuTime {
    /// What the process has used since it started.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(pid: u32) -> Result<Self, BenchError> {
        let (user_ticks, system_ticks) = ticks(pid, OWN)?;
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(gone(pid))? {
            let file = thread.map_err(gone(pid))?.path().join("schedstat");
            nanoseconds += first_number(&fs::read_to_string(file).map_err(gone(pid))?);
        }
        Ok(Self {
            nanoseconds,
            user_ticks,
            system_ticks,
        })
    }

    /// What it has used since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds.saturating_sub(before.nanoseconds),
            user_ticks: self.user_ticks.saturating_sub(before.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(before.system_ticks),
        }
    }

    /// The part spent in user space, when there were ticks enough to tell.
    pub fn user_share(self) -> Option<f64> {
        let all = self.user_ticks + self.system_ticks;
        (all >= 20).then(|| self.user_ticks as f64 / all as f64)
    }
}

/// utime and stime: fields 14 and 15 of proc(5)'s stat, counted from behind the name.
const OWN: usize = 11;
/// cutime and cstime: the next two, of the children that have ended.
const CHILDREN: usize = 13;

/// Two fields of stat, user and system; the name before them may hold anything.
fn ticks(pid: u32, first: usize) -> Result<(u64, u64), BenchError> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(gone(pid))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_whitespace().skip(first);
    let mut next = || fields.next().and_then(|field| field.parse().ok());
    Ok((next().unwrap_or(0), next().unwrap_or(0)))
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When the process is gone.
pub fn resident_kib(pid: u32) -> Result<u64, BenchError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(gone(pid))?;
    Ok(field(&status, "VmRSS:").map_or(0, first_number))
}

/// The processes that this one has forked and that still live.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = list.split_whitespace();
    pids.filter_map(|child| child.parse().ok()).collect()
}

/// "2 × AMD EPYC, Linux 6.1.0".
pub fn describe() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpus, "model name")
        .map_or("unknown processor", |m| m.trim_matches([':', '\t', ' ']));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, Linux {}", kernel.trim())
}

/// Lets this process and what it starts open as many files as it may: a thousand idle clients need them.
pub fn raise_file_limit() {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(hard) = field(&limits, "Max open files").and_then(|l| l.split_whitespace().nth(1))
    else {
        return;
    };
    let me = process::id().to_string();
    run_quietly(
        "prlimit",
        &["--pid", &me, &format!("--nofile={hard}:{hard}")],
    );
}

/// Who has used the processors since boot, in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    ours: u64,
    everyone: u64,
    all: u64,
}

impl Shares {
    /// `roots` and what they have forked are ours; so is this process, and every child
    /// of it that has ended.
    pub fn now(roots: &[u32]) -> Self {
        let forked = roots.iter().flat_map(|root| children(*root));
        let running = roots.iter().copied().chain(forked).map(ticks_used);
        let ended = ticks(process::id(), CHILDREN).map_or(0, |(user, system)| user + system);
        let me = ticks_used(process::id());
        // user, nice, system, idle, iowait, irq, softirq, steal. Interrupts are nobody's: most of
        // them are the loopback's, that is, ours.
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = field(&stat, "cpu ").unwrap_or_default();
        let columns = line.split_whitespace().take(8);
        let columns: Vec<u64> = columns.filter_map(|word| word.parse().ok()).collect();
        let stolen = columns.get(7).copied().unwrap_or(0);
        Self {
            ours: running.sum::<u64>() + ended + me,
            everyone: columns.iter().take(3).sum::<u64>() + stolen,
            all: columns.iter().sum(),
        }
    }

    /// The part of the machine that strangers have used since `before`, from 0 to 1.
    pub fn strangers_since(self, before: Self) -> f64 {
        let ours = self.ours.saturating_sub(before.ours);
        let strangers = self
            .everyone
            .saturating_sub(before.everyone)
            .saturating_sub(ours);
        strangers as f64 / self.all.saturating_sub(before.all).max(1) as f64
    }
}

fn ticks_used(pid: u32) -> u64 {
    ticks(pid, OWN).map_or(0, |(user, system)| user + system)
}

/// Processes held on one core while this lives.
pub struct Pinned {
    roots: Vec<u32>,
    everywhere: String,
}

impl Pinned {
    /// Holds these processes, and what they have forked, on the last core that we may use.
    /// Without taskset nothing is held, and the figures swing.
    pub fn new(roots: Vec<u32>) -> Self {
        let pinned = Self {
            roots,
            everywhere: allowed_cores(),
        };
        pinned.place(&last_core());
        pinned
    }

    fn place(&self, cores: &str) {
        for root in &self.roots {
            for pid in [*root].into_iter().chain(children(*root)) {
                run_quietly("taskset", &["-a", "-p", "-c", cores, &pid.to_string()]);
            }
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.place(&self.everywhere);
    }
}

/// The core that pinned loads run on.
pub fn last_core() -> String {
    let cores = allowed_cores();
    let last = cores.rsplit([',', '-']).next();
    last.unwrap_or("0").to_owned()
}

fn allowed_cores() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "Cpus_allowed_list:")
        .map_or("0", str::trim)
        .to_owned()
}

/// Set by Ctrl-C or SIGTERM: every wait ends, and the guards clean up.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens on a thread of its own.
    pub fn on_signal() -> Self {
        let stop = Self::default();
        let raised = stop.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(raised.listen());
            }
        });
        stop
    }

    async fn listen(&self) {
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`BenchError::Interrupted`] once a signal has come.
    pub fn check(&self) -> Result<(), BenchError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        Ok(())
    }
}

/// The file of this name in PATH or where Debian keeps daemons.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(|dir| Path::new(dir).to_path_buf());
    let mut folders = std::env::split_paths(&path).chain(usual);
    folders.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()))
}

/// For helpers whose failure only costs precision.
pub fn run_quietly(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The rest of the line that begins with `name`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

fn first_number(text: &str) -> u64 {
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn gone(pid: u32) -> impl Fn(std::io::Error) -> BenchError {
    move |source| BenchError::Process { pid, source }
}
