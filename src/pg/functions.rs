//! The functions that the library exports: the C symbols that sql/*.sql names, each with the Rust function behind it.

use super::entry::entry;
use crate::api;

entry!(
    electric_enable,
    pg_finfo_electric_enable,
    api::enable::call_enable,
    (REGCLASSARRAYOID) -> VOIDOID
);
entry!(
    electric_disable,
    pg_finfo_electric_disable,
    api::enable::call_disable,
    (REGCLASSOID) -> VOIDOID
);
entry!(
    electric_electrify,
    pg_finfo_electric_electrify,
    api::enable::electrify,
    (TEXTOID) -> VOIDOID
);
entry!(
    electric_electrify_in_schema,
    pg_finfo_electric_electrify_in_schema,
    api::enable::electrify_in_schema,
    (TEXTOID, TEXTOID) -> VOIDOID
);
entry!(
    electric_on_command_start,
    pg_finfo_electric_on_command_start,
    api::events::on_command_start,
    () -> EVENT_TRIGGEROID
);
entry!(
    electric_on_command_end,
    pg_finfo_electric_on_command_end,
    api::events::on_command_end,
    () -> EVENT_TRIGGEROID
);
entry!(
    electric_check,
    pg_finfo_electric_check,
    api::check::check,
    (TEXTOID) -> RECORDOID, set
);
entry!(
    electric_drift,
    pg_finfo_electric_drift,
    api::check::drift,
    () -> RECORDOID, set
);
entry!(
    electric_on_table_rewrite,
    pg_finfo_electric_on_table_rewrite,
    api::events::on_table_rewrite,
    () -> EVENT_TRIGGEROID
);
entry!(
    electric_protect,
    pg_finfo_electric_protect,
    api::events::protect,
    () -> TRIGGEROID
);
// What the functions of 0.1.0 name.
entry!(
    electric_protect_history,
    pg_finfo_electric_protect_history,
    api::events::protect,
    () -> TRIGGEROID
);
entry!(
    electric_list_changed,
    pg_finfo_electric_list_changed,
    api::events::list_changed,
    () -> TRIGGEROID
);
entry!(
    electric_status,
    pg_finfo_electric_status,
    api::status::status,
    () -> JSONBOID
);
entry!(
    electric_set_migration_version,
    pg_finfo_electric_set_migration_version,
    api::versions::set_migration_version,
    (TEXTOID) -> VOIDOID
);
entry!(
    electric_introspect,
    pg_finfo_electric_introspect,
    api::introspect::introspect,
    (TEXTOID) -> JSONBOID
);
entry!(
    electric_schema_sql,
    pg_finfo_electric_schema_sql,
    api::introspect::schema_sql,
    (TEXTOID, TEXTOID) -> TEXTOID, set
);
entry!(
    electric_migrations_since,
    pg_finfo_electric_migrations_since,
    api::introspect::migrations_since,
    (TEXTOID, TEXTOID) -> RECORDOID, set
);
entry!(
    electric_diagram,
    pg_finfo_electric_diagram,
    api::introspect::diagram,
    () -> TEXTOID
);
entry!(
    electric_ddlx,
    pg_finfo_electric_ddlx,
    api::ddlx::ddlx,
    (TEXTOID) -> TEXTOID, set
);
entry!(
    electric_grant,
    pg_finfo_electric_grant,
    api::permissions::grant,
    (TEXTOID, REGCLASSOID, TEXTOID, REGCLASSOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID) -> VOIDOID
);
entry!(
    electric_revoke,
    pg_finfo_electric_revoke,
    api::permissions::revoke,
    (TEXTOID, REGCLASSOID, TEXTOID, REGCLASSOID, TEXTARRAYOID) -> VOIDOID
);
entry!(
    electric_assign,
    pg_finfo_electric_assign,
    api::permissions::assign,
    (REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, REGCLASSOID, TEXTARRAYOID, TEXTOID) -> VOIDOID
);
entry!(
    electric_unassign,
    pg_finfo_electric_unassign,
    api::permissions::unassign,
    (REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, REGCLASSOID) -> VOIDOID
);
entry!(
    electric_subscribe,
    pg_finfo_electric_subscribe,
    api::subscribe::subscribe,
    (TEXTOID, TEXTOID) -> VOIDOID
);
entry!(
    electric_unsubscribe,
    pg_finfo_electric_unsubscribe,
    api::subscribe::unsubscribe,
    (TEXTOID) -> VOIDOID
);
entry!(
    electric_unblock,
    pg_finfo_electric_unblock,
    api::subscribe::unblock,
    (TEXTOID) -> VOIDOID
);
entry!(
    electric_take_over,
    pg_finfo_electric_take_over,
    crate::follow::takeover::take_over,
    () -> VOIDOID
);
entry!(
    electric_on_replicated_command,
    pg_finfo_electric_on_replicated_command,
    api::events::on_replicated_command,
    () -> TRIGGEROID
);

entry!(
    electric_only_own_privileges,
    pg_finfo_electric_only_own_privileges,
    api::privileges::only_own,
    (BOOLOID) -> VOIDOID
);

// What only the SQL of 0.1.0 names.
entry!(
    electric_check_report,
    pg_finfo_electric_check_report,
    api::earlier::check_report,
    (TEXTOID) -> JSONBOID
);
entry!(
    electric_drift_report,
    pg_finfo_electric_drift_report,
    api::earlier::drift_report,
    () -> JSONBOID
);
entry!(
    electric_run_ddlx,
    pg_finfo_electric_run_ddlx,
    api::earlier::run_ddlx,
    (TEXTOID) -> TEXTARRAYOID
);
entry!(
    electric_schema_statements,
    pg_finfo_electric_schema_statements,
    api::earlier::schema_statements,
    (TEXTOID, TEXTOID) -> TEXTARRAYOID
);
entry!(
    electric_last_command,
    pg_finfo_electric_last_command,
    api::earlier::last_command,
    (TEXTOID) -> INT8OID
);
entry!(
    electric_is_sqlite,
    pg_finfo_electric_is_sqlite,
    api::earlier::is_sqlite,
    (TEXTOID) -> BOOLOID
);
