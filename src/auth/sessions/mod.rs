//! Sessions after the sign-in: refreshing, listing and ending them, and the tokens and claims that belong to one.
//!
//! [`crate::auth::sign_in::open_session`] opens them.

pub mod claims;
pub mod list;
pub mod refresh;
pub mod sign_out;
pub mod tokens;
