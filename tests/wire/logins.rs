//! How the ambassador logs in to backends of every version, and to those that know no versions.

use std::io::ErrorKind;

use pg_ambassador::protocol::{
    backend::{put_authentication_ok, put_key_data, put_parameter_status, put_ready},
    startup,
};

use crate::peers::{Backend, Wire, message, query, report};

const ONE: &[&str] = &["--pool-size", "1"];

/// AuthenticationOk, one setting, the key and ReadyForQuery.
fn welcome(version: &str, pid: i32, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_authentication_ok(&mut out);
    put_parameter_status(&mut out, b"server_version", version.as_bytes());
    put_key_data(&mut out, pid, key);
    put_ready(&mut out, pg_ambassador::protocol::backend::Status::Idle);
    out
}

/// NegotiateProtocolVersion.
fn negotiates(version: u32, options: &[&str]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend_from_slice(&u32::try_from(options.len()).unwrap().to_be_bytes());
    for option in options {
        body.extend_from_slice(option.as_bytes());
        body.push(0);
    }
    message(b'v', &body)
}

const V3: u32 = 3 << 16;

/// What a client is told: its key's process id and the reported version.
fn told(port: u16) -> (i32, String) {
    let mut client = Wire::knock(port, "app");
    let (mut pid, mut version) = (0, String::new());
    loop {
        let (tag, body) = client.frame().unwrap();
        match tag {
            b'K' => pid = i32::from_be_bytes(body[..4].try_into().unwrap()),
            b'S' => version = String::from_utf8_lossy(&body).replace('\0', " "),
            b'Z' => return (pid, version),
            _ => {}
        }
    }
}

#[test]
fn fact_7_a_backend_is_asked_for_3_2_and_is_cancelled_with_its_own_key_of_any_length() {
    for length in [4, 5, 12, 32, 255, 256] {
        let key: Vec<u8> = (0..length).map(|at| u8::try_from(at).unwrap()).collect();
        let own = key.clone();
        let backend = Backend::start(move |wire, _| {
            assert_eq!(wire.minor, 2);
            wire.send(&welcome("18.0", 4711, &own))?;
            while wire.frame().is_ok() {}
            Ok(())
        });
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        client.send(&query("long")).unwrap();
        drop(client);
        let came = || backend.cancelled() == [(4711, key.clone())];
        assert!(
            crate::backends::eventually(came),
            "{:?}",
            backend.cancelled()
        );
    }
}

#[test]
fn fact_7_a_key_of_an_impossible_length_is_not_the_protocol() {
    for length in [0, 3, 257] {
        let backend = Backend::start(move |wire, _| {
            wire.send(&welcome("18.0", 4711, &vec![1; length]))?;
            wire.serve(b"", b"")
        });
        let served = backend.served(&["--set", r#"databases."*".acquire_timeout="300ms""#]);
        let said = Wire::knock(served.port(), "app").answer();
        assert_eq!(said, "E FATAL 57P03, end", "{length}");
        assert!(
            served
                .log()
                .contains("does not speak the Postgres protocol")
        );
    }
}

#[test]
fn fact_6_a_backend_may_speak_an_older_version_and_costs_no_second_dial() {
    for version in [V3, V3 + 1, V3 + 2] {
        let backend = Backend::start(move |wire, _| {
            let negotiated = negotiates(version, &[]);
            wire.send(&[negotiated, welcome("15.0", 4711, &[1; 4])].concat())?;
            wire.serve(b"", b"")
        });
        let served = backend.served(ONE);
        assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
        assert_eq!(backend.connections(), 1);
    }
}

/// Ways of proxies and old servers to not take a start-up of 3.2.
fn refusals() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a version of Postgres", report(b'E', "FATAL", "0A000")),
        ("a version of PgBouncer", report(b'E', "FATAL", "08P01")),
        ("another", report(b'E', "FATAL", "XX000")),
        ("no code", message(b'E', b"Munsupported protocol\0\0")),
        ("the end", Vec::new()),
        (
            "protocol 2",
            b"EFATAL:  unsupported frontend protocol\n\0".to_vec(),
        ),
        ("a version that is newer", negotiates(V3 + 3, &[])),
        ("another major version", negotiates(4 << 16, &[])),
        ("a minor version alone", negotiates(0, &[])),
        ("options that nobody sent", negotiates(V3, &["_pq_.x"])),
        ("half a negotiation", message(b'v', &[0, 3, 0, 0])),
    ]
}

#[test]
fn fact_7_a_backend_that_refuses_3_2_is_asked_for_3_0_and_ever_after() {
    for (what, refusal) in refusals() {
        let backend = Backend::start(move |wire, _| {
            if wire.minor > 0 {
                return wire.send(&refusal);
            }
            wire.send(&welcome("15.0", 4711, &[1; 4]))?;
            // One query for each connection.
            wire.frame()?;
            wire.send(&crate::peers::done())
        });
        let served = backend.served(ONE);
        let mut client = Wire::client(served.port(), "app");
        for connections in 2..5 {
            assert_eq!(client.query("x"), "C DONE, Z I", "{what}");
            assert_eq!(backend.connections(), connections, "{what}");
            let gone =
                || served.log().matches("an idle connection ended").count() == connections - 1;
            assert!(
                crate::backends::eventually(gone),
                "{what}: {}",
                served.log()
            );
        }
    }
}

#[test]
fn fact_7_what_is_not_about_the_version_is_not_asked_again_in_another() {
    for code in ["28P01", "28000", "3D000", "42501"] {
        let backend = Backend::start(move |wire, _| wire.send(&report(b'E', "FATAL", code)));
        let served = backend.served(ONE);
        let said = Wire::knock(served.port(), "app").answer();
        assert_eq!(said, format!("E FATAL {code}, end"));
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn fact_6_a_backend_that_speaks_no_version_of_ours_is_refused_by_that_version() {
    let backend = Backend::start(|wire, _| {
        wire.send(&negotiates(4 << 16, &[]))?;
        wire.serve(b"", b"")
    });
    let served = backend.served(ONE);
    let mut client = Wire::knock(served.port(), "app");
    let (tag, body) = client.frame().unwrap();
    let told = String::from_utf8_lossy(&body).into_owned();
    assert!(tag == b'E' && told.contains("protocol 4.0"), "{told}");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn fact_6_a_version_that_is_negotiated_twice_or_too_late_is_not_the_protocol() {
    let once = negotiates(V3, &[]);
    let mut late = Vec::new();
    put_authentication_ok(&mut late);
    late.extend_from_slice(&once);
    for login in [late, once.repeat(2)] {
        let backend = Backend::start(move |wire, number| {
            if number == 1 {
                wire.send(&login)?;
                return wire.frame().map(drop);
            }
            wire.welcome()?;
            wire.serve(b"", b"")
        });
        let served = backend.served(ONE);
        assert_eq!(Wire::client(served.port(), "app").query("x"), "C DONE, Z I");
        assert!(
            served
                .log()
                .contains("does not speak the Postgres protocol")
        );
        assert_eq!(backend.connections(), 2);
    }
}

#[test]
fn fact_8_a_client_is_told_a_process_id_without_a_sign() {
    let backend = Backend::start(|wire, _| {
        wire.send(&welcome("15.0", -4711, &[1; 4]))?;
        while wire.frame().is_ok() {}
        Ok(())
    });
    let served = backend.served(ONE);
    let (pid, _) = told(served.port());
    assert_eq!(pid, -4711 & i32::MAX);
    let mut client = Wire::client(served.port(), "app");
    client.send(&query("long")).unwrap();
    drop(client);
    let came = || backend.cancelled() == [(-4711, vec![1; 4])];
    assert!(
        crate::backends::eventually(came),
        "{:?}",
        backend.cancelled()
    );
}

#[test]
fn fact_15_who_comes_after_a_failover_is_told_of_the_server_that_is_there() {
    let backend = Backend::start(|wire, number| {
        wire.send(&welcome(&format!("15.{number}"), 4711, &[1; 4]))?;
        loop {
            let (_, body) = wire.frame()?;
            wire.send(&crate::peers::done())?;
            if body.starts_with(b"end") {
                return Err(ErrorKind::Other.into());
            }
        }
    });
    let served = backend.served(ONE);
    let port = served.port();
    let mut lasting = Wire::client(port, "app");
    for number in 1..4 {
        let version = format!("server_version 15.{number} ");
        for _ in 0..3 {
            assert_eq!(told(port).1, version);
        }
        assert_eq!(lasting.query("end"), "C DONE, Z I");
        let gone = || served.log().matches("an idle connection ended").count() == number;
        assert!(crate::backends::eventually(gone), "{}", served.log());
        // The connection to the next server is there before anybody logs in again.
        assert_eq!(lasting.query("x"), "C DONE, Z I");
    }
    assert_eq!(backend.connections(), 4);
}

#[test]
fn fact_45_a_replication_connection_is_asked_for_with_the_client_s_settings() {
    let backend = Backend::start(|wire, _| {
        wire.send(&welcome("15.0", 4711, &[1; 4]))?;
        let (tag, body) = wire.frame()?;
        wire.send(&message(b'C', &[&[tag], &body[..]].concat()))?;
        wire.send(&message(b'Z', b"I"))?;
        wire.frame().map(drop)
    });
    let served = backend.served(ONE);
    let mut client = Wire::knock_as(
        served.port(),
        &[("user", "me"), ("database", "app"), ("replication", "on")],
    );
    assert!(client.answer().ends_with("Z I"));
    client.send(&query("X")).unwrap();
    assert_eq!(client.answer(), "C QX, Z I");
    let asked = &backend.startups()[0];
    assert_eq!(asked.replication, Some(startup::Replication::Physical));
    assert_eq!((&asked.user[..], asked.minor), (&b"app"[..], 2));
}

#[test]
fn fact_45_nothing_follows_half_a_message_of_a_replication_connection() {
    for whole in [true, false] {
        let data = message(b'd', &[b'x'; 100]);
        let sent = data[..if whole { data.len() } else { 50 }].to_vec();
        let backend = Backend::start(move |wire, _| {
            wire.send(&welcome("15.0", 4711, &[1; 4]))?;
            wire.frame()?;
            wire.send(&[message(b'W', &[0, 0, 0]), sent.clone()].concat())?;
            while wire.frame().is_ok() {}
            Ok(())
        });
        let limits = ["grace", "drain_timeout"].map(|key| format!("shutdown.{key}=\"0s\""));
        let served = backend.served(&["--set", &limits[0], "--set", &limits[1]]);
        let mut client = Wire::knock_as(
            served.port(),
            &[("user", "me"), ("database", "app"), ("replication", "on")],
        );
        assert!(client.answer().ends_with("Z I"));
        client.send(&query("START_REPLICATION 0/0")).unwrap();
        assert_eq!(client.answer_to(b'W'), "W");
        assert!(!client.is_silent_for(std::time::Duration::from_secs(5)));
        served.signal("TERM");
        let rest = String::from_utf8_lossy(&client.rest()).into_owned();
        assert_eq!(rest.contains("57P01"), whole, "{rest}");
    }
}
