-- Makes what 0.1.0 left in a database what CREATE EXTENSION makes in 0.2.0. Sections in the order in which they must run.

-- Membership: typed tables, functions without internal helpers.
CREATE OR REPLACE FUNCTION electric.check(sql text)
    RETURNS TABLE (seq int, statement text, verdict text, reason text, hint text)
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'electric_check';
CREATE OR REPLACE FUNCTION electric.drift()
    RETURNS TABLE (relation text, problem text, recorded jsonb, actual jsonb)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_drift';
CREATE OR REPLACE FUNCTION electric.ddlx(statements text) RETURNS SETOF text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_ddlx';
CREATE OR REPLACE FUNCTION electric.schema_sql(dialect text DEFAULT 'sqlite', version text DEFAULT NULL) RETURNS SETOF text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_schema_sql';
CREATE OR REPLACE FUNCTION electric.migrations_since(version text DEFAULT NULL, dialect text DEFAULT 'sqlite')
    RETURNS TABLE (migration_id bigint, version text, command_id bigint, statement text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_migrations_since';
DROP FUNCTION electric.check_report(text), electric.drift_report(), electric.run_ddlx(text),
    electric.schema_statements(text, text), electric.last_command(text), electric.is_sqlite(text);

-- Events and rights: what may write the tables of the extension.

-- Subscribers: without superuser.

-- What goes over to replicas, and what is evaluated.

-- Limits, and what is told.
