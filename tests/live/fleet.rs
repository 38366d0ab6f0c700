//! Several backends: what each is, is found out, told, and noticed when it changes.

use pg_ambassador::app::cluster::{Cluster, Options, Stop};

use crate::{
    admin::get,
    scrape::Scrape,
    stage::{admin_port, eventually},
    support::{self, Served},
    wire::Wire,
};

/// A primary, replicas of it, and the ambassador in front of them.
struct Squad {
    primary: Cluster,
    replicas: Vec<Cluster>,
    served: Served,
}

fn address(cluster: &Cluster) -> String {
    cluster.address().to_string()
}

fn with_replicas(count: usize, options: &Options) -> (Cluster, Vec<Cluster>) {
    let primary = support::own_cluster(options.clone());
    let replica = |_| primary.replica(&support::options()).unwrap();
    let replicas = (0..count).map(replica).collect();
    (primary, replicas)
}

/// Keys of the database's table, such as `health.interval=100ms`.
fn squad(count: usize, keys: &[&str]) -> Squad {
    let (primary, replicas) = with_replicas(count, &support::options());
    let mut args = vec!["--admin".to_owned(), "127.0.0.1:0".to_owned()];
    args.extend(["--upstream".to_owned(), primary.url("postgres")]);
    for replica in &replicas {
        args.extend(["--replica".to_owned(), replica.url("postgres")]);
    }
    let usual = ["health.interval=100ms", "health.timeout=5s"];
    for key in usual.iter().chain(keys) {
        args.extend(["--set".to_owned(), format!("databases.\"*\".{key}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let served = Served::ambassador_with(&args);
    Squad {
        primary,
        replicas,
        served,
    }
}

/// Address, role, health and error of all backends, as the console shows them.
fn shown(served: &Served) -> Vec<[String; 4]> {
    let out = support::psql_table(served.port(), "ambassador", "show backends");
    let rows = out.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        [0, 2, 3, 7].map(|at| cells[at].to_owned())
    });
    rows.collect()
}

/// Role and health of one.
fn standing(served: &Served, cluster: &Cluster) -> (String, String) {
    let address = address(cluster);
    let mut rows = shown(served).into_iter();
    let found = rows.find(|[of, ..]| *of == address);
    found
        .map(|[_, role, health, _]| (role, health))
        .unwrap_or_default()
}

#[track_caller]
fn becomes(served: &Served, cluster: &Cluster, role: &str, health: &str) {
    let wanted = (role.to_owned(), health.to_owned());
    eventually(&format!("it is {wanted:?}"), || {
        standing(served, cluster) == wanted
    });
}

fn scraped(served: &Served) -> Scrape {
    let (status, page) = get(admin_port(served), "/metrics");
    assert_eq!(status, 200);
    Scrape::parse(&page)
}

fn gauge(served: &Served, name: &str, cluster: &Cluster) -> f64 {
    let address = address(cluster);
    let all = scraped(served);
    let labels = [("backend", address.as_str())];
    let mut samples = all.samples.iter();
    let known = samples.any(|one| one.name == name && one.labels["backend"] == address);
    assert!(known, "no {name} of {address}");
    all.value(name, &labels)
}

const OURS: &str =
    "select count(*) from pg_stat_activity where application_name = 'ambassador health'";

#[test]
fn what_a_backend_is_it_is_asked_over_one_connection() {
    let (primary, replicas) = with_replicas(1, &support::options());
    let [replica] = replicas.as_slice() else {
        unreachable!()
    };
    // The replica first: nothing but the answers says which is which.
    let hosts = format!("{},{}", address(replica), address(&primary));
    let url = format!("postgres://postgres@{hosts}/postgres");
    let interval = "databases.\"*\".health.interval=100ms";
    let admin = ["--admin", "127.0.0.1:0"];
    let args = [&admin[..], &["--upstream", &url, "--set", interval]].concat();
    let served = Served::ambassador_with(&args);
    becomes(&served, replica, "replica", "up");
    becomes(&served, &primary, "primary", "up");
    assert_eq!(gauge(&served, "ambassador_backend_role", replica), 0.0);
    assert_eq!(gauge(&served, "ambassador_backend_role", &primary), 1.0);
    assert_eq!(gauge(&served, "ambassador_backend_up", replica), 1.0);
    eventually("an idle primary leaves nobody behind", || {
        // Its log ends behind the header of a new segment, which no replica reaches before the
        // next record; one may come at any time.
        primary.ask("select pg_switch_wal()").unwrap();
        let before = primary.position().unwrap();
        let lag = [
            "ambassador_replica_lag_seconds",
            "ambassador_replica_lag_bytes",
        ];
        let none = lag.map(|name| gauge(&served, name, replica)) == [0.0, 0.0];
        none && before.ends_with("000028") && primary.position().unwrap() == before
    });
    for cluster in [&primary, replica] {
        assert_eq!(cluster.ask(OURS).unwrap(), "1");
    }
    let ready = (200, "ready\n".to_owned());
    assert_eq!(get(admin_port(&served), "/readyz?upstream=1"), ready);
}

#[test]
fn a_lone_backend_is_not_watched() {
    let cluster = support::own_cluster(support::options());
    let served = Served::ambassador(&cluster, &[]);
    let mut client = Wire::login(served.port(), "postgres", &[]).unwrap();
    assert_eq!(client.value(OURS), "0");
    client.bye();
}

#[test]
fn a_promoted_replica_takes_over_and_the_former_primary_gets_nothing() {
    let mut squad = squad(1, &[]);
    let served = &squad.served;
    let [replica] = squad.replicas.as_slice() else {
        unreachable!()
    };
    becomes(served, &squad.primary, "primary", "up");
    becomes(served, replica, "replica", "up");
    replica.catch_up(&squad.primary).unwrap();
    squad.primary.stop(Stop::Kill).unwrap();
    becomes(served, &squad.primary, "primary", "down");
    let port = admin_port(served);
    let (status, why) = get(port, "/readyz?upstream=1");
    assert_eq!((status, why.lines().count()), (503, 2), "{why}");
    replica.promote().unwrap();
    becomes(served, replica, "primary", "up");
    eventually("there is a primary again", || {
        get(port, "/readyz?upstream=1").0 == 200
    });
    let failovers = [("database", "*")];
    let failed_over = || scraped(served).value("ambassador_failovers_total", &failovers);
    assert_eq!(failed_over(), 1.0);
    assert!(served.log().contains("another backend is the primary now"));
    // It believes that it is still the one.
    squad.primary.run().unwrap();
    let former = address(&squad.primary);
    eventually("the former primary is seen through", || {
        let mut rows = shown(served).into_iter();
        let row = rows.find(|[of, ..]| *of == former).unwrap();
        row[2] == "down" && row[3].contains("was not promoted")
    });
    assert_eq!(
        standing(served, replica),
        ("primary".into(), "up".to_owned())
    );
    assert_eq!(failed_over(), 1.0);
}

#[test]
fn a_replica_that_is_too_far_behind_is_told_and_forgiven() {
    let squad = squad(1, &["routing.max_replica_lag=1s"]);
    let (served, primary) = (&squad.served, &squad.primary);
    let [replica] = squad.replicas.as_slice() else {
        unreachable!()
    };
    becomes(served, replica, "replica", "up");
    replica.catch_up(primary).unwrap();
    becomes(served, replica, "replica", "up");
    let told = || served.log().matches("standing=\"lagging\"").count();
    let before = told();
    replica.pause_replay().unwrap();
    primary.ask("create table t (x int)").unwrap();
    becomes(served, replica, "replica", "lagging");
    assert!(gauge(served, "ambassador_replica_lag_seconds", replica) > 1.0);
    assert!(gauge(served, "ambassador_replica_lag_bytes", replica) > 0.0);
    assert_eq!(gauge(served, "ambassador_backend_up", replica), 1.0);
    replica.resume_replay().unwrap();
    becomes(served, replica, "replica", "up");
    assert_eq!(told(), before + 1);
}

#[test]
fn a_replica_that_is_killed_or_frozen_is_down_until_it_answers_again() {
    let mut squad = squad(1, &["health.timeout=1s"]);
    let served = &squad.served;
    let [replica] = squad.replicas.as_mut_slice() else {
        unreachable!()
    };
    becomes(served, replica, "replica", "up");
    replica.stop(Stop::Kill).unwrap();
    becomes(served, replica, "replica", "down");
    assert_eq!(gauge(served, "ambassador_backend_up", replica), 0.0);
    replica.run().unwrap();
    becomes(served, replica, "replica", "up");
    // The server itself stands still as soon as it has to start somebody for a connection.
    let ours = "select pid from pg_stat_activity where application_name = 'ambassador health'";
    let pid = replica.ask(ours).unwrap();
    replica.signal("STOP").unwrap();
    let sent = std::process::Command::new("kill")
        .args(["-s", "STOP", &pid])
        .status();
    assert!(sent.unwrap().success());
    becomes(served, replica, "replica", "down");
    let sent = std::process::Command::new("kill")
        .args(["-s", "CONT", &pid])
        .status();
    assert!(sent.unwrap().success());
    replica.signal("CONT").unwrap();
    becomes(served, replica, "replica", "up");
    becomes(served, &squad.primary, "primary", "up");
}

/// The health login is refused, and clients get in.
#[test]
fn a_wrong_password_of_ours_takes_no_backend_away() {
    let hba = "host replication all 127.0.0.1/32 trust\n\
               host all postgres 127.0.0.1/32 trust\n\
               host all all 127.0.0.1/32 scram-sha-256\n";
    let options = Options {
        hba: Some(hba.to_owned()),
        ..support::options()
    };
    let (primary, replicas) = with_replicas(1, &options);
    let [replica] = replicas.as_slice() else {
        unreachable!()
    };
    primary
        .ask("create role probe login password 'right'")
        .unwrap();
    replica.catch_up(&primary).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("wrong"), "wrong").unwrap();
    let text = format!(
        "[databases.postgres]\n\
         [databases.postgres.health]\ninterval = \"100ms\"\ntimeout = \"5s\"\n\
         user = \"probe\"\npassword_file = \"{}\"\n\
         [[databases.postgres.backends]]\naddress = \"{}\"\nrole = \"primary\"\n\
         [[databases.postgres.backends]]\naddress = \"{}\"\nrole = \"replica\"\n",
        path("wrong"),
        address(&primary),
        address(replica),
    );
    std::fs::write(path("a.toml"), text).unwrap();
    let served = Served::ambassador_with(&["--config", &path("a.toml")]);
    eventually("it is told what to set", || {
        served.log().contains("set health.user")
    });
    becomes(&served, &primary, "primary", "up");
    becomes(&served, replica, "replica", "unknown");
    let mut client = Wire::login(served.port(), "postgres", &[]).unwrap();
    assert_eq!(client.value("select pg_is_in_recovery()"), "f");
    client.bye();
    // What a client came with serves.
    becomes(&served, replica, "replica", "up");
}
