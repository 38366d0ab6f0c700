//! Drivers and an ORM as applications use them, with pools of their own: a hundred clients do
//! their work with five connections.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use deadpool_postgres::{Config, Pool, PoolConfig, Runtime};
use futures_util::future::try_join_all;
use pg_ambassador::app::cluster::SUPERUSER;
use tokio_postgres::NoTls;

use crate::{
    drivers::provided,
    stage::{Census, Stage, eventually},
    support,
};

const CLIENTS: usize = 100;
const POOL: usize = 5;
/// Pools of the applications' own, and what each client does.
const APPLICATIONS: usize = 4;
const UNITS: usize = 6;

#[test]
fn sqlalchemy_shares_five_connections_among_a_hundred_clients() {
    if let Some(python) = python() {
        shares(Command::new(python), "with_sqlalchemy.py", &[]);
    }
}

#[test]
fn asyncpg_shares_five_connections_among_a_hundred_clients() {
    if let Some(python) = python() {
        shares(Command::new(python), "with_asyncpg.py", &[]);
    }
}

#[test]
fn node_postgres_shares_five_connections_among_a_hundred_clients() {
    if provided("node/provided").is_none() {
        return support::skip("node-postgres is not there: .ci/provide node");
    }
    shares(Command::new("node"), "with_pg.mjs", &[]);
}

/// Temporary tables and locks take connections out of the pool while they are there, and give
/// them back.
#[test]
fn an_orm_with_temporary_tables_and_locks_leaves_nothing_pinned() {
    let Some(python) = python() else { return };
    let stage = stage();
    let mut script = Script::start(&stage, Command::new(python), "with_sqlalchemy.py", &["own"]);
    script.works();
    eventually("nothing is pinned any more", || stage.connections() <= POOL);
    script.ends();
}

/// deadpool's pools of tokio-postgres' clients, which recycle by a query or by none.
#[test]
fn deadpool_postgres_shares_five_connections_among_a_hundred_clients() {
    let stage = stage();
    let census = Census::of(&stage.database);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pools: Vec<Pool> = (0..APPLICATIONS).map(|_| deadpool(&stage)).collect();
        let first = pools[0].get().await.unwrap();
        first
            .batch_execute("CREATE TABLE item (id serial PRIMARY KEY, owner int4)")
            .await
            .unwrap();
        drop(first);
        let all = (0..CLIENTS).map(|at| pools[at % APPLICATIONS].get());
        drop(try_join_all(all).await.unwrap());
        let work = (0..CLIENTS).map(|at| deadpool_works(&pools[at % APPLICATIONS], at));
        try_join_all(work).await.unwrap();
    });
    assert!(census.most() <= POOL);
}

fn deadpool(stage: &Stage) -> Pool {
    let config = Config {
        url: Some(stage.served.url(&stage.database)),
        pool: Some(PoolConfig::new(CLIENTS / APPLICATIONS)),
        ..Config::new()
    };
    config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap()
}

async fn deadpool_works(pool: &Pool, at: usize) -> Result<(), tokio_postgres::Error> {
    let owner = i32::try_from(at).unwrap();
    for _ in 0..UNITS {
        let mut client = pool.get().await.unwrap();
        let insert = client
            .prepare_cached("INSERT INTO item (owner) VALUES ($1) RETURNING id")
            .await?;
        let transaction = client.transaction().await?;
        let id: i32 = transaction.query_one(&insert, &[&owner]).await?.get(0);
        transaction.commit().await?;
        let mine = client
            .prepare_cached("SELECT owner FROM item WHERE id = $1")
            .await?;
        let seen: i32 = client.query_one(&mine, &[&id]).await?.get(0);
        assert_eq!(seen, owner);
    }
    Ok(())
}

fn stage() -> Stage {
    Stage::with_pool_of(POOL)
}

fn python() -> Option<PathBuf> {
    let python = provided("python/bin/python");
    if python.is_none() {
        support::skip("the drivers of python are not there: .ci/provide python");
    }
    python
}

#[track_caller]
fn shares(interpreter: Command, name: &str, args: &[&str]) {
    let stage = stage();
    let census = Census::of(&stage.database);
    let mut script = Script::start(&stage, interpreter, name, args);
    script.works();
    let most = census.most();
    assert!(most <= POOL, "{most} connections at once");
    script.ends();
}

/// A program that says when its work is done, and stays connected until its input ends.
struct Script {
    child: Child,
    name: String,
}

impl Script {
    fn start(stage: &Stage, mut interpreter: Command, name: &str, args: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/habits");
        let (port, database) = (stage.port(), &stage.database);
        let child = interpreter
            .arg(folder.join(name))
            .arg(format!(
                "postgres://{SUPERUSER}@127.0.0.1:{port}/{database}"
            ))
            .arg(CLIENTS.to_string())
            .args(args)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DRIVERS", provided("node").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let name = name.to_owned();
        Self { child, name }
    }

    #[track_caller]
    fn works(&mut self) {
        let mut said = String::new();
        let mut output = BufReader::new(self.child.stdout.as_mut().unwrap());
        output.read_line(&mut said).unwrap();
        if said.trim() != "done" {
            let mut complaint = String::new();
            let mut errors = self.child.stderr.take().unwrap();
            errors.read_to_string(&mut complaint).unwrap();
            panic!("{}: {complaint}", self.name);
        }
    }

    #[track_caller]
    fn ends(mut self) {
        self.child.stdin.take().unwrap().flush().unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.name);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
