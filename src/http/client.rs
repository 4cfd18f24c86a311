//! A client that posts small bodies to a configured URL and looks only at the status. Follows no redirect. Knows
//! nothing of what it sends.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which a connection stays open between two requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

const AGENT: &str = concat!("signet/", env!("CARGO_PKG_VERSION"));

/// Why a request has no response with a good status. Names no URL, which may contain a token.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The request cannot be made: a header field or the URL is invalid.
    #[error("the request cannot be made")]
    Invalid,
    /// No response in time.
    #[error("no response in time")]
    TimedOut,
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// The response has another status than 2xx.
    #[error("the response has the status {0}")]
    Status(StatusCode),
}

/// The client. Its connections belong to the runtime that uses it.
pub struct PostClient {
    hyper: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl PostClient {
    /// A client that trusts the certificates of the system. Without them it can still use plain http.
    pub fn new() -> Result<Self, rustls::Error> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let provider = rustls::crypto::aws_lc_rs::default_provider;
        let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider()) {
            Ok(builder) => builder,
            Err(_) => {
                let builder = ClientConfig::builder_with_provider(provider().into());
                let builder = builder.with_safe_default_protocol_versions()?;
                let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let hyper = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Ok(Self { hyper })
    }

    /// Posts `body`. Succeeds if the response has a status of 2xx, whose body is not read.
    pub async fn post(
        &self,
        url: &Uri,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(), PostError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url.clone())
            .header(http::header::USER_AGENT, AGENT)
            .body(Full::new(body))
            .map_err(|_| PostError::Invalid)?;
        request.headers_mut().extend(headers);
        let response = tokio::time::timeout(timeout, self.hyper.request(request))
            .await
            .map_err(|_| PostError::TimedOut)?
            .map_err(|error| PostError::Connection(describe(&error)))?;
        if response.status().is_success() { Ok(()) } else { Err(PostError::Status(response.status())) }
    }
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
