//! A request as a handler gets it, and what reads its body in bounds. Knows nothing of what the fields mean.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Method, Version, request::Parts};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::host::Hosts;
use super::rejection::{FieldError, FieldErrorKind, ParamLocation, Rejection};
use crate::http::form_fields::FormFields;
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::{Proxies, body, body_budget, client, json, multipart};

/// How much of a request is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How large a body may be.
    pub max_body: usize,
    /// How many bytes are held, by worker, of what is larger, and as many of smaller bodies that come in pieces.
    pub max_held: usize,
    /// In what time a body must have arrived.
    pub body_timeout: Duration,
    /// In what time the answer must be ready.
    pub request_timeout: Duration,
}

/// What turns a request off the wire into one for a handler: one of these a worker.
pub struct Intake {
    bounds: Bounds,
    proxies: Proxies,
    ids: RequestIds,
    hosts: Hosts,
}

impl Intake {
    /// Reads requests in these bounds, believing these proxies.
    pub fn new(bounds: Bounds, proxies: Proxies, ids: RequestIds) -> Self {
        Self { bounds, proxies, ids, hosts: Hosts::default() }
    }

    /// The request for a handler.
    pub fn admit(&self, request: http::Request<Incoming>, peer: SocketAddr) -> Request {
        let (head, body) = request.into_parts();
        Request(Box::new(Arrived {
            id: self.ids.of(&head.headers),
            client: self.proxies.client(peer, &head.headers),
            names_host: self.hosts.is_named(head.version, &head.headers),
            params: Vec::new(),
            bounds: self.bounds,
            may_have: self.bounds.max_body,
            head,
            body: body::BodyHandle::of(body),
        }))
    }
}

/// A request. In a box, since it is handed on half a dozen times before anybody reads it.
pub struct Request(Box<Arrived>);

struct Arrived {
    head: Parts,
    body: body::BodyHandle,
    params: Vec<(String, String)>,
    id: RequestId,
    client: IpAddr,
    names_host: bool,
    bounds: Bounds,
    /// How large its body may be.
    may_have: usize,
}

impl Request {
    /// The method; HEAD stays HEAD where a GET handler answers it.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The path as it was sent, percent-encoded.
    pub fn path(&self) -> &str {
        self.0.head.uri.path()
    }

    /// All header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.head.headers
    }

    /// A header field's value, where it is there once and is text.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let mut all = self.0.head.headers.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    }

    /// The name this request goes by.
    pub fn id(&self) -> &RequestId {
        &self.0.id
    }

    /// Whose request it is: the peer, or whom a trusted proxy speaks for.
    pub fn client(&self) -> IpAddr {
        self.0.client
    }

    /// The address by which this client is counted: IPv6 by its /64.
    pub fn counted_by(&self) -> IpAddr {
        client::counted_by(self.0.client)
    }

    /// What the client calls itself.
    pub fn agent(&self) -> Option<&str> {
        self.header(USER_AGENT)
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme's case does not matter: RFC 9110, 11.1).
    ///
    /// Two `Authorization` fields are as good as none: a proxy may have checked the other.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION)?.split_once(' ')?;
        let token = token.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// Whether the client has what goes by this `ETag` already (RFC 9110, 13.1.2: a weak comparison).
    pub fn has(&self, etag: &str) -> bool {
        let is_it = |tag: &str| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*";
        self.header(IF_NONE_MATCH).is_some_and(|known| known.split(',').any(is_it))
    }

    /// A parameter of the path, decoded. A route that names it has it, so an empty one means a misspelt name.
    pub fn param(&self, name: &str) -> &str {
        self.0.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Gives it the parameters of its path.
    pub(super) fn matched(&mut self, params: Vec<(String, String)>) {
        self.0.params = params;
    }

    /// What follows `?`, decoded.
    ///
    /// # Errors
    /// [`Rejection::Fields`] if it is not UTF-8 once decoded.
    pub fn query(&self) -> Result<FormFields, Rejection> {
        let query = self.0.head.uri.query().unwrap_or_default();
        FormFields::urlencoded(query.as_bytes(), ParamLocation::Query).map_err(|_| {
            let trouble = FieldErrorKind::Invalid("is not UTF-8".into());
            Rejection::field(FieldError { place: ParamLocation::Query, path: Vec::new(), trouble })
        })
    }

    /// Lets this request have a larger body than requests usually may; for calls whose documents say so.
    pub fn allow_body(&mut self, bytes: usize) {
        self.0.may_have = self.0.may_have.max(bytes);
    }

    /// The body as it stands, whatever its media type. A second reading finds it empty.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], [`Rejection::BodyTimeout`], [`Rejection::Crowded`], [`Rejection::Unreadable`].
    pub async fn bytes(&mut self) -> Result<Bytes, Rejection> {
        self.0.body.read(self.0.may_have, &self.0.bounds).await
    }

    /// What is to be answered, where that may be larger than bodies usually are: it is held until the client takes it.
    ///
    /// # Errors
    /// [`Rejection::Crowded`].
    pub fn answering(&self, text: String) -> Result<Bytes, Rejection> {
        body_budget::keep(text, self.0.bounds.max_body, self.0.bounds.max_held)
    }

    /// The body, which must say that it is JSON; for those who read it with [`json::read`] without copying.
    ///
    /// # Errors
    /// [`Rejection::UnsupportedMediaType`] and those of [`Request::bytes`].
    pub async fn json_bytes(&mut self) -> Result<Bytes, Rejection> {
        match self.header(CONTENT_TYPE) {
            Some(media_type) if json::is_media_type(media_type) => self.bytes().await,
            // Nothing at all was sent: say what is missing, not that the nothing is of the wrong type.
            None if !self.0.head.headers.contains_key(CONTENT_TYPE) && self.0.body.is_empty() => Ok(Bytes::new()),
            _ => Err(Rejection::UnsupportedMediaType),
        }
    }

    /// The body, read as JSON into a `T`. Unknown fields are ignored; of a field that is there twice the last counts.
    ///
    /// # Errors
    /// [`Rejection::Fields`] with every fault that could be found, and those of [`Request::json_bytes`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Rejection> {
        json::read(&self.json_bytes().await?)
    }

    /// The text fields of a form, urlencoded or multipart. Files are passed over.
    ///
    /// # Errors
    /// [`Rejection::UnsupportedMediaType`] and those of [`Request::bytes`].
    pub async fn form(&mut self) -> Result<FormFields, Rejection> {
        let media_type = match self.header(CONTENT_TYPE) {
            Some(media_type) => media_type.to_owned(),
            None if !self.0.head.headers.contains_key(CONTENT_TYPE) && self.0.body.is_empty() => {
                return Ok(FormFields::default());
            }
            None => return Err(Rejection::UnsupportedMediaType),
        };
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            FormFields::urlencoded(&self.bytes().await?, ParamLocation::Body)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = multipart::boundary(&media_type).ok_or(Rejection::UnsupportedMediaType)?;
            multipart::read(&self.bytes().await?, &boundary)
        } else {
            Err(Rejection::UnsupportedMediaType)
        }
    }

    /// What is left of the body, for whoever sees to the connection.
    pub(super) fn rest(&self) -> body::BodyHandle {
        self.0.body.clone()
    }

    /// Whether it names its host as it must.
    pub(super) fn names_host(&self) -> bool {
        self.0.names_host
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.0.bounds
    }
}

impl std::fmt::Debug for Request {
    /// Without header fields and query, which may hold tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} {} {})", self.0.id, self.0.head.method, self.0.head.uri.path())
    }
}

/// Decodes a path's parameter; `None` if it is not UTF-8 once decoded.
///
/// This happens after the path was cut into segments, so that `%2f` never becomes a separator.
pub(super) fn decode_segment(raw: &str) -> Option<String> {
    percent_decode_str(raw).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
