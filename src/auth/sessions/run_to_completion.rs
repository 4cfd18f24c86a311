//! Steps that belong together, such as a row that changes and the sessions that end by it. A client that hangs up takes the work on
//! its request with it, between any two steps; what is begun here goes on.

use crate::auth::Failure;
use crate::clock::request_budget::onwards;

/// Does `work` to its end, whoever still waits for it.
pub(in crate::auth) async fn to_its_end<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    tokio::spawn(onwards(work)).await.map_err(|_| Failure::Internal("what belongs together was broken off"))?
}
