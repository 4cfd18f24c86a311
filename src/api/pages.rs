//! The pages that people see: the reference at `/docs`, and where mailed links land that have no front end of their own.
//!
//! From the binary alone: nothing on them comes from another host, and nothing may (the policy below). A link's GET
//! does nothing to it, since mail scanners follow links; the page does it by a POST of its own. Knows no dialect.

use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};

use crate::auth::context::Context;
use crate::http::{CachedResponse, Request, Response, RouteGroup};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// What the pages are made of.
const FILES: [(&str, &str, &str); 7] = [
    ("/pages/element.js", SCRIPT, include_str!("pages/element.js")),
    ("/pages/link.js", SCRIPT, include_str!("pages/link.js")),
    ("/pages/link.css", STYLE, include_str!("pages/link.css")),
    ("/pages/docs.js", SCRIPT, include_str!("pages/docs.js")),
    ("/pages/schema.js", SCRIPT, include_str!("pages/schema.js")),
    ("/pages/call.js", SCRIPT, include_str!("pages/call.js")),
    ("/pages/docs.css", STYLE, include_str!("pages/docs.css")),
];

/// Adds the pages. They are served with our own dialect, whose calls they make.
pub(super) fn routes(under: RouteGroup<'_, Context>) {
    let pages = under
        .get_sync("/docs", "pages.docs", |ctx: &Context, _: &Request| docs(ctx))
        .get_sync("/links/magic", "pages.link", magic)
        .get_sync("/links/reset", "pages.link", reset)
        .get_sync("/links/confirm", "pages.link", confirm_address);
    FILES.into_iter().fold(pages, |pages, (path, media_type, text)| {
        let file = CachedResponse::new(media_type, text);
        pages.get_sync(path, "pages.file", move |_: &Context, request: &Request| guarded(file.answer(request)))
    });
}

/// The page where a magic link lands.
///
/// Following the link does nothing to it: the page takes the token from `?token=` and redeems it by a POST, when its button is
/// pressed.
#[utoipa::path(
    get,
    path = "/links/magic",
    operation_id = "native_magic_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) fn magic(ctx: &Context, _: &Request) -> Response {
    link(ctx, "magic")
}

/// The page where a password reset's link lands.
///
/// Following the link does nothing to it: the page takes the token from `?token=` and redeems it by a POST, when its button is
/// pressed.
#[utoipa::path(
    get,
    path = "/links/reset",
    operation_id = "native_reset_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) fn reset(ctx: &Context, _: &Request) -> Response {
    link(ctx, "reset")
}

/// The page where an address's confirmation lands.
///
/// Following the link does nothing to it: the page takes the token from `?token=` and redeems it by a POST, when its button is
/// pressed.
#[utoipa::path(
    get,
    path = "/links/confirm",
    operation_id = "native_confirm_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) fn confirm_address(ctx: &Context, _: &Request) -> Response {
    link(ctx, "confirm")
}

/// Whether the one who follows a link wants a page rather than what the link's call answers: a browser, a scanner that looks like one,
/// or HEAD, which must not do anything. Programs that follow the link get the answer of the call.
///
/// For links that are calls of a dialect. Without our own dialect there are no pages, and the call is all there is.
pub fn wants_html(ctx: &Context, request: &Request) -> bool {
    let asked = request.header(ACCEPT).unwrap_or_default();
    ctx.node.config.api.native.enabled && (request.method() == Method::HEAD || prefers_html(asked))
}

/// The page that confirms an address by a POST. It takes the token from `?token=`, or from the path's last segment.
pub fn confirm(ctx: &Context) -> Response {
    link(ctx, "confirm").header(VARY, HeaderValue::from_static("accept"))
}

fn link(ctx: &Context, page: &str) -> Response {
    let text = include_str!("pages/link.html").replace("{page}", page);
    guarded(html(ctx, &text)).no_store()
}

fn docs(ctx: &Context) -> Response {
    guarded(html(ctx, include_str!("pages/docs.html"))).no_store()
}

fn html(ctx: &Context, text: &str) -> Response {
    // Settings allow no character in a prefix that means anything in HTML.
    let text = text.replace("{base}", &ctx.node.config.api.native.prefix);
    Response::bytes(StatusCode::OK, HTML, text)
}

fn guarded(response: Response) -> Response {
    response
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

/// Whether `Accept` (RFC 9110, 12.5.1) names HTML and gives it more weight than JSON. `*/*` alone is any program.
fn prefers_html(accept: &str) -> bool {
    let weight = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
            let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
            name.trim().eq_ignore_ascii_case(wanted).then_some(weight)
        });
        ranges.fold(None, |best: Option<f32>, weight| Some(best.map_or(weight, |best| best.max(weight))))
    };
    let json = weight("application/json").or_else(|| weight("application/*")).or_else(|| weight("*/*"));
    weight("text/html").is_some_and(|html| html > json.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_prefer_html_and_programs_do_not() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html, application/json;q=0.5",
            "TEXT/HTML;q=0.4",
        ] {
            assert!(prefers_html(browser), "{browser}");
        }
        for program in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html;q=0.9",
            "text/html, application/json",
            "text/html;q=0",
            "text/html;q=many",
        ] {
            assert!(!prefers_html(program), "{program}");
        }
    }
}
