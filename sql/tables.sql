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
) USING heap;
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
) USING heap WITH (toast_tuple_target = 8160);
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
) USING heap;
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
) USING heap;
CREATE UNIQUE INDEX assignments_key ON electric.assignments
    (table_schema, table_name, user_column, role, role_column, scope_schema, scope_table) NULLS NOT DISTINCT;
ALTER TABLE electric.assignments REPLICA IDENTITY FULL;
COMMENT ON TABLE electric.assignments IS 'How rows of electrified tables give roles to users';

-- The list that every session reads, which is short beside the shapes.
CREATE TABLE electric.places (
    relation regclass CONSTRAINT places_pkey PRIMARY KEY,
    place text COLLATE pg_catalog."C" NOT NULL
) USING heap;
COMMENT ON TABLE electric.places IS 'The electrified tables, and where the ids of their parts were recorded';
COMMENT ON COLUMN electric.places.place IS 'Server, database and table: elsewhere the ids say nothing';

CREATE TABLE electric.electrified (
    relation regclass CONSTRAINT electrified_pkey PRIMARY KEY,
    shape json NOT NULL,
    identity json NOT NULL
-- Compressing a shape, or moving it out of line, would cost more than all else that writes it.
) USING heap WITH (toast_tuple_target = 8160);
COMMENT ON TABLE electric.electrified IS 'The electrified tables and their recorded shapes';
COMMENT ON COLUMN electric.electrified.shape IS 'What replicas know of the table; the catalog is compared with it';
COMMENT ON COLUMN electric.electrified.identity IS 'Ids of its parts in this database, by which renamed and replaced ones are told apart';

CREATE TABLE electric.electrified_types (
    type regtype CONSTRAINT electrified_types_pkey PRIMARY KEY,
    definition json NOT NULL,
    identity text NOT NULL
) USING heap;
COMMENT ON TABLE electric.electrified_types IS 'The enums, domains and ranges that electrified tables use, as recorded';

CREATE TABLE electric.sqlite_names (
    name text COLLATE pg_catalog."C" CONSTRAINT sqlite_names_pkey PRIMARY KEY,
    relation regclass NOT NULL
) USING heap;
COMMENT ON TABLE electric.sqlite_names IS 'Names that tables and indexes have in SQLite, where case does not tell them apart';

CREATE TABLE electric.subscriptions (
    name text COLLATE pg_catalog."C" CONSTRAINT subscriptions_pkey PRIMARY KEY
) USING heap;
COMMENT ON TABLE electric.subscriptions IS 'The subscription that this database follows another by, if it does';
COMMENT ON COLUMN electric.subscriptions.name IS 'Its name in pg_subscription';

-- An object is in the column of its kind; the other is 0, which reads "-". So a dump names it.
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

GRANT SELECT ON ALL TABLES IN SCHEMA electric TO PUBLIC;
-- A statement may hold what is not for everybody's eyes. Those who may read it do so in electric.queries.
REVOKE SELECT ON electric.ddl_commands FROM PUBLIC;
GRANT SELECT (id, migration_id, command, relation, postgres, sqlite, op, hash) ON electric.ddl_commands TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('electric.migrations', '');
SELECT pg_catalog.pg_extension_config_dump('electric.ddl_commands', '');
SELECT pg_catalog.pg_extension_config_dump('electric.grants', '');
SELECT pg_catalog.pg_extension_config_dump('electric.assignments', '');
SELECT pg_catalog.pg_extension_config_dump('electric.places', '');
SELECT pg_catalog.pg_extension_config_dump('electric.electrified', '');
SELECT pg_catalog.pg_extension_config_dump('electric.electrified_types', '');
SELECT pg_catalog.pg_extension_config_dump('electric.sqlite_names', '');
SELECT pg_catalog.pg_extension_config_dump('electric.subscriptions', '');
SELECT pg_catalog.pg_extension_config_dump('electric.stream_objects', '');
SELECT pg_catalog.pg_extension_config_dump('electric.blocked', '');
