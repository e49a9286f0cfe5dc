//! What expressions, constraints and indexes use beyond their own table: whether replicas can have them too.

use std::collections::{BTreeMap, BTreeSet};

use electric_schema::model::{Collation, Extension};
use pgrx::pg_sys;

use crate::pg::compat::catalog as c;
use crate::pg::names as server;
use crate::pg::relation::{self, Dependency};
use crate::pg::{collation, types};

/// What an expression, constraint or index uses beyond its own table.
#[derive(Default)]
pub struct Uses {
    /// Something that only this server has.
    pub is_local: bool,
    /// What replicas must have before.
    pub needs: Needs,
    /// A sequence it names.
    pub sequence: Option<pg_sys::Oid>,
}

/// What must be there before a table or type can be made.
#[derive(Default)]
pub struct Needs {
    extensions: BTreeMap<String, String>,
    collations: BTreeSet<u32>,
}

impl Needs {
    /// Needs the extension.
    pub fn extension(&mut self, extension: server::Owner) {
        self.extensions.insert(extension.name, extension.schema);
    }

    /// Needs the collation, where it is not that of the type.
    pub fn collation(&mut self, id: pg_sys::Oid, type_id: pg_sys::Oid) {
        if collation::is_own(id, type_id) {
            self.add_collation(id);
        }
    }

    fn add_collation(&mut self, id: pg_sys::Oid) {
        match server::extension_of(pg_sys::CollationRelationId, id) {
            Some(extension) => self.extension(extension),
            None => {
                self.collations.insert(id.to_u32());
            }
        }
    }

    /// Needs what these need, unless they are left out on replicas. Gives whether they are.
    pub fn add(&mut self, uses: Uses) -> bool {
        if !uses.is_local {
            self.extensions.extend(uses.needs.extensions);
            self.collations.extend(uses.needs.collations);
        }
        uses.is_local
    }

    /// The extensions, by name.
    pub fn extensions(&self) -> Vec<Extension> {
        let made = |(name, schema): (&String, &String)| Extension {
            name: name.clone(),
            schema: schema.clone(),
        };
        self.extensions.iter().map(made).collect()
    }

    /// The collations that users made, by schema and name.
    pub fn collations(&self) -> Vec<Collation> {
        let ids = self.collations.iter();
        let mut found: Vec<Collation> = ids
            .filter_map(|id| collation::made(pg_sys::Oid::from(*id)))
            .collect();
        found.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        found
    }
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
            } else if class == pg_sys::CollationRelationId {
                uses.needs.add_collation(object);
            } else if let Some(extension) = server::extension_of(class, object) {
                uses.needs.extension(extension);
            } else {
                uses.is_local = true;
            }
        }
        uses
    }

    /// What either uses.
    pub fn and(mut self, other: Uses) -> Uses {
        self.is_local |= other.is_local;
        self.needs.extensions.extend(other.needs.extensions);
        self.needs.collations.extend(other.needs.collations);
        self
    }
}
