//! Connections: a [`Connection`] is one of the driver's clients with the task that drives it, a
//! [`PersistentConnection`] replaces it whenever it ends. Knows nothing of what is sent.
//!
//! The driver could reconnect by itself, but then it sends again what was in flight, and sends late what was queued
//! meanwhile. Both are wrong here. A command whose reply was lost may have redeemed a code, and must not be repeated
//! behind the caller's back. A caller gets an error within its timeout, so its command must not run after that. So a
//! client gets no reconnection policy: when its connection breaks, everything in flight fails immediately, the client
//! is discarded, and until the next one is connected every call fails without being queued.
//!
//! A connection replies in order, so behind a command without a timely reply everything else is late too, and the
//! connection is closed. This is how a server that is frozen, or vanished without closing its connections, is told from
//! a busy one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use tokio::task::{AbortHandle, JoinHandle};

use super::outage_log::OutageLog;
use super::settings::Settings;

/// The pause before the next attempt to connect. Short, because an attempt is cheap and the node refuses requests
/// meanwhile.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A connected client. Dropping it closes the connection.
pub(super) struct Connection {
    pub(super) client: Client,
    driver: Option<AbortHandle>,
    opened_at: Instant,
    /// The latest known difference between the server's clock and the time since `opened_at`, in milliseconds; of a
    /// cluster's servers, that of the clock furthest ahead. Part of the connection, because the next one may lead to
    /// another server.
    clock_offset: AtomicI64,
}

type Driver = JoinHandle<Result<(), Error>>;

impl Connection {
    /// Opens a connection. Also returns the task that lasts as long as it is open.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Driver), Error> {
        let config = settings.driver.clone();
        let client = Client::new(config, None, Some(settings.connection()), None);
        // Until the server's time is known every command is late, and the first reply reports the time.
        let clock_offset = AtomicI64::new(i64::MIN / 2);
        let mut connection = Self { client: client.clone(), driver: None, opened_at: Instant::now(), clock_offset };
        let mut driver = None;
        let connected = async {
            // Biased, so that the wait for the connection is registered before there can be one.
            tokio::select! {
                biased;
                connected = client.wait_for_connect() => connected,
                ended = async {
                    let driver = driver.insert(client.connect());
                    connection.driver = Some(driver.abort_handle());
                    driver.await
                } => ended.unwrap_or(Ok(())).and(Err(Error::new(ErrorKind::IO, "closed immediately"))),
            }
        };
        // Each step of the driver has its own timeout; this one limits their sum, over all nodes of a cluster.
        tokio::time::timeout(settings.timeout * 10, connected)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "connecting timed out")))?;
        match driver {
            Some(driver) => Ok((connection, driver)),
            None => Err(Error::new(ErrorKind::Unknown, "the driver did not start")),
        }
    }

    /// The time, by the server's clock, after which a command must not run whose caller waits for `remaining` longer: a
    /// timeout after that, because the clocks were compared over a round trip.
    pub(super) fn deadline(&self, remaining: Duration, timeout: Duration) -> i64 {
        let elapsed = self.opened_at.elapsed() + remaining + timeout;
        self.clock_offset.load(Ordering::Relaxed) + elapsed.as_millis() as i64
    }

    /// Records the server's time.
    pub(super) fn record_server_time(&self, server_now: i64) {
        let offset = server_now - self.opened_at.elapsed().as_millis() as i64;
        self.clock_offset.fetch_max(offset, Ordering::Relaxed);
    }

    /// True while the connection can get replies. The driver accepts commands for a closed connection and never answers
    /// them.
    pub(super) fn is_open(&self) -> bool {
        self.driver.as_ref().is_some_and(|driver| !driver.is_finished())
    }

    /// Closes the connection: every call in flight fails, and a [`PersistentConnection`] opens the next one.
    pub(super) fn close(&self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A connection that is opened again whenever it ends.
pub(super) struct PersistentConnection {
    shared: Arc<Shared>,
    reconnector: AbortHandle,
}

struct Shared {
    connection: ArcSwapOption<Connection>,
    /// Why there is no connection.
    reason: Mutex<String>,
}

impl PersistentConnection {
    pub(super) async fn open(settings: Settings, outages: Arc<OutageLog>) -> Result<Self, Error> {
        let (connection, driver) = Connection::open(&settings).await?;
        let shared = Arc::new(Shared {
            connection: ArcSwapOption::from_pointee(connection),
            reason: Mutex::new("not connected".into()),
        });
        let reconnector = tokio::spawn(reconnect(shared.clone(), settings, outages, driver)).abort_handle();
        Ok(Self { shared, reconnector })
    }

    /// The open connection, or the reason why there is none.
    pub(super) fn current(&self) -> Result<Arc<Connection>, String> {
        self.shared
            .connection
            .load_full()
            .filter(|connection| connection.is_open())
            .ok_or_else(|| self.shared.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for PersistentConnection {
    fn drop(&mut self) {
        self.reconnector.abort();
        self.shared.connection.store(None);
    }
}

/// Waits for the end of each connection and opens the next. Never returns.
async fn reconnect(shared: Arc<Shared>, settings: Settings, outages: Arc<OutageLog>, mut driver: Driver) {
    let set_reason = |reason: String| *shared.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    loop {
        let reason = match driver.await {
            Ok(Ok(())) => "the connection was closed".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no reply in time".to_owned(),
        };
        let outage = outages.connection_lost(&reason);
        set_reason(reason);
        shared.connection.store(None);
        driver = loop {
            match Connection::open(&settings).await {
                Ok((connection, driver)) => {
                    shared.connection.store(Some(Arc::new(connection)));
                    break driver;
                }
                Err(error) => set_reason(error.to_string()),
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        };
        outage.recovered();
    }
}
