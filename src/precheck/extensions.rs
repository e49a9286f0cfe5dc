//! Extensions that electrified tables use stay in their schema: the names of what they hold are in the records.

use electric_schema::model::{ColumnType, Extension};
use electric_schema::refusal;

use crate::error::Error;
use crate::store;

/// Refuses to move the extensions that `moves`, given an extension's name and schema, says will move.
pub fn stay(moves: impl Fn(&str, &str) -> bool) -> Result<(), Error> {
    for id in store::shapes::ids()? {
        // One that cannot be read keeps none of the others from moving.
        let Ok(Some(table)) = store::shapes::shape(id) else {
            continue;
        };
        let of_types = table
            .columns
            .iter()
            .filter_map(|column| of_type(&column.data_type));
        let found = of_types
            .chain(table.extensions.iter().map(named))
            .find(|(name, schema)| moves(name, schema));
        if let Some((name, _)) = found {
            let (schema, table) = (&table.schema, &table.name);
            return Err(Error::from(refusal::move_extension(name)).table(schema, table));
        }
    }
    for id in store::types::ids()? {
        let Ok(Some((definition, _))) = store::types::get(id) else {
            continue;
        };
        let mut extensions = definition.extensions.iter().map(named);
        if let Some((name, _)) = extensions.find(|(name, schema)| moves(name, schema)) {
            return Err(refusal::move_extension(name).into());
        }
    }
    Ok(())
}

fn named(extension: &Extension) -> (&str, &str) {
    (&extension.name, &extension.schema)
}

fn of_type(data_type: &ColumnType) -> Option<(&str, &str)> {
    match (&data_type.extension, &data_type.of) {
        (Some(extension), _) => Some((extension, &data_type.schema)),
        (None, Some(of)) => of_type(of),
        (None, None) => None,
    }
}
