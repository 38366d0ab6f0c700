//! Certificates, keys and passwords that are replaced while the ambassador runs.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use pg_ambassador::app::cluster::{Cluster, Options, SUPERUSER};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tempfile::TempDir;

use crate::{
    admin::get,
    downstream_tls::{Front, Secret, secret},
    scrape::Scrape,
    stage::{admin_port, eventually},
    support::{
        self, Served,
        papers::{Authority, Papers, replace},
    },
    wire::{VERSION, Wire, said, startup},
};

/// The certificate that the ambassador shows to a new client.
fn shown(front: &Front) -> CertificateDer<'static> {
    let mut stream = secret(front.client(None, &[]), front.asked());
    stream.write_all(&crate::downstream_tls::who()).unwrap();
    let shown = stream.conn.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

fn der(issued: &Papers) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
}

fn issue(front: &Front) -> Papers {
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

const VERIFIED: &str = "sslmode=verify-full sslrootcert=FOLDER/ca.pem";

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
    let (certificate, key) = (front.at("server.pem"), front.at("server.key"));
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
        for name in ["server.pem", "server.key"] {
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
    let listen = "tls_mode = \"require\"\ntls_client_ca_file = \"FOLDER/clients.pem\"";
    let other = Authority::new("the authority of clients");
    let folder = tempfile::tempdir().unwrap();
    other.issue(SUPERUSER, &[]).write(folder.path(), "client");
    let front = Front::prepared(listen, "auth.method = \"cert\"", |at, _| {
        let both = format!("{}{}", other.pem, Authority::new("one more").pem);
        fs::write(at.join("clients.pem"), both).unwrap();
    });
    let at = folder.path().display();
    let words = format!("{VERIFIED} sslcert={at}/client.pem sslkey={at}/client.key");
    assert_eq!(front.told(&words, "select current_user"), SUPERUSER);
    front.write("clients.pem", &Authority::new("one more").pem);
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
        "ambassador_tls_certificate_expiry_timestamp_seconds{{file=\"{}\"}} 4102444800",
        front.at("server.pem").display()
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
        "|2020-01-01 00:00:00 UTC|2100-01-01 00:00:00 UTC|",
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

/// A Postgres that lets `app` in by certificate alone, and an ambassador with one before it.
struct Upstream {
    cluster: Cluster,
    folder: TempDir,
    served: Served,
}

const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
hostssl all app 127.0.0.1/32 cert
";

/// Whose certificates count at a time, on either side.
struct Era {
    servers: Authority,
    clients: Authority,
    ours: Papers,
    /// Ours, as Postgres shows it.
    serial: u64,
}

impl Era {
    fn new(serial: u64) -> Self {
        // Of two of one name OpenSSL takes the first.
        let clients = Authority::new(&format!("clients {serial}"));
        let ours = clients.issue_with("app", &[], |params| {
            params.serial_number = Some(serial.into());
        });
        Self {
            servers: Authority::new(&format!("servers {serial}")),
            clients,
            ours,
            serial,
        }
    }
}

impl Upstream {
    fn new(era: &Era) -> Self {
        let options = Options {
            hba: Some(HBA.to_owned()),
            ..support::options()
        };
        let mut cluster = support::own_cluster(options);
        let sql =
            "create role app superuser login; create table counted (id int primary key, times int);
                   insert into counted select g, 0 from generate_series(1, 20) g";
        support::psql(cluster.port(), "postgres", sql);
        let issued = era.servers.issue("db", &["localhost"]);
        cluster.write("server.crt", &issued.certificate).unwrap();
        cluster.write("server.key", &issued.key).unwrap();
        cluster.write("clients.crt", &era.clients.pem).unwrap();
        let ssl = "ssl = 'on'\nssl_ca_file = 'clients.crt'\n";
        cluster.write("postgresql.auto.conf", ssl).unwrap();
        cluster.restart().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("servers.pem"), &era.servers.pem).unwrap();
        era.ours.write(at, "ours");
        let path = at.join("upstream.toml");
        let text = "[databases.postgres]
pool_size = 8
backends = [{ address = \"localhost:PORT\" }]
upstream_tls.mode = \"verify-full\"
upstream_tls.ca_file = \"FOLDER/servers.pem\"
upstream_tls.cert_file = \"FOLDER/ours.pem\"
upstream_tls.key_file = \"FOLDER/ours.key\"
";
        let text = text
            .replace("FOLDER", at.to_str().unwrap())
            .replace("PORT", &cluster.port().to_string());
        fs::write(&path, text).unwrap();
        let config = path.to_str().unwrap();
        let served = Served::ambassador_with(&["--config", config, "--workers", "2"]);
        Self {
            cluster,
            folder,
            served,
        }
    }

    fn sql(&self, sql: &str) -> String {
        support::psql(self.cluster.port(), "postgres", sql)
    }

    fn console(&self, command: &str) -> String {
        support::psql(self.served.port(), "ambassador", command)
    }

    /// Whose certificates the connections of `app` were made with.
    fn serials(&self) -> Vec<u64> {
        let told = self.sql(
            "select distinct s.client_serial from pg_stat_ssl s join pg_stat_activity a using (pid)
             where a.usename = 'app'",
        );
        told.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Has the server read its files again.
    fn reload(&self) {
        self.sql("select pg_reload_conf()");
    }

    /// Writes a file of the ambassador's, and waits until it shows what is in it.
    fn write(&self, name: &str, text: &str) {
        replace(&self.folder.path().join(name), text);
    }

    /// Waits until the ambassador has taken up what has been written since it had counted so many.
    fn taken_up(&self, before: usize) {
        eventually("the ambassador takes it up", || self.renewals() > before);
    }

    fn renewals(&self) -> usize {
        self.served
            .log()
            .matches("the certificates were read anew")
            .count()
    }

    /// Goes from one era to the next, as operators do: first both are believed, then the new one
    /// is shown, then the old one is no longer believed.
    fn pass(&self, old: &Era, new: &Era) {
        let both = |one: &Authority, other: &Authority| format!("{}{}", one.pem, other.pem);
        let (before, at) = (self.renewals(), self.folder.path());
        self.cluster
            .write("clients.crt", &both(&old.clients, &new.clients))
            .unwrap();
        self.write("servers.pem", &both(&old.servers, &new.servers));
        self.reload();
        self.taken_up(before);
        let issued = new.servers.issue("db", &["localhost"]);
        // The server reads both at once, when it is told to.
        self.cluster
            .write("server.crt", &issued.certificate)
            .unwrap();
        self.cluster.write("server.key", &issued.key).unwrap();
        self.reload();
        let before = self.renewals();
        new.ours.write(at, "ours");
        self.taken_up(before);
        self.console("reconnect");
        eventually("all connections are new", || self.serials() == [new.serial]);
        self.cluster.write("clients.crt", &new.clients.pem).unwrap();
        self.write("servers.pem", &new.servers.pem);
        self.reload();
    }
}

/// A client that is logged in as `app`.
fn app(port: u16) -> Wire {
    let mut wire = Wire::open(port);
    let who = [("user", "app"), ("database", "postgres")];
    wire.send(&startup(VERSION, &who));
    wire.welcomed().unwrap();
    wire
}

/// A client that writes and reads until it is told to stop; how often it did.
fn works(port: u16, id: usize, stop: &AtomicBool) -> usize {
    let (mut wire, mut times) = (app(port), 0);
    while !stop.load(Ordering::Relaxed) {
        times += 1;
        let counts = format!("begin; update counted set times = times + 1 where id = {id}; commit");
        assert!(
            !said(&wire.query(&counts))
                .iter()
                .any(|one| one.contains("ERROR"))
        );
        let counted = wire.value(&format!("select times from counted where id = {id}"));
        assert_eq!(counted, times.to_string());
        if times % 50 == 0 {
            wire = app(port);
        }
    }
    times
}

#[test]
fn five_generations_of_authorities_and_identities_pass_under_load_without_an_error() {
    const CLIENTS: usize = 20;
    let mut era = Era::new(1000);
    let upstream = Upstream::new(&era);
    let (stop, port) = (Arc::new(AtomicBool::new(false)), upstream.served.port());
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|id| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || works(port, id, &stop))
        })
        .collect();
    eventually("all work", || {
        upstream.sql("select count(*) from counted where times > 0") == CLIENTS.to_string()
    });
    assert_eq!(upstream.serials(), [1000]);
    for serial in 1001..=1005 {
        let new = Era::new(serial);
        upstream.pass(&era, &new);
        era = new;
    }
    let seen = upstream.sql("select sum(times) from counted");
    eventually("they go on", || {
        upstream.sql("select sum(times) from counted") != seen
    });
    stop.store(true, Ordering::Relaxed);
    let times: usize = clients.into_iter().map(|one| one.join().unwrap()).sum();
    assert_eq!(
        upstream.sql("select sum(times) from counted"),
        times.to_string()
    );
    assert_eq!(upstream.serials(), [1005]);
    let log = upstream.served.log();
    for trouble in ["cannot connect upstream", "was lost", "panicked"] {
        assert!(!log.contains(trouble), "{log}");
    }
    eprintln!("{times} transactions");
}

#[test]
fn half_an_identity_upstream_keeps_the_one_of_before_in_use() {
    let era = Era::new(1);
    let upstream = Upstream::new(&era);
    let works = || {
        upstream.console("reconnect");
        let mut wire = app(upstream.served.port());
        wire.value("select client_serial from pg_stat_ssl where pid = pg_backend_pid()")
    };
    assert_eq!(works(), "1");
    let next = Era::new(2);
    upstream.write("ours.key", &next.ours.key);
    let refused = "databases.postgres.upstream_tls";
    eventually("it is told", || {
        let log = upstream.served.log();
        log.contains("the certificates of before stay in use: key_file") && log.contains(refused)
    });
    assert_eq!(works(), "1");
    let shown = upstream.console("show certificates");
    assert!(
        shown.contains("upstream_tls.cert_file|CN=app|CN=clients 1|1|"),
        "{shown}"
    );
    assert!(
        shown.contains("is not the key of the certificate in"),
        "{shown}"
    );
}
