//! What expressions, constraints and indexes use beyond their own table: whether replicas can have them too.

use std::collections::{BTreeMap, BTreeSet};

use electric_schema::harmless;
use electric_schema::model::{Collation, Extension};
use pgrx::pg_sys;

use crate::pg::calls::Calls;
use crate::pg::compat::catalog as c;
use crate::pg::names as server;
use crate::pg::relation::{self, Dependency};
use crate::pg::{collation, session, trust, types};

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
        match trust::brought_by(pg_sys::CollationRelationId, id) {
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
            if class == pg_sys::RelationRelationId && is_shared_sequence(object) {
                uses.sequence = Some(object);
            } else if class == pg_sys::CollationRelationId {
                uses.needs.add_collation(object);
            } else if let Some(extension) = extension(class, object) {
                uses.needs.extension(extension);
            } else if !(class == c::TEXT_SEARCH_CONFIGURATIONS && types::is_built_in(object)) {
                uses.is_local = true;
            }
        }
        uses
    }

    /// With what the expressions of a check or an index call: they must say the same everywhere.
    pub fn computing(mut self, calls: &Calls) -> Uses {
        let is_asking = calls.asks || !calls.sequences.is_empty();
        self.is_local |= is_asking || calls.is_odd || !all_may_be_called(calls, false);
        self
    }

    /// With what a default calls: it serves rows that are made where it is.
    pub fn giving(mut self, calls: &Calls) -> Uses {
        let is_known = |id: &pg_sys::Oid| Some(*id) == self.sequence;
        let has_sequences = calls.sequences.iter().all(is_known);
        self.is_local |= calls.is_odd || !has_sequences || !all_may_be_called(calls, true);
        self
    }

    /// What either uses.
    pub fn and(mut self, other: Uses) -> Uses {
        self.is_local |= other.is_local;
        self.needs.extensions.extend(other.needs.extensions);
        self.needs.collations.extend(other.needs.collations);
        self
    }
}

/// The extension that brings what an expression, constraint or index depends on.
fn extension(class: pg_sys::Oid, object: pg_sys::Oid) -> Option<server::Owner> {
    // What a type and its indexes are made of is there with the type. What is called is chosen by who owns the table.
    let comes_with_type = [
        pg_sys::TypeRelationId,
        pg_sys::OperatorClassRelationId,
        pg_sys::OperatorFamilyRelationId,
        pg_sys::AccessMethodRelationId,
    ];
    match comes_with_type.contains(&class) {
        true => trust::brought_by(class, object),
        false => trust::brought_by_superuser(class, object),
    }
}

/// Whether the relation is a sequence that replicas can have too.
fn is_shared_sequence(id: pg_sys::Oid) -> bool {
    relation::class(id).is_some_and(|class| class.kind == b'S' && class.persistence != b't')
}

fn all_may_be_called(calls: &Calls, by_default: bool) -> bool {
    may_be_called(calls, by_default, session::is_superuser_role)
}

/// Whether all that is called is the server's own and harmless, or a member of an extension whose owner is trusted.
pub fn may_be_called(
    calls: &Calls,
    by_default: bool,
    is_trusted: impl Fn(pg_sys::Oid) -> bool,
) -> bool {
    let may_be_called = |id: &pg_sys::Oid| {
        let Some(function) = trust::function(*id) else {
            return false;
        };
        let name = &function.name;
        if function.is_built_in {
            return harmless::only_computes(name, function.is_immutable)
                || (by_default && harmless::in_defaults(name));
        }
        trust::brought_by_trusted(pg_sys::ProcedureRelationId, *id, &is_trusted).is_some_and(
            |extension| {
                function.is_immutable
                    || (by_default && harmless::of_extension_in_defaults(&extension.name, name))
            },
        )
    };
    calls.functions.iter().all(may_be_called)
}
