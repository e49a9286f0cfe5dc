//! Types that electrified tables use: enums whose labels grow, domains and ranges that stay as they are.

use electric_schema::change::{Change, LabelPosition};
use electric_schema::model::{TypeDefinition, TypeKind};
use electric_schema::refusal;
use pgrx::pg_sys;

use super::record;
use crate::catalog;
use crate::error::{Error, SqlState};
use crate::pg::tree::Statement;
use crate::pg::{locks, names, types, xact};
use crate::settings;
use crate::store;
use crate::watch::{self, Watch};

/// Keeps the types of a table as they are until this transaction ends, and waits for who is changing them. Before that
/// the table is not read to be recorded: it would say what its types were called.
///
/// Call it under the migration lock.
pub fn hold_of(table: pg_sys::Oid) -> Result<(), Error> {
    catalog::types_of(table).into_iter().try_for_each(hold)
}

/// The same for one type. Who changes one that is recorded is refused, or says what replicas have to know.
fn hold(id: pg_sys::Oid) -> Result<(), Error> {
    if store::types::has(id)? {
        return Ok(());
    }
    locks::use_type(id);
    for check in types::domain_constraints(id) {
        locks::use_constraint(check.id);
    }
    Ok(())
}

/// Records a type that electrified tables begin to use; nothing if it is known.
pub fn use_type(id: pg_sys::Oid) -> Result<(), Error> {
    if store::types::has(id)? {
        return Ok(());
    }
    hold(id)?;
    let Some(definition) = catalog::type_definition(id) else {
        let (schema, name) = names::shown_type(id);
        let shown = refusal::shown(&schema, &name);
        return Err(Error::new(
            SqlState::of_code("40001"),
            format!("type {shown} was changed by another transaction"),
        )
        .detail("What is recorded of a type is what it is when the transaction commits.")
        .hint("Run the transaction again."));
    };
    let relation = definition.qualified_name();
    let again = store::commands::has(&relation, "create_type")?;
    let change = Change::CreateType(definition.clone());
    record::again(&change, &relation, None, again)?;
    store::types::insert(id, &definition, &catalog::type_identity(id))?;
    watch::changed();
    Ok(())
}

/// Whether this transaction can have made a type other than it is recorded. What was done to it by nobody who is known,
/// as by surgery in the catalog, is not for the command to answer for that happens to come next.
fn is_own_doing(
    id: pg_sys::Oid,
    recorded: Option<&(TypeDefinition, String)>,
    statement: Option<&Statement>,
) -> bool {
    let names_it = match statement {
        Some(Statement::ChangeType(named, _) | Statement::AlterDomain(named, _)) => *named == id,
        Some(Statement::RenameSchema(name)) => {
            recorded.is_some_and(|(definition, _)| definition.schema == *name)
        }
        _ => false,
    };
    let has_dropped_check = || {
        recorded.is_some_and(|(_, identity)| {
            unquoted_numbers(identity)
                .into_iter()
                .any(|check| locks::drops_constraint(pg_sys::Oid::from(check)))
        })
    };
    names_it || locks::changes_type(id) || has_dropped_check()
}

/// The numbers of a text, but for those in what is quoted: the ids of an identity, its checks' among them.
fn unquoted_numbers(text: &str) -> Vec<u32> {
    let (mut quoted, mut escaped) = (false, false);
    let outside = text.chars().map(|c| {
        let is_quote = c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        quoted ^= is_quote;
        if quoted { ' ' } else { c }
    });
    let outside: String = outside.collect();
    outside
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// Records or refuses what this transaction did to a type that electrified tables use; of what others did nothing is
/// said. Gives the tables that replicas must fetch anew because of it: none, unless the policy is unrestricted.
pub fn touched(
    id: pg_sys::Oid,
    statement: Option<&Statement>,
    watch: &Watch,
) -> Result<Vec<u32>, Error> {
    let is_unrestricted = || settings::effective_policy().1;
    match is_as_recorded(id) {
        Ok(true) => return Ok(Vec::new()),
        Err(error) if error.is_damage() && is_unrestricted() => {
            locks::migrations()?;
            return anew(id, watch);
        }
        Err(error) if error.is_damage() && !is_own_doing(id, None, statement) => {
            return Ok(Vec::new());
        }
        Ok(false) => {}
        Err(error) => return Err(error),
    }
    let recorded = store::types::get(id)?;
    if !is_unrestricted() && !is_own_doing(id, recorded.as_ref(), statement) {
        return Ok(Vec::new());
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

/// How a type that is recorded, and as readable, is not as recorded: in words, as recorded, and as it is.
pub fn drift(
    id: pg_sys::Oid,
) -> Result<Option<(String, TypeDefinition, Option<TypeDefinition>)>, Error> {
    let Some((recorded, _)) = store::types::get(id)? else {
        return Ok(None);
    };
    if is_as_recorded(id)? {
        return Ok(None);
    }
    let problem = match labels_that_came(id, &recorded) {
        Ok(_) => "changed without a record: add_enum_value".to_owned(),
        Err(action) => {
            let (schema, name) = (&recorded.schema, &recorded.name);
            let refused = refusal::change_type_in_use(schema, name, action);
            format!(
                "changed without a record, what is refused: {}",
                refused.message
            )
        }
    };
    Ok(Some((problem, recorded, catalog::type_definition(id))))
}

/// Records a type anew. Gives the tables that replicas must fetch because of it.
fn anew(id: pg_sys::Oid, watch: &Watch) -> Result<Vec<u32>, Error> {
    store::types::delete(id)?;
    xact::command_counter_increment();
    // One that was dropped is not to be recorded.
    if types::identity(id).is_some() {
        use_type(id)?;
    }
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
