//! Checks that Postgres applies the limits which a connection asks for. A pooler such as PgBouncer drops them; then
//! they must be settings of the role.

use tokio::time::timeout;

use super::connections::{Endpoint, QueryError};
use super::limits::limits;
use super::schema::{connect, late};
use crate::config;
use crate::store::Result;

/// Describes each limit that the server does not apply although the connection asks for it, and what to do. A time
/// shorter than `settings.timeout` is accepted.
pub async fn limits_not_in_force(settings: &config::Postgres) -> Result<Vec<String>> {
    let endpoint = Endpoint::new(settings, settings.timeout)?;
    let options = endpoint.config.get_options().unwrap_or_default();
    let (client, connection) = connect(settings, settings.timeout).await?;
    let sql = "SELECT setting, current_user::text FROM pg_settings WHERE name = $1";
    let read = async {
        let mut missing = Vec::new();
        for (name, wanted) in limits(settings.timeout, settings.timeout) {
            let row = client.query_one(sql, &[&name]).await?;
            let (found, role): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            // Another value in the URL is the operator's choice. A wait for a lock ends with its statement.
            let matters = options.matches(name).count() == 1 && name != "lock_timeout";
            if matters && !is_within(&found, &wanted) {
                missing.push(describe(name, &wanted, &found, &role));
            }
        }
        Ok::<_, tokio_postgres::Error>(missing)
    };
    let missing = timeout(settings.timeout, read).await;
    connection.abort();
    Ok(missing.map_err(|_| late("no response", settings.timeout))?.map_err(QueryError::Driver)?)
}

/// Of two times, whether the first is a limit and at most the second. 0 is no limit.
fn is_within(found: &str, wanted: &str) -> bool {
    match (found.parse::<u64>(), wanted.parse::<u64>()) {
        (Ok(found), Ok(wanted)) => 0 < found && found <= wanted,
        _ => found == wanted,
    }
}

fn describe(name: &str, wanted: &str, found: &str, role: &str) -> String {
    let role = role.replace('"', "\"\"");
    format!(
        "{name} is {found}, not {wanted}: a pooler has dropped it; run ALTER ROLE \"{role}\" SET {name} = '{wanted}', \
         then RECONNECT in the pooler"
    )
}
