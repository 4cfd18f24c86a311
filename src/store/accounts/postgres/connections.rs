//! Connections to Postgres: how they are made, lent, timed and thrown away. Knows nothing of what is asked over them.
//!
//! A call has one deadline over all it does: waiting for a connection, opening it, preparing and executing. A frozen server
//! is thereby as good as a dead one. The calls of one request have one time-out together: were each given all of it, who asks
//! twice while the connections are taken could be told so after two.
//!
//! What happened to a connection decides whether it goes back to the pool: one that was late, or that failed in any way but a
//! complaint about the values, is closed, and the next caller opens another. So nothing needs a restart: not a server that was,
//! nor a primary that became a replica (whose old connections stay open, and refuse every write).

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::clock::request_budget;
use crate::config;
use crate::store::{Error, Result};

/// How the store is called in errors.
pub(super) const STORE: &str = "Postgres";

/// For how long sent bytes may stay unacknowledged, and a silent peer unprobed. Only idle connections wait that long: a
/// call has its own, shorter deadline.
const DEAD_PEER: Duration = Duration::from_secs(10);

/// For how long the server lets a transaction stand still, row locks and all, should this program be frozen in the middle
/// of one.
const STANDSTILL: Duration = Duration::from_secs(10);

/// What was asked for, or why there is no answer.
pub(super) type Answer<T> = std::result::Result<T, Failure>;

/// Why a call failed.
pub(super) enum Failure {
    /// It was not done by its deadline.
    Late(String),
    /// The driver or the server says so.
    Driver(tokio_postgres::Error),
    /// The answer is not what this program writes.
    Unreadable(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl Failure {
    /// The server's code for it, if it was the server that complained.
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            Self::Late(_) | Self::Unreadable(_) => None,
        }
    }

    /// Whether the server complained about the values alone (classes 22, data, and 23, constraints): then the connection is
    /// as good as before.
    fn about_values(&self) -> bool {
        self.code().is_some_and(|code| matches!(code.code().get(..2), Some("22" | "23")))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let store = STORE;
        match failure {
            Failure::Late(detail) => Self::Unavailable { store, detail },
            Failure::Unreadable(detail) => Self::Corrupt { store, detail },
            Failure::Driver(ref error) => {
                let detail = describe(error);
                match error.code() {
                    Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => Self::Corrupt {
                        store,
                        detail: format!("{detail}: its schema is not the one this program knows; run `signet migrate`"),
                    },
                    _ if failure.about_values() => Self::Corrupt { store, detail },
                    _ => Self::Unavailable { store, detail },
                }
            }
        }
    }
}

/// What the driver says, with its causes. Of the server's complaints the message and the code, and not the detail, which
/// quotes rows.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(complaint) = error.as_db_error() {
        return format!("{} ({})", complaint.message(), complaint.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How to reach a server.
pub(super) struct Way {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Way {
    /// Reads the URL and what belongs to it. `statement` is how long the server may work on one statement.
    pub(super) fn new(settings: &config::Postgres, statement: Duration) -> Result<Self> {
        let unusable = |detail: String| Error::Unavailable { store: STORE, detail };
        let (url, mode) = tls::mode_of(&settings.url.0, settings.ca.is_some()).map_err(unusable)?;
        // Not the driver's own complaint: it quotes options, and what follows an unescaped `&` in a password looks like one.
        let mut config: Config =
            url.parse().map_err(|_| unusable("its address, or an option in it, cannot be read".to_owned()))?;
        mode.apply(&mut config);
        let limits = format!(
            "-c statement_timeout={statement} -c lock_timeout={lock} -c idle_in_transaction_session_timeout={standstill} \
             -c default_transaction_isolation=read\\ committed",
            statement = statement.as_millis(),
            lock = settings.timeout.as_millis(),
            standstill = STANDSTILL.as_millis(),
        );
        // The last one wins: an operator's own, if the URL has some.
        let options = match config.get_options() {
            Some(own) => format!("{limits} {own}"),
            None => limits,
        };
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("signet");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(DEAD_PEER);
        }
        config.keepalives_idle(DEAD_PEER).keepalives_interval(DEAD_PEER / 4).keepalives_retries(3);
        let tls = mode.connector(&config, settings.ca.as_deref()).map_err(unusable)?;
        Ok(Self { config, tls })
    }
}

/// A pool of connections. They are opened when they are needed, on the runtime of whoever needs one: a pool belongs to
/// one runtime.
pub(super) struct Connections {
    pool: Pool,
    timeout: Duration,
}

impl Connections {
    pub(super) fn new(settings: &config::Postgres, connections: usize) -> Result<Self> {
        let way = Way::new(settings, settings.timeout)?;
        // Fast: a look at whether the connection is closed, and no round trip.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(way.config, way.tls, recycling);
        let pool = Pool::builder(manager)
            .max_size(connections)
            .build()
            .map_err(|error| Error::Unavailable { store: STORE, detail: error.to_string() })?;
        Ok(Self { pool, timeout: settings.timeout })
    }

    /// Until when a call may take that begins now.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + request_budget::left(self.timeout)
    }

    /// Executes one statement, prepared once a connection, and gives its rows.
    pub(super) async fn ask(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Answer<Vec<Row>> {
        self.ask_by(self.deadline(), sql, values).await
    }

    /// The same, by a deadline that several statements share.
    pub(super) async fn ask_by(
        &self,
        deadline: Instant,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Answer<Vec<Row>> {
        request_budget::wait(async {
            let connection = self.lend(deadline).await?;
            let answer = self
                .answer(deadline, async {
                    let statement = connection.prepare_cached(sql).await?;
                    connection.query(&statement, values).await
                })
                .await;
            settle(connection, answer)
        })
        .await
    }

    /// Lends a connection; whoever borrows it gives it to [`settle`] with what came of it.
    pub(super) async fn lend(&self, deadline: Instant) -> Answer<Object> {
        use deadpool_postgres::PoolError;
        if deadline <= Instant::now() {
            // What is asked now would be done, and nobody there to hear of it.
            return Err(Failure::Late(format!("no answers within {:?}", self.timeout)));
        }
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(Failure::Driver(error)),
            Ok(Err(error)) => Err(Failure::Late(error.to_string())),
            Err(_) => {
                let now = self.pool.status();
                let (timeout, open, most) = (self.timeout, now.size, now.max_size);
                Err(Failure::Late(format!("no connection within {timeout:?}, with {open} of {most} open or opening")))
            }
        }
    }

    /// Waits for an answer until the deadline.
    pub(super) async fn answer<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Answer<T> {
        match timeout_at(deadline, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::Late(format!("no answer within {:?}", self.timeout))),
        }
    }
}

/// Gives a connection back to its pool, or closes it if it may be spoilt.
pub(super) fn settle<T>(connection: Object, answer: Answer<T>) -> Answer<T> {
    if let Err(failure) = &answer
        && !failure.about_values()
    {
        drop(Object::take(connection));
    }
    answer
}
