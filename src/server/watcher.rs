//! Watches the backends of the databases that have several: what each is, and how far it has come.
//! One task for each, on the first worker, over a connection of its own. A lone backend is not
//! watched: whatever it is, everything goes there.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{
    Database, Rhythm,
    plan::Plan,
    question::{Answer, Asker, Unanswered},
};
use crate::backend::{Finding, Fleet, Odd, Said, Standing, Watch};
use crate::telemetry::events;

/// While positions are wanted they are asked for as often as that.
const QUICK: Duration = Duration::from_millis(25);

/// Begins to watch all that is to be watched.
pub fn watch_all(plan: &Arc<Plan>) {
    for database in &plan.settings.databases {
        let Some(fleet) = plan.fleet(database) else {
            continue;
        };
        let fleet = Arc::clone(fleet);
        let house = Rc::new(Lookout::new(database, fleet));
        spawn_local(Rc::clone(&house).pace());
        for at in 0..house.fleet.members().len() {
            let house = Rc::clone(&house);
            if let Some(asker) = Asker::new(plan, database, at) {
                spawn_local(house.keep(at, asker));
            }
        }
    }
}

/// What all who watch a database's backends have in common.
struct Lookout {
    database: String,
    rhythm: Rhythm,
    fleet: Arc<Fleet>,
    watch: RefCell<Watch>,
    /// What was told of each last.
    told: RefCell<Vec<Option<Told>>>,
    /// Who was the primary last.
    leader: Cell<Option<usize>>,
    /// One for each: it is to ask at once.
    bells: Box<[Notify]>,
}

/// What is news when it changes.
type Told = (Standing, Option<Odd>);

impl Lookout {
    fn new(database: &Database, fleet: Arc<Fleet>) -> Self {
        let backends = &database.backends;
        let watch = Watch::new(backends, database.routing.max_replica_lag);
        Self {
            database: database.entry().to_owned(),
            rhythm: database.health.rhythm,
            watch: RefCell::new(watch),
            told: RefCell::new(vec![None; backends.len()]),
            leader: Cell::new(fleet.primary()),
            bells: backends.iter().map(|_| Notify::new()).collect(),
            fleet,
        }
    }

    /// Passes the bell on to all, and not more often than is of use.
    async fn pace(self: Rc<Self>) {
        let bell = self.fleet.bell();
        loop {
            bell.notified().await;
            // Who wants more from here on rings again.
            self.fleet.is_wanted();
            for one in &self.bells {
                one.notify_one();
            }
            sleep(QUICK).await;
        }
    }

    /// Asks one backend again and again.
    async fn keep(self: Rc<Self>, at: usize, mut asker: Asker) {
        loop {
            let begun = Instant::now();
            let answer = self.ask(at, &mut asker).await;
            self.hear(at, answer, begun);
            if self.rest(at, &mut asker, begun).await == Rest::Ended {
                self.fleet.restarted(at);
            }
        }
    }

    async fn ask(&self, at: usize, asker: &mut Asker) -> Result<Said, Unanswered> {
        let limit = self.rhythm.timeout;
        if !asker.is_open() {
            let mut opening = Box::pin(asker.open());
            // It is down as soon as the time is over, and is waited for all the same.
            let opened = match timeout(limit, &mut opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    self.hear(at, Err(Unanswered::Late(limit)), Instant::now());
                    opening.await
                }
            };
            opened?;
        }
        let Some(member) = self.fleet.members().get(at) else {
            return Err(Unanswered::Late(limit));
        };
        let question = member.samples.ask();
        let answer = match timeout(limit, asker.ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(Unanswered::Late(limit)),
        };
        let position = match &answer {
            Ok(Answer { said, .. }) => said.position(),
            Err(_) => None,
        };
        member.samples.settle(question, position);
        match answer {
            Ok(Answer { said, identity }) => {
                if let Some(identity) = identity {
                    self.watch.borrow_mut().identify(at, identity);
                }
                Ok(said)
            }
            Err(why) => {
                asker.close();
                self.fleet.restarted(at);
                Err(why)
            }
        }
    }

    /// Until it is to be asked again.
    async fn rest(&self, at: usize, asker: &mut Asker, begun: Instant) -> Rest {
        let left = self.rhythm.interval.saturating_sub(begun.elapsed());
        let Some(bell) = self.bells.get(at).filter(|_| asker.is_open()) else {
            // Nobody gains by dialling more often, nor by asking at once again and again.
            sleep(left.max(QUICK)).await;
            return Rest::Over;
        };
        tokio::select! {
            () = sleep(left) => Rest::Over,
            () = bell.notified() => Rest::Over,
            () = poll_fn(|cx| asker.poll_ended(cx)) => {
                asker.close();
                Rest::Ended
            }
        }
    }

    /// What one has said may change what all are.
    fn hear(&self, at: usize, answer: Result<Said, Unanswered>, asked: Instant) {
        let (said, why) = match answer {
            Ok(said) => (said, None),
            Err(why) => (why.said(), Some(why.to_string())),
        };
        let now = Instant::now();
        let mut watch = self.watch.borrow_mut();
        watch.hear(at, said, asked);
        let all = 0..self.bells.len();
        let found = all.filter_map(|at| Some((at, watch.finding(at, now)?)));
        let mut found: Vec<(usize, Finding)> = found.collect();
        drop(watch);
        // A new primary first: at no moment there is none.
        found.sort_by_key(|(_, finding)| finding.standing != Standing::Primary);
        for (place, finding) in found {
            let why = why.as_deref().filter(|_| place == at);
            self.settle(place, &finding, why);
        }
    }

    fn settle(&self, at: usize, finding: &Finding, why: Option<&str>) {
        let Some(member) = self.fleet.members().get(at) else {
            return;
        };
        let millis = u64::try_from(finding.lag.as_millis()).unwrap_or(u64::MAX);
        member.lag_bytes.store(finding.lag_bytes, Ordering::Relaxed);
        member.lag_millis.store(millis, Ordering::Relaxed);
        let news = (finding.standing, finding.odd);
        let mut told = self.told.borrow_mut();
        let Some(told) = told.get_mut(at) else { return };
        if *told == Some(news) {
            return;
        }
        *told = Some(news);
        self.fleet.see(at, finding.standing);
        let backend = &member.backend.address;
        let odd = finding.odd.map(|odd| match why {
            Some(why) => format!("{odd}: {why}"),
            None => odd.to_string(),
        });
        let lags = || match finding.lag.is_zero() {
            true => "it does not say how far it has replayed".to_owned(),
            false => format!("it is {:?} behind (max_replica_lag)", finding.lag),
        };
        let trouble = odd.or_else(|| match finding.standing {
            Standing::Down => Some(why.unwrap_or("it is down").to_owned()),
            Standing::Lagging => Some(lags()),
            Standing::Unknown | Standing::Primary | Standing::Replica => None,
        });
        events::backend_is(
            &self.database,
            backend,
            finding.standing.name(),
            trouble.as_deref(),
        );
        member.put_trouble(trouble);
        if finding.standing == Standing::Primary {
            self.follow(at);
        }
    }

    /// Writes go there from now on.
    fn follow(&self, at: usize) {
        let members = self.fleet.members();
        let former = self.leader.replace(Some(at)).filter(|former| *former != at);
        let former = former.and_then(|former| members.get(former));
        if let (Some(former), Some(now)) = (former, members.get(at)) {
            self.fleet.count_failover();
            let (from, to) = (&former.backend.address, &now.backend.address);
            events::failed_over(&self.database, from, to);
        }
    }
}

/// Why a rest is over.
#[derive(PartialEq, Eq)]
enum Rest {
    Over,
    /// The connection has ended.
    Ended,
}
