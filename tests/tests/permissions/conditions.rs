//! Conditions: one expression, parsed once, as the role that grants.

use electric_tests::database::{run, text};

use super::{ddlx, grants, model, refused};

#[test]
fn conditions_are_parsed_by_the_server() {
    let database = model();
    for condition in [
        "title = 'x' OR author IS NULL",
        "ROW.author = AUTH.user_id",
        "NEW.author = OLD.author AND NEW.id <> OLD.id",
        "issues.id = AUTH.user_id",
        "AUTH.claims ->> 'email' LIKE /* ) */ '%@x' || $$)$$",
        "lower(AUTH.user_id) = author",
        "AUTH.user_id::uuid = ROW.id",
        "coalesce(length(title), 0) > 3",
    ] {
        ddlx(
            &database,
            &format!("ELECTRIC GRANT SELECT ON issues TO ANYONE WHERE ({condition})"),
        );
        assert_eq!(
            grants(&database),
            [format!("issues SELECT ANYONE ? {condition}")]
        );
    }
    for (condition, code) in [
        ("nope = 1", "42703"),
        ("NEW.nope = 1", "42703"),
        ("AUTH.nope = 'x'", "42703"),
        ("other.id = 1", "42P01"),
        ("title", "42804"),
        ("title = 1 +", "42601"),
        ("title = 1", "42883"),
        ("count(*) > 1", "42803"),
        ("EXISTS (SELECT 1)", "0A000"),
        ("nope(title)", "42883"),
    ] {
        refused(
            &database,
            &format!("ELECTRIC GRANT SELECT ON issues TO ANYONE WHERE ({condition})"),
            code,
        );
    }
    // A text that would be more than one expression.
    for condition in [
        "true) FROM users WHERE (true",
        "true), (true",
        "true) AS x, (y",
    ] {
        let call = format!(
            "SELECT electric.grant('SELECT', 'issues', 'anyone', condition => '{condition}')"
        );
        database.refused(&call, "42601");
    }
}

/// Found by a review: a stored condition was analysed again by whoever migrated something else.
#[test]
fn nothing_of_a_condition_runs_as_who_migrates_later() {
    let database = model();
    let mallory = database.role("mallory");
    run(
        &mut database.client(),
        &format!(
            "CREATE TABLE mine (id int PRIMARY KEY, v text CONSTRAINT mv UNIQUE, w text); SELECT electric.enable('mine');
             CREATE TABLE theirs (id uuid PRIMARY KEY, v text); ALTER TABLE theirs OWNER TO {mallory};
             CREATE SCHEMA lair AUTHORIZATION {mallory}; SET ROLE {mallory}; SELECT electric.enable('theirs');
             CREATE TABLE lair.seen (who text); GRANT ALL ON lair.seen TO PUBLIC;
             CREATE FUNCTION lair.evil(text) RETURNS bool LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO lair.seen VALUES (current_user); RETURN true; END $$;
             CREATE DOMAIN lair.trap AS text CHECK (lair.evil(value));
             SELECT electric.grant('SELECT', 'theirs', 'r', condition => $$'{{x}}'::lair.trap[] IS NOT NULL AND v = 'x'$$)"
        ),
    );
    run(
        &mut database.client(),
        "SET electric.policy = compatible; ALTER TABLE mine DROP CONSTRAINT mv;
         SET electric.policy = unrestricted; ALTER TABLE mine ADD COLUMN x int; ALTER TABLE mine DROP COLUMN w;
         ALTER TABLE theirs DROP COLUMN v",
    );
    assert_eq!(
        text(
            &mut database.client(),
            "SELECT coalesce(string_agg(DISTINCT who, ','), '') FROM lair.seen"
        ),
        mallory
    );
    // The column that it named is gone, and the grant with it.
    assert!(grants(&database).is_empty());
}

/// Found by a review.
#[test]
fn a_condition_by_itself_is_one_expression() {
    let database = model();
    for condition in [
        "true) OR (true",
        "true; SELECT 1",
        "",
        "(true",
        "true, false",
        "true FROM users",
    ] {
        let call = format!(
            "SELECT electric.grant('SELECT', 'issues', 'anyone', condition => '{condition}')"
        );
        database.refused(&call, "42601");
    }
    run(
        &mut database.client(),
        "SELECT electric.grant('SELECT', 'issues', 'anyone', columns => '{id,id}', condition => ' title = 1::text -- why')",
    );
    assert_eq!(
        grants(&database),
        ["issues SELECT ANYONE {id} ? title = 1::text"]
    );
    let error = database.refused(
        "SELECT electric.grant('SELECT', 'issues', 'anyone', condition => 'title = ')",
        "42601",
    );
    assert_eq!(error.message, "syntax error at end of input");
    database.refused(
        "SELECT electric.grant('SELECT', 'users', 'x', scope => 99999999)",
        "42P01",
    );
    refused(&database, "ELECTRIC SQLITE 'SELECT 1; COMMIT'", "22023").hinted();
}
