//! The types of values that settings have: how each is parsed, and how its allowed values are described. Knows no
//! individual setting. The types of addresses are in `addresses`.

mod addresses;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use zeroize::Zeroizing;

pub(super) use self::addresses::{
    Address, Collector, Issuer, LinkAddress, Origin, Prefix, Range, StoreAddress, WebAddress,
};
use super::{Rate, Secret};

pub(super) trait ValueType {
    /// The parsed value.
    type Value;
    /// True if the raw value must never be shown.
    const SECRET: bool = false;
    /// Describes the allowed values.
    fn allowed(&self) -> String;
    /// Parses a raw value.
    fn parse(&self, text: &str) -> Option<Self::Value>;
}

/// `true` or `false`.
pub(super) struct Bool;
impl ValueType for Bool {
    type Value = bool;
    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
    fn parse(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

/// A whole number in a range.
pub(super) struct Integer(pub(super) u64, pub(super) u64);
impl ValueType for Integer {
    type Value = u64;
    fn allowed(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
    fn parse(&self, text: &str) -> Option<u64> {
        text.parse().ok().filter(|number| (self.0..=self.1).contains(number))
    }
}

/// A number of threads: a whole number, or `cores` for one per core.
pub(super) struct Cores;
impl Cores {
    /// Number of cores available to this process.
    pub(super) fn here() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
impl ValueType for Cores {
    type Value = usize;
    fn allowed(&self) -> String {
        "\"cores\", or a whole number from 1 to 1024".to_owned()
    }
    fn parse(&self, text: &str) -> Option<usize> {
        if text == "cores" { Some(Self::here()) } else { Integer(1, 1024).parse(text).map(|number| number as usize) }
    }
}

/// A duration in a range: `500ms`, `15m`, `30d`.
pub(super) struct DurationRange(pub(super) Duration, pub(super) Duration);
impl ValueType for DurationRange {
    type Value = Duration;
    fn allowed(&self) -> String {
        format!(
            "a duration from {} to {}, in ms, s, m, h or d, such as 15m",
            format_duration(self.0),
            format_duration(self.1)
        )
    }
    fn parse(&self, text: &str) -> Option<Duration> {
        parse_duration(text).filter(|duration| (self.0..=self.1).contains(duration))
    }
}

/// Parses a duration as settings write it.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let millis = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?))
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Formats a duration as settings write it, in the largest unit that divides it.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    let (name, unit) =
        UNITS.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit)).unwrap_or(&UNITS[4]);
    format!("{}{name}", millis / unit)
}

/// A number of bytes in a range: `512B`, `64KiB`, `1MiB`.
pub(super) struct Size(pub(super) usize, pub(super) usize);
impl ValueType for Size {
    type Value = usize;
    fn allowed(&self) -> String {
        format!("a size from {} to {} bytes, in B, KiB or MiB, such as 64KiB", self.0, self.1)
    }
    fn parse(&self, text: &str) -> Option<usize> {
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

/// A rate: `10 per 5m`.
pub(super) struct RateSpec;
impl ValueType for RateSpec {
    type Value = Rate;
    fn allowed(&self) -> String {
        "a number and a period (1s to 1d), such as \"10 per 5m\"".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Rate> {
        let (burst, per) = text.split_once(" per ")?;
        Some(Rate {
            burst: Integer(1, 1_000_000).parse(burst.trim())? as u32,
            per: DurationRange(Duration::from_secs(1), Duration::from_secs(86_400)).parse(per.trim())?,
        })
    }
}

/// One of several words.
pub(super) struct OneOf<T: 'static>(pub(super) &'static [(&'static str, T)]);
impl<T: Clone> ValueType for OneOf<T> {
    type Value = T;
    fn allowed(&self) -> String {
        self.0.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ")
    }
    fn parse(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
    }
}

/// One line of text, not empty.
pub(super) struct Text;
impl ValueType for Text {
    type Value = String;
    fn allowed(&self) -> String {
        "one line of 1 to 200 characters".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
    }
}

/// The id of the client that users sign in with. Not a UUID, because tokens with one belong to an API key.
pub(super) struct ClientId;
impl ValueType for ClientId {
    type Value = String;
    fn allowed(&self) -> String {
        format!("{}, not a UUID", Text.allowed())
    }
    fn parse(&self, text: &str) -> Option<String> {
        Text.parse(text).filter(|text| uuid::Uuid::try_parse(text).is_err())
    }
}

/// The prefix of Redis keys. A brace would become the hash tag of a Redis Cluster key, and keys that must share a slot
/// would not.
pub(super) struct KeyPrefix;
impl ValueType for KeyPrefix {
    type Value = String;
    fn allowed(&self) -> String {
        "up to 64 visible ASCII characters other than { and }, such as signet:".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let good = |byte: u8| byte.is_ascii_graphic() && !b"{}".contains(&byte);
        (text.len() <= 64 && text.bytes().all(good)).then(|| text.to_owned())
    }
}

/// The sender of mails.
pub(super) struct Sender;
impl ValueType for Sender {
    type Value = String;
    fn allowed(&self) -> String {
        "an e-mail address with an optional name, such as Signet <signet@example.com>".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let sender = Text.parse(text)?;
        sender.parse::<lettre::message::Mailbox>().is_ok().then_some(sender)
    }
}

/// A path in the file system.
pub(super) struct FilePath;
impl ValueType for FilePath {
    type Value = PathBuf;
    fn allowed(&self) -> String {
        "a path".to_owned()
    }
    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| PathBuf::from(text))
    }
}

/// A value of another type, or `off`.
pub(super) struct OrOff<K>(pub(super) K);
impl<K: ValueType> ValueType for OrOff<K> {
    type Value = Option<K::Value>;
    const SECRET: bool = K::SECRET;
    fn allowed(&self) -> String {
        format!("{}, or \"off\"", self.0.allowed())
    }
    fn parse(&self, text: &str) -> Option<Self::Value> {
        if text == "off" { Some(None) } else { self.0.parse(text).map(Some) }
    }
}

/// Filter directives in the syntax of `tracing`.
pub(super) struct Filter;
impl ValueType for Filter {
    type Value = String;
    fn allowed(&self) -> String {
        "error, warn, info, debug or trace, or several separated by commas, such as info,signet::auth=debug".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        // The library reads an empty level as `error`, and takes any text for the name of a module.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !format!("{text},").contains("=,");
        (is_plain && text.parse::<tracing_subscriber::filter::Targets>().is_ok()).then(|| text.to_owned())
    }
}

/// 32 bytes in base64, of either alphabet, padded or not.
pub(super) struct Bytes32;
impl ValueType for Bytes32 {
    type Value = Secret;
    const SECRET: bool = true;
    fn allowed(&self) -> String {
        "32 random bytes in base64, as `openssl rand -base64 32` prints them; or several, separated by commas or as a list, \
         of which the first seals and all open"
            .to_owned()
    }
    fn parse(&self, text: &str) -> Option<Secret> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let decoded = STANDARD_PAD_INDIFFERENT.decode(text).or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(text)).ok()?;
        let decoded = Zeroizing::new(decoded);
        (decoded.len() == 32).then(|| bytes.copy_from_slice(&decoded))?;
        Some(Secret(bytes))
    }
}
