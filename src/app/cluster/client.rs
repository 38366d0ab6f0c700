//! Runs a client program such as psql and waits for it, but not forever.
//! Never lets it see our environment, nor a terminal.

use std::{
    env,
    io::{self, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::{ClusterError, at, cannot_run, last_lines, wait};

/// The variables without which a program may not run at all. All others could change what a client
/// does: PGHOST, PGOPTIONS, PGPASSFILE, PSQLRC, a locale that translates what we read.
const KEPT: &[&str] = &["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// A command that sees the world as if it had just been installed.
pub fn untouched(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for kept in KEPT {
        command.envs(env::var_os(kept).map(|value| (kept, value)));
    }
    command
        .env("HOME", home)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Runs the command to its end, whatever its exit status, and gives back what it wrote. Standard
/// input is the command's own affair.
///
/// # Errors
/// When it cannot be started, or does not end in time; it is killed then, and the error carries
/// the last of what it wrote to standard error.
pub fn finish(
    command: &mut Command,
    what: &'static str,
    patience: Duration,
) -> Result<Output, ClusterError> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot_run(Path::new(command.get_program())))?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let waited = wait(&mut child, what, patience);
    if waited.is_err() {
        end(&mut child);
    }
    let (stdout, stderr) = (gathered(stdout), gathered(stderr));
    match waited {
        Ok(status) => Ok(Output {
            status,
            stdout: stdout.map_err(at(Path::new(what)))?,
            stderr: stderr.map_err(at(Path::new(what)))?,
        }),
        Err(ClusterError::TooSlow { what, after }) => Err(ClusterError::Hung {
            program: what,
            after,
            said: last_lines(&String::from_utf8_lossy(&stderr.unwrap_or_default())),
        }),
        Err(other) => Err(other),
    }
}

/// As [`finish`], and a failure is an error too; gives back standard output.
///
/// # Errors
/// As [`finish`], and when the program says that it failed.
pub fn succeed(
    command: &mut Command,
    what: &'static str,
    patience: Duration,
) -> Result<String, ClusterError> {
    let ended = finish(command, what, patience)?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(ClusterError::Failed {
        program: what,
        status: ended.status,
        said: last_lines(&String::from_utf8_lossy(&ended.stderr)),
    })
}

type Reader = Option<thread::JoinHandle<io::Result<Vec<u8>>>>;

/// A thread for each stream: a program that fills the one while we read the other would stand still.
fn drain(stream: Option<impl Read + Send + 'static>) -> Reader {
    let mut stream = stream?;
    Some(thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(|_| bytes)
    }))
}

fn gathered(reader: Reader) -> io::Result<Vec<u8>> {
    let joined = reader.map(thread::JoinHandle::join);
    joined.map_or_else(
        || Ok(Vec::new()),
        |read| read.unwrap_or_else(|_| Ok(Vec::new())),
    )
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "here a failure is a failed test"
)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = untouched(Path::new("sh"), Path::new("/"));
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_client_that_hangs_is_ended_and_its_last_words_are_kept() {
        let hung = finish(
            &mut shell("echo connecting >&2; exec sleep 60"),
            "client",
            Duration::from_millis(200),
        );
        let Err(ClusterError::Hung { said, .. }) = hung else {
            panic!("{hung:?}");
        };
        assert_eq!(said, "connecting");
    }

    #[test]
    fn a_client_that_writes_much_to_both_streams_is_not_held_up() {
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3";
        let ended = finish(&mut shell(script), "client", Duration::from_secs(10)).unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!((ended.stdout.len(), ended.stderr.len()), (300_000, 300_000));
    }

    #[test]
    fn a_failure_is_told_in_the_clients_own_words() {
        let failed = succeed(
            &mut shell("echo no such table >&2; exit 1"),
            "psql",
            Duration::from_secs(5),
        );
        assert!(failed.unwrap_err().to_string().contains("no such table"));
    }
}
