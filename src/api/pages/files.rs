//! The files that the pages load, below `/pages/{version}/`.
//!
//! The version is a hash of all of them, so a browser may keep each for good, and modules import each other by relative
//! paths. During an upgrade, a node may be asked for the version of another one. It answers with its own file, which the
//! browser does not keep: a page that mixes two versions for a moment is better than one that does not load.

use std::sync::LazyLock;

use bytes::Bytes;

use super::{SCRIPT, STYLE, with_policy};
use crate::auth::context::Context;
use crate::config::Config;
use crate::encoding::short_sha256;
use crate::http::{CachedResponse, Request, RouteGroup};

/// The path of a file below the folder of the pages, and its content.
type PageFile = (&'static str, &'static str);

macro_rules! files {
    ($($path:literal),+ $(,)?) => { [$(($path, include_str!($path))),+] };
}

/// Everything that pages load. A test compares this with the folder.
const FILES: &[PageFile] = &files![
    "account/account.js",
    "account/activity.js",
    "account/api_keys.js",
    "account/device_secret.js",
    "account/download.js",
    "account/forgotten.js",
    "account/links.js",
    "account/main.js",
    "account/me.js",
    "account/own_data.js",
    "account/password.js",
    "account/profile.js",
    "account/recent_sign_in.js",
    "account/second_factor.js",
    "account/sessions.js",
    "account/sign_in.js",
    "account/sign_up.js",
    "account/words/en.js",
    "account/words/zh-Hant.js",
    "base/components.js",
    "base/device.js",
    "base/facts.js",
    "base/http.js",
    "base/language.js",
    "base/page.js",
    "base/route.js",
    "base/session.js",
    "base/style.css",
    "base/view.js",
    "base/words.js",
    "base/words/en.js",
    "base/words/zh-Hant.js",
    "console/console.js",
    "console/format.js",
    "console/main.css",
    "console/main.js",
    "console/parts.js",
    "console/resource.js",
    "console/screens/api_keys.js",
    "console/screens/chart.js",
    "console/screens/event_list.js",
    "console/screens/events.js",
    "console/screens/inspector.js",
    "console/screens/k6.js",
    "console/screens/keys.js",
    "console/screens/load_test.js",
    "console/screens/mail.js",
    "console/screens/overview.js",
    "console/screens/settings.js",
    "console/screens/user.js",
    "console/screens/users.js",
    "console/sign_in.js",
    "console/words/en.js",
    "console/words/zh-Hant.js",
    "docs/call.js",
    "docs/docs.css",
    "docs/docs.js",
    "docs/element.js",
    "docs/samples.js",
    "docs/schema.js",
    "docs/tasks.js",
    "docs/words.js",
    "docs/words/en.js",
    "docs/words/zh-Hant.js",
    "home/home.js",
    "home/main.js",
    "home/words/en.js",
    "home/words/zh-Hant.js",
    "vendor/hooks.js",
    "vendor/htm.js",
    "vendor/preact.js",
    "vendor/signals-core.js",
    "vendor/signals.js",
];

/// The names that vendored modules import, and their files in the same folder.
const PACKAGES: [(&str, &str); 3] = [
    (r#"from"preact""#, r#"from"./preact.js""#),
    (r#"from"preact/hooks""#, r#"from"./hooks.js""#),
    (r#"from"@preact/signals-core""#, r#"from"./signals-core.js""#),
];

/// The hash of all files, which their URLs contain.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = FILES.iter().flat_map(|(path, text)| [path.as_bytes(), &[0], text.as_bytes(), &[0]]).flatten();
    short_sha256(&all.copied().collect::<Vec<_>>(), 12)
});

/// The path below which pages find their files.
pub(super) fn folder(config: &Config) -> String {
    format!("{}/pages/{}", config.api.native.prefix, *VERSION)
}

/// Adds a route for each file.
pub(super) fn add_routes(group: RouteGroup<'_, Context>) -> RouteGroup<'_, Context> {
    FILES.iter().fold(group, |group, (path, text)| {
        let media_type = if path.ends_with(".css") { STYLE } else { SCRIPT };
        // Made at the first request, because a node that serves no pages need not keep them in memory.
        let responses = LazyLock::new(move || {
            let body = served(path, text);
            let etag: &'static str = format!("\"{}\"", short_sha256(&body, 12)).leak();
            let current =
                CachedResponse::with_etag(media_type, body.clone(), etag, "public, max-age=31536000, immutable");
            (current, CachedResponse::with_etag(media_type, body, etag, "no-store"))
        });
        group.get_sync(&format!("/pages/{{version}}/{path}"), "pages.file", move |_: &Context, request: &Request| {
            let is_current = request.param("version") == *VERSION;
            let (current, other) = &*responses;
            with_policy(if is_current { current } else { other }.respond(request))
        })
    })
}

/// The content of a file as it is served: vendored modules import each other by path, and comments, which are a seventh
/// of all bytes and half of them types, stay in the source.
fn served(path: &str, text: &str) -> Bytes {
    let text = without_comments(text);
    if !path.starts_with("vendor/") {
        return text.into();
    }
    PACKAGES.iter().fold(text, |text, (package, file)| text.replace(package, file)).into()
}

/// Leaves out comments that have lines of their own. No string or template in the pages has a line that looks like a
/// comment.
fn without_comments(text: &str) -> String {
    let mut inside = false;
    let kept = text.split_inclusive('\n').filter(|line| {
        let line = line.trim();
        let begins = line.starts_with("/*") && (line.ends_with("*/") || !line.contains("*/"));
        let comment = inside || begins || line.starts_with("//");
        inside = (inside || begins) && !line.contains("*/");
        !comment
    });
    kept.collect()
}

/// The scripts in these folders of the pages, which a page preloads so that the browser does not find them one by one.
pub(super) fn scripts_in(folders: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    let loaded = move |path: &&str| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        path.ends_with(".js") && folders.contains(&folder)
    };
    FILES.iter().map(|(path, _)| *path).filter(loaded)
}

/// The styles that a page has beside those of all pages.
pub(super) fn style_in(folder: &str) -> Option<&'static str> {
    FILES.iter().map(|(path, _)| *path).find(|path| path.strip_suffix("/main.css") == Some(folder))
}

#[cfg(test)]
mod tests;
