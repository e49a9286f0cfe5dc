//! Expressions: from the canonical text of Postgres (`pg_get_expr`) to SQLite, where they can be said there.
//!
//! Only indexes use them, and an index that is left out costs speed alone: whatever is not known to mean the same on
//! both sides gives `None`.

use crate::dialect::types::equality_class;
use crate::model::{Column, ColumnType, Table, TypeKind};
use crate::names::quote_ident;
use crate::value::to_sqlite;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, ObjectNamePart, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Longer texts are not looked at: a chain of ANDs parses into a tree as deep as the chain is long, and we run on the
/// stack of a server process.
const MAX_LENGTH: usize = 8192;

/// The predicate of a partial index in SQLite.
pub fn predicate(text: &str, table: &Table) -> Option<String> {
    let (expression, rest) = parse(text, table)?;
    let said = say(&expression, table)?;
    (rest.is_empty() && said.class == Class::Boolean).then_some(said.sql)
}

/// A key of an index in SQLite: column or expression, and direction. Its collation, operator class and the place of
/// NULLs are dropped; they decide how Postgres uses the index, and SQLite has its own ways.
pub fn index_key(text: &str, table: &Table) -> Option<String> {
    let Some(said) = column_key(text, table) else {
        return parsed_key(text, table);
    };
    debug_assert_eq!(parsed_key(text, table).as_ref(), Some(&said), "{text}");
    Some(said)
}

/// A key that is a column, as most are, without a parser: Postgres prints expressions that are no calls of functions
/// in parentheses, and what SQL has for functions without any in capitals.
fn column_key(text: &str, table: &Table) -> Option<String> {
    let (name, direction) = match text.split_once(' ') {
        None => (text, ""),
        Some((name, "NULLS FIRST")) => (name, ""),
        Some((name, "DESC" | "DESC NULLS LAST")) => (name, " DESC"),
        Some(_) => return None,
    };
    let is_bare = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let column = table.column(name).filter(|_| name.bytes().all(is_bare))?;
    Some(format!("{}{direction}", say_column(column).operand()))
}

fn parsed_key(text: &str, table: &Table) -> Option<String> {
    let (expression, rest) = parse(text, table)?;
    let expression = match &expression {
        Expr::Collate { expr, .. } => expr,
        other => other,
    };
    let said = say(expression, table)?;
    // SQLite reads a bare literal in this place as the name of a column.
    if !said.has_column {
        return None;
    }
    let direction = if is_descending(&rest)? { " DESC" } else { "" };
    Some(format!("{}{direction}", said.operand()))
}

/// What values of an expression can be compared with in SQLite, with the result that Postgres has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    Boolean,
    Integer,
    /// `float4` or `float8`: the two are not compared with each other, for SQLite stores the decimal form of both.
    Real(String),
    /// Compared for equality only, within the class: order depends on the collation, or differs from the text's.
    Equality(String),
    /// Nothing.
    Opaque,
}

impl Class {
    fn of(data_type: &ColumnType) -> Class {
        let base = data_type.base();
        match (base.name.as_str(), equality_class(base)) {
            ("float4" | "float8", None) if base.kind == TypeKind::Base && base.array_dims == 0 => {
                Class::Real(base.name.clone())
            }
            (_, Some(class)) => match class.as_str() {
                "bool" => Class::Boolean,
                "integer" => Class::Integer,
                _ => Class::Equality(class),
            },
            _ => Class::Opaque,
        }
    }

    fn text() -> Class {
        Class::Equality("text".to_owned())
    }

    fn is_ordered(&self) -> bool {
        matches!(self, Class::Boolean | Class::Integer | Class::Real(_))
    }
}

/// An expression said in SQLite.
struct Said {
    sql: String,
    class: Class,
    has_column: bool,
    /// Needs parentheses as an operand.
    compound: bool,
}

impl Said {
    fn atom(sql: String, class: Class, has_column: bool) -> Said {
        Said {
            sql,
            class,
            has_column,
            compound: false,
        }
    }

    fn operand(&self) -> String {
        if self.compound {
            format!("({})", self.sql)
        } else {
            self.sql.clone()
        }
    }
}

/// Parses the expression at the start of the text; what follows it comes back as tokens.
fn parse(text: &str, table: &Table) -> Option<(Expr, Vec<Token>)> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize().ok()?;
    let tokens: Vec<Token> = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .collect();
    let mut parser = Parser::new(&dialect).with_tokens(quote_columns(tokens, table));
    let expression = parser.parse_expr().ok()?;
    let mut rest = Vec::new();
    loop {
        match parser.next_token().token {
            Token::EOF => return Some((expression, rest)),
            token => rest.push(token),
        }
    }
}

/// Postgres prints columns bare whose names are keywords to the parser (`date`, `key`, `value`): quotes them.
fn quote_columns(tokens: Vec<Token>, table: &Table) -> Vec<Token> {
    let mut quoted = Vec::with_capacity(tokens.len());
    let mut in_type = false;
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let token = match token {
            Token::DoubleColon => {
                in_type = true;
                Token::DoubleColon
            }
            Token::Word(word) => {
                let is_column = word.quote_style.is_none()
                    && !in_type
                    && rest.peek() != Some(&Token::LParen)
                    && table.column(&word.value).is_some();
                if is_column {
                    Token::Word(Word {
                        quote_style: Some('"'),
                        keyword: Keyword::NoKeyword,
                        ..word
                    })
                } else {
                    Token::Word(word)
                }
            }
            other => {
                in_type &= other == Token::Period;
                other
            }
        };
        quoted.push(token);
    }
    quoted
}

/// Reads what may follow an index key: `[opclass [(options)]] [ASC | DESC] [NULLS FIRST | LAST]`.
fn is_descending(tokens: &[Token]) -> Option<bool> {
    let mut descending = false;
    let mut depth = 0_usize;
    for token in tokens {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            Token::Word(word) if depth == 0 => descending |= word.keyword == Keyword::DESC,
            Token::Period => {}
            _ if depth > 0 => {}
            _ => return None,
        }
    }
    (depth == 0).then_some(descending)
}

fn say(expression: &Expr, table: &Table) -> Option<Said> {
    match expression {
        Expr::Nested(inner) => say(inner, table),
        Expr::Identifier(ident) => table.column(&ident.value).map(say_column),
        Expr::Value(value) => say_literal(&value.value),
        Expr::Cast {
            kind: CastKind::DoubleColon,
            expr,
            data_type,
            ..
        } => say_cast(expr, data_type, table),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match strip(expr) {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => say_number(&format!("-{number}")),
                _ => None,
            },
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => {
            let operand = say(expr, table).filter(|said| said.class == Class::Boolean)?;
            Some(compound(
                format!("NOT {}", operand.operand()),
                operand.has_column,
            ))
        }
        Expr::IsNull(expr) => say_null_test(expr, "IS NULL", table),
        Expr::IsNotNull(expr) => say_null_test(expr, "IS NOT NULL", table),
        Expr::BinaryOp { left, op, right } => say_binary(left, op, right, table),
        Expr::Function(function) => say_function(function, table),
        _ => None,
    }
}

fn compound(sql: String, has_column: bool) -> Said {
    Said {
        sql,
        class: Class::Boolean,
        has_column,
        compound: true,
    }
}

fn strip(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => strip(inner),
        other => other,
    }
}

fn say_column(column: &Column) -> Said {
    let class = if has_bytewise_equality(column) {
        Class::of(&column.data_type)
    } else {
        Class::Opaque
    };
    Said::atom(quote_ident(&column.name), class, true)
}

/// Whether equal texts in this column are equal byte by byte. Only collations that users made can be otherwise
/// (`deterministic = false`); all that come with Postgres are deterministic.
pub(crate) fn has_bytewise_equality(column: &Column) -> bool {
    column
        .collation
        .as_deref()
        .is_none_or(|name| name.starts_with("pg_catalog.") || name.starts_with("\"pg_catalog\"."))
}

fn say_literal(value: &Value) -> Option<Said> {
    match value {
        Value::Number(number, _) => say_number(number),
        Value::SingleQuotedString(text) => Some(Said::atom(
            crate::names::quote_literal(text),
            Class::text(),
            false,
        )),
        Value::Boolean(value) => Some(Said::atom(
            u8::from(*value).to_string(),
            Class::Boolean,
            false,
        )),
        _ => None,
    }
}

/// A bare number with a point or too many digits is a `numeric`, which SQLite cannot compare.
fn say_number(number: &str) -> Option<Said> {
    let value: i64 = number.parse().ok()?;
    Some(Said::atom(value.to_string(), Class::Integer, false))
}

fn say_cast(expression: &Expr, data_type: &DataType, table: &Table) -> Option<Said> {
    let target = cast_type(data_type, table)?;
    let class = Class::of(&target);
    if class == Class::Opaque {
        return None;
    }
    if let Expr::Value(value) = strip(expression)
        && let Value::SingleQuotedString(text) | Value::Number(text, _) = &value.value
    {
        let literal = to_sqlite(&target, Some(text)).ok()?;
        return Some(Said::atom(literal.literal(), class, false));
    }
    let mut said = say(expression, table)?;
    // The text of a citext is its own; only its equality is another.
    let is_citext = matches!(strip(expression), Expr::Identifier(ident)
    if table.column(&ident.value).is_some_and(|column| {
        let base = column.data_type.base();
        base.kind == TypeKind::Base && base.name == "citext" && base.array_dims == 0 && has_bytewise_equality(column)
    }));
    if is_citext && class == Class::text() {
        said.class = class;
    }
    (said.class == Class::of(&target)).then_some(said)
}

/// The type that a cast names, by Postgres' printed names; user's types are found among those of the table's columns.
/// A type with modifiers is not found: the cast might cut or round.
fn cast_type(data_type: &DataType, table: &Table) -> Option<ColumnType> {
    let printed = data_type.to_string();
    let name = match printed.to_ascii_lowercase().as_str() {
        "boolean" | "bool" => "bool",
        "smallint" => "int2",
        "integer" | "int" => "int4",
        "bigint" => "int8",
        "oid" => "oid",
        "real" => "float4",
        "double precision" => "float8",
        "text" => "text",
        "character varying" | "varchar" => "varchar",
        "name" => "name",
        "uuid" => "uuid",
        "date" => "date",
        "time" | "time without time zone" => "time",
        "timestamp" | "timestamp without time zone" => "timestamp",
        "timestamp with time zone" | "timestamptz" => "timestamptz",
        "bytea" => "bytea",
        "inet" => "inet",
        "cidr" => "cidr",
        "macaddr" => "macaddr",
        _ => {
            let found = |column: &&Column| {
                column.data_type.array_dims == 0 && column.data_type.sql == printed
            };
            return table
                .columns
                .iter()
                .find(found)
                .map(|column| column.data_type.clone());
        }
    };
    Some(ColumnType {
        name: name.to_owned(),
        schema: "pg_catalog".to_owned(),
        modifiers: Vec::new(),
        array_dims: 0,
        kind: TypeKind::Base,
        sql: name.to_owned(),
        extension: None,
        of: None,
    })
}

fn say_null_test(expression: &Expr, test: &str, table: &Table) -> Option<Said> {
    let operand = say(expression, table)?;
    Some(compound(
        format!("{} {test}", operand.operand()),
        operand.has_column,
    ))
}

fn say_binary(left: &Expr, operator: &BinaryOperator, right: &Expr, table: &Table) -> Option<Said> {
    let (left, right) = (say(left, table)?, say(right, table)?);
    if left.class != right.class {
        return None;
    }
    let class = &left.class;
    let (symbol, allowed) = match operator {
        BinaryOperator::And => ("AND", *class == Class::Boolean),
        BinaryOperator::Or => ("OR", *class == Class::Boolean),
        BinaryOperator::Eq => ("=", *class != Class::Opaque),
        BinaryOperator::NotEq => ("<>", *class != Class::Opaque),
        BinaryOperator::Lt => ("<", class.is_ordered()),
        BinaryOperator::LtEq => ("<=", class.is_ordered()),
        BinaryOperator::Gt => (">", class.is_ordered()),
        BinaryOperator::GtEq => (">=", class.is_ordered()),
        _ => return None,
    };
    allowed.then(|| {
        compound(
            format!("{} {symbol} {}", left.operand(), right.operand()),
            left.has_column || right.has_column,
        )
    })
}

fn say_function(function: &Function, table: &Table) -> Option<Said> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return None;
    };
    if !matches!(name.value.as_str(), "lower" | "upper")
        || function.over.is_some()
        || function.filter.is_some()
        || function.null_treatment.is_some()
        || !function.within_group.is_empty()
        || function.uses_odbc_syntax
    {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let ([FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))], true, None) = (
        list.args.as_slice(),
        list.clauses.is_empty(),
        list.duplicate_treatment,
    ) else {
        return None;
    };
    // On ranges, these two are other functions.
    let argument = say(argument, table).filter(|said| said.class == Class::text())?;
    Some(Said::atom(
        format!("{}({})", name.value, argument.operand()),
        Class::text(),
        argument.has_column,
    ))
}
