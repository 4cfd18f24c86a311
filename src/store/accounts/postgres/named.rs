//! Statements that name their parameters. Postgres knows parameters by number only, so the numbers are made here, from
//! the list of names and values that a statement is executed with.

use std::sync::OnceLock;

use tokio_postgres::types::ToSql;

use super::statements::Statement;
use crate::store::operation::Operation;

pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// A parameter's name and value.
pub(super) type Parameter<'a> = (&'static str, Value<'a>);

/// A statement with `{name}` for a parameter, and these for the columns of the row that it writes:
/// - `{columns}`: their names.
/// - `{values}`: their parameters.
/// - `{changes}`: assignments that change those named in `{given}` and leave the others as they are.
pub(super) struct NamedStatement {
    operation: Operation,
    template: &'static str,
    /// Made once, because each connection prepares a text once.
    sql: OnceLock<String>,
}

impl NamedStatement {
    pub(super) const fn new(operation: Operation, template: &'static str) -> Self {
        Self { operation, template, sql: OnceLock::new() }
    }

    /// The statement, and its values in the order of their numbers. `columns` are parameters named as the columns that
    /// they are written to. Every call must give the same names in the same order.
    pub(super) fn bind<'a>(
        &'static self,
        columns: &[Parameter<'a>],
        others: &[Parameter<'a>],
    ) -> (Statement, Vec<Value<'a>>) {
        let sql = self.sql.get_or_init(|| {
            let names = |parameters: &[Parameter<'_>]| parameters.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            number(self.template, &names(columns), &names(others))
        });
        let values = columns.iter().chain(others).map(|(_, value)| *value).collect();
        (Statement::new(self.operation, sql), values)
    }
}

fn number(template: &str, columns: &[&str], others: &[&str]) -> String {
    let change = |column: &&str| {
        format!("{column} = CASE WHEN '{column}' = ANY ({{given}}::text[]) THEN {{{column}}} ELSE {column} END")
    };
    let sql = template
        .replace("{columns}", &columns.join(", "))
        .replace("{values}", &format!("{{{}}}", columns.join("}, {")))
        .replace("{changes}", &columns.iter().map(change).collect::<Vec<_>>().join(", "));
    let names = columns.iter().chain(others).zip(1..);
    names.fold(sql, |sql, (name, number)| sql.replace(&format!("{{{name}}}"), &format!("${number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_in_the_order_of_their_values() {
        static INSERT: NamedStatement = NamedStatement::new(
            Operation::CreateProject,
            "INSERT INTO t ({columns}) SELECT {values} WHERE {name_key} <> {other}",
        );
        let (statement, values) = INSERT.bind(&[("name", &"a"), ("name_key", &"b")], &[("other", &"c")]);
        assert_eq!(statement.sql, "INSERT INTO t (name, name_key) SELECT $1, $2 WHERE $2 <> $3");
        assert_eq!(format!("{values:?}"), r#"["a", "b", "c"]"#);
    }

    #[test]
    fn change_assigns_only_the_given_columns() {
        assert_eq!(
            number("UPDATE t SET {changes} WHERE id = {id}", &["name"], &["given", "id"]),
            "UPDATE t SET name = CASE WHEN 'name' = ANY ($2::text[]) THEN $1 ELSE name END WHERE id = $3"
        );
    }
}
