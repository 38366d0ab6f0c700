use super::*;

fn shown(named: &[Named]) -> String {
    let one = |named: &Named| {
        let name = String::from_utf8_lossy(&named.name).into_owned();
        match &named.schema {
            Some(schema) => format!("{}.{name}", String::from_utf8_lossy(schema)),
            None => name,
        }
    };
    named.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Class, obstacle, relations, functions.
fn found(text: &str) -> (&'static str, &'static str, String, String) {
    let finding = find(text.as_bytes());
    (
        finding.class.name(),
        finding.obstacle.map_or("-", Obstacle::name),
        shown(&finding.relations),
        shown(&finding.functions),
    )
}

fn effects(text: &str) -> String {
    let effects = find(text.as_bytes()).effects;
    effects
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_relations_and_functions_of_a_query_are_found_wherever_they_stand() {
    for (text, relations, functions) in [
        ("select 1", "", ""),
        ("select * from t, s.u as x, only v", "t s.u v", ""),
        (
            "select f(a), public.g(1) from t where h(b) = any (array[i(1)])",
            "t",
            "f public.g h i",
        ),
        (
            "select * from a join b using (x) left join c on f(a.x), d",
            "a b c d",
            "f",
        ),
        ("select * from (a cross join b) j, ((c))", "a b c", ""),
        (
            "select * from ((select 1 from a) union (select 2 from b)) x, c",
            "a b c",
            "",
        ),
        ("((select 1) union table t)", "t", ""),
        (
            "select (select max(x) from t), y from u order by f(1) limit g(2)",
            "t u",
            "max f g",
        ),
        ("select * from f(1) with ordinality as t(a, n), v", "v", "f"),
        (
            "select * from f(1) with ordinality as materialized (a), v",
            "v",
            "f",
        ),
        (
            "select * from rows from (f(1) as (a int), g(2)) as x(a, b), v",
            "v",
            "f g",
        ),
        (
            "select * from lateral (select * from t) x, lateral f(x.a)",
            "t",
            "f",
        ),
        ("select distinct on (a) f(b) from t", "t", "f"),
        (
            "select a is distinct from f(b), not a is not distinct from c from t",
            "t",
            "f",
        ),
        (
            "select extract(year from f(a)), substring(b from 2 for g(1)) from t",
            "t",
            "f g",
        ),
        (
            "select count(*) filter (where f(a)), rank() over (partition by g(b)) from t",
            "t",
            "count f rank g",
        ),
        (
            "select percentile_cont(0.5) within group (order by a) from t, u",
            "t u",
            "percentile_cont",
        ),
        (
            "select * from a join b on percentile_cont(1) within group (order by x) = 1, c",
            "a b c",
            "percentile_cont",
        ),
        (
            "select * from a join b on case when x then y end, c",
            "a b c",
            "",
        ),
        (
            "select a::numeric(10,2), cast(b as varchar(3)), c::s.kind from t",
            "t",
            "",
        ),
        ("select 1 as into, t.into, 2 as select from t", "t", ""),
        (
            "select * from t group by grouping sets ((a), rollup (b), cube(c))",
            "t",
            "",
        ),
        ("select cube(a) from t", "t", "cube"),
        (
            "select left(a, 1), a like f(b), a not like (b), like(a, b) from t",
            "t",
            "left f like",
        ),
        ("select a operator(pg_catalog.+) f(b) from t", "t", "f"),
        (
            "select * from t tablesample bernoulli (f(1)) repeatable (1), u",
            "t u",
            "f",
        ),
        ("select * from t tablesample mine(1)", "t", "mine"),
        (
            "select current_date, current_timestamp(3), current_schema() from current_user, t",
            "t",
            "current_schema",
        ),
        (
            "select * from json_table(f(a), '$' columns (x int path '$.x')) j, t",
            "t",
            "f",
        ),
        (
            "select * from xmltable('/a' passing f(x) columns b int default g(1)) , t",
            "t",
            "f g",
        ),
        (
            "select * from set, t do_, values, rows, update",
            "set t values rows update",
            "",
        ),
        (
            "select \"F\"(1), U&\"\\0066\"(2), U&\"!0066!0067\" uescape '!' (3) from \"T t\"",
            "T t",
            "F f fg",
        ),
        ("values (f(1)), (2)", "", "f"),
        ("table only t", "t", ""),
        ("select f/*c*/(1), g -- d\n (2)", "", "f g"),
        (
            "select interval '1' day, date '2020-01-01', f(x) from t",
            "t",
            "f",
        ),
        ("select x.f, (y).g, z[1].h from t", "t", ""),
        ("insert into t (a, b) select f(c), d from u", "t u", "f"),
        (
            "update t set a = f(1) from u where u.x = g(2)",
            "t u",
            "f g",
        ),
        ("delete from t using u, v where f(1)", "t u v", "f"),
        (
            "merge into t using u on f(1) when matched then delete",
            "t u",
            "f",
        ),
        ("copy (select f(a) from t) to stdout", "t", "f"),
        ("copy s.t (a, b) to stdout", "s.t", ""),
        ("create table n as select f(a) from t", "n t", "f"),
        ("truncate only a, table b", "a b", ""),
    ] {
        let (_, _, tables, calls) = found(text);
        assert_eq!((&*tables, &*calls), (relations, functions), "{text}");
    }
}

#[test]
fn a_with_query_hides_relations_of_its_name_where_it_is_in_force_and_nowhere_else() {
    for (text, relations) in [
        ("with v as (select 1) select * from v", ""),
        ("with v as (select * from v) select * from v", "v"),
        (
            "with recursive v as (select 1 union select * from v) select * from v",
            "",
        ),
        (
            "with a as (select * from b), b as (select 1) select * from a, b",
            "b",
        ),
        (
            "select * from (with v as (select 1) select * from v) x, v",
            "v",
        ),
        (
            "with v (a, b) as not materialized (select 1, 2) (select * from v)",
            "",
        ),
        (
            "with v as materialized (select * from t) select * from s.v",
            "t s.v",
        ),
        (
            "with recursive x as (select 1) search depth first by a, t set o select * from x, t",
            "t",
        ),
        (
            "with a as (with recursive r as (select * from r) select 1), r as (select * from r) select 1",
            "r",
        ),
    ] {
        assert_eq!(found(text).2, relations, "{text}");
    }
}

#[test]
fn what_writes_or_locks_is_no_read_at_any_depth() {
    for (text, class, obstacle) in [
        (
            "with d as (delete from t returning *) select * from d",
            "write",
            "write",
        ),
        (
            "with d as materialized (update t set a = 1 returning *) select 1",
            "write",
            "write",
        ),
        ("select * from t for no key update", "write", "locking"),
        (
            "select * from (select * from t for share) x",
            "write",
            "locking",
        ),
        (
            "with x as (select * from t for key share) select * from x",
            "write",
            "locking",
        ),
        ("select * into u from t", "ddl", "ddl"),
        ("(select * into u from t)", "ddl", "ddl"),
        ("explain analyze insert into t values (1)", "write", "write"),
        ("explain (analyze, buffers) delete from t", "write", "write"),
        ("explain select 1", "read", "-"),
        ("explain (select 1)", "read", "-"),
        (
            "copy (insert into t values (1) returning *) to stdout",
            "write",
            "write",
        ),
        ("copy t to '/tmp/x'", "copy_out", "server_file"),
        ("copy t to program 'x'", "copy_out", "server_file"),
        ("copy t from stdin", "copy_in", "copy_in"),
        ("copy (select 1 from t) to stdout", "copy_out", "-"),
        ("select 1; select 2", "read", "-"),
        ("select 1; update t set a = 1", "write", "write"),
        ("select update, delete from t", "read", "-"),
        ("select substring(a for 2) from t", "read", "-"),
        ("declare c cursor for select 1", "cursor", "cursor"),
        ("prepare p as delete from t", "prepare", "prepare"),
        ("begin; update t set a = 1; commit", "write", "write"),
        ("", "empty", "empty"),
        (" -- only a comment", "empty", "empty"),
        ("selekt 1", "unknown", "unparsable"),
        ("select 'x", "unknown", "unparsable"),
        ("alter system set a = 1", "ddl", "ddl"),
        ("vacuum t", "utility", "utility"),
        ("set transaction read only", "transaction", "transaction"),
    ] {
        let (is, why, ..) = found(text);
        assert_eq!((is, why), (class, obstacle), "{text}");
    }
}

#[test]
fn what_stays_with_the_session_is_told() {
    for (text, expected) in [
        ("set work_mem = '1MB'", "set:work_mem"),
        ("set local \"My.Name\" to 'x'", "set_local:my.name"),
        ("set time zone 'UTC'", "set:timezone"),
        (
            "set session characteristics as transaction isolation level read committed, read only",
            "set:default_transaction_isolation set:default_transaction_read_only",
        ),
        (
            "set session characteristics as transaction isolation level serializable",
            "set:default_transaction_isolation",
        ),
        ("reset all", "set:all"),
        ("select set_config('A.b', 'x', false)", "set:a.b"),
        ("select set_config('a', f(1, 2), true)", "set_local:a"),
        ("select set_config(x, 'y', false)", "anything"),
        ("select pg_catalog.pg_try_advisory_lock(1)", "advisory_lock"),
        ("select pg_advisory_xact_lock(1)", ""),
        ("insert into t values (nextval('s'))", "sequence"),
        ("update t set a = nextval('s')", "sequence"),
        ("create temp table x ()", "temp"),
        ("select 1 into temporary x", "temp"),
        ("prepare \"P\" as select 1", "prepare:P"),
        ("deallocate all", "prepare:"),
        ("declare c cursor with hold for select 1", "cursor_hold"),
        ("do 'x'", "anything"),
        ("listen a", "listen"),
        ("update pg_settings set setting = 1", "anything"),
        ("select 1", ""),
    ] {
        assert_eq!(effects(text), expected, "{text}");
    }
}

#[test]
fn hostile_texts_are_unknown_and_cost_no_more_than_their_length() {
    let deep = "select ".to_owned() + &"(".repeat(1_000_000);
    let shallow = "select ".to_owned() + &"(".repeat(100_000);
    let name = "select ".to_owned() + &"x".repeat(65_536);
    for text in [deep, shallow, name] {
        assert_eq!(find(text.as_bytes()).class, Class::Unknown);
    }
    for text in [
        &b"select '\xff'"[..],
        b"select 1\0",
        b"select \"",
        b"/*",
        b"$a$",
    ] {
        assert_eq!(find(text).class, Class::Unknown, "{text:?}");
    }
    for part in [
        "with x (",
        "rollup(",
        "set_config('a',",
        "operator(",
        "f(",
        "a.",
        "from (",
        "case ",
    ] {
        let text = "select ".to_owned() + &part.repeat(20_000);
        find(text.as_bytes());
    }
}

#[test]
fn where_a_shard_key_could_be_is_told_by_column_and_place() {
    let keys = |text: &str| {
        let finding = find(text.as_bytes());
        let key = |key: &Key| format!("{}@{}", shown(std::slice::from_ref(&key.column)), key.place);
        finding.keys.iter().map(key).collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        (
            "select * from t where a = 1 and t.b = $2 and 'x' = c",
            "a@0 t.b@1 c@2",
        ),
        ("select 5 from t where a in (1, 2, 3) and b = -4", "a@1 b@2"),
        (
            "select 1 from t where a = any ($1) or b = any (array[1,2])",
            "a@1 b@2",
        ),
        (
            "insert into t (a, b, c) values (1, f(2), 'x'), (3, f(4), 'y')",
            "a@0 c@2",
        ),
        ("update t set a = 1 where k = 2", "a@0 k@1"),
        ("select a = b, f(1) = c from t", ""),
    ] {
        assert_eq!(keys(text), expected, "{text}");
    }
}

#[test]
fn what_a_reviewer_hid_is_found() {
    let cases = [
        (
            "WITH a AS (SELECT 1) (SELECT 1 AS x) ORDER BY x, set_config('a.b','c',false)",
            "read",
            "",
            "set_config",
        ),
        (
            "WITH a AS (SELECT 1) (SELECT 1 AS x) ORDER BY x, pg_advisory_lock(1,2)",
            "read",
            "",
            "pg_advisory_lock",
        ),
        (
            "WITH RECURSIVE a(x) AS (SELECT 1) SEARCH DEPTH FIRST BY x SET ord DELETE FROM t",
            "write",
            "t",
            "",
        ),
        (
            "WITH RECURSIVE a(x) AS (SELECT 1) CYCLE x SET c USING p UPDATE t SET x = 1",
            "write",
            "t",
            "",
        ),
        ("SELECT 1 AS insert INTO newtab", "ddl", "newtab", ""),
        (
            "SELECT * FROM (merge CROSS JOIN secret)",
            "read",
            "merge secret",
            "",
        ),
        (
            "SELECT * FROM (values CROSS JOIN secret)",
            "read",
            "values secret",
            "",
        ),
        (
            "SELECT * FROM (delete CROSS JOIN secret)",
            "read",
            "delete secret",
            "",
        ),
        ("SELECT f.not distinct FROM secret f", "read", "secret", ""),
        ("SELECT NOT full(1)", "read", "", "full"),
        (
            "SELECT * FROM t TABLESAMPLE system.evil(1)",
            "read",
            "t",
            "system.evil",
        ),
        (
            "SELECT * FROM xmltable('/a' PASSING x COLUMNS a text \"path\" ff(1)) j",
            "read",
            "",
            "ff",
        ),
    ];
    for (text, class, relations, functions) in cases {
        let (is, _, tables, calls) = found(text);
        assert_eq!(
            (is, &*tables, &*calls),
            (class, relations, functions),
            "{text}"
        );
    }
    for text in [
        "SELECT U&\"!006eextval\" UESCAPE E'!'('s')",
        "SELECT U&\"!006eextval\" UESCAPE $$!$$ ('s')",
    ] {
        assert_eq!(find(text.as_bytes()).class, Class::Unknown, "{text}");
    }
    assert_eq!(
        effects("WITH a AS (SELECT 1) UPDATE pg_settings SET setting='x'"),
        "anything"
    );
    let cube = find(b"SELECT count(*) FROM t GROUP BY 1 + cube(1)");
    assert_eq!(shown(&cube.asides), "cube");
}
