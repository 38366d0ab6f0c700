//! Clients that come, change what a session can change, see that it is as they left it, and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::wire::bind;
use crate::wire::{Frame, Wire, execute, parse, said, sync};

/// Clients that churn until they are told to end, or the test does.
pub struct Churn {
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Churn {
    pub fn of(clients: u32, port: u16, database: &str) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let client = |number: u32| {
            let (done, database) = (Arc::clone(&done), database.to_owned());
            thread::spawn(move || {
                let mut visits = 0;
                while !done.load(Ordering::Relaxed) {
                    visits += usize::from(visit(port, &database, 1 + number).is_some());
                    thread::sleep(Duration::from_millis(20));
                }
                visits
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { done, clients }
    }

    /// How often somebody was there and could do all that they wanted.
    pub fn end(mut self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        let clients = std::mem::take(&mut self.clients).into_iter();
        clients.map(|client| client.join().unwrap()).sum()
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// `None`: something failed, for the suite had it in its hands (a catalog locked, a trigger that
/// refuses all DDL).
fn visit(port: u16, database: &str, number: u32) -> Option<()> {
    let mine = format!("{number}MB");
    let settings = [("work_mem", &*mine), ("datestyle", "German")];
    let mut wire = Wire::login(port, database, &settings).ok()?;
    for text in [
        "set search_path = pg_catalog",
        "set statement_timeout = '1h'; set enable_seqscan = off",
        &format!("create temp table mine as select {number} as n"),
        &format!("prepare p as select {number}"),
    ] {
        went_well(&wire.query(text))?;
    }
    for _ in 0..3 {
        let own = "select current_setting('work_mem'), n, current_setting('search_path'), \
                   current_setting('enable_seqscan'), current_setting('role') from pg_temp.mine";
        is_own(
            &wire.query(own),
            &format!("{mine} {number} pg_catalog off none"),
        )?;
        is_own(&wire.query("execute p"), &number.to_string())?;
        let statement = parse("s", &format!("select {number} * 2"));
        let batch = [statement, bind("", "s", &[]), execute("", 0), sync()];
        is_own(&wire.ask(&batch), &(number * 2).to_string())?;
        went_well(&wire.query("deallocate s"))?;
        went_well(&wire.query("begin; select 1; commit"))?;
        thread::sleep(Duration::from_millis(5));
    }
    went_well(&wire.query("drop table pg_temp.mine; deallocate p"))?;
    is_own(&wire.query("show work_mem"), &mine)?;
    wire.bye();
    Some(())
}

fn went_well(told: &[Frame]) -> Option<()> {
    told.iter().all(|frame| frame.tag != b'E').then_some(())
}

/// What is answered is this client's own.
#[track_caller]
fn is_own(told: &[Frame], expected: &str) -> Option<()> {
    went_well(told)?;
    let row = format!("row {expected}");
    let told = said(told);
    assert!(told.contains(&row), "{row}: {told:?}");
    Some(())
}
