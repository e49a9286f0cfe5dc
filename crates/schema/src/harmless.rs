//! What of the server's own functions may be called on replicas, beyond those that only compute.
//!
//! A CHECK, an index or a domain's CHECK says the same everywhere or it is left out, so it may call nothing but functions
//! that are immutable. A default serves the rows that are made on the replica itself, so it may also ask for the time, for
//! chance, or who is there. Whatever is not named here stays on the server where it was written.

/// Immutable by the server's word, yet what they give depends on what else is in the database.
const UNLIKE_ELSEWHERE: &[&str] = &[
    "pg_partition_root",
    "pg_walfile_name",
    "pg_walfile_name_offset",
    "satisfies_hash_partition",
];

/// Not immutable, and yet they do no more than compute from their arguments, the settings, the clock and chance.
const IN_DEFAULTS: &[&str] = &[
    // The time, and chance.
    "clock_timestamp",
    "gen_random_uuid",
    "now",
    "random",
    "random_normal",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
    "uuidv4",
    "uuidv7",
    // Who is there.
    "current_database",
    "current_schema",
    "current_user",
    "getpgusername",
    "inet_client_addr",
    "pg_backend_pid",
    "pg_current_xact_id",
    "session_user",
    "system_user",
    "txid_current",
    // Reckoning with time zones.
    "age",
    "date",
    "date_add",
    "date_part",
    "date_subtract",
    "date_trunc",
    "extract",
    "interval_pl_timestamptz",
    "make_timestamptz",
    "overlaps",
    "time",
    "timestamp",
    "timestamptz",
    "timestamptz_mi_interval",
    "timestamptz_pl_interval",
    "timetz",
    "timezone",
    // Forms of values that depend on settings.
    "array_in",
    "array_out",
    "cash_in",
    "cash_out",
    "date_in",
    "date_out",
    "enum_in",
    "enum_out",
    "interval_in",
    "interval_out",
    "money",
    "multirange_in",
    "multirange_out",
    "numeric",
    "range_in",
    "range_out",
    "time_in",
    "timestamp_in",
    "timestamp_out",
    "timestamptz_in",
    "timestamptz_out",
    "timetz_in",
    "to_char",
    "to_date",
    "to_number",
    "to_timestamp",
    "xml_in",
    // Texts and documents made of values.
    "anytextcat",
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "enum_first",
    "enum_last",
    "enum_range",
    "format",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "textanycat",
    "to_json",
    "to_jsonb",
    "to_tsquery",
    "to_tsvector",
];

/// Functions of extensions that do no more than give another value at each call: extension and name.
const OF_EXTENSIONS: &[(&str, &str)] = &[
    ("pgcrypto", "gen_random_bytes"),
    ("pgcrypto", "gen_random_uuid"),
    ("pgcrypto", "gen_salt"),
    ("uuid-ossp", "uuid_generate_v1"),
    ("uuid-ossp", "uuid_generate_v1mc"),
    ("uuid-ossp", "uuid_generate_v4"),
];

/// Whether a function of the server's own gives the same on every server for the same arguments.
pub fn only_computes(name: &str, is_immutable: bool) -> bool {
    is_immutable && !UNLIKE_ELSEWHERE.contains(&name)
}

/// Whether a default may call a function of the server's own that is not immutable.
pub fn in_defaults(name: &str) -> bool {
    IN_DEFAULTS.contains(&name) || compares_times(name)
}

/// Whether a default may call a function of that extension that is not immutable.
pub fn of_extension_in_defaults(extension: &str, name: &str) -> bool {
    OF_EXTENSIONS.contains(&(extension, name))
}

/// `timestamptz_lt_date`, `date_cmp_timestamptz` and their kin, which depend on the time zone.
fn compares_times(name: &str) -> bool {
    const COMPARISONS: &[&str] = &["cmp", "eq", "ge", "gt", "le", "lt", "ne"];
    const TIMES: &[&str] = &["date", "timestamp", "timestamptz"];
    match name.split('_').collect::<Vec<_>>().as_slice() {
        [left, comparison, right] => {
            TIMES.contains(left) && COMPARISONS.contains(comparison) && TIMES.contains(right)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_or_tells_is_on_no_list() {
        for name in [
            "current_setting",
            "set_config",
            "query_to_xml",
            "table_to_xml",
            "database_to_xml",
            "lo_export",
            "lo_from_bytea",
            "lo_get",
            "loread",
            "pg_read_file",
            "pg_read_binary_file",
            "pg_ls_dir",
            "pg_stat_file",
            "pg_sleep",
            "pg_advisory_lock",
            "pg_try_advisory_xact_lock",
            "pg_notify",
            "pg_terminate_backend",
            "pg_stat_get_wal_receiver",
            "has_table_privilege",
            "pg_get_viewdef",
            "setval",
            "lastval",
            "currval",
            "nextval",
            "ts_headline",
            "domain_in",
            "record_in",
            "regclassin",
            "regclass",
            "to_regclass",
            "version",
            "pg_relation_filepath",
            "convert_from",
            "row_to_json",
        ] {
            assert!(!in_defaults(name), "{name}");
            assert!(!only_computes(name, false), "{name}");
        }
        for name in UNLIKE_ELSEWHERE {
            assert!(!only_computes(name, true), "{name}");
        }
    }

    #[test]
    fn clocks_and_chance_are() {
        for name in [
            "now",
            "gen_random_uuid",
            "date_trunc",
            "timestamptz_lt_date",
        ] {
            assert!(in_defaults(name), "{name}");
        }
        assert!(only_computes("lower", true));
        assert!(of_extension_in_defaults("uuid-ossp", "uuid_generate_v4"));
        assert!(!of_extension_in_defaults("dblink", "dblink_exec"));
        assert!(!of_extension_in_defaults("mine", "uuid_generate_v4"));
        assert!(!in_defaults("date_lt_regclass"));
    }
}
