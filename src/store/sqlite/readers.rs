//! A few reader threads, each with its own connection, so that no worker blocks on the disk. A reader of a WAL sees
//! every write that was acknowledged before it began, and waits for no writer. Knows no table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

pub(super) type Query = Box<dyn FnOnce(&Connection) + Send>;

/// Runs queries until every sender is dropped. Of the readers that share a channel, one waits on it and the others wait
/// for its mutex.
pub(super) fn run(connection: &Connection, queries: &Arc<Mutex<mpsc::Receiver<Query>>>) {
    loop {
        let query = queries.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(query) = query else { return };
        // A panic fails this query only; the panic hook has logged it.
        let _ = catch_unwind(AssertUnwindSafe(|| query(connection)));
    }
}
