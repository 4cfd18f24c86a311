//! What many calls take and give: tokens, claims, messages, names, roles.

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::api::fastapi::{Text, both, weak_password};
use crate::api::users_me::{PLAIN_ROLE, UserRead};
use crate::auth::context::Context;
use crate::auth::mfa::LoginStep;
use crate::auth::passwords::{Password, Policy};
use crate::auth::sessions::open::TokenPair;
use crate::auth::{Error, User};
use crate::http::{Rejection, Request, Response, json};

/// How many roles one may have: tokens say them all.
const MOST_ROLES: usize = 32;

/// The tokens of a sign-in, or, where a second factor is due, the token of the second step alone.
#[derive(Serialize, ToSchema)]
#[schema(examples(
    json!({"access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…", "refresh_token": "AQGaLgDLJ3K0nV3…",
        "token_type": "bearer"}),
    json!({"access_token": "eyJ0eXAiOiJzaWduZXQtc2Vjb25kLWZhY3Rvcitqd3QiLCJhbGci…", "refresh_token": null,
        "token_type": "bearer"}),
))]
pub(super) struct Token<'a> {
    /// Where `refresh_token` is null its payload says `totp: true`, and it is good for `/login/totp` alone.
    access_token: &'a str,
    refresh_token: Option<&'a str>,
    #[schema(pattern = "^bearer$")]
    token_type: &'static str,
}

/// One half of what was mailed, or a code.
#[derive(Serialize, serde::Deserialize, ToSchema)]
#[schema(examples(json!({"claim": "kU0v1hYt0GZ4bQ9sXwJmT3rLq2A"})))]
pub(super) struct WebToken {
    pub(super) claim: String,
}

/// It is done.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"msg": "Token revoked successfully."})))]
pub(super) struct Msg {
    msg: &'static str,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Detail<'a> {
    detail: &'a str,
}

/// What roles a user is to have who has these: all that are given, or the one.
pub(super) fn roles(role_now: &str, role: Option<Role>, roles: Option<Roles>) -> Option<Vec<String>> {
    match (roles, role) {
        (Some(Roles(roles)), _) => Some(roles),
        (None, Some(Text(role))) if role == role_now => None,
        (None, Some(Text(role))) if role == PLAIN_ROLE => Some(Vec::new()),
        (None, Some(Text(role))) => Some(vec![role]),
        (None, None) => None,
    }
}

/// A person's name.
pub(super) type FullName = Text<0, 255>;

/// A role's name.
pub(super) type Role = Text<1, 64>;

/// Roles, each once.
#[derive(Clone, Debug)]
pub(super) struct Roles(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = Vec::<Role>::deserialize(from)?;
        if given.len() > MOST_ROLES {
            return Err(de::Error::custom(format!("there are more than {MOST_ROLES} roles")));
        }
        let mut roles = Vec::new();
        for Text(role) in given {
            if role != PLAIN_ROLE && !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(Self(roles))
    }
}

/// A body in which a new password is chosen, if it has all that `T` asks for: what is wrong with the password is said with what is
/// wrong with the rest.
pub(super) async fn with_password<T: DeserializeOwned>(
    ctx: &Context,
    request: &mut Request,
    field: &'static str,
) -> Result<T, Rejection> {
    #[derive(serde::Deserialize)]
    struct Chosen {
        #[serde(alias = "new_password")]
        password: Option<Password>,
    }
    let body = request.json_bytes().await?;
    let config = &ctx.node.config;
    let chosen = json::read::<Chosen>(&body).ok().and_then(|chosen| chosen.password);
    let judged = chosen.map_or(Ok(()), |password| Policy::of(&config.api.myauth, &config.passwords).check(&password));
    let judged = judged.map_err(|weak| Rejection::field(weak_password(field, weak)));
    both(json::read(&body), judged).map(|(read, ())| read)
}

/// What comes as `Authorization: Bearer …`.
pub(super) fn bearer(request: &Request) -> Result<&str, Error> {
    request.bearer().ok_or(Error::NoCredentials)
}

pub(super) fn said(msg: &'static str) -> Response {
    Response::json(http::StatusCode::OK, &Msg { msg })
}

pub(super) fn shown(user: &User) -> Response {
    Response::json(http::StatusCode::OK, &UserRead::of(user)).no_store()
}

pub(super) fn claim(claim: String) -> Response {
    Response::json(http::StatusCode::OK, &WebToken { claim }).no_store()
}

pub(super) fn tokens(pair: &TokenPair) -> Response {
    granted(&pair.access, Some(&pair.refresh))
}

pub(super) fn entered(entry: &LoginStep) -> Response {
    match entry {
        LoginStep::In(pair) => tokens(pair),
        LoginStep::Due(token) => granted(token, None),
    }
}

fn granted(access_token: &str, refresh_token: Option<&str>) -> Response {
    let token = Token { access_token, refresh_token, token_type: "bearer" };
    Response::json(http::StatusCode::OK, &token).no_store()
}
