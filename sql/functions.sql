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

-- Postgres subscribers.
CREATE PROCEDURE electric.subscribe(conninfo text, name text DEFAULT 'electric')
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_subscribe';
COMMENT ON PROCEDURE electric.subscribe(text, text) IS
    'Make this database a replica of another: its electrified tables with their rows, and every change from then on';

CREATE PROCEDURE electric.unsubscribe(name text DEFAULT 'electric')
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_unsubscribe';
COMMENT ON PROCEDURE electric.unsubscribe(text) IS
    'End what electric.subscribe began; the tables stay, as ordinary ones';

CREATE PROCEDURE electric.unblock(name text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_unblock';
COMMENT ON PROCEDURE electric.unblock(text) IS
    'Make a table of the publisher that was passed over because something was in its way, and what references it';

-- What would happen, and what happened behind our back.
CREATE FUNCTION electric.check(sql text)
    RETURNS TABLE (seq int, statement text, verdict text, reason text, hint text)
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'electric_check';
COMMENT ON FUNCTION electric.check(text) IS
    'What would happen to each statement of a script: captured, allowed, refused or error; nothing stays';

CREATE FUNCTION electric.drift()
    RETURNS TABLE (relation text, problem text, recorded jsonb, actual jsonb)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_drift';
COMMENT ON FUNCTION electric.drift() IS
    'Electrified tables whose catalog is not what is recorded: after catalog surgery, or with event triggers disabled';

-- DDLX, and the same as functions.
CREATE FUNCTION electric.ddlx(statements text) RETURNS SETOF text
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_ddlx';
COMMENT ON FUNCTION electric.ddlx(text) IS
    'Run DDLX statements, such as ALTER TABLE items ENABLE ELECTRIC; gives a completion tag for each';

CREATE FUNCTION electric.grant(
    privileges text, relation regclass, role text, scope regclass DEFAULT NULL, columns text[] DEFAULT NULL,
    using_path text[] DEFAULT NULL, condition text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_grant';
COMMENT ON FUNCTION electric.grant(text, regclass, text, regclass, text[], text[], text) IS
    'Let clients do something to a table: ELECTRIC GRANT as a function';

CREATE FUNCTION electric.revoke(
    privileges text, relation regclass, role text, scope regclass DEFAULT NULL, columns text[] DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_revoke';
COMMENT ON FUNCTION electric.revoke(text, regclass, text, regclass, text[]) IS
    'Take a privilege of clients away: ELECTRIC REVOKE as a function';

CREATE FUNCTION electric.assign(
    relation regclass, user_column text, role text DEFAULT NULL, role_column text DEFAULT NULL,
    scope regclass DEFAULT NULL, using_path text[] DEFAULT NULL, condition text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_assign';
COMMENT ON FUNCTION electric.assign(regclass, text, text, text, regclass, text[], text) IS
    'Let rows of a table give a role to users: ELECTRIC ASSIGN as a function';

CREATE FUNCTION electric.unassign(
    relation regclass, user_column text, role text DEFAULT NULL, role_column text DEFAULT NULL,
    scope regclass DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_unassign';
COMMENT ON FUNCTION electric.unassign(regclass, text, text, text, regclass) IS
    'Rows of a table no longer give a role: ELECTRIC UNASSIGN as a function';

-- The schema, as it is and as it was.
CREATE FUNCTION electric.introspect(version text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_introspect';
COMMENT ON FUNCTION electric.introspect(text) IS
    'The electrified schema as JSON, at a version of electric.migrations or now';

CREATE FUNCTION electric.schema_sql(dialect text DEFAULT 'sqlite', version text DEFAULT NULL) RETURNS SETOF text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_schema_sql';
COMMENT ON FUNCTION electric.schema_sql(text, text) IS
    'Statements that build an empty replica, in SQLite''s or Postgres'' words, at a version or now';

CREATE FUNCTION electric.migrations_since(version text DEFAULT NULL, dialect text DEFAULT 'sqlite')
    RETURNS TABLE (migration_id bigint, version text, command_id bigint, statement text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_migrations_since';
COMMENT ON FUNCTION electric.migrations_since(text, text) IS
    'The statements after a version, in order: what a replica that has that version must run';

CREATE FUNCTION electric.diagram() RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_diagram';
COMMENT ON FUNCTION electric.diagram() IS 'The electrified tables as a Mermaid entity-relationship diagram, for a README';

-- Where a person looks.
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

CREATE VIEW electric.tables AS
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
COMMENT ON VIEW electric.tables IS 'What is electrified';
COMMENT ON COLUMN electric.tables.relation IS 'The table';
COMMENT ON COLUMN electric.tables.sqlite_name IS 'Its name on SQLite replicas';
COMMENT ON COLUMN electric.tables.columns IS 'Number of columns';
COMMENT ON COLUMN electric.tables.indexes IS 'Number of indexes that back no constraint';
COMMENT ON COLUMN electric.tables.grants IS 'Number of privileges granted on it (electric.grants)';
COMMENT ON COLUMN electric.tables.last_command IS 'What happened to it last';
COMMENT ON COLUMN electric.tables.last_version IS 'In which migration';
COMMENT ON COLUMN electric.tables.last_change IS 'When that migration''s transaction began';

GRANT SELECT ON electric.history, electric.queries, electric.tables TO PUBLIC;
