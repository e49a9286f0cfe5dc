//! The grammar of DDLX, by recursive descent without recursion: no text nests what the grammar does not.
//!
//! No keyword is reserved. A word is a keyword where the grammar wants that keyword, and a name where it wants a name. Where it
//! could be either, more words decide:
//!
//! * `ON TABLE t`: `TABLE` is the keyword, unless `.`, `,` or the `TO` or `FROM` of the statement follows.
//! * `ALTER TABLE IF EXISTS t`: `IF` is the keyword if `EXISTS` follows.
//! * `ALTER TABLE ONLY t`: `ONLY` is the keyword, unless `.` or `ENABLE ELECTRIC` or `DISABLE ELECTRIC` follows.
//! * `ANYONE` and `AUTHENTICATED` are scopes if `.` or `:` follows; `NULL` is one if `.` follows.
//!
//! Names in quotes are never keywords.

use crate::ast::{
    Assigned, Expression, Name, Path, Privilege, PrivilegeWord, Role, Statement, Tables,
};
use crate::cursor::{Cursor, Result};
use crate::error::{Fault, Notice, SyntaxError};
use crate::lexer::{Kind, Lexer, Token};
use crate::names::scoped;
use std::ops::Range;

/// Something read from a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    /// Where it stands, in bytes: from its first token to its last, without the `;`.
    pub range: Range<usize>,
    /// What Postgres would have told while reading it.
    pub notices: Vec<Notice>,
}

/// Reads DDLX statements with `;` between them. Empty ones are passed over. Anything else is an error, and the whole text with it.
pub fn parse(text: &str) -> std::result::Result<Vec<Located<Statement>>, SyntaxError> {
    let mut cursor = Cursor::new(text, Lexer::new(text, 0));
    let mut statements = vec![];
    let result = loop {
        while cursor.take_symbol(b';') {}
        if cursor.peek(0).is_none() {
            break Ok(());
        }
        match cursor.located() {
            Ok(statement) => statements.push(statement),
            Err(fault) => break Err(fault),
        }
    };
    match result {
        Ok(()) => Ok(statements),
        Err(fault) => Err(fault.in_text(text, 0, 0)),
    }
}

/// Reads the statement that begins at the byte `start` and ends before `end`, where either a `;` or the text's end is.
pub(crate) fn parse_one(text: &str, start: usize, end: usize) -> Result<Located<Statement>> {
    let inside = Lexer::new(text, start).take_while(|token| token.start <= end);
    Cursor::new(text, inside).located()
}

/// Does the statement that begins here begin as a DDLX statement does? So it is one, with or without errors.
pub(crate) fn begins_statement(text: &str, start: usize, end: usize) -> bool {
    // With everything optional, `ENABLE ELECTRIC` ends at the 16th token.
    let first = Lexer::new(text, start).take_while(|token| token.start < end);
    let mut cursor = Cursor::new(text, first.take(16));
    if cursor.take("electric") {
        return true;
    }
    if !(cursor.take("alter") && cursor.take("table")) {
        return false;
    }
    cursor.altered_table().is_ok()
        && (cursor.is(0, "enable") || cursor.is(0, "disable"))
        && cursor.is(1, "electric")
}

/// Reads an expression alone.
pub(crate) fn expression(text: &str) -> std::result::Result<Expression, SyntaxError> {
    let mut cursor = Cursor::new(text, Lexer::new(text, 0));
    cursor
        .expression(None)
        .map_err(|fault| fault.in_text(text, 0, 0))
}

impl Cursor<'_> {
    fn located(&mut self) -> Result<Located<Statement>> {
        let first = self.peek(0).ok_or_else(|| self.unexpected())?;
        let value = self.statement()?;
        if !self.is_symbol(0, b';') && self.peek(0).is_some() {
            return Err(self.unexpected());
        }
        let last = self.last().unwrap_or(first);
        Ok(Located {
            value,
            range: first.start..last.end,
            notices: self.take_notices(),
        })
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.take("alter") {
            self.expect("table")?;
            let tables = self.altered_table()?;
            let enable = self.take("enable");
            if !enable {
                self.expect("disable")?;
            }
            self.expect("electric")?;
            return Ok(if enable {
                Statement::Enable(tables)
            } else {
                Statement::Disable(tables)
            });
        }
        self.expect("electric")?;
        if self.take("enable") {
            Ok(Statement::Enable(Tables::Listed(self.list(Self::name)?)))
        } else if self.take("disable") {
            Ok(Statement::Disable(Tables::Listed(self.list(Self::name)?)))
        } else if self.take("grant") {
            self.grant()
        } else if self.take("revoke") {
            let (privileges, tables, roles) = self.granted("from")?;
            Ok(Statement::Revoke {
                privileges,
                tables,
                roles,
            })
        } else if self.take("assign") {
            self.assign()
        } else if self.take("unassign") {
            let assigned = self.assigned()?;
            self.expect("from")?;
            let user = self.column()?;
            Ok(Statement::Unassign { assigned, user })
        } else {
            self.expect("sqlite")?;
            Ok(Statement::Sqlite(self.expect_string()?))
        }
    }

    /// What stands between `ALTER TABLE` and `ENABLE`.
    fn altered_table(&mut self) -> Result<Tables> {
        let if_exists = self.is(0, "if") && self.is(1, "exists");
        if if_exists {
            self.step();
            self.step();
        }
        let only_is_name = self.is_symbol(1, b'.')
            || ((self.is(1, "enable") || self.is(1, "disable")) && self.is(2, "electric"));
        let only = !only_is_name && self.take("only");
        // `ONLY (t)` and `t *` are Postgres' other ways to say it.
        let parentheses = only && self.take_symbol(b'(');
        let table = self.name()?;
        if parentheses {
            self.expect_symbol(b')')?;
        } else if !only {
            self.take_symbol(b'*');
        }
        Ok(Tables::Altered {
            if_exists,
            only,
            table,
        })
    }

    fn grant(&mut self) -> Result<Statement> {
        let (privileges, tables, roles) = self.granted("to")?;
        let using = self.using()?;
        let condition = if self.take("where") || self.take("check") {
            Some(self.condition()?)
        } else {
            None
        };
        Ok(Statement::Grant {
            privileges,
            tables,
            roles,
            using,
            condition,
        })
    }

    fn assign(&mut self) -> Result<Statement> {
        let assigned = self.assigned()?;
        self.expect("to")?;
        let user = self.column()?;
        let using = self.using()?;
        let condition = if self.take("if") {
            Some(self.condition()?)
        } else {
            None
        };
        Ok(Statement::Assign {
            assigned,
            user,
            using,
            condition,
        })
    }

    /// What GRANT and REVOKE have in common: privileges, tables and, behind this word, roles.
    fn granted(&mut self, before_roles: &str) -> Result<(Vec<Privilege>, Vec<Name>, Vec<Role>)> {
        let privileges = self.list(Self::privilege)?;
        self.expect("on")?;
        if self.is(0, "table") && !self.table_is_name(before_roles) {
            self.step();
        }
        let tables = self.list(Self::name)?;
        self.expect(before_roles)?;
        let roles = self.list(Self::role)?;
        Ok((privileges, tables, roles))
    }

    /// Is the `TABLE` that is next a table's name? In `ON table TO 'x'` it is, in `ON TABLE to TO 'x'` it is not, and in
    /// `ON table TO to:'x'` it is again, because no list of roles begins like that.
    fn table_is_name(&self, before_roles: &str) -> bool {
        if self.is_symbol(1, b'.') || self.is_symbol(1, b',') {
            return true;
        }
        let list_goes_on = self.is_symbol(2, b'.') || self.is_symbol(2, b',');
        let roles_follow =
            self.is(2, before_roles) && !self.is_symbol(3, b':') && !self.is_symbol(3, b'.');
        self.is(1, before_roles) && !list_goes_on && !roles_follow
    }

    fn privilege(&mut self) -> Result<Privilege> {
        let word = PrivilegeWord::EACH
            .into_iter()
            .find(|word| self.is(0, word.as_str()))
            .ok_or_else(|| self.unexpected())?;
        self.step();
        if word == PrivilegeWord::All {
            self.take("privileges");
        }
        let columns = if self.take_symbol(b'(') {
            let columns = self.list(Self::identifier)?;
            self.expect_symbol(b')')?;
            Some(columns)
        } else {
            None
        };
        Ok(Privilege { word, columns })
    }

    fn role(&mut self) -> Result<Role> {
        let is_scope = self.is_symbol(1, b'.') || self.is_symbol(1, b':');
        if !is_scope && self.take("anyone") {
            return Ok(Role::Anyone);
        }
        if !is_scope && self.take("authenticated") {
            return Ok(Role::Authenticated);
        }
        if let Some((scope, role)) = self.scoped_string()? {
            return Ok(Role::Named { scope, role });
        }
        let tuple = self.take_symbol(b'(');
        let scope = self.scope()?;
        self.expect_symbol(if tuple { b',' } else { b':' })?;
        let role = self.role_name()?;
        if tuple {
            self.expect_symbol(b')')?;
        }
        Ok(Role::Named { scope, role })
    }

    fn assigned(&mut self) -> Result<Assigned> {
        if let Some((scope, role)) = self.scoped_string()? {
            return Ok(Assigned::Named { scope, role });
        }
        if self.take_symbol(b'(') {
            let scope = self.scope()?;
            self.expect_symbol(b',')?;
            let assigned = self.assigned_in(scope)?;
            self.expect_symbol(b')')?;
            return Ok(assigned);
        }
        if self.is(0, "null") && self.is_symbol(1, b':') {
            self.step();
            self.step();
            return self.assigned_in(None);
        }
        let parts = self.dotted(3)?;
        if parts.len() < 3 && self.take_symbol(b':') {
            let scope = self.name_of(parts)?;
            return self.assigned_in(Some(scope));
        }
        let column = self.column_of(parts)?;
        Ok(Assigned::Column {
            scope: None,
            column,
        })
    }

    /// What follows a scope.
    fn assigned_in(&mut self, scope: Option<Name>) -> Result<Assigned> {
        if self.is_string() {
            let role = self.role_name()?;
            return Ok(Assigned::Named { scope, role });
        }
        let column = self.column()?;
        Ok(Assigned::Column { scope, column })
    }

    fn scope(&mut self) -> Result<Option<Name>> {
        if !self.is_symbol(1, b'.') && self.take("null") {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// `'name'` or `'scope:name'`, if a string is next.
    fn scoped_string(&mut self) -> Result<Option<(Option<Name>, String)>> {
        let token = self.peek(0);
        let Some(value) = self.string()? else {
            return Ok(None);
        };
        let role = scoped(&value, self.notices());
        role.map(Some).ok_or_else(|| invalid_role(&value, token))
    }

    /// The name of a role, whose scope stands elsewhere.
    fn role_name(&mut self) -> Result<String> {
        let token = self.peek(0);
        let role = self.expect_string()?;
        if role.is_empty() {
            return Err(invalid_role(&role, token));
        }
        Ok(role)
    }

    fn using(&mut self) -> Result<Option<Path>> {
        if !self.take("using") {
            return Ok(None);
        }
        let mut path = vec![self.identifier()?];
        while self.take_symbol(b'/') {
            path.push(self.identifier()?);
        }
        Ok(Some(Path(path)))
    }

    fn condition(&mut self) -> Result<Expression> {
        self.expect_symbol(b'(')?;
        self.expression(Some(b')'))
    }

    /// An expression up to this symbol, which is taken, or up to the end. Only Postgres knows what is in it; here parentheses are
    /// counted.
    fn expression(&mut self, until: Option<u8>) -> Result<Expression> {
        let first = self.peek(0).ok_or_else(|| self.unexpected())?;
        let mut end = first.start;
        let mut depth = 0_usize;
        loop {
            let Some(token) = self.peek(0) else {
                if until.is_some() || depth > 0 {
                    return Err(self.unexpected());
                }
                break;
            };
            match token.kind {
                Kind::Symbol(b'(') => depth += 1,
                Kind::Symbol(symbol) if depth == 0 && until == Some(symbol) => break,
                Kind::Symbol(b')') if depth > 0 => depth -= 1,
                Kind::Symbol(b')' | b';') | Kind::Unterminated(_) => return Err(self.unexpected()),
                _ => {}
            }
            end = token.end;
            self.step();
        }
        if end == first.start {
            return Err(self.unexpected());
        }
        if until.is_some() {
            self.step();
        }
        Ok(Expression {
            text: self.text[first.start..end].to_owned(),
            range: first.start..end,
        })
    }
}

fn invalid_role(value: &str, token: Option<Token>) -> Fault {
    let at = token.map_or(0, |token| token.start);
    Fault::new(format!("invalid role \"{value}\""), at)
        .hint("Write 'name', 'scope:name', or (scope, 'name'), where scope is the name of a table.")
}
