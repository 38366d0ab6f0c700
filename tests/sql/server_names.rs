//! Does a statement name the server? Told by its words alone, so that it hangs on nothing under test.
//!
//! Where it is counted how many reads are recognised, statements are left out that no judge is to
//! call a read, though a standby runs them: what shows the server's own state is another on each,
//! and what is denied by name is denied whatever it does. That is a statement with a word in it,
//! whatever quotes or comments are around, that is
//! - a relation of `pg_catalog` or `information_schema`,
//! - a sequence: what a standby has of it is ahead of its values,
//! - one of the functions below: "What may run on a replica" lists them by these patterns.

use std::collections::HashSet;

use crate::{stand::Stand, support};

/// A `*` at its end stands for any end.
const FUNCTIONS: &[&str] = &[
    // Their answer names the server.
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_get_wal_replay_pause_state",
    "pg_last_wal_*",
    "pg_last_xact_replay_timestamp",
    "pg_last_committed_xact",
    "pg_current_wal_*",
    "inet_server_*",
    "pg_backend_pid",
    "pg_stat_*",
    "pg_my_temp_schema",
    "pg_is_other_temp_schema",
    "pg_postmaster_start_time",
    "pg_conf_load_time",
    "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids",
    "pg_listening_channels",
    "pg_lock_status",
    "pg_show_*",
    "pg_prepared_*",
    "pg_cursor",
    "pg_control_*",
    "pg_get_replication_slots",
    "pg_get_shmem_allocations",
    "pg_get_backend_memory_contexts",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_current_logfile",
    "pg_notification_queue_usage",
    "pg_jit_available",
    // Denied by name.
    "pg_advisory_*",
    "pg_try_advisory_*",
    "set_config",
    "setseed",
    "nextval",
    "setval",
    "currval",
    "lastval",
    "pg_sequence_last_value",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile*",
    "pg_log_backend_memory_contexts",
    "pg_promote",
    "pg_wal_replay_*",
    "pg_export_snapshot",
    "pg_create_*",
    "pg_drop_*",
    "pg_copy_*",
    "pg_replication_*",
    "pg_logical_*",
    "pg_sync_replication_slots",
    "pg_notify",
    "dblink*",
    "lo_*",
    "loread",
    "lowrite",
    "be_lo_*",
    "pg_read_*",
    "pg_ls_*",
    "pg_file_*",
    "query_to_xml*",
    "cursor_to_xml*",
    "table_to_xml*",
    "schema_to_xml*",
    "database_to_xml*",
    "ts_stat",
    "ts_rewrite",
    "txid_current*",
    "pg_current_xact_id*",
    "pg_current_snapshot",
    "pg_import_system_collations",
    "pg_switch_wal",
    "pg_walfile_*",
    "pg_backup_*",
    "pg_start_backup",
    "pg_stop_backup",
    "binary_upgrade_*",
];

/// Of these one would end the standby, or hold it up: they are never run.
const FATAL: &[&str] = &[
    "pg_promote",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_rotate_logfile",
    "pg_wal_replay_pause",
    "pg_reload_conf",
    "pg_switch_wal",
    "pg_import_system_collations",
];

/// The words that name the server.
pub struct Names {
    relations: HashSet<String>,
}

impl Names {
    pub fn of(stand: &Stand) -> Self {
        let ask = "select relname from pg_class c join pg_namespace n on n.oid = relnamespace \
                   where nspname in ('pg_catalog', 'information_schema', 'pg_toast') \
                   and relkind in ('r', 'v') or relkind = 'S'";
        let told = support::psql(stand.primary.port(), crate::stand::DATABASE, ask);
        let relations = told.lines().map(str::to_owned);
        // Words that everybody uses name a view only where the schema stands before them.
        let is_telling = |name: &String| name.contains('_');
        Self {
            relations: relations.filter(is_telling).collect(),
        }
    }

    /// Whether the text has such a word.
    pub fn are_in(&self, text: &str) -> bool {
        words(text).any(|word| {
            self.relations.contains(&word)
                || word == "information_schema"
                || word == "pg_toast"
                || FUNCTIONS.iter().any(|pattern| matches(&word, pattern))
        })
    }
}

/// Whether nobody should ever run this.
pub fn is_fatal(text: &str) -> bool {
    words(text).any(|word| FATAL.contains(&word.as_str()))
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.split(move |c| !is_part(c))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn matches(word: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == pattern,
    }
}
