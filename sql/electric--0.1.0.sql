-- The released install script of version 0.1.0, as it was: databases that have it are updated from here.
-- The records, and what is remembered to make them. What is indexed is compared byte by byte: that is fastest, and stays
-- so when the operating system brings another version of its collations.
CREATE SCHEMA electric;
COMMENT ON SCHEMA electric IS 'Electric: migration records, and the functions that switch tables on';
GRANT USAGE ON SCHEMA electric TO PUBLIC;

CREATE TABLE electric.migrations (
    id bigint CONSTRAINT migrations_pkey PRIMARY KEY,
    version text COLLATE pg_catalog."C" NOT NULL CONSTRAINT migrations_version_key UNIQUE,
    source text NOT NULL,
    framework text,
    framework_version text,
    xid xid8 NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE electric.migrations IS 'Migrations of electrified tables, in commit order; append-only';
COMMENT ON COLUMN electric.migrations.id IS 'Gapless, in commit order';
COMMENT ON COLUMN electric.migrations.version IS 'Unique, final at commit; versions are compared by id, never as text';
COMMENT ON COLUMN electric.migrations.source IS 'Where the version came from: auto, user, or a framework''s name';
COMMENT ON COLUMN electric.migrations.framework IS 'The migration framework that ran it, where known';
COMMENT ON COLUMN electric.migrations.framework_version IS 'The version in that framework''s own bookkeeping, where known';
COMMENT ON COLUMN electric.migrations.xid IS 'The transaction that made it';
COMMENT ON COLUMN electric.migrations.created_at IS 'When that transaction began';

CREATE TABLE electric.ddl_commands (
    id bigint CONSTRAINT ddl_commands_pkey PRIMARY KEY,
    migration_id bigint NOT NULL,
    command text COLLATE pg_catalog."C" NOT NULL,
    relation text COLLATE pg_catalog."C" NOT NULL,
    query text NOT NULL,
    postgres text[] NOT NULL,
    sqlite text[] NOT NULL,
    op jsonb NOT NULL,
    hash text NOT NULL
-- Compressing an op would cost more than all else that writes it.
) WITH (toast_tuple_target = 8160);
CREATE INDEX ddl_commands_relation_idx ON electric.ddl_commands (relation, id);
CREATE INDEX ddl_commands_command_idx ON electric.ddl_commands (command, relation, id);
COMMENT ON TABLE electric.ddl_commands IS 'Every change of an electrified table, one row each, in the order they happened; append-only';
COMMENT ON COLUMN electric.ddl_commands.id IS 'Gapless, in commit order and within a transaction in execution order';
COMMENT ON COLUMN electric.ddl_commands.migration_id IS 'The migration it belongs to (electric.migrations.id)';
COMMENT ON COLUMN electric.ddl_commands.command IS 'What changed: create_table, add_column, create_index, …';
COMMENT ON COLUMN electric.ddl_commands.relation IS 'The table, or the type, as schema.name quoted as needed';
COMMENT ON COLUMN electric.ddl_commands.query IS 'The statement as it was issued, alone';
COMMENT ON COLUMN electric.ddl_commands.postgres IS 'The change as canonical Postgres statements';
COMMENT ON COLUMN electric.ddl_commands.sqlite IS 'The change as SQLite statements; empty where SQLite needs none';
COMMENT ON COLUMN electric.ddl_commands.op IS 'The change, machine-readable, with the table that results';
COMMENT ON COLUMN electric.ddl_commands.hash IS 'SHA-256 over the previous hash and this op: a chain that a replica can verify';

CREATE TABLE electric.grants (
    table_schema text COLLATE pg_catalog."C" NOT NULL,
    table_name text COLLATE pg_catalog."C" NOT NULL,
    privilege text COLLATE pg_catalog."C" NOT NULL,
    grantee text COLLATE pg_catalog."C" NOT NULL,
    role text COLLATE pg_catalog."C",
    scope_schema text COLLATE pg_catalog."C",
    scope_table text COLLATE pg_catalog."C",
    columns text[],
    using_path text[],
    condition text
);
CREATE UNIQUE INDEX grants_key ON electric.grants
    (table_schema, table_name, privilege, grantee, role, scope_schema, scope_table) NULLS NOT DISTINCT;
ALTER TABLE electric.grants REPLICA IDENTITY FULL;
COMMENT ON TABLE electric.grants IS 'Privileges of clients on electrified tables, one row per privilege, table and role';

CREATE TABLE electric.assignments (
    table_schema text COLLATE pg_catalog."C" NOT NULL,
    table_name text COLLATE pg_catalog."C" NOT NULL,
    user_column text COLLATE pg_catalog."C" NOT NULL,
    role text COLLATE pg_catalog."C",
    role_column text COLLATE pg_catalog."C",
    scope_schema text COLLATE pg_catalog."C",
    scope_table text COLLATE pg_catalog."C",
    using_path text[],
    condition text
);
CREATE UNIQUE INDEX assignments_key ON electric.assignments
    (table_schema, table_name, user_column, role, role_column, scope_schema, scope_table) NULLS NOT DISTINCT;
ALTER TABLE electric.assignments REPLICA IDENTITY FULL;
COMMENT ON TABLE electric.assignments IS 'How rows of electrified tables give roles to users';

-- The list that every session reads, which is short beside the shapes.
CREATE TABLE electric.places (
    relation regclass CONSTRAINT places_pkey PRIMARY KEY,
    place text COLLATE pg_catalog."C" NOT NULL
);
COMMENT ON TABLE electric.places IS 'The electrified tables, and where the ids of their parts were recorded';
COMMENT ON COLUMN electric.places.place IS 'Server, database and table: elsewhere the ids say nothing';

CREATE TABLE electric.electrified (
    relation regclass CONSTRAINT electrified_pkey PRIMARY KEY,
    shape json NOT NULL,
    identity json NOT NULL
-- Compressing a shape, or moving it out of line, would cost more than all else that writes it.
) WITH (toast_tuple_target = 8160);
COMMENT ON TABLE electric.electrified IS 'The electrified tables and their recorded shapes';
COMMENT ON COLUMN electric.electrified.shape IS 'What replicas know of the table; the catalog is compared with it';
COMMENT ON COLUMN electric.electrified.identity IS 'Ids of its parts in this database, by which renamed and replaced ones are told apart';

CREATE TABLE electric.electrified_types (
    type regtype CONSTRAINT electrified_types_pkey PRIMARY KEY,
    definition json NOT NULL,
    identity text NOT NULL
);
COMMENT ON TABLE electric.electrified_types IS 'The enums, domains and ranges that electrified tables use, as recorded';

CREATE TABLE electric.sqlite_names (
    name text COLLATE pg_catalog."C" CONSTRAINT sqlite_names_pkey PRIMARY KEY,
    relation regclass NOT NULL
);
COMMENT ON TABLE electric.sqlite_names IS 'Names that tables and indexes have in SQLite, where case does not tell them apart';

CREATE TABLE electric.subscriptions (
    name text COLLATE pg_catalog."C" CONSTRAINT subscriptions_pkey PRIMARY KEY
);
COMMENT ON TABLE electric.subscriptions IS 'The subscription that this database follows another by, if it does';
COMMENT ON COLUMN electric.subscriptions.name IS 'Its name in pg_subscription';

GRANT SELECT ON ALL TABLES IN SCHEMA electric TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('electric.migrations', '');
SELECT pg_catalog.pg_extension_config_dump('electric.ddl_commands', '');
SELECT pg_catalog.pg_extension_config_dump('electric.grants', '');
SELECT pg_catalog.pg_extension_config_dump('electric.assignments', '');
SELECT pg_catalog.pg_extension_config_dump('electric.places', '');
SELECT pg_catalog.pg_extension_config_dump('electric.electrified', '');
SELECT pg_catalog.pg_extension_config_dump('electric.electrified_types', '');
SELECT pg_catalog.pg_extension_config_dump('electric.sqlite_names', '');
SELECT pg_catalog.pg_extension_config_dump('electric.subscriptions', '');
-- The migration frameworks whose books are read. What tells a table apart is its columns; names are shared by several.
CREATE TABLE electric.frameworks (
    name text COLLATE pg_catalog."C" NOT NULL CHECK (name NOT IN ('', 'auto', 'user')),
    table_name text COLLATE pg_catalog."C" NOT NULL CHECK (table_name <> ''),
    columns text[] NOT NULL CHECK (pg_catalog.cardinality(columns) > 0),
    only_columns boolean NOT NULL DEFAULT false,
    version text NOT NULL CHECK (version ~ '\{[^{}]+\}'),
    running text,
    built_in boolean NOT NULL DEFAULT false,
    CONSTRAINT frameworks_pkey PRIMARY KEY (name, table_name)
);
COMMENT ON TABLE electric.frameworks IS
    'How the bookkeeping tables of migration frameworks are recognised; add a row for a tool of your own';
COMMENT ON COLUMN electric.frameworks.name IS 'The framework, as electric.migrations names it';
COMMENT ON COLUMN electric.frameworks.table_name IS 'What the name of its bookkeeping table is LIKE, in any schema';
COMMENT ON COLUMN electric.frameworks.columns IS
    'Columns that the table has: a name, or a name and a type as format_type prints it';
COMMENT ON COLUMN electric.frameworks.only_columns IS 'Whether the table has no other columns';
COMMENT ON COLUMN electric.frameworks.version IS 'The version of a row: text with names of columns in braces';
COMMENT ON COLUMN electric.frameworks.running IS
    'A column that is NULL, or true, while the migration of the row runs: for tools that write their row first';
COMMENT ON COLUMN electric.frameworks.built_in IS 'Whether the extension brought the row; rows of yours come first';
GRANT SELECT ON electric.frameworks TO PUBLIC;

INSERT INTO electric.frameworks (name, table_name, columns, only_columns, version, running) VALUES
    ('aerich', 'aerich', '{version,app}', false, '{version}', NULL),
    ('alembic', 'alembic\_version%', '{version_num}', true, '{version_num}', NULL),
    ('db-migrate', 'migrations', '{name,run_on}', false, '{name}', NULL),
    ('dbmate', 'schema\_migrations', '{version character varying(128)}', true, '{version}', NULL),
    ('diesel', '\_\_diesel\_schema\_migrations', '{version,run_on}', false, '{version}', NULL),
    ('django', 'django\_migrations', '{app,name,applied}', false, '{app}.{name}', NULL),
    ('doctrine', 'doctrine\_migration\_versions', '{version,executed_at}', false, '{version}', NULL),
    ('drizzle', '\_\_drizzle\_migrations', '{hash,created_at}', false, '{hash}', NULL),
    ('ecto', 'schema\_migrations', '{version bigint,inserted_at}', false, '{version}', NULL),
    ('efcore', '\_\_EFMigrationsHistory', '{MigrationId,ProductVersion}', false, '{MigrationId}', NULL),
    ('flyway', 'flyway\_schema\_history', '{installed_rank,version,description}', false, '{version}', NULL),
    ('golang-migrate', 'schema\_migrations', '{version bigint,dirty boolean}', true, '{version}', 'dirty'),
    ('goose', 'goose\_db\_version', '{version_id,is_applied}', false, '{version_id}', NULL),
    ('graphile-migrate', 'migrations', '{hash,previous_hash,filename}', false, '{filename}', NULL),
    ('knex', 'knex\_migrations', '{name,batch}', false, '{name}', NULL),
    ('kysely', 'kysely\_migration', '{name,timestamp}', false, '{name}', NULL),
    ('laravel', 'migrations', '{migration,batch}', false, '{migration}', NULL),
    ('liquibase', 'databasechangelog', '{id,author,filename}', false, '{filename}::{id}::{author}', NULL),
    ('mikro-orm', 'mikro\_orm\_migrations', '{name,executed_at}', false, '{name}', NULL),
    ('node-pg-migrate', 'pgmigrations', '{name,run_on}', false, '{name}', NULL),
    ('piccolo', 'migration', '{name,app_name,ran_on}', false, '{name}', NULL),
    ('postgrator', 'schemaversion', '{version,md5}', false, '{version}', NULL),
    ('prisma', '\_prisma\_migrations', '{checksum,migration_name,finished_at}', false, '{migration_name}', 'finished_at'),
    ('rails', '%schema\_migrations', '{version}', true, '{version}', NULL),
    ('refinery', 'refinery\_schema\_history', '{version,name,checksum}', false, 'V{version}__{name}', NULL),
    ('sea-orm', 'seaql\_migrations', '{version,applied_at}', false, '{version}', NULL),
    ('sequel', 'schema\_migrations', '{filename}', true, '{filename}', NULL),
    ('sequelize', 'SequelizeMeta', '{name}', false, '{name}', NULL),
    ('sql-migrate', 'gorp\_migrations', '{id,applied_at}', false, '{id}', NULL),
    ('sqitch', 'changes', '{change_id,change,project}', false, '{change}', NULL),
    ('sqlx', '\_sqlx\_migrations', '{version,success,checksum}', false, '{version}', NULL),
    ('typeorm', 'migrations', '{timestamp,name}', false, '{name}', NULL),
    ('yoyo', '\_yoyo\_migration', '{migration_hash,migration_id}', false, '{migration_id}', NULL);
UPDATE electric.frameworks SET built_in = true;
SELECT pg_catalog.pg_extension_config_dump('electric.frameworks', 'WHERE NOT built_in');
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

-- DDLX, and the same as functions.
CREATE FUNCTION electric.run_ddlx(statements text) RETURNS text[]
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_run_ddlx';
COMMENT ON FUNCTION electric.run_ddlx(text) IS 'electric.ddlx with the tags as an array';

CREATE FUNCTION electric.ddlx(statements text) RETURNS SETOF text
    LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_catalog.unnest(electric.run_ddlx($1));
END;
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
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'electric_is_sqlite';
COMMENT ON FUNCTION electric.is_sqlite(text) IS 'Whether the dialect is sqlite rather than postgres; another is an error';

CREATE FUNCTION electric.migrations_since(version text DEFAULT NULL, dialect text DEFAULT 'sqlite')
    RETURNS TABLE (migration_id bigint, version text, command_id bigint, statement text)
    LANGUAGE sql STABLE
    -- The planner cannot know how few commands may be left.
    SET enable_seqscan = off
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

CREATE FUNCTION electric.diagram() RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'electric_diagram';
COMMENT ON FUNCTION electric.diagram() IS 'The electrified tables as a Mermaid entity-relationship diagram, for a README';

-- Where a person looks.
CREATE VIEW electric.history AS
    SELECT c.id, m.version, m.source, m.created_at, c.command, c.relation, c.query
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
COMMENT ON COLUMN electric.history.query IS 'The statement as it was issued';

CREATE VIEW electric.tables AS
    SELECT e.relation,
           e.shape ->> 'sqlite_name' AS sqlite_name,
           pg_catalog.json_array_length(e.shape -> 'columns') AS columns,
           pg_catalog.json_array_length(e.shape -> 'indexes') AS indexes,
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
        WHERE c.relation = pg_catalog.format('%I.%I', e.shape ->> 'schema', e.shape ->> 'name')
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

GRANT SELECT ON electric.history, electric.tables TO PUBLIC;
-- History is append-only. These fire for superusers and replicated changes too.
CREATE FUNCTION electric.protect_history() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_protect_history';
COMMENT ON FUNCTION electric.protect_history() IS 'Refuses UPDATE, DELETE and TRUNCATE of the history';

CREATE TRIGGER protect_rows BEFORE UPDATE OR DELETE ON electric.migrations
    FOR EACH ROW EXECUTE FUNCTION electric.protect_history();
CREATE TRIGGER protect_table BEFORE TRUNCATE ON electric.migrations
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect_history();
ALTER TABLE electric.migrations ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

CREATE TRIGGER protect_rows BEFORE UPDATE OR DELETE ON electric.ddl_commands
    FOR EACH ROW EXECUTE FUNCTION electric.protect_history();
CREATE TRIGGER protect_table BEFORE TRUNCATE ON electric.ddl_commands
    FOR EACH STATEMENT EXECUTE FUNCTION electric.protect_history();
ALTER TABLE electric.ddl_commands ENABLE ALWAYS TRIGGER protect_rows, ENABLE ALWAYS TRIGGER protect_table;

-- Sessions keep the list of what is electrified in mind; a dump is loaded beside them.
CREATE FUNCTION electric.list_changed() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_list_changed';
COMMENT ON FUNCTION electric.list_changed() IS 'Has every session read anew which tables are electrified, and what frameworks there are';

CREATE TRIGGER list_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.places
    FOR EACH STATEMENT EXECUTE FUNCTION electric.list_changed();
CREATE TRIGGER list_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.electrified_types
    FOR EACH STATEMENT EXECUTE FUNCTION electric.list_changed();
CREATE TRIGGER list_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON electric.frameworks
    FOR EACH STATEMENT EXECUTE FUNCTION electric.list_changed();
ALTER TABLE electric.places ENABLE ALWAYS TRIGGER list_changed;
ALTER TABLE electric.electrified_types ENABLE ALWAYS TRIGGER list_changed;
ALTER TABLE electric.frameworks ENABLE ALWAYS TRIGGER list_changed;

-- On a subscriber: what comes is done. Nothing elsewhere.
CREATE FUNCTION electric.on_replicated_command() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_on_replicated_command';
COMMENT ON FUNCTION electric.on_replicated_command() IS 'Does on a subscriber what a command did on its publisher';

CREATE TRIGGER replicated AFTER INSERT ON electric.ddl_commands
    FOR EACH ROW EXECUTE FUNCTION electric.on_replicated_command();
ALTER TABLE electric.ddl_commands ENABLE ALWAYS TRIGGER replicated;

-- Capture. ALWAYS: also where session_replication_role is replica.
CREATE FUNCTION electric.on_command_start() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_on_command_start';
COMMENT ON FUNCTION electric.on_command_start() IS 'Begins to note what a command touches';
CREATE FUNCTION electric.on_command_end() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_on_command_end';
COMMENT ON FUNCTION electric.on_command_end() IS 'Compares what a command touched with what is recorded, and records or refuses it';

CREATE FUNCTION electric.on_table_rewrite() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'electric_on_table_rewrite';
COMMENT ON FUNCTION electric.on_table_rewrite() IS 'Refuses to rewrite rows that replicas hold';

CREATE EVENT TRIGGER electric_table_rewrite ON table_rewrite EXECUTE FUNCTION electric.on_table_rewrite();
ALTER EVENT TRIGGER electric_table_rewrite ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER electric_table_rewrite IS 'Electric: refuses to rewrite rows that replicas hold';

CREATE EVENT TRIGGER electric_command_start ON ddl_command_start EXECUTE FUNCTION electric.on_command_start();
CREATE EVENT TRIGGER electric_command_end ON ddl_command_end EXECUTE FUNCTION electric.on_command_end();
ALTER EVENT TRIGGER electric_command_start ENABLE ALWAYS;
ALTER EVENT TRIGGER electric_command_end ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER electric_command_start IS 'Electric: begins to note what a command touches';
COMMENT ON EVENT TRIGGER electric_command_end IS 'Electric: records or refuses what a command changed';
