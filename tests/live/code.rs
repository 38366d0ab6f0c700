//! What the code of functions, procedures and DO does to its session stays with that session.

use crate::{
    admin::scraped,
    stage::Stage,
    wire::{Wire, query, said, sync, unnamed},
};

const FUNCTIONS: &str = "
    create function by_name(v text) returns text language plpgsql
        as $$ begin return set_config('app.tenant', v, false); end $$;
    create function by_set() returns int language plpgsql
        as $$ begin set app.tenant = 'set'; return 1; end $$;
    create function by_text(v text) returns int language plpgsql
        as $$ begin execute format('set app.tenant = %L', v); return 1; end $$;
    create function \"By Quotes\"() returns text language sql
        as $$ select set_config('app.tenant', 'quotes', false) $$;
    create function by_atomic() returns text language sql
        begin atomic; select set_config('app.tenant', 'atomic', false); end;
    create function by_others() returns text language plpgsql
        as $$ begin perform 1; return by_name('others'); end $$;
    create procedure by_procedure() language plpgsql
        as $$ begin perform by_name('procedure'); end $$;
    create function by_local() returns text language plpgsql
        as $$ begin return set_config('app.tenant', 'local', true); end $$;
    create function work() returns text language plpgsql
        as $$ begin return set_config('work_mem', '3MB', false); end $$;
    create function locks() returns int language plpgsql
        as $$ begin perform pg_advisory_lock(1); return 1; end $$;
    create function makes() returns int language plpgsql
        as $$ begin create temp table made (a int); return 1; end $$;
    create function makes_by_text() returns int language plpgsql
        as $$ begin execute 'create temp' || ' table made (a int)'; return 1; end $$;
    create function does_nothing(a int) returns int language plpgsql
        as $$ begin return a; end $$;
";

fn stage() -> Stage {
    let stage = Stage::with_pool_of(1);
    stage.directly(FUNCTIONS);
    stage
}

type Ask = fn(&mut Wire, &str) -> Vec<String>;

const WAYS: [Ask; 2] = [
    |wire, text| said(&wire.query(text)),
    |wire, text| said(&wire.ask(&[unnamed(text, &[]), sync()])),
];

const TENANT: &str = "select current_setting('app.tenant', true)";

#[test]
fn settings_that_code_makes_are_its_session_s_alone() {
    let stage = stage();
    for (number, text) in [
        "select by_name('name')",
        "select by_set()",
        "select by_text('text')",
        "select \"By Quotes\"()",
        "select by_atomic()",
        "select by_others()",
        "call by_procedure()",
        "select by_local()",
        "do $$ begin perform set_config('app.tenant', 'do', false); end $$",
        "do $$ begin perform by_name('do'); end $$",
        "do $$ begin execute 'set app.tenant = ' || 5; end $$",
    ]
    .into_iter()
    .enumerate()
    {
        for ask in WAYS {
            // Unknown code, and code that is known.
            for _ in 0..3 {
                let (mut one, mut other) = (stage.client(), stage.client());
                let mut direct = stage.direct();
                ask(&mut direct, text);
                let (seen, unseen) = (ask(&mut direct, TENANT), ask(&mut other, TENANT));
                assert_eq!(ask(&mut one, text).last().unwrap(), "ready I", "{text}");
                for _ in 0..2 {
                    let theirs = ask(&mut other, TENANT);
                    // That it has ever been set there shows, as Postgres leaves it.
                    let clean = theirs == unseen || theirs.contains(&"row ".to_owned());
                    assert!(clean, "{number} {text}: {theirs:?}");
                    assert_eq!(ask(&mut one, TENANT), seen, "{text}");
                }
            }
        }
    }
    assert_eq!(stage.connections(), 1);
}

#[test]
fn a_setting_of_the_server_s_own_that_code_makes_follows_its_session() {
    let stage = stage();
    let (mut one, mut other) = (stage.client(), stage.client());
    for _ in 0..3 {
        assert_eq!(one.value("select work()"), "3MB");
        assert_ne!(other.value("show work_mem"), "3MB");
        assert_eq!(one.value("show work_mem"), "3MB");
    }
    assert_eq!(stage.connections(), 1);
}

#[test]
fn what_code_keeps_keeps_its_session_on_its_connection_until_it_is_gone() {
    for (text, sees, gone) in [
        (
            "select locks()",
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
            "do $$ begin perform pg_advisory_unlock_all(); end $$",
        ),
        (
            "select makes()",
            "select count(to_regclass('made'))",
            "drop table made",
        ),
        (
            "select makes_by_text()",
            "select count(to_regclass('made'))",
            "do $$ begin drop table made; end $$",
        ),
    ] {
        for ask in WAYS {
            let stage = stage();
            for _ in 0..2 {
                let (mut one, mut other) = (stage.client(), stage.client());
                ask(&mut one, text);
                for _ in 0..2 {
                    assert_eq!(other.value(sees), "0", "{text}");
                    assert_eq!(one.value(sees), "1", "{text}");
                }
                assert_eq!(stage.connections(), 2, "{text}");
                ask(&mut one, gone);
                assert_eq!(one.value(sees), "0", "{text}");
                other.run("begin; select 1");
                crate::stage::eventually("one is enough again", || {
                    one.send(&query("select 1"));
                    let waits = one.is_silent(std::time::Duration::from_millis(100));
                    if !waits {
                        return false;
                    }
                    other.run("commit");
                    one.until_ready();
                    true
                });
            }
        }
    }
}

#[test]
fn code_that_does_nothing_to_its_session_costs_nothing_once_it_is_known() {
    let stage = Stage::with_admin(&["--workers", "1", "--pool-size", "1"]);
    stage.directly(FUNCTIONS);
    let mut client = stage.client();
    let said_more = |stage: &Stage| {
        let seen = scraped(stage);
        let (from, to) = (
            "ambassador_received_bytes_total",
            "ambassador_sent_bytes_total",
        );
        seen.value(from, &[("side", "backend")]) - seen.value(to, &[("side", "client")])
    };
    assert_eq!(client.value("select does_nothing(1)"), "1");
    // The code has been read once this is answered.
    assert_eq!(client.value("select 1"), "1");
    let before = said_more(&stage);
    for _ in 0..20 {
        assert_eq!(client.value("select does_nothing(1)"), "1");
        client.run("do $$ begin perform does_nothing(2); end $$");
    }
    let after = said_more(&stage);
    assert!(after - before < 20.0 * 50.0, "{before} {after}");
}
