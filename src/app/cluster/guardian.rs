//! The promise that what we started does not outlive us, however we end.
//! Never acts while its owner lives: a living owner tidies up itself.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{ClusterError, cannot_run};

/// Reads process ids from its standard input, one a line (`-`: none). When the input ends, because
/// its owner let go or died, it ends the last process named and removes the folder, if there is one.
///
/// A pipe that closes is the one thing that even SIGKILL cannot skip; `PR_SET_PDEATHSIG` would need
/// unsafe code, exists on Linux only, and fires when the *thread* that spawned has ended. The
/// segment of System V memory, whose id postmaster.pid holds, outlives a server that was killed.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
charge=-
while read -r line; do charge=$line; done
if [ "$charge" != - ]; then
  kill -s CONT "$charge"
  kill -s QUIT "$charge"
  tries=0
  while kill -s 0 "$charge" && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -s KILL "$charge"
fi
[ -n "$1" ] || exit 0
if [ -f "$1/data/postmaster.pid" ]; then
  ipcrm -m "$(sed -n '7s/.* //p' "$1/data/postmaster.pid")"
fi
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 50 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
"#;

/// A process that waits for our end. Dropping it is an end too: it is waited for.
#[derive(Debug)]
pub struct Guardian {
    process: Child,
    leash: Option<ChildStdin>,
}

impl Guardian {
    /// From now on the folder, if one is named, goes when we go.
    ///
    /// # Errors
    /// When there is no `sh`.
    pub fn post(folder: Option<&Path>) -> Result<Self, ClusterError> {
        // Its own process group and no inherited output: a terminal's Ctrl-C passes it by, and
        // whoever waits for our output to close does not wait for it.
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder.unwrap_or(Path::new("")))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(cannot_run(Path::new("sh")))?;
        let leash = process.stdin.take();
        Ok(Self { process, leash })
    }

    /// From now on this process, and none before it, ends with us.
    ///
    /// # Errors
    /// When the guardian is gone.
    pub fn guard(&mut self, charge: &Child) -> Result<(), ClusterError> {
        self.tell(format_args!("{}", charge.id()))
    }

    /// Nothing is left to end: say so as soon as the process has been waited for, since from then
    /// on its id may be another's.
    ///
    /// # Errors
    /// When the guardian is gone.
    pub fn guard_none(&mut self) -> Result<(), ClusterError> {
        self.tell(format_args!("-"))
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), ClusterError> {
        let told = self.leash.as_mut().map(|leash| writeln!(leash, "{line}"));
        told.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
            .map_err(|source| ClusterError::GuardianLost { source })
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.process.wait();
    }
}
