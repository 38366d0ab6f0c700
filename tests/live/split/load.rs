//! Sessions that write counters of their own and read everybody's, and find out who was shown
//! less than he had to be.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use pg_ambassador::app::cluster::{Cluster, Stop};

use super::Troupe;
use crate::wire::{Frame, Wire, query, sync, unnamed};

const SESSIONS: usize = 16;
/// The longest that a session rests before it reads.
const REST: u64 = 400;
/// What must be seen reaches a healthy replica in this time.
const ARRIVES: Duration = Duration::from_millis(200);
/// A round: sessions write in its first part alone, where there is quiet to be.
const ROUND: Duration = Duration::from_millis(1500);
const BUSY: Duration = Duration::from_millis(500);

/// What a read may say where its server goes away under it.
const GONE: [&str; 4] = ["08006", "57P01", "57P02", "57P03"];

pub struct Load {
    /// Reads must show what any session wrote, not only the reader.
    pub shared: bool,
    /// Replicas stand still and are restarted.
    pub disturbed: bool,
    pub lasts: Duration,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Tally {
    pub writes: u64,
    pub reads: u64,
    pub on_replicas: u64,
    /// Reads that began some time after the last write that they must show.
    pub late: u64,
    pub late_on_replicas: u64,
    /// Reads whose server went away.
    pub failed: u64,
    /// Times that a replica was stopped, and that its replay was.
    pub restarts: u64,
    pub pauses: u64,
    pub wrong: Vec<String>,
}

impl Tally {
    pub fn share(&self) -> f64 {
        self.late_on_replicas as f64 / self.late as f64
    }

    fn add(&mut self, other: Self) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.on_replicas += other.on_replicas;
        self.late += other.late;
        self.late_on_replicas += other.late_on_replicas;
        self.failed += other.failed;
        self.wrong.extend(other.wrong);
    }
}

/// What all sessions know together.
struct Common<'a> {
    load: &'a Load,
    troupe: &'a Troupe,
    begun: Instant,
    over: AtomicBool,
    /// What each session's writes were acknowledged up to.
    acknowledged: [AtomicU64; SESSIONS],
    /// When somebody last began or ended a write.
    wrote: Mutex<Instant>,
}

impl Load {
    pub fn play(&self) -> Tally {
        let schema = format!(
            "create table counters (who int primary key, n bigint);
             insert into counters select who, 0 from generate_series(0, {SESSIONS} - 1) as who"
        );
        let mode = if self.shared { "ambassador" } else { "session" };
        let keys = [format!("routing.consistency=\"{mode}\"")];
        let mut troupe = Troupe::new(2, &schema, &keys.each_ref().map(String::as_str));
        troupe.settle();
        let mut replicas = std::mem::take(&mut troupe.replicas);
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let common = Common {
            load: self,
            troupe: &troupe,
            begun: Instant::now(),
            over: AtomicBool::new(false),
            acknowledged: [const { AtomicU64::new(0) }; SESSIONS],
            wrote: Mutex::new(Instant::now()),
        };
        let mut all = Tally::default();
        thread::scope(|scope| {
            let player = |me| {
                let (common, rng) = (&common, rng.fork());
                scope.spawn(move || Player::new(common, me, rng).play())
            };
            let players: Vec<_> = (0..SESSIONS).map(player).collect();
            while common.begun.elapsed() < self.lasts {
                match self.disturbed {
                    true => disturb(&mut replicas, &mut rng, &mut all),
                    false => thread::sleep(Duration::from_millis(100)),
                }
            }
            common.over.store(true, Ordering::Relaxed);
            for player in players {
                all.add(player.join().unwrap());
            }
        });
        println!("{mode}: {all:?}, share {:.3}", all.share());
        all
    }
}

/// Has a replica stand still for a while, or start again, as after a crash too.
fn disturb(replicas: &mut [Cluster], rng: &mut Rng, all: &mut Tally) {
    let pause = |rng: &mut Rng| thread::sleep(Duration::from_millis(rng.u64(0..600)));
    let at = rng.usize(..replicas.len());
    let one = &mut replicas[at];
    match rng.u8(..8) {
        0 => {
            one.restart().unwrap();
            all.restarts += 1;
        }
        1 => {
            one.stop(Stop::Kill).unwrap();
            one.run().unwrap();
            all.restarts += 1;
        }
        _ => {
            one.pause_replay().unwrap();
            pause(rng);
            one.resume_replay().unwrap();
            all.pauses += 1;
        }
    }
    pause(rng);
}

/// A session.
struct Player<'a> {
    common: &'a Common<'a>,
    me: usize,
    rng: Rng,
    client: Wire,
    /// The most that it has seen of each counter, its own writes among it.
    seen: [u64; SESSIONS],
    tally: Tally,
}

impl<'a> Player<'a> {
    fn new(common: &'a Common<'a>, me: usize, rng: Rng) -> Self {
        Self {
            common,
            me,
            rng,
            client: common.troupe.client(),
            seen: [0; SESSIONS],
            tally: Tally::default(),
        }
    }

    fn play(mut self) -> Tally {
        while !self.common.over.load(Ordering::Relaxed) {
            if self.may_write() {
                self.write();
            }
            for _ in 0..self.rng.u32(1..4) {
                thread::sleep(Duration::from_millis(self.rng.u64(0..=REST)));
                self.read();
            }
        }
        self.tally
    }

    fn may_write(&self) -> bool {
        let into = self.common.begun.elapsed().as_millis() % ROUND.as_millis();
        self.common.load.disturbed || into < BUSY.as_millis()
    }

    /// One more, written in one of the ways that there are.
    fn write(&mut self) {
        let me = self.me;
        let update = format!("update counters set n = n + 1 where who = {me}");
        let read = format!("select n from counters where who = {me}");
        self.note_write();
        let frames = match self.rng.u8(..6) {
            0 => self.client.query(&update),
            1 => {
                self.client.run("begin");
                let frames = self.client.query(&update);
                self.client.run(&read);
                self.client.run("commit");
                frames
            }
            2 => self.client.query(&format!("begin; {update}; commit")),
            3 => self.client.ask(&[unnamed(&update, &[]), sync()]),
            4 => {
                let text = format!("with one as ({update} returning n) select n from one");
                self.client.query(&text)
            }
            _ => {
                // The read is sent before the write is answered.
                self.client.send(&[query(&update), query(&read)].concat());
                let frames = self.client.until_ready();
                let read = self.client.until_ready();
                self.check(me, self.seen[me] + 1, &read);
                frames
            }
        };
        self.note_write();
        if frames.iter().any(|frame| frame.tag == b'E') {
            self.tally.wrong.push(format!("a write failed: {frames:?}"));
            return;
        }
        self.tally.writes += 1;
        self.seen[me] += 1;
        self.common.acknowledged[me].store(self.seen[me], Ordering::Release);
    }

    fn note_write(&self) {
        *self.common.wrote.lock().unwrap() = Instant::now();
    }

    /// One's own counter, or another's.
    fn read(&mut self) {
        let who = match self.rng.bool() {
            true => self.me,
            false => self.rng.usize(..SESSIONS),
        };
        let (least, is_late) = self.expected(who);
        let text = format!("select n from counters where who = {who}");
        let manner = self.rng.u8(..3);
        let frames = match manner {
            0 => self.client.query(&text),
            1 => self.client.ask(&[unnamed(&text, &[]), sync()]),
            _ => {
                self.client.run("begin read only");
                let frames = self.client.query(&text);
                let end = self.client.query("rollback");
                match frames.iter().any(|frame| frame.tag == b'E') {
                    true => frames,
                    false => frames.into_iter().chain(end).collect(),
                }
            }
        };
        if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
            match self.common.load.disturbed && GONE.contains(&error.code().as_str()) {
                true => self.tally.failed += 1,
                false => self.tally.wrong.push(format!("a read failed: {error}")),
            }
            return;
        }
        let at = self.client.value("show ambassador.last_backend");
        let on_replica = at.contains(" replica ");
        let is_late = is_late && manner < 2;
        self.tally.reads += 1;
        self.tally.on_replicas += u64::from(on_replica);
        self.tally.late += u64::from(is_late);
        self.tally.late_on_replicas += u64::from(is_late && on_replica);
        if let Some(seen) = self.check(who, least, &frames) {
            self.seen[who] = self.seen[who].max(seen);
        }
    }

    /// What a read that begins now must show of a counter, and whether that is no news.
    fn expected(&self, who: usize) -> (u64, bool) {
        let acknowledged = self.common.acknowledged[who].load(Ordering::Acquire);
        let wrote = *self.common.wrote.lock().unwrap();
        let least = match self.common.load.shared {
            true => self.seen[who].max(acknowledged),
            false => self.seen[who],
        };
        (least, wrote.elapsed() >= ARRIVES)
    }

    fn check(&mut self, who: usize, least: u64, frames: &[Frame]) -> Option<u64> {
        let row = frames.iter().find(|frame| frame.tag == b'D')?;
        let seen = row.to_string().strip_prefix("row ")?.parse().ok()?;
        if seen < least {
            let at = self.client.value("show ambassador.last_backend");
            let me = self.me;
            self.tally.wrong.push(format!(
                "{me} was shown {seen} of {who} after {least}, at {at}"
            ));
        }
        Some(seen)
    }
}
