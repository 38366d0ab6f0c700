//! Who may log in to the ambassador, how, and as whom that is upstream.

use std::{fs, os::unix::fs::symlink, time::Instant};

use crate::{
    house::{ASKING, House, PASSWORD, WRONG, cluster, sql, stored, try_login, wrong},
    stage::eventually,
    support::clients,
    wire::{VERSION, Wire, startup},
};

/// How clients prove themselves, what is known of them, and as whom they go upstream, all with all.
#[test]
fn every_login_comes_out_as_the_method_the_secret_and_the_backend_have_it() {
    let twin = stored("other");
    let hash = |user: &str| {
        let password = PASSWORD.replace('\'', "''");
        sql(&format!("select 'md5' || md5('{password}' || '{user}')"))
    };
    let users = ["scrammed", "hashed", "open", "clear"];
    for method in ["trust", "scram-sha-256", "md5"] {
        for secret in ["plain", "file", "env", "*", "scram", "md5", "query"] {
            let auth = users.map(|user| match secret {
                "plain" => format!("users.{user}.password = \"PASSWORD\""),
                "file" => format!("users.{user}.password_file = \"FOLDER/secret\""),
                "env" => format!("users.{user}.password_env = \"SECRET\""),
                "md5" => format!("users.{user}.password = '{}'", hash(user)),
                "scram" if user == "hashed" => format!("users.{user}.password = '{twin}'"),
                "scram" => format!("users.{user}.password = '{}'", stored(user)),
                _ => String::new(),
            });
            let auth = match secret {
                "*" => "users.'*'.password = \"PASSWORD\"".to_owned(),
                "query" => ASKING.lines().skip(3).collect::<Vec<_>>().join("\n"),
                _ => auth.join("\n"),
            };
            let auth = format!("auth.method = '{method}'\nauth.allow_md5 = true\n{auth}");
            let house = House::with(&auth, &["--workers", "1"]);
            for user in users {
                let what = format!("{method}, {secret}, {user}");
                let expected = outcome(method, secret, user);
                for password in [PASSWORD, WRONG] {
                    let told = house.try_as(user, password);
                    match (expected, password) {
                        (_, WRONG) if method != "trust" => {
                            assert_eq!(told, Err(wrong(user)), "{what}");
                        }
                        (None, _) => assert_eq!(told, Ok(user.to_owned()), "{what}"),
                        (Some(key), _) => {
                            let told = told.err().unwrap_or_default();
                            assert!(told.contains(key), "{what}: {told}");
                        }
                    }
                }
            }
        }
    }
}

/// The key that a refusal names; `None`: the client gets in.
fn outcome(method: &str, secret: &str, user: &str) -> Option<&'static str> {
    // What is there to log in with upstream.
    let proof = match (secret, user) {
        ("plain" | "file" | "env" | "*", _) => "password",
        _ if method == "trust" => "nothing",
        ("md5", _) | ("query", "hashed") => "md5",
        _ => "keys",
    };
    let enough = match user {
        "scrammed" => ["password", "keys"].contains(&proof),
        "hashed" => ["password", "md5"].contains(&proof),
        "clear" => return Some("require_auth"),
        _ => true,
    };
    (!enough).then_some("upstream_password")
}

#[test]
fn whoever_the_backend_knows_gets_in_with_its_password_and_is_itself_there() {
    let house = House::new(ASKING);
    for user in ["scrammed", "hashed", "other", "scrammed"] {
        assert_eq!(house.is(user), user);
    }
}

#[test]
fn fact_12_whom_to_refuse_is_refused_in_the_servers_words_whoever_it_is() {
    let house = House::new(ASKING);
    for user in ["scrammed", "hashed", "stranger", "nobody"] {
        let direct = try_login(cluster().port(), "shop", user, "wrong").unwrap_err();
        assert_eq!(direct, wrong(user));
        assert_eq!(house.refuses(user, "wrong"), direct);
    }
    // Only the log knows more.
    let log = house.served.log();
    assert!(log.contains("there is no such user"), "{log}");
    assert!(log.contains("its password is not known"), "{log}");
}

#[test]
fn fact_12_a_database_that_is_not_there_is_told_to_those_alone_who_can_log_in_elsewhere() {
    let house =
        House::new("auth.method = \"scram-sha-256\"\nusers.scrammed.password = \"PASSWORD\"");
    let ask = |user: &str, password: &str| {
        try_login(house.port(), "nowhere", user, password).unwrap_err()
    };
    assert!(ask("scrammed", PASSWORD).contains("database \"nowhere\" is not configured"));
    assert_eq!(ask("scrammed", "wrong"), wrong("scrammed"));
    assert_eq!(ask("stranger", PASSWORD), wrong("stranger"));
}

#[test]
fn a_client_is_whom_its_entry_names_upstream() {
    let house = House::new(
        "auth.method = \"scram-sha-256\"
         users.web = { password = \"PASSWORD\", upstream_user = \"scrammed\", upstream_password = \"PASSWORD\" }
         users.free = { password = \"PASSWORD\", upstream_user = \"open\" }
         users.shut = { password = \"PASSWORD\", upstream_user = \"other\" }",
    );
    assert_eq!(house.is("web"), "scrammed");
    assert_eq!(house.is("free"), "open");
    // Its own password is no business of that other user's.
    let refused = house.refuses("shut", PASSWORD);
    assert!(refused.contains("upstream_password"), "{refused}");
}

#[test]
fn a_password_that_was_changed_on_the_backend_is_asked_for_anew_after_a_failure() {
    let house = House::new(ASKING);
    let alter = |password: &str| {
        sql(&format!("alter role changing password '{password}'"));
    };
    sql("create role changing login");
    alter("one");
    assert!(house.try_as("changing", "one").is_ok());
    alter("two");
    assert_eq!(house.refuses("changing", "two"), wrong("changing"));
    assert!(house.try_as("changing", "two").is_ok());
    assert_eq!(house.refuses("changing", "one"), wrong("changing"));
}

#[test]
fn a_password_that_is_no_longer_valid_lets_nobody_in_by_the_query_of_the_reference() {
    let reference = include_str!("../../config/reference.toml").replace("\n# ", " ");
    let query = ASKING
        .lines()
        .find_map(|line| line.strip_prefix("auth.query = "));
    assert!(
        reference.contains(query.unwrap()),
        "the reference shows another one"
    );
    let house = House::new(ASKING);
    let direct = try_login(cluster().port(), "shop", "late", PASSWORD).unwrap_err();
    assert_eq!(house.refuses("late", PASSWORD), direct);
    sql("alter role late valid until '2100-01-01'");
    assert_eq!(house.is("late"), "late");
}

#[test]
fn a_password_file_is_read_again_when_it_has_changed_also_behind_swapped_links() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("own"), PASSWORD).unwrap();
    for (version, text) in [("..1", "one"), ("..2", "two")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("upstream"), text).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/upstream", at("upstream")).unwrap();
    let (own, upstream) = (at("own"), at("upstream"));
    let rotating = House::new(&format!(
        "auth.method = \"scram-sha-256\"
         users.web = {{ password_file = {own:?}, upstream_user = \"rotated\", upstream_password_file = {upstream:?} }}"
    ));
    sql("create role rotated login password 'one'");
    assert_eq!(rotating.is("web"), "rotated");

    // The client's own password.
    fs::write(&own, "new").unwrap();
    assert_eq!(rotating.refuses("web", PASSWORD), wrong("web"));
    assert_eq!(rotating.try_as("web", "new").unwrap(), "rotated");

    // That of the backend; the connections of before are gone.
    sql("alter role rotated password 'two'");
    let ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity";
    sql(&format!("{ended} where usename = 'rotated'"));
    assert_eq!(rotating.try_as("web", "new"), Err(wrong("rotated")));
    symlink("..2", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    eventually("the new password is taken", || {
        rotating.try_as("web", "new") == Ok("rotated".to_owned())
    });
}

#[test]
fn a_backend_that_asks_for_what_require_auth_leaves_out_is_refused_by_that_key() {
    for (allowed, user, asks) in [
        ("'md5', 'none'", "scrammed", "scram-sha-256"),
        ("'scram-sha-256', 'none'", "hashed", "md5"),
        ("'scram-sha-256', 'md5'", "open", "without asking"),
        ("'scram-sha-256', 'md5', 'none'", "clear", "cleartext"),
    ] {
        let house = House::new(&format!(
            "upstream_tls.require_auth = [{allowed}]\nusers.{user}.password = \"PASSWORD\""
        ));
        let mut wire = Wire::open(house.port());
        let who = [("user", user), ("database", "shop")];
        wire.send(&startup(VERSION, &who));
        let told = wire.welcomed().unwrap_err();
        assert_eq!(
            (told.code().as_str(), told.field(b'S').as_str()),
            ("28000", "FATAL")
        );
        assert!(told.message().contains("require_auth"), "{told}");
        assert!(told.message().contains(asks), "{told}");
    }
    let house = House::new(
        "upstream_tls.require_auth = ['scram-sha-256']\nusers.scrammed.password = \"PASSWORD\"",
    );
    assert_eq!(house.is("scrammed"), "scrammed");
}

/// A query that notes who asks it, on what connection, and waits while somebody holds a lock.
const NOTED: &str = "
auth.method = \"scram-sha-256\"
auth.query = \"SELECT * FROM public.asked($1)\"
auth.query_user = \"asker\"
users.asker.password = \"PASSWORD\"
connect_timeout = \"30s\"
";

fn note_questions() {
    sql(
        "create table noted (name text, by text, path text, app text, pid int);
         create function asked(wanted text, out usename text, out passwd text) returns setof record
         language plpgsql as $$ begin
             perform pg_advisory_xact_lock_shared(7);
             insert into public.noted values (wanted, session_user, current_setting('search_path'),
                 current_setting('application_name'), pg_backend_pid());
             return query select rolname::text, rolpassword::text from pg_authid where rolname = wanted;
         end $$",
    );
}

#[test]
fn many_logins_of_one_stranger_ask_the_backend_once_over_one_connection() {
    note_questions();
    let house = House::with(NOTED, &["--workers", "1"]);
    let mut holder = Wire::login(cluster().port(), "shop", &[]).unwrap();
    holder.run("select pg_advisory_lock(7)");
    let clients: Vec<Wire> = (0..40)
        .map(|number| {
            let user = if number % 2 == 0 {
                "stranger"
            } else {
                "scrammed"
            };
            let mut wire = Wire::open(house.port());
            wire.send(&startup(VERSION, &[("user", user), ("database", "shop")]));
            wire
        })
        .collect();
    let asking = "select count(*) from pg_stat_activity where application_name = 'ambassador auth'";
    eventually("it asks", || {
        sql(&format!("{asking} and wait_event = 'advisory'")) == "1"
    });
    // By now all have been read; that they wait in vain is what shows it.
    let mut last = Wire::open(house.port());
    last.send(&startup(
        VERSION,
        &[("user", "asker"), ("database", "shop")],
    ));
    assert_eq!(last.frame().tag, b'R');
    assert_eq!(sql(asking), "1");
    holder.run("select pg_advisory_unlock(7)");
    for mut wire in clients {
        assert_eq!(wire.frame().tag, b'R');
    }
    let noted = sql("select name, count(*) from noted group by name order by name");
    assert_eq!(noted, "scrammed|1\nstranger|1");
    assert_eq!(sql("select count(distinct pid) from noted"), "1");
    eventually("the connection is closed", || sql(asking) == "0");
}

#[test]
fn nothing_of_the_client_is_on_the_connection_that_asks_for_its_verifier() {
    note_questions();
    let house = House::new(NOTED);
    let mut wire = Wire::open(house.port());
    let who = [
        ("user", "o'; drop table noted; --"),
        ("database", "shop"),
        ("search_path", "evil"),
        ("application_name", "evil"),
        ("options", "-c search_path=evil"),
    ];
    wire.send(&startup(VERSION, &who));
    assert_eq!(wire.frame().tag, b'R');
    assert_eq!(
        sql("select name, by, path, app from noted"),
        "o'; drop table noted; --|asker|\"$user\", public|ambassador auth"
    );
}

#[test]
fn a_backend_that_cannot_be_asked_is_no_wrong_password() {
    let house = House::new(&ASKING.replace("pg_shadow", "no_such_table"));
    let mut wire = Wire::open(house.port());
    wire.send(&startup(
        VERSION,
        &[("user", "scrammed"), ("database", "shop")],
    ));
    let told = wire.welcomed().unwrap_err();
    assert_eq!(
        (told.code().as_str(), told.field(b'S').as_str()),
        ("57P03", "FATAL")
    );
    assert!(told.field(b'H').contains("auth.query"), "{told:?}");
    // Who is in the file needs no answer.
    assert_eq!(house.is("asker"), "asker");
    let log = house.served.log();
    assert!(log.contains("no_such_table"), "{log}");
}

#[test]
fn a_name_without_an_entry_is_everyone_only_if_the_query_does_not_know_it() {
    let house = House::new(&format!(
        "{ASKING}users.'*' = {{ password = \"guest\", upstream_user = \"open\" }}"
    ));
    assert_eq!(house.is("scrammed"), "scrammed");
    assert_eq!(house.refuses("scrammed", "guest"), wrong("scrammed"));
    assert_eq!(house.try_as("anybody", "guest").unwrap(), "open");
    // Its password is NULL, which is no password at all.
    assert_eq!(house.refuses("nobody", "guest"), wrong("nobody"));
}

#[test]
fn a_hundred_connections_one_after_the_other_log_in_by_scram_on_both_sides() {
    let house = House::new(ASKING);
    let script = house.path("one.sql");
    fs::write(&script, "select 1;\n").unwrap();
    let script = script.to_str().unwrap();
    let url = format!(
        "postgresql://scrammed:p%40ss%27w%C3%B6rd@127.0.0.1:{}/shop",
        house.port()
    );
    let bench = clients::pgbench_at(&url, &["-C", "-c", "4", "-t", "25", "-f", script]);
    assert_eq!(
        (bench.transactions, bench.failed),
        (100, 0),
        "{}",
        bench.report
    );
}

#[test]
fn no_log_shows_a_secret_whatever_the_level() {
    let verifiers = [stored("scrammed"), stored("hashed")];
    let auth = format!(
        "{ASKING}users.open = {{ password_file = \"FOLDER/secret\", upstream_password = \"up-secret\" }}
         users.other.password = '{}'",
        stored("other")
    );
    let house = House::with(&auth, &["--log-level", "trace"]);
    for user in ["scrammed", "hashed", "open", "other", "asker"] {
        house.is(user);
        house.refuses(user, WRONG);
    }
    house.refuses("stranger", WRONG);
    let log = house.served.log();
    assert!(log.contains("client logged in"), "{log}");
    let mut secrets = vec![
        PASSWORD.to_owned(),
        WRONG.to_owned(),
        "up-secret".to_owned(),
    ];
    for verifier in verifiers {
        // Salt, keys and digits too.
        let parts = verifier.split(['$', ':']).filter(|part| part.len() > 15);
        secrets.extend(parts.map(|part| part.trim_start_matches("md5").to_owned()));
    }
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret}: {log}");
    }
}

#[test]
#[ignore = "long: a thousand logins of each kind"]
fn fact_12_a_stranger_is_refused_as_slowly_as_a_wrong_password() {
    let house =
        House::new("auth.method = \"scram-sha-256\"\nusers.scrammed.password = \"PASSWORD\"");
    house.is("scrammed");
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..1000 {
        for (user, times) in ["scrammed", "stranger"].iter().zip(&mut times) {
            let begun = Instant::now();
            let refused = clients::refused(house.port(), "shop", user, "wrong");
            times.push(begun.elapsed().as_secs_f64());
            assert!(
                refused.contains("password authentication failed"),
                "{refused}"
            );
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (
            times[times.len() / 2],
            times[3 * times.len() / 4] - times[times.len() / 4],
        )
    };
    let [(known, spread), (stranger, _)] = times.each_mut().map(median);
    assert!(
        (known - stranger).abs() < spread,
        "{known} {stranger} {spread}"
    );
}
