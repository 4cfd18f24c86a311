//! Wire types for the OpenAPI document alone: forms, which are read field by field, and responses of the hot path,
//! which are written without serde. No code constructs them.

#![allow(dead_code, reason = "only the OpenAPI document uses these types")]

use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A set of public keys (RFC 7517).
#[derive(ToSchema)]
pub(super) struct Jwks {
    keys: Vec<Jwk>,
}

/// A public key: Ed25519 (RFC 8037), or P-256 (RFC 7518, 6.2).
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
    #[schema(pattern = "^(OKP|EC)$")]
    kty: String,
    #[schema(pattern = "^(Ed25519|P-256)$")]
    crv: String,
    /// The public key of Ed25519, or the first coordinate of that of P-256: 32 bytes in base64url.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    x: String,
    /// The second coordinate, of P-256 only.
    #[schema(required = false, nullable = false, pattern = "^[A-Za-z0-9_-]{43}$")]
    y: Option<String>,
    /// The key id, which the header of a token names.
    kid: String,
    #[schema(pattern = "^sig$")]
    r#use: String,
    /// The algorithm of the tokens that the key signs. Absent if the settings have tokens name EdDSA `Ed25519`, which
    /// some libraries do not know: they would refuse the whole key set.
    #[schema(required = false, nullable = false, pattern = "^(EdDSA|ES256)$")]
    alg: Option<String>,
}

/// A valid credential.
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

/// The claims of a token as signed, or the equivalent claims of an API key.
#[derive(ToSchema)]
#[schema(examples(json!({
    "iss": "https://id.example.org",
    "sub": "019a8b1c-0000-7abc-9def-0123456789ab",
    "aud": "signet",
    "iat": 1_763_130_320,
    "exp": 1_763_131_220,
    "jti": "019a8b1c-2d3e-7f41-8a1b-2c3d4e5f6071",
    "sid": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "auth_time": 1_763_130_300,
    "email": "zoe@example.org",
    "email_verified": true,
})))]
pub(super) struct Claims {
    /// The issuer; absent for API keys.
    #[schema(required = false)]
    iss: String,
    /// The user's id; for API keys and tokens issued to them, the id of the key's owner.
    sub: String,
    /// The token's id; absent for API keys.
    #[schema(required = false)]
    jti: String,
    /// The session of the token. Every token of a user who signed in has one, and no other credential has.
    #[schema(required = false)]
    sid: String,
    /// The id of the API key, for API keys and tokens issued to them. Tells them from the tokens of users who signed
    /// in.
    #[schema(required = false)]
    client_id: String,
    /// In tokens from a token exchange: the API key that asked for it, as `sub`, and in `act` the one before it.
    #[schema(required = false, value_type = Object)]
    act: (),
    /// When the user signed in, in seconds since 1970; only in tokens of a session.
    #[schema(required = false)]
    auth_time: i64,
    /// The time of issue, in seconds since 1970.
    iat: i64,
    /// The time of expiry, in seconds since 1970.
    #[schema(required = false)]
    exp: i64,
    #[schema(required = false)]
    email: String,
    /// Scopes, separated by spaces.
    #[schema(required = false)]
    scope: String,
}

/// An invalid credential.
#[derive(ToSchema)]
#[schema(examples(json!({"active": false, "reason": "expired"})))]
pub(super) struct Inactive {
    #[schema(schema_with = always_false)]
    active: bool,
    reason: InvalidReason,
}

/// The reason why a credential is invalid.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum InvalidReason {
    Malformed,
    WrongType,
    UnknownKey,
    RevokedKey,
    BadSignature,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongAudience,
    WrongSubject,
    Revoked,
    InsufficientScope,
    UnknownApiKey,
}

/// The holder that a credential must have: `user` for a user who signed in, `client` for an API key or a token that
/// was issued from one.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum RequiredSubject {
    User,
    Client,
}

/// The result for one credential.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum VerifyResult {
    Active(Active),
    Inactive(Inactive),
}

/// The results, in the order of the request.
#[derive(ToSchema)]
pub(super) struct VerifyBatchResult {
    #[schema(max_items = 1024)]
    results: Vec<VerifyResult>,
}

/// The grant type.
#[derive(ToSchema)]
enum GrantType {
    #[schema(rename = "refresh_token")]
    RefreshToken,
    #[schema(rename = "client_credentials")]
    ClientCredentials,
    #[schema(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

/// A token type of RFC 8693. An access token is a JWT, so both mean the same.
#[derive(ToSchema)]
enum TokenType {
    #[schema(rename = "urn:ietf:params:oauth:token-type:access_token")]
    AccessToken,
    #[schema(rename = "urn:ietf:params:oauth:token-type:jwt")]
    Jwt,
}

/// A token request (RFC 6749, 6 and 4.4; RFC 8693).
#[derive(ToSchema)]
#[schema(examples(json!({"grant_type": "refresh_token", "refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct TokenRequest {
    #[schema(inline)]
    grant_type: GrantType,
    /// For `refresh_token`: the refresh token.
    #[schema(required = false)]
    refresh_token: String,
    /// The name or URL of the audience of the access token. By default `tokens.audience`; in a token exchange that of
    /// the subject token.
    #[schema(required = false)]
    resource: String,
    /// The requested scopes, separated by spaces. For `client_credentials`, by default all that the API key has and the
    /// audience allows. In a token exchange, by default those of the subject token that the audience allows; for a
    /// subject token without `scope`, a client can ask for scopes that its API key has.
    #[schema(required = false)]
    scope: String,
    /// For `client_credentials` and token exchange: the API key, unless a header field has it.
    #[schema(required = false)]
    client_secret: String,
    /// For token exchange: the access token of a user.
    #[schema(required = false)]
    subject_token: String,
    /// For token exchange: the type of the subject token.
    #[schema(required = false, inline)]
    subject_token_type: TokenType,
    /// For token exchange: the type of the new token.
    #[schema(required = false, inline)]
    requested_token_type: TokenType,
    /// For token exchange: the same as `resource`.
    #[schema(required = false)]
    audience: String,
}

/// The token to introspect, and the client's API key.
#[derive(ToSchema)]
#[schema(examples(json!({"token": "eyJhbGciOiJFZERTQSJ9…", "client_secret": "sk_Zx81cW0pQr7L_mB5…"})))]
pub(super) struct IntrospectionRequest {
    token: String,
    /// `refresh_token` to introspect a refresh token, which is inactive otherwise. Any other hint is ignored.
    #[schema(required = false)]
    token_type_hint: String,
    /// The audience that an access token must have to be active.
    #[schema(required = false)]
    aud: String,
    /// The API key, unless a header field has it.
    #[schema(required = false)]
    client_secret: String,
}

/// The token to revoke, and the client's API key.
#[derive(ToSchema)]
#[schema(examples(json!({"token": "AQGaLgDLJ3K0nV3", "client_secret": "sk_Zx81cW0pQr7L_mB5…"})))]
pub(super) struct RevocationRequest {
    token: String,
    /// The API key, unless a header field has it.
    #[schema(required = false)]
    client_secret: String,
}

/// An access token issued to an API key.
#[derive(ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "token_type": "Bearer",
    "expires_in": 900,
    "scope": "introspect revoke",
})))]
pub(super) struct ClientCredentialsToken {
    access_token: String,
    #[schema(pattern = "^Bearer$")]
    token_type: String,
    expires_in: u64,
    /// The scopes of the token, separated by spaces.
    scope: String,
}

/// An access token for another audience (RFC 8693, 2.2.1).
#[derive(ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "orders:read",
})))]
pub(super) struct ExchangedToken {
    access_token: String,
    issued_token_type: String,
    #[schema(pattern = "^Bearer$")]
    token_type: String,
    expires_in: u64,
    /// The scopes of the token, separated by spaces. Absent if the token has no `scope`.
    #[schema(required = false)]
    scope: String,
}

/// The token response, by grant type.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum TokenResponse {
    Tokens(super::sessions::Tokens<'static>),
    ClientCredentials(ClientCredentialsToken),
    TokenExchange(ExchangedToken),
}

/// An introspection response (RFC 7662); it has claims if the token is active.
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
