//! Privileges on what belongs to the extension: those that its scripts give, and no others.

use crate::error::Error;
use crate::pg::entry::{Call, Datum, void};
use crate::pg::{names, spi};

/// What `ALTER DEFAULT PRIVILEGES` gave to the members of the extension, as statements that take it back. Our own scripts
/// give to PUBLIC alone, and of each kind of object one privilege. Of functions, `$2` tells whether those that users call
/// count too.
const GIVEN: &str = "
    WITH members AS (
        SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
        WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = $1::pg_catalog.oid AND d.deptype = 'e'
    ), objects (name, owner, acl, ours) AS (
        SELECT pg_catalog.format('SCHEMA %I', n.nspname), n.nspowner, n.nspacl, 'USAGE'
        FROM members AS m JOIN pg_catalog.pg_namespace AS n ON m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.oid = m.objid
        UNION ALL
        SELECT pg_catalog.format('TABLE %s', c.oid::pg_catalog.regclass), c.relowner, c.relacl, 'SELECT'
        FROM members AS m JOIN pg_catalog.pg_class AS c ON m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = m.objid
        WHERE c.relkind IN ('r', 'v')
        UNION ALL
        SELECT pg_catalog.format('ROUTINE %s', p.oid::pg_catalog.regprocedure), p.proowner, p.proacl, 'EXECUTE'
        FROM members AS m JOIN pg_catalog.pg_proc AS p ON m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = m.objid
        WHERE $2::pg_catalog.bool OR p.prorettype IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
        UNION ALL
        SELECT pg_catalog.format('TYPE %s', t.oid::pg_catalog.regtype), t.typowner, t.typacl, 'USAGE'
        FROM members AS m JOIN pg_catalog.pg_type AS t ON m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = m.objid
        WHERE t.typacl IS NOT NULL AND t.typelem = 0
    )
    SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('REVOKE %s ON %s FROM %s CASCADE',
        CASE x.grantee WHEN 0 THEN x.privilege_type ELSE 'ALL' END, o.name,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::pg_catalog.regrole::pg_catalog.text END), '; ')
    FROM objects AS o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS x
    WHERE CASE x.grantee WHEN 0 THEN x.privilege_type <> o.ours ELSE x.grantee <> o.owner END";

/// `electric.only_own_privileges(functions boolean)`: there only while a script of the extension runs. An update leaves
/// functions that users call as they are: who may call them is for whoever runs the database to say.
pub fn only_own(call: &Call) -> Result<Datum, Error> {
    let extension = names::own_extension().to_u32().to_string();
    let functions = call.boolean(0)?.unwrap_or(true).to_string();
    if let Some(statements) = spi::value::<String>(GIVEN, &[&extension, &functions])? {
        spi::run(&statements)?;
    }
    Ok(void())
}
