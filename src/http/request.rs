//! A request as handlers get it; its body is read within limits. Knows nothing of what the fields mean.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Method, Version, request::Parts};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::body::BodyHandle;
use super::client_ip::{self, TrustedProxies};
use super::form_fields::{FormFields, InvalidFields};
use super::host::HostValidator;
use super::limits::RequestLimits;
use super::rare_fields::is_sent;
use super::rejection::{ParamLocation, Rejection};
use super::request_id::{RequestId, RequestIdGenerator};
use super::{json, multipart};

/// Turns hyper's requests into requests for handlers; one per worker.
pub struct RequestFactory {
    limits: RequestLimits,
    proxies: TrustedProxies,
    ids: RequestIdGenerator,
    hosts: HostValidator,
}

impl RequestFactory {
    /// Creates a factory with the limits and trusted proxies that its requests get.
    pub fn new(limits: RequestLimits, proxies: TrustedProxies, ids: RequestIdGenerator) -> Self {
        Self { limits, proxies, ids, hosts: HostValidator::default() }
    }

    /// Creates the request for a handler.
    pub fn create(&self, request: http::Request<Incoming>, peer: SocketAddr) -> Request {
        let (head, body) = request.into_parts();
        Request(Box::new(Inner {
            id: self.ids.assign(&head.headers),
            client_ip: self.proxies.client_ip(peer, &head.headers),
            has_valid_host: self.hosts.is_valid(head.version, &head.headers),
            params: Vec::new(),
            limits: self.limits,
            max_body: self.limits.max_body,
            head,
            body: BodyHandle::new(body),
        }))
    }
}

/// A request. Boxed, because it is moved half a dozen times before its handler reads it.
pub struct Request(Box<Inner>);

struct Inner {
    head: Parts,
    body: BodyHandle,
    params: Vec<(String, String)>,
    id: RequestId,
    client_ip: IpAddr,
    has_valid_host: bool,
    limits: RequestLimits,
    /// Largest body of this request; a handler may raise it above the usual limit.
    max_body: usize,
}

impl Request {
    /// The method; stays HEAD when a GET handler answers a HEAD request.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// The HTTP version.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The path as sent, percent-encoded.
    pub fn path(&self) -> &str {
        self.0.head.uri.path()
    }

    /// All header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.head.headers
    }

    /// A header field's value; `None` if the field is absent, repeated, or not visible ASCII.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let mut all = self.0.head.headers.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    }

    /// The host, and the port if it is named, to which the request was sent: HTTP/2 has `:authority` in place of `Host`.
    pub fn authority(&self) -> Option<&str> {
        self.0.head.uri.authority().map(http::uri::Authority::as_str).or_else(|| self.header(HOST))
    }

    /// The request id.
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// The client's IP address: the peer's, or the one that a trusted proxy forwards.
    pub fn client_ip(&self) -> IpAddr {
        self.0.client_ip
    }

    /// The address that rate limits count: for IPv6 the /64.
    pub fn rate_limit_ip(&self) -> IpAddr {
        client_ip::rate_limit_ip(self.0.client_ip)
    }

    /// The `User-Agent` field.
    pub fn user_agent(&self) -> Option<&str> {
        self.header(USER_AGENT)
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme's case does not matter: RFC 9110, 11.1).
    ///
    /// Two `Authorization` fields count as none: a proxy may have checked the other one.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION)?.split_once(' ')?;
        let token = token.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// `If-None-Match` matches this `ETag`, so the client has the content (RFC 9110, 13.1.2: a weak comparison).
    pub fn matches_etag(&self, etag: &str) -> bool {
        let matches = |tag: &str| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*";
        is_sent(self.headers(), &IF_NONE_MATCH)
            && self.header(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(matches))
    }

    /// A path parameter, decoded, but a tail as sent. Every parameter of the route is present and not empty, except a
    /// tail at the route's own path; otherwise an empty result means a misspelt name.
    pub fn param(&self, name: &str) -> &str {
        self.0.params.iter().find(|(param, _)| param == name).map_or("", |(_, value)| value)
    }

    /// Sets the path parameters.
    pub(super) fn set_params(&mut self, params: Vec<(String, String)>) {
        self.0.params = params;
    }

    /// The query, decoded.
    ///
    /// # Errors
    /// [`Rejection::InvalidFields`] if it is not UTF-8 once decoded, or has more parameters than a form may have
    /// fields.
    pub fn query(&self) -> Result<FormFields, Rejection> {
        let query = self.0.head.uri.query().unwrap_or_default();
        FormFields::parse_urlencoded(query.as_bytes(), ParamLocation::Query).map_err(InvalidFields::in_query)
    }

    /// Raises the body limit of this request, for calls that document a larger one.
    pub fn raise_body_limit(&mut self, bytes: usize) {
        self.0.max_body = self.0.max_body.max(bytes);
    }

    /// The raw body, whatever its media type. A second call returns an empty body.
    ///
    /// # Errors
    /// [`Rejection::BodyTooLarge`], [`Rejection::BodyTimeout`], [`Rejection::Overloaded`],
    /// [`Rejection::MalformedBody`].
    pub async fn bytes(&mut self) -> Result<Bytes, Rejection> {
        self.0.body.read(self.0.max_body, &self.0.limits).await
    }

    /// The body of a request with a JSON media type, for handlers that borrow from it with [`json::parse`].
    ///
    /// # Errors
    /// [`Rejection::UnsupportedMediaType`] and those of [`Request::bytes`].
    pub async fn json_bytes(&mut self) -> Result<Bytes, Rejection> {
        match self.header(CONTENT_TYPE) {
            Some(media_type) if json::is_json_media_type(media_type) => self.bytes().await,
            // An empty body gives an error about missing fields, which helps more than one about the media type.
            None if self.has_no_content() => Ok(Bytes::new()),
            _ => Err(Rejection::UnsupportedMediaType),
        }
    }

    /// The body, parsed as JSON into a `T`. Unknown fields are ignored; if a field is repeated, the last value counts.
    ///
    /// # Errors
    /// [`Rejection::InvalidFields`] with every field error that was found, and those of [`Request::json_bytes`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Rejection> {
        json::parse(&self.json_bytes().await?)
    }

    /// The text fields of a form, urlencoded or multipart. Files are skipped.
    ///
    /// # Errors
    /// [`Rejection::UnsupportedMediaType`] and those of [`Request::bytes`].
    pub async fn form(&mut self) -> Result<FormFields, Rejection> {
        let media_type = match self.header(CONTENT_TYPE) {
            Some(media_type) => media_type.to_owned(),
            None if self.has_no_content() => return Ok(FormFields::default()),
            None => return Err(Rejection::UnsupportedMediaType),
        };
        let essence = json::media_type_essence(&media_type);
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            FormFields::parse_urlencoded(&self.bytes().await?, ParamLocation::Body).map_err(InvalidFields::in_body)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = multipart::boundary(&media_type).ok_or(Rejection::UnsupportedMediaType)?;
            multipart::parse(&self.bytes().await?, &boundary)
        } else {
            Err(Rejection::UnsupportedMediaType)
        }
    }

    /// Neither a body nor a media type was sent.
    fn has_no_content(&self) -> bool {
        !self.0.head.headers.contains_key(CONTENT_TYPE) && self.0.body.is_empty()
    }

    /// The state of the body, which decides whether the connection can be used again.
    pub(super) fn body_handle(&self) -> BodyHandle {
        self.0.body.clone()
    }

    /// The `Host` field satisfies RFC 9112, 3.2.
    pub(super) fn has_valid_host(&self) -> bool {
        self.0.has_valid_host
    }

    pub(super) fn limits(&self) -> &RequestLimits {
        &self.0.limits
    }
}

impl std::fmt::Debug for Request {
    /// Leaves out header fields and query, which can contain tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} {} {})", self.0.id, self.0.head.method, self.0.head.uri.path())
    }
}

/// Decodes a path parameter; `None` if it is not UTF-8 after decoding.
///
/// Called after the path was split into segments, so that `%2f` never becomes a separator.
pub(super) fn decode_segment(raw: &str) -> Option<String> {
    percent_decode_str(raw).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
