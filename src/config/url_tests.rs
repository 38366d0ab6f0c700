#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test"
)]

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::backend::{ChannelBinding, Negotiation};
use crate::net::tls::{Authorities, MinVersion, Mode};

const AT: Origin = Origin::Flag("--upstream");

fn read(text: &str) -> (Result<Upstream, Vec<UrlWrong>>, Vec<Warning>) {
    read_in(text, &|_| None)
}

fn read_in(text: &str, variable: Variable<'_>) -> (Result<Upstream, Vec<UrlWrong>>, Vec<Warning>) {
    let mut warnings = Vec::new();
    (parse(text, &AT, variable, &mut warnings), warnings)
}

fn good(text: &str) -> Upstream {
    read(text).0.unwrap()
}

fn bad(text: &str) -> Vec<UrlWrong> {
    read(text).0.unwrap_err()
}

fn tcp(host: &str, port: u16) -> Address {
    let host = host.to_owned();
    Address::Tcp { host, port }
}

fn password(upstream: &Upstream) -> Option<&str> {
    upstream.password.as_ref().map(Secret::expose)
}

#[test]
fn every_part_of_a_url_is_read_and_decoded() {
    let url = good("postgres://ap%40p:p%2Fw%3A%25@db.internal:6000/sh%20op");
    assert_eq!(url.user.as_deref(), Some("ap@p"));
    assert_eq!(password(&url), Some("p/w:%"));
    assert_eq!(url.addresses, [tcp("db.internal", 6000)]);
    assert_eq!(url.dbname.as_deref(), Some("sh op"));
}

#[test]
fn all_but_the_host_may_be_missing() {
    let url = good("postgresql://db");
    assert_eq!(url.addresses, [tcp("db", 5432)]);
    assert!(url.user.is_none() && url.password.is_none() && url.dbname.is_none());
    assert_eq!(good("postgres://db:/").addresses, [tcp("db", 5432)]);
    assert_eq!(good("postgres://@db/?").addresses, [tcp("db", 5432)]);
    assert_eq!(bad("postgres:///app"), [UrlWrong::NoHost]);
}

#[test]
fn a_driver_behind_the_scheme_is_overlooked() {
    for scheme in [
        "postgres",
        "postgresql",
        "postgresql+asyncpg",
        "postgres+psycopg2",
    ] {
        assert_eq!(
            good(&format!("{scheme}://db/app")).addresses,
            [tcp("db", 5432)]
        );
    }
    for text in ["mysql://db", "db:5432", "", "postgres:db", "postgresx://db"] {
        assert_eq!(bad(text), [UrlWrong::Scheme], "{text:?}");
    }
}

#[test]
fn literal_v6_addresses_stand_in_brackets() {
    assert_eq!(
        good("postgres://[::1]:6000/app").addresses,
        [tcp("::1", 6000)]
    );
    assert_eq!(good("postgres://u@[::1]").addresses, [tcp("::1", 5432)]);
    assert_eq!(bad("postgres://[::1/app"), [UrlWrong::Host]);
    assert_eq!(bad("postgres://[::1]x/app"), [UrlWrong::Host]);
}

#[test]
fn a_path_as_the_host_is_a_socket_folder() {
    let folder = "/var/run/postgresql".to_owned();
    let port = 6000;
    let unix = Address::Unix { folder, port };
    let texts = [
        "postgres://%2Fvar%2Frun%2Fpostgresql:6000/app",
        "postgres:///app?host=/var/run/postgresql&port=6000",
    ];
    for text in texts {
        assert_eq!(good(text).addresses, std::slice::from_ref(&unix), "{text}");
    }
}

#[test]
fn parameters_override_what_stands_before_them() {
    let url = good("postgres://a:b@c:1/d?user=u&password=p&host=h&port=2&dbname=n");
    assert_eq!(url.user.as_deref(), Some("u"));
    assert_eq!(password(&url), Some("p"));
    assert_eq!(url.addresses, [tcp("h", 2)]);
    assert_eq!(url.dbname.as_deref(), Some("n"));
}

#[test]
fn what_the_start_up_and_the_socket_need_is_honoured() {
    let url = good(
        "postgres://db?connect_timeout=7&application_name=web+1&options=-c%20geqo%3Doff\
         &keepalives=0&keepalives_idle=10&keepalives_interval=5&keepalives_count=3\
         &tcp_user_timeout=1500",
    );
    assert_eq!(url.connect_timeout, Some(Duration::from_secs(7)));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        url.startup,
        [
            pair("application_name", "web+1"),
            pair("options", "-c geqo=off")
        ]
    );
    let keepalive = Keepalive {
        enabled: false,
        idle: Some(Duration::from_secs(10)),
        interval: Some(Duration::from_secs(5)),
        count: Some(3),
        user_timeout: Some(Duration::from_millis(1500)),
    };
    assert_eq!(url.keepalive, keepalive);
}

#[test]
fn zero_and_below_leave_the_system_its_value() {
    let url = good("postgres://db?connect_timeout=0&keepalives_idle=0&keepalives_count=-1");
    assert_eq!(url.connect_timeout, Some(Duration::ZERO));
    assert_eq!(url.keepalive, Keepalive::default());
}

#[test]
fn unknown_parameters_are_named_in_one_warning() {
    let (url, warnings) = read("postgres://localhost?schema=public&pgbouncer=true&schema=x");
    assert!(url.is_ok());
    let names = vec!["pgbouncer".to_owned(), "schema".to_owned()];
    assert_eq!(warnings, [Warning::IgnoredParameters { at: AT, names }]);
}

#[test]
fn a_url_says_of_tls_what_it_says_to_libpq() {
    let mode = |text: &str| good(text).tls.mode;
    let file = |path: &str| Some(Authorities::File(path.into()));
    assert_eq!(mode("postgres://db"), None);
    assert_eq!(mode("postgres://db?sslmode=disable"), Some(Mode::Disable));
    assert_eq!(mode("postgres://db?sslmode=allow"), Some(Mode::Prefer));
    assert_eq!(mode("postgres://db?sslmode=prefer"), Some(Mode::Prefer));
    assert_eq!(mode("postgres://db?sslmode=require"), Some(Mode::Require));
    assert_eq!(mode("postgres://db?ssl=true"), Some(Mode::Require));
    assert_eq!(
        mode("postgres://db?ssl=verify-full"),
        Some(Mode::VerifyFull)
    );
    let url = good("postgres://db?sslmode=verify-ca&sslrootcert=/ca.pem");
    assert_eq!(url.tls.mode, Some(Mode::VerifyCa));
    assert_eq!(url.tls.authorities, file("/ca.pem"));
    let full = mode("postgres://db?sslmode=verify-full");
    assert_eq!(full, Some(Mode::VerifyFull));
    let url = good("postgres://db?sslrootcert=system");
    assert_eq!(url.tls.mode, Some(Mode::VerifyFull));
    assert_eq!(url.tls.authorities, Some(Authorities::System));
    let url = good(
        "postgres://db?sslmode=require&sslcert=c&sslkey=k&sslnegotiation=direct&ssl_min_protocol_version=TLSv1.3",
    );
    let identity = url.tls.identity.unwrap();
    assert_eq!(
        (identity.certificate, identity.key),
        ("c".into(), "k".into())
    );
    assert_eq!(url.tls.negotiation, Negotiation::Direct);
    assert_eq!(url.tls.min_version, MinVersion::Tls13);
    let url = good("postgres://db?sslmode=require&channel_binding=require");
    assert_eq!(url.tls.channel_binding, ChannelBinding::Require);
}

#[test]
fn who_names_authorities_has_them_asked() {
    let url = good("postgres://db?sslmode=require&sslrootcert=ca.pem");
    assert_eq!(url.tls.mode, Some(Mode::VerifyCa));
}

#[test]
fn tls_that_would_prove_nothing_is_refused() {
    for weak in ["disable", "allow", "prefer", "require", "verify-ca"] {
        let text = format!("postgres://db?sslmode={weak}&sslrootcert=system");
        assert_eq!(bad(&text), [UrlWrong::WeakSystem], "{weak}");
    }
    let only = |text: &str, wrong: UrlWrong| assert_eq!(bad(text), [wrong], "{text}");
    only("postgres://db?sslmode=on", UrlWrong::SslMode);
    only("postgres://db?sslmode=verify-ca", UrlWrong::NoRootCert);
    only("postgres://db?sslcert=a", UrlWrong::HalfIdentity);
    only("postgres://db?sslkey=a", UrlWrong::HalfIdentity);
    only("postgres://db?channel_binding=on", UrlWrong::ChannelBinding);
    only(
        "postgres://db?sslnegotiation=early",
        UrlWrong::SslNegotiation,
    );
    only(
        "postgres://db?sslnegotiation=direct",
        UrlWrong::DirectNeedsTls,
    );
    only(
        "postgres://db?ssl_min_protocol_version=3",
        UrlWrong::MinVersion,
    );
}

#[test]
fn several_hosts_are_several_addresses() {
    let both = [tcp("a", 5432), tcp("b", 5432)];
    assert_eq!(good("postgres://a,b/app").addresses, both);
    assert_eq!(good("postgres:///app?host=a,b").addresses, both);
    let apart = [tcp("a", 1), tcp("::1", 5432), tcp("b", 2)];
    assert_eq!(good("postgres://a:1,[::1],b:2/app").addresses, apart);
    let alike = [tcp("a", 7), tcp("b", 7)];
    assert_eq!(good("postgres:///app?host=a,b&port=7").addresses, alike);
    let shown = good("postgres://u@a:1,b:2/app").to_string();
    assert_eq!(shown, "postgres://u@a:1,b:2/app");
    let wrong = [
        ("postgres:///app?host=a,b,c&port=1,2", UrlWrong::Ports),
        ("postgres://a,,b/app", UrlWrong::NoHost),
        ("postgres://a:1,b,a:1/app", UrlWrong::SameHost),
        ("postgres://a:1,b:x/app", UrlWrong::Port),
    ];
    for (text, wrong) in wrong {
        assert_eq!(bad(text), [wrong], "{text}");
    }
}

#[test]
fn all_slips_of_a_url_are_told_at_once() {
    let slips = bad("postgres://db:x/app?connect_timeout=soon&sslmode=on");
    assert_eq!(
        slips,
        [
            UrlWrong::Number {
                name: "connect_timeout"
            },
            UrlWrong::SslMode,
            UrlWrong::Port,
        ]
    );
}

#[test]
fn a_password_shows_nowhere() {
    let url = good("postgres://app:hunter2@db/shop");
    assert_eq!(url.to_string(), "postgres://app@db:5432/shop");
    assert!(!format!("{url:?}").contains("hunter2"));
    let torn = [
        "postgres://app:hunter2/x@db/shop",
        "postgres://app:x/hunter2@db/shop",
        "postgres://app:hunter2%@db",
        "postgres://app:hunter2@db:port",
        "postgres://app:hunter2@d b",
        "mysql://app:hunter2@db",
        "postgres://app:1/hunter2?x",
        "postgres://app:pass@hunter2@db",
    ];
    for text in torn {
        let slips = bad(text);
        let shown: Vec<String> = slips.iter().map(|s| format!("{s} {s:?}")).collect();
        assert!(!shown.join(" ").contains("hunter2"), "{text}");
    }
}

#[test]
fn bad_escapes_are_refused() {
    for text in [
        "postgres://db/%",
        "postgres://db/%4",
        "postgres://db/%zz",
        "postgres://db/%00",
        "postgres://db/%ff",
    ] {
        assert_eq!(bad(text), [UrlWrong::Percent], "{text}");
    }
    assert_eq!(bad("postgres://db?user"), [UrlWrong::Parameter]);
}

#[test]
fn passwords_come_from_the_url_then_the_variable_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".pgpass");
    let lines = "db:5432:app:app:from file\nlocalhost:*:*:*:from socket\n";
    fs::write(&file, lines).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let home = folder.path().to_str().unwrap().to_owned();
    let from = |text: &str, set: &[(&str, &str)]| {
        let variable = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let url = read_in(text, &variable).0.unwrap();
        url.password.map(|secret| secret.expose().to_owned())
    };
    let both = [("PGPASSWORD", "from variable"), ("PGPASSFILE", &path)];
    assert_eq!(from("postgres://app:x@db", &both).as_deref(), Some("x"));
    assert_eq!(
        from("postgres://app@db", &both).as_deref(),
        Some("from variable")
    );
    let file = Some("from file");
    assert_eq!(
        from("postgres://app@db", &[("PGPASSFILE", &path)]).as_deref(),
        file
    );
    assert_eq!(
        from("postgres://app@db", &[("HOME", &home)]).as_deref(),
        file
    );
    let named = format!("postgres://app@db?passfile={path}");
    assert_eq!(from(&named, &[("PGPASSFILE", "/nowhere")]).as_deref(), file);
    assert_eq!(from("postgres://eve@db", &[("HOME", &home)]), None);
    assert_eq!(
        from("postgres:///app?host=/tmp", &[("HOME", &home)]).as_deref(),
        Some("from socket")
    );
    assert_eq!(from("postgres://app@db", &[]), None);
}
