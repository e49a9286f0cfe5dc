//! Bugs that the oracles found and that are not mended yet: what shows them is left out of scripts. Each switch goes
//! with its bug.

/// A constant DEFAULT is taken for one that only the server has, so that other Postgres do without, where the column's
/// type is
/// * an array of an extension's type: `CREATE TABLE t (id int PRIMARY KEY, c citext[] DEFAULT '{a}')`;
/// * the multirange of a user's range: `CREATE TYPE span AS RANGE (subtype = text, multirange_type_name = spans);
///   CREATE TABLE t (id int PRIMARY KEY, c spans DEFAULT '{[a,b)}')`.
const CONSTANT_TAKEN_FOR_LOCAL: &[&str] = &["ext.citext[]", "public.spans"];

/// Whether constants of that type show the bug.
pub fn has_local_default(type_sql: &str) -> bool {
    CONSTANT_TAKEN_FOR_LOCAL.contains(&type_sql)
}
