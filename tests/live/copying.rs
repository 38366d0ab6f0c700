//! A COPY from the client that the server ends before the client does: what still comes is read
//! over, the session goes on, and no connection is lost or kept.

use crate::{
    stage::{Stage, alike, observer},
    wire::{
        Frame, Wire, bind, copy_data, copy_done, copy_fail, execute, flush, parse, query, said,
        sync, unnamed,
    },
};

const COPY: &str = "copy t from stdin";

/// One conversation: what is sent, and up to which message the answers are read then.
type Step = (Vec<Vec<u8>>, &'static [u8]);

fn extended() -> Vec<u8> {
    [unnamed(COPY, &[]), flush()].concat()
}

fn wrong() -> Vec<u8> {
    copy_data("wrong\n")
}

fn many() -> Vec<u8> {
    copy_data(&"1\n".repeat(1000)).repeat(500)
}

/// Each begins outside a COPY and ends there.
fn conversations() -> Vec<(&'static str, Vec<Step>)> {
    let late = || copy_data("2\n");
    vec![
        (
            "data and end come late",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong()], b"Z"),
                (vec![late(), copy_done()], b""),
            ],
        ),
        (
            "it is given up late",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong()], b"Z"),
                (vec![late(), copy_fail("changed my mind")], b""),
            ],
        ),
        (
            "its end never comes",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong()], b"Z"),
                (vec![late()], b""),
            ],
        ),
        (
            "the end comes late and a Sync with it",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong()], b"Z"),
                (vec![copy_done(), sync()], b"Z"),
            ],
        ),
        (
            "much comes while it fails",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong(), many(), copy_done()], b"Z"),
            ],
        ),
        (
            "everything comes at once",
            vec![(vec![query(COPY), wrong(), late(), copy_done()], b"Z")],
        ),
        (
            "everything comes at once, and a request behind it",
            vec![(
                vec![query(COPY), wrong(), copy_done(), query("select 1")],
                b"ZZ",
            )],
        ),
        (
            "it does not even begin",
            vec![(
                vec![query("copy nosuch from stdin"), late(), copy_done()],
                b"Z",
            )],
        ),
        (
            "among other statements",
            vec![
                (vec![query("select 1; copy t from stdin; select 2")], b"G"),
                (vec![wrong(), late(), copy_done()], b"Z"),
            ],
        ),
        (
            "in a transaction",
            vec![
                (vec![query("begin")], b"Z"),
                (vec![query(COPY)], b"G"),
                (vec![wrong()], b"Z"),
                (vec![late(), copy_done(), query("select 1")], b"Z"),
                (vec![query("rollback")], b"Z"),
            ],
        ),
        (
            "extended, the end comes late",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong()], b"E"),
                (vec![late(), copy_done(), sync()], b"Z"),
            ],
        ),
        (
            "extended, it is given up late",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong()], b"E"),
                (vec![late(), copy_fail("changed my mind"), sync()], b"Z"),
            ],
        ),
        (
            "extended, a Sync is all that comes",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong()], b"E"),
                (vec![sync()], b"Z"),
                (vec![late(), copy_done()], b""),
            ],
        ),
        (
            "extended, what comes up to the Sync is dropped",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong()], b"E"),
                (
                    vec![
                        late(),
                        copy_done(),
                        query("select 1"),
                        unnamed("select 2", &[]),
                        sync(),
                    ],
                    b"Z",
                ),
            ],
        ),
        (
            "extended, everything comes at once",
            vec![(
                vec![
                    unnamed(COPY, &[]),
                    sync(),
                    wrong(),
                    late(),
                    copy_done(),
                    sync(),
                ],
                b"Z",
            )],
        ),
        (
            "extended, much comes while it fails",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong(), many(), copy_done(), sync()], b"Z"),
            ],
        ),
        (
            "extended, it does not even begin",
            vec![(
                vec![
                    unnamed("copy nosuch from stdin", &[]),
                    sync(),
                    late(),
                    copy_done(),
                    sync(),
                ],
                b"ZZ",
            )],
        ),
        (
            "extended, given up",
            vec![
                (vec![extended()], b"G"),
                (vec![late(), copy_fail("changed my mind"), sync()], b"Z"),
            ],
        ),
        (
            "extended, by a name",
            vec![
                (vec![parse("copies", COPY), sync()], b"Z"),
                (vec![bind("", "copies", &[]), execute("", 0), flush()], b"G"),
                (vec![wrong()], b"E"),
                (vec![copy_done(), sync()], b"Z"),
                (vec![bind("", "copies", &[]), execute("", 0), flush()], b"G"),
                (vec![late(), copy_done(), sync()], b"Z"),
                (vec![query("truncate t")], b"Z"),
            ],
        ),
        (
            "extended, a Sync behind the wrong data",
            vec![
                (vec![extended()], b"G"),
                (vec![wrong(), sync()], b"Z"),
                (vec![late(), copy_done(), sync()], b"Z"),
            ],
        ),
        (
            "extended, a Sync before the wrong data",
            vec![
                (vec![extended()], b"G"),
                (vec![late(), sync(), wrong(), copy_done(), sync()], b"Z"),
            ],
        ),
        (
            "a Sync behind the wrong data",
            vec![
                (vec![query(COPY)], b"G"),
                (vec![wrong(), sync()], b"ZZ"),
                (vec![late(), copy_done()], b""),
            ],
        ),
        (
            "a Sync behind the wrong data, in a transaction",
            vec![
                (vec![query("begin")], b"Z"),
                (vec![query(COPY)], b"G"),
                (vec![wrong(), sync()], b"ZZ"),
                (vec![copy_done(), query("rollback")], b"Z"),
            ],
        ),
    ]
}

fn hold(wire: &mut Wire, steps: &[Step]) -> Vec<Vec<Frame>> {
    let mut seen = Vec::new();
    for (messages, until) in steps {
        wire.send(&messages.concat());
        seen.extend(until.iter().map(|&tag| wire.until(tag)));
    }
    seen.push(wire.query("select count(*) from t"));
    seen
}

fn pids(observer: &mut Wire, stage: &Stage) -> Vec<String> {
    let sql = format!(
        "select pid from pg_stat_activity where datname = '{}' and application_name <> 'psql' \
         and backend_type = 'client backend'",
        stage.database
    );
    said(&observer.query(&sql))
}

#[test]
fn fact_38_a_copy_that_failed_is_read_to_its_end_and_costs_no_connection() {
    for mode in ["transaction", "session"] {
        let stage = Stage::new(&["--pool-size", "1", "--workers", "1", "--pool-mode", mode]);
        stage.directly("create table t (a int)");
        let mut observer = observer();
        stage.client().run("select 1");
        let served = pids(&mut observer, &stage);
        for (what, steps) in conversations() {
            let mut direct = stage.direct();
            let expected = hold(&mut direct, &steps);
            direct.bye();
            let mut wire = stage.client();
            println!("{what}, {mode}");
            let seen = hold(&mut wire, &steps);
            alike(&seen, &expected);
            if mode == "transaction" {
                // Not even while who copied is still there.
                assert_eq!(stage.client().value("select 1"), "1", "{what}");
            }
            wire.bye();
            assert_eq!(stage.client().value("select 1"), "1", "{what}");
            assert_eq!(pids(&mut observer, &stage), served, "{what}, {mode}");
        }
    }
}
