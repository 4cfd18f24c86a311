//! OAuth's token endpoints: exchange (RFC 6749), introspection (RFC 7662), revocation (RFC 7009).
//!
//! A client is an API key: it authenticates with the key as its secret, by Basic or in the form, or with `x-api-key`.

mod error;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::NAME;
use super::verify::key_claims;
use crate::api::native::schemas::{Granted, Introspection, OneTokenForm, TokenForm};
use crate::api::{api_key_or_empty, request_context};
use crate::auth::Error;
use crate::auth::api_keys;
use crate::auth::context::Context;
use crate::auth::sessions::refresh::{RotationPolicy, refresh};
use crate::auth::tokens::caller::authenticate;
use crate::auth::tokens::client_credentials::issue_for_api_key;
use crate::auth::tokens::introspect;
use crate::auth::tokens::revoke::revoke as end;
use crate::auth::tokens::verify::Credential;
use crate::http::{FormFields, Request, Response};

pub(super) use error::{OauthError, OauthErrorBody};

/// Gives tokens for a refresh token or an API key.
///
/// A refresh token is rotated: the answer's takes its place. An API key gives a short-lived access token that anybody verifies
/// without asking (`client_credentials`); it comes as the client's secret, in the form, by Basic or in `x-api-key`.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "native_token",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    security((), ("client" = []), ("api_key" = [])),
    responses((status = 200, description = "The tokens.", body = Granted)),
)]
pub(super) async fn token(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    let lives = &ctx.node.config.api.native;
    let answer = match form.get("grant_type") {
        Some("refresh_token") => {
            let token = form.get("refresh_token").ok_or(OauthError::missing("refresh_token"))?;
            let pair =
                refresh(&ctx, token, None, RotationPolicy::Rotate, request_context(NAME, lives, &request)).await?;
            Response::json(StatusCode::OK, &super::sessions::tokens(&pair, ctx.now()))
        }
        Some("client_credentials") => {
            let key = client(&request, &form).ok_or(Error::NoCredentials)?;
            let made = issue_for_api_key(&ctx, &key, form.get("scope"), lives.access).await?;
            let (access, lives, scope) = (made.access, made.lives.as_secs(), made.scope);
            let body = json!({"access_token": access, "token_type": "Bearer", "expires_in": lives, "scope": scope});
            Response::json(StatusCode::OK, &body)
        }
        Some(_) => return Err(OauthError::UnsupportedGrant),
        None => return Err(OauthError::missing("grant_type")),
    };
    Ok(answer.no_store())
}

/// Tells what a token is worth (RFC 7662).
///
/// An access token, a refresh token or an API key. For API keys with the scope `introspect`.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "native_introspect",
    request_body(content = OneTokenForm, content_type = "application/x-www-form-urlencoded"),
    security(("client" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "What it is worth.", body = Introspection)),
)]
pub(super) async fn introspect(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    authenticated(&ctx, &request, &form, "introspect").await?;
    let token = form.get("token").ok_or(OauthError::missing("token"))?;
    let answer = match introspect::introspect(&ctx, token).await? {
        introspect::Introspection::Inactive => json!({"active": false}),
        introspect::Introspection::Credential(Credential::Token(token)) => {
            let mut claims: Value = serde_json::from_str(&token.claims).unwrap_or_else(|_| json!({}));
            claims["active"] = true.into();
            claims["token_type"] = "Bearer".into();
            claims
        }
        introspect::Introspection::Credential(Credential::ApiKey(key)) => {
            let mut claims = key_claims(&key);
            claims["active"] = true.into();
            claims
        }
        introspect::Introspection::Refresh(session) => json!({
            "active": true,
            "token_type": "refresh_token",
            "sub": session.user,
            "sid": session.id,
            "iat": session.rotated_at.secs(),
            "exp": session.expires_at().secs(),
            "iss": ctx.node.config.tokens.issuer,
        }),
    };
    Ok(Response::json(StatusCode::OK, &answer).no_store())
}

/// Revokes a token (RFC 7009).
///
/// An access token, or a refresh token and with it its session. For API keys with the scope `revoke`. A token that is not known
/// is as good as revoked.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "native_revoke",
    request_body(content = OneTokenForm, content_type = "application/x-www-form-urlencoded"),
    security(("client" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "It is not good, or no longer.")),
)]
pub(super) async fn revoke(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    authenticated(&ctx, &request, &form, "revoke").await?;
    let token = form.get("token").ok_or(OauthError::missing("token"))?;
    if api_keys::well_formed(token) {
        return Err(OauthError::UnsupportedToken);
    }
    end(&ctx, token).await?;
    Ok(Response::empty(StatusCode::OK).no_store())
}

/// RFC 6749, 3.2: a parameter that is there twice makes the request invalid.
async fn form(request: &mut Request) -> Result<FormFields, OauthError> {
    let form = request.form().await?;
    match form.repeated() {
        Some(_) => Err(OauthError::Repeated),
        None => Ok(form),
    }
}

async fn authenticated(ctx: &Context, request: &Request, form: &FormFields, scope: &str) -> Result<(), OauthError> {
    let key = client(request, form).ok_or(Error::NoCredentials)?;
    authenticate(ctx, Some(&key)).await?.require_scope(scope)?;
    Ok(())
}

/// The client's key: as the password of Basic, in the form, as a bearer, or in a header field of its own.
fn client(request: &Request, form: &FormFields) -> Option<String> {
    let key = basic(request)
        .or_else(|| form.get("client_secret").map(str::to_owned))
        .or_else(|| request.header("x-api-key").map(str::to_owned));
    key.map(|key| api_key_or_empty(&key).to_owned()).or_else(|| request.bearer().map(str::to_owned))
}

/// RFC 6749, 2.3.1. A key has no character that its form-encoding would change.
fn basic(request: &Request) -> Option<String> {
    let (scheme, value) = request.header(AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}
