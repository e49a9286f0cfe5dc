//! Errors of the server as the tests look at them.

use postgres::error::DbError;

/// What a failed statement told its client. Fields that were not sent are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// SQLSTATE.
    pub code: String,
    /// MESSAGE.
    pub message: String,
    /// DETAIL.
    pub detail: String,
    /// HINT.
    pub hint: String,
    /// Schema of the object concerned.
    pub schema: String,
    /// Table concerned.
    pub table: String,
    /// Column concerned.
    pub column: String,
    /// Constraint concerned.
    pub constraint: String,
}

/// Whether the connection is gone, or the server shuts down, crashed or starts up: the client may try again.
pub fn is_disconnect(error: &postgres::Error) -> bool {
    use std::error::Error;
    error.is_closed()
        || error
            .source()
            .is_some_and(|source| source.is::<std::io::Error>())
        || error
            .code()
            .is_some_and(|code| code.code().starts_with("57P"))
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
        ServerError {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            hint: text(error.hint()),
            schema: text(error.schema()),
            table: text(error.table()),
            column: text(error.column()),
            constraint: text(error.constraint()),
        }
    }
}

impl ServerError {
    /// Asserts that DETAIL speaks of everything named.
    #[track_caller]
    pub fn detail_names(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(
                self.detail.contains(word),
                "DETAIL lacks {word:?}: {self:#?}"
            );
        }
        self
    }

    /// Asserts that MESSAGE speaks of everything named.
    #[track_caller]
    pub fn message_names(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(
                self.message.contains(word),
                "the message lacks {word:?}: {self:#?}"
            );
        }
        self
    }

    /// Asserts that there is a HINT.
    #[track_caller]
    pub fn hinted(&self) -> &Self {
        assert!(!self.hint.is_empty(), "no HINT: {self:#?}");
        self
    }

    /// Asserts the schema and table fields.
    #[track_caller]
    pub fn about_table(&self, schema: &str, table: &str) -> &Self {
        assert_eq!(
            (self.schema.as_str(), self.table.as_str()),
            (schema, table),
            "{self:#?}"
        );
        self
    }

    /// Asserts the column field.
    #[track_caller]
    pub fn about_column(&self, column: &str) -> &Self {
        assert_eq!(self.column, column, "{self:#?}");
        self
    }

    /// Asserts the constraint field.
    #[track_caller]
    pub fn about_constraint(&self, constraint: &str) -> &Self {
        assert_eq!(self.constraint, constraint, "{self:#?}");
        self
    }
}

/// The error that a statement must end with.
#[track_caller]
pub fn failure<T>(result: Result<T, postgres::Error>, code: &str) -> ServerError {
    let error = match result {
        Ok(_) => panic!("the statement succeeded, expected SQLSTATE {code}"),
        Err(error) => error,
    };
    let Some(found) = error.as_db_error().map(ServerError::from) else {
        panic!("expected SQLSTATE {code}, but the connection failed: {error}")
    };
    assert_eq!(found.code, code, "{found:#?}");
    found
}

/// An error with all that the server said.
pub fn describe(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{:#?}", ServerError::from(error)),
        None => error.to_string(),
    }
}
