//! The operations: one verb a file. Knows nothing of HTTP, nor of which stores there are.
//!
//! The hot path: [`verify`] and [`refresh`]. Ways in: [`sign_in`], [`mail_code`], [`magic`], [`exchange`]; all end in
//! [`open_session`], which holds the steps that no way in may forget, [`second_factor`] among them. Ways out: [`sign_out`],
//! [`revoke`]. Who is asking: [`bearer`]. What became of tokens: [`introspect`], [`sessions`]. The fleet's common ground: [`keys`]
//! (the keyring's upkeep) and [`revocations`], which [`follow`] and [`endings`] keep up to date. Accounts: [`sign_up`],
//! [`create_user`], [`import_user`], [`find_users`], [`update_user`], [`disable_user`], [`delete_user`], [`api_key`], [`projects`],
//! [`billing`]. Who has forgotten a password: [`recover`], [`reset_password`]. Whose address it is: [`confirm_email`],
//! [`confirm_code`]. What they lean on: [`identity`], [`limit`], [`once`], [`password`], [`rank`].

mod address_owner;
pub mod api_key;
mod asked;
pub mod bearer;
pub mod billing;
pub mod confirm_code;
pub mod confirm_email;
pub mod create_user;
pub mod delete_user;
pub mod disable_user;
pub mod endings;
mod evenly;
pub mod exchange;
pub mod failure;
pub mod find_users;
pub mod follow;
pub mod identity;
pub mod import_user;
pub mod introspect;
pub mod keys;
pub mod limit;
pub mod magic;
pub mod mail_code;
mod mailing;
pub mod once;
mod one_purpose;
pub mod open_session;
mod original;
pub mod password;
pub mod projects;
pub mod rank;
pub mod recover;
pub mod refresh;
pub mod reset_password;
pub mod revocations;
pub mod revoke;
mod say_anew;
pub mod second_factor;
pub mod sessions;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
mod to_its_end;
pub mod update_user;
pub mod verify;

pub use crate::store::accounts::{Billing, User};
pub use failure::Failure;
