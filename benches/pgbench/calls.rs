//! Which system calls a proxy makes per transaction, once everyone has logged in.
//!
//! A run of next to nothing and a long one are counted; what the long one makes more belongs to its
//! transactions, and logins and ends cancel out.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    cases::Case,
    error::{BenchError, at},
    load::{Length, command},
    machine::{Shares, run_quietly},
    peers::Ground,
    service::{Service, finish, wrapped},
};

const CASE: Case = Case::SIMPLE_32;
const PATIENCE_SECONDS: u64 = 60;
/// Transactions per client of the run whose calls are mostly logins.
const FEW: u64 = 10;
/// Counted by name under perf; the rest shows as "other".
const NAMED: [&str; 16] = [
    "accept4",
    "close",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "futex",
    "io_uring_enter",
    "poll",
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "write",
    "writev",
];
const EVERY_CALL: &str = "raw_syscalls:sys_enter";

/// Calls per transaction by name.
#[derive(Debug, Clone)]
pub struct Calls {
    by_name: BTreeMap<String, f64>,
    total: f64,
    with: Tool,
    strangers: f64,
}

/// What counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Tracepoints: hardly slows the proxy.
    Perf,
    /// Stops the proxy at each call; the counts hold, the timing does not.
    Strace,
}

impl Tool {
    /// The first that works here.
    pub fn find() -> Option<Self> {
        let perf = ["stat", "-e", EVERY_CALL, "--", "true"];
        if run_quietly("perf", &perf) {
            return Some(Self::Perf);
        }
        run_quietly("strace", &["-c", "true"]).then_some(Self::Strace)
    }

    /// As the tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf stat",
            Self::Strace => "strace -c",
        }
    }
}

impl Calls {
    /// Counts a peer's calls over so many transactions per client.
    ///
    /// # Errors
    /// When pgbench or the tool fails.
    pub fn count(
        ground: &Ground,
        peer: &Service,
        tool: Tool,
        transactions: u64,
    ) -> Result<Self, BenchError> {
        let ours: Vec<u32> = ground
            .postmaster()
            .into_iter()
            .chain([peer.pid()])
            .collect();
        let shares = Shares::now(&ours);
        let transactions = match tool {
            Tool::Perf => transactions,
            // So slow that a quarter must do.
            Tool::Strace => transactions / 4,
        };
        let short = counted(ground, peer, tool, FEW)?;
        let long = counted(ground, peer, tool, FEW + transactions)?;
        let more = (transactions * u64::from(CASE.clients)) as f64;
        let per_transaction = |(name, count): (&String, &u64)| {
            let extra = *count as f64 - short.get(name).copied().unwrap_or(0) as f64;
            (name.clone(), extra / more)
        };
        let mut by_name: BTreeMap<_, _> = long.iter().map(per_transaction).collect();
        let named: f64 = by_name.values().sum();
        let total = match by_name.remove(EVERY_CALL) {
            Some(total) => {
                by_name.insert("other".to_owned(), 2.0 * total - named);
                total
            }
            None => named,
        };
        by_name.retain(|_, count| *count >= 0.0005);
        Ok(Self {
            by_name,
            total,
            with: tool,
            strangers: Shares::now(&ours).strangers_since(shares),
        })
    }

    /// All calls per transaction.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Calls of one name per transaction.
    pub fn of(&self, name: &str) -> f64 {
        self.by_name.get(name).copied().unwrap_or(0.0)
    }

    /// What counted them.
    pub fn tool(&self) -> Tool {
        self.with
    }

    /// The part of the machine that programs other than ours used meanwhile: a proxy that waits for
    /// its core finds more to do at each wake-up, or less.
    pub fn strangers(&self) -> f64 {
        self.strangers
    }

    /// "recvfrom 2.00, sendto 2.00, epoll_wait 0.13".
    pub fn list(&self) -> String {
        let mut calls: Vec<_> = self.by_name.iter().collect();
        calls.sort_by(|one, other| other.1.total_cmp(one.1));
        let each = calls
            .iter()
            .map(|(name, count)| format!("{name} {count:.3}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// All calls of the peer during one run of pgbench.
fn counted(
    ground: &Ground,
    peer: &Service,
    tool: Tool,
    transactions: u64,
) -> Result<BTreeMap<String, u64>, BenchError> {
    let load = command(
        ground,
        peer.port(),
        CASE,
        Length::Transactions(transactions),
    );
    let counts = ground.folder().join("calls");
    match tool {
        Tool::Perf => under_perf(ground, peer, &load, &counts)?,
        Tool::Strace => under_strace(ground, peer, load, &counts)?,
    }
    let text = fs::read_to_string(&counts).map_err(at(&counts))?;
    let parse = match tool {
        Tool::Perf => perf_line,
        Tool::Strace => strace_line,
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// perf counts the process it is told of for as long as the command it is given runs.
fn under_perf(
    ground: &Ground,
    peer: &Service,
    load: &Command,
    counts: &Path,
) -> Result<(), BenchError> {
    let mut events = EVERY_CALL.to_owned();
    for name in NAMED {
        events.push_str(&format!(",syscalls:sys_enter_{name}"));
    }
    let mut perf = Command::new("perf");
    perf.args([
        "stat",
        "-x",
        ",",
        "-e",
        &events,
        "-p",
        &peer.pid().to_string(),
        "-o",
    ]);
    perf.arg(counts).arg("--");
    finish(
        wrapped(perf, load),
        &ground.log("perf"),
        PATIENCE_SECONDS,
        ground.stop(),
    )
    .map(drop)
}

fn under_strace(
    ground: &Ground,
    peer: &Service,
    load: Command,
    counts: &Path,
) -> Result<(), BenchError> {
    let log = ground.log("strace");
    let mut strace = Command::new("strace");
    strace
        .args(["-c", "-f", "-p", &peer.pid().to_string(), "-o"])
        .arg(counts);
    strace.stdin(Stdio::null()).stdout(Stdio::null());
    strace.stderr(File::create(&log).map_err(at(&log))?);
    let strace = strace.spawn().map_err(|source| BenchError::Start {
        program: "strace".to_owned(),
        source,
    })?;
    let mut strace = Attached(strace);
    strace.await_attach(&log)?;
    finish(
        load,
        &ground.log("pgbench"),
        PATIENCE_SECONDS,
        ground.stop(),
    )?;
    strace.detach();
    Ok(())
}

/// strace on somebody; dropping it detaches.
struct Attached(Child);

impl Attached {
    fn await_attach(&mut self, log: &Path) -> Result<(), BenchError> {
        for _ in 0..250 {
            if fs::read_to_string(log).is_ok_and(|said| said.contains("attached")) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(BenchError::Slow {
            program: "strace".to_owned(),
            seconds: 5,
        })
    }

    /// SIGINT: it lets the process go on and writes its counts.
    fn detach(&mut self) {
        if !run_quietly("kill", &["-INT", &self.0.id().to_string()]) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.detach();
        }
    }
}

/// `1234,,syscalls:sys_enter_sendto,…`
fn perf_line(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split(',');
    let count = fields.next()?.parse().ok()?;
    let event = fields.nth(1)?;
    let name = event.strip_prefix("syscalls:sys_enter_").unwrap_or(event);
    Some((name.to_owned(), count))
}

/// `42.00  0.123  2  1234  [5]  sendto`: percent, seconds, µs a call, calls, errors if any, name.
fn strace_line(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split_whitespace();
    fields.next()?.parse::<f64>().ok()?;
    let count = fields.nth(2)?.parse().ok()?;
    let name = fields.next_back()?;
    (name != "total").then(|| (name.to_owned(), count))
}
