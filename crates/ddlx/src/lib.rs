//! DDLX: the statements that Electric adds to SQL, such as `ALTER TABLE items ENABLE ELECTRIC` and
//! `ELECTRIC GRANT SELECT ON items TO ANYONE`. Free of any server and of any other package.
//!
//! * [`parse`] reads a text of DDLX statements.
//! * [`find`] finds DDLX statements among others in whatever SQL a client sends.
//! * The syntax tree prints itself: what [`parse`] reads from the text of a [`Statement`] is that statement.
//!
//! Neither ever panics, and both take time in proportion to the text.
//!
//! ```
//! let found = electric_ddlx::parse("ELECTRIC GRANT ALL ON projects TO 'projects:owner'").unwrap();
//! assert_eq!(found[0].value.to_string(), "ELECTRIC GRANT ALL ON projects TO (projects, 'owner')");
//! assert_eq!(found[0].value.tag(), "ELECTRIC GRANT");
//!
//! let error = electric_ddlx::parse("ELECTRIC GRANT ALL IN projects").unwrap_err();
//! assert_eq!(error.message, r#"syntax error at or near "IN""#);
//! assert_eq!(error.char_position, 20);
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod ast;
mod cursor;
mod decode;
mod display;
mod error;
mod finder;
mod lexer;
mod names;
mod parser;

pub use ast::{
    Action, Assigned, Column, Expression, Name, Path, Privilege, PrivilegeWord, Role, Statement,
    Tables,
};
pub use error::{Notice, SyntaxError};
pub use finder::{Found, FoundKind, find, mentions};
pub use parser::{Located, parse};
