//! Who may electrify, and whose policy counts.

use std::sync::OnceLock;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, Notices, run, text, words};
use postgres::Client;

/// A server that loads the library when it starts, and one that does so in the first command of a session.
fn servers() -> [&'static Cluster; 2] {
    static SERVERS: OnceLock<[Cluster; 2]> = OnceLock::new();
    let [one, other] = SERVERS.get_or_init(|| {
        [false, true].map(|preload| Cluster::builder().preload(preload).start().unwrap())
    });
    [one, other]
}

/// A role that may create in schema public, and nothing else.
fn owner(database: &Database<'_>) -> String {
    let role = database.plain_role("owner");
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    role
}

/// Every spelling of enable, for a table `mine`.
const ENABLES: &[&str] = &[
    "SELECT electric.enable('mine')",
    "SELECT electric.enable('mine', 'other')",
    "CALL electric.electrify('mine')",
    "CALL electric.electrify('public', 'mine')",
    "SELECT electric.ddlx('ALTER TABLE mine ENABLE ELECTRIC')",
    "SELECT electric.ddlx('ELECTRIC ENABLE mine')",
    "ALTER TABLE mine SET (electric.enabled)",
    "ALTER TABLE mine SET (electric.enabled = true)",
    "CREATE TABLE made (id int PRIMARY KEY) WITH (electric.enabled)",
    "DO $$ BEGIN PERFORM electric.enable('mine'); END $$",
];

#[test]
fn fault_11_to_electrify_takes_create_on_the_database() {
    let [cluster, preloaded] = servers();
    for cluster in [cluster, preloaded] {
        let database = cluster.database().items();
        let role = owner(&database);
        let mut client = database.client_as(&role);
        run(
            &mut client,
            "CREATE TABLE mine (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)",
        );
        let name = database.name();
        for sql in ENABLES {
            // Without the library the server does not know the option: it comes with the first function.
            run(&mut client, "SELECT electric.status()");
            let error = database.refused_by(&mut client, sql, "42501");
            assert_eq!(
                error.message,
                format!("permission denied for database {name}"),
                "{sql}"
            );
            assert_eq!(
                error.hint,
                format!("GRANT CREATE ON DATABASE {name} TO {role};"),
                "{sql}"
            );
            error.detail_names(&["CREATE on the database"]);
        }
        // The hint is the way out.
        run(
            &mut database.client(),
            &format!("GRANT CREATE ON DATABASE {name} TO {role}"),
        );
        run(&mut client, "SELECT electric.enable('mine')");
        // All else takes ownership alone.
        run(
            &mut database.client(),
            &format!("REVOKE CREATE ON DATABASE {name} FROM {role}"),
        );
        run(
            &mut client,
            "SELECT electric.enable('mine'); ALTER TABLE mine SET (electric.enabled); ALTER TABLE mine ADD COLUMN a int; \
             SELECT electric.assign('mine', 'v', role => 'r'); SELECT electric.grant('SELECT', 'mine', 'r'); \
             SELECT electric.revoke('SELECT', 'mine', 'r'); SELECT electric.unassign('mine', 'v', role => 'r'); \
             SELECT electric.disable('mine')",
        );
        database.refused_by(&mut client, "SELECT electric.enable('mine')", "42501");
        // The owner of a database has the privilege; who owns no table has nothing of it.
        database
            .refused_by(&mut client, "SELECT electric.enable('items')", "42501")
            .message_names(&["must be owner"]);
        run(
            &mut database.client(),
            &format!("ALTER DATABASE {name} OWNER TO {role}"),
        );
        run(&mut client, "SELECT electric.enable('mine')");
        database
            .refused_by(&mut client, "SELECT electric.enable('items')", "42501")
            .message_names(&["must be owner"]);
    }
}

/// By a group, and as somebody else.
#[test]
fn fault_11_the_privilege_is_the_callers() {
    let database = Cluster::shared().database();
    let (role, group) = (owner(&database), database.plain_role("migrators"));
    let name = database.name();
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON DATABASE {name} TO {group}; CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine OWNER TO {role}"
        ),
    );
    let mut client = database.client_as(&role);
    database.refused_by(&mut client, "SELECT electric.enable('mine')", "42501");
    run(&mut database.client(), &format!("GRANT {group} TO {role}"));
    run(
        &mut client,
        "SELECT electric.enable('mine'); SELECT electric.disable('mine')",
    );
    run(
        &mut database.client(),
        &format!(
            "ALTER ROLE {role} NOINHERIT; REVOKE {group} FROM {role}; GRANT {group} TO {role}"
        ),
    );
    database.refused_by(&mut client, "SELECT electric.enable('mine')", "42501");
    let mut superuser = database.client();
    database.refused_by(
        &mut superuser,
        &format!("SET ROLE {role}; SELECT electric.enable('mine')"),
        "42501",
    );
    run(
        &mut superuser,
        "RESET ROLE; CREATE FUNCTION lends(regclass) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT electric.enable($1)'",
    );
    run(&mut client, "SELECT lends('mine')");
}

/// A connection with those settings, whose notices are kept.
fn connect(database: &Database<'_>, role: &str, options: &str) -> (Client, Notices) {
    database.client_with_notices_as(role, options)
}

const DROPS: &str = "ALTER TABLE items DROP COLUMN value";

#[test]
fn fault_09_a_configuration_is_nobodys_choice() {
    for cluster in servers() {
        let database = cluster.database().items();
        let name = database.name();
        let admin = database.plain_role("admin");
        run(
            &mut database.client(),
            &format!("ALTER ROLE {admin} SUPERUSER"),
        );
        let set = |sql: &str| run(&mut database.client(), sql);
        let policy = "electric.policy = 'unrestricted'";
        for (set_it, reset_it, options) in [
            (
                String::new(),
                String::new(),
                "-c electric.policy=unrestricted",
            ),
            (
                format!("ALTER ROLE {admin} SET {policy}"),
                format!("ALTER ROLE {admin} RESET ALL"),
                "",
            ),
            (
                format!("ALTER ROLE {admin} IN DATABASE {name} SET {policy}"),
                format!("ALTER ROLE {admin} IN DATABASE {name} RESET ALL"),
                "",
            ),
            (
                format!("ALTER DATABASE {name} SET {policy}"),
                format!("ALTER DATABASE {name} RESET ALL"),
                "",
            ),
        ] {
            set(&set_it);
            let (mut client, notices) = connect(&database, &admin, options);
            for sql in [
                DROPS,
                "DROP TABLE items",
                "UPDATE electric.migrations SET source = 'x'",
            ] {
                database.refused_by(&mut client, sql, "0A000");
            }
            run(
                &mut client,
                "ALTER TABLE items ADD COLUMN IF NOT EXISTS a int",
            );
            let told = notices
                .all()
                .iter()
                .filter(|(_, message)| message.contains("does not count"))
                .count();
            assert_eq!(told, 1, "{set_it}{options}: {notices:?}");
            assert_eq!(
                text(&mut client, "SELECT electric.status() ->> 'policy'"),
                "additive"
            );
            // The way out, which is the session's own.
            run(
                &mut client,
                &format!("BEGIN; SET LOCAL {policy}; {DROPS}; ROLLBACK"),
            );
            database.refused_by(&mut client, DROPS, "0A000");
            run(
                &mut client,
                "BEGIN; SET electric.policy = unrestricted; RESET electric.policy",
            );
            assert_eq!(
                text(&mut client, "SELECT electric.status() ->> 'policy'"),
                "additive"
            );
            run(&mut client, "ROLLBACK; SET electric.policy = unrestricted");
            run(&mut client, "DISCARD ALL");
            database.refused_by(&mut client, DROPS, "0A000");
            set(&reset_it);
        }
        // What can break nothing may be configured.
        set(&format!(
            "ALTER DATABASE {name} SET electric.policy = 'compatible'"
        ));
        assert_eq!(
            text(
                &mut database.client(),
                "SELECT electric.status() ->> 'policy'"
            ),
            "compatible"
        );
    }
}

#[test]
fn fault_09_the_configuration_file_is_nobodys_choice() {
    let cluster = Cluster::builder()
        .setting("electric.policy", "unrestricted")
        .start()
        .unwrap();
    let database = cluster.database().items();
    database.refused(DROPS, "0A000");
    run(
        &mut database.client(),
        "ALTER SYSTEM SET electric.policy = 'unrestricted'",
    );
    run(&mut database.client(), "SELECT pg_reload_conf()");
    database.refused(DROPS, "0A000");
    let new = database.recorded(&format!("SET electric.policy = unrestricted; {DROPS}"));
    assert_eq!(words(&new), [("replace_table", "public.items")]);
}

/// The session's own choice counts, however it is spelled, and as long as it lasts.
#[test]
fn fault_09_what_counts_is_a_superusers_own_choice() {
    for cluster in servers() {
        for (before, after) in [
            ("SET electric.policy = 'unrestricted'", ""),
            (
                "SELECT set_config('electric.policy', 'unrestricted', false)",
                "",
            ),
            (
                "BEGIN; SET LOCAL electric.policy = 'unrestricted'",
                "COMMIT",
            ),
            (
                "BEGIN; SELECT set_config('electric.policy', 'unrestricted', true)",
                "COMMIT",
            ),
            (
                "BEGIN; SAVEPOINT s; SET electric.policy = unrestricted; RELEASE s",
                "COMMIT",
            ),
            (
                "BEGIN; SET electric.policy = unrestricted; SAVEPOINT s; SET electric.policy = additive; ROLLBACK TO s",
                "COMMIT",
            ),
            (
                "DO $$ BEGIN PERFORM set_config('electric.policy', 'unrestricted', false); END $$",
                "",
            ),
        ] {
            for loaded in [false, true] {
                let database = cluster.database().items();
                let mut client = database.client();
                if loaded {
                    run(&mut client, "SELECT electric.status()");
                }
                run(&mut client, before);
                let last = database.last_command();
                run(&mut client, DROPS);
                run(&mut client, after);
                assert_eq!(
                    words(&database.commands_after(last)),
                    [("replace_table", "public.items")],
                    "{before}"
                );
            }
        }
        for before in [
            "BEGIN; SET LOCAL electric.policy = 'unrestricted'; COMMIT",
            "BEGIN; SET electric.policy = 'unrestricted'; ROLLBACK",
            "BEGIN; SAVEPOINT s; SET electric.policy = unrestricted; ROLLBACK TO s; COMMIT",
            "SET electric.policy = 'unrestricted'; RESET electric.policy",
            "SET electric.policy = 'unrestricted'; SET electric.policy TO DEFAULT",
        ] {
            for loaded in ["SELECT electric.status()", "SELECT 1"] {
                let database = cluster.database().items();
                let mut client = database.client();
                run(&mut client, loaded);
                run(&mut client, before);
                database.refused_by(&mut client, DROPS, "0A000");
            }
        }
    }
}

/// A function's SET clause says what its author wants, not who calls it.
#[test]
fn fault_09_a_functions_clause_is_nobodys_choice() {
    for cluster in servers() {
        let database = cluster.database().items();
        let role = owner(&database);
        run(
            &mut database.client(),
            &format!(
                "ALTER TABLE items OWNER TO {role}; \
                 CREATE FUNCTION clause() RETURNS void LANGUAGE plpgsql SET electric.policy = 'unrestricted' AS $$ BEGIN {DROPS}; END $$; \
                 CREATE FUNCTION lends() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET electric.policy = 'unrestricted' AS $$ BEGIN {DROPS}; END $$; \
                 CREATE FUNCTION below() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET electric.policy = 'unrestricted' AS $$ BEGIN SET LOCAL electric.policy = unrestricted; {DROPS}; END $$; \
                 CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN SET LOCAL electric.policy = unrestricted; {DROPS}; END $$; \
                 CREATE FUNCTION configures() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM set_config('electric.policy', 'unrestricted', false); {DROPS}; END $$; \
                 CREATE FUNCTION tidy() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {DROPS}; END $$"
            ),
        );
        // Called by the owner of the table, and by a superuser.
        for function in ["clause", "lends", "below", "sets", "configures", "tidy"] {
            let call = format!("SELECT {function}()");
            let (mut client, _) = connect(&database, &role, "");
            // Where the library is there to ask, the role must not set it at all.
            let error = client.batch_execute(&call).unwrap_err();
            let code = error.code().map(|code| code.code().to_owned());
            let is_loaded = function == "clause" && code.as_deref() == Some("42501");
            assert!(
                is_loaded || code.as_deref() == Some("0A000"),
                "{function}: {error}"
            );
            let (mut client, _) = connect(&database, &role, "-c electric.policy=unrestricted");
            assert!(client.batch_execute(&call).is_err(), "{function}");
        }
        for function in ["clause", "lends", "below"] {
            database.refused(&format!("SELECT {function}()"), "0A000");
        }
        // In a superuser's session that has chosen, what runs as somebody else is not the superuser.
        run(
            &mut database.client_as(&role),
            &format!(
                "CREATE FUNCTION of_owner() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {DROPS}; END $$"
            ),
        );
        for sql in [
            "SET electric.policy = unrestricted; SELECT of_owner()".to_owned(),
            format!("SET electric.policy = unrestricted; SET ROLE {role}; {DROPS}"),
            format!(
                "SET electric.policy = unrestricted; SET SESSION AUTHORIZATION {role}; {DROPS}"
            ),
            format!(
                "SET electric.policy = unrestricted; SET SESSION AUTHORIZATION {role}; SELECT tidy()"
            ),
        ] {
            database.refused(&sql, "0A000");
        }
        let (mut client, _) = connect(&database, "postgres", "");
        let placeholder = format!(
            "SET SESSION AUTHORIZATION {role}; SET electric.policy = unrestricted; RESET SESSION AUTHORIZATION"
        );
        // Before the library is there nobody is asked who sets it, later nobody else may.
        let set = client.batch_execute(&placeholder);
        assert!(
            set.is_ok()
                || set.is_err_and(|error| error.code().is_some_and(|code| code.code() == "42501"))
        );
        let _ = client.batch_execute("ROLLBACK; RESET SESSION AUTHORIZATION");
        database.refused_by(&mut client, DROPS, "0A000");
        // Nothing but the superuser's own session.
        let new = database.recorded("SET electric.policy = unrestricted; SELECT tidy()");
        assert_eq!(words(&new), [("replace_table", "public.items")]);
    }
}

/// The script of a trusted extension runs as superuser for a role that is none.
#[test]
fn fault_09_others_do_not_set_it() {
    for cluster in servers() {
        let database = cluster.database().items();
        let role = owner(&database);
        run(
            &mut database.client(),
            &format!("GRANT CREATE ON DATABASE {} TO {role}", database.name()),
        );
        let mut client = database.client_as(&role);
        run(&mut client, "SELECT electric.status()");
        for sql in [
            "SET electric.policy = unrestricted",
            "SET LOCAL electric.policy = unrestricted",
            "SELECT set_config('electric.policy', 'unrestricted', false)",
        ] {
            database.refused_by(&mut client, sql, "42501");
        }
        for extension in ["citext", "hstore", "pg_trgm"] {
            if database.offers(extension) {
                let (mut client, _) = connect(&database, &role, "-c electric.policy=unrestricted");
                let create = format!("CREATE EXTENSION {extension} SCHEMA electric");
                let error = client.batch_execute(&create).err();
                assert!(error.is_some(), "{extension}");
            }
        }
    }
}

/// A database as a restore leaves it, before the first command: nothing of it was recorded there.
fn restored(cluster: &'static Cluster) -> (Database<'static>, String) {
    let original = cluster.database();
    let role = owner(&original);
    run(
        &mut original.client(),
        &format!(
            "CREATE TABLE m (id int PRIMARY KEY, a int, b text); CREATE TABLE m2 (id int PRIMARY KEY); \
             CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); \
             INSERT INTO p VALUES (1); SELECT electric.enable('m', 'm2', 'p'); \
             ALTER TABLE m OWNER TO {role}; ALTER TABLE m2 OWNER TO {role}; ALTER TABLE p OWNER TO {role}; ALTER TABLE p1 OWNER TO {role}"
        ),
    );
    (cluster.database_like(original.name()), role)
}

const LOADING: &str = "SET search_path = ''; SET check_function_bodies = off";

#[test]
fn fault_14_two_settings_make_nobody_a_restorer() {
    for cluster in servers() {
        for loading in [
            LOADING,
            "SELECT pg_catalog.set_config('search_path', '', false); SET check_function_bodies = off",
        ] {
            for sql in [
                "ALTER TABLE public.m DROP COLUMN a",
                "DROP TABLE public.m2",
                "ALTER TABLE public.m ALTER COLUMN b SET NOT NULL",
                "ALTER TABLE public.m RENAME COLUMN a TO c",
                "TRUNCATE public.p1",
                "DROP TABLE public.p1",
                "DO $$ BEGIN EXECUTE 'DROP TABLE public.m'; END $$",
            ] {
                let (database, role) = restored(cluster);
                let mut client = database.client_as(&role);
                // TRUNCATE by itself does not load the library.
                run(&mut client, "SELECT electric.status()");
                database.refused_by(&mut client, &format!("{loading}; {sql}"), "0A000");
                // Nothing was lost by it.
                let last = database.last_command();
                run(
                    &mut client,
                    "RESET search_path; ALTER TABLE m ADD COLUMN late int",
                );
                assert_eq!(
                    words(&database.commands_after(last)),
                    [("add_column", "public.m")]
                );
            }
        }
    }
}

/// Nobody lends it: not a function of a superuser's, nor the role of one.
#[test]
fn fault_14_a_restorer_lends_nothing() {
    let cluster = Cluster::shared();
    let (database, role) = restored(cluster);
    let boss = database.plain_role("boss");
    run(
        &mut database.client(),
        &format!(
            "ALTER ROLE {boss} SUPERUSER; GRANT {boss} TO {role}; \
             CREATE FUNCTION tidy() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS \
             $$ BEGIN PERFORM set_config('check_function_bodies', 'off', true); ALTER TABLE public.m DROP COLUMN a; END $$"
        ),
    );
    // Making the function was the first command: another copy of it all has had none.
    let database = cluster.database_like(database.name());
    let mut client = database.client_as(&role);
    database.refused_by(
        &mut client,
        &format!("{LOADING}; SELECT public.tidy()"),
        "0A000",
    );
    let as_boss = format!("{LOADING}; SET ROLE {boss}; ALTER TABLE public.m DROP COLUMN a");
    database.refused_by(&mut client, &as_boss, "0A000");
    drop(client);
    // A function of the owner's in the session of one who restores is the owner.
    run(
        &mut database.client_as(&role),
        "CREATE FUNCTION public.mine() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN ALTER TABLE public.m DROP COLUMN a; END'",
    );
    let database = cluster.database_like(database.name());
    database.refused(&format!("{LOADING}; SELECT public.mine()"), "0A000");
}

/// A table that is not as recorded is never taken on; its owner is refused all the same.
#[test]
fn fault_14_what_is_not_as_recorded_is_refused() {
    let cluster = Cluster::shared();
    let (database, role) = restored(cluster);
    run(
        &mut database.client(),
        &format!(
            "{LOADING}; ALTER TABLE public.m ALTER COLUMN b SET NOT NULL; ALTER TABLE public.m2 ADD COLUMN unseen int"
        ),
    );
    let drift = "SELECT count(*)::text FROM electric.drift()";
    assert_eq!(text(&mut database.client(), drift), "2");
    for loading in ["SELECT 1", LOADING] {
        for sql in [
            "ALTER TABLE public.m DROP COLUMN a",
            "DROP TABLE public.m",
            "DROP TABLE public.m2",
            "ALTER TABLE public.m2 RENAME TO m3",
        ] {
            let mut client = database.client_as(&role);
            database.refused_by(&mut client, &format!("{loading}; {sql}"), "0A000");
        }
    }
    run(
        &mut database.client(),
        "SET electric.policy = unrestricted; ALTER TABLE m DROP COLUMN a; DROP TABLE m2",
    );
    assert_eq!(text(&mut database.client(), drift), "0");
}
