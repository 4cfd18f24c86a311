//! What goes in and out in other ways than by serde, as the document shows it: forms, which are read field by field, and answers
//! of the hot path, which are written by hand. Nothing makes one of these.

#![allow(dead_code, reason = "for the document alone")]

use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A set of public keys (RFC 7517).
#[derive(ToSchema)]
pub(super) struct Jwks {
    keys: Vec<Jwk>,
}

/// A public key (RFC 8037).
#[derive(ToSchema)]
#[schema(examples(json!({
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "use": "sig",
    "alg": "EdDSA",
})))]
struct Jwk {
    #[schema(pattern = "^OKP$")]
    kty: String,
    #[schema(pattern = "^Ed25519$")]
    crv: String,
    /// The public key, 32 bytes in base64url.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    x: String,
    /// By this name a token's header says which key signed it.
    kid: String,
    #[schema(pattern = "^sig$")]
    r#use: String,
    /// The two names of the one algorithm; by setting.
    #[schema(pattern = "^(EdDSA|Ed25519)$")]
    alg: String,
}

/// A credential that is good.
#[derive(ToSchema)]
pub(super) struct Active {
    #[schema(schema_with = always_true)]
    active: bool,
    claims: Claims,
}

fn always_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

fn always_false() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([false])).build()
}

/// What a token says, as it was signed; of an API key the same in the same words.
#[derive(ToSchema)]
#[schema(examples(json!({
    "iss": "https://id.example.org",
    "sub": "019a8b1c-0000-7abc-9def-0123456789ab",
    "aud": "signet",
    "iat": 1_763_130_320,
    "exp": 1_763_131_220,
    "jti": "019a8b1c-2d3e-7f41-8a1b-2c3d4e5f6071",
    "sid": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "email": "zoe@example.org",
    "email_verified": true,
})))]
pub(super) struct Claims {
    /// Who made it. API keys have none.
    #[schema(required = false)]
    iss: String,
    /// Whose it is: the user's id.
    sub: String,
    /// The token's name. API keys have none.
    #[schema(required = false)]
    jti: String,
    /// The session it was made in.
    #[schema(required = false)]
    sid: String,
    /// The API key it was made from, or is.
    #[schema(required = false)]
    client_id: String,
    /// When it was made, in seconds since 1970.
    iat: i64,
    /// When it is over.
    #[schema(required = false)]
    exp: i64,
    #[schema(required = false)]
    email: String,
    /// Scopes, separated by spaces.
    #[schema(required = false)]
    scope: String,
}

/// A credential that is not good.
#[derive(ToSchema)]
#[schema(examples(json!({"active": false, "reason": "expired"})))]
pub(super) struct Inactive {
    #[schema(schema_with = always_false)]
    active: bool,
    reason: Why,
}

/// Why a credential is not good.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Why {
    Malformed,
    WrongType,
    UnknownKey,
    RevokedKey,
    BadSignature,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,
    Revoked,
    InsufficientScope,
    UnknownApiKey,
}

/// What `/verify` says of one credential.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Verdict {
    Active(Active),
    Inactive(Inactive),
}

/// What was found, in the order in which it was asked for.
#[derive(ToSchema)]
pub(super) struct Verdicts {
    #[schema(max_items = 1024)]
    results: Vec<Verdict>,
}

/// Which session is left alone.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Spared {
    Current,
}

/// How tokens are had.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Grant {
    RefreshToken,
    ClientCredentials,
}

/// A request for tokens (RFC 6749, 6 and 4.4).
#[derive(ToSchema)]
#[schema(examples(json!({"grant_type": "refresh_token", "refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct TokenForm {
    #[schema(inline)]
    grant_type: Grant,
    /// With `refresh_token`: the token.
    #[schema(required = false)]
    refresh_token: String,
    /// With `client_credentials`: the scopes that are asked for, separated by spaces; all that the key has if it is left out.
    #[schema(required = false)]
    scope: String,
    /// With `client_credentials`: the API key, unless it comes in a header field.
    #[schema(required = false)]
    client_secret: String,
}

/// A token to be looked at or revoked, and who asks.
#[derive(ToSchema)]
#[schema(examples(json!({"token": "AQGaLgDLJ3K0nV3", "client_secret": "sk_Zx81cW0pQr7L_mB5…"})))]
pub(super) struct OneTokenForm {
    token: String,
    /// The API key, unless it comes in a header field.
    #[schema(required = false)]
    client_secret: String,
}

/// A token made from an API key.
#[derive(ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "token_type": "Bearer",
    "expires_in": 900,
    "scope": "introspect revoke",
})))]
pub(super) struct Exchanged {
    access_token: String,
    #[schema(pattern = "^Bearer$")]
    token_type: String,
    expires_in: u64,
    /// What it may be used for.
    scope: String,
}

/// What the token endpoint gives, by grant.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Granted {
    Tokens(super::sessions::Tokens<'static>),
    Exchanged(Exchanged),
}

/// What a token is worth (RFC 7662): its claims, if it is worth anything.
#[derive(ToSchema)]
#[schema(examples(json!({"active": false}), json!({
    "active": true,
    "token_type": "refresh_token",
    "sub": "019a8b1c-0000-7abc-9def-0123456789ab",
    "sid": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "iat": 1_763_130_320,
    "exp": 1_765_722_320,
    "iss": "https://id.example.org",
})))]
pub(super) struct Introspection {
    active: bool,
    /// `Bearer`, `refresh_token` or `api_key`.
    #[schema(required = false)]
    token_type: String,
    #[schema(required = false)]
    sub: String,
    #[schema(required = false)]
    sid: String,
    #[schema(required = false)]
    iat: i64,
    #[schema(required = false)]
    exp: i64,
    #[schema(required = false)]
    iss: String,
    #[schema(required = false)]
    scope: String,
}
