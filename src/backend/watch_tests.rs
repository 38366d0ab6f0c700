use super::*;
use crate::topology::Address;

const PRIMARY: Role = Role::Primary;
const REPLICA: Role = Role::Replica;
const SECOND: Duration = Duration::from_secs(1);

struct Stage {
    watch: Watch,
    now: Instant,
}

fn stage(roles: &[Role]) -> Stage {
    let backend = |&role| Backend {
        address: Address::nowhere(),
        role,
        weight: 1,
    };
    let backends: Vec<Backend> = roles.iter().map(backend).collect();
    Stage {
        watch: Watch::new(&backends, SECOND * 10),
        now: Instant::now(),
    }
}

impl Stage {
    fn say(&mut self, at: usize, said: Said) {
        self.watch.hear(at, said, self.now);
    }

    fn leads(&mut self, at: usize, timeline: u32) {
        self.of(at, 1, timeline);
        self.say(at, Said::Leads(100));
    }

    fn follows(&mut self, at: usize) {
        self.of(at, 1, 0);
        self.say(at, Said::Follows(Some(100)));
    }

    fn of(&mut self, at: usize, system: u64, timeline: u32) {
        let system = Some(system);
        self.watch.identify(at, Identity { system, timeline });
    }

    fn standings(&self) -> Vec<Option<Standing>> {
        let finding = |at| self.watch.finding(at, self.now);
        let standing = |at| finding(at).map(|finding| finding.standing);
        (0..self.watch.members.len()).map(standing).collect()
    }

    fn odd(&self, at: usize) -> Option<Odd> {
        self.watch.finding(at, self.now).and_then(|one| one.odd)
    }
}

#[test]
fn what_a_backend_says_counts_before_what_is_written() {
    let mut stage = stage(&[PRIMARY, REPLICA, Role::Auto]);
    assert_eq!(stage.standings(), [None, None, None]);
    stage.follows(0);
    stage.leads(1, 2);
    stage.follows(2);
    let wanted = [Standing::Replica, Standing::Primary, Standing::Replica];
    assert_eq!(stage.standings(), wanted.map(Some));
    assert_eq!(stage.odd(0), Some(Odd::Demoted));
}

#[test]
fn who_is_promoted_takes_over_and_the_former_primary_gets_nothing_any_more() {
    let mut stage = stage(&[PRIMARY, REPLICA]);
    stage.leads(0, 1);
    stage.follows(1);
    stage.say(0, Said::Silent);
    stage.leads(1, 2);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Down), Some(Standing::Primary)]
    );
    // It comes back, and believes that it is still the one.
    stage.leads(0, 1);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Down), Some(Standing::Primary)]
    );
    assert_eq!(stage.odd(0), Some(Odd::SecondPrimary));
    // Not even while the new one is silent: what was written there would be missed.
    stage.say(1, Said::Silent);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Down), Some(Standing::Down)]
    );
    stage.follows(0);
    stage.leads(1, 2);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Replica), Some(Standing::Primary)]
    );
}

#[test]
fn of_two_primaries_the_later_promoted_counts_else_the_one_that_was_there() {
    let mut stage = stage(&[Role::Auto, Role::Auto]);
    stage.leads(0, 3);
    stage.leads(1, 3);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Primary), Some(Standing::Down)]
    );
    stage.leads(1, 4);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Down), Some(Standing::Primary)]
    );
}

#[test]
fn a_copy_that_was_not_promoted_does_not_stand_in_for_a_primary_that_is_silent() {
    let mut stage = stage(&[PRIMARY, REPLICA]);
    stage.leads(0, 1);
    stage.say(0, Said::Silent);
    stage.leads(1, 1);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Down), Some(Standing::Down)]
    );
    assert_eq!(stage.odd(1), Some(Odd::SecondPrimary));
}

#[test]
fn a_server_of_another_cluster_gets_nothing() {
    let mut stage = stage(&[PRIMARY, REPLICA]);
    stage.leads(0, 1);
    stage.of(1, 2, 9);
    stage.say(1, Said::Leads(100));
    assert_eq!(
        stage.standings(),
        [Some(Standing::Primary), Some(Standing::Down)]
    );
    assert_eq!(stage.odd(1), Some(Odd::Stranger));
    stage.say(1, Said::Follows(Some(100)));
    assert_eq!(stage.odd(1), Some(Odd::Stranger));
}

#[test]
fn who_lets_us_in_no_more_stays_the_primary_but_as_a_replica_takes_no_reads() {
    let mut stage = stage(&[PRIMARY, REPLICA]);
    stage.say(0, Said::Refuses);
    stage.say(1, Said::Refuses);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Primary), Some(Standing::Unknown)]
    );
    stage.leads(1, 2);
    assert_eq!(
        stage.standings(),
        [Some(Standing::Unknown), Some(Standing::Primary)]
    );
}

#[test]
fn a_replica_that_is_too_far_behind_lags_until_it_has_come_up() {
    let mut stage = stage(&[PRIMARY, REPLICA]);
    stage.leads(0, 1);
    stage.say(1, Said::Follows(Some(99)));
    stage.now += SECOND * 10;
    assert_eq!(stage.standings().last(), Some(&Some(Standing::Replica)));
    stage.now += SECOND;
    assert_eq!(stage.standings().last(), Some(&Some(Standing::Lagging)));
    let finding = stage.watch.finding(1, stage.now);
    let lag = finding.map(|one| (one.lag_bytes, one.lag));
    assert_eq!(lag, Some((1, SECOND * 11)));
    stage.say(1, Said::Follows(Some(100)));
    assert_eq!(stage.standings().last(), Some(&Some(Standing::Replica)));
    // How far it is it does not say.
    stage.say(1, Said::Follows(None));
    assert_eq!(stage.standings().last(), Some(&Some(Standing::Lagging)));
}
