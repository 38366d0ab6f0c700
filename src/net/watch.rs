//! What is made of files, and made anew when they change: secrets are rotated while we run.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What differs between a file and what it becomes. The path is followed to its end, so that a
/// link to another file, as Kubernetes changes its volumes, is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// # Errors
    /// There is no such file, or it is not ours to see.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Longer than a step of any file system's clock.
const STEP: Duration = Duration::from_secs(2);

/// Makes the thing.
type Make<T, E> = Box<dyn Fn() -> Result<T, E> + Send + Sync>;

/// A thing that is made of files. What they cannot be made into changes nothing: the one of
/// before stays in use.
pub struct Watched<T, E> {
    paths: Vec<PathBuf>,
    make: Make<T, E>,
    current: Mutex<Arc<T>>,
    seen: Mutex<Seen>,
    renewed: AtomicU64,
    refused: AtomicU64,
}

/// The files as they were when they were read last.
struct Seen {
    stamps: Vec<Option<Stamp>>,
    digest: Option<[u8; 32]>,
    /// Why they were of no use.
    refused: Option<String>,
}

/// What has become of the files since the last look.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked<E> {
    /// Nothing, or nothing that counts.
    Same,
    /// There is a new thing.
    Renewed,
    /// They are of no use; told once for the same reason.
    Refused(E),
}

impl<T, E: std::fmt::Display> Watched<T, E> {
    /// # Errors
    /// What `make`, which reads the files, says of them as they are.
    pub fn new(
        paths: Vec<PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // First: a change behind our back is then seen the next time.
        let stamps = stamps(&paths);
        let digest = digest(&paths);
        let first = make()?;
        let seen = Seen {
            stamps: settled(stamps),
            digest,
            refused: None,
        };
        Ok(Self {
            paths,
            make: Box::new(make),
            current: Mutex::new(Arc::new(first)),
            seen: Mutex::new(seen),
            renewed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// The thing as it counts now.
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&lock(&self.current))
    }

    /// Looks at the files, which costs a call of the system each while they stay as they are, and
    /// reads them if they have changed, or in any case if `again`.
    pub fn look(&self, again: bool) -> Looked<E> {
        let mut seen = lock(&self.seen);
        let stamps = stamps(&self.paths);
        if !again && stamps == seen.stamps {
            return Looked::Same;
        }
        let digest = digest(&self.paths);
        let same = digest.is_some() && digest == seen.digest;
        if same && (seen.refused.is_none() || !again) {
            seen.stamps = settled(stamps);
            return Looked::Same;
        }
        let made = (self.make)();
        if self::stamps(&self.paths) != stamps {
            // Somebody writes just now. The next look will see the end of it.
            return Looked::Same;
        }
        (seen.stamps, seen.digest) = (settled(stamps), digest);
        match made {
            Ok(new) => {
                *lock(&self.current) = Arc::new(new);
                seen.refused = None;
                self.renewed.fetch_add(1, Ordering::Relaxed);
                Looked::Renewed
            }
            Err(why) => {
                let told = why.to_string();
                let is_news = again || seen.refused.as_ref() != Some(&told);
                seen.refused = Some(told);
                if !is_news {
                    return Looked::Same;
                }
                self.refused.fetch_add(1, Ordering::Relaxed);
                Looked::Refused(why)
            }
        }
    }

    /// Why the files as they are now are not in use; `None`: they are.
    pub fn refused(&self) -> Option<String> {
        lock(&self.seen).refused.clone()
    }

    /// How often they were made into a new thing, and how often they were of no use.
    pub fn counts(&self) -> (u64, u64) {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (count(&self.renewed), count(&self.refused))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path).ok()).collect()
}

/// The stamps, if what is written from now on will show in them: the system's clock for files goes
/// in steps, within which a second change looks like the first. Else none, and the next look reads.
fn settled(stamps: Vec<Option<Stamp>>) -> Vec<Option<Stamp>> {
    let before = SystemTime::now().checked_sub(STEP);
    let before = before.and_then(|before| before.duration_since(UNIX_EPOCH).ok());
    let before = before.map_or(0, |since| since.as_secs().cast_signed());
    let mut found = stamps.iter().flatten();
    match found.all(|stamp| stamp.changed.0 < before) {
        true => stamps,
        false => Vec::new(),
    }
}

/// Of what is in the files; `None`: one could not be read.
fn digest(paths: &[PathBuf]) -> Option<[u8; 32]> {
    let mut digest = Sha256::new();
    for path in paths {
        let text = Zeroizing::new(fs::read(path).ok()?);
        digest.update(text.len().to_be_bytes());
        digest.update(text.as_slice());
    }
    Some(digest.finalize().into())
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

        /// A pair of files that have to say the same.
        fn pair(&self) -> Watched<String, String> {
            let paths = [self.path("one"), self.path("other")];
            Watched::new(paths.to_vec(), move || {
                let read = |path| fs::read_to_string(path).map_err(|why| why.kind().to_string());
                let one = read(&paths[0])?;
                match one == read(&paths[1])? {
                    true => Ok(one),
                    false => Err("they differ".to_owned()),
                }
            })
            .unwrap()
        }
    }

    fn refused(why: &str) -> Looked<String> {
        Looked::Refused(why.to_owned())
    }

    #[test]
    fn a_pair_that_does_not_fit_keeps_the_one_of_before_and_is_told_once() {
        let folder = Folder::new();
        folder.write("one", "a");
        folder.write("other", "a");
        let pair = folder.pair();
        assert_eq!(pair.look(false), Looked::Same);
        folder.write("one", "b");
        assert_eq!(pair.look(false), refused("they differ"));
        assert_eq!(pair.look(false), Looked::Same);
        folder.write("one", "bb");
        assert_eq!(pair.look(false), Looked::Same);
        assert_eq!(*pair.current(), "a");
        assert_eq!(pair.refused().unwrap(), "they differ");
        folder.write("other", "bb");
        assert_eq!(pair.look(false), Looked::Renewed);
        assert_eq!((pair.current().as_str(), pair.refused()), ("bb", None));
        assert_eq!(pair.counts(), (1, 1));
    }

    #[test]
    fn a_file_that_is_gone_keeps_the_one_of_before_and_its_return_is_seen() {
        let folder = Folder::new();
        folder.write("one", "a");
        folder.write("other", "a");
        let pair = folder.pair();
        fs::remove_file(folder.path("one")).unwrap();
        assert_eq!(pair.look(false), refused("entity not found"));
        assert_eq!(*pair.current(), "a");
        folder.write("one", "a");
        assert_eq!(pair.look(false), Looked::Renewed);
        assert_eq!(pair.refused(), None);
    }

    #[test]
    fn what_is_written_anew_without_a_change_is_not_new_also_when_asked_for() {
        let folder = Folder::new();
        folder.write("one", "a");
        folder.write("other", "a");
        let pair = folder.pair();
        let first = pair.current();
        folder.write("new", "a");
        fs::rename(folder.path("new"), folder.path("one")).unwrap();
        assert_eq!(pair.look(false), Looked::Same);
        assert_eq!(pair.look(true), Looked::Same);
        assert!(Arc::ptr_eq(&first, &pair.current()));
        folder.write("one", "b");
        assert_eq!(pair.look(false), refused("they differ"));
        assert_eq!(pair.look(true), refused("they differ"));
    }

    #[test]
    fn a_volume_of_kubernetes_is_followed_when_its_link_is_swapped() {
        let folder = Folder::new();
        for (version, text) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir(folder.path(version)).unwrap();
            folder.write(&format!("{version}/one"), text);
            folder.write(&format!("{version}/other"), text);
        }
        symlink("..1", folder.path("..data")).unwrap();
        for name in ["one", "other"] {
            symlink(format!("..data/{name}"), folder.path(name)).unwrap();
        }
        let pair = folder.pair();
        symlink("..2", folder.path("..next")).unwrap();
        fs::rename(folder.path("..next"), folder.path("..data")).unwrap();
        assert_eq!(pair.look(false), Looked::Renewed);
        assert_eq!(*pair.current(), "b");
    }
}
