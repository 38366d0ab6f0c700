//! PostgreSQL's own regression suite, of the version that is installed.
//! Without its `expected` files: who has a server at hand asks that.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The suite in a folder that the server may read; `None`: there is none, which is told.
pub fn folder() -> Option<tempfile::TempDir> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let provided = Command::new(format!("{root}/.ci/provide"))
        .arg("regress")
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .output();
    let why = match provided {
        Ok(ended) if ended.status.success() => {
            let folder = tempfile::tempdir().unwrap();
            copy(&target.join("regress"), folder.path());
            return Some(folder);
        }
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    super::skip(&format!("there is no regression suite: {why}"));
    None
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The names of the files, in the order in which they build on each other; those of a group may
/// run at the same time.
pub fn groups(suite: &Path) -> Vec<Vec<String>> {
    let schedule = fs::read_to_string(suite.join("parallel_schedule")).unwrap();
    let lines = schedule
        .lines()
        .filter_map(|line| line.strip_prefix("test:"));
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}
