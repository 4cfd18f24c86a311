//! Finishes steps that belong together even if the client disconnects, such as changing a row and ending the sessions.
//! Otherwise, a request whose client disconnects is cancelled between any two steps.

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
