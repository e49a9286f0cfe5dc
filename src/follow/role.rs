//! The role that a subscriber applies with: it owns what the stream makes, and may do nothing else.

use electric_schema::names::quote_ident;

use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::{locks, names, session, spi};
use crate::{api, store};

/// Its name.
pub const NAME: &str = "electric_replica";

/// Its id, if it is there.
pub fn id() -> Option<pg_sys::Oid> {
    session::role_of_name(NAME)
}

/// Makes the role if it is not there. One that is there must be what we would make.
pub fn ensure() -> Result<pg_sys::Oid, Error> {
    if id().is_none() {
        // Another database of this server may be at it.
        locks::roles();
    }
    if id().is_none() {
        // A background worker's role must be one that may log in (before PostgreSQL 17), but no client's connection is within
        // a limit of none; and it has no password.
        api::working(|| {
            spi::run(&format!(
                "CREATE ROLE {NAME} LOGIN CONNECTION LIMIT 0 NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT"
            ))?;
            // At more detail the server's worker logs the connection string.
            spi::run(&format!(
                "ALTER ROLE {NAME} SET log_min_messages = 'warning'"
            ))?;
            spi::run(&format!(
                "COMMENT ON ROLE {NAME} IS 'Electric: applies what a subscription brings; owns what it makes'"
            ))
        })?;
    }
    let role = id().ok_or_else(|| Error::internal("the role of subscribers vanished"))?;
    refuse_more(role)?;
    let excess: Option<String> = api::working(|| {
        spi::value(
            "SELECT CASE WHEN r.rolconnlimit <> 0 OR r.rolpassword IS NOT NULL THEN 'it can log in' \
                WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = r.oid) THEN 'it has members' END \
             FROM pg_catalog.pg_authid AS r WHERE r.rolname::text = $1",
            &[NAME],
        )
    })?;
    match excess {
        Some(excess) => Err(unfit(&excess)),
        None => Ok(role),
    }
}

/// Refuses the role while it may do more than what it was made for: all that comes would be done with that.
pub fn refuse_more(role: pg_sys::Oid) -> Result<(), Error> {
    if let Some(attribute) = session::special_attribute(role) {
        return Err(unfit(&format!("it has {attribute}")));
    }
    if session::is_member_of_any(role) {
        return Err(unfit("it is a member of other roles"));
    }
    Ok(())
}

fn unfit(excess: &str) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("role \"{NAME}\" may do more than a subscriber needs: {excess}"),
    )
    .detail("What comes from a publisher is applied with the rights of this role, so it has none but to own what it makes.")
    .hint(format!(
        "ALTER ROLE {NAME} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 0 PASSWORD NULL; \
         and revoke its memberships, or rename it."
    ))
}

/// What the role needs of this database: to make schemas in it, and to write the records. Call it as superuser.
pub fn grant<'a>(schemas: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let database = quote_ident(&session::database_name());
    let mut statements = vec![
        format!("GRANT CONNECT, CREATE ON DATABASE {database} TO {NAME}"),
        format!("GRANT USAGE ON SCHEMA electric TO {NAME}"),
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON electric.migrations, electric.ddl_commands, electric.grants, \
             electric.assignments TO {NAME}"
        ),
    ];
    for schema in schemas {
        if names::schema_of_name(schema) != pg_sys::Oid::INVALID {
            let schema = quote_ident(schema);
            statements.push(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {NAME}"));
        }
    }
    api::working(|| statements.iter().try_for_each(|sql| spi::run(sql)))
}

/// Gives what the role owns in this database to the caller, a superuser, and takes its privileges from it. The role
/// itself stays: other databases of the server may use it.
pub fn give_back() -> Result<(), Error> {
    let Some(role) = id() else {
        return Ok(());
    };
    let owned = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('ALTER %s %s OWNER TO %I', o.type, o.identity, current_user)), '[]')::text \
        FROM pg_catalog.pg_shdepend AS d, pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) AS o \
        WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
        AND d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = $1::oid AND d.deptype = 'o' AND o.type = $2";
    let revoked = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('REVOKE ALL ON SCHEMA %s FROM %s', o.identity, $2)), '[]')::text \
        FROM pg_catalog.pg_shdepend AS d, pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) AS o \
        WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
        AND d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = $1::oid AND d.deptype = 'a' AND o.type = 'schema'";
    let role = role.to_u32().to_string();
    let run_all = |sql: &str, what: &str| -> Result<(), Error> {
        let statements: Option<String> = session::canonical(|| spi::value(sql, &[&role, what]))?;
        let statements: Vec<String> = serde_json::from_str(&statements.unwrap_or_default())?;
        api::working(|| statements.iter().try_for_each(|sql| spi::run(sql)))
    };
    // What a table owns goes with it, so tables come first.
    for kind in ["table", "sequence", "type", "collation", "schema"] {
        run_all(owned, kind)?;
        crate::pg::xact::command_counter_increment();
    }
    run_all(revoked, NAME)?;
    let database = quote_ident(&session::database_name());
    api::working(|| {
        spi::run(&format!("REVOKE ALL ON DATABASE {database} FROM {NAME}"))?;
        spi::run(&format!(
            "REVOKE ALL ON electric.migrations, electric.ddl_commands, electric.grants, electric.assignments FROM {NAME}"
        ))
    })
}

/// The subscription that this process applies, if it is the one by which this database follows another: that of the
/// name that we gave it, owned by the role that we made for it. Whatever other workers bring is not a publisher's.
pub fn ours() -> Result<Option<pg_sys::Oid>, Error> {
    use crate::pg::subscription;
    let Some(id) = subscription::applied() else {
        return Ok(None);
    };
    let (Some(facts), Some(role)) = (subscription::facts(id), self::id()) else {
        return Ok(None);
    };
    let is_ours =
        facts.owner == role && store::subscriptions::name()?.as_deref() == Some(&facts.name);
    Ok(is_ours.then_some(id))
}

/// Refuses a record that another worker than [ours] brings.
pub fn not_ours(applied: pg_sys::Oid, name: &str) -> Error {
    let facts = crate::pg::subscription::facts(applied);
    let (by, owner) = facts.map_or_else(Default::default, |facts| {
        (facts.name, names::role_name(facts.owner))
    });
    if by == name {
        return Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("cannot follow the publisher: subscription \"{by}\" belongs to role \"{owner}\""),
        )
        .detail(format!("What comes is applied with the rights of role \"{NAME}\", and with no others."))
        .hint("Where the extension is older than its library: ALTER EXTENSION electric UPDATE; elsewhere: CALL electric.unsubscribe(); and CALL electric.subscribe(…);");
    }
    Error::new(
        SqlState::InsufficientPrivilege,
        format!("subscription \"{by}\" brings records of migrations to a database that follows another by subscription \"{name}\""),
    )
    .detail("A database has one history.")
}
