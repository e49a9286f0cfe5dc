//! The functions that the library exports: the C symbols that sql/*.sql names, each with the Rust function behind it.

use super::entry::entry;
use crate::api;

entry!(
    electric_enable,
    pg_finfo_electric_enable,
    api::enable::call_enable
);
entry!(
    electric_disable,
    pg_finfo_electric_disable,
    api::enable::call_disable
);
entry!(
    electric_electrify,
    pg_finfo_electric_electrify,
    api::enable::electrify
);
entry!(
    electric_electrify_in_schema,
    pg_finfo_electric_electrify_in_schema,
    api::enable::electrify_in_schema
);
entry!(
    electric_on_command_start,
    pg_finfo_electric_on_command_start,
    api::events::on_command_start
);
entry!(
    electric_on_command_end,
    pg_finfo_electric_on_command_end,
    api::events::on_command_end
);
entry!(
    electric_on_table_rewrite,
    pg_finfo_electric_on_table_rewrite,
    api::events::on_table_rewrite
);
entry!(
    electric_protect_history,
    pg_finfo_electric_protect_history,
    api::events::protect_history
);
entry!(
    electric_status,
    pg_finfo_electric_status,
    api::status::status
);
entry!(
    electric_set_migration_version,
    pg_finfo_electric_set_migration_version,
    api::versions::set_migration_version
);
