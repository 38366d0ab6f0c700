//! How the ambassador logs in to Postgres.

use pg_ambassador::app::cluster::Cluster;

use crate::{
    support::{self, Served},
    wire::{Frame, Wire},
};

const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
host all scrammed 127.0.0.1/32 scram-sha-256
host all hashed 127.0.0.1/32 md5
";

/// Two users whose password is `p@ss'word`.
fn cluster() -> Cluster {
    support::guarded_cluster(
        HBA,
        "create role scrammed login password 'p@ss''word'; \
         set password_encryption = 'md5'; \
         create role hashed login password 'p@ss''word'",
    )
}

fn through(cluster: &Cluster, user: &str, password: &str) -> Served {
    let port = cluster.port();
    let url = format!("postgres://{user}{password}@127.0.0.1:{port}/postgres");
    Served::ambassador_with(&["--upstream", &url])
}

fn login(served: &Served) -> Result<Wire, Frame> {
    Wire::login(served.port(), "postgres", &[])
}

#[test]
fn the_urls_password_opens_scram_and_md5_for_clients_that_have_none() {
    let cluster = cluster();
    for user in ["scrammed", "hashed"] {
        let served = through(&cluster, user, ":p%40ss%27word");
        for _ in 0..2 {
            assert_eq!(login(&served).unwrap().value("select current_user"), user);
        }
    }
}

#[test]
fn a_wrong_password_is_the_servers_fatal() {
    let cluster = cluster();
    for user in ["scrammed", "hashed"] {
        let served = through(&cluster, user, ":wrong");
        let refused = login(&served).unwrap_err();
        assert_eq!(
            (refused.code(), refused.field(b'S')),
            ("28P01".into(), "FATAL".into())
        );
        let expected = format!("password authentication failed for user \"{user}\"");
        assert_eq!(refused.message(), expected);
    }
}

#[test]
fn a_password_that_is_not_there_is_asked_for_by_the_key_that_sets_it() {
    let cluster = cluster();
    let served = through(&cluster, "scrammed", "");
    let refused = login(&served).unwrap_err();
    assert_eq!(
        (refused.code(), refused.field(b'S')),
        ("28000".into(), "FATAL".into())
    );
    assert!(refused.message().contains("upstream_password"), "{refused}");
}

#[test]
fn a_user_that_the_server_refuses_is_refused_in_its_words() {
    let cluster = cluster();
    let served = through(&cluster, "nobody_known", "");
    let refused = login(&served).unwrap_err();
    let direct = {
        let mut wire = Wire::open(cluster.port());
        let who = [("user", "nobody_known"), ("database", "postgres")];
        wire.send(&crate::wire::startup(crate::wire::VERSION, &who));
        wire.welcomed().unwrap_err()
    };
    for field in *b"SCM" {
        let seen = refused.field(field).replace(&served.port().to_string(), "");
        assert_eq!(seen, direct.field(field));
    }
}
