//! A verified token, with typed access to its claims, and what a service expects of a token.
//!
//! A verified token is kept in a cache and shared, so it holds everything that its next use needs, and reading it
//! allocates nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::claims::{Claims, Text, Validity};
use crate::error::TokenError;
use crate::keys::PublicKey;
use crate::revocations::TokenIds;
use crate::scopes::ScopeSet;
use crate::time::UnixTime;
use crate::token::UnverifiedToken;

/// The tolerated clock difference for `exp` and `nbf`, unless another is set: that of the server's default settings.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);

/// The expectations of a service on a token.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// `iss`.
    pub issuer: Box<str>,
    /// One of these must be in `aud`.
    pub audiences: Vec<Box<str>>,
    /// The tolerated clock difference for `exp` and `nbf`.
    pub leeway: Duration,
}

impl Expectations {
    /// Expects tokens of `issuer` for `audience`.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self { issuer: issuer.into(), audiences: vec![audience.into()], leeway: DEFAULT_LEEWAY }
    }

    /// Verifies a token: its form, key, signature and claims, in this order, so that no claim is used before the
    /// signature is verified. Does not check revocations: see [`RevocationSet`].
    ///
    /// [`RevocationSet`]: crate::revocations::RevocationSet
    pub fn verify(&self, token: &str, keys: &[Arc<PublicKey>], now: UnixTime) -> Result<VerifiedToken, TokenError> {
        let token = UnverifiedToken::parse(token)?;
        let key = token.find_key(keys)?;
        let json = token.verify(key)?;
        let verified = VerifiedToken::new(json, &self.issuer, key)?;
        if !self.audiences.iter().any(|audience| verified.is_for(audience)) {
            return Err(TokenError::WrongAudience);
        }
        verified.validity.check(now, self.leeway)?;
        Ok(verified)
    }
}

/// The kind of holder of a token. Its `sub` does not tell: that of a token of a program is the id of the API key's
/// owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user who signed in: the token belongs to a session.
    User,
    /// A program: the token was issued from an API key.
    Client,
}

/// A token with a valid signature and valid claims.
pub struct VerifiedToken {
    /// The payload as signed, followed by the texts of claims that contain escapes.
    text: Box<str>,
    payload: Span,
    subject: Span,
    session_id: Option<Span>,
    token_id: Option<Span>,
    client_id: Option<Span>,
    email: Option<Span>,
    audience: Box<[Span]>,
    scopes: ScopeSet,
    email_verified: bool,
    issued_at: Option<UnixTime>,
    auth_time: Option<UnixTime>,
    validity: Validity,
    ids: TokenIds,
    key: Arc<PublicKey>,
}

/// A part of a text. A token has at most [`MAX_LENGTH`](crate::token::MAX_LENGTH) bytes.
#[derive(Clone, Copy)]
struct Span {
    begin: u32,
    end: u32,
}

impl Span {
    fn new(begin: usize, length: usize) -> Self {
        Self { begin: begin as u32, end: (begin + length) as u32 }
    }

    fn of(self, text: &str) -> &str {
        text.get(self.begin as usize..self.end as usize).unwrap_or_default()
    }
}

/// Finds the texts of claims in the payload, and collects those that contain escapes.
struct Locator<'j> {
    json: &'j str,
    unescaped: String,
}

impl Locator<'_> {
    fn span(&mut self, text: &Text<'_>) -> Span {
        let begin = (text.as_ptr() as usize).wrapping_sub(self.json.as_ptr() as usize);
        // A borrowed text is a part of the payload; an owned one is elsewhere in memory.
        if begin.checked_add(text.len()).is_some_and(|end| end <= self.json.len()) {
            return Span::new(begin, text.len());
        }
        let begin = self.json.len() + self.unescaped.len();
        self.unescaped.push_str(text);
        Span::new(begin, text.len())
    }
}

impl VerifiedToken {
    /// Reads the payload of a token that `key` signed.
    fn new(json: String, issuer: &str, key: &Arc<PublicKey>) -> Result<Self, TokenError> {
        let claims = Claims::parse(&json, issuer)?;
        let mut locator = Locator { json: &json, unescaped: String::new() };
        let subject = locator.span(&claims.sub);
        let [session_id, token_id, client_id, email] = [&claims.sid, &claims.jti, &claims.client_id, &claims.email]
            .map(|text| text.as_ref().map(|text| locator.span(text)));
        let audience = claims.aud.texts().iter().map(|text| locator.span(text)).collect();
        let unescaped = locator.unescaped;
        let scopes = ScopeSet::parse(claims.scope.as_deref().unwrap_or_default());
        let ids = TokenIds::new(&claims, key);
        let (issued_at, auth_time) = (claims.iat.map(UnixTime::from_secs), claims.auth_time.map(UnixTime::from_secs));
        let (validity, email_verified) = (claims.validity(), claims.email_verified == Some(true));
        let payload = Span::new(0, json.len());
        let mut text = json;
        if !unescaped.is_empty() {
            text.push_str(&unescaped);
        }
        Ok(Self {
            text: text.into(),
            payload,
            subject,
            session_id,
            token_id,
            client_id,
            email,
            audience,
            scopes,
            email_verified,
            issued_at,
            auth_time,
            validity,
            ids,
            key: key.clone(),
        })
    }

    fn optional(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| span.of(&self.text))
    }

    /// `sub`: the user, or the owner of the API key.
    pub fn subject(&self) -> &str {
        self.subject.of(&self.text)
    }

    /// The kind of holder that the token was issued to.
    pub fn subject_kind(&self) -> Subject {
        if self.session_id.is_some() { Subject::User } else { Subject::Client }
    }

    /// `sid`: the session. A token that was issued from an API key has none.
    pub fn session_id(&self) -> Option<&str> {
        self.optional(self.session_id)
    }

    /// `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.optional(self.token_id)
    }

    /// `client_id`.
    pub fn client_id(&self) -> Option<&str> {
        self.optional(self.client_id)
    }

    /// `email`.
    pub fn email(&self) -> Option<&str> {
        self.optional(self.email)
    }

    /// `email`, if the token says that the address is verified.
    pub fn verified_email(&self) -> Option<&str> {
        self.email().filter(|_| self.email_verified)
    }

    /// `aud`.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        self.audience.iter().map(|span| span.of(&self.text))
    }

    /// Returns true if the token is issued for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.audience().any(|own| own == audience)
    }

    /// `scope`.
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// `iat`.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// `auth_time`: when the user authenticated.
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.auth_time
    }

    /// `exp`.
    pub fn expires_at(&self) -> UnixTime {
        self.validity.expires_at
    }

    /// The period in which the token is valid. Must be checked again each time the token is used.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }

    /// The ids by which the token can be revoked.
    pub fn ids(&self) -> &TokenIds {
        &self.ids
    }

    /// The key that signed it.
    pub fn key(&self) -> &Arc<PublicKey> {
        &self.key
    }

    /// The payload as signed: a JSON object.
    pub fn payload(&self) -> &str {
        self.payload.of(&self.text)
    }

    /// Deserializes the payload, for claims without a function of their own.
    pub fn deserialize<'t, T: Deserialize<'t>>(&'t self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload())
    }
}

impl std::fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("subject", &self.subject())
            .field("session_id", &self.session_id())
            .field("token_id", &self.token_id())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
