//! The types of values that are addresses: of networks, of web pages and of stores.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

use super::ValueType;
use crate::config::{Network, SecretUrl};

/// An IP address and a port.
pub(in crate::config) struct Address;
impl ValueType for Address {
    type Value = SocketAddr;
    fn allowed(&self) -> String {
        "an IP address and a port, such as 127.0.0.1:8000 or [::]:8000".to_owned()
    }
    fn parse(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// An IP address or a range of them.
pub(in crate::config) struct Range;
impl ValueType for Range {
    type Value = Network;
    fn allowed(&self) -> String {
        "IP addresses or ranges, such as 10.0.0.0/8 or fd00::/8".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(max), |bits| bits.parse().ok())?;
        (bits <= max).then_some(Network { address, bits })
    }
}

/// An `http` or `https` URL without user, query or fragment. A trailing slash is removed.
pub(in crate::config) struct WebAddress;
impl ValueType for WebAddress {
    type Value = String;
    fn allowed(&self) -> String {
        "an http or https URL without user, query or fragment, such as https://id.example.com".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        web_address(text).map(|_| text.trim_end_matches('/').to_owned())
    }
}

/// The target of a link in a mail. `?token=` is appended, or `&token=` if it has a query.
pub(in crate::config) struct LinkAddress;
impl ValueType for LinkAddress {
    type Value = String;
    fn allowed(&self) -> String {
        "an http or https URL without user or fragment, such as https://app.example.com/reset".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let plain = !query.contains(|char: char| char.is_whitespace() || char.is_control() || char == '#');
        (web_address(base).is_some() && plain).then(|| text.to_owned())
    }
}

/// The URL of a trace collector. Plain HTTP: the collector runs on the same machine or network and encrypts what it
/// forwards.
pub(in crate::config) struct Collector;
impl ValueType for Collector {
    type Value = String;
    fn allowed(&self) -> String {
        "the http URL of a collector, such as http://127.0.0.1:4318".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        WebAddress.parse(text).filter(|address| address.starts_with("http://"))
    }
}

/// Like [`WebAddress`] but unchanged: verifiers compare an issuer character by character.
pub(in crate::config) struct Issuer;
impl ValueType for Issuer {
    type Value = String;
    fn allowed(&self) -> String {
        WebAddress.allowed()
    }
    fn parse(&self, text: &str) -> Option<String> {
        web_address(text).map(|_| text.to_owned())
    }
}

/// An origin exactly as browsers send it.
pub(in crate::config) struct Origin;
impl ValueType for Origin {
    type Value = String;
    fn allowed(&self) -> String {
        "origins as browsers send them: scheme, lower-case host, port if not the default, such as https://app.example.com"
            .to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let uri = web_address(text)?;
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let bare = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        (bare == text && text.to_lowercase() == text && uri.port_u16() != Some(default_port)).then(|| text.to_owned())
    }
}

fn web_address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain =
        uri.query().is_none() && !text.contains(['#', '@', '?']) && uri.host().is_some_and(|host| !host.is_empty());
    (scheme && plain).then_some(uri)
}

/// The prefix of a dialect's paths; `/` for none.
pub(in crate::config) struct Prefix;
impl ValueType for Prefix {
    type Value = String;
    fn allowed(&self) -> String {
        "\"/\", or a path of letters, digits, `-`, `_`, `.` and `/`, such as /auth".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let segments = text.strip_prefix('/')?.strip_suffix('/').unwrap_or(&text[1..]);
        if segments.is_empty() {
            return Some(String::new());
        }
        let good = |segment: &str| {
            !segment.chars().all(|letter| letter == '.')
                && segment.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        segments.split('/').all(good).then(|| format!("/{segments}"))
    }
}

/// The URL of a store with one of these schemes. It may contain a password.
pub(in crate::config) struct StoreAddress(pub(in crate::config) &'static [&'static str]);
impl ValueType for StoreAddress {
    type Value = SecretUrl;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        format!("a URL that begins with {}", self.0.join(", "))
    }
    fn parse(&self, text: &str) -> Option<SecretUrl> {
        let host = self.0.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| SecretUrl(text.to_owned()))
    }
}
