//! New tables: columns, constraints, partitions, references, and rows that are there before they are electrified.

use electric_schema::names::{qualified_quoted, quote_ident};

use super::choices::Choices;
use super::index;
use super::names::literal;
use super::rows;
use super::state::{Column, State, Table};
use super::types::{self, Class, Type, constant};

const ACTIONS: &[&str] = &["", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"];

/// Makes a table, or two that reference each other, and electrifies them.
pub fn tables(choices: &mut Choices<'_>, state: &mut State) -> Vec<String> {
    let mut statements = Vec::new();
    let first = table(choices, state, &mut statements);
    let mut made = vec![first];
    if choices.chance(15) {
        let second = table(choices, state, &mut statements);
        made.push(second);
        cycle(first, second, choices, state, &mut statements);
    }
    for place in &made {
        for _ in 0..choices.below(3) {
            statements.extend(index::create(*place, false, choices, state));
        }
        for _ in 0..choices.below(3) {
            statements.extend(rows::insert(*place, choices, state));
        }
    }
    enable(&made, state, &mut statements);
    statements
}

/// Electrifies tables in one call.
pub fn enable(tables: &[usize], state: &State, statements: &mut Vec<String>) {
    let names: Vec<String> = tables
        .iter()
        .filter_map(|place| state.tables.get(*place))
        .map(|table| literal(&table.sql()))
        .collect();
    statements.push(format!("SELECT electric.enable({})", names.join(", ")));
}

/// Adds a column to `first` that references `second`.
fn cycle(
    first: usize,
    second: usize,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) {
    let Some((target, key)) = referable(second, state) else {
        return;
    };
    let name = state.name(choices, "cycle");
    let Some(table) = state.tables.get_mut(first) else {
        return;
    };
    statements.push(format!(
        "ALTER TABLE {} ADD COLUMN {} {} REFERENCES {target} DEFERRABLE INITIALLY DEFERRED",
        table.sql(),
        quote_ident(&name),
        key.data_type.sql
    ));
    table.references.push(second);
    table.columns.push(Column {
        name,
        not_null: false,
        numbered: false,
        unique: false,
        reference: Some((second, key.name)),
        data_type: key.data_type,
    });
}

/// The name and the one key column of a table that can be referenced by one column.
pub fn referable(table: usize, state: &State) -> Option<(String, Column)> {
    let table = state.tables.get(table)?;
    match table.key.as_slice() {
        [key] if table.referable => Some((table.sql(), table.column(key)?.clone())),
        _ => None,
    }
}

/// What a REFERENCES clause has after its target.
pub fn reference_options(choices: &mut Choices<'_>) -> String {
    let mut options = choices.text(&["", " MATCH FULL"]).to_owned();
    for event in ["DELETE", "UPDATE"] {
        let action = choices.text(ACTIONS);
        if !action.is_empty() {
            options.push_str(&format!(" ON {event} {action}"));
        }
    }
    options.push_str(choices.text(&["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"]));
    options
}

/// A table that is being made.
struct Draft {
    table: Table,
    place: usize,
    items: Vec<String>,
    after: Vec<String>,
}

fn table(choices: &mut Choices<'_>, state: &mut State, statements: &mut Vec<String>) -> usize {
    let schema = state.schema(choices);
    let name = state.name(choices, "table");
    let place = state.tables.len();
    let mut draft = Draft {
        table: Table {
            schema,
            name,
            columns: Vec::new(),
            key: Vec::new(),
            referable: true,
            indexes: Vec::new(),
            unvalidated: Vec::new(),
            constraints: Vec::new(),
            fixed: Vec::new(),
            references: Vec::new(),
            partitioned: choices.chance(15),
            next_key: 1,
        },
        place,
        items: Vec::new(),
        after: Vec::new(),
    };
    let keys = 1 + usize::from(choices.chance(20));
    for n in 0..keys {
        draft.key_column(n, choices, state);
    }
    let others = choices.below(6);
    for _ in 0..others {
        draft.column(choices, state, statements);
    }
    for _ in 0..choices.below(4).saturating_sub(1) {
        draft.reference(choices, state);
    }
    draft.key(choices, state);
    draft.constraints(choices, state);
    let Draft {
        table,
        items,
        after,
        ..
    } = draft;
    let sql = table.sql();
    let partition_key = table
        .key
        .first()
        .map(|name| quote_ident(name))
        .unwrap_or_default();
    let mut statement = format!("CREATE TABLE {sql} ({})", items.join(", "));
    if table.partitioned {
        let method = choices.below(3);
        let word = ["HASH", "RANGE", "LIST"]
            .get(method)
            .copied()
            .unwrap_or("HASH");
        statement.push_str(&format!(" PARTITION BY {word} ({partition_key})"));
        statements.push(statement);
        let bounds: &[&str] = match method {
            0 => &[
                "FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
                "FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
            ],
            1 => &[
                "FOR VALUES FROM (MINVALUE) TO (3)",
                "FOR VALUES FROM (3) TO (5)",
                "DEFAULT",
            ],
            _ => &["FOR VALUES IN (1, 3)", "DEFAULT"],
        };
        for bound in bounds {
            let number = state.number();
            statements.push(format!(
                "CREATE TABLE partitions.p{number} PARTITION OF {sql} {bound}"
            ));
        }
    } else {
        statements.push(statement);
    }
    statements.extend(after);
    if choices.chance(15) {
        statements.push(format!(
            "ALTER TABLE {sql} ADD COLUMN gone int, ADD COLUMN went text DEFAULT 'x'"
        ));
        statements.push(format!(
            "ALTER TABLE {sql} DROP COLUMN gone, DROP COLUMN went"
        ));
    }
    state.tables.push(table);
    place
}

impl Draft {
    fn key_column(&mut self, n: usize, choices: &mut Choices<'_>, state: &mut State) {
        let name = state.name(choices, "id");
        let quoted = quote_ident(&name);
        let mut data_type = types::key(choices, state);
        let mut numbered = false;
        let mut item = None;
        if n == 0 && (self.table.partitioned || choices.chance(30)) {
            data_type = state.built_in.first().cloned().unwrap_or(data_type);
            let how = choices.below(5);
            if !self.table.partitioned || how == 0 {
                let word = choices.text(&[
                    "serial",
                    "integer GENERATED ALWAYS AS IDENTITY",
                    "integer GENERATED BY DEFAULT AS IDENTITY (START WITH -5 INCREMENT BY 3 MINVALUE -10 CYCLE CACHE 7)",
                ]);
                let word = if self.table.partitioned {
                    "serial"
                } else {
                    word
                };
                numbered = true;
                item = Some(format!("{quoted} {word}"));
            }
        }
        self.items
            .push(item.unwrap_or_else(|| format!("{quoted} {}", data_type.sql)));
        self.table.key.push(name.clone());
        self.table.columns.push(Column {
            name,
            data_type,
            not_null: true,
            numbered,
            unique: false,
            reference: None,
        });
    }

    fn column(
        &mut self,
        choices: &mut Choices<'_>,
        state: &mut State,
        statements: &mut Vec<String>,
    ) {
        let data_type = types::any(choices, state, statements);
        let name = state.name(choices, "column");
        let mut item = format!("{} {}", quote_ident(&name), data_type.sql);
        let mut column = Column {
            name,
            not_null: choices.chance(25),
            numbered: false,
            unique: false,
            reference: None,
            data_type,
        };
        let of = &column.data_type;
        if of.class == Class::Text && choices.chance(15) {
            item.push_str(choices.text(&[" COLLATE \"C\"", " COLLATE \"POSIX\""]));
            self.table.fixed.push(column.name.clone());
        }
        match choices.below(10) {
            5 | 6 => item.push_str(&format!(" DEFAULT {}", constant(of, choices, state))),
            7 => {
                if let Some(expression) = of.computed(choices) {
                    item.push_str(&format!(" DEFAULT {expression}"));
                }
            }
            8 if of.class == Class::Integer => {
                item.push_str(" DEFAULT nextval('app.\"Shared sequence\"')")
            }
            8 if of.sql == "text" => item.push_str(" DEFAULT app.local_text()"),
            9 if of.sql == "uuid" => item.push_str(" DEFAULT gen_random_uuid()"),
            9 if matches!(of.sql.as_str(), "integer" | "bigint") && !self.table.partitioned => {
                item = format!("{} bigserial", quote_ident(&column.name));
                column.not_null = true;
                column.numbered = true;
            }
            _ => {}
        }
        if column.not_null && !column.numbered {
            item.push_str(" NOT NULL");
        }
        if column.data_type.ordered && !self.table.partitioned && choices.chance(10) {
            item.push_str(choices.text(&[
                " UNIQUE",
                " UNIQUE DEFERRABLE",
                " UNIQUE NULLS NOT DISTINCT",
            ]));
            column.unique = true;
        }
        self.items.push(item);
        self.table.columns.push(column);
    }

    /// Columns that reference a table, which may be this one.
    fn reference(&mut self, choices: &mut Choices<'_>, state: &mut State) {
        let others = state.tables.len();
        let target = choices.below(others + 1);
        let own = target == others;
        let referenced = if own {
            Some(&self.table)
        } else {
            state.tables.get(target)
        };
        let Some(referenced) = referenced.filter(|table| table.referable).cloned() else {
            return;
        };
        let mut names = Vec::new();
        for key in &referenced.key {
            let Some(to) = referenced.column(key) else {
                return;
            };
            let name = state.name(choices, "reference");
            self.items
                .push(format!("{} {}", quote_ident(&name), to.data_type.sql));
            self.table.columns.push(Column {
                name: name.clone(),
                data_type: to.data_type.clone(),
                not_null: false,
                numbered: false,
                unique: false,
                reference: Some((target, key.clone())),
            });
            names.push(quote_ident(&name));
        }
        if !own {
            self.table.references.push(target);
        }
        let constraint = state.name(choices, "fk");
        let target = if own {
            self.table.sql()
        } else {
            referenced.sql()
        };
        let key = format!(
            "FOREIGN KEY ({}) REFERENCES {target} ({}){}",
            names.join(", "),
            referenced.key_list(),
            reference_options(choices)
        );
        let name = quote_ident(&constraint);
        // Within itself only after the key is there; NOT VALID only where Postgres can do it.
        if choices.chance(35) && !self.table.partitioned {
            self.after.push(format!(
                "ALTER TABLE {} ADD CONSTRAINT {name} {key} NOT VALID",
                self.table.sql()
            ));
            self.table.unvalidated.push(constraint);
        } else {
            self.after.push(format!(
                "ALTER TABLE {} ADD CONSTRAINT {name} {key}",
                self.table.sql()
            ));
            self.table.constraints.push(constraint);
        }
    }

    fn key(&mut self, choices: &mut Choices<'_>, state: &mut State) {
        let mut key = String::new();
        if choices.chance(30) {
            key = format!("CONSTRAINT {} ", quote_ident(&state.name(choices, "pk")));
        }
        key.push_str(&format!("PRIMARY KEY ({})", self.table.key_list()));
        let self_referencing = self.table.columns.iter().any(|column| {
            column
                .reference
                .as_ref()
                .is_some_and(|(target, _)| *target == self.place)
        });
        if choices.chance(10) && !self.table.partitioned && !self_referencing {
            key.push_str(choices.text(&[" DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"]));
            self.table.referable = false;
        }
        self.items.push(key);
    }

    fn constraints(&mut self, choices: &mut Choices<'_>, state: &mut State) {
        let sql = self.table.sql();
        let columns = self.table.columns.clone();
        if choices.chance(50) {
            let name = state.name(choices, "check");
            let column = choices
                .pick(&columns)
                .map(|c| quote_ident(&c.name))
                .unwrap_or_default();
            let check = check(&column, choices);
            if choices.chance(40) {
                self.after.push(format!(
                    "ALTER TABLE {sql} ADD CONSTRAINT {} {check} NOT VALID",
                    quote_ident(&name)
                ));
                self.table.unvalidated.push(name);
            } else {
                self.items
                    .push(format!("CONSTRAINT {} {check}", quote_ident(&name)));
                self.table.constraints.push(name);
            }
        }
        if self.table.partitioned {
            return;
        }
        let ordered: Vec<&Column> = columns.iter().filter(|c| c.data_type.ordered).collect();
        if choices.chance(15)
            && let (Some(first), Some(second)) = (choices.pick(&ordered), choices.pick(&ordered))
            && first.name != second.name
        {
            let name = state.name(choices, "unique");
            self.table.constraints.push(name.clone());
            let name = quote_ident(&name);
            let word = choices.text(&["UNIQUE", "UNIQUE NULLS NOT DISTINCT"]);
            let included = columns
                .last()
                .map(|c| quote_ident(&c.name))
                .unwrap_or_default();
            let include = if choices.chance(30) {
                format!(" INCLUDE ({included})")
            } else {
                String::new()
            };
            self.items.push(format!(
                "CONSTRAINT {name} {word} ({}, {}){include}",
                quote_ident(&first.name),
                quote_ident(&second.name)
            ));
        }
        let ranges: Vec<&Column> = columns
            .iter()
            .filter(|c| {
                matches!(c.data_type.class, Class::Range | Class::Shape)
                    && !c.data_type.sql.contains("multirange")
                    && !c.data_type.sql.contains("spans")
            })
            .collect();
        if choices.chance(50)
            && let Some(range) = choices.pick(&ranges)
        {
            let name = state.name(choices, "exclude");
            self.table.constraints.push(name.clone());
            let name = quote_ident(&name);
            let predicate = choices.text(&["", " WHERE (true)", " DEFERRABLE INITIALLY DEFERRED"]);
            self.items.push(format!(
                "CONSTRAINT {name} EXCLUDE USING gist ({} WITH &&){predicate}",
                quote_ident(&range.name)
            ));
        }
    }
}

/// A CHECK that all rows pass, over that column.
pub fn check(column: &str, choices: &mut Choices<'_>) -> String {
    let expression = match choices.below(7) {
        0 => format!("{column} IS NOT NULL OR {column} IS NULL"),
        1 => format!("num_nulls({column}) < 2"),
        2 => {
            format!("{column} IS NULL OR num_nonnulls({column}, 1) = 2 AND NOT 'x' ~ E'^\\\\\\\\$'")
        }
        3 => format!(
            "CASE WHEN {column} IS NULL THEN true ELSE num_nulls({column}) NOT IN (2, 3) AND 'a''b' <> E'\\\\' END"
        ),
        4 => format!("app.local_check({column}::text)"),
        // What the server says is stable is as local as what a user made.
        5 => format!("{column}::text <> current_setting('app.local_word', true)"),
        _ => format!("({column}, 1) IS NOT NULL OR true"),
    };
    format!("CHECK ({expression})")
}

/// A column added to a table: its definition.
pub fn added_column(
    table: usize,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) -> Option<String> {
    let mut name = state.name(choices, "added");
    if choices.below(40) == 39 {
        name = choices.text(&["rowid", "OID", "_rowid_"]).to_owned();
        let taken = |other: &Column| other.name.eq_ignore_ascii_case(&name);
        if state.tables.get(table)?.columns.iter().any(taken) {
            return None;
        }
    }
    let target = choices.below(state.tables.len());
    let reference = referable(target, state).filter(|_| choices.chance(20));
    let data_type: Type = match &reference {
        Some((_, key)) => key.data_type.clone(),
        None => types::any(choices, state, statements),
    };
    let partitioned = state.tables.get(table)?.partitioned;
    let mut item = format!("{} {}", quote_ident(&name), data_type.sql);
    if data_type.class == Class::Text && choices.chance(15) {
        item.push_str(" COLLATE \"C\"");
        state.tables.get_mut(table)?.fixed.push(name.clone());
    }
    let default = match choices.below(10) {
        4 | 5 => Some(constant(&data_type, choices, state)),
        6 | 7 => data_type.computed(choices).map(str::to_owned),
        8 if data_type.sql == "text" => Some("app.local_text()".to_owned()),
        _ => None,
    };
    // A reference must find its row: only NULL always does.
    let default = default.filter(|_| reference.is_none());
    if let Some(default) = &default {
        item.push_str(&format!(" DEFAULT {default}"));
    }
    let not_null = default.as_ref().is_some_and(|default| default != "NULL") && choices.chance(40);
    if not_null {
        item.push_str(" NOT NULL");
    }
    let mut column = Column {
        name: name.clone(),
        not_null,
        numbered: false,
        unique: false,
        reference: None,
        data_type,
    };
    if column.data_type.ordered && !partitioned && choices.chance(8) {
        item.push_str(choices.text(&[" UNIQUE", " UNIQUE NULLS NOT DISTINCT"]));
        column.unique = true;
    }
    if choices.chance(15) {
        let constraint = if choices.chance(50) {
            format!(" CONSTRAINT {}", quote_ident(&state.name(choices, "check")))
        } else {
            String::new()
        };
        item.push_str(&format!(
            "{constraint} {}",
            check(&quote_ident(&name), choices)
        ));
    }
    if let Some((sql, key)) = reference {
        item.push_str(&format!(" REFERENCES {sql}{}", reference_options(choices)));
        column.reference = Some((target, key.name));
    }
    let made = state.tables.get_mut(table)?;
    if column.reference.is_some() && target != table {
        made.references.push(target);
    }
    made.columns.push(column);
    Some(item)
}

/// Objects that scripts use and that are no part of any shape.
pub fn prelude() -> Vec<String> {
    let mut statements = vec!["CREATE SCHEMA partitions".to_owned()];
    for schema in super::state::SCHEMAS
        .iter()
        .filter(|schema| **schema != "public")
    {
        statements.push(format!("CREATE SCHEMA {}", quote_ident(schema)));
    }
    statements.push(super::built_in::PRELUDE.to_owned());
    statements.push(format!(
        "CREATE SEQUENCE {} INCREMENT BY -2",
        qualified_quoted("app", "Shared sequence")
    ));
    for (name, arguments, result, body) in [
        ("local_text", "", "text", "SELECT text $$local$$"),
        ("local_check", "text", "boolean", "SELECT true"),
    ] {
        statements.push(format!(
            "CREATE FUNCTION app.{name}({arguments}) RETURNS {result} LANGUAGE sql IMMUTABLE AS $body${body}$body$"
        ));
    }
    statements
}
