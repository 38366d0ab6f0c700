//! The same library through PgBouncer: it tells whether the library asks enough.

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    Through,
    crowd::Holding,
    databases, kinds, library,
    run::{HASTE, run},
};
use crate::support::{self, Served};

/// Fewer differences than this: the library is too tame.
const LEAST: usize = 30;

#[test]
#[ignore = "long: many conversations wait in vain"]
fn through_pgbouncer_many_of_them_are_not_the_same() {
    let Some(program) = find() else {
        return support::skip("there is no pgbouncer");
    };
    let folder = tempfile::tempdir().unwrap();
    let served = start(&program, folder.path());
    let library = library("transaction");
    let outcomes = run(
        &library,
        &databases(),
        &Through {
            holding: Holding::Queries,
            // It tells its own at every login.
            forgives_greetings: true,
            patience: HASTE.min(Duration::from_secs(1)),
            ..Through::crowd_of(&served)
        },
    );
    let differing = outcomes.iter().filter(|one| one.difference.is_some());
    let differing: Vec<_> = differing.map(|one| one.conversation.clone()).collect();
    let (count, all) = (differing.len(), library.len());
    println!(
        "{}: {count} of {all} differ: {:?}",
        version(&program),
        kinds(&differing)
    );
    assert!(count >= LEAST, "the library is too tame");
}

/// As it comes, but for what it would refuse at start-up, and with prepared statements where it
/// has them.
fn start(program: &Path, folder: &Path) -> Served {
    let cluster = support::cluster();
    let owner = fs::metadata(cluster.folder()).unwrap();
    let (uid, gid) = (owner.uid(), owner.gid());
    let me = fs::metadata("/proc/self").unwrap().uid();
    let users = folder.join("users.txt");
    fs::write(&users, "\"postgres\" \"\"\n").unwrap();
    let prepares = version(program).split(['.', ' ']).nth(2).map(str::to_owned);
    let prepares = prepares.and_then(|minor| minor.parse().ok()) >= Some(21);
    let ini = |port: u16| {
        let mut text = format!(
            "[databases]\n* = host=127.0.0.1 port={upstream}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\npool_mode = transaction\n\
             default_pool_size = 3\nignore_startup_parameters = extra_float_digits, options, \
             search_path, IntervalStyle, default_transaction_isolation\n",
            upstream = cluster.port(),
            users = users.display(),
        );
        if prepares {
            text.push_str("max_prepared_statements = 200\n");
        }
        text
    };
    Served::start(|port| {
        let file = folder.join(format!("{port}.ini"));
        fs::write(&file, ini(port)).unwrap();
        for path in [folder, &users, &file] {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
        let mut command = Command::new(program);
        command.arg(file);
        // It refuses to run as root.
        if me != uid {
            command.uid(uid).gid(gid);
        }
        command
    })
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).chain(usual);
    let mut found = folders.map(|folder| folder.join("pgbouncer"));
    let named = env::var_os("PGBOUNCER").map(PathBuf::from);
    named.or_else(|| found.find(|file| file.is_file()))
}

/// `PgBouncer 1.24.1`
fn version(program: &Path) -> String {
    let said = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    said.lines().next().unwrap_or_default().to_owned()
}
