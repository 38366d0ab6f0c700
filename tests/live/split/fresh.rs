//! Nothing older is shown than what was written or seen before.

use super::{Troupe, marked};

#[test]
fn a_session_reads_its_own_writes_though_the_replica_lags() {
    let troupe = Troupe::new(1, "", &[]);
    troupe.replicas[0].pause_replay().unwrap();
    let mut client = troupe.client();
    for at in 0..20 {
        client.run(&format!("update watched set b = '{at}'"));
        assert_eq!(client.value("select b from watched"), at.to_string());
    }
    // Who has seen nothing is not kept from the replica.
    let mut other = troupe.client();
    let ran = troupe.ran_on(|| assert_eq!(other.value(&marked("select b from watched")), "one"));
    assert_eq!(ran, ["replica"]);
    troupe.replicas[0].resume_replay().unwrap();
}
