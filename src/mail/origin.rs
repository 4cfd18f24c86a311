//! What caused a mail: the time, and the device and address of the client. Notices show it, so that the owner of an
//! account can tell a stranger's act from their own.
//!
//! The user agent is text that the client chose. Only names from the lists below get into a mail, so that nobody can
//! write to the owner of an account through it.

use std::net::IpAddr;

use crate::clock::Timestamp;

/// What caused a mail.
#[derive(Clone, Debug)]
pub struct Origin {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: OriginBy,
}

/// Who caused a mail.
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

/// Names of programs, each with a part of the user agents that it sends. The first match counts, because browsers name
/// the browsers that they resemble too.
const PROGRAMS: [(&str, &str); 22] = [
    ("Edg", "Microsoft Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("PostmanRuntime/", "Postman"),
    ("python-requests/", "Python"),
    ("python-httpx/", "Python"),
    ("aiohttp/", "Python"),
    ("Python-urllib/", "Python"),
    ("okhttp/", "OkHttp"),
    ("Go-http-client/", "Go"),
    ("axios/", "Node.js"),
    ("undici", "Node.js"),
    ("node", "Node.js"),
];

/// Names of systems, in the same form.
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// Length of a user agent that is searched: the names are near its beginning or in the few tokens after it.
const MAX_USER_AGENT: usize = 400;

impl OriginBy {
    /// A client with this `User-Agent`.
    pub fn client(ip: IpAddr, user_agent: Option<&str>) -> Self {
        let agent = user_agent.unwrap_or_default();
        let agent = agent.get(..MAX_USER_AGENT).unwrap_or(agent);
        let find =
            |names: &[(&str, &'static str)]| names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
        Self::Client { ip, device: [find(&PROGRAMS), find(&SYSTEMS)] }
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
    fn device_is_named_from_the_user_agent() {
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox, Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 \
                 Safari/537.36 Edg/126.0",
                "Microsoft Edge, Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari, iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
                "Chrome, Android",
            ),
            ("curl/8.5.0", "curl"),
            ("visit https://evil.example now", "unknown"),
        ] {
            assert_eq!(device(Some(agent), "en"), expected, "{agent}");
        }
        assert_eq!(device(None, "zh-tw"), "不明");
        assert_eq!(device(None, "de"), "unknown");
        let multibyte = "Firefox/".to_owned() + &"é".repeat(MAX_USER_AGENT);
        assert_eq!(device(Some(&multibyte), "en"), "Firefox");
        assert_eq!(OriginBy::Operator.device("en"), "an administrator");
    }
}
