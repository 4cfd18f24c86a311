//! Sessions: opening, refreshing, listing and ending them. Knows nothing of how the user was recognised.

pub mod list;
pub mod open;
pub mod refresh;
pub(in crate::auth) mod refresh_claims;
pub(in crate::auth) mod run_to_completion;
pub mod sign_out;
