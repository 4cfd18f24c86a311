//! The console at `/console`: the page where superusers manage users, keys and the server, and its files.
//!
//! The page and its files are the same for everyone. What it shows comes from the calls of the native API, which check
//! the caller. The management listener has the console with those calls alone; the public listener has all calls anyway.

use crate::auth::context::Context;
use crate::config::Config;
use crate::http::Routes;

use super::native;

/// Adds the console, and the calls that it makes, to the routes of the management listener.
pub fn add_to_management(routes: &mut Routes<Context>, config: &Config) {
    native::add_console_routes(routes, config);
}
