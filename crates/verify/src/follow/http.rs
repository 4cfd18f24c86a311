//! The HTTP client of a follower: bounded responses, deadlines, `https` or this machine only. Knows nothing of what the
//! documents contain.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::error::{BuildError, FollowError};
use super::gzip::Gunzip;

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A pause that a server asks for is not longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("signet-verify/", env!("CARGO_PKG_VERSION"));

/// A client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    hyper: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A response with status 200, whose body is not read yet.
pub(super) struct Response {
    url: Url,
    body: Incoming,
    gunzip: Option<Gunzip>,
}

/// Returns true for `https`, and for `http` to this machine.
pub(super) fn is_allowed(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_local))
}

impl Client {
    /// A client that trusts the certificates of the system.
    pub(super) fn new() -> Result<Self, BuildError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let provider = rustls::crypto::aws_lc_rs::default_provider;
        let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider()) {
            Ok(builder) => builder,
            // A system without certificates cannot use `https`, which the first request will show; it may not need to.
            Err(_) => {
                let builder = ClientConfig::builder_with_provider(provider().into());
                let builder = builder.with_safe_default_protocol_versions().map_err(|_| BuildError::NoTls)?;
                let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        let connector = builder.https_or_http().enable_http1().enable_http2().wrap_connector(connector);
        let hyper = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Self { hyper })
    }

    /// `GET`, past all caches if `fresh` is set.
    pub(super) async fn get(&self, url: &Url, fresh: bool, deadline: Duration) -> Result<Response, FollowError> {
        let request = self.get_request(url, fresh)?;
        self.send(url, request, deadline).await
    }

    /// The same for a document that may be large, compressed if the server can do that. The bounds of reading are those of
    /// the plain text.
    pub(super) async fn get_large(&self, url: &Url, fresh: bool, deadline: Duration) -> Result<Response, FollowError> {
        let mut request = self.get_request(url, fresh)?;
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        self.send(url, request, deadline).await
    }

    /// `POST` of a JSON text.
    pub(super) async fn post_json(&self, url: &Url, body: Bytes, deadline: Duration) -> Result<Response, FollowError> {
        self.send(url, self.json_request(url, body)?, deadline).await
    }

    /// `POST` of a JSON text that has no response but its status.
    pub(super) async fn post_report(
        &self,
        url: &Url,
        body: Bytes,
        authorization: &HeaderValue,
        deadline: Duration,
    ) -> Result<(), FollowError> {
        let mut request = self.json_request(url, body)?;
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        match self.send(url, request, deadline).await {
            Err(FollowError::Status { status: 204, .. }) => Ok(()),
            result => result.map(|_| ()),
        }
    }

    fn get_request(&self, url: &Url, fresh: bool) -> Result<Request<Full<Bytes>>, FollowError> {
        let mut request = self.request(url, Method::GET, Bytes::new())?;
        if fresh {
            request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Ok(request)
    }

    fn json_request(&self, url: &Url, body: Bytes) -> Result<Request<Full<Bytes>>, FollowError> {
        let mut request = self.request(url, Method::POST, body)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn request(&self, url: &Url, method: Method, body: Bytes) -> Result<Request<Full<Bytes>>, FollowError> {
        if !is_allowed(url) {
            return Err(failed(url, "neither https nor this machine"));
        }
        Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, AGENT)
            .body(Full::new(body))
            .map_err(|error| failed(url, error))
    }

    async fn send(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<Response, FollowError> {
        let response = tokio::time::timeout(deadline, self.hyper.request(request))
            .await
            .map_err(|_| failed(url, "no response in time"))?
            .map_err(|error| failed(url, describe(&error)))?;
        if response.status() != StatusCode::OK {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(FollowError::Status {
                url: url.to_string(),
                status: response.status().as_u16(),
                retry_after: retry_after.map(|secs| Duration::from_secs(secs).min(MAX_RETRY_AFTER)),
            });
        }
        let gunzip = match response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => None,
            Some(b"gzip") => Some(Gunzip::new()),
            Some(_) => return Err(failed(url, "unknown content coding")),
        };
        Ok(Response { url: url.clone(), body: response.into_body(), gunzip })
    }
}

impl Response {
    /// The next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self, deadline: Duration) -> Result<Option<Bytes>, FollowError> {
        loop {
            if let Some(gunzip) = &mut self.gunzip
                && let Some(piece) = gunzip.next().map_err(|_| self.error("the compressed body is damaged"))?
            {
                return Ok(Some(piece));
            }
            match (self.receive(deadline).await?, &mut self.gunzip) {
                (Some(data), Some(gunzip)) => gunzip.add(data),
                (Some(data), None) => return Ok(Some(data)),
                (None, gunzip) => {
                    let last = gunzip.take().map(Gunzip::finish).transpose();
                    return Ok(last.map_err(|_| self.error("the compressed body is damaged"))?.flatten());
                }
            }
        }
    }

    /// The next piece as it arrives.
    async fn receive(&mut self, deadline: Duration) -> Result<Option<Bytes>, FollowError> {
        loop {
            let frame = tokio::time::timeout(deadline, self.body.frame())
                .await
                .map_err(|_| failed(&self.url, "the body did not arrive in time"))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(failed(&self.url, describe(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, if it is not longer than `limit`.
    pub(super) async fn read(mut self, limit: usize, deadline: Duration) -> Result<Vec<u8>, FollowError> {
        let late = self.error("the body did not arrive in time");
        let read = async {
            let mut body = Vec::new();
            while let Some(data) = self.next(deadline).await? {
                if body.len() + data.len() > limit {
                    return Err(self.error("the body is too long"));
                }
                body.extend_from_slice(&data);
            }
            Ok(body)
        };
        tokio::time::timeout(deadline, read).await.unwrap_or(Err(late))
    }

    /// An error of this response.
    pub(super) fn error(&self, reason: &'static str) -> FollowError {
        failed(&self.url, reason)
    }
}

fn failed(url: &Url, reason: impl std::fmt::Display) -> FollowError {
    FollowError::Request { url: url.to_string(), reason: reason.to_string() }
}

/// The error with its causes: that of the client alone says only that it could not connect.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
