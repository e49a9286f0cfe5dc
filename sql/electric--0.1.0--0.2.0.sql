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
CREATE TABLE electric.stream_objects (
    relation regclass NOT NULL,
    type regtype NOT NULL,
    CONSTRAINT stream_objects_pkey PRIMARY KEY (relation, type)
);
COMMENT ON TABLE electric.stream_objects IS 'What the subscription made here: nothing else is changed, dropped or written by it';
COMMENT ON COLUMN electric.stream_objects.relation IS 'A table or sequence';
COMMENT ON COLUMN electric.stream_objects.type IS 'An enum, domain or range';
CREATE TABLE electric.blocked (
    relation text COLLATE pg_catalog."C" CONSTRAINT blocked_pkey PRIMARY KEY,
    reason text NOT NULL,
    command bigint NOT NULL,
    since timestamptz NOT NULL
);
COMMENT ON TABLE electric.blocked IS 'Tables and types of the publisher that are passed over here, because something is in their way';
COMMENT ON COLUMN electric.blocked.relation IS 'The table, or the type, as schema.name quoted as needed';
COMMENT ON COLUMN electric.blocked.reason IS 'What is in the way';
COMMENT ON COLUMN electric.blocked.command IS 'The command that could not be done (electric.ddl_commands.id)';
COMMENT ON COLUMN electric.blocked.since IS 'Since when';
GRANT SELECT ON electric.stream_objects, electric.blocked TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('electric.stream_objects', '');
SELECT pg_catalog.pg_extension_config_dump('electric.blocked', '');

-- What goes over to replicas, and what is evaluated.

-- Limits, and what is told.
