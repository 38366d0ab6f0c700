//! A password's file, read again when it has changed: secrets are rotated while we run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::mistake::Wrong;
use crate::auth::{Secret, Source};
use crate::net::watch::Stamp;
use crate::telemetry::events;

/// The file, and what it held when it was read last.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    last: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    /// `None`: it could not be read since.
    stamp: Option<Stamp>,
    secret: Secret,
}

impl SecretFile {
    /// # Errors
    /// It cannot be read, or is empty.
    pub fn open(path: &Path) -> Result<Self, Wrong> {
        let read = Read::from(path)?;
        Ok(Self {
            path: path.to_owned(),
            last: Mutex::new(read),
        })
    }
}

impl Source for SecretFile {
    /// Costs one look at the file while it stays as it is.
    fn current(&self) -> Secret {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).ok();
        if stamp.is_none() || stamp != last.stamp {
            match Read::from(&self.path) {
                Ok(read) => *last = read,
                // Amid a change, perhaps: what was right a moment ago is the best there is.
                Err(wrong) => {
                    if last.stamp.take().is_some() {
                        events::secret_not_read(&wrong);
                    }
                }
            }
        }
        last.secret.clone()
    }
}

impl Read {
    fn from(path: &Path) -> Result<Self, Wrong> {
        // First: a change behind our back is then seen the next time.
        let stamp = Stamp::of(path).ok();
        let secret = text(path)?;
        Ok(Self { stamp, secret })
    }
}

/// A file's text without its last line break.
fn text(path: &Path) -> Result<Secret, Wrong> {
    let text = fs::read_to_string(path).map(zeroize::Zeroizing::new);
    let text = text.map_err(|source| Wrong::SecretFile {
        path: path.to_owned(),
        source,
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Wrong::EmptySecretFile {
            path: path.to_owned(),
        });
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        fn open(&self, name: &str) -> SecretFile {
            SecretFile::open(&self.path(name)).unwrap()
        }
    }

    #[test]
    fn a_file_that_is_written_anew_is_read_anew() {
        let folder = Folder::new();
        folder.write("secret", "one\n");
        let file = folder.open("secret");
        assert_eq!(file.current().expose(), "one");
        folder.write("secret", "another\r\n");
        assert_eq!(file.current().expose(), "another");
        // As those do who write beside it and rename.
        folder.write("new", "renamed");
        fs::rename(folder.path("new"), folder.path("secret")).unwrap();
        assert_eq!(file.current().expose(), "renamed");
    }

    #[test]
    fn a_volume_of_kubernetes_is_followed_when_its_link_is_swapped() {
        let folder = Folder::new();
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(folder.path(version)).unwrap();
            folder.write(&format!("{version}/secret"), text);
        }
        symlink("..1", folder.path("..data")).unwrap();
        symlink("..data/secret", folder.path("secret")).unwrap();
        let file = folder.open("secret");
        assert_eq!(file.current().expose(), "one");
        symlink("..2", folder.path("..next")).unwrap();
        fs::rename(folder.path("..next"), folder.path("..data")).unwrap();
        assert_eq!(file.current().expose(), "two");
    }

    #[test]
    fn while_a_file_is_gone_or_empty_the_last_password_counts() {
        let folder = Folder::new();
        folder.write("secret", "one");
        let file = folder.open("secret");
        fs::remove_file(folder.path("secret")).unwrap();
        assert_eq!(file.current().expose(), "one");
        folder.write("secret", "");
        assert_eq!(file.current().expose(), "one");
        folder.write("secret", "two");
        assert_eq!(file.current().expose(), "two");
    }
}
