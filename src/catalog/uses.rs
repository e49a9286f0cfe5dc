//! What expressions, constraints and indexes use beyond their own table: whether replicas can have them too.

use std::collections::BTreeMap;

use pgrx::pg_sys;

use crate::pg::compat::catalog as c;
use crate::pg::names as server;
use crate::pg::relation::{self, Dependency};
use crate::pg::types;

/// What an expression, constraint or index uses beyond its own table.
#[derive(Default)]
pub struct Uses {
    /// Something that only this server has.
    pub is_local: bool,
    /// Extensions whose objects it uses, with their schemas.
    pub extensions: BTreeMap<String, String>,
    /// A sequence it names.
    pub sequence: Option<pg_sys::Oid>,
}

impl Uses {
    /// `own` are the table and types it may use freely, because replicas have them.
    pub fn of(depender: pg_sys::Oid, object: pg_sys::Oid, own: &[pg_sys::Oid]) -> Uses {
        let mut uses = Uses::default();
        for Dependency { class, object, .. } in relation::dependencies(depender, object) {
            // Arrays and multiranges come with the type they are made of.
            let object = if class == pg_sys::TypeRelationId {
                types::made_of(object)
            } else {
                object
            };
            // A constraint's index hangs on the constraint, a foreign key on the key it points to.
            let of_constraint = class == c::CONSTRAINTS
                || (depender == c::CONSTRAINTS && class == pg_sys::RelationRelationId);
            let with_the_type = [pg_sys::NamespaceRelationId, pg_sys::ExtensionRelationId];
            if own.contains(&object) || of_constraint || with_the_type.contains(&class) {
                continue;
            }
            if class == pg_sys::RelationRelationId
                && relation::class(object).is_some_and(|r| r.kind == b'S')
            {
                uses.sequence = Some(object);
            } else if let Some(extension) = server::extension_of(class, object) {
                uses.extensions.insert(extension.name, extension.schema);
            } else {
                uses.is_local = true;
            }
        }
        uses
    }
}
