//! What is known of the server's own functions, held to what servers say of them.

use pg_ambassador::{
    app::cluster::Cluster,
    sql::{Builtin, builtin},
};

use crate::support;

/// Volatile by the server's label, and let pass: dice, clocks, waiting, reads of catalogs.
const HARMLESS: &[&str] = &[
    "amvalidate",
    "array_sample",
    "array_shuffle",
    "bernoulli",
    "clock_timestamp",
    "current_query",
    "gen_random_uuid",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "system",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// What the silent list names: whatever it matches on a server is denied.
const SILENT: &str = "^(pg_advisory_|pg_try_advisory_|set_config$|setseed$|nextval$|setval$|currval$|\
    lastval$|pg_terminate_backend$|pg_cancel_backend$|pg_reload_conf$|pg_rotate_logfile|\
    pg_log_backend_memory_contexts$|pg_promote$|pg_wal_replay_|pg_stat_reset|\
    pg_export_snapshot$|pg_.*_slot$|pg_.*_slots$|pg_replication_slot|pg_logical_slot|pg_.*origin_|\
    pg_logical_emit_message$|dblink|lo_|loread$|lowrite$|pg_read_|pg_ls_|pg_stat_file$|\
    query_to_xml|cursor_to_xml|table_to_xml|schema_to_xml|database_to_xml|ts_stat$|ts_rewrite$|\
    pg_notify$|txid_current|pg_current_xact_id)";

/// What the silent list's patterns match though it only reads.
const READS: &[&str] = &[
    "pg_get_replication_slots",
    "pg_stat_get_replication_slot",
    "pg_show_replication_origin_status",
];

#[test]
fn no_function_passes_that_the_server_calls_volatile() {
    no_volatile_passes(support::cluster());
}

#[test]
#[ignore = "long: it wants Postgres 18"]
fn no_function_passes_that_postgres_18_calls_volatile() {
    support::cluster_18().iter().for_each(no_volatile_passes);
}

#[test]
fn every_function_passes_that_the_server_vouches_for_and_no_list_refuses() {
    all_vouched_pass(support::cluster());
}

#[test]
#[ignore = "long: it wants Postgres 18"]
fn every_function_passes_that_postgres_18_vouches_for() {
    support::cluster_18().iter().for_each(all_vouched_pass);
}

#[test]
fn what_the_silent_list_matches_on_the_server_is_denied() {
    silent_are_denied(support::cluster());
}

#[test]
#[ignore = "long: it wants Postgres 18"]
fn what_the_silent_list_matches_on_postgres_18_is_denied() {
    support::cluster_18().iter().for_each(silent_are_denied);
}

/// The names in `pg_catalog` whose overloads meet the condition.
fn names(cluster: &Cluster, having: &str) -> Vec<String> {
    let statement = format!(
        "select proname from pg_catalog.pg_proc \
         where pronamespace = 'pg_catalog'::regnamespace group by 1 having {having}"
    );
    let found = support::psql(cluster.port(), "postgres", &statement);
    assert!(!found.is_empty(), "{having}");
    found.lines().map(str::to_owned).collect()
}

fn no_volatile_passes(cluster: &Cluster) {
    for name in names(cluster, "bool_or(provolatile = 'v' or proparallel = 'u')") {
        let passes = builtin(name.as_bytes()) == Some(Builtin::Passes);
        assert_eq!(passes, HARMLESS.contains(&name.as_str()), "{name}");
    }
}

fn all_vouched_pass(cluster: &Cluster) {
    for name in names(
        cluster,
        "bool_and(provolatile <> 'v' and proparallel <> 'u')",
    ) {
        let Some(found) = builtin(name.as_bytes()) else {
            panic!("nothing is known of {name}");
        };
        // What is volatile or has gone in another version may be said of it, but not nothing.
        assert_ne!(found, Builtin::Volatile, "{name}");
    }
    for name in names(cluster, "true") {
        assert!(builtin(name.as_bytes()).is_some(), "{name}");
    }
}

fn silent_are_denied(cluster: &Cluster) {
    for name in names(cluster, &format!("proname ~ '{SILENT}'")) {
        let denied = builtin(name.as_bytes()) == Some(Builtin::Denied);
        assert_ne!(denied, READS.contains(&name.as_str()), "{name}");
    }
}
