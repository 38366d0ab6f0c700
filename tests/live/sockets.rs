//! Where the ambassador listens.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::support::{self, Served, clients, free_port};

fn who(host: &str, port: u16) -> String {
    let told = clients::psql_as_at(host, port, "postgres", "postgres", "", "select 'hello'");
    let err = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success(), "{host}: {err}");
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

fn listening(folder: &Path, more: &[&str]) -> Served {
    let upstream = support::cluster().url("postgres");
    let unix = format!("unix:{}", folder.display());
    let args = ["--upstream", &upstream, "--listen", &unix];
    Served::ambassador_with(&[&args, more].concat())
}

#[test]
fn several_addresses_serve_alike_unix_sockets_and_ipv6_among_them() {
    let folder = tempfile::tempdir().unwrap();
    let sixth = free_port();
    let served = listening(folder.path(), &["--listen", &format!("[::1]:{sixth}")]);
    for (host, port) in [
        ("127.0.0.1", served.port()),
        ("::1", sixth),
        (folder.path().to_str().unwrap(), 5432),
    ] {
        assert_eq!(who(host, port), "hello");
    }
}

#[test]
fn a_socket_that_nobody_answers_is_replaced_and_goes_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".s.PGSQL.5432");
    drop(UnixListener::bind(&path).unwrap());
    let mut served = listening(folder.path(), &["--workers", "1"]);
    assert_eq!(who(folder.path().to_str().unwrap(), 5432), "hello");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o777);
    served.signal("TERM");
    assert!(served.ended_within(Duration::from_secs(20)).success());
    assert!(!path.exists());
}

#[test]
fn a_socket_that_somebody_answers_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let _first = listening(folder.path(), &[]);
    let path = folder.path().join(".s.PGSQL.5432");
    let unix = format!("unix:{}", folder.path().display());
    let second = Command::new(env!("CARGO_BIN_EXE_pg-ambassador"))
        .args(["--upstream", "postgres://127.0.0.1", "--listen", &unix])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let second = String::from_utf8(second.stderr).unwrap();
    assert!(
        second.contains(&format!("cannot listen on {}", path.display())),
        "{second}"
    );
    assert_eq!(who(folder.path().to_str().unwrap(), 5432), "hello");
}
