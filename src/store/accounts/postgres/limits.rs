//! The limits of statements and transactions on the server: as options of each connection, and within a transaction.

use std::time::Duration;

/// How long the server keeps an idle transaction, with its row locks, should this program freeze in the middle of one.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The isolation level of every transaction. Others would add errors that nothing here retries.
const ISOLATION: (&str, &str) = ("default_transaction_isolation", "read committed");

/// Name and value of each limit. Times are in milliseconds.
pub(super) fn limits(statement: Duration, lock: Duration) -> [(&'static str, String); 4] {
    let millis = |time: Duration| time.as_millis().to_string();
    [
        ("statement_timeout", millis(statement)),
        ("lock_timeout", millis(lock)),
        ("idle_in_transaction_session_timeout", millis(IDLE_TRANSACTION_TIMEOUT)),
        (ISOLATION.0, ISOLATION.1.to_owned()),
    ]
}

/// The limits as options of a connection.
pub(super) fn startup_options(statement: Duration, lock: Duration) -> String {
    let option = |(name, value): (&str, String)| format!("-c {name}={}", value.replace(' ', "\\ "));
    limits(statement, lock).map(option).join(" ")
}

/// Statements that set the limits of the current transaction, whatever those of its connection are.
pub(super) fn within_transaction(limit: Duration) -> String {
    let [statement, lock, ..] = limits(limit, limit).map(|(name, value)| format!("SET LOCAL {name} = '{value}'"));
    format!("{statement}; {lock}; SET TRANSACTION ISOLATION LEVEL {}", ISOLATION.1)
}
