//! The catalog's view of a table as a shape: `pg_catalog` → [`electric_schema::model::Table`].

use std::collections::{BTreeMap, BTreeSet};

use electric_schema::dialect::types::sqlite_type;
use electric_schema::diff::NewColumn;
use electric_schema::identity::Ids;
use electric_schema::model::{Column, ColumnType, Identity, Index, SqliteType, Table};
use electric_schema::names;
use pgrx::pg_sys;

use crate::pg::attributes::{self, Attribute};
use crate::pg::calls::Calls;
use crate::pg::compat::catalog as c;
use crate::pg::heap::{self, Key, Row};
use crate::pg::relation::{self, Class};
use crate::pg::{collation, deparse, expression, names as server, restated, session, size, types};

mod constraints;
mod definition;
mod indexes;
pub mod uses;

use constraints::ConstraintRow;
use definition::custom_types;
pub use definition::{type_definition, type_definition_in_full, type_identity};
use uses::{Needs, Uses};

/// So many levels of types may be made of one another: shapes nest as deep, and many a parser of JSON reads little more.
pub const DEPTH: usize = 100;

/// So many levels are read: what an earlier version recorded is to be told from what came.
const READABLE: usize = 120;

/// A table as the catalog has it.
pub struct Actual {
    /// Its shape; what SQLite replicas fix at creation is not filled in.
    pub table: Table,
    /// Its `pg_class` row.
    pub class: Class,
    /// Column numbers by name.
    pub numbers: BTreeMap<String, i16>,
    /// Columns of types that no replica can hold.
    pub unsupported: BTreeSet<String>,
    /// Columns whose types are made of one another in more levels than [`DEPTH`].
    pub too_deep: BTreeSet<String>,
    /// Columns that are GENERATED ALWAYS AS (…) STORED.
    pub generated: BTreeSet<String>,
    /// The tables that foreign keys point to, by constraint name.
    pub referenced: BTreeMap<String, pg_sys::Oid>,
    /// Ids of its parts.
    pub identity: Ids,
    /// Enums, domains and the user's ranges that the columns use, those others are made of first.
    pub types: Vec<pg_sys::Oid>,
}

/// Enums, domains and the user's ranges that the columns of a table use, those others are made of first.
pub fn types_of(id: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut types = Vec::new();
    for attribute in attributes::of(id).unwrap_or_default() {
        if types::depth(attribute.type_id, READABLE + 1) <= READABLE {
            custom_types(attribute.type_id, &mut types);
        }
    }
    types
}

/// The table of that id; `None` if it is gone or no table. For who acts as its owner the values of defaults are computed.
pub fn table(id: pg_sys::Oid) -> Option<Actual> {
    let computes = session::acts_as_owner(id);
    size::of_table(id, || {
        session::printing(|| Reader::new(id, computes)?.read())
    })
}

/// The same for those who only look: nothing is computed, and of defaults only plain constants have a value.
pub fn look(id: pg_sys::Oid) -> Option<Actual> {
    size::of_table(id, || session::printing(|| Reader::new(id, false)?.read()))
}

/// What the diff must know of a column that is new, for who only looks: what a default would give is not found out.
pub fn new_column_unevaluated(id: pg_sys::Oid, actual: &Actual, column: &Column) -> NewColumn {
    let mut facts = plain_facts(actual, column);
    if let Some(number) = evaluated(actual, column, &facts) {
        let default = expression::has_volatile_default(id, number);
        facts.has_volatile_default = default.unwrap_or(false);
        let kept = kept_value(id, number, &column.name);
        facts.existing_value = kept.or_else(|| default.map(|_| String::new()));
    }
    facts
}

/// What the diff must know of a column that is new, for who acts as the table's owner. The default is evaluated under the
/// caller's settings, as Postgres evaluated it for the rows that exist, but as the owner of the table and with nothing
/// of a user's on the search path: the column may have come unseen, in a session without event triggers, and who finds it
/// need not trust it.
pub fn new_column(id: pg_sys::Oid, actual: &Actual, column: &Column) -> NewColumn {
    let mut facts = plain_facts(actual, column);
    let Some(number) = evaluated(actual, column, &facts) else {
        return facts;
    };
    // The server keeps a value only of a default that is not volatile.
    facts.existing_value = kept_value(id, number, &column.name);
    if facts.existing_value.is_some() {
        return facts;
    }
    // None is kept where the rows were rewritten, or where there are none.
    let Some(_owner) = session::as_owner(id) else {
        return facts;
    };
    let Some(default) = expression::Default::of(id, number) else {
        return facts;
    };
    facts.has_volatile_default = default.is_volatile();
    if !facts.has_volatile_default {
        facts.existing_value = default
            .evaluate()
            .map(|value| session::printing(|| types::output(value, default.data_type())));
    }
    facts
}

fn plain_facts(actual: &Actual, column: &Column) -> NewColumn {
    NewColumn {
        is_generated: actual.generated.contains(&column.name),
        is_unsupported: actual.unsupported.contains(&column.name),
        ..NewColumn::default()
    }
}

/// The number of the column, if rows that exist may have got a value for it.
fn evaluated(actual: &Actual, column: &Column, facts: &NewColumn) -> Option<i16> {
    let is_refused = facts.is_generated || facts.is_unsupported || column.identity.is_some();
    let number = actual.numbers.get(&column.name).copied();
    number.filter(|_| !is_refused)
}

/// What the definition of a CHECK is with the types that the table's columns have now.
pub fn check_as_now(id: pg_sys::Oid, definition: &str) -> Option<String> {
    session::printing(|| restated::check(id, definition))
}

/// Whether no replica can hold values of the type.
pub fn is_unsupported(data_type: &ColumnType) -> bool {
    sqlite_type(data_type).is_none()
}

/// The value that the server keeps for rows made before the column; of a partitioned table, its partitions keep it.
fn kept_value(id: pg_sys::Oid, number: i16, name: &str) -> Option<String> {
    session::printing(|| {
        expression::missing_value(id, number, types::output).or_else(|| {
            relation::descendants(id).into_iter().find_map(|partition| {
                let number = types::column_number(partition, name)?;
                expression::missing_value(partition, number, types::output)
            })
        })
    })
}

/// Reads one table.
struct Reader {
    id: pg_sys::Oid,
    class: Class,
    schema: String,
    own: Vec<pg_sys::Oid>,
    names: BTreeMap<i16, String>,
    /// Type and collation of the columns for which both are the server's own.
    plain: BTreeMap<i16, (pg_sys::Oid, pg_sys::Oid)>,
    /// The sequences of identity columns.
    identities: Vec<pg_sys::Oid>,
    /// Whether the values of defaults are computed.
    computes: bool,
    needs: Needs,
}

/// A row of `pg_attrdef`.
struct DefaultRow {
    id: pg_sys::Oid,
    text: String,
    constant: Option<String>,
    calls: Calls,
}

impl Reader {
    fn new(id: pg_sys::Oid, computes: bool) -> Option<Reader> {
        let class = relation::class(id)?;
        if !matches!(class.kind, b'r' | b'p') {
            return None;
        }
        Some(Reader {
            schema: server::schema_name(class.schema)?,
            id,
            class,
            own: vec![id],
            names: BTreeMap::new(),
            plain: BTreeMap::new(),
            identities: Vec::new(),
            computes,
            needs: Needs::default(),
        })
    }

    fn read(mut self) -> Option<Actual> {
        let attributes = attributes::of(self.id)?;
        self.names = attributes
            .iter()
            .map(|a| (a.number, a.name.clone()))
            .collect();
        self.plain = attributes
            .iter()
            .filter(|a| types::is_built_in(a.type_id) && types::is_built_in(a.collation))
            .map(|a| (a.number, (a.type_id, a.collation)))
            .collect();
        let mut types = Vec::new();
        let depth = |attribute: &Attribute| types::depth(attribute.type_id, READABLE + 1);
        let mut too_deep = BTreeSet::new();
        for attribute in &attributes {
            let depth = depth(attribute);
            if depth > DEPTH {
                too_deep.insert(attribute.name.clone());
            }
            if depth <= READABLE {
                custom_types(attribute.type_id, &mut types);
            }
        }
        self.own.extend(types.iter().copied());
        let arrays: Vec<pg_sys::Oid> = types.iter().filter_map(|id| types::array_of(*id)).collect();
        self.own.extend(arrays);

        let mut unsupported = BTreeSet::new();
        let mut generated = BTreeSet::new();
        let may_own = |a: &Attribute| a.has_default || a.identity != 0;
        let mut sequences = match attributes.iter().any(may_own) {
            true => relation::owned_sequences(self.id),
            false => BTreeMap::new(),
        };
        self.identities = sequences
            .values()
            .filter_map(|(id, is_identity)| is_identity.then_some(*id))
            .collect();
        let mut columns = Vec::new();
        let mut defaults = self.defaults(&attributes);
        for attribute in &attributes {
            let column = self.column(
                attribute,
                defaults.remove(&attribute.number),
                sequences.remove(&attribute.number),
            )?;
            if sqlite_type(&column.data_type).is_none() {
                unsupported.insert(column.name.clone());
            }
            if attribute.generated != 0 {
                generated.insert(column.name.clone());
            }
            columns.push(column);
        }
        let constraints = self.constraints();
        let mut table = Table {
            sqlite_name: names::sqlite_name(&self.schema, &self.class.name),
            schema: self.schema.clone(),
            name: self.class.name.clone(),
            columns,
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            unique: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            exclusions: Vec::new(),
            primary_key_constraint: None,
            extensions: Vec::new(),
            collations: Vec::new(),
        };
        let mut referenced = BTreeMap::new();
        for row in &constraints {
            match row.kind {
                b'p' => {
                    let constraint = self.constraint(row)?;
                    table.primary_key = constraint.columns.clone();
                    table.primary_key_constraint = Some(constraint);
                }
                b'u' => table.unique.push(self.constraint(row)?),
                b'c' => table.checks.push(self.constraint(row)?),
                b'x' => table.exclusions.push(self.constraint(row)?),
                b'f' => {
                    referenced.insert(row.name.clone(), row.referenced);
                    table.foreign_keys.push(self.foreign_key(row)?);
                }
                // NOT NULL constraints (18) are facts of the columns; constraint triggers are triggers.
                _ => {}
            }
        }
        let backing: Vec<pg_sys::Oid> = constraints
            .iter()
            .filter(|row| matches!(row.kind, b'p' | b'u' | b'x'))
            .map(|row| row.index)
            .collect();
        let indexes = self.indexes(&backing)?;
        let identity = self.identity(&attributes, &constraints, &indexes);
        table.indexes = indexes.into_iter().map(|(_, index)| index).collect();
        for list in [&mut table.unique, &mut table.checks, &mut table.exclusions] {
            list.sort_by(|a, b| a.name.cmp(&b.name));
        }
        table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
        table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
        table.extensions = self.needs.extensions();
        table.collations = self.needs.collations();
        Some(Actual {
            numbers: attributes
                .iter()
                .map(|a| (a.name.clone(), a.number))
                .collect(),
            table,
            class: self.class,
            unsupported,
            too_deep,
            generated,
            referenced,
            identity,
            types,
        })
    }

    fn identity(
        &self,
        attributes: &[Attribute],
        constraints: &[ConstraintRow],
        indexes: &[(pg_sys::Oid, Index)],
    ) -> Ids {
        let column = |a: &Attribute| {
            (
                a.number,
                a.type_id.to_u32(),
                a.modifier,
                a.collation.to_u32(),
            )
        };
        Ids {
            place: server::place(self.id),
            columns: attributes
                .iter()
                .map(|a| (a.name.clone(), column(a)))
                .collect(),
            constraints: constraints
                .iter()
                .filter(|row| row.kind != b'f')
                .map(|row| (row.name.clone(), row.id.to_u32()))
                .collect(),
            indexes: indexes
                .iter()
                .map(|(id, i)| (i.name.clone(), id.to_u32()))
                .collect(),
            parents: relation::parents(self.id)
                .into_iter()
                .map(|id| id.to_u32())
                .collect(),
        }
    }

    fn column(
        &mut self,
        attribute: &Attribute,
        default: Option<DefaultRow>,
        owned: Option<(pg_sys::Oid, bool)>,
    ) -> Option<Column> {
        let data_type = if types::depth(attribute.type_id, READABLE + 1) > READABLE {
            types::name_of(attribute.type_id)?
        } else {
            types::column_type(attribute.type_id, attribute.modifier, attribute.dims)?
        };
        self.needs.collation(attribute.collation, attribute.type_id);
        let mut column = Column {
            name: attribute.name.clone(),
            sqlite_type: sqlite_type(&data_type).unwrap_or(SqliteType::Text),
            data_type,
            nullable: !attribute.not_null,
            default: None,
            identity: match attribute.identity {
                b'a' => Some(Identity::Always),
                b'd' => Some(Identity::ByDefault),
                _ => None,
            },
            collation: collation::own(attribute.collation, attribute.type_id),
            default_value: None,
            default_is_local: false,
            sequence: None,
            sqlite_default: None,
        };
        if let Some(row) = default.filter(|_| attribute.generated == 0) {
            self.default(row, &mut column, owned);
        } else if let Some((sequence, true)) = owned {
            column.sequence = relation::sequence(sequence, true);
        } else if !attribute.has_default {
            // A column without a default of its own takes that of its domain.
            column.default_value = types::domain_base(attribute.type_id)
                .and_then(|_| {
                    expression::constant_of_domain(self.id, attribute.number, self.computes)
                })
                .map(|value| types::output(value, attribute.type_id));
        }
        Some(column)
    }

    /// The defaults by column number.
    fn defaults(&self, attributes: &[Attribute]) -> BTreeMap<i16, DefaultRow> {
        if !attributes.iter().any(|attribute| attribute.has_default) {
            return BTreeMap::new();
        }
        // What generates a column is no default, and may name others.
        let type_of: BTreeMap<i16, pg_sys::Oid> = attributes
            .iter()
            .filter(|attribute| attribute.generated == 0)
            .map(|attribute| (attribute.number, attribute.type_id))
            .collect();
        let read = |row: &Row| {
            let number = row.get::<i16>(c::default::COLUMN)?;
            let type_id = *type_of.get(&number)?;
            let tree = row.tree(c::default::TREE)?;
            let found = DefaultRow {
                id: row.oid(c::default::OID),
                // A default names no column; to print it for the relation would cost a look at all of them.
                text: deparse::expression(tree, pg_sys::Oid::INVALID)?,
                constant: expression::constant_of(tree, self.computes)
                    .map(|value| types::output(value, type_id)),
                calls: Calls::of(&row.get::<String>(c::default::TREE)?),
            };
            Some((number, found))
        };
        let key = Key::oid(c::default::RELATION, self.id);
        heap::scan(c::DEFAULTS, c::DEFAULTS_BY_COLUMN, &[key], read)
            .into_iter()
            .flatten()
            .collect()
    }

    fn default(
        &mut self,
        row: DefaultRow,
        column: &mut Column,
        owned: Option<(pg_sys::Oid, bool)>,
    ) {
        let mut uses = Uses::of(c::DEFAULTS, row.id, &self.own).giving(&row.calls);
        // The sequence of an identity column comes with that column.
        uses.is_local |= uses
            .sequence
            .is_some_and(|id| self.identities.contains(&id));
        column.default = Some(row.text);
        column.default_value = row.constant;
        column.default_is_local = uses.is_local;
        if !uses.is_local {
            column.sequence = uses.sequence.and_then(|sequence| {
                relation::sequence(sequence, owned.is_some_and(|(id, _)| id == sequence))
            });
        }
        self.needs.add(uses);
    }

    fn column_names(&self, numbers: &[i16]) -> Vec<String> {
        numbers
            .iter()
            .filter_map(|number| self.names.get(number).cloned())
            .collect()
    }
}
