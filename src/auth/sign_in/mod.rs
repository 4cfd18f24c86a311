//! The ways to sign in. Each recognises a user and then opens a session through [`super::sessions::open`], which holds the
//! checks that no way to sign in may forget.

pub mod magic_link;
pub mod mailed_code;
pub mod one_time;
pub mod password;
pub(in crate::auth) mod timing;
