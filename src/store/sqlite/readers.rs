//! A few threads that read, each with its own connection, so that no worker ever waits for the disk. A reader of a WAL
//! sees all that was acknowledged before it began, and waits for no writer. Knows no table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

pub(super) type Query = Box<dyn FnOnce(&Connection) + Send>;

/// Answers queries until every handle of the channel is gone. Of several readers that share a channel one waits in it and
/// the others wait for its place.
pub(super) fn run(connection: &Connection, queries: &Arc<Mutex<mpsc::Receiver<Query>>>) {
    loop {
        let query = queries.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(query) = query else { return };
        // A panic costs its caller an answer and nobody else anything; the panic hook has logged it.
        let _ = catch_unwind(AssertUnwindSafe(|| query(connection)));
    }
}
