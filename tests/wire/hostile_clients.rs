//! Clients that ask for more than there is, in front of a backend that answers at once.

use crate::{
    peers::{Backend, Wire, report},
    support::Served,
};

/// KiB in memory.
fn resident(served: &Served) -> usize {
    let path = format!("/proc/{}/status", served.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.unwrap().split_whitespace().next();
    size.unwrap().parse().unwrap()
}

#[test]
fn names_of_databases_without_number_are_forgotten_again() {
    let backend = Backend::start(|wire, number| {
        if number > 1 {
            return wire.send(&report(b'E', "FATAL", "3D000"));
        }
        wire.welcome()?;
        wire.serve(b"", b"")
    });
    let served = backend.served(&[]);
    let mut other = Wire::client(served.port(), "app");
    let ask = |from: usize, to: usize| {
        for number in from..to {
            let name = format!("{}_{number}", "no_such_database".repeat(20));
            let answer = Wire::knock(served.port(), &name).answer();
            assert_eq!(answer, "E FATAL 3D000, end");
        }
    };
    ask(0, 500);
    let before = resident(&served);
    for from in (500..5500).step_by(500) {
        ask(from, from + 500);
        // The backend gives up a connection that says nothing for long.
        assert_eq!(other.query("x"), "C DONE, Z I");
    }
    let grown = resident(&served).saturating_sub(before);
    println!("{grown} KiB");
    assert!(grown < 4096, "{grown} KiB");
    assert_eq!(other.query("x"), "C DONE, Z I");
    assert_eq!(backend.connections(), 5501);
}
