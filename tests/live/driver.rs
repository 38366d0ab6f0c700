//! tokio-postgres in transaction pooling, with more clients than connections.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt, TryStreamExt,
    future::{join_all, join4},
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, error::SqlState, types::ToSql};

use crate::{
    psql::memory,
    stage::{Stage, eventually},
    support::{self, connect},
};

async fn clients(stage: &Stage, number: usize) -> Vec<Client> {
    let connecting = (0..number).map(|_| connect(stage.port(), &stage.database));
    join_all(connecting).await
}

fn simple(rows: &[SimpleQueryMessage]) -> Vec<String> {
    let values = rows.iter().filter_map(|row| {
        let SimpleQueryMessage::Row(row) = row else {
            return None;
        };
        row.get(0).map(str::to_owned)
    });
    values.collect()
}

#[tokio::test]
async fn simple_queries_of_many_clients_share_the_pool() {
    let stage = Stage::with_pool_of(2);
    let clients = clients(&stage, 20).await;
    let asking = clients.iter().enumerate().map(async |(number, client)| {
        for round in 0..20 {
            let sql = format!("select {number}; select {round}");
            let rows = client.simple_query(&sql).await.unwrap();
            assert_eq!(simple(&rows), [number.to_string(), round.to_string()]);
        }
    });
    join_all(asking).await;
    assert!(stage.connections() <= 2);
}

#[tokio::test]
async fn prepared_statements_of_many_clients_share_the_pool() {
    let stage = Stage::with_pool_of(2);
    let clients = clients(&stage, 20).await;
    let asking = clients.iter().enumerate().map(async |(number, client)| {
        let common = client.prepare("select $1::int * 2").await.unwrap();
        let own = format!("select $1::text || ' of {number}'");
        let own = client.prepare(&own).await.unwrap();
        for round in 0..20_i32 {
            let row = client.query_one(&common, &[&round]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), round * 2);
            let row = client.query_one(&own, &[&"seen"]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), format!("seen of {number}"));
        }
    });
    join_all(asking).await;
    assert!(stage.connections() <= 2);
    let kept = "select count(*) from pg_prepared_statements";
    let kept: i64 = clients[0].query_one(kept, &[]).await.unwrap().get(0);
    assert!(kept > 0);
}

/// Of SHOW SERVERS.
const PREPARED: usize = 19;

#[tokio::test]
async fn a_client_may_hold_more_statements_than_a_connection_keeps() {
    let stage = Stage::with(1, &["prepared_statements=10"]);
    let (client, other) = (
        connect(stage.port(), &stage.database).await,
        connect(stage.port(), &stage.database).await,
    );
    let mut statements = Vec::new();
    for number in 0..60 {
        let text = format!("select {number} + $1::int");
        statements.push(client.prepare(&text).await.unwrap());
        other
            .query_one("select 'between ' || $1", &[&"x"])
            .await
            .unwrap();
    }
    for _ in 0..2 {
        for (number, statement) in (0_i32..).zip(&statements) {
            let row = client.query_one(statement, &[&1_i32]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), number + 1);
        }
    }
    // The client sees its own; what the connection keeps, the console tells.
    let servers = support::psql(stage.port(), "ambassador", "show servers");
    let server = servers.lines().find(|line| line.starts_with("S|"));
    let columns: Vec<&str> = server.unwrap_or_default().split('|').collect();
    let kept: i64 = columns[PREPARED].parse().unwrap();
    assert!(kept <= 11, "{kept} are kept");
}

#[tokio::test]
async fn requests_in_a_pipeline_are_answered_in_order() {
    let stage = Stage::with_pool_of(2);
    let clients = clients(&stage, 6).await;
    let asking = clients.iter().map(async |client| {
        let statement = client.prepare("select 10 / $1::int").await.unwrap();
        let numbers: Vec<i32> = (0..40).map(|number| number % 5).collect();
        let answers = numbers.iter().map(async |number| {
            let answer = client.query_one(&statement, &[number]).await;
            match number {
                0 => assert_eq!(
                    answer.unwrap_err().code(),
                    Some(&SqlState::DIVISION_BY_ZERO)
                ),
                number => assert_eq!(answer.unwrap().get::<_, i32>(0), 10 / number),
            }
        });
        join_all(answers).await;
    });
    join_all(asking).await;
}

#[tokio::test]
async fn transactions_commit_and_roll_back_alone() {
    let stage = Stage::with_pool_of(3);
    stage.directly("create table t (who int, what text)");
    let mut clients = clients(&stage, 12).await;
    let working = (0_i32..).zip(&mut clients).map(async |(who, client)| {
        for round in 0..10 {
            let transaction = client.transaction().await.unwrap();
            let insert = "insert into t values ($1, $2)";
            transaction.execute(insert, &[&who, &"kept"]).await.unwrap();
            if round % 2 == 0 {
                transaction.commit().await.unwrap();
            } else {
                let failed = transaction
                    .query("select 1 / (who - who) from t", &[])
                    .await;
                assert_eq!(
                    failed.unwrap_err().code(),
                    Some(&SqlState::DIVISION_BY_ZERO)
                );
                let refused = transaction.query("select 1", &[]).await;
                assert_eq!(
                    refused.unwrap_err().code(),
                    Some(&SqlState::IN_FAILED_SQL_TRANSACTION)
                );
                transaction.rollback().await.unwrap();
            }
        }
    });
    join_all(working).await;
    let sum = stage.directly("select count(*), count(distinct who) from t");
    assert_eq!(sum, "60|12");
}

#[tokio::test]
async fn savepoints_and_portals_live_in_their_transaction() {
    let stage = Stage::with_pool_of(1);
    let mut client = connect(stage.port(), &stage.database).await;
    client
        .batch_execute("create table t (a int)")
        .await
        .unwrap();
    let mut outer = client.transaction().await.unwrap();
    outer
        .execute("insert into t values (1)", &[])
        .await
        .unwrap();
    let inner = outer.savepoint("here").await.unwrap();
    inner
        .execute("insert into t values (2)", &[])
        .await
        .unwrap();
    inner.rollback().await.unwrap();
    let portal = outer
        .bind("select generate_series(1, 10)", &[])
        .await
        .unwrap();
    assert_eq!(outer.query_portal(&portal, 4).await.unwrap().len(), 4);
    assert_eq!(outer.query_portal(&portal, 0).await.unwrap().len(), 6);
    outer.commit().await.unwrap();
    let row = client
        .query_one("select count(*) from t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn copy_goes_in_and_out_in_many_sessions_at_once() {
    let stage = Stage::with_pool_of(2);
    stage.directly("create table t (who int, line text)");
    let clients = clients(&stage, 6).await;
    let copying = clients.iter().enumerate().map(async |(who, client)| {
        let mut sink = pin!(client.copy_in("copy t from stdin").await.unwrap());
        for line in 0..500 {
            let line = format!("{who}\tline {line} {}\n", "x".repeat(200));
            sink.send(Bytes::from(line)).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 500);
        let text = format!("copy (select * from t where who = {who}) to stdout");
        let out: Vec<Bytes> = client
            .copy_out(&text)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(out.len(), 500);
    });
    join_all(copying).await;
    assert_eq!(stage.directly("select count(*) from t"), "3000");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_a_session_that_works() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int)");
    let client = connect(stage.port(), &stage.database).await;
    for _ in 0..3 {
        let mut sink = pin!(client.copy_in("copy t from stdin").await.unwrap());
        for _ in 0..2000 {
            if sink.send(Bytes::from("wrong\n")).await.is_err() {
                break;
            }
        }
        let failed = sink.finish().await.unwrap_err();
        assert_eq!(failed.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
        {
            let mut given_up = pin!(client.copy_in("copy t from stdin").await.unwrap());
            given_up.send(Bytes::from("1\n")).await.unwrap();
        }
        let mut sink = pin!(client.copy_in("copy t from stdin").await.unwrap());
        sink.send(Bytes::from("2\n")).await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 1);
        let stream =
            client.copy_out("copy (select 1/(5-g) from generate_series(1, 9) g) to stdout");
        let ended = stream
            .await
            .unwrap()
            .try_collect::<Vec<_>>()
            .await
            .unwrap_err();
        assert_eq!(ended.code(), Some(&SqlState::DIVISION_BY_ZERO));
    }
    let row = client
        .query_one("select count(*) from t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 3);
}

#[tokio::test]
async fn a_cancel_hits_its_own_query_and_no_other() {
    let stage = Stage::with_pool_of(4);
    let clients = clients(&stage, 4).await;
    let sleeping = clients.iter().enumerate().map(async |(number, client)| {
        let begun = Instant::now();
        let slept = client.query("select pg_sleep(1.5)", &[]).await;
        match number {
            2 => {
                assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
                assert!(begun.elapsed() < Duration::from_millis(1400));
            }
            _ => assert_eq!(slept.unwrap().len(), 1),
        }
        client.query_one("select 1", &[]).await.unwrap();
    });
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        clients[2].cancel_token().cancel_query(NoTls).await.unwrap();
    };
    tokio::join!(join_all(sleeping), cancelling);
}

#[tokio::test]
async fn errors_are_told_in_full_and_the_session_goes_on() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int primary key)");
    let port = support::cluster().port();
    let (direct, through) = (
        connect(port, &stage.database).await,
        connect(stage.port(), &stage.database).await,
    );
    let fails = [
        "select 1/0",
        "select wrong",
        "selekt",
        "insert into t values (1), (1)",
        "do $$ begin raise exception 'mine' using hint = 'a hint', detail = 'a detail', errcode = 'XX123'; end $$",
    ];
    for sql in fails {
        let expected = direct.query(sql, &[]).await.unwrap_err();
        let seen = through.query(sql, &[]).await.unwrap_err();
        assert_eq!(seen.as_db_error(), expected.as_db_error());
        assert_eq!(
            through
                .query_one("select 1", &[])
                .await
                .unwrap()
                .get::<_, i32>(0),
            1
        );
    }
}

#[tokio::test]
async fn a_parameter_of_64_megabytes_goes_through_in_bounded_memory() {
    let stage = Stage::with_pool_of(1);
    let client = connect(stage.port(), &stage.database).await;
    let large = "0123456789abcdef".repeat(4 << 20);
    let sql = "select length($1::text), md5($1::text) = md5($2::text)";
    let row = client.query_one(sql, &[&large, &large]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 64 << 20);
    assert!(row.get::<_, bool>(1));
    let text = format!("select length('{large}')");
    let rows = client.simple_query(&text).await.unwrap();
    assert_eq!(simple(&rows), [(64 << 20).to_string()]);
    let row = client
        .query_one("select $1::text", &[&large])
        .await
        .unwrap();
    assert!(row.get::<_, &str>(0) == large);
    let most = memory(stage.served.pid());
    assert!(most < 48 * 1024, "{most} KiB");
}

#[tokio::test]
async fn a_slow_reader_is_waited_for_and_not_stored() {
    let stage = Stage::with_pool_of(1);
    let client = connect(stage.port(), &stage.database).await;
    let rows = "copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout";
    let mut stream = pin!(client.copy_out(rows).await.unwrap());
    stream.next().await.unwrap().unwrap();
    // The driver itself reads on a little; then everything stands until we do.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(memory(stage.served.pid()) < 48 * 1024);
    let rest: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(rest.len(), 99_999);
}

#[tokio::test]
async fn a_client_that_vanishes_in_a_transaction_leaves_no_lock() {
    let stage = Stage::with_pool_of(1);
    stage.directly("create table t (a int); insert into t values (1)");
    let client = connect(stage.port(), &stage.database).await;
    client
        .batch_execute("begin; update t set a = 2")
        .await
        .unwrap();
    drop(client);
    let asked = Instant::now();
    // The driver's own task closes the connection.
    tokio::time::sleep(Duration::from_millis(50)).await;
    eventually("nothing holds it", || {
        stage.directly("select count(*) from pg_locks where relation = 't'::regclass") == "0"
    });
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(stage.directly("select a from t"), "1");
}

#[tokio::test]
async fn notices_and_settings_reach_the_driver() {
    let stage = Stage::with_pool_of(1);
    let url = format!(
        "{}?application_name=driver&options=-c%20work_mem%3D1MB",
        stage.served.url(&stage.database)
    );
    let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                tell.send(notice.message().to_owned()).ok();
            }
        }
    });
    let row = client.query_one(
        "select current_setting('application_name'), current_setting('work_mem')",
        &[],
    );
    let row = row.await.unwrap();
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(1)),
        ("driver", "1MB")
    );
    let notice = "do $$ begin raise notice 'told'; end $$";
    client.batch_execute(notice).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "told");
}

#[tokio::test]
async fn values_travel_in_their_binary_forms() {
    let stage = Stage::with_pool_of(1);
    let client = connect(stage.port(), &stage.database).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let numbers: Vec<i64> = (0..10_000).collect();
    let sql = "select $1::bytea, $2::bigint[], $3::float8, $4::text, $5::bool";
    let row = client
        .query_one(sql, &[&bytes, &numbers, &1.5_f64, &None::<&str>, &true])
        .await
        .unwrap();
    assert_eq!(row.get::<_, Vec<u8>>(0), bytes);
    assert_eq!(row.get::<_, Vec<i64>>(1), numbers);
    assert_eq!(row.get::<_, Option<&str>>(3), None);
}

#[tokio::test]
async fn notifications_reach_who_listens_and_nobody_else() {
    let stage = Stage::with_pool_of(2);
    let mut listeners = Vec::new();
    for number in 0..3 {
        let url = stage.served.url(&stage.database);
        let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
            while let Some(Ok(message)) = messages.next().await {
                if let tokio_postgres::AsyncMessage::Notification(one) = message {
                    tell.send((one.channel().to_owned(), one.payload().to_owned()))
                        .ok();
                }
            }
        });
        client
            .batch_execute(&format!("listen channel_{number}"))
            .await
            .unwrap();
        listeners.push((client, told));
    }
    let tellers = clients(&stage, 6).await;
    let telling = (0..).zip(&tellers).map(async |(who, client): (i32, _)| {
        for number in 0..3 {
            let channel = format!("channel_{number}");
            client
                .query("select pg_notify($1, $2)", &[&channel, &who.to_string()])
                .await
                .unwrap();
        }
    });
    join_all(telling).await;
    for (number, (_client, told)) in listeners.iter_mut().enumerate() {
        let mut payloads = Vec::new();
        for _ in 0..6 {
            let (channel, payload) = told.recv().await.unwrap();
            assert_eq!(channel, format!("channel_{number}"));
            payloads.push(payload);
        }
        payloads.sort();
        assert_eq!(payloads, ["0", "1", "2", "3", "4", "5"]);
        assert!(told.try_recv().is_err());
    }
}

#[tokio::test]
async fn transactions_may_be_written_in_one_go() {
    let stage = Stage::with_pool_of(2);
    stage.directly("create table t (who int, a int)");
    let clients = clients(&stage, 8).await;
    let working = (0..).zip(&clients).map(async |(who, client): (i32, _)| {
        let insert = client.prepare("insert into t values ($1, 10 / $2::int)");
        let insert = insert.await.unwrap();
        for round in 0..10_i32 {
            let divisor = round % 3;
            let (one, other): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 2]) =
                ([&who, &1_i32], [&who, &divisor]);
            let (begun, first, second, ended) = join4(
                client.batch_execute("begin"),
                client.execute(&insert, &one),
                client.execute(&insert, &other),
                client.simple_query("commit"),
            )
            .await;
            begun.unwrap();
            assert_eq!(first.unwrap(), 1);
            match divisor {
                0 => assert_eq!(
                    second.unwrap_err().code(),
                    Some(&SqlState::DIVISION_BY_ZERO)
                ),
                _ => assert_eq!(second.unwrap(), 1),
            }
            ended.unwrap();
        }
    });
    join_all(working).await;
    assert_eq!(stage.directly("select count(*) from t"), "96");
    assert!(stage.connections() <= 2);
}
