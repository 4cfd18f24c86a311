//! Signet's own dialect: what is published, verification in its forms, OAuth's token endpoints, sessions, and what only a
//! superuser may do. Answers of RFC shapes; failures as RFC 9457 problem documents, under `/oauth` as RFC 6749 has them.

mod admin;
mod oauth;
mod problem;
mod published;
mod sessions;
mod verify;

use crate::app::App;
use crate::config::Dialect;
use crate::web::{Answer, Rejection, Routes};

use oauth::OauthError;
use problem::Problem;

/// Its name, in sessions and in the log.
pub const NAME: &str = "native";

/// Adds its routes.
pub fn routes(routes: &mut Routes<App>, settings: &Dialect) {
    routes
        .under(&settings.prefix, |_, rejection: Rejection| Problem::from(rejection).answer())
        .get("/.well-known/jwks.json", "native.jwks", published::jwks)
        .get("/.well-known/oauth-authorization-server", "native.metadata", published::metadata)
        .get("/.well-known/openid-configuration", "native.metadata", published::metadata)
        .post("/verify", "native.verify", verify::one)
        .get("/verify", "native.verify-proxy", verify::for_proxy)
        .post("/verify/batch", "native.verify-batch", verify::batch)
        .post("/sessions", "native.sign-in", sessions::open)
        .get("/sessions", "native.sessions", sessions::list)
        .delete("/sessions", "native.sign-out-all", sessions::end_many)
        .delete("/sessions/{id}", "native.sign-out", sessions::end_one)
        .post("/admin/users/{id}/sign-out", "native.admin-sign-out", admin::sign_out_user)
        .post("/admin/sign-out-everyone", "native.admin-sign-out-everyone", admin::sign_out_everyone);
    routes
        .under(&format!("{}/oauth", settings.prefix), |_, rejection: Rejection| OauthError::from(rejection).answer())
        .post("/token", "native.token", oauth::token)
        .post("/introspect", "native.introspect", oauth::introspect)
        .post("/revoke", "native.revoke", oauth::revoke);
}
