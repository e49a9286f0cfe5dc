//! What must be there before a table or type: used where it is the stream's own or a superuser's, never where it is
//! somebody else's.

use electric_schema::names::{qualified, quote_ident_if_needed};
use pgrx::pg_sys;
use serde::de::DeserializeOwned;

use super::block::{Stop, described, is_streams};
use super::role;
use crate::catalog::uses;
use crate::error::Error;
use crate::pg::calls::Calls;
use crate::pg::said::{Name, Said};
use crate::pg::{compat, names, session, spi};

/// What a relation or type uses that belongs to ordinary roles, with its columns, constraints and indexes: functions,
/// operators, types, and what operator classes consist of, whoever made those.
const USED_OF_OTHERS: &str = "WITH of (class, id) AS ( \
        SELECT 'pg_catalog.pg_class'::regclass, $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index WHERE indrelid = $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef WHERE adrelid = $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint WHERE conrelid = nullif($1, '0')::oid \
        UNION ALL SELECT 'pg_catalog.pg_type'::regclass, $2::oid \
        UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint WHERE contypid = nullif($2, '0')::oid), \
    named (class, id) AS ( \
        SELECT d.refclassid, d.refobjid FROM of JOIN pg_catalog.pg_depend AS d ON d.classid = of.class AND d.objid = of.id \
        UNION SELECT 'pg_catalog.pg_opclass'::regclass, c.id \
        FROM pg_catalog.pg_index AS i, pg_catalog.unnest(i.indclass::oid[]) AS c (id) WHERE i.indrelid = $1::oid), \
    families (id) AS ( \
        SELECT o.opcfamily FROM named AS n JOIN pg_catalog.pg_opclass AS o ON o.oid = n.id \
        WHERE n.class = 'pg_catalog.pg_opclass'::regclass \
        UNION SELECT id FROM named WHERE class = 'pg_catalog.pg_opfamily'::regclass), \
    operators (id) AS ( \
        SELECT id FROM named WHERE class = 'pg_catalog.pg_operator'::regclass \
        UNION SELECT a.amopopr FROM families AS f JOIN pg_catalog.pg_amop AS a ON a.amopfamily = f.id), \
    used (class, id) AS ( \
        SELECT class, id FROM named \
        UNION SELECT 'pg_catalog.pg_opfamily'::regclass, id FROM families \
        UNION SELECT 'pg_catalog.pg_operator'::regclass, id FROM operators \
        UNION SELECT 'pg_catalog.pg_proc'::regclass, p.amproc FROM families AS f JOIN pg_catalog.pg_amproc AS p ON p.amprocfamily = f.id \
        UNION SELECT 'pg_catalog.pg_proc'::regclass, o.oprcode FROM operators JOIN pg_catalog.pg_operator AS o ON o.oid = operators.id) \
    SELECT pg_catalog.json_agg(DISTINCT pg_catalog.format('%s %s belongs to role %I, who is no superuser', o.type, o.identity, r.rolname))::text \
    FROM used AS u \
    JOIN pg_catalog.pg_roles AS r ON NOT r.rolsuper AND r.rolname <> current_user AND r.oid = CASE u.class \
        WHEN 'pg_catalog.pg_proc'::regclass THEN (SELECT proowner FROM pg_catalog.pg_proc WHERE oid = u.id) \
        WHEN 'pg_catalog.pg_operator'::regclass THEN (SELECT oprowner FROM pg_catalog.pg_operator WHERE oid = u.id) \
        WHEN 'pg_catalog.pg_opclass'::regclass THEN (SELECT opcowner FROM pg_catalog.pg_opclass WHERE oid = u.id) \
        WHEN 'pg_catalog.pg_opfamily'::regclass THEN (SELECT opfowner FROM pg_catalog.pg_opfamily WHERE oid = u.id) \
        WHEN 'pg_catalog.pg_type'::regclass THEN (SELECT typowner FROM pg_catalog.pg_type WHERE oid = u.id) END, \
    pg_catalog.pg_identify_object(u.class, u.id, 0) AS o";

/// The expressions of a relation or type, as they are stored, and whether they are defaults.
const EXPRESSIONS: &str = "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(of, tree::text, is_default))::text FROM ( \
        SELECT pg_catalog.format('the default of column %I', a.attname), d.adbin, a.attgenerated = '' \
        FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
        WHERE d.adrelid = $1::oid \
        UNION ALL SELECT pg_catalog.format('constraint %I', conname), conbin, false FROM pg_catalog.pg_constraint \
        WHERE (conrelid = nullif($1, '0')::oid OR contypid = nullif($2, '0')::oid) AND conbin IS NOT NULL \
        UNION ALL SELECT pg_catalog.format('index %I', c.relname), e.tree, false \
        FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid, \
        LATERAL (VALUES (i.indexprs), (i.indpred)) AS e (tree) WHERE i.indrelid = $1::oid AND e.tree IS NOT NULL \
        UNION ALL SELECT 'its default', typdefaultbin, true FROM pg_catalog.pg_type WHERE oid = $2::oid AND typdefaultbin IS NOT NULL \
    ) AS e (of, tree, is_default)";

/// The relations that foreign keys of a relation reference.
const REFERENCED: &str = "SELECT pg_catalog.json_agg(DISTINCT confrelid::bigint)::text FROM pg_catalog.pg_constraint \
    WHERE conrelid = nullif($1, '0')::oid AND contype = 'f' AND conparentid = 0 AND $2 IS NOT NULL";

/// Whether what a statement would make is there, so that nothing is left to do. What must not be used is in the way.
pub fn is_there(said: &Said) -> Result<bool, Stop> {
    match said {
        Said::Schema(name) => schema(name),
        Said::Extension(name, schema) => extension(name, schema),
        Said::Collation(name) => collation(name),
        Said::Sequence(name) => sequence(name),
        _ => Ok(false),
    }
}

/// What of others' the thing uses that the statement is about: what belongs to ordinary roles, what calls functions that
/// do not come from a publisher, tables that the stream did not make.
pub fn used_of_others(said: &Said) -> Result<Vec<String>, Error> {
    let none = pg_sys::Oid::INVALID;
    let (relation, data_type) = match said {
        Said::Table(name, ..) | Said::Alter(name, _) | Said::Index(name, _) => {
            (names::relation_of(&name.schema, &name.name), None)
        }
        Said::Type(name) | Said::Label(name) | Said::DomainConstraint(name) => {
            (None, names::type_of(&name.schema, &name.name))
        }
        _ => (None, None),
    };
    if (relation, data_type) == (None, None) {
        return Ok(Vec::new());
    }
    let ids = [relation, data_type].map(|id| id.unwrap_or(none).to_u32().to_string());
    let mut used: Vec<String> = listed(USED_OF_OTHERS, &ids)?;
    for (of, tree, is_default) in listed::<(String, String, bool)>(EXPRESSIONS, &ids)? {
        if !may_come(&Calls::of(&tree), is_default)? {
            used.push(format!(
                "{of} calls what no publisher sends, or what is not here"
            ));
        }
    }
    for id in listed::<u32>(REFERENCED, &ids)? {
        let id = pg_sys::Oid::from(id);
        if Some(id) != relation && !is_streams(id)? {
            used.push(format!(
                "it references {}, which the subscription did not make",
                described(id)
            ));
        }
    }
    Ok(used)
}

fn listed<T: DeserializeOwned>(sql: &str, ids: &[String; 2]) -> Result<Vec<T>, Error> {
    let found: Option<String> = spi::value(sql, &[&ids[0], &ids[1]])?;
    Ok(found.map_or_else(|| Ok(Vec::new()), |found| serde_json::from_str(&found))?)
}

/// What a publisher leaves out is not believed of its records either: a function of the server's own can take SQL in a
/// text, and run that later, when rows come.
fn may_come(calls: &Calls, is_default: bool) -> Result<bool, Error> {
    let is_asking = !is_default && (calls.asks || !calls.sequences.is_empty());
    for sequence in &calls.sequences {
        if !is_streams(*sequence)? {
            return Ok(false);
        }
    }
    let replica = replica()?;
    let is_trusted = |owner| owner == replica || session::is_superuser_role(owner);
    Ok(!calls.is_odd && !is_asking && uses::may_be_called(calls, is_default, is_trusted))
}

/// After the statement nothing else of others' is used than before: whoever writes to the table would run it.
pub fn no_more_of_others(said: &Said, before: &[String]) -> Result<(), Stop> {
    let mut now = used_of_others(said)?.into_iter();
    match now.find(|other| !before.contains(other)) {
        Some(other) => Err(Stop::InTheWay(other)),
        None => Ok(()),
    }
}

fn replica() -> Result<pg_sys::Oid, Error> {
    role::id().ok_or_else(|| Error::internal("the role of subscribers vanished"))
}

fn schema(name: &str) -> Result<bool, Stop> {
    let id = names::schema_of_name(name);
    if id == pg_sys::Oid::INVALID {
        return Ok(false);
    }
    if compat::may_create_in(id, replica()?) {
        return Ok(true);
    }
    Err(Stop::InTheWay(format!(
        "schema {0} is somebody else's; to let the subscription in: GRANT USAGE, CREATE ON SCHEMA {0} TO {1}",
        quote_ident_if_needed(name),
        role::NAME
    )))
}

/// An extension that is there may be used if a superuser made it, or the stream did. The script of one that is not runs
/// with a superuser's rights: only in a schema in which nobody else can have put anything.
fn extension(name: &str, schema: &str) -> Result<bool, Stop> {
    let (id, replica) = (names::extension_of_name(name), replica()?);
    let trusted = |owner| owner == replica || session::is_superuser_role(owner);
    if id == pg_sys::Oid::INVALID {
        let at = names::schema_of_name(schema);
        let owner = names::schema_owner(at);
        if at == pg_sys::Oid::INVALID || trusted(owner) {
            return Ok(false);
        }
        return Err(Stop::InTheWay(format!(
            "extension {} must be made by a superuser here, because schema {} belongs to role {}",
            quote_ident_if_needed(name),
            quote_ident_if_needed(schema),
            quote_ident_if_needed(&names::role_name(owner))
        )));
    }
    if !trusted(names::extension_owner(id)) {
        return Err(Stop::InTheWay(format!(
            "extension {} belongs to role {}, who is no superuser",
            quote_ident_if_needed(name),
            quote_ident_if_needed(&names::role_name(names::extension_owner(id)))
        )));
    }
    let found = names::schema_name(names::extension_schema(id)).unwrap_or_default();
    if found != schema {
        return Err(Stop::InTheWay(format!(
            "extension {} is in schema {}, and is needed in {}",
            quote_ident_if_needed(name),
            quote_ident_if_needed(&found),
            quote_ident_if_needed(schema)
        )));
    }
    Ok(true)
}

fn collation(name: &Name) -> Result<bool, Stop> {
    match names::collation_owner(&name.schema, &name.name) {
        None => Ok(false),
        Some(owner) if owner == replica()? => Ok(true),
        Some(_) => Err(Stop::InTheWay(format!(
            "collation {} is there already",
            qualified(&name.schema, &name.name)
        ))),
    }
}

fn sequence(name: &Name) -> Result<bool, Stop> {
    match names::relation_of(&name.schema, &name.name) {
        None => Ok(false),
        Some(id) if is_streams(id)? => Ok(true),
        Some(id) => Err(Stop::InTheWay(format!(
            "{} is there already",
            described(id)
        ))),
    }
}
