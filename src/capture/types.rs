//! Types that electrified tables use: enums whose labels grow, domains and ranges that stay as they are.

use electric_schema::change::{Change, LabelPosition};
use electric_schema::model::{TypeDefinition, TypeKind};
use electric_schema::refusal;
use pgrx::pg_sys;

use super::record;
use crate::catalog;
use crate::error::Error;
use crate::pg::{locks, names, xact};
use crate::settings;
use crate::store;
use crate::watch::{self, Watch};

/// Records a type that electrified tables begin to use; nothing if it is known.
pub fn use_type(id: pg_sys::Oid) -> Result<(), Error> {
    if store::types::has(id)? {
        return Ok(());
    }
    // A label that another transaction is adding is waited for.
    locks::type_labels(id);
    let Some(definition) = catalog::type_definition(id) else {
        return Ok(());
    };
    let relation = definition.qualified_name();
    let again = store::commands::has(&relation, "create_type")?;
    let change = Change::CreateType(definition.clone());
    record::again(&change, &relation, None, again)?;
    store::types::insert(id, &definition, &catalog::type_identity(id))?;
    watch::changed();
    Ok(())
}

/// Records or refuses what happened to a type that electrified tables use. Gives the tables that replicas must fetch
/// anew because of it: none, unless the policy is unrestricted.
pub fn touched(id: pg_sys::Oid, watch: &Watch) -> Result<Vec<u32>, Error> {
    let is_unrestricted = || settings::effective_policy().1;
    match is_as_recorded(id) {
        Ok(true) => return Ok(Vec::new()),
        Err(error) if error.is_damage() && is_unrestricted() => {
            locks::migrations()?;
            return anew(id, watch);
        }
        Ok(false) => {}
        Err(error) => return Err(error),
    }
    locks::migrations()?;
    if is_as_recorded(id)? {
        return Ok(Vec::new());
    }
    let Some((recorded, _)) = store::types::get(id)? else {
        return Ok(Vec::new());
    };
    let added = match labels_that_came(id, &recorded) {
        Ok(added) => added,
        Err(action) if !is_unrestricted() => {
            let TypeDefinition { schema, name, .. } = &recorded;
            return Err(refusal::change_type_in_use(schema, name, action).into());
        }
        Err(_) => return anew(id, watch),
    };
    let mut enum_type = recorded.clone();
    for (value, position) in added {
        let place = match &position {
            LabelPosition::Before(next) => enum_type.labels.iter().position(|l| l == next),
            LabelPosition::Last => None,
        };
        enum_type
            .labels
            .insert(place.unwrap_or(enum_type.labels.len()), value.clone());
        let change = Change::AddEnumValue {
            enum_type: enum_type.clone(),
            value,
            position,
        };
        record::one(&change, &enum_type.qualified_name(), None)?;
    }
    store::types::update(id, &enum_type, &catalog::type_identity(id))?;
    xact::command_counter_increment();
    Ok(Vec::new())
}

/// Records a type anew. Gives the tables that replicas must fetch because of it.
fn anew(id: pg_sys::Oid, watch: &Watch) -> Result<Vec<u32>, Error> {
    store::types::delete(id)?;
    xact::command_counter_increment();
    use_type(id)?;
    Ok(watch.tables_with_type(id))
}

/// The labels that were added to an enum; what else was done to the type, if anything was.
fn labels_that_came(
    id: pg_sys::Oid,
    recorded: &TypeDefinition,
) -> Result<Vec<(String, LabelPosition)>, &'static str> {
    let Some(actual) = catalog::type_definition(id) else {
        return Err("drop");
    };
    if actual.schema != recorded.schema {
        return Err("change the schema of");
    }
    if actual.name != recorded.name {
        return Err("rename");
    }
    if actual.kind != TypeKind::Enum {
        return Err("alter");
    }
    labels_added(&recorded.labels, &actual.labels).ok_or("rename a value of")
}

/// Takes on a type that was recorded in another database, if it is as recorded.
pub(super) fn take_on(id: pg_sys::Oid) -> Result<(), Error> {
    if is_as_recorded(id).unwrap_or(false)
        && let Some((recorded, _)) = store::types::get(id)?
    {
        store::types::update(id, &recorded, &catalog::type_identity(id))?;
    }
    Ok(())
}

/// Whether a type is what it was; one that is not recorded is nobody's business. Of domains and ranges the ids decide,
/// as long as they are of this database: their text changes when something they use is renamed.
fn is_as_recorded(id: pg_sys::Oid) -> Result<bool, Error> {
    let Some((recorded, identity)) = store::types::get(id)? else {
        return Ok(true);
    };
    let Some(actual) = catalog::type_definition(id) else {
        return Ok(false);
    };
    let named = actual.schema == recorded.schema && actual.name == recorded.name;
    let same_place = identity.starts_with(&format!("{} ", names::place(id)));
    Ok(named
        && actual.labels == recorded.labels
        && if same_place && recorded.kind != TypeKind::Enum {
            identity == catalog::type_identity(id)
        } else {
            let says_as_recorded = |of: &TypeDefinition| {
                of.definition == recorded.definition && of.not_valid == recorded.not_valid
            };
            says_as_recorded(&actual)
                || catalog::type_definition_in_full(id).is_some_and(|all| says_as_recorded(&all))
        })
}

/// The labels that came, each with its place among those that are there by then; `None` if any went or moved.
fn labels_added(recorded: &[String], actual: &[String]) -> Option<Vec<(String, LabelPosition)>> {
    let mut kept = recorded.iter().peekable();
    let mut added = Vec::new();
    for label in actual {
        if kept.peek() == Some(&label) {
            kept.next();
        } else if recorded.contains(label) {
            return None;
        } else {
            let position = match kept.peek() {
                Some(next) => LabelPosition::Before((*next).clone()),
                None => LabelPosition::Last,
            };
            added.push((label.clone(), position));
        }
    }
    kept.peek().is_none().then_some(added)
}
