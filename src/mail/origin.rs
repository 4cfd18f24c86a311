//! The cause of a mail: the time, and the device and address of the client. Notices show it, so that the owner of an
//! account can tell a stranger's act from their own.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::device;

/// The cause of a mail.
#[derive(Clone, Debug)]
pub struct Origin {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: OriginBy,
}

/// The client or operator that caused a mail.
#[derive(Clone, Debug)]
pub enum OriginBy {
    /// A client.
    Client {
        /// Its address.
        ip: IpAddr,
        /// The names of its browser or program and of its system, each if it is known.
        device: [Option<&'static str>; 2],
    },
    /// An operator or an administrator. Their device and address are not for users.
    Operator,
}

impl OriginBy {
    /// A client with this `User-Agent`.
    pub fn client(ip: IpAddr, user_agent: Option<&str>) -> Self {
        Self::Client { ip, device: device::known_names(user_agent.unwrap_or_default()) }
    }

    /// The device, for a mail in this language: `Firefox, Windows`.
    pub(super) fn device(&self, language: &str) -> String {
        let is_chinese = language.eq_ignore_ascii_case("zh-TW");
        match self {
            Self::Client { device: [None, None], .. } => if is_chinese { "不明" } else { "unknown" }.to_owned(),
            Self::Client { device, .. } => device.iter().flatten().copied().collect::<Vec<_>>().join(", "),
            Self::Operator => if is_chinese { "管理人員" } else { "an administrator" }.to_owned(),
        }
    }

    /// The address of the client, or a dash.
    pub(super) fn ip(&self) -> String {
        match self {
            Self::Client { ip, .. } => ip.to_string(),
            Self::Operator => "–".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(user_agent: Option<&str>, language: &str) -> String {
        OriginBy::client(IpAddr::from([192, 0, 2, 1]), user_agent).device(language)
    }

    #[test]
    fn device_is_named_in_the_language_of_the_mail() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        assert_eq!(device(Some(firefox), "en"), "Firefox, Linux");
        assert_eq!(device(Some("visit https://evil.example now"), "en"), "unknown");
        assert_eq!(device(None, "zh-tw"), "不明");
        assert_eq!(device(None, "de"), "unknown");
        assert_eq!(OriginBy::Operator.device("en"), "an administrator");
    }
}
