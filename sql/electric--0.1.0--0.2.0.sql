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
DROP TRIGGER protect_rows ON electric.migrations;
DROP TRIGGER protect_table ON electric.migrations;
DROP TRIGGER protect_rows ON electric.ddl_commands;
DROP TRIGGER protect_table ON electric.ddl_commands;
DROP FUNCTION electric.protect_history();
CREATE FUNCTION electric.protect() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_protect';
COMMENT ON FUNCTION electric.protect() IS 'Lets superusers alone write the tables of the extension, and nobody change the history';
CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.migrations
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.migrations
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.migrations ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.ddl_commands
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.ddl_commands
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.ddl_commands ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.grants
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.grants
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.grants ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.assignments
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.assignments
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.assignments ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.places
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.places
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.places ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.electrified
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.electrified
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.electrified ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.electrified_types
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.electrified_types
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.electrified_types ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.sqlite_names
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.sqlite_names
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.sqlite_names ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.subscriptions
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.subscriptions
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.subscriptions ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.frameworks
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.frameworks
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.frameworks ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

-- What fires them needs no privilege, and nobody else has a use for them.
REVOKE EXECUTE ON FUNCTION electric.protect(), electric.list_changed(), electric.on_replicated_command(),
    electric.on_command_start(), electric.on_command_end(), electric.on_table_rewrite() FROM PUBLIC;

-- Subscribers: without superuser.
CREATE TABLE electric.stream_objects (
    relation regclass NOT NULL,
    type regtype NOT NULL,
    CONSTRAINT stream_objects_pkey PRIMARY KEY (relation, type)
) USING heap;
COMMENT ON TABLE electric.stream_objects IS 'What the subscription made here: nothing else is changed, dropped or written by it';
COMMENT ON COLUMN electric.stream_objects.relation IS 'A table or sequence';
COMMENT ON COLUMN electric.stream_objects.type IS 'An enum, domain or range';
CREATE TABLE electric.blocked (
    relation text COLLATE pg_catalog."C" CONSTRAINT blocked_pkey PRIMARY KEY,
    reason text NOT NULL,
    command bigint NOT NULL,
    since timestamptz NOT NULL
) USING heap;
COMMENT ON TABLE electric.blocked IS 'Tables and types of the publisher that are passed over here, because something is in their way';
COMMENT ON COLUMN electric.blocked.relation IS 'The table, or the type, as schema.name quoted as needed';
COMMENT ON COLUMN electric.blocked.reason IS 'What is in the way';
COMMENT ON COLUMN electric.blocked.command IS 'The command that could not be done (electric.ddl_commands.id)';
COMMENT ON COLUMN electric.blocked.since IS 'Since when';
GRANT SELECT ON electric.stream_objects, electric.blocked TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('electric.stream_objects', '');
SELECT pg_catalog.pg_extension_config_dump('electric.blocked', '');
CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.stream_objects
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.stream_objects
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.stream_objects ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE INSERT OR UPDATE OR DELETE ON electric.blocked
    FOR EACH ROW EXECUTE FUNCTION electric.protect();
CREATE TRIGGER protect_table BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.blocked
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect();
ALTER TABLE electric.blocked ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;
CREATE PROCEDURE electric.unblock(name text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_unblock';
COMMENT ON PROCEDURE electric.unblock(text) IS
    'Make a table of the publisher that was passed over because something was in its way, and what references it';

-- What goes over to replicas, and what is evaluated.
CREATE OR REPLACE VIEW electric.tables AS
    SELECT e.relation,
           e.shape ->> 'sqlite_name' AS sqlite_name,
           -- A shape that was damaged keeps nobody from the others.
           CASE WHEN pg_catalog.json_typeof(e.shape -> 'columns') = 'array'
               THEN pg_catalog.json_array_length(e.shape -> 'columns') END AS columns,
           CASE WHEN pg_catalog.json_typeof(e.shape -> 'indexes') = 'array'
               THEN pg_catalog.json_array_length(e.shape -> 'indexes') END AS indexes,
           (SELECT pg_catalog.count(*) FROM electric.grants AS g
            WHERE g.table_schema = e.shape ->> 'schema' AND g.table_name = e.shape ->> 'name') AS grants,
           last.command AS last_command,
           last.version AS last_version,
           last.created_at AS last_change
    FROM electric.electrified AS e
    LEFT JOIN LATERAL (
        SELECT c.command, m.version, m.created_at
        FROM electric.ddl_commands AS c
        JOIN electric.migrations AS m ON m.id = c.migration_id
        WHERE c.relation = pg_catalog.quote_ident(e.shape ->> 'schema') || '.' || pg_catalog.quote_ident(e.shape ->> 'name')
        ORDER BY c.id DESC
        LIMIT 1
    ) AS last ON true
    ORDER BY e.shape ->> 'schema', e.shape ->> 'name';

-- Limits, and what is told.
-- A statement may hold what is not for everybody's eyes. Those who may read it do so in electric.queries.
REVOKE SELECT ON electric.ddl_commands FROM PUBLIC;
GRANT SELECT (id, migration_id, command, relation, postgres, sqlite, op, hash) ON electric.ddl_commands TO PUBLIC;

-- A view of a user's that is made of this one has to go first: it may show what this one does not show any more.
DROP VIEW electric.history;
CREATE VIEW electric.history AS
    SELECT c.id, m.version, m.source, m.created_at, c.command, c.relation
    FROM electric.ddl_commands AS c
    JOIN electric.migrations AS m ON m.id = c.migration_id
    ORDER BY c.id DESC;
COMMENT ON VIEW electric.history IS 'What happened, newest first';
COMMENT ON COLUMN electric.history.id IS 'The DDL command (electric.ddl_commands.id)';
COMMENT ON COLUMN electric.history.version IS 'The migration that it belongs to';
COMMENT ON COLUMN electric.history.source IS 'Where the version came from: auto, user, or a framework''s name';
COMMENT ON COLUMN electric.history.created_at IS 'When the migration''s transaction began';
COMMENT ON COLUMN electric.history.command IS 'What changed';
COMMENT ON COLUMN electric.history.relation IS 'Of which table or type';

-- The statements of a table are for its owner from when it was electrified: what was there before by its name was perhaps
-- somebody else's.
CREATE VIEW electric.queries WITH (security_barrier) AS
    WITH own AS MATERIALIZED (
        SELECT pg_catalog.format('%I.%I', e.shape ->> 'schema', e.shape ->> 'name') AS relation, t.relowner AS owner,
               ARRAY['create_table', 'replace_table'] AS commands
        FROM electric.electrified AS e
        JOIN pg_catalog.pg_class AS t ON t.oid = e.relation
        UNION ALL
        SELECT pg_catalog.format('%I.%I', e.definition ->> 'schema', e.definition ->> 'name'), t.typowner,
               ARRAY['create_type']
        FROM electric.electrified_types AS e
        JOIN pg_catalog.pg_type AS t ON t.oid = e.type
    )
    SELECT c.id, c.relation, c.query
    FROM electric.ddl_commands AS c
    LEFT JOIN (
        SELECT own.relation, pg_catalog.max(made.id) AS since
        FROM own
        JOIN electric.ddl_commands AS made ON made.relation = own.relation AND made.command = ANY (own.commands)
        WHERE pg_catalog.pg_has_role(own.owner, 'USAGE')
        GROUP BY own.relation
    ) AS mine ON mine.relation = c.relation
    WHERE c.id >= mine.since
       OR (SELECT r.rolsuper OR r.rolreplication
                  OR pg_catalog.pg_has_role(r.oid, 'pg_read_all_data'::pg_catalog.name, 'USAGE')
           FROM pg_catalog.pg_roles AS r
           WHERE r.rolname = CURRENT_USER);
COMMENT ON VIEW electric.queries IS
    'The statements that made the commands, for members of pg_read_all_data, roles with REPLICATION and owners';
COMMENT ON COLUMN electric.queries.id IS 'The DDL command (electric.ddl_commands.id)';
COMMENT ON COLUMN electric.queries.relation IS 'Of which table or type';
COMMENT ON COLUMN electric.queries.query IS 'The statement as it was issued, alone';

GRANT SELECT ON electric.history, electric.queries TO PUBLIC;

-- Privileges: what ALTER DEFAULT PRIVILEGES gave goes, here at the end.
CREATE FUNCTION electric.only_own_privileges(functions boolean) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_only_own_privileges';
SELECT electric.only_own_privileges(false);
DROP FUNCTION electric.only_own_privileges(boolean);

-- Last, because it grants what the sections before would take away.
-- A subscription applied as superuser. It goes on as a role that may do nothing but own what it makes.
CREATE FUNCTION electric.take_over() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'electric_take_over';
SELECT electric.take_over();
DROP FUNCTION electric.take_over();
