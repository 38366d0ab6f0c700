//! psql, as a person and as a script uses it.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Child, ChildStdin, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use pg_ambassador::app::cluster::client;
use tempfile::TempDir;

use crate::{
    isolation::sees_running,
    stage::{PATIENCE, Stage},
    support,
};

/// psql at a terminal of its own.
struct Terminal {
    process: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
    seen: usize,
    home: TempDir,
}

impl Terminal {
    fn open(stage: &Stage) -> Self {
        let home = tempfile::tempdir().unwrap();
        let psql = support::cluster().bin("psql").unwrap();
        let line = format!(
            "{} -X {}",
            psql.display(),
            stage.served.url(&stage.database)
        );
        // `script` of util-linux gives it a terminal; it ends when the terminal does.
        let mut command = client::untouched(Path::new("script"), home.path());
        command
            .args(["-q", "-e", "-f", "-c", &line, "/dev/null"])
            .env("TERM", "dumb")
            .env("PSQL_PAGER", "cat")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let (shown, mut output) = (Arc::clone(&screen), process.stdout.take().unwrap());
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
                shown.lock().unwrap().push_str(&text);
            }
        });
        let keys = process.stdin.take().unwrap();
        let mut terminal = Self {
            process,
            keys,
            screen,
            seen: 0,
            home,
        };
        terminal.shows("=# ");
        terminal
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the words appear, and gives what came up to them.
    #[track_caller]
    fn shows(&mut self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen.lock().unwrap().clone();
            let fresh = &screen[self.seen..];
            if let Some(at) = fresh.find(words) {
                let shown = fresh[..at + words.len()].to_owned();
                self.seen += shown.len();
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "no {words:?} in {fresh:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types a line and gives what it shows up to the next prompt.
    #[track_caller]
    fn enters(&mut self, line: &str) -> String {
        self.types(&format!("{line}\n"));
        // The line itself comes back first.
        self.shows("\n");
        self.shows("# ")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A script: psql without a terminal, with these arguments behind the usual ones.
fn script(port: u16, database: &str, args: &[&str]) -> Output {
    let psql = support::cluster().bin("psql").unwrap();
    let mut command = client::untouched(&psql, Path::new("/"));
    let url = format!("postgresql://postgres@127.0.0.1:{port}/{database}");
    command.args(["-X", "-A", "-t", "-d", &url]).args(args);
    client::finish(&mut command, "psql", Duration::from_secs(60)).unwrap()
}

/// The same directly and through: what it prints, what it complains of, and its exit status.
#[track_caller]
fn same(stage: &Stage, args: &[&str]) -> (String, String) {
    let run = |port| {
        let ended = script(port, &stage.database, args);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(ended.stdout), text(ended.stderr), ended.status.code())
    };
    let expected = run(support::cluster().port());
    let seen = run(stage.port());
    assert_eq!(seen, expected);
    (seen.0, seen.1)
}

#[test]
fn a_person_at_a_terminal_can_work() {
    let stage = Stage::with_pool_of(1);
    let mut psql = Terminal::open(&stage);
    assert!(psql.enters("select 6 * 7 as answer;").contains("42"));
    assert!(psql.enters("select 1/0;").contains("division by zero"));
    psql.enters("create table things (id int primary key, name text);");
    assert!(
        psql.enters("\\d things")
            .contains("\"things_pkey\" PRIMARY KEY")
    );
    assert!(psql.enters("\\d").contains("things"));
    assert!(psql.enters("\\l").contains(&stage.database));
    psql.types("begin;\n");
    psql.shows("=*# ");
    psql.types("select wrong;\n");
    psql.shows("=!# ");
    psql.types("rollback;\n");
    psql.shows("=# ");
    psql.types("select\n");
    psql.shows("-# ");
    assert!(psql.enters("'two lines';").contains("two lines"));
    // Completion by the tab key asks the server while the line is typed.
    psql.types("select * from thi\t");
    psql.shows("things");
    assert!(psql.enters(";").contains("(0 rows)"));
    psql.types("\\q\n");
    let begun = Instant::now();
    while psql.process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "it does not leave");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(psql.home.path().exists());
}

#[test]
fn ctrl_c_cancels_the_query_and_the_session_lives() {
    let stage = Stage::with_pool_of(1);
    let mut psql = Terminal::open(&stage);
    for _ in 0..2 {
        psql.types("select pg_sleep(60);\n");
        sees_running(&stage, "pg_sleep(60)");
        psql.types("\x03");
        psql.shows("ERROR:  canceling statement due to user request");
        psql.shows("=# ");
        assert!(psql.enters("select 'lives' || ' on';").contains("lives on"));
    }
}

#[test]
fn ctrl_c_of_one_who_waits_for_a_connection_is_answered_at_once() {
    let stage = Stage::with_pool_of(1);
    let mut psql = Terminal::open(&stage);
    let mut holder = stage.client();
    holder.run("begin; select 1");
    psql.types("select 'waits';\n");
    psql.shows("\n");
    thread::sleep(Duration::from_millis(200));
    psql.types("\x03");
    psql.shows("ERROR:  canceling statement due to user request");
    holder.run("commit");
    psql.shows("=# ");
    assert!(psql.enters("select 'lives' || ' on';").contains("lives on"));
}

#[test]
fn watch_repeats_a_query_until_ctrl_c() {
    let stage = Stage::with_pool_of(1);
    let mut psql = Terminal::open(&stage);
    psql.types("select 'seen' || ' again' \\watch 0.1\n");
    for _ in 0..3 {
        psql.shows("seen again");
        // Between two rounds the connection is everybody's.
        assert_eq!(stage.client().value("select 1"), "1");
    }
    psql.types("\x03");
    psql.shows("=# ");
    assert!(psql.enters("select 'lives' || ' on';").contains("lives on"));
}

#[test]
fn copy_brings_a_file_in_and_out_again() {
    let stage = Stage::with_pool_of(1);
    let folder = tempfile::tempdir().unwrap();
    let (source, copy) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    let lines: String = (0..200_000)
        .map(|n| format!("{n},\"line {n}\"\n"))
        .collect();
    fs::write(&source, &lines).unwrap();
    stage.directly("create table t (n int, line text)");
    let copy_in = format!("\\copy t from '{}' (format csv)", source.display());
    let copy_out = format!(
        "\\copy (select n, line from t order by n) to '{}' (format csv, force_quote (line))",
        copy.display()
    );
    let ended = script(
        stage.port(),
        &stage.database,
        &["-c", &copy_in, "-c", &copy_out],
    );
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "COPY 200000\nCOPY 200000\n",
        "{ended:?}"
    );
    assert!(fs::read_to_string(&copy).unwrap() == lines);
    fs::write(&source, "1,fine\nwrong,line\n").unwrap();
    stage.directly("truncate t");
    let (out, err) = same(&stage, &["-c", &copy_in, "-c", "select count(*) from t"]);
    assert_eq!(out, "0\n");
    assert!(err.contains("invalid input syntax"), "{err}");
}

#[test]
fn a_result_of_100_megabytes_comes_whole_and_is_not_kept() {
    let stage = Stage::with_pool_of(1);
    let sql = "select n, repeat(md5(n::text), 32) from generate_series(1, 100000) n";
    let before = memory(stage.served.pid());
    let direct = digest(support::cluster().port(), &stage, sql);
    let through = digest(stage.port(), &stage, sql);
    assert_eq!(through, direct);
    let size: u64 = through.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(size > 100_000_000, "{through}");
    let grown = memory(stage.served.pid()) - before;
    assert!(grown < 16 * 1024, "{grown} KiB");
}

#[test]
fn one_row_of_100_megabytes_comes_whole() {
    let stage = Stage::with_pool_of(1);
    let sql = "select md5('x') || repeat('0123456789', 10000000)";
    let direct = digest(support::cluster().port(), &stage, sql);
    assert_eq!(digest(stage.port(), &stage, sql), direct);
    assert!(memory(stage.served.pid()) < 64 * 1024);
}

/// Checksum and size of what psql prints, without keeping it here.
fn digest(port: u16, stage: &Stage, sql: &str) -> String {
    let psql = support::cluster().bin("psql").unwrap();
    let line = r#"set -e; "$1" -X -A -t -v FETCH_COUNT=0 -d "$2" -c "$3" | cksum"#;
    let url = format!("postgresql://postgres@127.0.0.1:{port}/{}", stage.database);
    let mut command = client::untouched(Path::new("sh"), Path::new("/"));
    command.args(["-c", line, "sh"]).arg(psql).args([&url, sql]);
    let said = client::succeed(&mut command, "psql | cksum", Duration::from_secs(60)).unwrap();
    said.trim().to_owned()
}

/// The most memory that a process ever had, in KiB.
pub fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn scripts_print_what_they_print_directly() {
    let stage = Stage::with_pool_of(1);
    same(&stage, &["-c", "select 1; select 2; select 3"]);
    same(&stage, &["-c", "select 1; select 1/0; select 3"]);
    same(
        &stage,
        &[
            "-c",
            "begin; create temp table t (a int); insert into t values (1); commit",
            "-c",
            "\\d t",
        ],
    );
    same(
        &stage,
        &[
            "-1",
            "-c",
            "create temp table u (a int)",
            "-c",
            "insert into u values (1)",
        ],
    );
    same(&stage, &["-v", "VERBOSITY=verbose", "-c", "select wrong"]);
    same(
        &stage,
        &[
            "-c",
            "\\errverbose",
            "-c",
            "do $$ begin raise warning 'told'; end $$",
        ],
    );
    same(
        &stage,
        &["-v", "FETCH_COUNT=7", "-c", "select generate_series(1, 50)"],
    );
    same(
        &stage,
        &[
            "-c",
            "\\df pg_catalog.abs",
            "-c",
            "\\dT+ int4",
            "-c",
            "\\du postgres",
        ],
    );
    same(&stage, &["-c", "select $$;$$ as semicolon \\gdesc"]);
    same(
        &stage,
        &[
            "-c",
            "\\encoding",
            "-c",
            "\\encoding latin1",
            "-c",
            "show client_encoding",
        ],
    );
    same(
        &stage,
        &[
            "-c",
            "\\bind 1 \\g",
            "-c",
            "select '\\x00'::bytea",
            "-c",
            "\\lo_list",
        ],
    );
    same(&stage, &["-c", "copy (select 'out') to stdout"]);
}
