//! The one error of the extension: SQLSTATE, message, DETAIL, HINT and the object fields a client can read.

use pgrx::PgSqlErrorCode;

/// The SQLSTATEs that the extension raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlState {
    /// 0A000: the additive rule, or something no replica can hold.
    FeatureNotSupported,
    /// 42501: the caller does not own the table.
    InsufficientPrivilege,
    /// 42809: the relation is not of the right kind.
    WrongObjectType,
    /// 42P16: the table has no primary key.
    InvalidTableDefinition,
    /// 42P01: no such table.
    UndefinedTable,
    /// 23505: a version that is taken.
    UniqueViolation,
    /// 42704: no such version.
    UndefinedObject,
    /// 22023: an argument that makes no sense.
    InvalidParameterValue,
    /// 22004: NULL where a value is needed.
    NullValueNotAllowed,
    /// 42703: no such column.
    UndefinedColumn,
    /// 42830: no way to the scope.
    InvalidForeignKey,
    /// 42P10: a column of another table.
    InvalidColumnReference,
    /// 42601: what cannot be parsed.
    SyntaxError,
    /// 55000: the table is not electrified.
    ObjectNotInPrerequisiteState,
    /// 53200: there is not enough memory.
    OutOfMemory,
    /// 54000: larger than a limit.
    ProgramLimitExceeded,
    /// XX000: what should not happen.
    Internal,
    /// One that the server gave, packed.
    Server(i32),
}

impl SqlState {
    /// The SQLSTATE of those five characters.
    pub fn of_code(code: &str) -> SqlState {
        // Six bits each, counted from '0', the first character lowest.
        let bits = |(at, c): (usize, u8)| i32::from(c.wrapping_sub(b'0') & 0x3f) << (6 * at);
        SqlState::Server(code.bytes().take(5).enumerate().map(bits).sum())
    }

    /// The server's packed form of the SQLSTATE.
    pub fn code(self) -> i32 {
        (match self {
            SqlState::FeatureNotSupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            SqlState::InsufficientPrivilege => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            SqlState::WrongObjectType => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            SqlState::InvalidTableDefinition => PgSqlErrorCode::ERRCODE_INVALID_TABLE_DEFINITION,
            SqlState::UndefinedTable => PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            SqlState::UniqueViolation => PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
            SqlState::UndefinedObject => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            SqlState::InvalidParameterValue => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            SqlState::NullValueNotAllowed => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            SqlState::UndefinedColumn => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            SqlState::InvalidForeignKey => PgSqlErrorCode::ERRCODE_INVALID_FOREIGN_KEY,
            SqlState::InvalidColumnReference => PgSqlErrorCode::ERRCODE_INVALID_COLUMN_REFERENCE,
            SqlState::SyntaxError => PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
            SqlState::ObjectNotInPrerequisiteState => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            SqlState::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            SqlState::ProgramLimitExceeded => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            SqlState::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            SqlState::Server(packed) => return packed,
        }) as i32
    }
}

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// SQLSTATE.
    pub sqlstate: SqlState,
    /// Primary message.
    pub message: String,
    /// DETAIL: the rule that applies, or the list of offenders.
    pub detail: Option<String>,
    /// HINT: the way out.
    pub hint: Option<String>,
    /// Schema of the object.
    pub schema: Option<String>,
    /// Table of the object.
    pub table: Option<String>,
    /// Column, where one is concerned.
    pub column: Option<String>,
    /// Type, where one is concerned.
    pub datatype: Option<String>,
    /// Constraint, where one is concerned.
    pub constraint: Option<String>,
    /// The text inside the statement that the error is about, and the character of it, from 1.
    pub internal: Option<(String, usize)>,
    /// Whether the code around the statement stays untold: it may hold a secret.
    pub hides_context: bool,
}

impl Error {
    /// An error with nothing but its SQLSTATE and message.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Error {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            schema: None,
            table: None,
            column: None,
            datatype: None,
            constraint: None,
            internal: None,
            hides_context: false,
        }
    }

    /// Without a CONTEXT, which quotes the code around the statement.
    pub fn without_context(mut self) -> Self {
        self.hides_context = true;
        self
    }

    /// Whether it says no to what the extension could do, rather than to what is wrong by itself.
    pub fn is_refusal(&self) -> bool {
        self.sqlstate == SqlState::FeatureNotSupported
    }

    /// Whether something of what is recorded cannot be read.
    pub fn is_damage(&self) -> bool {
        self.sqlstate == SqlState::of_code("XX001")
    }

    /// What should not happen; the message says where.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(SqlState::Internal, message)
    }

    /// With this DETAIL.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With this HINT.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// About this table.
    pub fn table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self.table = Some(table.into());
        self
    }

    /// About this constraint.
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraint = Some(constraint.into());
        self
    }

    /// At this character, from 1, of a text inside the statement.
    pub fn at(mut self, text: impl Into<String>, character: usize) -> Self {
        self.internal = Some((text.into(), character));
        self
    }

    /// About this column of the table.
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }
}

thread_local! {
    static LAST_REFUSAL: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// Forgets the refusal that was made last.
pub fn forget_refusal() {
    LAST_REFUSAL.set(None);
}

/// The error goes to the server: remembers it, if it is a refusal.
pub fn raised(error: &Error) {
    if error.is_refusal() {
        LAST_REFUSAL.set(Some(error.message.clone()));
    }
}

/// Whether the refusal that was made last has that message: `electric.check` tells refusals from other errors by it.
pub fn is_last_refusal(message: &str) -> bool {
    LAST_REFUSAL.with_borrow(|last| last.as_deref() == Some(message))
}

impl From<electric_schema::refusal::Refusal> for Error {
    fn from(refusal: electric_schema::refusal::Refusal) -> Self {
        Error {
            sqlstate: SqlState::FeatureNotSupported,
            message: refusal.message,
            detail: Some(refusal.detail),
            hint: Some(refusal.hint),
            schema: refusal.schema,
            table: refusal.table,
            column: refusal.column,
            datatype: refusal.datatype,
            constraint: refusal.constraint,
            internal: None,
            hides_context: false,
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::internal(format!("a recorded shape cannot be read: {error}"))
            .hint("The rows of electric.electrified must not be edited by hand.")
    }
}
