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

-- The schema, as it is and as it was.
CREATE FUNCTION electric.introspect(version text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_introspect';
COMMENT ON FUNCTION electric.introspect(text) IS
    'The electrified schema as JSON, at a version of electric.migrations or now';

CREATE FUNCTION electric.schema_statements(dialect text, version text) RETURNS text[]
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_schema_statements';
COMMENT ON FUNCTION electric.schema_statements(text, text) IS 'electric.schema_sql as an array';

CREATE FUNCTION electric.schema_sql(dialect text DEFAULT 'sqlite', version text DEFAULT NULL) RETURNS SETOF text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT pg_catalog.unnest(electric.schema_statements($1, $2));
END;
COMMENT ON FUNCTION electric.schema_sql(text, text) IS
    'Statements that build an empty replica, in SQLite''s or Postgres'' words, at a version or now';

CREATE FUNCTION electric.last_command(version text) RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_last_command';
COMMENT ON FUNCTION electric.last_command(text) IS
    'Id of the last DDL command of a migration; 0 for no migration';

CREATE FUNCTION electric.is_sqlite(dialect text) RETURNS boolean
    LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'electric_is_sqlite';
COMMENT ON FUNCTION electric.is_sqlite(text) IS 'Whether the dialect is sqlite rather than postgres; another is an error';

CREATE FUNCTION electric.migrations_since(version text DEFAULT NULL, dialect text DEFAULT 'sqlite')
    RETURNS TABLE (migration_id bigint, version text, command_id bigint, statement text)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.migration_id, m.version, c.id, s.statement
    FROM electric.ddl_commands AS c
    JOIN electric.migrations AS m ON m.id = c.migration_id
    CROSS JOIN LATERAL pg_catalog.unnest(CASE WHEN electric.is_sqlite($2) THEN c.sqlite ELSE c.postgres END)
        WITH ORDINALITY AS s (statement, place)
    WHERE c.id > electric.last_command($1)
    ORDER BY c.id, s.place;
END;
COMMENT ON FUNCTION electric.migrations_since(text, text) IS
    'The statements after a version, in order: what a replica that has that version must run';
