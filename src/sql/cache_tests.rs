//! What is remembered, and for how long.

use std::rc::Rc;

use proptest::prelude::*;

use super::super::Strings;
use super::super::fingerprint;
use super::*;

#[derive(Debug, Clone, PartialEq)]
struct Known {
    name: u32,
    bytes: usize,
    is_literal: bool,
}

impl Cached for Known {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_literal(&self) -> bool {
        self.is_literal
    }
}

fn known(name: u32) -> Known {
    Known {
        name,
        bytes: 100,
        is_literal: false,
    }
}

fn print(name: u32) -> Print {
    let text = format!("select a{name}");
    fingerprint(text.as_bytes(), Strings::Standard, 0).unwrap()
}

fn verdicts(entries: usize, bytes: usize) -> Verdicts<Known> {
    Verdicts::new(Limits { entries, bytes })
}

#[test]
fn what_was_found_once_is_known() {
    let mut verdicts = verdicts(10, 1 << 20);
    assert_eq!(verdicts.get(&print(1), 0, 0), None);
    assert!(verdicts.insert(&print(1), 0, 0, known(1)));
    assert_eq!(verdicts.get(&print(1), 0, 0), Some(&known(1)));
    assert_eq!(verdicts.get(&print(2), 0, 0), None);
    assert_eq!(
        (verdicts.hits(), verdicts.misses(), verdicts.len()),
        (1, 2, 1)
    );
}

#[test]
fn another_check_or_context_is_another_text() {
    let mut verdicts = verdicts(10, 1 << 20);
    verdicts.insert(&print(1), 0, 0, known(1));
    let other = Print {
        check: 1,
        ..print(1)
    };
    assert_eq!(verdicts.get(&other, 0, 0), None);
    assert_eq!(verdicts.get(&print(1), 1, 0), None);
    verdicts.insert(&print(1), 1, 0, known(2));
    assert_eq!(verdicts.get(&print(1), 0, 0), Some(&known(1)));
    assert_eq!(verdicts.get(&print(1), 1, 0), Some(&known(2)));
}

#[test]
fn another_epoch_forgets() {
    let mut verdicts = verdicts(10, 1 << 20);
    verdicts.insert(&print(1), 0, 1, known(1));
    assert_eq!(verdicts.get(&print(1), 0, 2), None);
    assert_eq!((verdicts.len(), verdicts.bytes()), (0, 0));
    verdicts.insert(&print(1), 0, 2, known(2));
    assert_eq!(verdicts.get(&print(1), 0, 2), Some(&known(2)));
}

#[test]
fn what_is_told_again_replaces_what_was() {
    let mut verdicts = verdicts(10, 1 << 20);
    verdicts.insert(&print(1), 0, 0, known(1));
    let bytes = verdicts.bytes();
    verdicts.insert(&print(1), 0, 0, known(2));
    assert_eq!((verdicts.len(), verdicts.bytes()), (1, bytes));
    assert_eq!(verdicts.get(&print(1), 0, 0), Some(&known(2)));
}

#[test]
fn what_hangs_on_a_literal_or_is_unsound_or_long_is_not_remembered() {
    let mut verdicts = verdicts(10, 8000);
    let literal = Known {
        is_literal: true,
        ..known(1)
    };
    assert!(!verdicts.insert(&print(1), 0, 0, literal));
    let unsound = Print {
        is_sound: false,
        ..print(1)
    };
    assert!(!verdicts.insert(&unsound, 0, 0, known(1)));
    let long = Print {
        length: LONGEST + 1,
        ..print(1)
    };
    assert!(!verdicts.insert(&long, 0, 0, known(1)));
    let large = Known {
        bytes: 1000,
        ..known(1)
    };
    assert!(!verdicts.insert(&print(1), 0, 0, large));
    assert!(verdicts.is_empty());
}

#[test]
fn what_is_asked_for_stays_when_others_go() {
    let mut verdicts = verdicts(100, 1 << 20);
    for name in 0..50 {
        verdicts.insert(&print(name), 0, 0, known(name));
    }
    for other in 1000..3000 {
        for name in 0..50 {
            assert!(
                verdicts.get(&print(name), 0, 0).is_some(),
                "{other}: {name}"
            );
        }
        verdicts.insert(&print(other), 0, 0, known(other));
    }
    assert_eq!(verdicts.len(), 100);
}

#[test]
fn a_shared_verdict_counts_as_what_it_shares() {
    assert_eq!(Rc::new(known(1)).bytes(), 100 + size_of::<usize>());
    assert!(!Rc::new(known(1)).is_literal());
}

#[test]
fn a_cleared_memory_starts_anew() {
    let mut verdicts = verdicts(3, 1 << 20);
    for name in 0..5 {
        verdicts.insert(&print(name), 0, 0, known(name));
    }
    verdicts.clear();
    assert_eq!((verdicts.len(), verdicts.bytes()), (0, 0));
    for name in 0..5 {
        verdicts.insert(&print(name), 0, 0, known(name));
    }
    assert_eq!(verdicts.len(), 3);
}

proptest! {
    #[test]
    fn it_never_holds_more_than_it_may_nor_tells_what_was_not_told(
        steps in prop::collection::vec((0..40_u32, 0..3_u64, 0..400_usize, any::<bool>()), 0..300)
    ) {
        let mut verdicts = verdicts(12, 6000);
        let mut told = std::collections::HashMap::new();
        for (name, epoch, bytes, asks) in steps {
            if asks {
                if let Some(verdict) = verdicts.get(&print(name), 0, epoch) {
                    prop_assert_eq!(told.get(&name), Some(&(epoch, verdict.clone())));
                }
            } else {
                let verdict = Known { bytes, ..known(name) };
                if verdicts.insert(&print(name), 0, epoch, verdict.clone()) {
                    prop_assert_eq!(verdicts.get(&print(name), 0, epoch), Some(&verdict));
                    told.insert(name, (epoch, verdict));
                }
            }
            prop_assert!(verdicts.len() <= 12 && verdicts.bytes() <= 6000);
        }
    }
}
