use super::*;
use crate::catalog::{Cast, Definition, Function, Operator, Persistence, Relation, Type};

const PUBLIC: Oid = 2200;
const INT4: Oid = 23;
const LOWER: Oid = 870;
const NEXTVAL: Oid = 1574;
const SLEEP: Oid = 2626;

const VOLATILE: Option<Obstacle> = Some(Obstacle::VolatileFunction);

/// Some of the server's own, and the schema `public`.
fn rows() -> Rows {
    let own = |oid, name: &str, is_volatile| Function {
        oid,
        schema: 11,
        name: name.as_bytes().into(),
        is_volatile,
        ..Function::default()
    };
    Rows {
        schemas: vec![
            (11, b"pg_catalog"[..].into()),
            (PUBLIC, b"public"[..].into()),
        ],
        functions: vec![
            own(LOWER, "lower", false),
            own(NEXTVAL, "nextval", true),
            own(SLEEP, "pg_sleep", true),
        ],
        ..Rows::default()
    }
}

fn function(oid: Oid, name: &str, body: &str) -> Function {
    Function {
        oid,
        schema: PUBLIC,
        name: name.as_bytes().into(),
        language: Language::Plpgsql,
        body: body.as_bytes().into(),
        ..Function::default()
    }
}

fn volatile(oid: Oid, name: &str) -> Function {
    Function {
        is_volatile: true,
        ..function(oid, name, "")
    }
}

fn table(oid: Oid, name: &str) -> Relation {
    Relation {
        oid,
        schema: PUBLIC,
        name: name.as_bytes().into(),
        rowtype: oid + 1,
        ..Relation::default()
    }
}

fn view(oid: Oid, name: &str) -> Relation {
    Relation {
        kind: RelationKind::View,
        ..table(oid, name)
    }
}

fn calls(functions: &[Oid]) -> References {
    References {
        functions: functions.to_vec(),
        ..References::default()
    }
}

fn reads(relations: &[Oid]) -> References {
    References {
        relations: relations.to_vec(),
        ..References::default()
    }
}

fn drawn(rows: &Rows) -> Known {
    draw(rows, Trust::Volatility, 1)
}

fn of_function(known: &Known, name: &str) -> Option<Obstacle> {
    known.function(None, name.as_bytes()).err()
}

fn of_relation(known: &Known, name: &str) -> Option<Obstacle> {
    known.relation(None, name.as_bytes()).err()
}

#[test]
fn a_function_passes_by_its_label_and_by_all_that_it_runs() {
    let mut rows = rows();
    rows.functions.extend([
        function(20001, "plain", "begin return lower(x) || pg_sleep(1); end"),
        function(20002, "counts", "begin return nextval('s'); end"),
        function(20003, "asks", "begin return public.counts(); end"),
        function(
            20004,
            "asks_more",
            "begin if x then return asks(1); end if; end",
        ),
        function(20005, "late", "begin return no_such_function(); end"),
        function(20006, "dynamic", "begin execute q; end"),
        volatile(20007, "says_so"),
        function(20008, "circle", "begin return circle(x - 1); end"),
    ]);
    let known = drawn(&rows);
    for name in ["plain", "late", "circle"] {
        assert_eq!(of_function(&known, name), None, "{name}");
    }
    for name in ["counts", "asks", "asks_more", "dynamic", "says_so"] {
        assert_eq!(of_function(&known, name), VOLATILE, "{name}");
    }
}

#[test]
fn all_overloads_and_what_shadows_the_servers_own_must_pass() {
    let mut rows = rows();
    rows.functions.extend([
        function(20001, "f", ""),
        volatile(20002, "f"),
        volatile(20003, "now"),
        function(20004, "uses_now", "begin return now(); end"),
    ]);
    let known = drawn(&rows);
    assert_eq!(of_function(&known, "f"), VOLATILE);
    assert_eq!(of_function(&known, "now"), VOLATILE);
    assert_eq!(of_function(&known, "uses_now"), VOLATILE);
    assert_eq!(known.function(Some(b"pg_catalog"), b"now"), Ok(()));
}

#[test]
fn with_the_primary_for_users_functions_only_extensions_are_trusted() {
    let mut rows = rows();
    rows.functions.extend([
        function(20001, "mine", ""),
        Function {
            is_extensions: true,
            language: Language::Machine,
            ..function(20002, "st_area", "")
        },
    ]);
    let known = draw(&rows, Trust::Primary, 1);
    assert_eq!(of_function(&known, "mine"), Some(Obstacle::UserFunction));
    assert_eq!(of_function(&known, "st_area"), None);
    assert_eq!(of_function(&known, "lower"), None);
}

#[test]
fn a_language_that_may_do_anything_is_not_trusted() {
    let mut rows = rows();
    let of = |oid, name, language, is_extensions| Function {
        language,
        is_extensions,
        ..function(oid, name, "return 1;")
    };
    rows.functions.extend([
        of(20001, "c_mine", Language::Machine, false),
        of(20002, "c_extension", Language::Machine, true),
        of(20003, "perl_untrusted", Language::Untrusted, false),
        of(20004, "perl", Language::Trusted, false),
        Function {
            body: b"spi_exec_query($q)"[..].into(),
            ..of(20005, "perl_spi", Language::Trusted, false)
        },
        Function {
            is_volatile: true,
            ..of(20006, "uuid_generate_v4", Language::Machine, true)
        },
        Function {
            is_volatile: true,
            ..of(20007, "gen_salt", Language::Machine, false)
        },
    ]);
    let known = drawn(&rows);
    for name in ["c_extension", "perl", "uuid_generate_v4"] {
        assert_eq!(of_function(&known, name), None, "{name}");
    }
    for name in ["c_mine", "perl_untrusted", "perl_spi", "gen_salt"] {
        assert_eq!(of_function(&known, name), VOLATILE, "{name}");
    }
}

#[test]
fn an_aggregate_is_what_its_functions_are() {
    let mut rows = rows();
    let aggregate = |oid, name, steps: &[Oid]| Function {
        is_aggregate: true,
        language: Language::Machine,
        steps: steps.to_vec(),
        ..function(oid, name, "")
    };
    rows.functions.extend([
        volatile(20001, "step"),
        aggregate(20002, "bad_total", &[20001]),
        aggregate(20003, "total", &[LOWER]),
        aggregate(20004, "lost", &[12345]),
    ]);
    let known = drawn(&rows);
    assert_eq!(of_function(&known, "bad_total"), VOLATILE);
    assert_eq!(of_function(&known, "total"), None);
    assert_eq!(of_function(&known, "lost"), VOLATILE);
}

#[test]
fn the_servers_own_count_where_they_were_changed() {
    let mut rows = rows();
    let own = |oid, name: &str, is_volatile, is_unsafe| Function {
        oid,
        schema: 11,
        name: name.as_bytes().into(),
        is_volatile,
        is_unsafe,
        ..Function::default()
    };
    rows.functions.extend([
        own(1299, "now", true, false),
        own(871, "upper", false, true),
        own(9999, "of_tomorrow", false, false),
        own(9998, "volatile_tomorrow", true, false),
    ]);
    let known = drawn(&rows);
    assert_eq!(of_function(&known, "now"), VOLATILE);
    assert_eq!(of_function(&known, "upper"), VOLATILE);
    assert_eq!(of_function(&known, "lower"), None);
    assert_eq!(of_function(&known, "pg_sleep"), None);
    assert_eq!(of_function(&known, "of_tomorrow"), None);
    assert_eq!(of_function(&known, "volatile_tomorrow"), VOLATILE);
}

#[test]
fn a_view_passes_by_all_that_it_names() {
    let mut rows = rows();
    rows.functions.push(volatile(20001, "f"));
    rows.relations.extend([
        table(30000, "t"),
        view(30010, "plain"),
        view(30020, "waits"),
        view(30030, "calls"),
        view(30040, "over"),
        view(30050, "counts"),
        view(30060, "catalogs"),
        view(30070, "locks"),
    ]);
    let definition = |relation, names| Definition { relation, names };
    let locks = References {
        locks: true,
        ..References::default()
    };
    rows.definitions.extend([
        definition(30010, reads(&[30010, 30000])),
        definition(30020, calls(&[SLEEP, LOWER])),
        definition(30030, calls(&[20001])),
        definition(30040, reads(&[30030])),
        definition(30050, calls(&[NEXTVAL])),
        definition(30060, reads(&[1259])),
        definition(30070, locks),
    ]);
    let known = drawn(&rows);
    for name in ["t", "plain", "waits"] {
        assert_eq!(of_relation(&known, name), None, "{name}");
    }
    for name in ["calls", "over", "counts", "catalogs", "locks"] {
        let told = of_relation(&known, name);
        assert_eq!(told, Some(Obstacle::View), "{name}");
    }
}

#[test]
fn a_relation_is_where_it_lives_and_where_its_children_live() {
    let mut rows = rows();
    let lives = |oid, name, kind, persistence| Relation {
        kind,
        persistence,
        ..table(oid, name)
    };
    let (plain, unlogged) = (Persistence::Permanent, Persistence::Unlogged);
    rows.relations.extend([
        lives(30000, "unlogged", RelationKind::Table, unlogged),
        lives(30010, "foreign", RelationKind::Foreign, plain),
        lives(30020, "sequence", RelationKind::Sequence, plain),
        lives(
            30030,
            "temporary",
            RelationKind::Table,
            Persistence::Temporary,
        ),
        table(30040, "parent"),
        table(30050, "grandparent"),
        table(30060, "lonely"),
    ]);
    rows.children
        .extend([(30040, 30000), (30050, 30040), (30060, 99999)]);
    let known = drawn(&rows);
    let expected = [
        ("unlogged", Some(Obstacle::UnloggedRelation)),
        ("foreign", Some(Obstacle::ForeignRelation)),
        ("sequence", Some(Obstacle::SequenceRelation)),
        ("temporary", Some(Obstacle::TemporaryRelation)),
        ("parent", Some(Obstacle::UnloggedRelation)),
        ("grandparent", Some(Obstacle::UnloggedRelation)),
        ("lonely", None),
        ("missing", Some(Obstacle::UnknownRelation)),
    ];
    for (name, obstacle) in expected {
        assert_eq!(of_relation(&known, name), obstacle, "{name}");
    }
}

#[test]
fn a_function_that_reads_what_no_replica_has_does_not_pass() {
    let mut rows = rows();
    rows.relations.push(Relation {
        persistence: Persistence::Unlogged,
        ..table(30000, "scratch")
    });
    rows.functions.extend([
        function(
            20001,
            "by_text",
            "begin return (select 1 from scratch); end",
        ),
        Function {
            names: reads(&[30000]),
            ..function(20002, "by_tree", "")
        },
        function(20003, "of_the_system", "begin perform 1 from pg_locks; end"),
    ]);
    let known = drawn(&rows);
    for name in ["by_text", "by_tree", "of_the_system"] {
        assert_eq!(of_function(&known, name), VOLATILE, "{name}");
    }
}

#[test]
fn operators_are_what_they_call_and_some_are_never_written() {
    let mut rows = rows();
    let operator = |oid, symbol: &str, function| Operator {
        oid,
        symbol: symbol.as_bytes().into(),
        function,
        estimates: Vec::new(),
    };
    rows.functions.push(volatile(20001, "f"));
    rows.operators.extend([
        operator(96, "=", LOWER),
        operator(40001, "<+>", 20001),
        operator(40002, "<->", LOWER),
    ]);
    rows.functions
        .push(function(20002, "by_operator", "begin return a <+> b; end"));
    let known = drawn(&rows);
    assert_eq!(known.operator(b"<+>"), Err(Obstacle::Operator));
    assert_eq!(known.operator(b"<->"), Ok(()));
    assert_eq!(known.operator(b"="), Ok(()));
    assert_eq!(known.everywhere(), None);
    assert_eq!(of_function(&known, "by_operator"), VOLATILE);

    rows.operators.push(operator(40003, "=", 20001));
    let known = drawn(&rows);
    assert_eq!(known.everywhere(), Some(Obstacle::Operator));
}

#[test]
fn a_type_passes_by_what_makes_its_values() {
    let mut rows = rows();
    let domain = |oid, name: &str, checks| Type {
        oid,
        name: name.as_bytes().into(),
        parts: vec![INT4],
        checks,
        ..Type::default()
    };
    rows.functions.extend([
        volatile(20001, "f"),
        Function {
            types: vec![50001],
            ..function(20002, "takes_it", "")
        },
        function(20003, "casts", "begin return x::checked; end"),
    ]);
    rows.types.extend([
        domain(50001, "checked", calls(&[20001])),
        domain(50002, "plain", calls(&[LOWER])),
        Type {
            oid: 50003,
            name: b"_checked"[..].into(),
            parts: vec![50001],
            ..Type::default()
        },
    ]);
    rows.relations
        .extend([table(30000, "has_it"), table(30010, "has_none")]);
    rows.columns.extend([(30000, 50003), (30010, 50002)]);
    let known = drawn(&rows);
    assert_eq!(known.word(b"checked"), Err(Obstacle::Type));
    assert_eq!(known.word(b"_checked"), Err(Obstacle::Type));
    assert_eq!(known.word(b"plain"), Ok(()));
    // To read a column makes no value; to make a row does.
    assert_eq!(of_relation(&known, "has_it"), None);
    assert_eq!(known.word(b"has_it"), Err(Obstacle::Type));
    assert_eq!(known.word(b"has_none"), Ok(()));
    assert_eq!(of_function(&known, "takes_it"), VOLATILE);
    assert_eq!(of_function(&known, "casts"), VOLATILE);
    for name in MAKERS {
        assert_eq!(known.function(None, name), Err(Obstacle::Type));
    }
}

#[test]
fn casts_count_where_they_are_written_or_everywhere() {
    let mut rows = rows();
    rows.functions.push(volatile(20001, "f"));
    rows.types.push(Type {
        oid: 50001,
        name: b"money2"[..].into(),
        ..Type::default()
    });
    let cast = Cast {
        source: INT4,
        target: 50001,
        function: Some(20001),
        is_implicit: false,
    };
    rows.casts.push(cast.clone());
    let known = drawn(&rows);
    assert_eq!(known.word(b"money2"), Err(Obstacle::Type));
    assert_eq!(known.everywhere(), None);
    rows.relations.push(table(30000, "place"));
    rows.casts = vec![Cast {
        target: 30001,
        ..cast.clone()
    }];
    assert_eq!(drawn(&rows).word(b"place"), Err(Obstacle::Type));
    assert_eq!(drawn(&rows).everywhere(), None);
    rows.casts = vec![Cast {
        is_implicit: true,
        ..cast.clone()
    }];
    assert_eq!(drawn(&rows).everywhere(), Some(Obstacle::Type));
    // `int4` has more spellings than one.
    rows.casts = vec![Cast {
        source: 50001,
        target: INT4,
        ..cast
    }];
    assert_eq!(drawn(&rows).everywhere(), Some(Obstacle::Type));
}

#[test]
fn a_function_of_a_row_may_be_called_like_a_column() {
    let mut rows = rows();
    rows.functions.extend([
        Function {
            is_column: true,
            ..volatile(20001, "total")
        },
        volatile(20002, "of_a_number"),
        Function {
            is_column: true,
            ..function(20003, "label", "")
        },
        function(20004, "by_notation", "begin return o.total; end"),
        function(20005, "by_column", "begin return total; end"),
    ]);
    let known = drawn(&rows);
    assert_eq!(known.field(b"total"), Err(Obstacle::VolatileFunction));
    // By itself it is a column.
    assert_eq!(known.word(b"total"), Ok(()));
    assert_eq!(known.field(b"of_a_number"), Ok(()));
    assert_eq!(known.field(b"label"), Ok(()));
    assert_eq!(of_function(&known, "by_notation"), VOLATILE);
    assert_eq!(of_function(&known, "by_column"), None);
}

#[test]
fn what_sorts_a_users_type_counts_everywhere() {
    let mut rows = rows();
    rows.functions.push(volatile(20001, "compare"));
    rows.comparing.push(20001);
    assert_eq!(drawn(&rows).everywhere(), Some(Obstacle::Operator));
}

#[test]
fn extensions_label_their_machinery_with_no_care() {
    let mut rows = rows();
    rows.functions.extend([
        Function {
            is_extensions: true,
            language: Language::Machine,
            ..volatile(20001, "geometry_in")
        },
        Function {
            is_extensions: true,
            is_aggregate: true,
            language: Language::Machine,
            steps: vec![20001],
            ..function(20002, "st_union", "")
        },
    ]);
    rows.types.push(Type {
        oid: 50001,
        name: b"geometry"[..].into(),
        functions: vec![20001],
        is_base: true,
        ..Type::default()
    });
    rows.relations.push(table(30000, "places"));
    rows.columns.push((30000, 50001));
    let known = drawn(&rows);
    assert_eq!(known.word(b"geometry"), Ok(()));
    assert_eq!(of_relation(&known, "places"), None);
    assert_eq!(of_function(&known, "st_union"), None);
    assert_eq!(of_function(&known, "geometry_in"), VOLATILE);
}
