//! Which grants there are: scopes, columns, names, and what becomes of them when tables change.

use electric_tests::cluster::Cluster;
use electric_tests::database::run;
use electric_tests::schemas;

use super::{assignments, ddlx, grants, introspect, model, refused, try_ddlx};

#[test]
fn the_way_to_the_scope_is_found_or_checked() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON issues TO 'projects:member'",
    );
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON comments TO (projects, 'member') USING issue_id/project_id",
    );
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON comments TO 'users:writer' USING issue_id/reviewer",
    );
    ddlx(
        &database,
        "ELECTRIC ASSIGN (projects, memberships.role) TO memberships.user_id",
    );
    ddlx(
        &database,
        "ELECTRIC ASSIGN 'projects:reviewer' TO issues.reviewer USING project_id IF (title IS NOT NULL)",
    );
    assert_eq!(
        grants(&database),
        [
            "comments SELECT member@projects /issue_id/project_id",
            "comments SELECT writer@users /issue_id/reviewer",
            "issues SELECT member@projects /project_id",
        ]
    );
    assert_eq!(
        assignments(&database),
        [
            "issues.reviewer reviewer@projects /project_id ? title IS NOT NULL",
            "memberships.user_id =role@projects /project_id",
        ]
    );
    for (statement, words) in [
        (
            "ELECTRIC GRANT SELECT ON comments TO 'projects:member'",
            &["comments", "projects"][..],
        ),
        (
            "ELECTRIC GRANT SELECT ON issues TO 'users:reader'",
            &["author", "reviewer"],
        ),
        (
            "ELECTRIC GRANT SELECT ON comments TO 'projects:x' USING issue_id",
            &["issues", "projects"],
        ),
        (
            "ELECTRIC GRANT SELECT ON comments TO 'projects:x' USING body",
            &["body"],
        ),
        (
            "ELECTRIC ASSIGN 'projects:x' TO comments.body",
            &["comments", "projects"],
        ),
    ] {
        refused(&database, statement, "42830")
            .detail_names(words)
            .hinted();
    }
    let error = refused(
        &database,
        "ELECTRIC GRANT SELECT ON issues TO 'users:reader'",
        "42830",
    );
    assert!(error.hint.contains("USING"), "{error:#?}");
    refused(
        &database,
        "ELECTRIC GRANT SELECT ON issues TO 'anybody' USING project_id",
        "42830",
    )
    .hinted();
    refused(
        &database,
        "ELECTRIC GRANT SELECT ON comments TO 'projects:x' USING nope/project_id",
        "42703",
    );
}

#[test]
fn the_last_grant_wins_and_revoke_takes_columns() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT (id, title), UPDATE (title) ON issues TO 'reader', AUTHENTICATED WHERE (title <> 'x')",
    );
    assert_eq!(
        grants(&database),
        [
            "issues SELECT AUTHENTICATED {id,title} ? title <> 'x'",
            "issues SELECT reader {id,title} ? title <> 'x'",
            "issues UPDATE AUTHENTICATED {title} ? title <> 'x'",
            "issues UPDATE reader {title} ? title <> 'x'",
        ]
    );
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON issues TO 'reader'; ELECTRIC REVOKE UPDATE (title) ON issues FROM 'reader', AUTHENTICATED",
    );
    assert_eq!(
        grants(&database),
        [
            "issues SELECT AUTHENTICATED {id,title} ? title <> 'x'",
            "issues SELECT reader",
        ]
    );
    ddlx(
        &database,
        "ELECTRIC REVOKE SELECT (title, reviewer) ON issues FROM 'reader'",
    );
    ddlx(
        &database,
        "ELECTRIC REVOKE ALL ON issues FROM AUTHENTICATED",
    );
    assert_eq!(
        grants(&database),
        ["issues SELECT reader {id,project_id,author}"]
    );
    // What changes nothing is not recorded.
    let last = database.last_command();
    ddlx(
        &database,
        "ELECTRIC REVOKE ALL ON issues FROM 'nobody'; ELECTRIC UNASSIGN 'nobody' FROM issues.author",
    );
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT (id, project_id, author) ON issues TO 'reader'",
    );
    assert_eq!(database.last_command(), last);
    refused(
        &database,
        "ELECTRIC REVOKE SELECT (nope) ON issues FROM 'reader'",
        "42703",
    )
    .about_column("nope");
}

#[test]
fn names_resolve_by_the_search_path_and_are_stored_resolved() {
    let database = Cluster::shared().database();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE SCHEMA app; CREATE TABLE app.\"Odd table\" (\"Key\" uuid PRIMARY KEY, \"Owner\" text);
         CREATE TABLE \"Odd table\" (id uuid PRIMARY KEY); SELECT electric.enable('app.\"Odd table\"', '\"Odd table\"');
         SET search_path = app",
    );
    try_ddlx(
        &mut client,
        "ELECTRIC GRANT SELECT (\"Key\") ON \"Odd table\" TO (\"Odd table\", 'x:y')",
    )
    .unwrap();
    let row = client
        .query_one(
            "SELECT table_schema, table_name, scope_schema, columns[1], role FROM electric.grants",
            &[],
        )
        .unwrap();
    let stored: Vec<String> = (0..5).map(|at| row.get(at)).collect();
    assert_eq!(stored, ["app", "Odd table", "app", "Key", "x:y"]);
}

#[test]
fn a_way_that_is_used_cannot_be_dropped() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON comments TO 'projects:member' USING issue_id/project_id; ELECTRIC ASSIGN 'x' TO issues.author",
    );
    let sql = |name: &str| {
        format!("SET electric.policy = compatible; ALTER TABLE issues DROP CONSTRAINT {name}")
    };
    database
        .refused(&sql("issues_project_id_fkey"), "0A000")
        .detail_names(&["comments"])
        .about_constraint("issues_project_id_fkey")
        .hinted();
    assert_eq!(database.recorded(&sql("issues_reviewer_fkey")).len(), 1);
}

#[test]
fn a_table_that_leaves_loses_its_grants_and_says_so() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT ON comments TO ANYONE; ELECTRIC ASSIGN 'x' TO comments.body; ELECTRIC GRANT SELECT ON users TO ANYONE",
    );
    run(
        &mut database.client(),
        "SELECT electric.set_migration_version('never recorded')",
    );
    let before = introspect(&database, None);
    let version = before["version"].as_str().unwrap().to_owned();
    let (mut client, notices) = database.client_with_notices();
    run(&mut client, "SELECT electric.disable('comments')");
    assert!(
        notices.has(&["comments", "lost 1 of its grants and 1 of its assignments"]),
        "{:?}",
        notices.all()
    );
    assert_eq!(grants(&database), ["users SELECT ANYONE"]);
    assert!(assignments(&database).is_empty());
    assert_eq!(introspect(&database, Some(&version)), before);
    // Electrified again it begins with none.
    run(&mut client, "SELECT electric.enable('comments')");
    let now = introspect(&database, None);
    let again = now["version"].as_str().unwrap().to_owned();
    run(&mut client, "ALTER TABLE comments ADD COLUMN later text");
    assert_eq!(introspect(&database, Some(&again)), now);
    assert_eq!(now["grants"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_forced_takes_back_what_named_it() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT (id, title) ON issues TO ANYONE; ELECTRIC GRANT SELECT ON issues TO 'conditional' WHERE (ROW.title = 'x');
         ELECTRIC GRANT SELECT ON issues TO 'plain'; ELECTRIC GRANT SELECT ON comments TO 'projects:member' USING issue_id/project_id;
         ELECTRIC ASSIGN 'author' TO issues.author",
    );
    let (mut client, notices) = database.client_with_notices();
    run(
        &mut client,
        "SET electric.policy = unrestricted; ALTER TABLE issues DROP COLUMN title",
    );
    assert!(notices.has(&["issues", "lost"]), "{:?}", notices.all());
    assert_eq!(
        grants(&database),
        [
            "comments SELECT member@projects /issue_id/project_id",
            "issues SELECT plain"
        ]
    );
    run(&mut client, "ALTER TABLE issues RENAME TO tickets");
    assert!(
        grants(&database)
            .iter()
            .all(|grant| !grant.starts_with("issues"))
    );
    assert!(assignments(&database).is_empty());
    let versions = database.migrations();
    for migration in versions {
        let told = introspect(&database, Some(&migration.version));
        schemas::introspection(&told).unwrap();
    }
    let now = introspect(&database, None);
    let version = now["version"].as_str().unwrap().to_owned();
    run(&mut client, "ALTER TABLE users ADD COLUMN later text");
    assert_eq!(introspect(&database, Some(&version)), now);
}

/// Found by a review: what is not on the search path of who migrates was taken for gone, and so was what is locked.
#[test]
fn grants_do_not_depend_on_the_session_that_migrates_later() {
    let database = model();
    run(
        &mut database.client(),
        "CREATE SCHEMA app; CREATE FUNCTION app.ok(text) RETURNS bool LANGUAGE sql AS 'SELECT true'; SET search_path = app, public;
         SELECT electric.ddlx('ELECTRIC GRANT SELECT ON issues TO ANYONE WHERE (ok(title))')",
    );
    let before = grants(&database);
    let mut locking = database.client();
    run(
        &mut locking,
        "BEGIN; LOCK TABLE issues IN ACCESS EXCLUSIVE MODE",
    );
    run(
        &mut database.client(),
        "SET lock_timeout = '5s'; SET electric.policy = unrestricted; ALTER TABLE users ADD COLUMN x int;
         ALTER TABLE users DROP COLUMN name; SET electric.policy = compatible;
         ALTER TABLE memberships DROP CONSTRAINT memberships_user_id_fkey",
    );
    run(&mut locking, "ROLLBACK");
    assert_eq!(grants(&database), before);
}
