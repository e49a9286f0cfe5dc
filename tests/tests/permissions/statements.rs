//! The statements of DDLX, by whatever way they come: tags, errors, who may run them.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, text, words};
use electric_tests::errors::failure;
use electric_tests::schemas;
use serde_json::json;

use super::{assignments, ddlx, grants, introspect, model, refused, try_ddlx};

#[test]
fn the_example_of_the_documentation_runs_as_written() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE projects (id uuid PRIMARY KEY, name text, owner_id uuid NOT NULL)",
    );
    let tags = ddlx(
        &database,
        "ALTER TABLE projects
  ENABLE ELECTRIC;

-- The ELECTRIC ASSIGN and ELECTRIC GRANT DDLX statements are currently
-- a work in progress.
ELECTRIC ASSIGN 'projects:owner'
  TO projects.owner_id;

ELECTRIC GRANT ALL
  ON projects
  TO 'projects:owner';

ELECTRIC GRANT SELECT
  ON projects
  TO ANYONE;",
    );
    assert_eq!(
        tags,
        [
            "ELECTRIC ENABLE",
            "ELECTRIC ASSIGN",
            "ELECTRIC GRANT",
            "ELECTRIC GRANT"
        ]
    );
    assert_eq!(
        grants(&database),
        [
            "projects DELETE owner@projects",
            "projects INSERT owner@projects",
            "projects SELECT ANYONE",
            "projects SELECT owner@projects",
            "projects UPDATE owner@projects",
        ]
    );
    assert_eq!(assignments(&database), ["projects.owner_id owner@projects"]);
    let commands = database.commands();
    assert_eq!(
        words(&commands),
        [
            ("create_table", "public.projects"),
            ("assign", "public.projects"),
            ("grant", "public.projects"),
            ("grant", "public.projects"),
        ]
    );
    assert_eq!(
        commands[3].query,
        "ELECTRIC GRANT SELECT\n  ON projects\n  TO ANYONE"
    );
    assert!(commands[3].postgres.is_empty() && commands[3].sqlite.is_empty());
    assert_eq!(commands[3].op["grants"].as_array().unwrap().len(), 5);
    for command in &commands {
        schemas::op(&command.op).unwrap();
    }
    let now = introspect(&database, None);
    schemas::introspection(&now).unwrap();
    assert_eq!(
        now["assignments"],
        json!([{"table_schema": "public", "table_name": "projects", "user_column": "owner_id", "role": "owner",
                "role_column": null, "scope_schema": "public", "scope_table": "projects", "using_path": null,
                "condition": null}])
    );
}

#[test]
fn every_statement_has_its_tag() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE a (id uuid PRIMARY KEY); CREATE TABLE b (id uuid PRIMARY KEY REFERENCES a)",
    );
    let tags = ddlx(
        &database,
        "electric enable b, a; ELECTRIC GRANT READ ON a TO AUTHENTICATED; ELECTRIC REVOKE ALL PRIVILEGES ON TABLE a FROM AUTHENTICATED;
         ELECTRIC ASSIGN 'x' TO a.id; ELECTRIC UNASSIGN 'x' FROM public.a.id; ELECTRIC SQLITE 'CREATE VIEW v AS SELECT 1';
         ELECTRIC DISABLE a, b; ALTER TABLE IF EXISTS missing DISABLE ELECTRIC;;",
    );
    assert_eq!(
        tags,
        [
            "ELECTRIC ENABLE",
            "ELECTRIC GRANT",
            "ELECTRIC REVOKE",
            "ELECTRIC ASSIGN",
            "ELECTRIC UNASSIGN",
            "ELECTRIC SQLITE",
            "ELECTRIC DISABLE",
            "ELECTRIC DISABLE",
        ]
    );
    assert!(grants(&database).is_empty() && assignments(&database).is_empty());
}

#[test]
fn an_error_points_into_the_statement() {
    let database = model();
    for (statements, code, at) in [
        ("ELECTRIC GRANT ALL JUNK issues TO ANYONE", "42601", "JUNK"),
        (
            "ELECTRIC ENABLE users; ELECTRIC GRANT ALL ON issues TO 'ü', 42",
            "42601",
            "42",
        ),
        (
            "ELECTRIC GRANT SELECT ON issues TO 'ü' WHERE (title = 'ü' AND nope)",
            "42703",
            "nope",
        ),
        (
            "ELECTRIC GRANT SELECT ON issues TO 'ü' WHERE (title = 'ü' AND AUTH.nope = 1)",
            "42703",
            "AUTH.nope",
        ),
        (
            "ELECTRIC ASSIGN 'x' TO issues.author IF (title = 'ü' 'x')",
            "42601",
            "'x')",
        ),
    ] {
        let error = try_ddlx(&mut database.client(), statements).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), code, "{error}");
        let Some(postgres::error::ErrorPosition::Internal { position, query }) = error.position()
        else {
            panic!("no position: {error:?}")
        };
        assert_eq!(query, statements);
        let found: String = statements.chars().skip(*position as usize - 1).collect();
        assert!(found.starts_with(at), "{statements}: {found}");
    }
    let error = refused(
        &database,
        "ELECTRIC GRANT ALL JUNK issues TO ANYONE",
        "42601",
    );
    assert_eq!(error.message, "syntax error at or near \"JUNK\"");
}

#[test]
fn nothing_is_run_if_one_statement_cannot_be_parsed() {
    let database = model();
    refused(
        &database,
        "ELECTRIC GRANT SELECT ON users TO ANYONE; ELECTRIC JUNK",
        "42601",
    );
    refused(
        &database,
        "ELECTRIC GRANT SELECT ON users TO ANYONE; ELECTRIC GRANT SELECT ON missing TO ANYONE",
        "42P01",
    );
    database.refused("SELECT electric.ddlx(NULL)", "22004");
    assert!(ddlx(&database, " ; /* nothing */ ;").is_empty());
}

#[test]
fn who_may_grant() {
    let database = model();
    let owner = database.role("owner");
    let stranger = database.role("stranger");
    run(
        &mut database.client(),
        &format!("ALTER TABLE comments OWNER TO {owner}"),
    );
    for statement in [
        "ELECTRIC GRANT SELECT ON comments TO ANYONE",
        "ELECTRIC REVOKE SELECT ON comments FROM ANYONE",
        "ELECTRIC ASSIGN 'x' TO comments.body",
        "ELECTRIC UNASSIGN 'x' FROM comments.body",
        "ELECTRIC DISABLE comments",
    ] {
        let error = failure(
            try_ddlx(&mut database.client_as(&stranger), statement),
            "42501",
        );
        error.hinted();
        try_ddlx(&mut database.client_as(&owner), statement).unwrap();
    }
    // What runs on every replica takes the owner of the database.
    let sqlite = "ELECTRIC SQLITE 'DROP TABLE users'";
    failure(try_ddlx(&mut database.client_as(&owner), sqlite), "42501").hinted();
    run(
        &mut database.client(),
        &format!("ALTER DATABASE {} OWNER TO {owner}", database.name()),
    );
    try_ddlx(&mut database.client_as(&owner), sqlite).unwrap();
    run(
        &mut database.client(),
        "CREATE TABLE plain (id uuid PRIMARY KEY)",
    );
    refused(
        &database,
        "ELECTRIC GRANT SELECT ON plain TO ANYONE",
        "55000",
    )
    .about_table("public", "plain")
    .hinted();
    refused(&database, "ELECTRIC ASSIGN 'x' TO plain.id", "55000");
    refused(
        &database,
        "ELECTRIC GRANT SELECT (nope) ON users TO ANYONE",
        "42703",
    )
    .about_column("nope");
    refused(&database, "ELECTRIC ASSIGN 'x' TO users.nope", "42703").about_column("nope");
    refused(
        &database,
        "ELECTRIC ASSIGN users.name TO issues.author",
        "42P10",
    )
    .hinted();
}

#[test]
fn statements_for_sqlite_replicas() {
    let database = Cluster::shared().database().items();
    ddlx(
        &database,
        "ELECTRIC SQLITE 'CREATE VIEW v AS SELECT ''it''''s'' AS x FROM items'",
    );
    let command = database.commands().pop().unwrap();
    assert_eq!(
        (command.command.as_str(), command.relation.as_str()),
        ("sqlite", "")
    );
    assert_eq!(
        command.sqlite,
        ["CREATE VIEW v AS SELECT 'it''s' AS x FROM items"]
    );
    assert!(command.postgres.is_empty());
    schemas::op(&command.op).unwrap();
    let rows = database
        .client()
        .query("SELECT electric.schema_sql()", &[])
        .unwrap();
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    for row in &rows {
        sqlite.execute(row.get::<_, &str>(0), []).unwrap();
    }
    for statement in ["COMMIT", "", "VACUUM", " begin"] {
        refused(
            &database,
            &format!("ELECTRIC SQLITE '{statement}'"),
            "22023",
        );
    }
}

#[test]
fn the_functions_do_the_same() {
    let database = model();
    run(
        &mut database.client(),
        "SELECT electric.grant('select, update', 'issues', 'member', scope => 'projects', columns => '{id,title}',
             using_path => '{project_id}', condition => 'title <> ''''');
         SELECT electric.grant('ALL', 'comments', 'projects:member', using_path => '{issue_id,project_id}');
         SELECT electric.grant('READ', 'users', 'Anyone'); SELECT electric.grant('READ', 'users', 'AUTHENTICATED');
         SELECT electric.assign('projects', 'owner_id', 'projects:owner');
         SELECT electric.assign('memberships', 'user_id', role_column => 'role', scope => 'projects')",
    );
    assert_eq!(
        grants(&database),
        [
            "comments DELETE member@projects /issue_id/project_id",
            "comments INSERT member@projects /issue_id/project_id",
            "comments SELECT member@projects /issue_id/project_id",
            "comments UPDATE member@projects /issue_id/project_id",
            "issues SELECT member@projects {id,title} /project_id ? title <> ''",
            "issues UPDATE member@projects {id,title} /project_id ? title <> ''",
            "users SELECT ANYONE",
            "users SELECT AUTHENTICATED",
        ]
    );
    assert_eq!(
        assignments(&database),
        [
            "memberships.user_id =role@projects /project_id",
            "projects.owner_id owner@projects",
        ]
    );
    run(
        &mut database.client(),
        "SELECT electric.revoke('ALL', 'comments', 'projects:member'); SELECT electric.revoke('ALL', 'users', 'anyone');
         SELECT electric.revoke('UPDATE', 'issues', 'member', 'projects'); SELECT electric.revoke('SELECT', 'issues', 'member', 'projects', '{id}');
         SELECT electric.unassign('projects', 'owner_id', 'owner', scope => 'projects');
         SELECT electric.unassign('memberships', 'user_id', role_column => 'role', scope => 'projects')",
    );
    assert_eq!(
        grants(&database),
        [
            "issues SELECT member@projects {title} /project_id ? title <> ''",
            "users SELECT AUTHENTICATED"
        ]
    );
    assert!(assignments(&database).is_empty());
    for call in [
        "grant('FLY', 'issues', 'x')",
        "grant('SELECT', 'issues', '')",
        "grant('SELECT', 'issues', 'anyone', 'projects')",
        "grant('SELECT', 'issues', 'x', columns => '{}')",
        "assign('issues', 'author')",
        "assign('issues', 'author', 'x', 'title')",
    ] {
        database.refused(&format!("SELECT electric.{call}"), "22023");
    }
    database.refused("SELECT electric.grant(NULL, 'issues', 'x')", "22004");
    database.refused("SELECT electric.assign('issues', NULL, 'x')", "22004");
    for call in [
        "grant('SELECT', 'issues', 'x', columns => '{id,NULL}')",
        "revoke('SELECT', 'issues', 'x', columns => '{NULL}')",
        "grant('SELECT', 'comments', 'projects:x', using_path => '{NULL}')",
        "assign('comments', 'body', 'projects:x', using_path => '{issue_id,NULL}')",
    ] {
        database.refused(&format!("SELECT electric.{call}"), "22004");
    }
}

#[test]
fn what_is_rolled_back_was_not_granted() {
    let database = model();
    let last = database.last_command();
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.ddlx('ELECTRIC GRANT SELECT ON users TO ANYONE'); ROLLBACK;
         BEGIN; SAVEPOINT a; SELECT electric.ddlx('ELECTRIC GRANT SELECT ON users TO ANYONE'); ROLLBACK TO a; COMMIT",
    );
    assert!(grants(&database).is_empty());
    assert_eq!(database.last_command(), last);
}

#[test]
fn check_knows_ddlx_among_other_statements() {
    let database = model();
    let script = "BEGIN; CREATE TABLE late (id uuid PRIMARY KEY, it_s text DEFAULT 'ELECTRIC; \\'); ALTER TABLE late ENABLE ELECTRIC;
        ELECTRIC GRANT ALL ON late TO ANYONE WHERE (it_s <> 'x\\'); ELECTRIC GRANT ALL ON late JUNK;
        ELECTRIC GRANT INSERT ON late TO 'nowhere:x'; ALTER TABLE late DROP COLUMN it_s; COMMIT";
    let before = database.trace();
    let rows = database
        .client()
        .query(
            "SELECT seq, verdict, reason FROM electric.check($1)",
            &[&script],
        )
        .unwrap();
    let verdicts: Vec<(i32, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [
        "allowed", "allowed", "captured", "captured", "error", "error", "refused", "allowed",
    ];
    assert_eq!(verdicts, (1..).zip(expected).collect::<Vec<_>>());
    assert_eq!(
        rows[3].get::<_, &str>(2),
        "Recorded as 1 command(s): grant."
    );
    assert!(rows[4].get::<_, &str>(2).contains("JUNK"));
    assert_eq!(before, database.trace());
}

/// Found by a review: an error on the way in left a pointer to a frame that was gone.
#[test]
fn a_parallel_query_cannot_grant() {
    let database = model();
    run(
        &mut database.client(),
        "CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN
             PERFORM electric.grant('SELECT', 'issues', 'anyone', condition => 'title = 1::text'); RETURN 1; END $$",
    );
    let mode = "SELECT count(*)::text FROM pg_settings WHERE name = 'force_parallel_mode'";
    let setting = match text(&mut database.client(), mode).as_str() {
        "1" => "force_parallel_mode",
        _ => "debug_parallel_query",
    };
    database.refused(&format!("SET {setting} = on; SELECT sly()"), "25000");
    assert!(grants(&database).is_empty());
}
