//! Where are this machine's Postgres programs?
//! Never installs anything.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ClusterError;

/// Folders under which packagers keep one folder a version, newest to be tried first.
const VERSIONED: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"), // Debian, Ubuntu, Alpine
    ("/usr", "bin"),                // Red Hat: /usr/pgsql-17/bin
    ("/opt/homebrew/opt", "bin"),   // macOS on ARM
    ("/usr/local/opt", "bin"),      // macOS on Intel
    ("/Library/PostgreSQL", "bin"), // macOS, the installer
    ("/usr/libexec", "."),          // Alpine: /usr/libexec/postgresql17
];

/// The folder that holds one version's `initdb`, `postgres` and, most often, the client programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// `PG_BIN` if set, else the first of: `PATH`, the packagers' folders, `pg_config --bindir`.
    ///
    /// # Errors
    /// When no folder holds both `initdb` and `postgres`.
    pub fn find() -> Result<Self, ClusterError> {
        if let Some(folder) = env::var_os("PG_BIN").filter(|set| !set.is_empty()) {
            return Self::named(Path::new(&folder));
        }
        on_path()
            .into_iter()
            .chain(versioned())
            .chain(told_by_pg_config())
            .find_map(|folder| Self::within(&folder))
            .ok_or(ClusterError::NoServer)
    }

    /// Those of this folder.
    ///
    /// # Errors
    /// When it does not hold both `initdb` and `postgres`.
    pub fn named(folder: &Path) -> Result<Self, ClusterError> {
        let folder = folder.to_owned();
        Self::within(&folder).ok_or(ClusterError::NoServerIn { folder })
    }

    /// Follows symbolic links: a link to `postgres` alone would hide `psql` and `pgbench`.
    fn within(folder: &Path) -> Option<Self> {
        let real = fs::canonicalize(folder.join("postgres")).ok()?;
        let folder = real.parent()?;
        folder.join("initdb").is_file().then(|| Self {
            folder: folder.to_owned(),
        })
    }

    /// The path of a program: from the server's own folder, else from `PATH`.
    ///
    /// # Errors
    /// When it is in neither.
    pub fn program(&self, name: &'static str) -> Result<PathBuf, ClusterError> {
        std::iter::once(self.folder.clone())
            .chain(on_path())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .ok_or(ClusterError::NoProgram { name })
    }

    /// The server's version as it names itself, such as `15.18`; `None` when it will not say.
    pub fn version(&self) -> Option<String> {
        let told = said_by(&self.folder.join("postgres"), "--version")?;
        told.split_whitespace()
            .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
            .map(str::to_owned)
    }
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect()
}

fn versioned() -> impl Iterator<Item = PathBuf> {
    VERSIONED
        .iter()
        .flat_map(|(parent, below)| newest_first(Path::new(parent), below))
}

/// The sub-folders of `parent` that carry a version in their name and may be Postgres.
fn newest_first(parent: &Path, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name
                .strip_prefix("postgresql")
                .or_else(|| name.strip_prefix("pgsql"))
                .unwrap_or(&name)
                .trim_start_matches(['@', '-']);
            let major = version.split('.').next()?.parse().ok()?;
            Some((major, entry.path().join(below)))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn told_by_pg_config() -> Option<PathBuf> {
    said_by(Path::new("pg_config"), "--bindir").map(|told| PathBuf::from(told.trim()))
}

fn said_by(program: &Path, flag: &str) -> Option<String> {
    let asked = Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(asked.stdout)
        .ok()
        .filter(|_| asked.status.success())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "here a failure is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn versions_are_tried_by_number_and_newest_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9.6", "16", "postgresql@17", "pgsql-10", "java-21"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let order: Vec<String> = newest_first(parent.path(), "bin")
            .iter()
            .filter_map(|bin| bin.parent()?.file_name()?.to_str())
            .map(str::to_owned)
            .collect();
        assert_eq!(order, ["postgresql@17", "16", "pgsql-10", "9.6"]);
    }
}
