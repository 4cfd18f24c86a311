//! Names of devices, from the `User-Agent` of a client: its browser or program, and its system. The pages have the same
//! names: `src/api/pages/base/device.js`.
//!
//! The user agent is text that the client chose, so mails take only [`known_names`]: nobody can write to the owner of
//! an account through them.

/// Names of browsers, each with a part of the user agents that it sends. The first match counts, because browsers name
/// the browsers that they resemble too.
const BROWSERS: [(&str, &str); 10] = [
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
];

/// Names of other programs, in the same form.
const PROGRAMS: [(&str, &str); 12] = [
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

/// Length of the name of a program.
const MAX_NAME: usize = 40;

/// The browser or program and the system of a client, each if it is in the lists above.
pub fn known_names(user_agent: &str) -> [Option<&'static str>; 2] {
    let agent = beginning(user_agent);
    [find(&BROWSERS, agent).or_else(|| find(&PROGRAMS, agent)), find(&SYSTEMS, agent)]
}

/// The device of a session, for the operator: `Firefox, Linux`. A program that is no browser is named as its user agent
/// begins. `None` if nothing is known.
pub fn describe(user_agent: &str) -> Option<String> {
    let agent = beginning(user_agent);
    let names = [find(&BROWSERS, agent).or_else(|| program(agent)), find(&SYSTEMS, agent)];
    let names: Vec<_> = names.into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn beginning(user_agent: &str) -> &str {
    user_agent.get(..MAX_USER_AGENT).unwrap_or(user_agent)
}

fn find(names: &[(&str, &'static str)], agent: &str) -> Option<&'static str> {
    names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
}

/// The name with which the user agent of a program begins: `curl` of `curl/8.5.0`. That of a browser begins with
/// `Mozilla`.
fn program(agent: &str) -> Option<&str> {
    let name = agent.split(['/', ' ']).next()?;
    let is_name = name.len() <= MAX_NAME
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.+-".contains(letter));
    (is_name && name != "Mozilla").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            let known = known_names(agent).into_iter().flatten().collect::<Vec<_>>().join(", ");
            assert_eq!(known, expected, "{agent}");
            assert_eq!(describe(agent).as_deref(), Some(expected), "{agent}");
        }
    }

    #[test]
    fn other_program_is_named_to_operators_only() {
        let agent = "shop-app/2.1 (Android 14)";
        assert_eq!(describe(agent).as_deref(), Some("shop-app, Android"));
        assert_eq!(known_names(agent), [None, Some("Android")]);
    }

    #[test]
    fn text_that_is_no_name_is_not_repeated() {
        let long = "a".repeat(MAX_NAME + 1);
        for agent in ["", "Mozilla/5.0", "<img src=x onerror=alert(1)>", "/1.0", "\u{1b}[2J", long.as_str()] {
            assert_eq!(describe(agent), None, "{agent}");
        }
    }

    #[test]
    fn long_user_agent_is_searched_at_its_beginning() {
        let far = " ".repeat(MAX_USER_AGENT) + "Firefox/128.0";
        assert_eq!(known_names(&far), [None, None]);
        let multibyte = "Firefox/".to_owned() + &"é".repeat(MAX_USER_AGENT);
        assert_eq!(known_names(&multibyte), [Some("Firefox"), None]);
    }
}
