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
) USING heap;
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
