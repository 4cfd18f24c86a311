//! The client side of a request: dialect, address, user agent, language.

use std::net::IpAddr;
use std::time::Duration;

use crate::auth::Error;
use crate::config::{self, Audience, Config};

/// Characters of the user agent that are stored, in sessions and security events.
const MAX_USER_AGENT: usize = 200;

/// A request's client, as the dialect's handler passes it to an operation.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Name of the dialect.
    pub dialect: &'static str,
    /// Settings of the dialect: token lifetimes, password policy.
    pub dialect_config: &'a config::Dialect,
    /// Address of the client, as the trusted proxies report it.
    pub client_ip: IpAddr,
    /// Address, or network of one customer, that rate limits count by.
    pub rate_limit_ip: IpAddr,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Accept-Language`: selects the language of mails.
    pub language: Option<&'a str>,
    /// Claims that the dialect adds to access tokens.
    pub extra_claims: ExtraClaims,
    /// The audience of the access token; `None`: `tokens.audience`.
    pub audience: Option<&'a Audience>,
}

/// A [`RequestContext`] that owns its texts, for work that outlives a client that disconnects.
#[derive(Clone, Debug)]
pub struct OwnedRequestContext {
    dialect: &'static str,
    client_ip: IpAddr,
    rate_limit_ip: IpAddr,
    user_agent: Option<String>,
    language: Option<String>,
    extra_claims: ExtraClaims,
}

impl OwnedRequestContext {
    /// The context, with the settings of its dialect and without an audience.
    pub fn borrow<'a>(&'a self, dialect_config: &'a config::Dialect) -> RequestContext<'a> {
        RequestContext {
            dialect: self.dialect,
            dialect_config,
            client_ip: self.client_ip,
            rate_limit_ip: self.rate_limit_ip,
            user_agent: self.user_agent.as_deref(),
            language: self.language.as_deref(),
            extra_claims: self.extra_claims,
            audience: None,
        }
    }
}

/// The client of a request: the part of a [`RequestContext`] that rate limits and log lines need. Without a lifetime,
/// so that work that outlives a client that disconnects can keep it.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// See [`RequestContext::dialect`].
    pub dialect: &'static str,
    /// See [`RequestContext::client_ip`].
    pub client_ip: IpAddr,
    /// See [`RequestContext::rate_limit_ip`].
    pub rate_limit_ip: IpAddr,
}

impl<'a> RequestContext<'a> {
    /// The same request with the audience that its `resource` names (RFC 8707).
    pub fn with_resource(self, config: &'a Config, resource: Option<&str>) -> Result<Self, Error> {
        let find =
            |name: &str| config.audiences.iter().find(|audience| audience.name == name).ok_or(Error::InvalidTarget);
        let other = resource.filter(|resource| *resource != config.tokens.audience);
        Ok(Self { audience: other.map(find).transpose()?, ..self })
    }

    /// The lifetime of an access token for the audience.
    pub fn access_lifetime(&self) -> Duration {
        let access = self.dialect_config.access;
        self.audience.map_or(access, |audience| audience.lifetime(access))
    }

    /// The context with its own texts.
    pub fn into_owned(self) -> OwnedRequestContext {
        OwnedRequestContext {
            dialect: self.dialect,
            client_ip: self.client_ip,
            rate_limit_ip: self.rate_limit_ip,
            user_agent: self.user_agent.map(str::to_owned),
            language: self.language.map(str::to_owned),
            extra_claims: self.extra_claims,
        }
    }

    /// The user agent as it is stored: truncated.
    pub fn stored_user_agent(&self) -> Option<String> {
        self.user_agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect())
    }

    /// The client of the request.
    pub fn client(&self) -> Client {
        let Self { dialect, client_ip, rate_limit_ip, .. } = *self;
        Client { dialect, client_ip, rate_limit_ip }
    }
}

/// Claims that a dialect adds to those that every access token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraClaims {
    /// None.
    None,
    /// `uid` and `token_type`, which clients of `v1` read.
    UidAndType,
}
