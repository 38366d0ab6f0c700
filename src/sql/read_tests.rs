//! One promise a test; texts that the server accepts, unless a test says otherwise.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "here a missing answer is a failed test"
)]

use super::Reading;
use super::Statement;
use super::read;
use super::read_with;
use super::statements;
use crate::sql::Discard;
use crate::sql::Kind;
use crate::sql::Name;
use crate::sql::Strings;
use crate::sql::Target;
use crate::sql::Touches;
use crate::sql::Value;
use crate::sql::What;
use proptest::prelude::*;

fn one(text: &str) -> Statement {
    let mut all = statements(text.as_bytes());
    let first = all.next().unwrap();
    assert_eq!(all.next(), None, "{text}");
    assert_eq!(read(text.as_bytes()).count, 1, "{text}");
    assert_eq!(read(text.as_bytes()).first, first.kind, "{text}");
    first
}

fn kind(text: &str) -> Kind {
    one(text).kind
}

fn touches(text: &str) -> Touches {
    // Whether what it calls may be a user's is `call`'s to say.
    read(text.as_bytes()).touches.without(Touches::FUNCTION)
}

fn folded(name: Name, text: &str) -> String {
    String::from_utf8(name.fold(text.as_bytes())).unwrap()
}

/// `[local] name = value`
fn set(text: &str) -> String {
    let Kind::Set { local, what, value } = kind(text) else {
        return format!("{:?}", kind(text));
    };
    let name = what
        .setting(text.as_bytes())
        .map_or(format!("{what:?}"), |name| String::from_utf8(name).unwrap());
    let value = match value {
        Value::Text(span) => String::from_utf8_lossy(span.of(text.as_bytes())).into_owned(),
        Value::Default => "(default)".to_owned(),
        Value::Current => "(current)".to_owned(),
    };
    format!("{}{name} = {value}", if local { "local " } else { "" })
}

fn spans(text: &str) -> Vec<&str> {
    let found = statements(text.as_bytes());
    found
        .map(|statement| std::str::from_utf8(statement.span.of(text.as_bytes())).unwrap())
        .collect()
}

#[test]
fn a_text_without_statements_is_empty() {
    for text in ["", " \n\t", ";", " ; ;; ", "-- c", "/* c */;", "--\n;/*;*/"] {
        let reading = read(text.as_bytes());
        assert_eq!((reading.count, reading.first), (0, Kind::Empty), "{text:?}");
        assert!(reading.touches.is_empty());
    }
}

#[test]
fn semicolons_split_and_empty_statements_do_not_count() {
    assert_eq!(spans(";select 1 ; ;select 2;"), ["select 1", "select 2"]);
    assert_eq!(
        spans("select 1 -- c;\n+2; /*;*/ x"),
        ["select 1 -- c;\n+2", "x"]
    );
}

#[test]
fn semicolons_in_quotes_and_comments_do_not_split() {
    for text in [
        "select ';'",
        "select E'\\';'",
        "select $$;$$",
        "select $a$;$$;$a$",
        "select \";\"",
        "select 1 /* ; /* ; */ ; */ + 2",
        "select 1 -- ;\n+ 2",
        "select 'a'\n';'",
        "select U&';'",
        "select U&\";\" from t",
        "select B'1'\n'0;'",
        "select E'a'\n'\\';'",
    ] {
        assert_eq!(spans(text), [text]);
    }
}

#[test]
fn semicolons_in_parentheses_do_not_split() {
    let rule = "create rule r as on insert to t do also (delete from a; notify b)";
    assert_eq!(spans(&format!("{rule}; select 1")), [rule, "select 1"]);
}

#[test]
fn the_body_of_a_routine_is_part_of_it() {
    for routine in [
        "create function f() returns int begin atomic select 1; select 2; end",
        "create or replace procedure p() language sql BEGIN/**/ATOMIC END",
        "CREATE FUNCTION f(a int default (1)) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 ELSE 2 END; END",
        "create function f() returns int begin atomic select 1 as \"end\"; select 1 end; select t.end from t; end",
        "create function f() returns int begin atomic select begin atomic from t; select 2; end",
        "create function begin() returns int return 1",
        "create function f() returns begin language sql as 'select 1; end'",
        "create procedure p() begin atomic create function g() returns int begin atomic select 1; end; select 2; end",
    ] {
        assert_eq!(spans(&format!("{routine}; commit")), [routine, "commit"]);
    }
}

#[test]
fn begin_atomic_opens_nothing_outside_a_routine() {
    assert_eq!(spans("select begin atomic from t; commit").len(), 2);
    assert_eq!(spans("create table function (a int); begin; end").len(), 3);
}

#[test]
fn transactions_are_told_apart() {
    for text in [
        "begin",
        "BEGIN WORK",
        "bEgIn isolation level serializable",
        "start transaction read only",
    ] {
        assert_eq!(kind(text), Kind::Begin, "{text}");
    }
    for text in [
        "commit",
        "end",
        "COMMIT WORK",
        "end transaction",
        "commit and no chain",
    ] {
        assert_eq!(kind(text), Kind::Commit { chain: false }, "{text}");
    }
    assert_eq!(kind("commit and chain"), Kind::Commit { chain: true });
    assert_eq!(kind("end work and chain"), Kind::Commit { chain: true });
    for text in [
        "rollback",
        "ABORT",
        "abort work",
        "rollback transaction and no chain",
    ] {
        assert_eq!(kind(text), Kind::Rollback { chain: false }, "{text}");
    }
    assert_eq!(kind("abort and chain"), Kind::Rollback { chain: true });
    assert!(kind("savepoint a").moves_transaction());
    assert!(!kind("select 1").moves_transaction());
}

#[test]
fn comments_and_spaces_hide_no_keyword() {
    assert_eq!(kind("/* a /* b */ */ -- c\n\x0b\x0c begin"), Kind::Begin);
    assert_eq!(kind("rollback--\nprepared'x'"), Kind::RollbackPrepared);
}

#[test]
fn savepoints_carry_their_names() {
    for (text, name) in [
        ("rollback to A", "a"),
        ("rollback work to savepoint \"A\"", "A"),
        ("rollback transaction to savepoint savepoint", "savepoint"),
        ("rollback to savepoint", "savepoint"),
    ] {
        let Kind::RollbackTo(found) = kind(text) else {
            panic!("{text}")
        };
        assert_eq!(folded(found, text), name);
    }
    assert!(matches!(kind("savepoint s"), Kind::Savepoint(_)));
    assert!(matches!(kind("release s"), Kind::Release(_)));
    assert!(matches!(kind("release savepoint s"), Kind::Release(_)));
    assert!(matches!(kind("release savepoint"), Kind::Release(_)));
}

#[test]
fn two_phase_statements_are_no_commits() {
    assert_eq!(kind("prepare transaction 'x'"), Kind::PrepareTransaction);
    assert_eq!(kind("prepare transaction $$x$$"), Kind::PrepareTransaction);
    assert_eq!(kind("commit prepared 'x'"), Kind::CommitPrepared);
    assert_eq!(kind("rollback prepared 'x'"), Kind::RollbackPrepared);
    assert!(!touches("commit prepared 'x'").any(Touches::TRANSACTION));
    assert!(touches("prepare transaction 'x'").any(Touches::TRANSACTION));
}

#[test]
fn set_tells_scope_name_and_value() {
    for (text, told) in [
        ("set DateStyle to iso, dmy", "datestyle = iso, dmy"),
        ("SET session x.Y = 'a;b' ;", "x.y = 'a;b'"),
        ("set local \"weird.Name\" = 1", "local weird.name = 1"),
        (
            "set app /**/ . \"Tenant\" to default",
            "app.tenant = (default)",
        ),
        ("set x from current", "x = (current)"),
        ("set x to \"default\"", "x = \"default\""),
        ("set local = 1", "local = 1"),
        ("set session.x = 1", "session.x = 1"),
        ("set local local.x to 1", "local local.x = 1"),
        ("set names to 1", "names = 1"),
        ("set time = 1", "time = 1"),
        ("set constraints.x = 1", "constraints.x = 1"),
        ("set transaction.x = 1", "transaction.x = 1"),
        ("set U&\"d\\0061testyle\" = 'iso'", "datestyle = 'iso'"),
        (
            "set U&\"d!0061testyle\" uescape '!' = 'iso'",
            "datestyle = 'iso'",
        ),
        ("set seed to 0.5", "seed = 0.5"),
    ] {
        assert_eq!(set(text), told, "{text}");
    }
}

#[test]
fn set_knows_the_phrases_of_the_grammar() {
    for (text, told) in [
        ("set time zone 'UTC'", "timezone = 'UTC'"),
        (
            "set local time zone interval '+02:00' hour to minute",
            "local timezone = interval '+02:00' hour to minute",
        ),
        ("set time zone local", "timezone = (default)"),
        ("set time zone default", "timezone = (default)"),
        ("set names 'utf8'", "client_encoding = 'utf8'"),
        ("set names", "client_encoding = (default)"),
        ("set schema 'a'", "search_path = 'a'"),
        ("set role none", "role = none"),
        ("set session role \"R\"", "role = \"R\""),
        ("set role to x", "role = x"),
        ("set \"Role\" = x", "role = x"),
        (
            "set session authorization default",
            "session_authorization = (default)",
        ),
        (
            "set session session authorization a",
            "session_authorization = a",
        ),
        (
            "set local session authorization a",
            "local session_authorization = a",
        ),
        ("set session_authorization = a", "session_authorization = a"),
        ("set xml option document", "xmloption = document"),
        ("set transaction read only", "Transaction = read only"),
        (
            "set local transaction isolation level serializable",
            "local Transaction = isolation level serializable",
        ),
        ("set transaction snapshot '1'", "Snapshot = '1'"),
        (
            "set session characteristics as transaction read only",
            "SessionCharacteristics = as transaction read only",
        ),
        ("set constraints all deferred", "Constraints = all deferred"),
        ("set catalog 'a'", "Catalog = 'a'"),
    ] {
        assert_eq!(set(text), told, "{text}");
    }
}

#[test]
fn only_settings_that_outlive_the_transaction_touch_them() {
    for text in [
        "set x = 1",
        "set session x = 1",
        "reset x",
        "set role a",
        "reset role",
        "set session authorization a",
        "set session characteristics as transaction read only",
        "set time zone 1",
        "set x from current",
        "select set_config('a', 'b', false)",
        "select pg_catalog . \"set_config\" ('a', 'b', false)",
        "begin; set x = 1; commit",
        "update pg_settings set setting = 1",
        "update pg_catalog.pg_settings set setting = 1",
    ] {
        assert!(touches(text).any(Touches::SETTING), "{text}");
    }
    for text in [
        "set local x = 1",
        "set transaction read only",
        "set constraints all immediate",
        "update t set x = 1",
        "alter role a set x = 1",
        "select 'set_config'",
        "select 1 -- set_config",
        "select $$set_config$$",
        "select \"SET_CONFIG\"()",
        "select set_config_x()",
        "select xset_config()",
        "select * from pg_settings",
        "create function f() returns int set x = 1 return 1",
    ] {
        assert!(!touches(text).any(Touches::SETTING), "{text}");
    }
}

#[test]
fn reset_tells_what() {
    let what = |text: &str| {
        let Kind::Reset(what) = kind(text) else {
            panic!("{text}")
        };
        what
    };
    assert_eq!(kind("reset all"), Kind::ResetAll);
    assert!(matches!(what("reset \"all\""), What::Setting(_)));
    assert_eq!(what("reset role"), What::Role);
    assert_eq!(
        what("reset session authorization"),
        What::SessionAuthorization
    );
    assert_eq!(what("reset time zone"), What::TimeZone);
    assert!(matches!(what("reset time"), What::Setting(_)));
    assert_eq!(what("reset transaction isolation level"), What::Transaction);
    assert_eq!(
        what("reset App.X").setting(b"reset App.X").unwrap(),
        b"app.x"
    );
}

#[test]
fn what_goes_on_behind_its_end_is_no_reset_discard_or_deallocate() {
    for text in [
        "discard all all",
        "discard all x",
        "deallocate a b",
        "deallocate all, b",
        "reset all x",
        "reset a b",
        "reset a = 1",
        "reset time zone x",
        "reset session authorization x",
    ] {
        assert_eq!(kind(text), Kind::Other, "{text}");
    }
}

#[test]
fn discard_deallocate_unlisten_and_close_tell_all_from_one() {
    assert_eq!(kind("discard all"), Kind::Discard(Discard::All));
    assert_eq!(kind("discard plans"), Kind::Discard(Discard::Plans));
    assert_eq!(kind("discard sequences"), Kind::Discard(Discard::Sequences));
    assert_eq!(kind("discard temporary"), Kind::Discard(Discard::Temp));
    for text in ["deallocate all", "deallocate prepare all"] {
        assert_eq!(kind(text), Kind::Deallocate(Target::All));
    }
    for text in [
        "deallocate a",
        "deallocate prepare a",
        "deallocate \"all\"",
        "deallocate prepare",
    ] {
        assert!(
            matches!(kind(text), Kind::Deallocate(Target::One(_))),
            "{text}"
        );
    }
    assert_eq!(kind("unlisten *"), Kind::Unlisten(Target::All));
    assert!(matches!(kind("unlisten a"), Kind::Unlisten(Target::One(_))));
    assert_eq!(kind("close all"), Kind::Close(Target::All));
    assert!(matches!(kind("close \"all\""), Kind::Close(Target::One(_))));
    assert!(touches("deallocate all").any(Touches::DEALLOCATE));
    assert!(touches("discard temp").any(Touches::DISCARD));
    assert!(!touches("discard temp").any(Touches::TEMP));
    assert!(touches("close all; unlisten *").any(Touches::CLOSE));
    assert!(touches("close all; unlisten *").any(Touches::UNLISTEN));
    assert!(!touches("close all; unlisten *").any(Touches::LISTEN));
    assert!(touches("select 1; reset all").any(Touches::RESET_ALL));
    assert!(!touches("select 1; reset all").any(Touches::SETTING));
}

#[test]
fn prepare_tells_the_name_and_the_statement() {
    for text in [
        "prepare P (int, numeric(10,2)) as select $1;",
        "prepare \"p\" as /*c*/ select $1",
    ] {
        let Kind::Prepare { name, body } = kind(text) else {
            panic!("{text}")
        };
        assert_eq!(folded(name, text), "p");
        assert_eq!(body.of(text.as_bytes()), b"select $1");
    }
    assert!(matches!(
        kind("prepare transaction as select 1"),
        Kind::Prepare { .. }
    ));
    assert!(matches!(
        kind("prepare transaction(int) as select 1"),
        Kind::Prepare { .. }
    ));
    assert!(touches("prepare a as select 1").any(Touches::PREPARE));
    assert!(!touches("prepare transaction 'a'").any(Touches::PREPARE));
}

#[test]
fn execute_is_found_where_it_runs_something() {
    for text in [
        "execute Q",
        "execute q(1, 'a')",
        "explain execute q",
        "explain analyze verbose execute q",
        "explain (analyze, costs off) execute q(1)",
        "create table t as execute q",
        "create temp table if not exists t (a, b) with (fillfactor = 10) as execute q(1) with no data",
        "explain analyze create table t as execute q",
    ] {
        let statement = one(text);
        let name = statement.executes.unwrap();
        assert_eq!(folded(name, text), "q", "{text}");
        assert!(statement.touches.any(Touches::EXECUTE), "{text}");
    }
    for text in [
        "grant execute on function f to a",
        "select execute from t",
        "create trigger t before insert on a execute function f()",
        "create view v as select execute from t",
    ] {
        assert_eq!(one(text).executes, None, "{text}");
        assert!(!touches(text).any(Touches::EXECUTE), "{text}");
    }
}

#[test]
fn cursors_tell_whether_they_are_held() {
    let hold = |text| {
        let Kind::Declare { hold, .. } = kind(text) else {
            panic!("{text}")
        };
        hold
    };
    assert!(hold("declare c cursor with hold for select 1"));
    assert!(hold(
        "declare c binary no scroll cursor with hold for select 1"
    ));
    assert!(!hold("declare c cursor without hold for select hold"));
    assert!(!hold(
        "declare hold cursor for with hold as (select 1) select * from hold"
    ));
    assert!(touches("declare c cursor with hold for select 1").any(Touches::CURSOR));
    assert!(!touches("declare c cursor for select 1").any(Touches::CURSOR));
    assert_eq!(kind("fetch all c"), Kind::Fetch);
    assert_eq!(kind("move c"), Kind::Fetch);
}

#[test]
fn temporary_objects_are_seen_and_tables_named_temp_are_not() {
    for text in [
        "create temp table t (a int)",
        "create local temporary table t (a int)",
        "create or replace temp view v as select 1",
        "create temp sequence s",
        "select 1 into temp t",
        "select 1 into local temporary table t",
        "explain analyze create temp table t as select 1",
        "create table pg_temp.t (a int)",
        "create table PG_TEMP_3.t (a int)",
        "create function \"pg_temp\".f() returns int return 1",
        "with a as (select 1) select * into temp t from a",
    ] {
        assert!(touches(text).any(Touches::TEMP), "{text}");
    }
    for text in [
        "create table temp (a int)",
        "insert into temp values (1)",
        "select temp from t",
        "merge into temp using a on true when matched then delete",
        "select 'pg_temp'",
        "drop table temporary",
        "select pg_temporal from t",
    ] {
        assert!(!touches(text).any(Touches::TEMP), "{text}");
    }
    assert_eq!(kind("create global temp table t (a int)"), Kind::CreateTemp);
    assert_eq!(kind("create unlogged table t (a int)"), Kind::Other);
}

#[test]
fn advisory_locks_of_the_session_are_told_from_those_of_the_transaction() {
    for text in [
        "select pg_advisory_lock(1)",
        "select PG_TRY_ADVISORY_LOCK(1, 2)",
        "select pg_advisory_lock_shared(1)",
        "select pg_try_advisory_lock_shared(1)",
    ] {
        assert!(touches(text).any(Touches::ADVISORY_LOCK), "{text}");
    }
    for text in [
        "select pg_advisory_xact_lock(1)",
        "select pg_try_advisory_xact_lock_shared(1)",
        "select pg_advisory_unlock(1)",
        "select 'pg_advisory_lock(1)'",
    ] {
        assert!(!touches(text).any(Touches::ADVISORY_LOCK), "{text}");
    }
    assert!(touches("select pg_advisory_unlock_all()").any(Touches::ADVISORY_UNLOCK));
}

#[test]
fn every_other_fact_has_its_bit() {
    for (text, bit) in [
        ("listen a", Touches::LISTEN),
        ("notify a, 'b'", Touches::NOTIFY),
        ("select pg_notify('a', 'b')", Touches::NOTIFY),
        (
            "select * from pg_listening_channels()",
            Touches::LISTENING_READ,
        ),
        ("select nextval('s')", Touches::SEQUENCE_USE),
        ("select currval('s')", Touches::SEQUENCE_READ),
        ("select lastval()", Touches::SEQUENCE_READ),
        ("load 'a'", Touches::LOAD),
        ("select pg_backend_pid()", Touches::IDENTITY),
        ("select * from pg_stat_activity", Touches::IDENTITY),
        ("select * from pg_locks", Touches::IDENTITY),
        ("select pg_blocking_pids(1)", Touches::IDENTITY),
        ("create database a", Touches::DATABASE),
        ("drop database if exists a", Touches::DATABASE),
        ("alter database a rename to b", Touches::DATABASE),
        ("alter table a add b int", Touches::DDL),
        ("call p()", Touches::CALL),
        ("do $$ begin end $$", Touches::CALL),
        ("select setseed(0)", Touches::SEED),
        ("select pg_export_snapshot()", Touches::SNAPSHOT),
        (
            "select pg_replication_origin_session_setup('a')",
            Touches::ORIGIN,
        ),
        (
            "select * from pg_prepared_statements",
            Touches::PREPARED_READ,
        ),
        ("show x", Touches::SETTING_READ),
        ("select current_setting('x')", Touches::SETTING_READ),
        ("select 1; savepoint a", Touches::TRANSACTION),
    ] {
        assert!(touches(text).any(bit), "{text}");
    }
    assert!(!touches("alter table database add b int").any(Touches::DATABASE));
    assert_eq!(
        touches("select a, count(*) from t where b = 'x' group by 1"),
        Touches::NONE
    );
}

#[test]
fn names_in_unicode_escapes_are_unclear() {
    let text = "select U&\"set\\005fconfig\"('a', 'b', false)";
    assert_eq!(touches(text), Touches::UNCLEAR);
    assert_eq!(touches("select U&'a'"), Touches::NONE);
    assert_eq!(touches("begin 'a"), Touches::UNCLEAR | Touches::TRANSACTION);
}

#[test]
fn with_old_strings_a_backslash_escapes() {
    let text = b"select 'a\\'; commit; --'";
    assert_eq!(read(text).count, 2);
    assert_eq!(read_with(text, Strings::Backslash).count, 1);
}

#[test]
fn a_statement_that_goes_on_wrongly_is_some_other() {
    for text in [
        "set",
        "set x",
        "set x 1",
        "reset",
        "discard",
        "discard x",
        "prepare",
        "prepare a",
        "execute",
        "execute 1",
        "deallocate",
        "start",
        "savepoint 1",
        "declare",
        "listen",
        "unlisten",
        "notify",
        "rollback to",
        "set x from y",
    ] {
        assert_eq!(kind(text), Kind::Other, "{text}");
    }
}

#[test]
fn a_leading_parenthesis_or_with_is_some_other() {
    for text in [
        "(select 1)",
        "with a as (select 1) select * from a",
        "select 1",
        "values (1)",
        "\"begin\"",
        "1",
    ] {
        assert_eq!(kind(text), Kind::Other, "{text}");
    }
}

#[test]
fn a_long_run_of_anything_ends() {
    for unit in [
        "(",
        ")",
        ";",
        "/*",
        "*/",
        "'",
        "\"",
        "$",
        "$a$",
        "$$",
        "$a",
        "+",
        "-",
        "+-",
        "=-",
        "/",
        "*",
        "--\n",
        "'a'\n",
        "'a' ",
        "E'\\",
        "U&\"",
        "begin atomic ",
        "create ",
        "create function f() begin atomic ",
        "set ",
        "a.",
        "1.",
        "0x",
        "\0",
        "\u{e4}",
        "explain ",
        "prepare ",
        "select 1;",
        "set a.b=c;",
        "declare a ",
        "end;",
        "'a'--\n",
    ] {
        for start in [
            "",
            "create function f() begin atomic ",
            "set ",
            "create ",
            "$a$",
        ] {
            let text = [start, &unit.repeat((1 << 18) / unit.len())].concat();
            let Reading { count, .. } = read(text.as_bytes());
            assert!(statements(text.as_bytes()).count() == count as usize);
        }
    }
}

/// Pieces of SQL, put together at random.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "'",
        "''",
        "\"",
        "$$",
        "$a$",
        "$1",
        "E'",
        "U&'",
        "U&\"",
        "\\",
        "/*",
        "*/",
        "--",
        "\n",
        " ",
        ";",
        "(",
        ")",
        ".",
        "=",
        "+",
        "-",
        "set ",
        "local ",
        "session ",
        "reset ",
        "begin ",
        "atomic ",
        "end ",
        "create ",
        "function ",
        "prepare ",
        "as ",
        "execute ",
        "explain ",
        "temp ",
        "x",
        "1",
        "0x",
        "_",
        "\0",
        "ä",
        "uescape ",
        "to ",
        "time ",
        "zone ",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|all| all.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_bytes_are_read_and_both_readings_agree(text in prop_oneof![pieces(), any::<Vec<u8>>()], cut in any::<prop::sample::Index>()) {
        for text in [&text[..], &text[..cut.index(text.len() + 1)]] {
            let reading = read(text);
            let mut together = Touches::NONE;
            let mut behind = 0;
            let mut count = 0;
            for (number, statement) in statements(text).enumerate() {
                if number == 0 {
                    prop_assert_eq!(statement.kind, reading.first);
                }
                prop_assert!(behind <= statement.span.start && statement.span.start < statement.span.end);
                behind = statement.span.end;
                together |= statement.touches;
                count += 1;
                if let Kind::Set { what, .. } = statement.kind {
                    let _ = what.setting(text);
                }
                let _ = statement.executes.map(|name| name.fold(text));
            }
            prop_assert!(behind <= text.len());
            prop_assert_eq!((count, together), (reading.count, reading.touches));
        }
    }
}
