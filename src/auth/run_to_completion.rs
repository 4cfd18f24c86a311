//! Finishes work that belongs together even if the client disconnects, such as a change of a row and the end of the
//! sessions that follows from it. A request whose client disconnects is otherwise cancelled between any two steps.

use crate::auth::Error;
use crate::clock::request_budget::continue_budget;

/// Runs `work` to its end on a task of its own, even if the caller is dropped.
pub(in crate::auth) async fn run_to_completion<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    tokio::spawn(continue_budget(work)).await.map_err(|_| Error::Internal("an operation panicked or was aborted"))?
}
