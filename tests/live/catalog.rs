//! What is known of a database's own functions, views, policies, operators and types, when a
//! real catalog is read.

use std::{rc::Rc, sync::Arc};

use pg_ambassador::{
    app::cluster::{Cluster, SUPERUSER},
    auth::Credential,
    backend::{Dialect, Login, Settings, Target},
    catalog::{Catalog, Outcome, Trust},
    server::Reader,
    sql::{Known, Obstacle, find, judge},
    topology::Address,
};

use crate::support;

const SCHEMA: &str = include_str!("catalog.sql");

/// A database and its catalog.
struct Looking {
    port: u16,
    database: String,
    runtime: tokio::runtime::Runtime,
    reader: Reader,
    catalog: Catalog,
}

impl Looking {
    fn at(cluster: &Cluster, trust: Trust) -> Self {
        let database = support::database(cluster);
        support::psql(cluster.port(), &database, SCHEMA);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let reader = runtime.block_on(reader(cluster.port(), &database));
        Self {
            port: cluster.port(),
            database,
            runtime,
            reader,
            catalog: Catalog::new(trust),
        }
    }

    fn look(&mut self) -> Outcome {
        let looking = self.catalog.look(&mut self.reader);
        self.runtime.block_on(looking).unwrap()
    }

    fn known(&mut self) -> Arc<Known> {
        self.look();
        self.catalog.known().unwrap()
    }

    fn sql(&self, statement: &str) {
        support::psql(self.port, &self.database, statement);
    }
}

async fn reader(port: u16, database: &str) -> Reader {
    let target = Target {
        address: Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port,
        },
        settings: Settings::default(),
        dialect: Arc::new(Dialect::default()),
    };
    let (user, database) = (SUPERUSER.into(), database.into());
    let login = Rc::new(Login::new(user, database, Credential::Nothing));
    Reader::open(&target, &login).await.unwrap()
}

fn obstacle(known: &Known, statement: &str) -> Option<Obstacle> {
    judge(&find(statement.as_bytes()), Some(known)).obstacle
}

/// Every statement is a read, or is none for this reason.
#[track_caller]
fn expect(known: &Known, cases: &[(&str, Option<Obstacle>)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(statement, expected)| (statement, expected, obstacle(known, statement)))
        .filter(|(_, expected, found)| *expected != found)
        .collect();
    assert!(wrong.is_empty(), "statement, expected, found: {wrong:#?}");
}

const VOLATILE: Option<Obstacle> = Some(Obstacle::VolatileFunction);
const VIEW: Option<Obstacle> = Some(Obstacle::View);
const TYPE: Option<Obstacle> = Some(Obstacle::Type);
const OPERATOR: Option<Obstacle> = Some(Obstacle::Operator);

const FUNCTIONS: &[(&str, Option<Obstacle>)] = &[
    ("select app.plain(1)", None),
    ("select plain(1) from app.t", None),
    ("select app.modern(1)", None),
    ("select app.reads()", None),
    ("select app.tenant()", None),
    ("select app.says_volatile()", VOLATILE),
    ("select app.counts()", VOLATILE),
    ("select app.counts_modern()", VOLATILE),
    ("select app.locks()", VOLATILE),
    ("select app.dynamic('x')", VOLATILE),
    ("select app.asks()", VOLATILE),
    ("select app.asks_more()", VOLATILE),
    ("select app.by_default()", VOLATILE),
    ("select app.of_the_system()", VOLATILE),
    ("select app.of_the_system_modern()", VOLATILE),
    ("select app.of_the_scratch()", VOLATILE),
    ("select app.cursor_of()", VOLATILE),
    ("select app.overloaded(1)", VOLATILE),
    ("select now()", VOLATILE),
    ("select pg_catalog.now()", None),
    ("select upper('x'), app.upper('x')", None),
    ("select no_such(1)", Some(Obstacle::UnknownFunction)),
    ("select app.no_such(1)", Some(Obstacle::UnknownFunction)),
    ("select nextval('app.s')", Some(Obstacle::DeniedFunction)),
    ("select app.total(n) from app.t", None),
    ("select app.bad_total(n) from app.t", VOLATILE),
    ("select app.bad_total(n) over () from app.t", VOLATILE),
    // A trigger's function is none that a statement may call.
    ("select app.fires()", Some(Obstacle::UnknownFunction)),
];

const RELATIONS: &[(&str, Option<Obstacle>)] = &[
    ("select * from app.t", None),
    ("select * from t", None),
    ("table app.m", None),
    ("select * from app.parted", None),
    ("select * from app.v_plain", None),
    ("select * from app.v_over_plain", None),
    ("select * from app.v_setting", None),
    ("select * from app.v_sleeps", None),
    ("select * from app.v_calls", VIEW),
    ("select * from app.v_over_calls", VIEW),
    ("select * from app.v_counts", VIEW),
    ("select * from app.v_operator", VIEW),
    ("select * from app.v_domain", VIEW),
    ("select * from app.v_activity", VIEW),
    ("select * from app.v_class", VIEW),
    ("select * from app.v_setting_of_server", VIEW),
    ("select * from app.v_locks", VIEW),
    ("select * from app.v_unlogged", VIEW),
    ("select * from app.v_sequence", VIEW),
    ("select * from app.v_aggregate", VIEW),
    ("select * from app.v_column", VIEW),
    ("select * from app.guarded", None),
    ("select * from app.guarded_badly", VIEW),
    ("select * from app.guarded_by_system", VIEW),
    ("select * from app.guard_off", None),
    ("select * from app.guard_of_writes", None),
    (
        "select * from app.scratch",
        Some(Obstacle::UnloggedRelation),
    ),
    ("select * from app.s", Some(Obstacle::SequenceRelation)),
    ("select * from app.remote", Some(Obstacle::ForeignRelation)),
    (
        "select * from app.parted_scratch",
        Some(Obstacle::UnloggedRelation),
    ),
    (
        "select * from app.parent_of_remote",
        Some(Obstacle::ForeignRelation),
    ),
    ("select * from pg_class", Some(Obstacle::SystemRelation)),
    ("select * from app.no_such", Some(Obstacle::UnknownRelation)),
    ("select * from pg_temp.x", Some(Obstacle::TemporaryRelation)),
];

const OTHERS: &[(&str, Option<Obstacle>)] = &[
    ("select 1 <+> 2", OPERATOR),
    ("select 1 <-> 2", None),
    ("select 1 + 2", None),
    ("select '1'::app.checked", TYPE),
    ("select '{1}'::checked[]", TYPE),
    ("select cast(1 as app.checked)", TYPE),
    ("select '1'::app.positive", None),
    ("select '1'::app.of_checked", TYPE),
    ("select '(1)'::app.has_checked", TYPE),
    ("select null::app.t_checked", TYPE),
    ("select n from app.t_checked", None),
    ("select app.takes_checked('1')", VOLATILE),
    ("select 'ok'::app.mood", None),
    ("select '(1,2)'::app.pair", None),
    ("select pg_input_is_valid('1', 'app.checked')", TYPE),
    ("select row(1)::app.cast_target", TYPE),
    ("select app.span(1, 2), app.span(1, 2, '[]')", None),
    ("select '[1,2)'::app.span::app.span_multirange", None),
    ("select app.bad_span(1, 2)", VOLATILE),
    ("select '[1,2)'::app.bad_span", TYPE),
    ("select 1 as volatile_label from app.t", None),
    ("select o.volatile_label from app.t o", VOLATILE),
    ("select o.label from app.t o", None),
    ("select (o).volatile_label from app.t o", VOLATILE),
];

fn everything_is_what_it_runs(cluster: &Cluster) {
    let mut looking = Looking::at(cluster, Trust::Volatility);
    let known = looking.known();
    assert_eq!(known.everywhere(), None);
    expect(&known, FUNCTIONS);
    expect(&known, RELATIONS);
    expect(&known, OTHERS);
}

#[test]
fn everything_of_a_users_is_what_it_runs() {
    everything_is_what_it_runs(support::cluster());
}

#[test]
#[ignore = "long: it wants Postgres 18"]
fn everything_of_a_users_is_what_it_runs_on_postgres_18() {
    support::cluster_18()
        .iter()
        .for_each(everything_is_what_it_runs);
}

#[test]
fn with_the_primary_for_users_functions_none_of_them_passes() {
    let mut looking = Looking::at(support::cluster(), Trust::Primary);
    let known = looking.known();
    let users = Some(Obstacle::UserFunction);
    expect(
        &known,
        &[
            ("select app.plain(1)", users),
            ("select lower('x') from app.t", None),
            ("select * from app.v_plain", VIEW),
            ("select * from app.v_sleeps", None),
        ],
    );
}

#[test]
fn an_empty_database_changes_nothing_of_the_servers_own() {
    let cluster = support::cluster();
    let mut looking = Looking::at(cluster, Trust::Volatility);
    looking.sql("drop schema app cascade; drop function public.now(); drop domain if exists x");
    let known = looking.known();
    assert_eq!(known.everywhere(), None);
    let names = "select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace \
                 and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype) and prokind <> 'p'";
    for name in support::psql(cluster.port(), "postgres", names).lines() {
        let statement = format!("select \"{name}\"()");
        let alone = judge(&find(statement.as_bytes()), None).obstacle;
        assert_eq!(obstacle(&known, &statement), alone, "{name}");
    }
    for symbol in support::psql(
        cluster.port(),
        "postgres",
        "select distinct oprname from pg_operator",
    )
    .lines()
    {
        assert_eq!(known.operator(symbol.as_bytes()), Ok(()), "{symbol}");
    }
}

#[test]
fn another_picture_comes_of_ddl_and_of_nothing_else() {
    let mut looking = Looking::at(support::cluster(), Trust::Volatility);
    assert_eq!(looking.look(), Outcome::Changed);
    assert_eq!(looking.look(), Outcome::Same);
    looking.sql("insert into app.t values (1, 'x'); truncate app.t; analyze app.t; refresh materialized view app.m");
    looking.sql("create temporary table t (n int); create index on app.t (n)");
    looking.sql("vacuum full app.t");
    let same = looking.known();
    assert_eq!(same.epoch, 1);
    let mut epoch = same.epoch;
    for (ddl, statement, before, after) in [
        (
            "create function app.fresh() returns int immutable language sql as 'select 1'",
            "select app.fresh()",
            Some(Obstacle::UnknownFunction),
            None,
        ),
        (
            "alter function app.fresh() volatile",
            "select app.fresh()",
            None,
            VOLATILE,
        ),
        (
            "drop function app.fresh()",
            "select app.fresh()",
            VOLATILE,
            Some(Obstacle::UnknownFunction),
        ),
        (
            "alter function pg_catalog.lower(text) volatile",
            "select lower('x')",
            None,
            VOLATILE,
        ),
        (
            "alter function pg_catalog.lower(text) immutable",
            "select lower('x')",
            VOLATILE,
            None,
        ),
        (
            "create table app.fresh (n int)",
            "select * from app.fresh",
            Some(Obstacle::UnknownRelation),
            None,
        ),
        (
            "alter table app.fresh set unlogged",
            "select * from app.fresh",
            None,
            Some(Obstacle::UnloggedRelation),
        ),
        (
            "alter table app.fresh set logged",
            "select * from app.fresh",
            Some(Obstacle::UnloggedRelation),
            None,
        ),
        (
            "create policy p on app.fresh using (app.says_volatile() = 1)",
            "select * from app.fresh",
            None,
            None,
        ),
        (
            "alter table app.fresh enable row level security",
            "select * from app.fresh",
            None,
            VIEW,
        ),
        (
            "alter policy p on app.fresh using (true)",
            "select * from app.fresh",
            VIEW,
            None,
        ),
        (
            "alter table app.fresh rename to renamed",
            "select * from app.renamed",
            Some(Obstacle::UnknownRelation),
            None,
        ),
        (
            "create or replace view app.v_plain as select n from app.t where app.says_volatile() = 1",
            "select * from app.v_over_plain",
            None,
            VIEW,
        ),
        (
            "alter domain app.positive add check (app.says_volatile() = value)",
            "select '1'::app.positive",
            None,
            TYPE,
        ),
        (
            "create domain app.fresh as app.checked",
            "select '1'::app.fresh",
            None,
            TYPE,
        ),
        (
            "alter domain app.fresh rename to renamed_type",
            "select '1'::app.renamed_type",
            None,
            TYPE,
        ),
        (
            "alter table app.remote inherit app.t",
            "select * from app.t",
            None,
            Some(Obstacle::ForeignRelation),
        ),
        (
            "create cast (app.mood as int) with function app.volatile_number(app.mood) as implicit",
            "select 1",
            None,
            TYPE,
        ),
        ("drop cast (app.mood as int)", "select 1", TYPE, None),
        (
            "create operator app.= (leftarg = app.mood, rightarg = int, function = app.volatile_mood)",
            "select 1",
            None,
            OPERATOR,
        ),
        (
            "alter schema app rename to app2",
            "select * from app2.t",
            Some(Obstacle::UnknownRelation),
            Some(Obstacle::ForeignRelation),
        ),
    ] {
        let known = looking.catalog.known().unwrap();
        assert_eq!(obstacle(&known, statement), before, "before {ddl}");
        looking.sql(ddl);
        let known = looking.known();
        assert_eq!(obstacle(&known, statement), after, "after {ddl}");
        if before != after {
            assert!(known.epoch > epoch, "{ddl}");
        }
        epoch = known.epoch;
    }
}

#[test]
fn somebodys_temporary_table_hides_nothing() {
    let cluster = support::cluster();
    let mut looking = Looking::at(cluster, Trust::Volatility);
    let _owner = looking.runtime.block_on(async {
        let client = support::connect(cluster.port(), &looking.database).await;
        let made = client
            .batch_execute("create temporary table t (n int); create temporary table work (n int)");
        made.await.unwrap();
        client
    });
    let known = looking.known();
    let temporary = Some(Obstacle::TemporaryRelation);
    expect(
        &known,
        &[
            ("select * from t", None),
            ("select * from work", temporary),
            ("select * from pg_temp.t", temporary),
        ],
    );
}

#[test]
fn it_reads_without_waiting_for_anybodys_locks() {
    let cluster = support::cluster();
    let mut looking = Looking::at(cluster, Trust::Volatility);
    let _holder = looking.runtime.block_on(async {
        let client = support::connect(cluster.port(), &looking.database).await;
        client
            .batch_execute(
                "begin; lock table app.t, app.v_plain, app.guarded, app.v_calls in access exclusive mode",
            )
            .await
            .unwrap();
        client
    });
    assert_eq!(looking.look(), Outcome::Changed);
}
