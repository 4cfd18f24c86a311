//! The OAuth endpoints: token (RFC 6749; RFC 8693 in [`exchange`]), introspection (RFC 7662) and revocation (RFC 7009).
//!
//! Clients are API keys: the key is the client secret, in the form or by Basic authentication, or comes in `x-api-key`.

mod error;
mod exchange;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::request_context;
use super::verify::key_claims;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::schemas::{
    Introspection, IntrospectionRequest, RevocationRequest, TokenRequest, TokenResponse,
};
use crate::api::{FORBIDDEN, RATE_LIMITED, api_key_or_empty};
use crate::auth::context::Context;
use crate::auth::error::SubjectTokenError;
use crate::auth::sessions::refresh::refresh;
use crate::auth::tokens::caller::{Caller, authenticate};
use crate::auth::tokens::client_credentials::issue_for_api_key;
use crate::auth::tokens::verify::{Credential, VerifyError};
use crate::auth::tokens::{introspect, revoke};
use crate::auth::{Error, api_keys};
use crate::http::{FormFields, Request, Response};

pub(super) use error::{OauthError, OauthErrorBody};
pub(super) use exchange::GRANT_TYPE as TOKEN_EXCHANGE;

/// Exchange a refresh token, an API key or an access token for tokens
///
/// `refresh_token` rotates the token: the response has its successor. `client_credentials` issues a short-lived access
/// token, which services can verify locally, to an API key; the key is the client secret, in the form, by Basic
/// authentication or in `x-api-key`.
///
/// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693) takes the access token of a user and issues one for
/// another audience, with fewer scopes if the request says so. It lives no longer, belongs to the same session, and names
/// the client in `act`. The client is an API key with the scope `tokens:exchange`: a superuser's for the tokens of all
/// users, otherwise only those of the key's owner. There is no exchange for `tokens.audience`.
///
/// `resource` (RFC 8707) is the name or URL of the audience of the access token. A refresh with `resource` changes only
/// this access token.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "native_token",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security((), ("client" = []), ("api_key" = [])),
    responses((status = 200, description = "The tokens.", body = TokenResponse)),
)]
async fn token(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = read_form(&mut request).await?;
    let request_ctx = request_context(&ctx, &request);
    let resource = given(&form, "resource");
    let response = match form.get("grant_type") {
        Some("refresh_token") => {
            let token = form.get("refresh_token").ok_or(OauthError::MissingParameter("refresh_token"))?;
            let request_ctx = request_ctx.with_resource(&ctx.node.config, resource)?;
            let pair = refresh(&ctx, token, None, request_ctx).await?;
            Response::json(StatusCode::OK, &super::sessions::tokens(&pair, ctx.now()))
        }
        Some("client_credentials") => {
            let key = client_key(&request, &form).ok_or(Error::MissingCredentials)?;
            let request_ctx = request_ctx.with_resource(&ctx.node.config, resource)?;
            let token = issue_for_api_key(&ctx, &key, given(&form, "scope"), request_ctx).await?;
            let body = json!({
                "access_token": token.access,
                "token_type": "Bearer",
                "expires_in": token.expires_in.as_secs(),
                "scope": token.scope,
            });
            Response::json(StatusCode::OK, &body)
        }
        Some(exchange::GRANT_TYPE) => exchange::respond(&ctx, &request, &form).await?,
        Some(_) => return Err(OauthError::UnsupportedGrantType),
        None => return Err(OauthError::MissingParameter("grant_type")),
    };
    Ok(response.no_store())
}

pub(super) const TOKEN: Endpoint = endpoint! {
    handler: token,
    metric_label: "native.token",
    errors: [
        Error::InvalidRefreshToken,
        Error::EmailNotVerified,
        Error::MissingCredentials,
        Error::InvalidTarget,
        Error::InvalidSubjectToken(SubjectTokenError::NotAccepted),
        Error::InvalidToken(VerifyError::InsufficientScope),
        FORBIDDEN,
    ],
};

/// Introspect a token
///
/// Takes an access token or an API key, or, with `token_type_hint=refresh_token`, a refresh token too (RFC 7662).
/// Without this hint refresh tokens are inactive, because resource servers accept any active token as an access token.
/// Tokens of every audience are active; with `aud`, only access tokens for this audience.
/// For API keys with the scope `introspect`. Tokens of other users are inactive to a client, unless its API key belongs
/// to a superuser.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "native_introspect",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    security(("client" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The state and the claims of the token.", body = Introspection)),
)]
async fn introspect_token(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = read_form(&mut request).await?;
    let client = authenticate_client(&ctx, &request, &form, introspect::INTROSPECT_SCOPE).await?;
    let token = form.get("token").ok_or(OauthError::MissingParameter("token"))?;
    let audience = form.get("aud");
    let body = match introspect::introspect_for_client(&ctx, &client, token, audience).await? {
        introspect::Introspection::Inactive => json!({"active": false}),
        // A resource server asks about whatever its client presents as an access token, and accepts it if it is active.
        // Some, such as mod_auth_openidc, do not look at `token_type`.
        introspect::Introspection::Refresh(_) if form.get("token_type_hint") != Some("refresh_token") => {
            json!({"active": false})
        }
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
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

pub(super) const INTROSPECT: Endpoint = endpoint! {
    handler: introspect_token,
    metric_label: "native.introspect",
    errors: [FORBIDDEN],
};

/// Revoke a token
///
/// Takes an access token, or a refresh token, whose session then ends (RFC 7009). Unknown tokens count as revoked. For
/// API keys with the scope `revoke`. Tokens of other users are refused, unless the API key belongs to a superuser.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "native_revoke",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    security(("client" = []), ("api_key" = []), ("access_token" = [])),
    responses((status = 200, description = "The token is revoked, or was invalid.")),
)]
async fn revoke_token(ctx: Context, mut request: Request) -> Result<Response, OauthError> {
    let form = read_form(&mut request).await?;
    let client = authenticate_client(&ctx, &request, &form, revoke::REVOKE_SCOPE).await?;
    let token = form.get("token").ok_or(OauthError::MissingParameter("token"))?;
    if api_keys::is_well_formed(token) {
        return Err(OauthError::UnsupportedTokenType);
    }
    let request_ctx = request_context(&ctx, &request);
    revoke::revoke_for_client(&ctx, &client, token, request_ctx).await?;
    Ok(Response::empty(StatusCode::OK).no_store())
}

pub(super) const REVOKE: Endpoint = endpoint! {
    handler: revoke_token,
    metric_label: "native.revoke",
    errors: [FORBIDDEN, RATE_LIMITED],
};

/// Reads the form. A repeated parameter makes the request invalid (RFC 6749, 3.2).
async fn read_form(request: &mut Request) -> Result<FormFields, OauthError> {
    let form = request.form().await?;
    match form.repeated_name() {
        // RFC 8707, 2 permits several: then the server may refuse the target.
        Some("resource" | "audience") => Err(OauthError::SeveralTargets),
        Some(_) => Err(OauthError::RepeatedParameter),
        None => Ok(form),
    }
}

/// The value of a parameter. An empty one counts as missing (RFC 6749, 3.2).
fn given<'f>(form: &'f FormFields, name: &str) -> Option<&'f str> {
    form.get(name).filter(|value| !value.is_empty())
}

async fn authenticate_client(
    ctx: &Context,
    request: &Request,
    form: &FormFields,
    scope: &str,
) -> Result<Caller, OauthError> {
    let key = client_key(request, form).ok_or(Error::MissingCredentials)?;
    let caller = authenticate(ctx, Some(&key)).await?;
    caller.require_scope(scope)?;
    Ok(caller)
}

/// The client's API key: the Basic password, `client_secret`, `x-api-key` or the bearer token.
fn client_key(request: &Request, form: &FormFields) -> Option<String> {
    let key = basic_password(request)
        .or_else(|| given(form, "client_secret").map(str::to_owned))
        .or_else(|| request.header("x-api-key").map(str::to_owned));
    key.map(|key| api_key_or_empty(&key).to_owned()).or_else(|| request.bearer().map(str::to_owned))
}

/// The password of Basic authentication (RFC 6749, 2.3.1): id and secret are form-encoded first. Clients that skip this
/// step, as curl does, send the same: an API key has no character that it changes, and the id says nothing.
fn basic_password(request: &Request) -> Option<String> {
    let (scheme, value) = request.header(AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    FormFields::decode(password)
}
