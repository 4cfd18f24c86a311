//! Steps that belong together, such as a row that changes and the sessions that end by it. A client that hangs up takes the work on
//! its request with it, between any two steps; what is begun here goes on.

use crate::auth::Error;
use crate::clock::request_budget::continue_budget;

/// Does `work` to its end, whoever still waits for it.
pub(in crate::auth) async fn run_to_completion<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    tokio::spawn(continue_budget(work)).await.map_err(|_| Error::Internal("what belongs together was broken off"))?
}
