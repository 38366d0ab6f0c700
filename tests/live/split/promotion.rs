//! A replica takes over under load: nothing that was acknowledged is lost, and the sessions stay.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use pg_ambassador::app::cluster::{Cluster, Stop};

use super::{Troupe, options};
use crate::stage::eventually;
use crate::wire::{Frame, Wire};

const WRITERS: u64 = 6;
const READERS: usize = 4;

/// What a session may hear of a primary that goes.
const DOCUMENTED: [&str; 3] = ["08006", "08007", "57P03"];

/// What all sessions know together.
#[derive(Default)]
struct Common {
    over: AtomicBool,
    acknowledged: AtomicU64,
    reads: AtomicU64,
}

#[test]
fn nothing_acknowledged_is_lost_when_a_primary_dies_and_a_replica_is_promoted() {
    take_over(false);
}

/// For a while there are two who say that they lead.
#[test]
fn nothing_acknowledged_is_lost_when_a_replica_is_promoted_before_the_primary_dies() {
    take_over(true);
}

fn take_over(both: bool) {
    let named = ["heir", "other"].map(|name| options().with("cluster_name", name));
    let schema = "create table written (id bigint)";
    let mut troupe = Troupe::gather(schema, &[], &named);
    troupe.wait_for_the_catalog();
    // Nothing is acknowledged that the heir does not have.
    let sync = "alter system set synchronous_standby_names = 'heir'";
    troupe.primary.ask(sync).unwrap();
    troupe.primary.reload().unwrap();
    let question = "select count(*) from pg_stat_replication where sync_state = 'sync'";
    eventually("the heir has all", || {
        troupe.primary.ask(question).unwrap() == "1"
    });
    let mut replicas = std::mem::take(&mut troupe.replicas);
    let (other, heir) = (replicas.pop().unwrap(), replicas.pop().unwrap());
    let common = Common::default();
    let acknowledged: Vec<u64> = thread::scope(|scope| {
        let common = &common;
        let end = End(common);
        let writer = |me| {
            let client = troupe.client();
            scope.spawn(move || write(common, me, client))
        };
        let writers: Vec<_> = (0..WRITERS).map(writer).collect();
        for _ in 0..READERS {
            let client = troupe.client();
            scope.spawn(move || read(common, client));
        }
        more(common);
        if both {
            heir.promote().unwrap();
            thread::sleep(Duration::from_millis(300));
        }
        troupe.primary.stop(Stop::Kill).unwrap();
        if !both {
            thread::sleep(Duration::from_millis(300));
            heir.promote().unwrap();
        }
        more(common);
        if !both {
            follow(&other, &heir);
            more(common);
        }
        drop(end);
        let written = writers.into_iter().map(|writer| writer.join().unwrap());
        written.flatten().collect()
    });
    let kept = heir.ask("select id from written").unwrap();
    let kept: std::collections::HashSet<u64> =
        kept.lines().map(|line| line.parse().unwrap()).collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !kept.contains(id))
        .collect();
    assert!(lost.is_empty(), "{} are lost: {lost:?}", lost.len());
    println!("{} acknowledged, {} kept", acknowledged.len(), kept.len());
    if both {
        // What the other has replayed of the former primary's last moments nobody else has.
        return;
    }
    let mut client = troupe.client();
    eventually("reads go to a replica again", || {
        client.run("select count(*) from written");
        let at = client.value("show ambassador.last_backend");
        at.starts_with(&format!("{} replica", other.address()))
    });
}

fn follow(replica: &Cluster, primary: &Cluster) {
    let address = primary.address();
    let (host, port) = (address.ip(), address.port());
    let source = format!("host={host} port={port} user=postgres");
    let follow = format!("alter system set primary_conninfo = '{source}'");
    replica.ask(&follow).unwrap();
    replica.reload().unwrap();
    replica.catch_up(primary).unwrap();
}

/// Sessions end, also where the test fails.
struct End<'a>(&'a Common);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Until a good deal more was written and read.
fn more(common: &Common) {
    for number in [&common.acknowledged, &common.reads] {
        let before = number.load(Ordering::Relaxed);
        eventually("sessions go on", || {
            number.load(Ordering::Relaxed) > before + 200
        });
    }
}

/// Gives what was acknowledged. What was is read again, wherever that is done.
fn write(common: &Common, me: u64, mut client: Wire) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut id = me;
    while !common.over.load(Ordering::Relaxed) {
        id += WRITERS;
        let insert = format!("insert into written values ({id})");
        let is_done = match id / WRITERS % 2 {
            0 => done(&client.query(&insert)),
            _ => {
                client.run("begin");
                let done = done(&client.query(&insert)) && done(&client.query("commit"));
                if !done {
                    client.run("rollback");
                }
                done
            }
        };
        if is_done {
            acknowledged.push(id);
            common.acknowledged.fetch_add(1, Ordering::Relaxed);
            let read = format!("select count(*) from written where id = {id}");
            let frames = client.query(&read);
            if done(&frames) {
                let row = frames.iter().find(|frame| frame.tag == b'D');
                assert_eq!(row.unwrap().to_string(), "row 1", "of {id}: {frames:?}");
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    acknowledged
}

fn read(common: &Common, mut client: Wire) {
    while !common.over.load(Ordering::Relaxed) {
        if done(&client.query("select count(*) from written")) {
            common.reads.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether it went well. What it hears where it did not is what is documented.
fn done(frames: &[Frame]) -> bool {
    let Some(error) = frames.iter().find(|frame| frame.tag == b'E') else {
        return true;
    };
    assert!(DOCUMENTED.contains(&error.code().as_str()), "{error}");
    false
}
