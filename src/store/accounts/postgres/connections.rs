//! The connection pool: how connections are opened, acquired, timed and discarded. Knows no statement.
//!
//! A call has one deadline over all it does: waiting for a connection, opening it, preparing and executing. So a frozen
//! server is treated like a dead one. The calls of one request share one budget: if each had the full timeout, a
//! request with two calls could wait twice as long while all connections are in use.
//!
//! The outcome on a connection decides whether it returns to the pool. After a timeout, or after any error that is not
//! about the values alone, it is closed and the next caller opens another one. So nothing needs a restart: neither
//! after the server restarted nor after a primary became a replica (whose old connections stay open and refuse every
//! write).

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::statements::Statement;
use super::{limits, tls};
use crate::clock::request_budget;
use crate::config;
use crate::store::operation::{Observer, Operation, Probe};
use crate::store::{Error, Result};

/// The name of the store in errors.
pub(super) const STORE: &str = "Postgres";

/// How long sent bytes may stay unacknowledged and a silent peer unprobed. Only idle connections wait that long: a call
/// has its own, shorter deadline.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of work on a connection.
pub(super) type QueryResult<T> = std::result::Result<T, QueryError>;

/// Why work on a connection failed.
pub(super) enum QueryError {
    /// It was not done by its deadline.
    Timeout(String),
    /// The driver or the server failed.
    Driver(tokio_postgres::Error),
    /// A row contains data that this program never writes.
    UnexpectedData(String),
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl QueryError {
    /// The server's error code, if the server returned an error.
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            Self::Timeout(_) | Self::UnexpectedData(_) => None,
        }
    }

    /// The constraint or unique index that the values violate.
    pub(super) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Driver(error) => error.as_db_error()?.constraint(),
            _ => None,
        }
    }

    /// Returns true if the server rejected only the values (classes 22, data, and 23, constraints), so that the
    /// connection is still good.
    fn is_about_values(&self) -> bool {
        self.code().is_some_and(|code| matches!(code.code().get(..2), Some("22" | "23")))
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        let store = STORE;
        match error {
            QueryError::Timeout(detail) => Self::Unavailable { store, detail, is_logged: false },
            QueryError::UnexpectedData(detail) => Self::Corrupt { store, detail },
            QueryError::Driver(ref driver_error) => {
                let detail = describe(driver_error);
                match driver_error.code() {
                    Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => Self::Corrupt {
                        store,
                        detail: format!("{detail}: a migration is pending; run `signet migrate`"),
                    },
                    _ if error.is_about_values() => Self::Corrupt { store, detail },
                    _ => Self::Unavailable { store, detail, is_logged: false },
                }
            }
        }
    }
}

/// The error with its causes. Of a server error only the message and the code, because the detail quotes rows.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(server_error) = error.as_db_error() {
        return format!("{} ({})", server_error.message(), server_error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The address of a server and how to connect to it.
pub(super) struct Endpoint {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Endpoint {
    /// Parses the URL. `statement_timeout` limits how long the server works on one statement.
    pub(super) fn new(settings: &config::Postgres, statement_timeout: Duration) -> Result<Self> {
        let unusable = |detail: String| Error::Unavailable { store: STORE, detail, is_logged: false };
        let (url, mode) = tls::split_mode(&settings.url.0, settings.ca.is_some()).map_err(unusable)?;
        // Not the driver's own error: it quotes options, and the text after an unescaped `&` in a password looks like
        // one.
        let mut config: Config =
            url.parse().map_err(|_| unusable("its URL, or an option in it, cannot be parsed".to_owned()))?;
        mode.apply(&mut config);
        let limits = limits::startup_options(statement_timeout, settings.timeout);
        // The last option wins, so the operator's own options in the URL override these.
        let options = match config.get_options() {
            Some(from_url) => format!("{limits} {from_url}"),
            None => limits,
        };
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("signet");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(DEAD_PEER_TIMEOUT);
        }
        config.keepalives_idle(DEAD_PEER_TIMEOUT).keepalives_interval(DEAD_PEER_TIMEOUT / 4).keepalives_retries(3);
        let tls = mode.connector(&config, settings.ca.as_deref()).map_err(unusable)?;
        Ok(Self { config, tls })
    }
}

/// A pool of connections. They are opened on demand, on the caller's runtime: a pool belongs to one runtime.
pub(super) struct Connections {
    pool: Pool,
    timeout: Duration,
    probe: Probe,
}

impl Connections {
    pub(super) fn new(settings: &config::Postgres, max_connections: usize) -> Result<Self> {
        let endpoint = Endpoint::new(settings, settings.timeout)?;
        // Fast: checks whether the connection is closed, without a round trip.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(endpoint.config, endpoint.tls, recycling);
        let pool = Pool::builder(manager).max_size(max_connections).build().map_err(|error| Error::Unavailable {
            store: STORE,
            detail: error.to_string(),
            is_logged: false,
        })?;
        Ok(Self { pool, timeout: settings.timeout, probe: Probe::default() })
    }

    pub(super) fn report_to(&self, observer: Arc<dyn Observer>) {
        self.probe.report_to(observer);
    }

    /// The deadline of a call that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + request_budget::remaining(self.timeout)
    }

    /// Executes one statement and reads its rows.
    pub(super) async fn query<T>(
        &self,
        statement: &Statement,
        values: &[&(dyn ToSql + Sync)],
        read: impl FnOnce(&[Row]) -> QueryResult<T>,
    ) -> Result<T> {
        self.query_result(statement, values, |rows| read(&rows?)).await
    }

    /// Like [`Connections::query`], for statements of which some errors are values. `read` decides before the outcome
    /// is measured.
    pub(super) async fn query_result<T, E>(
        &self,
        statement: &Statement,
        values: &[&(dyn ToSql + Sync)],
        read: impl FnOnce(QueryResult<Vec<Row>>) -> std::result::Result<T, E>,
    ) -> Result<T>
    where
        Error: From<E>,
    {
        let work = async { read(self.rows(self.deadline(), statement, values).await) };
        self.measure(statement.operation, work).await
    }

    /// Measures work that consists of several statements.
    pub(super) fn measure<T, E>(
        &self,
        operation: Operation,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> impl Future<Output = Result<T>>
    where
        Error: From<E>,
    {
        self.probe.measure(operation, work)
    }

    /// Executes one statement, prepared once per connection, without measuring it.
    pub(super) async fn rows(
        &self,
        deadline: Instant,
        statement: &Statement,
        values: &[&(dyn ToSql + Sync)],
    ) -> QueryResult<Vec<Row>> {
        request_budget::wait(async {
            let connection = self.acquire(deadline).await?;
            let rows = self
                .wait(deadline, async {
                    let statement = connection.prepare_cached(statement.sql).await?;
                    connection.query(&statement, values).await
                })
                .await;
            release(connection, rows)
        })
        .await
    }

    /// Takes a connection from the pool. Give it to [`release`] with the outcome of the work.
    pub(super) async fn acquire(&self, deadline: Instant) -> QueryResult<Object> {
        if deadline <= Instant::now() {
            // The statement would be executed, but its result could not be returned in time.
            return Err(QueryError::Timeout(format!("no response within {:?}", self.timeout)));
        }
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(QueryError::Driver(error)),
            Ok(Err(error)) => Err(QueryError::Timeout(error.to_string())),
            Err(_) => {
                let status = self.pool.status();
                let (timeout, open, max) = (self.timeout, status.size, status.max_size);
                let detail = format!("no connection within {timeout:?}, with {open} of {max} open or opening");
                Err(QueryError::Timeout(detail))
            }
        }
    }

    /// Waits for the driver until the deadline.
    pub(super) async fn wait<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> QueryResult<T> {
        self.finish(deadline, async { Ok(work.await?) }).await
    }

    /// Waits for work of several statements until the deadline.
    pub(super) async fn finish<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = QueryResult<T>>,
    ) -> QueryResult<T> {
        match timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(QueryError::Timeout(format!("no response within {:?}", self.timeout))),
        }
    }
}

/// Returns a connection to its pool, or closes it if its state is uncertain after that result.
pub(super) fn release<T>(connection: Object, result: QueryResult<T>) -> QueryResult<T> {
    if let Err(error) = &result
        && !error.is_about_values()
    {
        drop(Object::take(connection));
    }
    result
}
