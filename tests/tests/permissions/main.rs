//! S8: what clients may do, and which rows give them roles: DDLX and the functions beside it.

mod conditions;
mod grants;
mod obstacles;
mod statements;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run};
use electric_tests::errors::{ServerError, failure};
use postgres::Client;
use serde_json::Value;

const MODEL: &str = "
    CREATE TABLE users (id text PRIMARY KEY, name text);
    CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL, owner_id text NOT NULL REFERENCES users);
    CREATE TABLE memberships (project_id uuid REFERENCES projects, user_id text REFERENCES users, role text,
        PRIMARY KEY (project_id, user_id));
    CREATE TABLE issues (id uuid PRIMARY KEY, project_id uuid REFERENCES projects, author text REFERENCES users,
        reviewer text REFERENCES users, title text);
    CREATE TABLE comments (id uuid PRIMARY KEY, issue_id uuid REFERENCES issues, body text);
    SELECT electric.enable('users', 'projects', 'memberships', 'issues', 'comments')";

fn model() -> Database<'static> {
    let database = Cluster::shared().database();
    run(&mut database.client(), MODEL);
    database
}

fn try_ddlx(client: &mut Client, statements: &str) -> Result<Vec<String>, postgres::Error> {
    let rows = client.query("SELECT * FROM electric.ddlx($1)", &[&statements])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[track_caller]
fn ddlx(database: &Database<'_>, statements: &str) -> Vec<String> {
    match try_ddlx(&mut database.client(), statements) {
        Ok(tags) => tags,
        Err(error) => panic!("{statements}\n{}", electric_tests::errors::describe(&error)),
    }
}

/// The statement must fail with that SQLSTATE and leave nothing behind.
#[track_caller]
fn refused(database: &Database<'_>, statements: &str, code: &str) -> ServerError {
    let before = database.trace();
    let error = failure(try_ddlx(&mut database.client(), statements), code);
    assert_eq!(before, database.trace(), "it left a trace: {statements}");
    error
}

/// Grants as short texts: table privilege role@scope (columns) /path/ ?condition.
fn grants(database: &Database<'_>) -> Vec<String> {
    let sql = "SELECT table_name || ' ' || privilege || ' ' || coalesce(role, upper(grantee))
            || coalesce('@' || scope_table, '') || coalesce(' ' || columns::text, '')
            || coalesce(' /' || array_to_string(using_path, '/'), '') || coalesce(' ? ' || condition, '')
        FROM electric.grants ORDER BY 1";
    let rows = database.client().query(sql, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn assignments(database: &Database<'_>) -> Vec<String> {
    let sql = "SELECT table_name || '.' || user_column || ' ' || coalesce(role, '=' || role_column)
            || coalesce('@' || scope_table, '') || coalesce(' /' || array_to_string(using_path, '/'), '')
            || coalesce(' ? ' || condition, '')
        FROM electric.assignments ORDER BY 1";
    let rows = database.client().query(sql, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn introspect(database: &Database<'_>, version: Option<&str>) -> Value {
    let row = database
        .client()
        .query_one("SELECT electric.introspect($1)", &[&version])
        .unwrap();
    row.get(0)
}
