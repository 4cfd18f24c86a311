//! The kinds of values a setting can have: how each is read, and how what is allowed is said. Knows no setting.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use http::Uri;
use zeroize::Zeroizing;

use super::{Network, Rate, Secret, SecretUrl};

/// A kind of value.
pub(super) trait Kind {
    /// What it becomes.
    type Value;
    /// Whether what was written must never be shown.
    const SECRET: bool = false;
    /// What may be written, as a person says it.
    fn allowed(&self) -> String;
    /// Reads it.
    fn read(&self, text: &str) -> Option<Self::Value>;
}

/// `true` or `false`.
pub(super) struct Bool;
impl Kind for Bool {
    type Value = bool;
    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
    fn read(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

/// A whole number between two.
pub(super) struct Integer(pub(super) u64, pub(super) u64);
impl Kind for Integer {
    type Value = u64;
    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
    fn read(&self, text: &str) -> Option<u64> {
        text.parse().ok().filter(|number| (self.0..=self.1).contains(number))
    }
}

/// How many of something there is one of a core: a number, or `cores`.
pub(super) struct Cores;
impl Cores {
    /// How many cores this process may use.
    pub(super) fn here() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
impl Kind for Cores {
    type Value = usize;
    fn allowed(&self) -> String {
        "\"cores\", or a whole number from 1 to 1024".to_owned()
    }
    fn read(&self, text: &str) -> Option<usize> {
        if text == "cores" { Some(Self::here()) } else { Integer(1, 1024).read(text).map(|number| number as usize) }
    }
}

/// A span of time between two: `500ms`, `15m`, `30d`.
pub(super) struct DurationRange(pub(super) Duration, pub(super) Duration);
impl Kind for DurationRange {
    type Value = Duration;
    fn allowed(&self) -> String {
        format!("a time from {} to {}, in ms, s, m, h or d, such as 15m", spell(self.0), spell(self.1))
    }
    fn read(&self, text: &str) -> Option<Duration> {
        let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
        let millis = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let span = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?);
        (self.0..=self.1).contains(&span).then_some(span)
    }
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A span as it is written in settings, in the largest unit that leaves no rest.
pub(super) fn spell(span: Duration) -> String {
    let millis = span.as_millis() as u64;
    let (name, unit) =
        UNITS.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit)).unwrap_or(&UNITS[4]);
    format!("{}{name}", millis / unit)
}

/// A number of bytes between two: `512B`, `64KiB`, `1MiB`.
pub(super) struct Size(pub(super) usize, pub(super) usize);
impl Kind for Size {
    type Value = usize;
    fn allowed(&self) -> String {
        format!("a size from {} to {} bytes, in B, KiB or MiB, such as 64KiB", self.0, self.1)
    }
    fn read(&self, text: &str) -> Option<usize> {
        let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
        let bytes = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return None,
        };
        let size = number.parse::<usize>().ok()?.checked_mul(bytes)?;
        (self.0..=self.1).contains(&size).then_some(size)
    }
}

/// So many in such a span: `10 per 5m`.
pub(super) struct RateSpec;
impl Kind for RateSpec {
    type Value = Rate;
    fn allowed(&self) -> String {
        "a number and the time in which that many are allowed (1s to 1d), such as \"10 per 5m\"".to_owned()
    }
    fn read(&self, text: &str) -> Option<Rate> {
        let (burst, per) = text.split_once(" per ")?;
        Some(Rate {
            burst: Integer(1, 1_000_000).read(burst.trim())? as u32,
            per: DurationRange(Duration::from_secs(1), Duration::from_secs(86_400)).read(per.trim())?,
        })
    }
}

/// One of a few words.
pub(super) struct OneOf<T: 'static>(pub(super) &'static [(&'static str, T)]);
impl<T: Clone> Kind for OneOf<T> {
    type Value = T;
    fn allowed(&self) -> String {
        self.0.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ")
    }
    fn read(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
    }
}

/// Any text on one line that is not empty.
pub(super) struct Text;
impl Kind for Text {
    type Value = String;
    fn allowed(&self) -> String {
        "a text of 1 to 200 characters on one line".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
    }
}

/// What stands before the keys of a store. A brace would end up in the part of the key that a Redis Cluster hashes, and
/// tear apart what must lie in one slot.
pub(super) struct KeyPrefix;
impl Kind for KeyPrefix {
    type Value = String;
    fn allowed(&self) -> String {
        "up to 64 visible ASCII characters other than { and }, such as signet:".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        let good = |byte: u8| byte.is_ascii_graphic() && !b"{}".contains(&byte);
        (text.len() <= 64 && text.bytes().all(good)).then(|| text.to_owned())
    }
}

/// Who mails come from.
pub(super) struct Sender;
impl Kind for Sender {
    type Value = String;
    fn allowed(&self) -> String {
        "an e-mail address, with a name before it or without, such as Signet <signet@example.com>".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        let sender = Text.read(text)?;
        sender.parse::<lettre::message::Mailbox>().is_ok().then_some(sender)
    }
}

/// A place in the file system.
pub(super) struct FilePath;
impl Kind for FilePath {
    type Value = PathBuf;
    fn allowed(&self) -> String {
        "a path".to_owned()
    }
    fn read(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| PathBuf::from(text))
    }
}

/// An address and a port to listen on.
pub(super) struct Address;
impl Kind for Address {
    type Value = SocketAddr;
    fn allowed(&self) -> String {
        "an IP address and a port, such as 127.0.0.1:8000 or [::]:8000".to_owned()
    }
    fn read(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }
}

/// Something, or `off`.
pub(super) struct OrOff<K>(pub(super) K);
impl<K: Kind> Kind for OrOff<K> {
    type Value = Option<K::Value>;
    const SECRET: bool = K::SECRET;
    fn allowed(&self) -> String {
        format!("{}, or \"off\"", self.0.allowed())
    }
    fn read(&self, text: &str) -> Option<Self::Value> {
        if text == "off" { Some(None) } else { self.0.read(text).map(Some) }
    }
}

/// A range of addresses.
pub(super) struct Range;
impl Kind for Range {
    type Value = Network;
    fn allowed(&self) -> String {
        "IP addresses or ranges of them, such as 10.0.0.0/8 or fd00::/8".to_owned()
    }
    fn read(&self, text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        (bits <= most).then_some(Network { address, bits })
    }
}

/// An `http` or `https` address without user, query or fragment; a slash at its end is left out.
pub(super) struct WebAddress;
impl Kind for WebAddress {
    type Value = String;
    fn allowed(&self) -> String {
        "an http or https address without user, query or fragment, such as https://id.example.com".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        web_address(text).map(|_| text.trim_end_matches('/').to_owned())
    }
}

/// Where a link in a mail leads; `?token=` is put behind it, or `&token=` where it has a query.
pub(super) struct LinkAddress;
impl Kind for LinkAddress {
    type Value = String;
    fn allowed(&self) -> String {
        "an http or https address without user or fragment, such as https://app.example.com/reset".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let plain = !query.contains(|char: char| char.is_whitespace() || char.is_control() || char == '#');
        (web_address(place).is_some() && plain).then(|| text.to_owned())
    }
}

/// Where traces go. Plain HTTP: the collector stands on the same machine or network, and what it sends on it encrypts.
pub(super) struct Collector;
impl Kind for Collector {
    type Value = String;
    fn allowed(&self) -> String {
        "the http address of a collector, such as http://127.0.0.1:4318".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        WebAddress.read(text).filter(|address| address.starts_with("http://"))
    }
}

/// As [`WebAddress`], kept to the letter: verifiers compare an issuer character by character.
pub(super) struct Issuer;
impl Kind for Issuer {
    type Value = String;
    fn allowed(&self) -> String {
        WebAddress.allowed()
    }
    fn read(&self, text: &str) -> Option<String> {
        web_address(text).map(|_| text.to_owned())
    }
}

/// What a browser sends as `Origin`, to the letter.
pub(super) struct Origin;
impl Kind for Origin {
    type Value = String;
    fn allowed(&self) -> String {
        "origins as browsers send them: scheme, host in small letters, port if unusual, such as https://app.example.com"
            .to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        let uri = web_address(text)?;
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let bare = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        (bare == text && text.to_lowercase() == text && uri.port_u16() != Some(usual)).then(|| text.to_owned())
    }
}

fn web_address(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain =
        uri.query().is_none() && !text.contains(['#', '@', '?']) && uri.host().is_some_and(|host| !host.is_empty());
    (scheme && plain).then_some(uri)
}

/// Directives as `tracing` reads them.
pub(super) struct Filter;
impl Kind for Filter {
    type Value = String;
    fn allowed(&self) -> String {
        "error, warn, info, debug or trace, or several parted by commas, such as info,signet::auth=debug".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
        tracing_subscriber::EnvFilter::try_new(text).is_ok().then(|| text.to_owned())
    }
}

/// What stands before a dialect's paths: `/` for nothing.
pub(super) struct Prefix;
impl Kind for Prefix {
    type Value = String;
    fn allowed(&self) -> String {
        "\"/\", or a path of letters, digits, `-`, `_`, `.` and `/`, such as /auth".to_owned()
    }
    fn read(&self, text: &str) -> Option<String> {
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

/// The address of a store, of one of these schemes. It may hold a password.
pub(super) struct StoreAddress(pub(super) &'static [&'static str]);
impl Kind for StoreAddress {
    type Value = SecretUrl;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        format!("an address that begins with {}", self.0.join(", "))
    }
    fn read(&self, text: &str) -> Option<SecretUrl> {
        let host = self.0.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| SecretUrl(text.to_owned()))
    }
}

/// Thirty-two bytes in base64, of either alphabet, padded or not.
pub(super) struct Bytes32;
impl Kind for Bytes32 {
    type Value = Secret;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        "32 random bytes in base64, as `openssl rand -base64 32` makes them; several, of which the first seals and all \
         open, parted by commas or as a list"
            .to_owned()
    }
    fn read(&self, text: &str) -> Option<Secret> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let decoded = STANDARD_PAD_INDIFFERENT.decode(text).or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(text)).ok()?;
        let decoded = Zeroizing::new(decoded);
        (decoded.len() == 32).then(|| bytes.copy_from_slice(&decoded))?;
        Some(Secret(bytes))
    }
}
