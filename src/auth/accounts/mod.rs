//! Accounts: creating, changing and deleting users, verifying addresses, projects and billing, and who may manage whom.

pub mod activity;
pub(in crate::auth) mod address_owner;
pub mod billing;
pub mod change_email;
mod change_events;
mod change_row;
pub mod create;
pub(in crate::auth) mod credential_epoch;
pub mod delete;
pub mod disable;
pub mod export;
pub mod find;
pub mod import;
pub mod permissions;
pub mod projects;
pub mod search;
pub mod sign_up;
pub mod update;
pub mod verify_email;
pub mod verify_email_code;

/// The most roles of one user: access tokens list all of them.
pub const MAX_ROLES: usize = 32;

/// The longest name of a role that an administrator sets, in characters: tokens carry it.
pub const MAX_ROLE_LENGTH: usize = 64;

/// The longest full name that an administrator or an import sets, in characters.
pub const MAX_FULL_NAME: usize = 255;
