//! The session of the pages: the refresh token in a cookie that scripts cannot read, the access token in the response.
//!
//! Not part of the published API, so the OpenAPI document leaves these calls out. The browser sends the cookie by itself,
//! so each call demands proof that a page of this origin made the request; `SameSite=Strict` alone lets in pages of
//! other ports and of sibling domains. A response never contains the refresh token.

use http::header::{COOKIE, ORIGIN, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::me::replace_password;
use super::problem::{Problem, cross_origin};
use super::{request_context, sessions};
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::refresh::refresh;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::magic_link::redeem_with_code;
use crate::auth::tokens::revoke::sign_out_token;
use crate::config::Config;
use crate::http::{FieldError, IntoResponse, ParamLocation, Rejection, Request, Response, RouteGroup};

/// The path at which pages open, refresh and end their session.
const PATH: &str = "/account/session";

/// The name of the cookie over TLS. Browsers accept the prefix `__Host-` only from this host itself, over TLS and for all
/// paths (RFC 6265bis, 4.1.3.2), so no sibling domain can plant one.
const COOKIE_NAME: &str = "__Host-signet";

/// The name over plain http, where browsers refuse the prefix.
const PLAIN_COOKIE_NAME: &str = "signet";

pub(super) fn add_routes(group: RouteGroup<'_, Context>) {
    group
        .post(PATH, "pages.sign-in", open_session)
        .delete(PATH, "pages.sign-out", end_session)
        .post(&format!("{PATH}/refresh"), "pages.refresh", refresh_session)
        .on(Method::PUT, &format!("{PATH}/password"), "pages.change-password", change_password);
}

/// A sign-in: `email` or `username` with `password`; `email` with `code`; `token` with `device_secret`.
#[derive(Deserialize)]
struct SignIn {
    email: Option<String>,
    username: Option<String>,
    password: Option<Password>,
    /// A mailed code.
    code: Option<String>,
    /// The token of a magic link.
    token: Option<String>,
    device_secret: Option<String>,
    mfa_code: Option<String>,
}

/// The part of a session that scripts get.
#[derive(Serialize)]
struct AccessToken<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
}

async fn open_session(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    if !is_same_origin(&request) {
        return Ok(cross_origin());
    }
    let body: SignIn = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let pair = sign_in(&ctx, body, request_ctx).await?;
    Ok(session_response(&ctx, &pair, StatusCode::CREATED))
}

async fn sign_in(ctx: &Context, body: SignIn, request_ctx: RequestContext<'_>) -> Result<TokenPair, Problem> {
    let SignIn { email, username, password, code, token, device_secret, mfa_code } = body;
    let Some(token) = token else {
        let body = sessions::SignIn { email, username, password, code, mfa_code, resource: None };
        return Ok(body.sign_in(ctx, request_ctx).await?);
    };
    let missing = || Rejection::field(FieldError::missing(ParamLocation::Body, "device_secret"));
    let device_secret = device_secret.ok_or_else(missing)?;
    Ok(redeem_with_code(ctx, &token, &device_secret, mfa_code.as_deref(), request_ctx).await?)
}

/// 204 without a cookie: a page sends this request before it knows if anybody is signed in, so it is no error.
async fn refresh_session(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    if !is_same_origin(&request) {
        return Ok(cross_origin());
    }
    // Only JSON: a form of another page cannot send it.
    request.json_bytes().await?;
    let Some(token) = cookie(&ctx.node.config, &request) else {
        return Ok(Response::empty(StatusCode::NO_CONTENT).no_store());
    };
    let request_ctx = request_context(&ctx, &request);
    match refresh(&ctx, token, None, request_ctx).await {
        Ok(pair) => Ok(session_response(&ctx, &pair, StatusCode::CREATED)),
        Err(error @ (Error::InvalidRefreshToken | Error::RefreshTokenReused)) => {
            Ok(without_cookie(&ctx.node.config, Problem::from(error).into_response()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Changes the password as `PUT /me/password` does. The cookie gets the refresh token of the session that replaces the
/// page's.
async fn change_password(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    if !is_same_origin(&request) {
        return Ok(cross_origin());
    }
    let pair = replace_password(&ctx, &mut request).await?;
    Ok(session_response(&ctx, &pair, StatusCode::OK))
}

async fn end_session(ctx: Context, request: Request) -> Result<Response, Problem> {
    if !is_same_origin(&request) {
        return Ok(cross_origin());
    }
    if let Some(token) = cookie(&ctx.node.config, &request) {
        let request_ctx = request_context(&ctx, &request);
        sign_out_token(&ctx, token, Origin::request(request_ctx)).await?;
    }
    Ok(without_cookie(&ctx.node.config, Response::empty(StatusCode::NO_CONTENT).no_store()))
}

/// True if a page of this origin made the request. Browsers say so in `Sec-Fetch-Site` (Fetch Metadata), which scripts
/// cannot set. Some browsers do not send it, and none does over plain http to other hosts; these send `Origin`. A
/// request with neither field is not from a page. It is allowed without a cookie, because then it uses no user's
/// session.
fn is_same_origin(request: &Request) -> bool {
    match (request.header("sec-fetch-site"), request.header(ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == request.authority()
        }
        (None, None) => !request.headers().contains_key(COOKIE),
    }
}

fn is_tls(config: &Config) -> bool {
    config.server.public_url.starts_with("https://")
}

fn cookie_name(config: &Config) -> &'static str {
    if is_tls(config) { COOKIE_NAME } else { PLAIN_COOKIE_NAME }
}

/// The refresh token in the cookie. None if the cookie occurs twice: over plain http, another service on the same host may
/// have planted one of them.
fn cookie<'a>(config: &Config, request: &'a Request) -> Option<&'a str> {
    let name = cookie_name(config);
    // HTTP/2 allows a field for each cookie (RFC 9113, 8.2.3).
    let fields = request.headers().get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(each, _)| *each == name).map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then_some(first).filter(|value| !value.is_empty())
}

fn session_response(ctx: &Context, pair: &TokenPair, status: StatusCode) -> Response {
    let seconds = pair.refresh_expires_in(ctx.now());
    let body = AccessToken {
        access_token: &pair.access_token,
        token_type: "Bearer",
        expires_in: pair.access_expires_in.as_secs(),
    };
    with_cookie(&ctx.node.config, Response::json(status, &body).no_store(), &pair.refresh_token, seconds)
}

fn without_cookie(config: &Config, response: Response) -> Response {
    with_cookie(config, response, "", 0)
}

fn with_cookie(config: &Config, response: Response, value: &str, seconds: u64) -> Response {
    let name = cookie_name(config);
    let secure = if is_tls(config) { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}");
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => response.header(SET_COOKIE, cookie),
        Err(_) => response,
    }
}
