//! The dialects: each translates between its own wording and the operations in `auth`, and does nothing else.
//!
//! A handler reads its wire type, calls one operation, words the answer. Each dialect has one function from what went wrong to an
//! answer, an exhaustive match: a new way to fail does not compile until every dialect has worded it.

pub mod native;

use crate::app::App;
use crate::auth::Failure;
use crate::auth::open_session::{Door, Says};
use crate::config::{Config, Dialect};
use crate::web::TableError;
use crate::web::{Rejection, Request, Router, Routes};

/// The table of contents of everything that is served, as the settings have it.
///
/// # Errors
/// If two dialects would answer the same requests.
pub fn router(config: &Config) -> Result<Router<App>, TableError> {
    let mut routes = Routes::new();
    routes.cors(&config.server.cors_origins);
    if config.api.native.enabled {
        native::routes(&mut routes, &config.api.native);
    }
    routes.build()
}

/// All that can go wrong with a request, for a dialect to word.
#[derive(Debug)]
pub enum Trouble {
    /// Before anybody looked at what it means.
    Rejection(Rejection),
    /// In doing what it asks.
    Failure(Failure),
}

impl From<Rejection> for Trouble {
    fn from(rejection: Rejection) -> Self {
        Self::Rejection(rejection)
    }
}

impl<F: Into<Failure>> From<F> for Trouble {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

/// By which door a request comes in.
fn door<'a>(dialect: &'static str, lives: &'a Dialect, request: &'a Request) -> Door<'a> {
    Door {
        dialect,
        lives,
        address: request.client(),
        counted_by: request.counted_by(),
        agent: request.agent(),
        language: request.header("accept-language"),
        says: Says::Nothing,
    }
}
