//! What a statement of ours does, by its parse tree: whether a fragment of SQL that was put into it stayed a fragment.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

use super::names::from_server;
use super::subtransaction;
use super::tree::items;

/// What one statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// CREATE SCHEMA IF NOT EXISTS.
    Schema(String),
    /// CREATE EXTENSION IF NOT EXISTS, and the schema.
    Extension(String, String),
    /// CREATE COLLATION IF NOT EXISTS.
    Collation(Name),
    /// CREATE SEQUENCE IF NOT EXISTS.
    Sequence(Name),
    /// ALTER SEQUENCE … OWNED BY, and nothing else.
    OwnSequence(Name),
    /// CREATE TYPE … AS ENUM or AS RANGE, CREATE DOMAIN.
    Type(Name),
    /// ALTER TYPE … ADD VALUE.
    Label(Name),
    /// ALTER DOMAIN … ADD CONSTRAINT.
    DomainConstraint(Name),
    /// CREATE TABLE with these columns and named constraints, each no more than its type, collation, DEFAULT, NOT NULL
    /// and identity.
    Table(Name, Vec<String>, Vec<String>),
    /// ALTER TABLE with one action on one table.
    Alter(Name, Action),
    /// CREATE INDEX of that name.
    Index(Name, String),
    /// ALTER INDEX … RENAME.
    RenameIndex(Name),
    /// DROP INDEX of one index.
    DropIndex(Name),
}

/// The action of an ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// ADD COLUMN, no more than a column of [`Said::Table`].
    AddColumn(String),
    /// ADD CONSTRAINT of that name.
    AddConstraint(String),
    /// SET DEFAULT, DROP DEFAULT.
    Default(String),
    /// DROP NOT NULL.
    DropNotNull(String),
    /// TYPE, without USING.
    Type(String),
    /// VALIDATE CONSTRAINT.
    Validate(String),
    /// DROP CONSTRAINT, without CASCADE.
    DropConstraint(String),
}

/// A name with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl Name {
    /// The name in that schema.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Name {
        Name {
            schema: schema.into(),
            name: name.into(),
        }
    }
}

/// What a text does that must be one statement of a known kind; `None` if it is not.
pub fn said(sql: &str) -> Option<Said> {
    let source = CString::new(sql).ok()?;
    // SAFETY: raw_parser gives a list of RawStmt nodes, in memory of the caller's context; what it raises is caught.
    let tree = subtransaction::run(std::panic::AssertUnwindSafe(|| unsafe {
        let list = pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let mut statements = items::<pg_sys::RawStmt>(list);
        match (statements.next(), statements.next()) {
            (Some(one), None) => Some((*one).stmt),
            _ => None,
        }
    }));
    match tree {
        // SAFETY: a statement's node, as the parser made it.
        Ok(tree) => unsafe { read(tree?) },
        Err(error) if error.is_about_session() => error.rethrow(),
        Err(_) => None,
    }
}

unsafe fn read(tree: *mut pg_sys::Node) -> Option<Said> {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*tree).type_ {
            T_CreateSchemaStmt => {
                let it: *mut pg_sys::CreateSchemaStmt = tree.cast();
                let plain =
                    (*it).if_not_exists && (*it).authrole.is_null() && (*it).schemaElts.is_null();
                plain.then(|| Some(Said::Schema(text((*it).schemaname)?)))?
            }
            T_CreateExtensionStmt => extension(tree.cast()),
            T_DefineStmt => {
                let it: *mut pg_sys::DefineStmt = tree.cast();
                let plain = (*it).kind == pg_sys::ObjectType::OBJECT_COLLATION
                    && (*it).if_not_exists
                    && !(*it).replace;
                plain.then(|| listed((*it).defnames).map(Said::Collation))?
            }
            T_CreateSeqStmt => {
                let it: *mut pg_sys::CreateSeqStmt = tree.cast();
                let plain = (*it).if_not_exists
                    && !items::<pg_sys::DefElem>((*it).options)
                        .any(|option| CStr::from_ptr((*option).defname) == c"owned_by");
                plain.then(|| ranged((*it).sequence).map(Said::Sequence))?
            }
            T_AlterSeqStmt => {
                let it: *mut pg_sys::AlterSeqStmt = tree.cast();
                let mut options = items::<pg_sys::DefElem>((*it).options);
                let owned = options
                    .next()
                    .is_some_and(|option| CStr::from_ptr((*option).defname) == c"owned_by");
                let plain = owned && options.next().is_none();
                plain.then(|| ranged((*it).sequence).map(Said::OwnSequence))?
            }
            T_CreateEnumStmt => {
                listed((*tree.cast::<pg_sys::CreateEnumStmt>()).typeName).map(Said::Type)
            }
            T_CreateRangeStmt => {
                listed((*tree.cast::<pg_sys::CreateRangeStmt>()).typeName).map(Said::Type)
            }
            T_CreateDomainStmt => {
                listed((*tree.cast::<pg_sys::CreateDomainStmt>()).domainname).map(Said::Type)
            }
            T_AlterEnumStmt => {
                let it: *mut pg_sys::AlterEnumStmt = tree.cast();
                let adds = (*it).oldVal.is_null() && !(*it).newVal.is_null();
                adds.then(|| listed((*it).typeName).map(Said::Label))?
            }
            T_AlterDomainStmt => {
                let it: *mut pg_sys::AlterDomainStmt = tree.cast();
                let adds = (*it).subtype as u8 == b'C';
                adds.then(|| listed((*it).typeName).map(Said::DomainConstraint))?
            }
            T_CreateStmt => table(tree.cast()),
            T_AlterTableStmt => alter(tree.cast()),
            T_IndexStmt => {
                let it: *mut pg_sys::IndexStmt = tree.cast();
                let plain = !(*it).concurrent && !(*it).if_not_exists && (*it).tableSpace.is_null();
                plain.then(|| Some(Said::Index(ranged((*it).relation)?, text((*it).idxname)?)))?
            }
            T_RenameStmt => {
                let it: *mut pg_sys::RenameStmt = tree.cast();
                let plain = (*it).renameType == pg_sys::ObjectType::OBJECT_INDEX;
                plain.then(|| ranged((*it).relation).map(Said::RenameIndex))?
            }
            T_DropStmt => {
                let it: *mut pg_sys::DropStmt = tree.cast();
                let mut objects = items::<pg_sys::List>((*it).objects);
                let plain = (*it).removeType == pg_sys::ObjectType::OBJECT_INDEX
                    && (*it).behavior == pg_sys::DropBehavior::DROP_RESTRICT
                    && !(*it).concurrent;
                let (first, more) = (objects.next()?, objects.next());
                (plain && more.is_none()).then(|| listed(first).map(Said::DropIndex))?
            }
            _ => None,
        }
    }
}

unsafe fn extension(it: *mut pg_sys::CreateExtensionStmt) -> Option<Said> {
    // SAFETY: options are DefElem nodes; that of SCHEMA has a String.
    unsafe {
        let mut options = items::<pg_sys::DefElem>((*it).options);
        let (schema, more) = (options.next()?, options.next());
        let plain =
            (*it).if_not_exists && more.is_none() && CStr::from_ptr((*schema).defname) == c"schema";
        let schema: *mut pg_sys::String = (*schema).arg.cast();
        plain.then(|| Some(Said::Extension(text((*it).extname)?, text((*schema).sval)?)))?
    }
}

unsafe fn table(it: *mut pg_sys::CreateStmt) -> Option<Said> {
    use pg_sys::NodeTag::{T_ColumnDef, T_Constraint};
    // SAFETY: the elements of a table are nodes whose tag says what they are.
    unsafe {
        let plain = (*it).inhRelations.is_null()
            && (*it).partbound.is_null()
            && (*it).partspec.is_null()
            && (*it).ofTypename.is_null()
            && (*it).options.is_null()
            && (*it).tablespacename.is_null()
            && (*it).accessMethod.is_null()
            && !(*it).if_not_exists
            && (*(*it).relation).relpersistence as u8 == b'p';
        if !plain {
            return None;
        }
        let (mut columns, mut constraints) = (Vec::new(), Vec::new());
        for element in items::<pg_sys::Node>((*it).tableElts) {
            match (*element).type_ {
                T_ColumnDef => columns.push(column(element.cast())?),
                // The key of a partitioned table may have no name.
                T_Constraint => constraints.push(
                    text((*element.cast::<pg_sys::Constraint>()).conname).unwrap_or_default(),
                ),
                _ => return None,
            }
        }
        Some(Said::Table(ranged((*it).relation)?, columns, constraints))
    }
}

/// The name of a column that has each of DEFAULT, NOT NULL and identity at most once, and nothing else.
unsafe fn column(it: *mut pg_sys::ColumnDef) -> Option<String> {
    use pg_sys::ConstrType::{CONSTR_DEFAULT, CONSTR_IDENTITY, CONSTR_NOTNULL};
    // SAFETY: the constraints of a column are Constraint nodes.
    unsafe {
        let mut seen = Vec::new();
        for constraint in items::<pg_sys::Constraint>((*it).constraints) {
            let kind = (*constraint).contype;
            let known = [CONSTR_DEFAULT, CONSTR_IDENTITY, CONSTR_NOTNULL].contains(&kind);
            if !known || seen.contains(&kind) {
                return None;
            }
            seen.push(kind);
        }
        let plain = (*it).compression.is_null() && (*it).fdwoptions.is_null();
        plain.then(|| text((*it).colname))?
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn alter(it: *mut pg_sys::AlterTableStmt) -> Option<Said> {
    use pg_sys::AlterTableType::*;
    // SAFETY: actions are AlterTableCmd nodes; the kind says what the definition is.
    unsafe {
        let mut actions = items::<pg_sys::AlterTableCmd>((*it).cmds);
        let (action, more) = (actions.next()?, actions.next());
        let plain = more.is_none()
            && (*it).objtype == pg_sys::ObjectType::OBJECT_TABLE
            && !(*it).missing_ok
            && !(*action).missing_ok
            && (*action).behavior == pg_sys::DropBehavior::DROP_RESTRICT;
        if !plain {
            return None;
        }
        let named = text((*action).name);
        let action = match (*action).subtype {
            AT_AddColumn => Action::AddColumn(column((*action).def.cast())?),
            AT_AddConstraint => {
                let constraint: *mut pg_sys::Constraint = (*action).def.cast();
                Action::AddConstraint(text((*constraint).conname)?)
            }
            AT_ColumnDefault => Action::Default(named?),
            AT_DropNotNull => Action::DropNotNull(named?),
            AT_AlterColumnType => {
                let to: *mut pg_sys::ColumnDef = (*action).def.cast();
                if !(*to).raw_default.is_null() {
                    return None;
                }
                Action::Type(named?)
            }
            AT_ValidateConstraint => Action::Validate(named?),
            AT_DropConstraint => Action::DropConstraint(named?),
            _ => return None,
        };
        Some(Said::Alter(ranged((*it).relation)?, action))
    }
}

unsafe fn ranged(name: *mut pg_sys::RangeVar) -> Option<Name> {
    // SAFETY: the caller passes a RangeVar of a parse tree, or null.
    unsafe {
        if name.is_null() || !(*name).catalogname.is_null() {
            return None;
        }
        Some(Name::new(text((*name).schemaname)?, text((*name).relname)?))
    }
}

/// A name that is a list of strings, the schema first.
unsafe fn listed(name: *mut pg_sys::List) -> Option<Name> {
    // SAFETY: the caller passes such a list.
    unsafe {
        let parts: Vec<Option<String>> = items::<pg_sys::String>(name)
            .map(|part| text((*part).sval))
            .collect();
        match parts.as_slice() {
            [Some(schema), Some(name)] => Some(Name::new(schema, name)),
            _ => None,
        }
    }
}

unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller passes a C string, or null.
    (!text.is_null()).then(|| from_server(unsafe { CStr::from_ptr(text) }.to_bytes()))
}
