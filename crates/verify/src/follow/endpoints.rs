//! Discovery: the metadata of the issuer (RFC 8414) says where its keys and its feed are.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::error::FollowError;
use super::http::Client;

/// Metadata has a few kilobytes.
const MAX_LENGTH: usize = 64 * 1024;

const DEADLINE: Duration = Duration::from_secs(5);

/// Where the documents of an issuer are.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    pub(super) jwks: Url,
    pub(super) feed: Option<Url>,
    pub(super) verify_batch: Option<Url>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    revocation_feed_uri: Option<String>,
    verification_endpoint: Option<String>,
}

/// Where the metadata of this issuer is: RFC 8414, 3 puts the well-known path before that of the issuer.
pub(super) fn metadata_url(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url
}

/// Reads the metadata.
pub(super) async fn discover(client: &Client, issuer: &str, url: &Url) -> Result<Endpoints, FollowError> {
    let body = client.get(url, false, DEADLINE).await?.read(MAX_LENGTH, DEADLINE).await?;
    let metadata: Metadata =
        serde_json::from_slice(&body).map_err(|_| FollowError::Metadata("not as RFC 8414 says"))?;
    if metadata.issuer != issuer {
        return Err(FollowError::Metadata("they are of another issuer"));
    }
    let url = |text: String| Url::parse(&text).map_err(|_| FollowError::Metadata("an endpoint is not a URL"));
    let verify = metadata.verification_endpoint.map(url).transpose()?;
    Ok(Endpoints {
        jwks: url(metadata.jwks_uri)?,
        feed: metadata.revocation_feed_uri.map(url).transpose()?,
        verify_batch: verify.map(|url| extended(&url, &["batch"])),
    })
}

/// The URL with more segments of the path.
pub(super) fn extended(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_at_the_well_known_path() {
        for (issuer, expected) in [
            ("https://id.example.org", "https://id.example.org/.well-known/oauth-authorization-server"),
            ("https://id.example.org/", "https://id.example.org/.well-known/oauth-authorization-server"),
            ("https://example.org/a/b", "https://example.org/.well-known/oauth-authorization-server/a/b"),
        ] {
            assert_eq!(metadata_url(&Url::parse(issuer).unwrap()).as_str(), expected);
        }
        let feed = Url::parse("https://id.example.org/auth/feed").unwrap();
        assert_eq!(extended(&feed, &["e", "after", "1-0"]).path(), "/auth/feed/e/after/1-0");
        assert_eq!(extended(&feed, &["..", "a/b"]).path(), "/auth/feed/a%2Fb");
    }
}
