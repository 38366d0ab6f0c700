//! The folder of a throw-away server, and the promise that neither outlives this process.
//! Never starts the server itself.

use std::{
    env, fs, io,
    io::Write,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{ClusterError, client::untouched};

/// Reads process ids from its standard input, one a line (`-`: none). When the input ends, because
/// its owner let go or died however hard, it ends the last process named and removes the folder.
///
/// A pipe that closes is the one thing that even SIGKILL cannot skip; `PR_SET_PDEATHSIG` would need
/// unsafe code, exists on Linux only, and fires when the *thread* that spawned has ended. The
/// segment of System V memory, whose id postmaster.pid holds, outlives a server that was killed.
const GUARDIAN: &str = r#"
trap '' HUP INT QUIT TERM
server=-
while read -r line; do server=$line; done
if [ "$server" != - ]; then
  kill -s QUIT "$server"
  tries=0
  while kill -s 0 "$server" && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -s KILL "$server"
fi
if [ -f "$1/data/postmaster.pid" ]; then
  segment=$(sed -n '7s/.* //p' "$1/data/postmaster.pid")
  ipcrm -m "$segment"
fi
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 50 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
"#;

/// Who runs the server: Postgres refuses to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// A folder that belongs to the server's user and vanishes with its owner.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    /// Set when we are root: the unprivileged user to run as.
    owner: Option<Owner>,
    guardian: Child,
    leash: Option<ChildStdin>,
}

impl Home {
    /// Makes the folder, under the system's folder for temporary files.
    pub fn make() -> Result<Self, ClusterError> {
        let folder = make_folder()?;
        // From here on the folder is the guardian's to remove.
        let (guardian, leash) = match post_guardian(&folder) {
            Ok(posted) => posted,
            Err(source) => {
                let _ = fs::remove_dir(&folder);
                return Err(ClusterError::Spawn {
                    program: PathBuf::from("sh"),
                    source,
                });
            }
        };
        let mut home = Self {
            folder,
            owner: None,
            guardian,
            leash,
        };
        home.owner = home.unprivileged_owner()?;
        home.hand_over(&home.folder)?;
        Ok(home)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A command that runs as the server's user, at home in the folder, with an environment in
    /// which no setting of ours can reach it, away from the terminal's Ctrl-C.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = untouched(program, &self.folder);
        command.current_dir(&self.folder).process_group(0);
        if let Some(Owner { uid, gid }) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// From now on this process, and none before it, ends with us.
    pub fn guard(&mut self, server: &Child) -> Result<(), ClusterError> {
        self.tell(format_args!("{}", server.id()))
    }

    /// Nothing is left to end.
    pub fn guard_none(&mut self) -> Result<(), ClusterError> {
        self.tell(format_args!("-"))
    }

    /// Writes a file that the server may read and nobody else.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), ClusterError> {
        fs::write(path, text).map_err(at(path))?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(at(path))?;
        self.hand_over(path)
    }

    /// Who the server's files belong to, for caches that must not mix owners.
    pub fn owner_id(&self) -> Result<u32, ClusterError> {
        let about = fs::metadata(&self.folder).map_err(at(&self.folder))?;
        Ok(about.uid())
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), ClusterError> {
        match self.leash.as_mut().map(|leash| writeln!(leash, "{line}")) {
            Some(Ok(())) => Ok(()),
            Some(Err(source)) => Err(ClusterError::GuardianLost { source }),
            None => Ok(()),
        }
    }

    fn hand_over(&self, path: &Path) -> Result<(), ClusterError> {
        match self.owner {
            Some(Owner { uid, gid }) => chown(path, Some(uid), Some(gid)).map_err(at(path)),
            None => Ok(()),
        }
    }

    /// The folder was made by us, so its owner tells who we are.
    fn unprivileged_owner(&self) -> Result<Option<Owner>, ClusterError> {
        if self.owner_id()? != 0 {
            return Ok(None);
        }
        let users = Path::new("/etc/passwd");
        let users = fs::read_to_string(users).map_err(at(users))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| owner_named(&users, name))
            .map(Some)
            .ok_or(ClusterError::NoUser)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.leash.take());
        let _ = self.guardian.wait();
    }
}

/// Draws names until one is free; `create_dir` is what decides, so nobody can be there before us.
fn make_folder() -> Result<PathBuf, ClusterError> {
    let parent = env::temp_dir();
    loop {
        let folder = parent.join(format!("pg-ambassador-{:08x}", fastrand::u32(..)));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(at(&folder)(source)),
        }
    }
}

/// Its own process group and no inherited output: a terminal's Ctrl-C passes it by, and whoever
/// waits for our output to close does not wait for it.
fn post_guardian(folder: &Path) -> io::Result<(Child, Option<ChildStdin>)> {
    let mut guardian = Command::new("sh")
        .args(["-c", GUARDIAN, "guardian"])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let leash = guardian.stdin.take();
    Ok((guardian, leash))
}

/// The entry of /etc/passwd: name, password, uid, gid, then what does not matter here.
fn owner_named(users: &str, name: &str) -> Option<Owner> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Owner { uid, gid })
    })
}

/// Names the file in an error of the file system.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> ClusterError + use<> {
    let path = path.to_owned();
    |source| ClusterError::File { path, source }
}
