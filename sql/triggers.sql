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
