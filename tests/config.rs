//! Whole files, flags and variables through the front door of `config`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failed step is a failed test"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use pg_ambassador::{
    auth::{Found, Settings, Stored, User},
    config::{Cli, Command, Config, Level, LogFormat, Refusal, Run, World, load},
    route::{self, Balance, Consistency, Reads, Rules, UserFunctions, Verdicts},
    server::{Database, Listen, Rhythm},
    session::PoolMode,
    topology::{Address, Backend, Role},
};

/// The variables that the fixtures use.
fn variable(name: &str) -> Option<String> {
    let value = match name {
        "WORKERS" => "3",
        "POOL" => "12",
        "DB_HOST" => "db.internal",
        "DB_PORT" => "6000",
        "SECRET" | "PGPASSWORD" => "hunter2",
        _ => return None,
    };
    Some(value.to_owned())
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn run(words: &[&str]) -> Run {
    let all = ["pg-ambassador"].iter().chain(words);
    match Cli::try_parse_from(all).unwrap().into_command() {
        Command::Run(run) => *run,
        other @ (Command::Check(_) | Command::Route(_) | Command::Health(_) | Command::Demo(_)) => {
            panic!("{other:?}")
        }
    }
}

fn load_in(words: &[&str], variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, Refusal> {
    load(&run(words), &World { variable, cpus: 2 })
}

fn good(words: &[&str]) -> Config {
    load_in(words, &|_| None).unwrap()
}

fn bad(words: &[&str]) -> String {
    load_in(words, &|_| None).unwrap_err().to_string()
}

fn file(path: &Path) -> Result<Config, Refusal> {
    load_in(&["--config", path.to_str().unwrap()], &variable)
}

fn valid(name: &str) -> Config {
    file(&folder("fixtures/config/valid").join(name)).unwrap()
}

fn tomls(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    found.sort();
    found
}

fn tcp(host: &str, port: u16) -> Address {
    let host = host.to_owned();
    Address::Tcp { host, port }
}

fn database<'a>(config: &'a Config, name: &str) -> &'a Database {
    let mut databases = config.server.databases.iter();
    let wanted = Some(name.to_owned());
    databases.find(|database| database.name == wanted).unwrap()
}

#[test]
fn every_valid_file_is_taken_without_a_word() {
    let paths = tomls("fixtures/config/valid");
    assert!(paths.len() >= 12, "{}", paths.len());
    for path in paths {
        let config = file(&path).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(config.warnings, [], "{}", path.display());
    }
}

/// `BLESS=1` writes what is told now as what has to be told.
#[test]
fn every_invalid_file_is_refused_with_all_its_mistakes() {
    let paths = tomls("fixtures/config/invalid");
    assert!(paths.len() >= 25, "{}", paths.len());
    let home = format!("{}/", folder("fixtures/config/invalid").display());
    for path in paths {
        let Err(refusal) = file(&path) else {
            panic!("{} was taken", path.display());
        };
        let told = format!("{}\n", refusal.to_string().replace(&home, ""));
        let expected = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        assert_eq!(told, expected, "{}", path.display());
        let shown = format!("{refusal} {refusal:?}");
        assert!(!shown.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn the_smallest_file_works() {
    let config = file(&folder("config/pg-ambassador.toml")).unwrap();
    let app = database(&config, "app");
    assert_eq!(app.backends[0].address, tcp("db.internal", 5432));
    assert_eq!(app.pool.pool_size, 20);
    let user = entry(&app.auth, "app").unwrap();
    assert_eq!(user.upstream_password.unwrap().now().expose(), "hunter2");
    assert!(entry(&app.auth, "eve").is_none());
}

fn entry(auth: &Settings, name: &str) -> Option<User> {
    match auth.find(name) {
        Found::User(user) => Some(user),
        Found::Ask(_) | Found::Nobody => None,
    }
}

/// The reference with `[databases.app.users."*"]`, which says nothing, as if it were not there.
fn reference() -> Config {
    let mut config = file(&folder("config/reference.toml")).unwrap();
    for database in &mut config.server.databases {
        let everyone = database.auth.everyone.clone().unwrap();
        assert!(!everyone.has_password() && everyone.upstream_password.is_none());
        assert_eq!(everyone.upstream_user, None);
        database.auth.everyone = None;
    }
    config
}

#[test]
fn the_reference_shows_the_defaults_of_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("least.toml");
    let least = "[databases.app]\nbackends = [{ address = \"db.internal\" }]\n";
    fs::write(&path, least).unwrap();
    let least = file(&path).unwrap();
    assert_eq!(format!("{:#?}", reference()), format!("{least:#?}"));
}

#[test]
fn databases_keep_their_own_settings() {
    let config = valid("several_databases.toml");
    let app = database(&config, "app");
    assert_eq!(app.dbname.as_deref(), Some("app_production"));
    assert_eq!(
        (app.pool.pool_size, app.session.pool_mode),
        (8, PoolMode::Transaction)
    );
    let report = database(&config, "re port");
    assert_eq!(
        (report.pool.pool_size, report.session.pool_mode),
        (20, PoolMode::Session)
    );
    assert_eq!(report.backends[0].role, Role::Primary);
    let every = config
        .server
        .databases
        .iter()
        .find(|d| d.name.is_none())
        .unwrap();
    assert_eq!(every.backends[0].address, tcp("fd00::1", 6432));
    assert_eq!(config.server.workers, 2);
}

#[test]
fn zero_switches_every_limit_off() {
    let config = valid("limits_off.toml");
    let zero = Duration::ZERO;
    assert_eq!(config.server.max_clients, 0);
    assert_eq!(config.server.login_timeout, zero);
    assert_eq!(
        (
            config.server.shutdown.grace,
            config.server.shutdown.drain_timeout
        ),
        (zero, zero)
    );
    let app = database(&config, "app");
    assert_eq!(
        (
            app.session.max_message_size,
            app.session.client_idle_timeout
        ),
        (0, zero)
    );
    assert_eq!(
        (app.pool.acquire_timeout, app.backend.connect_timeout),
        (zero, zero)
    );
    assert_eq!((app.pool.max_waiting, app.pool.prepared_statements), (0, 0));
}

#[test]
fn variables_stand_for_texts_and_for_numbers() {
    let config = valid("variables.toml");
    assert_eq!(config.server.workers, 3);
    let app = database(&config, "app");
    assert_eq!(app.pool.pool_size, 12);
    assert_eq!(app.backends[0].address, tcp("db.internal", 6000));
    let password = entry(&app.auth, "app").unwrap().upstream_password.unwrap();
    assert_eq!(password.now().expose(), "hunter2${x}");
}

#[test]
fn users_log_in_upstream_as_their_entry_says() {
    let config = valid("users.toml");
    let auth = &database(&config, "app").auth;
    let login = |name: &str| {
        let user = entry(auth, name).unwrap();
        let password = user
            .upstream_password
            .map(|password| password.now().expose().to_owned());
        (user.upstream_user, password)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(login("alice"), (None, None));
    assert_eq!(login("bob"), (some("robert"), some("secret")));
    assert_eq!(login("carol"), (None, some("hunter2")));
    assert_eq!(login("dave"), (some("everyone"), some("from file")));
}

#[test]
fn texts_are_judged_where_something_depends_on_it_or_where_the_file_says_so() {
    let auto = database(&valid("smallest.toml"), "app").routing;
    assert_eq!(auto, route::Settings::default());
    assert_eq!((auto.judges(1), auto.judges(2)), (false, true));
    let always = database(&valid("routing.toml"), "app").routing;
    assert_eq!(always.user_functions, UserFunctions::Primary);
    assert_eq!(always.verdicts, Verdicts::Always);
    assert!(always.judges(1));
}

fn backend(host: &str, role: Role, weight: u32) -> Backend {
    let address = tcp(host, 5432);
    Backend {
        address,
        role,
        weight,
    }
}

#[test]
fn backends_have_roles_and_weights_and_reads_their_rules() {
    let config = valid("replicas.toml");
    let app = database(&config, "app");
    let backends = [
        backend("db-0", Role::Primary, 1),
        backend("db-1", Role::Replica, 3),
        backend("db-2", Role::Auto, 1),
    ];
    assert_eq!(app.backends, backends);
    let routing = route::Settings {
        reads: Reads::Primary,
        consistency: Consistency::Ambassador,
        balance: Balance::Latency,
        max_replica_lag: Duration::ZERO,
        replica_fallback: false,
        ..route::Settings::default()
    };
    assert_eq!(app.routing, routing);
    let Rhythm { interval, timeout } = app.health.rhythm;
    let times = (Duration::from_millis(250), Duration::from_secs(2));
    assert_eq!((interval, timeout), times);
    assert_eq!(app.presumed_primary(), backends.first());
    let rules = Rules::of(&app.backends, app.routing.reads);
    let wanted = Rules {
        reads: Reads::Primary,
        backends: 3,
        has_replicas: true,
    };
    assert_eq!(rules, wanted);
}

#[test]
fn replicas_beside_a_url_are_replicas_and_several_hosts_are_asked_what_they_are() {
    let backends = |words: &[&str], variable: &dyn Fn(&str) -> Option<String>| {
        let config = load_in(words, variable).unwrap();
        config.server.databases[0].backends.clone()
    };
    let split = [
        backend("db-0", Role::Primary, 1),
        backend("db-1", Role::Replica, 1),
        backend("db-2", Role::Replica, 1),
    ];
    let url = ["--upstream", "postgres://app:x@db-0/shop?sslmode=prefer"];
    let flags = [
        "--replica",
        "postgres://app@db-1/shop",
        "--replica",
        "postgres://db-2",
    ];
    let none = |_: &str| None;
    assert_eq!(backends(&[url.as_slice(), &flags].concat(), &none), split);
    let listed = |name: &str| {
        (name == "AMBASSADOR_REPLICAS").then(|| "postgres://db-1, postgres://db-2".to_owned())
    };
    assert_eq!(backends(&url, &listed), split);
    // A flag counts before the variable.
    let one = [&url[..], &["--replica", "postgres://db-1"]].concat();
    assert_eq!(backends(&one, &listed), split[..2]);
    let open = [
        backend("a", Role::Auto, 1),
        backend("b", Role::Auto, 1),
        backend("c", Role::Replica, 1),
    ];
    let hosts = ["--upstream", "postgres://a,b/shop"];
    assert_eq!(backends(&hosts, &none), open[..2]);
    let beside = [&hosts[..], &["--replica", "postgres://c"]].concat();
    assert_eq!(backends(&beside, &none), open);
}

#[test]
fn a_replica_needs_an_upstream() {
    let path = folder("config/pg-ambassador.toml");
    let told = bad(&["--config", path.to_str().unwrap(), "--replica", URL]);
    assert!(told.contains("--replica: needs --upstream"), "{told}");
}

#[test]
fn what_is_not_served_yet_is_kept() {
    let config = valid("admin_everywhere.toml");
    let address = config.admin.address.unwrap();
    assert_eq!((address.ip, address.port), (None, 9127));
    assert_eq!(config.admin.console_users, ["ops", "exporter"]);
    assert_eq!(valid("admin_off.toml").admin.address, None);
    let config = valid("health.toml");
    let health = &config.health["app"];
    assert_eq!(health.user.as_deref(), Some("monitor"));
    assert_eq!(
        health.password.as_ref().unwrap().now().expose(),
        "from file"
    );
    let config = valid("log_json.toml");
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Json, Level::Debug)
    );
}

const URL: &str = "postgres://app:hunter2@db.internal:6000/shop";

#[test]
fn a_url_alone_serves_every_database_as_its_user() {
    let config = good(&["--upstream", URL]);
    let listen = Listen::Tcp("127.0.0.1:5432".parse().unwrap());
    assert_eq!(config.server.addresses, [listen]);
    let [every] = config.server.databases.as_slice() else {
        panic!("not one database");
    };
    assert_eq!((&every.name, &every.dbname), (&None, &None));
    assert_eq!(every.default_dbname.as_deref(), Some("shop"));
    assert_eq!(every.backends[0].address, tcp("db.internal", 6000));
    let user = entry(&every.auth, "whoever").unwrap();
    assert_eq!(user.upstream_user.as_deref(), Some("app"));
    assert_eq!(user.upstream_password.unwrap().now().expose(), "hunter2");
    assert_eq!(
        config.upstream.as_deref(),
        Some("postgres://app@db.internal:6000/shop")
    );
}

#[test]
fn no_password_shows_in_a_configuration() {
    let config = good(&["--upstream", URL]);
    assert!(!format!("{config:?} {:?}", config.warnings).contains("hunter2"));
    let config = valid("users.toml");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_urls_parameters_reach_the_settings() {
    let url = "postgres://localhost:1/?connect_timeout=9&keepalives=0&application_name=web";
    let config = good(&["--upstream", url]);
    let every = &config.server.databases[0];
    assert_eq!(every.backend.connect_timeout, Duration::from_secs(9));
    assert!(!every.backend.keepalive.enabled);
    let pair = ("application_name".to_owned(), "web".to_owned());
    assert_eq!(every.startup, [pair]);
    let set = "databases.\"*\".connect_timeout=1s";
    let config = good(&["--upstream", url, "--set", set]);
    let every = &config.server.databases[0];
    assert_eq!(every.backend.connect_timeout, Duration::from_secs(1));
}

#[test]
fn a_flag_counts_before_a_variable_and_a_variable_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let text = "[databases.app]\npool_size = 1\nbackends = [{ address = \"db\" }]\n\
                [databases.b]\nbackends = [{ address = \"db\" }]\n";
    fs::write(&path, text).unwrap();
    let base = ["--config", path.to_str().unwrap()];
    let sizes = |flags: &[&str], set: &[(&str, &str)]| {
        let variable = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let words: Vec<&str> = base.iter().chain(flags).copied().collect();
        let config = load_in(&words, &variable).unwrap();
        let databases = config.server.databases.iter();
        databases.map(|d| d.pool.pool_size).collect::<Vec<_>>()
    };
    let named = ("AMBASSADOR_POOL_SIZE", "3");
    let any = (
        "AMBASSADOR_SET",
        "databases.app.pool_size=2\nlog.level=debug",
    );
    let set = ["--set", "databases.app.pool_size=4"];
    assert_eq!(sizes(&[], &[]), [1, 20]);
    assert_eq!(sizes(&[], &[any]), [2, 20]);
    assert_eq!(sizes(&[], &[any, named]), [3, 3]);
    assert_eq!(sizes(&set, &[any, named]), [4, 3]);
    assert_eq!(sizes(&["--pool-size", "5"], &[any, named]), [5, 5]);
}

#[test]
fn every_flag_reaches_its_setting() {
    let config = good(&[
        "run",
        "--upstream",
        URL,
        "--listen",
        "127.0.0.1:1",
        "--listen",
        "[::1]:2",
        "--admin",
        "",
        "--pool-size",
        "8",
        "--pool-mode",
        "session",
        "--workers",
        "3",
        "--log-format",
        "json",
        "--log-level",
        "warn",
        "--set",
        "shutdown.grace=1s",
        "--set",
        "listen.max_clients=7",
    ]);
    let at = |text: &str| Listen::Tcp(text.parse().unwrap());
    assert_eq!(config.server.addresses, [at("127.0.0.1:1"), at("[::1]:2")]);
    assert_eq!(config.admin.address, None);
    let every = &config.server.databases[0];
    assert_eq!(
        (every.pool.pool_size, every.session.pool_mode),
        (8, PoolMode::Session)
    );
    assert_eq!((config.server.workers, config.server.max_clients), (3, 7));
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Json, Level::Warn)
    );
    assert_eq!(config.server.shutdown.grace, Duration::from_secs(1));
}

#[test]
fn mistakes_in_flags_and_variables_name_them() {
    let told = bad(&[
        "--upstream",
        URL,
        "--pool-size",
        "0",
        "--listen",
        "0.0.0.0:1",
        "--workers",
        "x",
        "--replica",
        URL,
        "--replica",
        "postgres://eve:hunter3@db-1/other?sslmode=require",
        "--set",
        "nonsense",
        "--set",
        "databases.\"*\".users.a.pasword=hunter2",
        "--log-level",
        "inof",
    ]);
    let expected = "\
--listen: listen.addresses: 0.0.0.0:1 is open to other machines, and [databases.\"*\".auth] trusts whoever connects; listen on 127.0.0.1 or [::1], or set method to scram-sha-256
--log-level: log.level: expected error | warn | info | debug | trace, found \"inof\"; did you mean info?
--pool-size: databases.\"*\".pool_size: has to be at least 1
--replica: its user is not the one of --upstream, whose login all backends get; leave it out here
--replica: its password is not the one of --upstream, whose login all backends get; leave it out here
--replica: its database is not the one of --upstream, whose login all backends get; leave it out here
--replica: its TLS is not the one of --upstream, whose login all backends get; leave it out here
--replica: --upstream names this backend already
--set: expected KEY=VALUE with a dotted key, e.g. databases.\"*\".pool_size=5
--set: databases.\"*\".users.a.pasword: no such key; did you mean password?
--workers: listen.workers: expected a whole number, found \"x\"";
    assert_eq!(told, expected);
    let from = |name: &str| match name {
        "AMBASSADOR_UPSTREAM" => Some(URL.to_owned()),
        "AMBASSADOR_WORKERS" => Some("-1".to_owned()),
        _ => None,
    };
    let told = load_in(&[], &from).unwrap_err().to_string();
    assert_eq!(
        told,
        "AMBASSADOR_WORKERS: listen.workers: cannot be negative"
    );
}

#[test]
fn a_file_and_a_url_exclude_each_other() {
    let told = bad(&["--config", "a.toml", "--upstream", URL]);
    assert_eq!(
        told,
        "--upstream: contradicts --config: only one of them can be given"
    );
    let from = |name: &str| (name == "AMBASSADOR_CONFIG").then(|| "a.toml".to_owned());
    let told = load_in(&["--upstream", URL], &from)
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "--upstream: contradicts AMBASSADOR_CONFIG: only one of them can be given"
    );
}

#[test]
fn neither_a_file_nor_a_url_is_a_slip_with_two_examples() {
    let refusal = load_in(&[], &|_| None).unwrap_err();
    assert!(matches!(refusal, Refusal::NothingToServe));
    assert_eq!(refusal.to_string().lines().count(), 3);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let told = bad(&["--config", "/nowhere/a.toml"]);
    assert!(
        told.starts_with("/nowhere/a.toml: cannot be read: No such file"),
        "{told}"
    );
}

#[test]
fn a_url_that_leads_back_to_the_ambassador_is_refused() {
    let told = bad(&["--upstream", "postgres://localhost/app"]);
    assert!(
        told.starts_with("--upstream: localhost:5432 is the ambassador's own"),
        "{told}"
    );
    good(&[
        "--upstream",
        "postgres://localhost/app",
        "--listen",
        "127.0.0.1:6432",
    ]);
}

#[test]
fn a_file_torn_anywhere_is_taken_or_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let torn = home.path().join("torn.toml");
    let whole = fs::read_to_string(folder("fixtures/config/valid/users.toml")).unwrap();
    for (end, _) in whole.char_indices() {
        for text in [
            whole[..end].to_owned(),
            format!("{}{}", &whole[..end], &whole[end + 1..]),
        ] {
            fs::write(&torn, text).unwrap();
            if let Err(refusal) = file(&torn) {
                assert!(!refusal.to_string().is_empty());
            }
        }
    }
}

#[test]
fn the_shell_line_of_the_readme_turns_a_userlist_into_users() {
    let readme = fs::read_to_string(folder("README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("sed "));
    let place = tempfile::tempdir().unwrap();
    let list = r#"; a comment
"alice" "pa""ss\w${x}"
"nobody" ""
"o""brien"	"two words"""
"hashed" "md5d41d8cd98f00b204e9800998ecf8427e"
"#;
    fs::write(place.path().join("userlist.txt"), list).unwrap();
    let told = std::process::Command::new("sh")
        .args(["-c", line.unwrap()])
        .current_dir(place.path())
        .output()
        .unwrap();
    let users = String::from_utf8(told.stdout).unwrap();
    let path = place.path().join("a.toml");
    let text = format!("[databases.app]\nbackends = [{{ address = \"db\" }}]\n{users}");
    fs::write(&path, text).unwrap();
    let config = file(&path).unwrap();
    let auth = &database(&config, "app").auth;
    let password = |name: &str| match auth.users.get(name)?.known().ok()?.stored() {
        Stored::Plain(text) => Some(text.expose().to_owned()),
        Stored::Md5(_) => Some("md5".to_owned()),
        Stored::Scram(_) => None,
    };
    assert_eq!(password("alice").as_deref(), Some(r#"pa"ss\w${x}"#));
    assert_eq!(password("o\"brien").as_deref(), Some("two words\""));
    assert_eq!(password("hashed").as_deref(), Some("md5"));
    assert_eq!(auth.users.len(), 3);
}
