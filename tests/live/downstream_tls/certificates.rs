//! Certificates of clients, and ours.

use super::*;

const CERT: &str = "auth.method = \"cert\"";
const WITH_CA: &str = "tls_client_ca_file = \"FOLDER/ca.pem\"";

#[test]
fn a_certificate_lets_in_whom_it_names_and_nobody_else() {
    let front = Front::new(&format!("tls_mode = \"allow\"\n{WITH_CA}"), CERT);
    let shows =
        |name: &str| format!("{VERIFIED} sslcert=FOLDER/{name}.pem sslkey=FOLDER/{name}.key");
    assert_eq!(
        front.told(&shows("client"), "select current_user"),
        SUPERUSER
    );
    // By another name than its common one.
    let at = front.folder.path();
    front
        .authority
        .issue("somebody", &[SUPERUSER])
        .write(at, "named");
    assert_eq!(
        front.told(&shows("named"), "select current_user"),
        SUPERUSER
    );
    let denied = "FATAL:  certificate authentication failed for user";
    let refused = front.refused(&format!("{} user=alice", shows("client")));
    assert!(
        refused.contains(&format!("{denied} \"alice\"")),
        "{refused}"
    );
    front
        .authority
        .issue("Postgres", &["postgres.internal"])
        .write(at, "near");
    let refused = front.refused(&shows("near"));
    assert!(refused.contains(denied), "{refused}");
    let without = "FATAL:  connection requires a valid client certificate";
    for words in [VERIFIED, "sslmode=disable"] {
        let refused = front.refused(words);
        assert!(refused.contains(without), "{refused}");
    }
    let mut stream = secret(front.client(Some("near"), &[]), front.asked());
    stream.write_all(&who()).unwrap();
    assert!(contains(&all(stream).unwrap(), "C28000"));
    let log = front.served.log();
    assert!(log.contains("its certificate names somebody else"), "{log}");
}

#[test]
fn a_certificate_that_cannot_be_believed_is_refused_by_tls_and_the_log_says_which_check_failed() {
    let front = Front::new(&format!("tls_mode = \"allow\"\n{WITH_CA}"), "");
    let at = front.folder.path();
    let ended = rcgen::date_time_ymd(2021, 1, 1);
    let begins = rcgen::date_time_ymd(2089, 1, 1);
    Authority::new("another one")
        .issue(SUPERUSER, &[])
        .write(at, "stranger");
    front
        .authority
        .issue_with(SUPERUSER, &[], |params| params.not_after = ended)
        .write(at, "old");
    front
        .authority
        .issue_with(SUPERUSER, &[], |params| params.not_before = begins)
        .write(at, "young");
    for (name, why) in [
        (
            "stranger",
            "is not signed by an authority in listen.tls_client_ca_file",
        ),
        ("old", "the client's certificate has expired"),
        ("young", "the client's certificate is not valid yet"),
    ] {
        let shown = format!("{VERIFIED} sslcert=FOLDER/{name}.pem sslkey=FOLDER/{name}.key");
        front.refused(&shown);
        eventually(why, || front.served.log().contains(why));
    }
    // Nobody has to show one here.
    assert_eq!(front.told(VERIFIED, "select 1"), "1");
}

#[test]
fn where_certificates_are_demanded_a_client_without_one_is_refused_in_words() {
    let front = Front::new(&format!("tls_mode = \"verify-client\"\n{WITH_CA}"), "");
    let told = front.told(&format!("{VERIFIED} {SHOWN}"), "select 1");
    assert_eq!(told, "1");
    let refused = front.refused(VERIFIED);
    let words = "FATAL:  connection requires a valid client certificate";
    assert!(refused.contains(words), "{refused}");
    let refused = front.refused("sslmode=disable");
    assert!(
        refused.contains("connections without TLS are refused"),
        "{refused}"
    );
}

#[test]
fn an_operator_may_show_a_certificate_where_clients_log_in_by_that() {
    let listen =
        format!("tls_mode = \"allow\"\n{WITH_CA}\n[admin]\nstats_users = [\"ops\", \"exporter\"]");
    let front = Front::new(&listen, CERT);
    front
        .authority
        .issue("ops", &[])
        .write(front.folder.path(), "ops");
    let shown = "sslcert=FOLDER/ops.pem sslkey=FOLDER/ops.key dbname=ambassador";
    let told = front.told(&format!("{VERIFIED} {shown} user=ops"), "show version");
    assert!(told.contains("pg-ambassador"), "{told}");
    for words in [
        format!("{VERIFIED} {shown} user=exporter"),
        format!("{VERIFIED} dbname=ambassador user=ops"),
        "sslmode=disable dbname=ambassador user=ops".to_owned(),
    ] {
        // It is asked for a password, and has none.
        let refused = front.refused(&words);
        assert!(refused.contains("no password supplied"), "{refused}");
    }
}

#[test]
fn a_scram_login_is_bound_to_our_certificate_also_when_that_is_replaced() {
    let users = "auth.method = \"scram-sha-256\"\nusers.postgres.password = \"secret\"";
    let front = Front::new("tls_mode = \"allow\"", users);
    let with = |words: &str| format!("password=secret {words}");
    let bound = with("sslmode=require channel_binding=require");
    assert_eq!(front.told(&bound, "select 1"), "1");
    for free in [
        "sslmode=require channel_binding=disable",
        "sslmode=disable channel_binding=prefer",
    ] {
        assert_eq!(front.told(&with(free), "select 1"), "1");
    }
    let refused = front.refused("password=wrong sslmode=require channel_binding=require");
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    let refused = front.refused(&with("sslmode=disable channel_binding=require"));
    assert!(refused.contains("channel binding required"), "{refused}");
    front
        .authority
        .issue("ambassador", &["localhost"])
        .write(front.folder.path(), "server");
    eventually("the new one is in use", || {
        front.served.log().contains("new connections use them")
    });
    assert_eq!(front.told(&bound, "select 1"), "1");
    // One that no hash is known of.
    front
        .authority
        .issue_as("ambassador", &["localhost"], Kind::Ed25519, When::Now)
        .write(front.folder.path(), "server");
    // It is its authority's signature that counts, which is of another kind.
    eventually("that is in use too", || {
        front
            .served
            .log()
            .matches("new connections use them")
            .count()
            == 2
    });
    assert_eq!(front.told(&bound, "select 1"), "1");
}

#[test]
fn a_tls_session_is_taken_up_again_unless_certificates_of_clients_are_believed() {
    for (listen, kind) in [
        ("tls_mode = \"allow\"".to_owned(), HandshakeKind::Resumed),
        (
            format!("tls_mode = \"allow\"\n{WITH_CA}"),
            HandshakeKind::Full,
        ),
    ] {
        let front = Front::new(&listen, "");
        let config = Arc::new(front.client(Some("client"), &[]));
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = secret_with(&config, front.asked());
                assert!(contains(&visit(&mut stream), "42"));
                stream.conn.handshake_kind().unwrap()
            })
            .collect();
        assert_eq!(kinds, [HandshakeKind::Full, kind]);
    }
}
