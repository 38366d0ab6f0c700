//! What the server shows.

use super::{Encrypted, FULL, PASSWORD, encrypted, enter};
use crate::{
    stage::eventually,
    support::Served,
    support::papers::{Authority, Kind, When, of_version_1, self_signed},
    wire::Wire,
};

/// A mode and the authorities, by name of the file.
fn mode(mode: &str, ca: &str) -> String {
    format!("mode = '{mode}'\nca_file = 'FOLDER/{ca}'")
}

#[test]
fn a_good_certificate_of_any_kind_of_key_is_believed() {
    let mut server = Encrypted::without_tls();
    for kind in [Kind::Ecdsa, Kind::Rsa, Kind::Ed25519] {
        let hosts = ["localhost", "127.0.0.1"];
        let papers = server.ca.issue_as("db", &hosts, kind, When::Now);
        for versions in ["TLSv1.2", "TLSv1.3"] {
            let only = [
                ("ssl_min_protocol_version", versions),
                ("ssl_max_protocol_version", versions),
            ];
            server.shows(&papers, &only);
            server.works(FULL);
            server.works(&mode("verify-ca", "ca.pem"));
            server.works("mode = 'require'");
            server.works(&format!(
                "{FULL}\nbackends = [{{ address = '127.0.0.1:PORT' }}]"
            ));
        }
    }
}

#[test]
fn a_certificate_out_of_its_time_is_refused_by_those_who_verify() {
    let mut server = Encrypted::without_tls();
    for (when, said) in [
        (
            When::Past,
            "server certificate, or one that vouches for it, has expired on 2020-01-02; renew it on the server",
        ),
        (
            When::Future,
            "server certificate, or one that vouches for it, is not valid yet, but from 2100-01-01 on; check the clocks of both machines, or renew it on the server",
        ),
    ] {
        let papers = server.ca.issue_as("db", &["localhost"], Kind::Ecdsa, when);
        server.shows(&papers, &[]);
        server.works("mode = 'require'");
        assert_eq!(server.fails(FULL), said);
        assert_eq!(server.fails(&mode("verify-ca", "ca.pem")), said);
    }
}

#[test]
fn a_certificate_for_somebody_else_is_refused_with_both_names_and_what_to_set() {
    let mut server = Encrypted::without_tls();
    let papers = server.ca.issue("db", &["db-1.internal", "10.0.0.1"]);
    server.shows(&papers, &[]);
    let said = "server certificate is for db-1.internal, 10.0.0.1, configuration asks for localhost (databases.postgres.backends.address); set databases.postgres.upstream_tls.server_name or mode = \"verify-ca\"";
    assert_eq!(server.fails(FULL), said);
    server.works(&mode("verify-ca", "ca.pem"));
    server.works(&format!("{FULL}\nserver_name = 'db-1.internal'"));
    let other = server.fails(&format!("{FULL}\nserver_name = 'db-0.internal'"));
    assert!(
        other.contains("asks for db-0.internal (databases.postgres.upstream_tls.server_name);"),
        "{other}"
    );
    // The same of a URL, in its words.
    let port = server.cluster.port();
    let root = server.folder.path().join("ca.pem");
    let through = |mode: &str| {
        let url = format!(
            "postgres://app@localhost:{port}/postgres?sslmode={mode}&sslrootcert={}",
            root.display()
        );
        enter(&Served::ambassador_with(&["--upstream", &url]), "app")
    };
    let told = through("verify-full").unwrap_err().message();
    let said = "configuration asks for localhost (the URL's host); correct the URL's host, or set sslmode=verify-ca";
    assert!(told.ends_with(said), "{told}");
    through("verify-ca").unwrap();
    through("require").unwrap();
}

#[test]
fn where_a_certificate_names_no_hosts_its_common_name_counts() {
    let mut server = Encrypted::without_tls();
    let papers = server.ca.issue("localhost", &[]);
    server.shows(&papers, &[]);
    server.works(FULL);
    let papers = server.ca.issue("db", &[]);
    server.shows(&papers, &[]);
    assert!(
        server
            .fails(FULL)
            .starts_with("server certificate is for db, ")
    );
    // With names, the common name is but a title.
    let papers = server.ca.issue("localhost", &["db"]);
    server.shows(&papers, &[]);
    assert!(
        server
            .fails(FULL)
            .starts_with("server certificate is for db, ")
    );
}

#[test]
fn a_certificate_of_another_authority_is_refused_with_the_file_that_lacks_it() {
    let server = encrypted();
    server.write("other.pem", &Authority::new("others").pem);
    let said = "server certificate is of no authority in other.pem (databases.postgres.upstream_tls.ca_file); add its authority's certificate there, and to the server's own file those in between";
    assert_eq!(server.fails(&mode("verify-full", "other.pem")), said);
    assert_eq!(server.fails(&mode("verify-ca", "other.pem")), said);
    // One of the same name is not the same.
    server.write("twin.pem", &Authority::new("servers").pem);
    assert!(server.check(&mode("verify-ca", "twin.pem")).is_err());
    // A bundle has several, in any order.
    let both = format!("{}{}", Authority::new("others").pem, server.ca.pem);
    server.write("both.pem", &both);
    server.works(&mode("verify-full", "both.pem"));
    // Without a file it is the system that believes, and it does not believe this one.
    let said = server.check("mode = 'verify-full'").unwrap_err();
    assert!(said.contains("ca_file"), "{said}");
}

#[test]
fn an_intermediate_authority_is_shown_by_the_server_or_believed_itself() {
    let mut server = Encrypted::without_tls();
    let between = server.ca.under("in between");
    let papers = between.issue("db", &["localhost"]);
    server.shows(&papers.clone().vouched_by(&between), &[]);
    server.works(FULL);
    server.shows(&papers, &[]);
    assert!(
        server
            .fails(FULL)
            .starts_with("server certificate is of no authority in ca.pem")
    );
    server.write("between.pem", &between.pem);
    server.works(&mode("verify-full", "between.pem"));
    server.write("all.pem", &format!("{}{}", server.ca.pem, between.pem));
    server.works(&mode("verify-full", "all.pem"));
}

#[test]
fn a_self_signed_certificate_is_believed_where_it_is_itself_in_the_file() {
    let mut server = Encrypted::without_tls();
    let papers = self_signed("localhost", &["localhost"]);
    server.shows(&papers, &[]);
    server.write("own.pem", &papers.certificate);
    server.works(&mode("verify-full", "own.pem"));
    assert!(
        server
            .fails(FULL)
            .starts_with("server certificate is an authority's own (CA:TRUE)"),
    );
    server.works("mode = 'require'");
    let other = self_signed("db", &["db"]);
    server.shows(&other, &[]);
    server.write("own.pem", &other.certificate);
    assert!(
        server
            .fails(&mode("verify-full", "own.pem"))
            .starts_with("server certificate is for db, ")
    );
}

#[test]
fn a_certificate_of_the_first_version_will_do_for_those_who_believe_anybody() {
    let mut server = Encrypted::without_tls();
    let papers = of_version_1();
    server.shows(&papers, &[]);
    server.works("mode = 'require'");
    server.works("mode = 'prefer'");
    // It is bound to as any other.
    let who = format!("users.scrammed = {{ upstream_password = '{PASSWORD}' }}");
    server.works(&format!(
        "mode = 'require'\nchannel_binding = 'require'\n{who}"
    ));
    server.write("own.pem", &papers.certificate);
    for tls in [
        FULL,
        &mode("verify-full", "own.pem"),
        &mode("verify-ca", "own.pem"),
    ] {
        let told = server.fails(tls);
        let said = "server certificate is of X.509 version 1, which is not supported";
        assert!(told.starts_with(said), "{told}");
    }
}

#[test]
fn versions_of_tls_that_do_not_meet_are_told() {
    let mut server = Encrypted::without_tls();
    let papers = server.ca.issue("db", &["localhost"]);
    server.shows(&papers, &[("ssl_max_protocol_version", "TLSv1.2")]);
    server.works(&format!("{FULL}\nmin_version = '1.2'"));
    let said = "there is no version of TLS that both speak; compare databases.postgres.upstream_tls.min_version with the server's ssl_min_protocol_version and ssl_max_protocol_version";
    assert_eq!(server.fails(&format!("{FULL}\nmin_version = '1.3'")), said);
    server.shows(&papers, &[("ssl_min_protocol_version", "TLSv1.3")]);
    server.works(&format!("{FULL}\nmin_version = '1.3'"));
    let old = [
        ("ssl_min_protocol_version", "TLSv1"),
        ("ssl_max_protocol_version", "TLSv1.1"),
    ];
    server.shows(&papers, &old);
    assert_eq!(server.fails(FULL), said);
}

#[test]
fn a_server_without_tls_is_refused_by_every_mode_that_asks_for_it() {
    let server = Encrypted::without_tls();
    for wanted in ["require", "verify-ca", "verify-full"] {
        let tls = match wanted {
            "require" => "mode = 'require'".to_owned(),
            wanted => mode(wanted, "ca.pem"),
        };
        let said = format!(
            "localhost: server offers no TLS (its ssl is off), and databases.postgres.upstream_tls.mode = \"{wanted}\" asks for it"
        );
        assert_eq!(server.check(&tls).unwrap_err(), said);
    }
    // `app` has no line without TLS; `plain` has no other.
    for mode in ["disable", "prefer"] {
        server.works(&format!("mode = '{mode}'\nusers.plain = {{}}"));
    }
}

#[test]
fn prefer_takes_what_there_is_and_says_once_that_it_verifies_nothing() {
    let server = encrypted();
    let papers = "users.app = {}\nusers.plain = {}\npool_size = 4";
    let served = server.served(papers, &["--workers", "1"]);
    let mut clients: Vec<Wire> = (0..4).map(|_| enter(&served, "app").unwrap()).collect();
    for client in &mut clients {
        client.run("begin");
        client.run("select 1");
    }
    let theirs = "select count(*), bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'app'";
    let seen = crate::support::psql(server.cluster.port(), "postgres", theirs);
    assert_eq!(seen, "4|t");
    let told = "connections to it are encrypted, and nobody verifies who answers";
    eventually("it is told", || served.log().contains(told));
    assert_eq!(served.log().matches(told).count(), 1, "{}", served.log());
    // Whom the server takes without TLS alone gets in by it.
    let mut plain = enter(&served, "plain").unwrap();
    let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(plain.value(ssl), "f");
}

#[test]
fn a_client_hears_why_and_gets_in_when_it_is_put_right() {
    let mut server = Encrypted::without_tls();
    let bad = server.ca.issue("db", &["db-1.internal"]);
    server.shows(&bad, &[]);
    let table = "users.app = {}
        upstream_tls.mode = 'verify-full'
        upstream_tls.ca_file = 'FOLDER/ca.pem'";
    let served = server.served(table, &["--workers", "1"]);
    let refused = enter(&served, "app").unwrap_err();
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("57P03".into(), "FATAL".into())
    );
    assert!(
        refused
            .message()
            .contains("server certificate is for db-1.internal"),
        "{refused}"
    );
    let good = server.ca.issue("db", &["localhost"]);
    server.shows(&good, &[]);
    eventually("it gets in", || enter(&served, "app").is_ok());
}
