-- Our tables are written by us, and by superusers who restore a dump; history is append-only even for those. Triggers of rows are
-- for replicated changes, which fire no others; those of statements refuse what finds no rows.
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

-- What fires them needs no privilege, and nobody else has a use for them.
REVOKE EXECUTE ON FUNCTION electric.protect(), electric.list_changed(), electric.on_replicated_command(),
    electric.on_command_start(), electric.on_command_end(), electric.on_table_rewrite() FROM PUBLIC;
