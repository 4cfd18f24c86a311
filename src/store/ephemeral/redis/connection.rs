//! Connections: a [`Connection`] is one of the driver's clients and the task that drives it, a [`Link`] a line that is opened
//! again whenever it ends. Knows nothing of what is sent.
//!
//! The driver can reconnect by itself, but then it keeps what was in flight and sends it again, and keeps what was asked
//! meanwhile and sends it late. Both are wrong here: a code may be redeemed by a command whose answer was lost, and must
//! not be tried again behind the caller's back; and a caller is to be told within its time, so that what it asked must
//! not happen after it. So a client gets no reconnection policy: when its connection breaks, everything in flight fails
//! at once, the client is thrown away, and until the next one is up every call fails without being queued.
//!
//! One connection answers in order, so a command that was not answered in time has everything behind it late too: such
//! a line is ended. That is how a frozen server, or one that vanished without a word, is told from a busy one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use tokio::task::{AbortHandle, JoinHandle};

use super::settings::Settings;

/// How long to wait before the next try at a connection. Short: a try costs little, and every node is refusing meanwhile.
const AGAIN: Duration = Duration::from_millis(100);

/// One client, and the end of it when dropped.
pub(super) struct Connection {
    pub(super) client: Client,
    driver: Option<AbortHandle>,
    began: Instant,
    /// The server's clock minus ours, as last heard; of a cluster's servers, the one that is furthest ahead. Belongs to the
    /// line, since the next one may lead to another server.
    ahead: AtomicI64,
}

type Driver = JoinHandle<Result<(), Error>>;

impl Connection {
    /// Opens a line, and gives the task that lasts as long as it is open.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Driver), Error> {
        let config = settings.driver.clone();
        let client = Client::new(config, None, Some(settings.connection()), None);
        // Before the server has been heard everything is late, and the first answer tells its time.
        let ahead = AtomicI64::new(i64::MIN / 2);
        let mut line = Self { client: client.clone(), driver: None, began: Instant::now(), ahead };
        let mut driver = None;
        let connected = async {
            // In this order, so that the news of the connection is listened for before there can be any.
            tokio::select! {
                biased;
                connected = client.wait_for_connect() => connected,
                ended = async {
                    let driver = driver.insert(client.connect());
                    line.driver = Some(driver.abort_handle());
                    driver.await
                } => ended.unwrap_or(Ok(())).and(Err(Error::new(ErrorKind::IO, "closed at once"))),
            }
        };
        // Each step of the driver has its own time-out; this one is for the sum of them, over all nodes of a cluster.
        tokio::time::timeout(settings.timeout * 10, connected)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no connection in time")))?;
        match driver {
            Some(driver) => Ok((line, driver)),
            None => Err(Error::new(ErrorKind::Unknown, "connected to nothing")),
        }
    }

    /// By the server's clock, when a caller of that patience will have gone: twice as long from now, since clocks were
    /// compared through a round trip.
    pub(super) fn deadline(&self, patience: Duration) -> i64 {
        let ours = self.began.elapsed() + patience * 2;
        self.ahead.load(Ordering::Relaxed) + ours.as_millis() as i64
    }

    /// Hears the server's time.
    pub(super) fn hear(&self, server_now: i64) {
        self.ahead.fetch_max(server_now - self.began.elapsed().as_millis() as i64, Ordering::Relaxed);
    }

    /// Whether it can still answer. The driver takes commands for a line that has ended, and leaves them lying.
    pub(super) fn is_open(&self) -> bool {
        self.driver.as_ref().is_some_and(|driver| !driver.is_finished())
    }

    /// Ends the line: whoever waits on it gets an error, and a [`Link`] opens the next.
    pub(super) fn end(&self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// A line that is opened again whenever it ends.
pub(super) struct Link {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

struct Shared {
    line: ArcSwapOption<Connection>,
    /// Why there is none.
    why: Mutex<String>,
}

impl Link {
    pub(super) async fn open(settings: Settings) -> Result<Self, Error> {
        let (line, driver) = Connection::open(&settings).await?;
        let shared =
            Arc::new(Shared { line: ArcSwapOption::from_pointee(line), why: Mutex::new("not connected".into()) });
        let keeper = tokio::spawn(keep(shared.clone(), settings, driver)).abort_handle();
        Ok(Self { shared, keeper })
    }

    /// The line, or why there is none at the moment.
    pub(super) fn line(&self) -> Result<Arc<Connection>, String> {
        self.shared
            .line
            .load_full()
            .filter(|line| line.is_open())
            .ok_or_else(|| self.shared.why.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.line.store(None);
    }
}

async fn keep(shared: Arc<Shared>, settings: Settings, mut driver: Driver) {
    let explain = |why: String| *shared.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    loop {
        let why = match driver.await {
            Ok(Ok(())) => "the connection was closed".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(why, "the connection to Redis is lost");
        explain(why);
        shared.line.store(None);
        driver = loop {
            match Connection::open(&settings).await {
                Ok((line, driver)) => {
                    shared.line.store(Some(Arc::new(line)));
                    break driver;
                }
                Err(error) => explain(error.to_string()),
            }
            tokio::time::sleep(AGAIN).await;
        };
        tracing::info!("the connection to Redis is back");
    }
}
