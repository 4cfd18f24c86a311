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
use crate::api::door;
use crate::app::App;
use crate::auth::Failure;
use crate::auth::api_key;
use crate::auth::bearer::caller;
use crate::auth::exchange::exchange;
use crate::auth::introspect::{Introspected, introspect as look};
use crate::auth::refresh::{Then, refresh};
use crate::auth::revoke::revoke as end;
use crate::auth::verify::Credential;
use crate::web::{Pairs, Request, Response};

pub(super) use error::OauthError;

pub(super) async fn token(app: App, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    let lives = &app.node.config.api.native;
    let answer = match form.get("grant_type") {
        Some("refresh_token") => {
            let token = form.get("refresh_token").ok_or(OauthError::missing("refresh_token"))?;
            let pair = refresh(&app, token, None, Then::Rotate, door(NAME, lives, &request)).await?;
            super::sessions::tokens(&pair, app.now())
        }
        Some("client_credentials") => {
            let key = client(&request, &form).ok_or(Failure::NoCredentials)?;
            let made = exchange(&app, &key, form.get("scope"), lives.access).await?;
            json!({
                "access_token": made.access,
                "token_type": "Bearer",
                "expires_in": made.lives.as_secs(),
                "scope": made.scope,
            })
        }
        Some(_) => return Err(OauthError::UnsupportedGrant),
        None => return Err(OauthError::missing("grant_type")),
    };
    Ok(Response::json(StatusCode::OK, &answer).no_store())
}

pub(super) async fn introspect(app: App, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    authenticated(&app, &request, &form, "introspect").await?;
    let token = form.get("token").ok_or(OauthError::missing("token"))?;
    let answer = match look(&app, token).await? {
        Introspected::Inactive => json!({"active": false}),
        Introspected::Credential(Credential::Token(token)) => {
            let mut claims: Value = serde_json::from_str(&token.claims).unwrap_or_else(|_| json!({}));
            claims["active"] = true.into();
            claims["token_type"] = "Bearer".into();
            claims
        }
        Introspected::Credential(Credential::ApiKey(key)) => {
            let mut claims = key_claims(&key);
            claims["active"] = true.into();
            claims
        }
        Introspected::Refresh(session) => json!({
            "active": true,
            "token_type": "refresh_token",
            "sub": session.user,
            "sid": session.id,
            "iat": session.rotated_at.secs(),
            "exp": session.expires_at().secs(),
            "iss": app.node.config.tokens.issuer,
        }),
    };
    Ok(Response::json(StatusCode::OK, &answer).no_store())
}

pub(super) async fn revoke(app: App, mut request: Request) -> Result<Response, OauthError> {
    let form = form(&mut request).await?;
    authenticated(&app, &request, &form, "revoke").await?;
    let token = form.get("token").ok_or(OauthError::missing("token"))?;
    if api_key::well_formed(token) {
        return Err(OauthError::UnsupportedToken);
    }
    end(&app, token).await?;
    Ok(Response::empty(StatusCode::OK).no_store())
}

/// RFC 6749, 3.2: a parameter that is there twice makes the request invalid.
async fn form(request: &mut Request) -> Result<Pairs, OauthError> {
    let form = request.form().await?;
    match form.repeated() {
        Some(_) => Err(OauthError::Repeated),
        None => Ok(form),
    }
}

async fn authenticated(app: &App, request: &Request, form: &Pairs, scope: &str) -> Result<(), OauthError> {
    let key = client(request, form).ok_or(Failure::NoCredentials)?;
    caller(app, Some(&key)).await?.must_have(scope)?;
    Ok(())
}

/// The client's key: as the password of Basic, in the form, as a bearer, or in a header field of its own.
fn client(request: &Request, form: &Pairs) -> Option<String> {
    basic(request)
        .or_else(|| form.get("client_secret").map(str::to_owned))
        .or_else(|| request.header("x-api-key").map(str::to_owned))
        .or_else(|| request.bearer().map(str::to_owned))
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
