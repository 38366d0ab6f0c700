//! What the functions do that every Postgres has, and those that none of its labels give away.
//!
//! By name alone, whatever schema is written and whatever overload is meant: `denied` has the
//! lists that stand whatever the server's catalog says, `table` what Postgres 15 to 18 say of
//! the rest in their `pg_proc`. `tests/live` holds both to the servers it finds.

mod denied;
mod table;

use denied::{DENIED, DENIED_PREFIXES, SERVER, SERVER_PREFIXES};
use table::{PASSING, VOLATILE};

/// What is known of a function by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Every overload of it is free of effects, and answers the same on every server.
    Passes,
    /// On the silent list: a standby would do it, with the wrong effect.
    Denied,
    /// Its answer names the server.
    Server,
    /// Volatile, and not known to be harmless.
    Volatile,
}

/// Volatile, and harmless all the same; sorted.
const HARMLESS: &[&str] = &[
    // Reads catalogs, which all servers share.
    "amvalidate",
    // Throws dice.
    "array_sample",
    "array_shuffle",
    // A method of TABLESAMPLE.
    "bernoulli",
    "clock_timestamp",
    // The session's own text.
    "current_query",
    "gen_random_uuid",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    // Dice: after a setseed() the session keeps its connection.
    "random",
    "random_normal",
    // The other method of TABLESAMPLE.
    "system",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// What the server's own function of this name does; `None`: it has none. The name is the one
/// the server uses: lower case where it was not quoted.
pub fn builtin(name: &[u8]) -> Option<Builtin> {
    if has(DENIED, name) || begins(DENIED_PREFIXES, name) {
        Some(Builtin::Denied)
    } else if has(SERVER, name) || begins(SERVER_PREFIXES, name) {
        Some(Builtin::Server)
    } else if has(PASSING, name) || has(HARMLESS, name) {
        Some(Builtin::Passes)
    } else if has(VOLATILE, name) {
        Some(Builtin::Volatile)
    } else {
        None
    }
}

/// Whether the server's own function of this name passes though its label says volatile.
pub fn harmless(name: &[u8]) -> bool {
    has(HARMLESS, name)
}

/// Whether this is a relation of the system, as far as names tell: `pg_…` without a schema, and
/// whatever a schema of the system holds. Nobody can make a schema that begins with `pg_`; who
/// calls a table so has it taken for the system's.
pub fn system_relation(schema: Option<&[u8]>, name: &[u8]) -> bool {
    match schema {
        Some(schema) => schema.starts_with(b"pg_") || schema == b"information_schema",
        None => name.starts_with(b"pg_"),
    }
}

fn has(sorted: &[&str], name: &[u8]) -> bool {
    sorted
        .binary_search_by(|known| known.as_bytes().cmp(name))
        .is_ok()
}

fn begins(prefixes: &[&str], name: &[u8]) -> bool {
    prefixes
        .iter()
        .any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_name_nothing_twice() {
        for list in [DENIED, SERVER, PASSING, VOLATILE, HARMLESS] {
            for pair in list.windows(2) {
                assert!(pair.first() < pair.last(), "{pair:?}");
            }
        }
    }

    #[test]
    fn no_name_is_on_two_lists() {
        for name in PASSING.iter().chain(VOLATILE).chain(HARMLESS) {
            let bytes = name.as_bytes();
            let refused = has(DENIED, bytes) || begins(DENIED_PREFIXES, bytes);
            let named = has(SERVER, bytes) || begins(SERVER_PREFIXES, bytes);
            assert!(!refused && !named, "{name}");
        }
        for name in SERVER {
            let bytes = name.as_bytes();
            assert!(!has(DENIED, bytes) && !begins(DENIED_PREFIXES, bytes));
        }
        for name in VOLATILE {
            let bytes = name.as_bytes();
            assert!(!has(PASSING, bytes) && !has(HARMLESS, bytes), "{name}");
        }
    }

    /// Every entry of the silent list as the design has it. `…` stands for any ending.
    const SILENT: &[&str] = &[
        "pg_advisory_…",
        "pg_try_advisory_…",
        "set_config",
        "setseed",
        "nextval",
        "setval",
        "currval",
        "lastval",
        "pg_terminate_backend",
        "pg_cancel_backend",
        "pg_reload_conf",
        "pg_rotate_logfile…",
        "pg_log_backend_memory_contexts",
        "pg_promote",
        "pg_wal_replay_…",
        "pg_stat_reset…",
        "pg_export_snapshot",
        "pg_create_physical_replication_slot",
        "pg_create_logical_replication_slot",
        "pg_copy_physical_replication_slot",
        "pg_copy_logical_replication_slot",
        "pg_drop_replication_slot",
        "pg_replication_slot_advance",
        "pg_logical_slot_get_changes",
        "pg_logical_slot_get_binary_changes",
        "pg_logical_slot_peek_changes",
        "pg_logical_slot_peek_binary_changes",
        "pg_sync_replication_slots",
        "pg_replication_origin_…",
        "pg_logical_emit_message",
        "dblink…",
        "lo_…",
        "loread",
        "lowrite",
        "pg_read_file",
        "pg_read_binary_file",
        "pg_ls_…",
        "pg_stat_file",
        "query_to_xml…",
        "cursor_to_xml…",
        "table_to_xml…",
        "schema_to_xml…",
        "database_to_xml…",
        "ts_stat",
        "ts_rewrite",
        "pg_notify",
        "txid_current…",
        "pg_current_xact_id…",
    ];

    #[test]
    fn every_name_of_the_silent_list_is_denied() {
        for entry in SILENT {
            let name = entry.trim_end_matches('…');
            assert_eq!(builtin(name.as_bytes()), Some(Builtin::Denied), "{entry}");
            if entry.ends_with('…') {
                let longer = format!("{name}whatever");
                assert_eq!(builtin(longer.as_bytes()), Some(Builtin::Denied), "{entry}");
            }
        }
    }

    #[test]
    fn what_names_the_server_says_so() {
        for name in [
            "pg_is_in_recovery",
            "pg_last_wal_replay_lsn",
            "pg_last_xact_replay_timestamp",
            "pg_current_wal_lsn",
            "inet_server_addr",
            "inet_client_port",
            "pg_backend_pid",
            "pg_stat_get_activity",
            "pg_lock_status",
            "pg_postmaster_start_time",
            "pg_conf_load_time",
            "pg_control_system",
            "pg_blocking_pids",
            "pg_listening_channels",
            "pg_notification_queue_usage",
            "pg_is_wal_replay_paused",
            "pg_get_wal_replay_pause_state",
            "pg_my_temp_schema",
            "current_setting",
            "pg_current_snapshot",
            "pg_database_size",
        ] {
            assert_eq!(builtin(name.as_bytes()), Some(Builtin::Server), "{name}");
        }
    }

    #[test]
    fn what_applications_call_passes() {
        for name in [
            "now",
            "lower",
            "count",
            "sum",
            "array_agg",
            "random",
            "pg_sleep",
            "version",
            "clock_timestamp",
            "gen_random_uuid",
            "uuidv7",
            "format_type",
            "pg_get_viewdef",
            "to_tsvector",
            "jsonb_path_query",
            "generate_series",
            "age",
            "row_number",
        ] {
            assert_eq!(builtin(name.as_bytes()), Some(Builtin::Passes), "{name}");
        }
    }

    #[test]
    fn a_name_of_nobody_is_not_known() {
        for name in ["", "nosuch", "LOWER", "uuid_generate_v4", "pg_nosuch"] {
            assert_eq!(builtin(name.as_bytes()), None, "{name}");
        }
        assert_eq!(builtin(b"\xff\0"), None);
    }

    #[test]
    fn relations_of_the_system_are_known_by_name() {
        assert!(system_relation(None, b"pg_class"));
        assert!(system_relation(Some(b"pg_catalog"), b"whatever"));
        assert!(system_relation(Some(b"pg_toast"), b"pg_toast_1"));
        assert!(system_relation(Some(b"information_schema"), b"tables"));
        assert!(!system_relation(None, b"tables"));
        assert!(!system_relation(Some(b"public"), b"pg_class"));
    }
}
