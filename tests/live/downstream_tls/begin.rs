//! How TLS begins, and what is not let in before it.

use super::*;

#[test]
fn psql_verifies_the_ambassador_as_it_would_verify_postgres() {
    let front = Front::new("tls_mode = \"allow\"", "");
    let told = front.told(VERIFIED, "\\conninfo");
    assert!(told.contains("SSL connection (protocol: TLSv1.3"), "{told}");
    let console = format!("{VERIFIED} dbname=ambassador");
    let shown = front.told(&console, "show clients");
    assert!(shown.contains("|TLSv1.3/TLS_"), "{shown}");
    let older = format!("{VERIFIED} ssl_max_protocol_version=TLSv1.2");
    let told = front.told(&older, "\\conninfo");
    assert!(told.contains("SSL connection (protocol: TLSv1.2"), "{told}");
    assert_eq!(front.told("sslmode=disable", "select 1"), "1");
    assert_eq!(
        front.told("gssencmode=prefer sslmode=prefer", "select 1"),
        "1"
    );
    // A client that believes somebody else.
    let other = Authority::new("another one");
    front.write("other.pem", &other.pem);
    let refused = front.refused("sslmode=verify-full sslrootcert=FOLDER/other.pem");
    assert!(refused.contains("certificate verify failed"), "{refused}");
    eventually("the log says whose certificate is not believed", || {
        let log = front.served.log();
        log.contains("the client does not believe the certificate in listen.tls_cert_file")
    });
}

#[test]
fn where_tls_is_required_plaintext_is_refused_in_words_and_a_unix_socket_is_not() {
    let listen = "tls_mode = \"require\"\nmax_clients = 50";
    let front = Front::new(listen, "");
    let refused = front.refused("sslmode=disable");
    assert!(
        refused.contains("FATAL:  ambassador: connections without TLS are refused"),
        "{refused}"
    );
    let mut socket = front.socket();
    socket.write_all(&who()).unwrap();
    assert!(contains(&all(socket).unwrap(), "C28000"));
    // It tries first without.
    assert_eq!(front.told("sslmode=allow", "select 1"), "1");
    assert_eq!(front.told(VERIFIED, "select 1"), "1");
    let sockets = tempfile::tempdir().unwrap();
    let folder = sockets.path().to_str().unwrap();
    let config = front.at("front.toml");
    let _also = Served::ambassador_with(&[
        "--config",
        config.to_str().unwrap(),
        "--listen",
        &format!("unix:{folder}:5432"),
    ]);
    let unix = |mode: &str| {
        let to = format!("host={folder} port=5432 user={SUPERUSER} dbname=postgres {mode}");
        clients::psql_to(&to, "select 1")
    };
    assert!(unix("").status.success());
    let mut socket =
        std::os::unix::net::UnixStream::connect(sockets.path().join(".s.PGSQL.5432")).unwrap();
    socket.write_all(SSL_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
}

#[test]
fn fact_1_what_comes_in_plaintext_behind_a_request_for_tls_is_refused() {
    let front = Front::new("tls_mode = \"allow\"", "");
    for injected in [who(), vec![0], SSL_REQUEST.to_vec(), vec![0x16, 3, 1]] {
        let mut socket = front.socket();
        socket
            .write_all(&[SSL_REQUEST, &injected].concat())
            .unwrap();
        let told = all(socket).unwrap();
        assert_eq!(told.first(), Some(&b'E'), "{told:?}");
        assert!(contains(&told, "C08P01"), "{told:?}");
        assert!(
            contains(&told, "Mreceived unencrypted data after SSL request"),
            "{told:?}"
        );
    }
    // Not even when it comes later.
    let mut socket = front.asked();
    socket.write_all(&who()).unwrap();
    let told = all(socket).unwrap();
    assert!(told.iter().all(|byte| *byte != b'R'), "{told:?}");
    assert!(!contains(&told, "server_version"), "{told:?}");
}

#[test]
fn fact_2_each_kind_of_encryption_is_asked_for_once_and_never_inside_of_tls() {
    let front = Front::new("tls_mode = \"allow\"", "");
    let mut socket = front.socket();
    socket.write_all(GSS_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    socket.write_all(SSL_REQUEST).unwrap();
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"S");
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let mut stream = secret(front.client(None, &[]), front.asked());
        stream.write_all(request).unwrap();
        let told = all(stream).unwrap();
        assert!(
            contains(&told, "unsupported frontend protocol 1234.56"),
            "{told:?}"
        );
    }
    // TLS inside of TLS.
    let mut stream = secret(front.client(None, &[]), front.asked());
    stream.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0]).unwrap();
    assert_eq!(all(stream).unwrap(), b"");
    // Begun without a question, there is still a "no" to ask for.
    let mut stream = secret(front.client(None, &[b"postgresql"]), front.socket());
    stream.write_all(SSL_REQUEST).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N");
    assert!(contains(&visit(&mut stream), "42"));
}

#[test]
fn fact_3_tls_may_begin_at_once_if_it_says_that_it_means_postgres() {
    let front = Front::new("tls_mode = \"require\"", "");
    let mut stream = secret(front.client(None, &[b"postgresql"]), front.socket());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[b"h2", b"postgresql"]), front.socket());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[]), front.socket());
    stream.write_all(&who()).ok();
    assert_eq!(all(stream).unwrap_or_default(), b"");
    let mut stream = secret(front.client(None, &[b"h2"]), front.socket());
    let refused = stream.write_all(&who()).unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let log = front.served.log();
    assert!(log.contains("without ALPN protocol negotiation"), "{log}");
    // Asked for, it may be left open what TLS is for, as before there was a direct way.
    let mut stream = secret(front.client(None, &[]), front.asked());
    assert!(contains(&visit(&mut stream), "42"));
    let mut stream = secret(front.client(None, &[b"h2"]), front.asked());
    assert!(stream.write_all(&who()).is_err());
}

#[test]
fn where_tls_is_off_a_client_that_begins_it_at_once_is_left_without_an_answer() {
    let served = Served::ambassador(support::cluster(), &[]);
    let mut socket = TcpStream::connect(("127.0.0.1", served.port())).unwrap();
    socket.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0]).unwrap();
    assert_eq!(all(socket).unwrap(), b"");
}

#[test]
fn a_cancel_may_come_inside_of_tls_or_without_it() {
    let front = Front::new("tls_mode = \"require\"", "");
    for inside in [true, false] {
        let mut stream = secret(front.client(None, &[]), front.asked());
        stream.write_all(&who()).unwrap();
        stream.write_all(&query("select pg_sleep(60)")).unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"Z\0\0\0\x05I") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            said.extend_from_slice(&byte);
        }
        // BackendKeyData: tag, length, process id, key.
        let at = said.windows(5).position(|window| window == b"K\0\0\0\x0c");
        let key = &said[at.unwrap() + 5..][..8];
        eventually("it runs", || {
            let running =
                "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'";
            front.told(VERIFIED, running) == "1"
        });
        let cancel = [&[0, 0, 0, 16, 4, 210, 22, 46][..], key].concat();
        if inside {
            let mut other = secret(front.client(None, &[]), front.asked());
            other.write_all(&cancel).unwrap();
            assert_eq!(all(other).unwrap(), b"");
        } else {
            let mut other = front.socket();
            other.write_all(&cancel).unwrap();
            assert_eq!(all(other).unwrap(), b"");
        }
        stream.write_all(b"X\0\0\0\x04").unwrap();
        assert!(contains(&all(stream).unwrap(), "57014"));
    }
}

#[test]
fn a_tls_handshake_that_takes_too_long_is_ended() {
    let front = Front::new("tls_mode = \"allow\"\nlogin_timeout = \"300ms\"", "");
    let begun = Instant::now();
    let silent = front.asked();
    assert_eq!(all(silent).unwrap(), b"");
    let mut torn = front.socket();
    torn.write_all(&[0x16, 3, 1]).unwrap();
    assert_eq!(all(torn).unwrap(), b"");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(
        front.served.log().contains("login_timeout"),
        "{}",
        front.served.log()
    );
}

#[tokio::test]
async fn tokio_postgres_works_by_tls_and_cancels_by_it() {
    let front = tokio::task::spawn_blocking(|| Front::new("tls_mode = \"require\"", ""));
    let front = front.await.unwrap();
    let tls = MakeRustlsConnect::new(front.client(None, &[b"postgresql"]));
    let to = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user={SUPERUSER} dbname=postgres",
        front.served.port()
    );
    for negotiation in ["postgres", "direct"] {
        let to = format!("{to} sslmode=require sslnegotiation={negotiation}");
        let (client, connection) = tokio_postgres::connect(&to, tls.clone()).await.unwrap();
        let connection = tokio::spawn(connection);
        let row = client
            .query_one("select $1::int + 2", &[&40])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), 42);
        // More than a record of TLS holds, both ways.
        let long = "x".repeat(5_000_000);
        let row = client.query_one("select $1::text", &[&long]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), long);
        let (slow, cancel) = (
            client.query("select pg_sleep(60)", &[]),
            client.cancel_token(),
        );
        let cancelling = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                cancel.cancel_query(tls.clone()).await.unwrap();
            }
        };
        let ended = tokio::select! {
            ended = slow => ended,
            () = cancelling => unreachable!(),
        };
        assert_eq!(ended.unwrap_err().code().unwrap().code(), "57014");
        drop(client);
        connection.await.unwrap().unwrap();
    }
}

/// KiB of memory that a process has.
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn an_idle_client_with_tls_costs_little_more_than_one_without() {
    const CLIENTS: usize = 400;
    let front = Front::new("tls_mode = \"allow\"", "");
    let config = Arc::new(front.client(None, &[]));
    let mut kept = Vec::new();
    let mut secrets = Vec::new();
    // What the first ones need is there for all.
    for _ in 0..50 {
        secrets.push(logged_in(secret_with(&config, front.asked())));
        kept.push(logged_in(front.socket()));
    }
    let first = memory(front.served.pid());
    kept.extend((0..CLIENTS).map(|_| logged_in(front.socket())));
    let second = memory(front.served.pid());
    secrets.extend((0..CLIENTS).map(|_| logged_in(secret_with(&config, front.asked()))));
    let third = memory(front.served.pid());
    let each = |more: usize| more * 1024 / CLIENTS;
    let (plain, tls) = (each(second - first), each(third - second));
    eprintln!("an idle client costs {plain} bytes, with TLS {tls}");
    assert!(tls < plain + 16 * 1024, "{plain} and {tls} bytes");
}

/// Past its login.
fn logged_in<S: Read + Write>(mut stream: S) -> S {
    stream.write_all(&who()).unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.extend_from_slice(&byte);
    }
    stream
}
