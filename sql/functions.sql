-- What users call. The library's functions check who calls them; see the comments there.
CREATE FUNCTION electric.enable(VARIADIC relations regclass[]) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'electric_enable';
COMMENT ON FUNCTION electric.enable(regclass[]) IS
    'Electrify tables: record their shape, publish them, and watch over their migrations from here on';

CREATE FUNCTION electric.disable(relation regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'electric_disable';
COMMENT ON FUNCTION electric.disable(regclass) IS
    'Take a table out of replication; replicas drop it or keep it as an ordinary table';

CREATE FUNCTION electric.set_migration_version(version text) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_set_migration_version';
COMMENT ON FUNCTION electric.set_migration_version(text) IS
    'Name the migration of this transaction, also before its first command';

CREATE FUNCTION electric.status() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'electric_status';
COMMENT ON FUNCTION electric.status() IS
    'Current version and hash, counts, publication and settings';

-- Kept from the earlier system.
CREATE PROCEDURE electric.electrify(name text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_electrify';
COMMENT ON PROCEDURE electric.electrify(text) IS
    'Electrify a table: a name without a dot is taken as it is, one with a dot as SQL reads it';

CREATE PROCEDURE electric.electrify(schema text, name text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_electrify_in_schema';
COMMENT ON PROCEDURE electric.electrify(text, text) IS
    'Electrify a table; both names are taken as they are';

CREATE PROCEDURE electric.migration_version(version text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_set_migration_version';
COMMENT ON PROCEDURE electric.migration_version(text) IS
    'Name the migration of this transaction: electric.set_migration_version as a procedure';

-- What would happen, and what happened behind our back. The SQL functions make tables of what the library reports.
CREATE FUNCTION electric.check_report(sql text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'electric_check_report';
COMMENT ON FUNCTION electric.check_report(text) IS 'electric.check as JSON';

CREATE FUNCTION electric.check(sql text)
    RETURNS TABLE (seq int, statement text, verdict text, reason text, hint text)
    LANGUAGE sql VOLATILE STRICT AS $$
    SELECT r.seq, r.statement, r.verdict, r.reason, r.hint
    FROM pg_catalog.jsonb_to_recordset(electric.check_report($1))
        AS r (seq int, statement text, verdict text, reason text, hint text)
    ORDER BY r.seq
$$;
COMMENT ON FUNCTION electric.check(text) IS
    'What would happen to each statement of a script: captured, allowed, refused or error; nothing stays';

CREATE FUNCTION electric.drift_report() RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_drift_report';
COMMENT ON FUNCTION electric.drift_report() IS 'electric.drift as JSON';

CREATE FUNCTION electric.drift()
    RETURNS TABLE (relation text, problem text, recorded jsonb, actual jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT r.relation, r.problem, r.recorded, r.actual
    FROM pg_catalog.jsonb_to_recordset(electric.drift_report())
        AS r (relation text, problem text, recorded jsonb, actual jsonb)
    ORDER BY r.relation
$$;
COMMENT ON FUNCTION electric.drift() IS
    'Electrified tables whose catalog is not what is recorded: after catalog surgery, or with event triggers disabled';
