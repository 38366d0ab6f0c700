use super::*;
use crate::sql::{Named, Stake, Touches};

const SPLIT: Rules = Rules {
    reads: Reads::Replicas,
    backends: 2,
    has_replicas: true,
};
const ALONE: Rules = Rules {
    backends: 1,
    has_replicas: false,
    ..SPLIT
};

fn finding(class: Class, obstacle: Option<Obstacle>) -> Finding {
    Finding {
        class,
        statements: 1,
        touches: Touches::NONE,
        stake: Stake::NONE,
        effects: Vec::new(),
        relations: Vec::new(),
        functions: Vec::new(),
        asides: Vec::new(),
        operators: Vec::new(),
        words: Vec::new(),
        fields: Vec::new(),
        keys: Vec::new(),
        obstacle,
        is_literal: false,
    }
}

fn named(name: &str) -> Named {
    Named {
        schema: None,
        name: name.as_bytes().into(),
    }
}

fn judged(obstacle: Option<Obstacle>) -> Judgement {
    Judgement {
        obstacle,
        subject: None,
        is_free: obstacle.is_none(),
        unjudged: Vec::new(),
    }
}

/// What becomes of a text that the catalog adds nothing to.
fn decided(class: Class, obstacle: Option<Obstacle>, wish: Wish, rules: &Rules) -> Decision {
    let case = Case {
        finding: &finding(class, obstacle),
        judgement: &judged(obstacle),
        wish,
        catalog: Catalog::Known,
    };
    decide(&case, rules)
}

fn goes(
    class: Class,
    obstacle: Option<Obstacle>,
    wish: Wish,
    rules: &Rules,
) -> (Role, &'static str) {
    let decision = decided(class, obstacle, wish, rules);
    (decision.role, decision.reason.name())
}

#[test]
fn a_proven_read_goes_to_a_replica_if_there_is_one_and_the_operator_wants_it() {
    let read = |rules: &Rules| goes(Class::Read, None, Wish::None, rules);
    assert_eq!(read(&SPLIT), (Role::Replica, "proven_read"));
    let primary = Rules {
        reads: Reads::Primary,
        ..SPLIT
    };
    assert_eq!(read(&primary), (Role::Primary, "reads_primary"));
    let none = Rules {
        has_replicas: false,
        ..SPLIT
    };
    assert_eq!(read(&none), (Role::Primary, "no_replica"));
    assert_eq!(read(&ALONE), (Role::Any, "proven_read"));
}

#[test]
fn whatever_is_not_proven_to_be_a_read_goes_to_the_primary_and_says_why() {
    let cases = [
        (Class::Write, Obstacle::Write),
        (Class::Write, Obstacle::Locking),
        (Class::Ddl, Obstacle::Ddl),
        (Class::Unknown, Obstacle::Unparsable),
        (Class::Empty, Obstacle::Empty),
        (Class::Read, Obstacle::VolatileFunction),
        (Class::Read, Obstacle::View),
        (Class::Transaction, Obstacle::Transaction),
    ];
    for (class, obstacle) in cases {
        let why = obstacle.name();
        let split = goes(class, Some(obstacle), Wish::None, &SPLIT);
        assert_eq!(split, (Role::Primary, why));
        let alone = goes(class, Some(obstacle), Wish::None, &ALONE);
        assert_eq!(alone, (Role::Any, why));
        assert!(!decided(class, Some(obstacle), Wish::None, &SPLIT).replica_safe);
    }
}

#[test]
fn a_hint_moves_what_may_be_moved_and_what_may_not_is_refused() {
    let denied = Some(Obstacle::VolatileFunction);
    let moved = goes(Class::Read, denied, Wish::Replica, &SPLIT);
    assert_eq!(moved, (Role::Replica, "hint"));
    let kept = goes(Class::Read, None, Wish::Primary, &SPLIT);
    assert_eq!(kept, (Role::Primary, "hint"));
    let refused = [
        (Class::Write, Obstacle::Write),
        (Class::Ddl, Obstacle::Ddl),
        (Class::Session, Obstacle::Session),
        (Class::CopyIn, Obstacle::CopyIn),
    ];
    for (class, obstacle) in refused {
        let decision = decided(class, Some(obstacle), Wish::Replica, &SPLIT);
        assert!(decision.is_refused);
        let told = (decision.role, decision.reason.name());
        assert_eq!(told, (Role::Replica, "hint_refused"));
    }
    for class in [
        Class::Call,
        Class::Unknown,
        Class::Listen,
        Class::Transaction,
    ] {
        let unparsable = Some(Obstacle::Unparsable);
        let decision = decided(class, unparsable, Wish::Replica, &SPLIT);
        assert!(!decision.is_refused, "{class:?}");
    }
}

#[test]
fn a_hint_overrides_where_the_operator_wants_reads() {
    let rules = Rules {
        reads: Reads::Primary,
        ..SPLIT
    };
    let moved = goes(Class::Read, None, Wish::Replica, &rules);
    assert_eq!(moved, (Role::Replica, "hint"));
}

#[test]
fn with_one_backend_nothing_is_refused() {
    let write = Some(Obstacle::Write);
    let decision = decided(Class::Write, write, Wish::Replica, &ALONE);
    assert!(!decision.is_refused);
    assert_eq!(
        (decision.role, decision.reason.name()),
        (Role::Any, "write")
    );
    let hinted = goes(Class::Read, None, Wish::Replica, &ALONE);
    assert_eq!(hinted, (Role::Any, "hint"));
}

#[test]
fn until_the_catalog_is_there_what_names_anything_is_not_provably_a_read() {
    let nothing = finding(Class::Read, None);
    let fills: [fn(&mut Finding); 4] = [
        |finding| finding.relations.push(named("t")),
        |finding| finding.functions.push(named("now")),
        |finding| finding.operators.push(b"+".as_slice().into()),
        |finding| finding.words.push(b"mytype".as_slice().into()),
    ];
    let decided = |finding: &Finding, obstacle, catalog| {
        let case = Case {
            finding,
            judgement: &judged(obstacle),
            wish: Wish::None,
            catalog,
        };
        let decision = decide(&case, &SPLIT);
        (decision.role, decision.reason.name(), decision.replica_safe)
    };
    let awaits = (Role::Primary, "no_catalog", false);
    let reads = (Role::Replica, "proven_read", true);
    assert_eq!(decided(&nothing, None, Catalog::Awaited), reads);
    for fill in fills {
        let mut finding = nothing.clone();
        fill(&mut finding);
        assert_eq!(decided(&finding, None, Catalog::Awaited), awaits);
        assert_eq!(decided(&finding, None, Catalog::Assumed), reads);
        assert_eq!(decided(&finding, None, Catalog::Known), reads);
        let unknown = Some(Obstacle::UnknownFunction);
        assert_eq!(decided(&finding, unknown, Catalog::Awaited), awaits);
        let told = decided(&finding, unknown, Catalog::Known);
        assert_eq!(told, (Role::Primary, "unknown_function", false));
    }
    let writes = finding(Class::Write, Some(Obstacle::Write));
    let told = decided(&writes, Some(Obstacle::Write), Catalog::Awaited);
    assert_eq!(told, (Role::Primary, "write", false));
}

#[test]
fn what_cannot_be_read_goes_to_the_primary() {
    let split = Decision::unread(Reason::Strings, &SPLIT);
    assert_eq!((split.role, split.replica_safe), (Role::Primary, false));
    assert_eq!(Decision::unread(Reason::Strings, &ALONE).role, Role::Any);
}
