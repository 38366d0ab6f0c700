//! Certificates, keys and passwords that are replaced while the ambassador runs.

use std::{fs, io::Write, os::unix::fs::symlink, path::Path};

use pg_ambassador::app::cluster::SUPERUSER;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    admin::get,
    downstream_tls::{Front, Secret, secret},
    scrape::Scrape,
    stage::{admin_port, eventually},
    support::certificates::{Authority, Issued},
};

/// The certificate that the ambassador shows to a new client.
fn shown(front: &Front) -> CertificateDer<'static> {
    let mut stream = secret(front.client(None, &[]), front.asked());
    stream.write_all(&crate::downstream_tls::who()).unwrap();
    let shown = stream.conn.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

fn der(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
}

fn issue(front: &Front) -> Issued {
    front.authority.issue("ambassador", &["localhost"])
}

fn metrics(front: &Front) -> String {
    let (status, page) = get(admin_port(&front.served), "/metrics");
    assert_eq!(status, 200);
    Scrape::parse(&page);
    page
}

/// A value of a metric whose line begins with this.
fn metric(front: &Front, begins: &str) -> f64 {
    let page = metrics(front);
    let line = page.lines().find_map(|line| line.strip_prefix(begins));
    let line = line.unwrap_or_else(|| panic!("no {begins} in {page}"));
    line.trim().parse().unwrap()
}

const VERIFIED: &str = "sslmode=verify-full sslrootcert=FOLDER/ca.crt";

#[test]
fn a_new_certificate_is_shown_to_new_clients_and_old_ones_go_on() {
    let front = Front::new("tls_mode = \"require\"", "");
    let mut old: Secret = secret(front.client(None, &[]), front.asked());
    old.write_all(&crate::downstream_tls::who()).unwrap();
    let new = issue(&front);
    assert_ne!(shown(&front), der(&new));
    new.write(front.folder.path(), "server");
    eventually("the new one is shown", || shown(&front) == der(&new));
    assert!(front.served.log().contains("new connections use them"));
    let said = crate::downstream_tls::sum(&mut old);
    assert!(String::from_utf8_lossy(&said).contains("42"));
    assert!(
        metric(
            &front,
            "ambassador_tls_reloads_total{table=\"listen\",result=\"ok\"}"
        ) >= 1.0
    );
}

#[test]
fn half_a_file_or_a_key_of_another_certificate_keeps_the_one_of_before_in_use() {
    let front = Front::new("tls_mode = \"require\"", "");
    let (certificate, key) = (front.at("server.crt"), front.at("server.key"));
    let (first, before) = (shown(&front), fs::read_to_string(&certificate).unwrap());
    let refused = || metric(&front, "ambassador_tls_files_refused{table=\"listen\"}");
    let new = issue(&front);
    let half = &new.certificate[..new.certificate.len() / 2];
    for (text, why) in [
        (half, "is not PEM"),
        ("", "has no certificate"),
        (&new.certificate, "is not the key of the certificate in"),
    ] {
        fs::write(&certificate, text).unwrap();
        eventually(why, || front.served.log().contains(why));
        assert_eq!(shown(&front), first, "{why}");
        assert_eq!(refused(), 1.0);
        let told = front.told(
            &format!("{VERIFIED} dbname=ambassador"),
            "show certificates",
        );
        assert!(told.contains(why), "{told}");
    }
    assert!(
        front
            .served
            .log()
            .contains("the certificates of before stay in use")
    );
    fs::write(&key, &new.key).unwrap();
    eventually("the new pair is shown", || shown(&front) == der(&new));
    assert_eq!(refused(), 0.0);
    // And back, at once where somebody asks.
    fs::write(&certificate, before).unwrap();
    front.served.signal("HUP");
    eventually("the other way round too", || refused() == 1.0);
    assert_eq!(shown(&front), der(&new));
    assert!(
        metric(
            &front,
            "ambassador_tls_reloads_total{table=\"listen\",result=\"failed\"}"
        ) >= 2.0
    );
}

#[test]
fn a_volume_of_kubernetes_is_taken_up_as_a_whole() {
    let put = |at: &Path, authority: &Authority, version: &str| {
        fs::create_dir(at.join(version)).unwrap();
        let issued = authority.issue("ambassador", &["localhost"]);
        issued.write(&at.join(version), "server");
        issued
    };
    let mut first = None;
    let front = Front::prepared("tls_mode = \"require\"", "", |at, authority| {
        first = Some(put(at, authority, "..1"));
        symlink("..1", at.join("..data")).unwrap();
        for name in ["server.crt", "server.key"] {
            fs::remove_file(at.join(name)).unwrap();
            symlink(format!("..data/{name}"), at.join(name)).unwrap();
        }
    });
    assert_eq!(shown(&front), der(&first.unwrap()));
    let at = front.folder.path();
    let second = put(at, &front.authority, "..2");
    symlink("..2", at.join("..next")).unwrap();
    fs::rename(at.join("..next"), at.join("..data")).unwrap();
    fs::remove_dir_all(at.join("..1")).unwrap();
    eventually("the second is shown", || shown(&front) == der(&second));
    assert!(!front.served.log().contains("stay in use"));
}

#[test]
fn an_authority_that_is_taken_from_the_file_lets_its_clients_in_no_more() {
    let listen = "tls_mode = \"require\"\ntls_client_ca_file = \"FOLDER/clients.crt\"";
    let other = Authority::new("the authority of clients");
    let folder = tempfile::tempdir().unwrap();
    other.issue(SUPERUSER, &[]).write(folder.path(), "client");
    let front = Front::prepared(listen, "auth.method = \"cert\"", |at, _| {
        let both = format!("{}{}", other.pem(), Authority::new("one more").pem());
        fs::write(at.join("clients.crt"), both).unwrap();
    });
    let at = folder.path().display();
    let words = format!("{VERIFIED} sslcert={at}/client.crt sslkey={at}/client.key");
    assert_eq!(front.told(&words, "select current_user"), SUPERUSER);
    front.write("clients.crt", &Authority::new("one more").pem());
    eventually("its clients are refused", || {
        !front.psql(&words, "select 1").status.success()
    });
    let why = "is not signed by an authority in listen.tls_client_ca_file";
    assert!(front.served.log().contains(why));
}

#[test]
fn certificates_are_shown_counted_and_announced_before_they_expire() {
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(3 * 24 * 3600 + 600);
    let front = Front::new("tls_mode = \"allow\"", "");
    let page = metrics(&front);
    let line = format!(
        "ambassador_tls_certificate_expiry_timestamp_seconds{{file=\"{}\"}} 3786912000",
        front.at("server.crt").display()
    );
    assert!(page.contains(&line), "{page}");
    let show = || {
        front.told(
            &format!("{VERIFIED} dbname=ambassador"),
            "show certificates",
        )
    };
    let told = show();
    for part in [
        "listen.tls_cert_file|CN=ambassador|CN=the authority|",
        "|2020-01-01 00:00:00 UTC|2090-01-01 00:00:00 UTC|",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!front.served.log().contains("expires soon"));
    front
        .authority
        .issue_with("ambassador", &["localhost"], |params| {
            params.not_after = soon.into();
            params.serial_number = Some(4711.into());
        })
        .write(front.folder.path(), "server");
    eventually("it is told that it expires", || {
        let log = front.served.log();
        log.contains("a certificate expires soon") && log.contains("days=3")
    });
    assert!(show().contains("|4711|"), "{}", show());
    let ended = rcgen::date_time_ymd(2021, 1, 1);
    front
        .authority
        .issue_with("ambassador", &["localhost"], |params| {
            params.not_after = ended
        })
        .write(front.folder.path(), "server");
    eventually("it is told that it has expired", || {
        front.served.log().contains("a certificate has expired")
    });
}
