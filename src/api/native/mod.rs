//! Signet's own dialect: signing keys, verification, the OAuth endpoints, sessions, the second factor, projects and
//! administration. Success responses have the shapes of the RFCs; errors are RFC 9457 problem documents, and under
//! `/oauth` RFC 6749 errors.

mod admin;
mod api_keys;
mod audit;
mod billing;
mod export;
mod feed_followers;
mod idempotency;
mod links;
mod mailed;
mod me;
mod oauth;
mod page_session;
mod problem;
mod profile;
mod projects;
mod published;
mod qr;
mod query;
mod revocation_feed;
mod schemas;
mod sessions;
mod sign_up;
mod totp;
mod verify;
mod verify_proxy;

use serde::de::DeserializeOwned;
use utoipa::OpenApi;

use super::endpoint::{Endpoint, EndpointGroup};
use super::openapi::ApiSpec;
use super::pages;
use crate::auth::context::Context;
use crate::auth::request_context::RequestContext;
use crate::config::{Config, ConsoleListener};
use crate::http::{
    FieldError, FieldErrorKind, IntoResponse, ParamLocation, Rejection, Request, Response, Routes, json,
};

use oauth::{OauthError, OauthErrorBody};
use problem::{Problem, ProblemDocument};

/// The name of the dialect, in sessions and logs.
pub const NAME: &str = "native";

const GROUPS: [EndpointGroup; 3] = [
    EndpointGroup {
        scope: "",
        renderer: |error, _| Problem::from(error).into_response(),
        error_schema: |_| "ProblemDocument",
        endpoints: &[
            published::JWKS,
            published::METADATA,
            published::OPENID_CONFIGURATION,
            published::OPENAPI,
            revocation_feed::HEAD,
            revocation_feed::SNAPSHOT,
            revocation_feed::AFTER,
            revocation_feed::SEGMENT,
            feed_followers::REPORT_FOLLOWER,
            verify::VERIFY,
            verify::VERIFY_FOR_PROXY,
            verify_proxy::VERIFY_ANY_FOR_PROXY,
            verify::VERIFY_BATCH,
            sign_up::SIGN_UP,
            sign_up::PASSWORD_POLICY,
            mailed::SEND_CODE,
            mailed::SEND_MAGIC_LINK,
            mailed::SEND_RESET_LINK,
            mailed::SEND_CONFIRMATION_LINK,
            links::CONFIRM_EMAIL,
            links::RESET_PASSWORD,
            links::REDEEM_MAGIC_LINK,
            sessions::OPEN_SESSION,
            sessions::LIST_SESSIONS,
            sessions::END_SESSIONS,
            sessions::END_SESSION,
            me::READ,
            me::UPDATE,
            me::DELETE,
            me::SET_PASSWORD,
            me::CHANGE_EMAIL,
            audit::LIST_ACTIVITY,
            export::EXPORT,
            totp::START_ENROLLMENT,
            totp::QR_CODE,
            totp::ENABLE,
            totp::DISABLE,
            totp::REPLACE_RECOVERY_CODES,
            pages::MAGIC_LINK_PAGE,
            pages::RESET_PAGE,
            pages::CONFIRM_PAGE,
            links::OLD_CONFIRM_EMAIL,
            links::OLD_RESET_PASSWORD,
            links::OLD_REDEEM_MAGIC_LINK,
            projects::LIST_PROJECTS,
            projects::CREATE_PROJECT,
            api_keys::LIST,
            api_keys::CREATE,
            api_keys::DEACTIVATE,
        ],
    },
    admin::GROUP,
    EndpointGroup {
        scope: "/oauth",
        renderer: |error, _| OauthError::from(error).into_response(),
        error_schema: |_| "OauthErrorBody",
        endpoints: &[oauth::TOKEN, oauth::INTROSPECT, oauth::REVOKE],
    },
];

/// Documents that are the same for everyone: scripts of every origin may read them.
const FOR_ANY_ORIGIN: [Endpoint; 8] = [
    published::JWKS,
    published::METADATA,
    published::OPENID_CONFIGURATION,
    published::OPENAPI,
    revocation_feed::HEAD,
    revocation_feed::SNAPSHOT,
    revocation_feed::AFTER,
    revocation_feed::SEGMENT,
];

pub(super) fn add_routes(routes: &mut Routes<Context>, config: &Config) {
    let prefix = &config.api.native.prefix;
    for group in &GROUPS {
        group.add_routes(routes, prefix, config);
    }
    for endpoint in &FOR_ANY_ORIGIN {
        let paths = (endpoint.docs)().paths.paths;
        paths.keys().for_each(|path| routes.allow_any_origin(&format!("{prefix}{path}")));
    }
    pages::add_routes(routes.group(prefix, render_rejection));
    page_session::add_routes(routes.group(prefix, render_rejection));
    if config.serves_console_on(ConsoleListener::Public) {
        pages::add_console(routes.group(prefix, render_rejection));
    }
}

/// The response to a request that reaches no call.
pub(super) fn render_rejection(_: &Context, rejection: Rejection) -> Response {
    Problem::from(rejection).into_response()
}

/// Adds the console, and the calls that it makes, for a listener that has nothing else of this dialect.
pub fn add_console_routes(routes: &mut Routes<Context>, config: &Config) {
    let prefix = &config.api.native.prefix;
    for group in &GROUPS {
        group.add_selected_routes(routes, prefix, config, |path| path == "/me" || path.starts_with("/admin/"));
    }
    page_session::add_routes(routes.group(prefix, render_rejection));
    pages::add_console(routes.group(prefix, render_rejection));
    pages::add_files(routes.group(prefix, render_rejection));
}

/// The description for the OpenAPI document.
pub(super) fn spec(config: &Config) -> ApiSpec {
    #[derive(OpenApi)]
    #[openapi(
        tags((name = "native", description = "Signet's own API: keys, verification, OAuth endpoints, sessions.")),
        components(schemas(ProblemDocument<'_>, OauthErrorBody<'_>, admin::UserStatusName, admin::ApiKeySort, admin::KeyAlgorithm, sessions::SessionToKeep, totp::QrFormat)),
    )]
    struct Base;

    ApiSpec::new(&Base::openapi(), &GROUPS, config)
}

fn request_context<'a>(ctx: &'a Context, request: &'a Request) -> RequestContext<'a> {
    super::request_context(NAME, &ctx.node.config.api.native, request)
}

/// The body of a request that need not have one.
async fn optional_body<T: Default + DeserializeOwned>(request: &mut Request) -> Result<T, Rejection> {
    let bytes = request.json_bytes().await?;
    if bytes.is_empty() { Ok(T::default()) } else { json::parse(&bytes) }
}

/// Checks that people can read a name, and that every store can hold it.
fn check_name(field: &str, name: &str) -> Result<(), Rejection> {
    if !name.trim().is_empty() && name.chars().count() <= 100 && !name.contains('\0') {
        return Ok(());
    }
    let kind = FieldErrorKind::Invalid("must have 1 to 100 characters, none of them NUL".to_owned());
    Err(Rejection::field(FieldError::new(ParamLocation::Body, field, kind)))
}
