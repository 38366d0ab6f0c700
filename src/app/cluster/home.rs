//! The folder of a throw-away server, and the user whom it belongs to.
//! Never starts the server itself.

use std::{
    env, fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::{ClusterError, client::untouched, guardian::Guardian};

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
    /// Removes the folder when we go.
    guardian: Guardian,
}

impl Home {
    /// Makes the folder, under the system's folder for temporary files.
    pub fn make() -> Result<Self, ClusterError> {
        let folder = make_folder()?;
        let guardian = Guardian::post(Some(&folder)).inspect_err(|_| {
            let _ = fs::remove_dir(&folder);
        })?;
        let mut home = Self {
            folder,
            owner: None,
            guardian,
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

    pub fn guardian(&mut self) -> &mut Guardian {
        &mut self.guardian
    }

    /// Writes a file that the server may read and nobody else.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), ClusterError> {
        fs::write(path, text).map_err(at(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(at(path))?;
        self.hand_over(path)
    }

    fn hand_over(&self, path: &Path) -> Result<(), ClusterError> {
        match self.owner {
            Some(Owner { uid, gid }) => chown(path, Some(uid), Some(gid)).map_err(at(path)),
            None => Ok(()),
        }
    }

    /// The folder was made by us, so its owner tells who we are.
    fn unprivileged_owner(&self) -> Result<Option<Owner>, ClusterError> {
        let about = fs::metadata(&self.folder).map_err(at(&self.folder))?;
        if about.uid() != 0 {
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
