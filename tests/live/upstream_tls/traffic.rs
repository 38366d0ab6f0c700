//! What goes over TLS: all that goes without.

use super::{Encrypted, encrypted, enter};
use crate::{
    stage::eventually,
    support::{self, Served, clients},
    wire::{self, VERSION, Wire, startup},
};

const APP: &str = "users.app = {}
    upstream_tls.mode = 'verify-full'
    upstream_tls.ca_file = 'FOLDER/ca.pem'";

fn served(args: &[&str]) -> Served {
    encrypted().served(APP, args)
}

#[test]
fn large_results_and_large_statements_come_whole() {
    let served = served(&["--workers", "1"]);
    let mut client = enter(&served, "app").unwrap();
    let many = "select md5(g::text) || repeat('x', g % 3000) from generate_series(1, 20000) g";
    let direct = support::psql(encrypted().cluster.port(), "postgres", many);
    let rows = client.query(many);
    let through: Vec<String> = rows
        .iter()
        .filter(|frame| frame.tag == b'D')
        .map(|frame| String::from_utf8(frame.body[6..].to_vec()).unwrap())
        .collect();
    assert!(through.join("\n") == direct, "{} rows", through.len());
    for length in [10_000, 16_384, 1_000_000, 30_000_000] {
        let value = "y".repeat(length);
        let sql = format!("select length('{value}')");
        assert_eq!(client.value(&sql), length.to_string());
    }
}

#[test]
fn a_copy_goes_in_and_out() {
    let served = served(&["--workers", "1"]);
    let mut client = enter(&served, "app").unwrap();
    client.run("create table copied (a int, b text)");
    client.send(&wire::query("copy copied from stdin"));
    client.until(b'G');
    let line = |number: usize| format!("{number}\t{}\n", "z".repeat(number % 500));
    for chunk in 0..200 {
        let lines: String = (0..100).map(|at| line(chunk * 100 + at)).collect();
        client.send(&wire::copy_data(&lines));
    }
    client.send(&wire::copy_done());
    client.until_ready();
    assert_eq!(client.value("select count(*) from copied"), "20000");
    let out = client.query("copy copied to stdout");
    assert_eq!(out.iter().filter(|frame| frame.tag == b'd').count(), 20_000);
}

/// Sessions of pools on two workers that hand connections to each other.
#[test]
fn a_crowd_on_few_connections_is_served_without_an_error() {
    let served = served(&["--workers", "2", "--pool-size", "3"]);
    let database = "postgres";
    support::psql(encrypted().cluster.port(), database, "select 1");
    let url = format!("postgresql://app@127.0.0.1:{}/{database}", served.port());
    clients::run_pgbench(encrypted().cluster.port(), database, &["-i", "-q"]);
    for mode in ["simple", "extended", "prepared"] {
        let report = clients::pgbench_at(
            &url,
            &["-S", "-c", "20", "-j", "2", "-t", "300", "-M", mode],
        );
        assert_eq!(
            (report.transactions, report.failed),
            (6000, 0),
            "{}",
            report.report
        );
    }
    let unencrypted = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'app' and not ssl";
    let seen = support::psql(encrypted().cluster.port(), database, unencrypted);
    assert_eq!(seen, "0");
}

#[test]
fn an_idle_connection_is_lent_again_though_the_server_sent_tickets() {
    let served = served(&["--workers", "1", "--pool-size", "1"]);
    let mut client = enter(&served, "app").unwrap();
    let pid = client.value("select pg_backend_pid()");
    for _ in 0..20 {
        assert_eq!(client.value("select pg_backend_pid()"), pid);
    }
    assert!(
        !served.log().contains("an idle connection ended"),
        "{}",
        served.log()
    );
}

#[test]
fn a_connection_that_the_server_ends_is_replaced() {
    let served = served(&["--workers", "1", "--pool-size", "1"]);
    let mut client = enter(&served, "app").unwrap();
    let pid = client.value("select pg_backend_pid()");
    support::psql(
        encrypted().cluster.port(),
        "postgres",
        &format!("select pg_terminate_backend({pid})"),
    );
    eventually("it is seen", || {
        served.log().contains("an idle connection ended")
    });
    assert_ne!(client.value("select pg_backend_pid()"), pid);
}

#[test]
fn the_console_shows_what_is_spoken_with_the_server() {
    let served = served(&["--workers", "1"]);
    let mut client = enter(&served, "app").unwrap();
    client.run("select 1");
    let mut console = Wire::login(served.port(), "pgbouncer", &[]).unwrap();
    let told = console.query("SHOW SERVERS");
    let row = told.iter().find(|frame| frame.tag == b'D').unwrap();
    let spoken = b"TLSv1.3/TLS_AES_256_GCM_SHA384";
    assert!(
        row.body.windows(spoken.len()).any(|part| part == spoken),
        "{row}"
    );
}

#[test]
fn replication_comes_by_tls_too() {
    let served = served(&["--workers", "1"]);
    let mut client = Wire::open(served.port());
    let who = [
        ("user", "app"),
        ("database", "postgres"),
        ("replication", "database"),
    ];
    client.send(&startup(VERSION, &who));
    client.welcomed().unwrap();
    let told = client.query("IDENTIFY_SYSTEM");
    assert!(told.iter().any(|frame| frame.tag == b'D'), "{told:?}");
    let ssl = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(client.value(ssl), "t");
}

#[test]
fn verifiers_are_asked_for_by_tls_and_kept_from_who_is_not_believed() {
    let server = encrypted();
    let asking = "auth.method = 'scram-sha-256'
        auth.query = 'select rolname, rolpassword from pg_authid where rolname = $1'
        auth.query_user = 'app'
        users.app = { password = 'secret' }";
    let table = format!(
        "{asking}\nupstream_tls.mode = 'verify-full'\nupstream_tls.ca_file = 'FOLDER/ca.pem'"
    );
    let served = server.served(&table, &["--workers", "1"]);
    let login = |served: &Served| {
        clients::psql_as(
            served.port(),
            "postgres",
            "scrammed",
            super::PASSWORD,
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
        )
    };
    let ended = login(&served);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "t\n", "{ended:?}");
    let stranger = support::papers::Authority::new("strangers");
    server.write("strangers.pem", &stranger.pem);
    let served = server.served(
        &table.replace("ca.pem", "strangers.pem"),
        &["--workers", "1"],
    );
    assert!(!login(&served).status.success());
    eventually("it is told", || {
        served.log().contains("the auth query failed")
    });
}

#[test]
fn a_password_in_clear_is_told_to_verified_servers_alone_and_by_leave() {
    let server = encrypted();
    let who = format!(
        "users.clear = {{ upstream_password = '{}' }}",
        super::PASSWORD
    );
    let verified = "mode = 'verify-full'\nca_file = 'FOLDER/ca.pem'";
    server.works(&format!("{verified}\nrequire_auth = ['password']\n{who}"));
    for tls in [verified, "mode = 'require'", "mode = 'prefer'"] {
        let told = server.check(&format!("{tls}\n{who}")).unwrap_err();
        assert!(told.contains("asks for a cleartext password"), "{told}");
    }
}

#[test]
fn the_probe_for_a_primary_goes_by_tls_and_tells_who_is_not_believed() {
    let server = encrypted();
    let look = |table: &str| {
        let served = server.served(table, &["--admin", "127.0.0.1:0"]);
        let told = "metrics and probes on ";
        eventually("the admin's HTTP listens", || served.log().contains(told));
        let log = served.log();
        let (_, rest) = log.split_once(told).unwrap();
        let address = rest.split_whitespace().next().unwrap();
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        crate::admin::get(port, "/readyz?upstream=1")
    };
    assert_eq!(look(APP).0, 200);
    let stranger = support::papers::Authority::new("strangers");
    server.write("others.pem", &stranger.pem);
    let (code, page) = look(&APP.replace("ca.pem", "others.pem"));
    assert_eq!(code, 503);
    assert!(
        page.contains("server certificate is of no authority"),
        "{page}"
    );
}

#[test]
fn by_a_unix_socket_there_is_no_tls_whatever_the_mode() {
    let server = Encrypted::new();
    let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n";
    server.cluster.write("pg_hba.conf", hba).unwrap();
    server.cluster.reload().unwrap();
    let folder = server.cluster.folder().to_str().unwrap();
    let port = server.cluster.port();
    server.works(&format!("mode = 'verify-full'\nca_file = 'FOLDER/ca.pem'\nbackends = [{{ address = 'unix:{folder}:{port}' }}]"));
}
