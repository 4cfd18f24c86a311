//! The HTML of a page: an empty element, the page's script, and the facts about this server that the script needs. The
//! script draws the rest. Knows no operation and no dialect but the one whose prefix the pages call.

use http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::files::{folder, scripts_in, style_in};
use super::{HTML, with_policy};
use crate::auth::context::Context;
use crate::auth::passwords::Policy;
use crate::http::Response;

/// The content security policy of pages: scripts and styles of this origin only, no markup from text (Trusted Types),
/// no frame. Images may be `data:` URLs, because the account page makes one of the QR code in a response.
pub(super) const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

/// [`PAGE_POLICY`] for a page with frames of its own.
const PAGE_POLICY_WITH_OWN_FRAMES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-src blob:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

/// A page.
pub(super) struct Page {
    /// The name by which the script knows which page it is on.
    pub(super) name: &'static str,
    /// The folder of its files, whose `main.js` starts it.
    pub(super) folder: &'static str,
    /// The folders whose scripts the page loads at once.
    pub(super) preload: &'static [&'static str],
    /// The page makes documents of its own and shows them in frames, which inherit its policy.
    pub(super) own_frames: bool,
}

/// The facts about this server that pages need.
#[derive(Serialize)]
struct Facts<'a, H> {
    service: &'a str,
    /// There is a logo.
    logo: bool,
    registration: bool,
    password: PasswordRules,
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<&'a H>,
}

/// The rules for new passwords.
#[derive(Serialize)]
struct PasswordRules {
    min: usize,
    max: usize,
    /// Common passwords are refused.
    common: bool,
}

/// The response with a page.
pub(super) fn respond(ctx: &Context, page: &Page) -> Response {
    respond_with::<()>(ctx, page, None)
}

/// The same with the facts that only the page at `/` shows.
pub(super) fn respond_with<H: Serialize>(ctx: &Context, page: &Page, home: Option<&H>) -> Response {
    let config = &ctx.node.config;
    let native = &config.api.native;
    let policy = Policy::for_dialect(native, &config.passwords);
    let facts = Facts {
        service: &config.mail.service_name,
        logo: ctx.node.mailer.logo().is_some(),
        registration: config.accounts.open_registration,
        password: PasswordRules { min: policy.min_length, max: policy.max_length, common: policy.refuse_common },
        home,
    };
    let facts = serde_json::to_string(&facts).unwrap_or_default();
    // Safe, because the settings allow no HTML metacharacter in a prefix, and the version is base64url.
    let files = folder(config);
    let preload =
        scripts_in(page.preload).map(|path| format!("<link rel=\"modulepreload\" href=\"{files}/{path}\">\n"));
    let style = style_in(page.folder).map(|path| format!("<link rel=\"stylesheet\" href=\"{files}/{path}\">\n"));
    let style = style.unwrap_or_default();
    let text = include_str!("shell.html")
        .replace("{files}", &files)
        .replace("{folder}", page.folder)
        .replace("{page}", page.name)
        .replace("{base}", &native.prefix)
        .replace("{preload}", &preload.collect::<String>())
        .replace("{style}", &style)
        // Last, because their texts may contain braces.
        .replace("{service}", &escape(&config.mail.service_name))
        .replace("{facts}", &escape(&facts));
    let response = Response::bytes(StatusCode::OK, HTML, text).no_store();
    let response = with_policy(response).header(COOP, SAME_ORIGIN).header(CORP, SAME_ORIGIN);
    response.header(CONTENT_SECURITY_POLICY, if page.own_frames { PAGE_POLICY_WITH_OWN_FRAMES } else { PAGE_POLICY })
}

/// Escapes a text for an attribute in double quotes, or for content.
pub(super) fn escape(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_leave_its_attribute() {
        assert_eq!(escape(r#"a"b'<c>&"#), "a&quot;b&#39;&lt;c&gt;&amp;");
        assert_eq!(escape("帳號 {x}"), "帳號 {x}");
    }
}
