//! The order in which tables are made, so that what a foreign key references is there when the key is.

use std::collections::{HashMap, HashSet};

use crate::change::Change;
use crate::model::{ForeignKey, Table};

/// The tables, by their position in `tables`, each after those it references, with the [`Change::CreateTable`] that
/// makes it. Keys that would close a circle are made with the last table of it.
pub fn creation(tables: &[&Table]) -> Vec<(usize, Change)> {
    let order = referenced_first(tables);
    let place: HashMap<usize, usize> = order.iter().enumerate().map(|(n, &at)| (at, n)).collect();
    let positions = positions(tables);
    // Keys to tables that come later in a circle wait for these.
    let mut waiting: HashMap<usize, Vec<(String, ForeignKey)>> = HashMap::new();
    let mut steps = Vec::with_capacity(order.len());
    for &at in &order {
        let table = tables[at];
        let mut later = Vec::new();
        for key in &table.foreign_keys {
            let target = target(key, &positions).filter(|target| place[target] > place[&at]);
            if let Some(target) = target {
                later.push(key.name.clone());
                let waits = (table.qualified_name(), key.clone());
                waiting.entry(target).or_default().push(waits);
            }
        }
        let earlier = waiting.remove(&at).unwrap_or_default();
        steps.push((at, Change::CreateTable { later, earlier }));
    }
    steps
}

fn positions<'a>(tables: &[&'a Table]) -> HashMap<(&'a str, &'a str), usize> {
    let name = |table: &&'a Table| (table.schema.as_str(), table.name.as_str());
    tables.iter().map(name).zip(0..).collect()
}

fn target(key: &ForeignKey, positions: &HashMap<(&str, &str), usize>) -> Option<usize> {
    let to = &key.references;
    positions
        .get(&(to.schema.as_str(), to.table.as_str()))
        .copied()
}

/// Depth first: a table is placed when all it references are; one that is being visited closes a circle.
fn referenced_first(tables: &[&Table]) -> Vec<usize> {
    let positions = positions(tables);
    let mut order = Vec::with_capacity(tables.len());
    let mut seen = HashSet::new();
    for start in 0..tables.len() {
        let mut visits = vec![(start, false)];
        while let Some((at, done)) = visits.pop() {
            if done {
                order.push(at);
            } else if seen.insert(at) {
                visits.push((at, true));
                let targets = tables[at].foreign_keys.iter();
                visits.extend(
                    targets
                        .filter_map(|key| target(key, &positions))
                        .map(|next| (next, false)),
                );
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, References};

    fn table(name: &str, references: &[&str]) -> Table {
        let key = |to: &&str| ForeignKey {
            name: format!("{name}_{to}"),
            columns: vec!["a".into()],
            references: References {
                schema: "public".into(),
                table: (*to).into(),
                columns: vec!["id".into()],
            },
            on_delete: Action::NoAction,
            on_update: Action::NoAction,
            definition: String::new(),
            validated: true,
            sqlite: true,
        };
        Table {
            schema: "public".into(),
            name: name.into(),
            sqlite_name: name.into(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: references.iter().map(key).collect(),
            unique: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            exclusions: Vec::new(),
            primary_key_constraint: None,
            extensions: Vec::new(),
            collations: Vec::new(),
        }
    }

    fn shown(tables: &[Table]) -> Vec<String> {
        let tables: Vec<&Table> = tables.iter().collect();
        creation(&tables)
            .into_iter()
            .map(|(at, change)| match change {
                Change::CreateTable { later, earlier } => {
                    let earlier: Vec<String> = earlier.into_iter().map(|(_, k)| k.name).collect();
                    format!("{} -{later:?} +{earlier:?}", tables[at].name)
                }
                other => other.command().to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_table_comes_after_those_it_references() {
        let tables = [table("a", &["b"]), table("b", &["c", "b"]), table("c", &[])];
        assert_eq!(shown(&tables), ["c -[] +[]", "b -[] +[]", "a -[] +[]"]);
    }

    #[test]
    fn a_key_that_closes_a_circle_is_made_with_its_target() {
        let tables = [table("a", &["b"]), table("b", &["a"])];
        assert_eq!(shown(&tables), [r#"b -["b_a"] +[]"#, r#"a -[] +["b_a"]"#]);
    }

    #[test]
    fn tables_that_are_not_among_them_are_left_out_of_account() {
        assert_eq!(shown(&[table("a", &["elsewhere"])]), ["a -[] +[]"]);
    }
}
