//! The HTML pages: `/`, the API reference at `/docs`, the account page at `/account`, the console at `/console`, and
//! the landing pages of mailed links that have no front end of their own.
//!
//! Everything comes from the binary: the pages load nothing from other hosts, and their content security policies
//! forbid it. A GET of a link does not redeem it, because mail scanners open links; the page redeems it with a POST.

mod files;
mod home;
mod reference;
mod shell;

use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};

pub(super) use self::home::add_home;
use self::shell::Page;
use super::endpoint::{Endpoint, endpoint};
use super::weighted;
use crate::auth::context::Context;
use crate::http::{Request, Response, RouteGroup};

/// The content security policy of the files that pages load. That of the pages is [`shell::PAGE_POLICY`].
const FILE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The account page: signing in and up, and everything that a user may do with their account.
const ACCOUNT: Page =
    Page { name: "account", folder: "account", preload: &["account", "base", "vendor"], own_frames: false };

/// The console, which loads each of its screens when it is opened.
const CONSOLE: Page =
    Page { name: "console", folder: "console", preload: &["console", "base", "vendor"], own_frames: true };

/// Adds the console, without the files that it loads.
pub(super) fn add_console(group: RouteGroup<'_, Context>) {
    group.get_sync("/console", "pages.console", |ctx: &Context, _: &Request| shell::respond(ctx, &CONSOLE));
}

/// Adds the files that pages load.
pub(super) fn add_files(group: RouteGroup<'_, Context>) {
    home::add_logo(files::add_routes(group));
}

/// Adds the pages and their files that the OpenAPI document does not list.
pub(super) fn add_routes(group: RouteGroup<'_, Context>) {
    let group = reference::add_routes(group);
    let group = group.get_sync("/account", "pages.account", |ctx: &Context, _: &Request| shell::respond(ctx, &ACCOUNT));
    home::add_logo(files::add_routes(group));
}

/// Show the page of a magic link
///
/// Opening the link does not use it up. The page takes the token from `?token=` and redeems it with a POST when the
/// user presses the button.
#[utoipa::path(
    get,
    path = "/links/magic",
    operation_id = "native_magic_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
fn magic_link_page(ctx: &Context, _: &Request) -> Response {
    link_page(ctx, "magic")
}

pub(super) const MAGIC_LINK_PAGE: Endpoint = endpoint! {
    sync_handler: magic_link_page,
    metric_label: "pages.link",
};

/// Show the page of a password reset link
///
/// Opening the link does not use it up. The page takes the token from `?token=` and redeems it with a POST when the
/// user presses the button.
#[utoipa::path(
    get,
    path = "/links/reset",
    operation_id = "native_reset_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
fn reset_page(ctx: &Context, _: &Request) -> Response {
    link_page(ctx, "reset")
}

pub(super) const RESET_PAGE: Endpoint = endpoint! {
    sync_handler: reset_page,
    metric_label: "pages.link",
};

/// Show the page of an email confirmation link
///
/// Opening the link does not use it up. The page takes the token from `?token=` and redeems it with a POST when the
/// user presses the button.
#[utoipa::path(
    get,
    path = "/links/confirm",
    operation_id = "native_confirm_page",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
fn confirm_page(ctx: &Context, _: &Request) -> Response {
    link_page(ctx, "confirm")
}

pub(super) const CONFIRM_PAGE: Endpoint = endpoint! {
    sync_handler: confirm_page,
    metric_label: "pages.link",
};

/// True if the response to a GET of a dialect's confirmation link should be the page instead of the confirmation. That
/// is so for browsers, for scanners that look like browsers, and for HEAD, which must not change anything. Other
/// programs get the confirmation. If `mailed.confirm_by_get` is false, every client gets the page.
///
/// Without the native dialect there are no pages, and every client gets the confirmation. The settings allow that only
/// if `mailed.confirm_by_get` is true.
pub fn shows_page(ctx: &Context, request: &Request) -> bool {
    let config = &ctx.node.config;
    let accept = request.header(ACCEPT).unwrap_or_default();
    !config.mailed.confirm_by_get
        || config.api.native.enabled && (request.method() == Method::HEAD || prefers_html(accept))
}

/// The page that confirms an address with a POST. It takes the token from `?token=`, or from the last segment of the
/// path.
pub fn confirm(ctx: &Context) -> Response {
    link_page(ctx, "confirm").header(VARY, HeaderValue::from_static("accept"))
}

/// The page of a link is a view of the account page.
fn link_page(ctx: &Context, name: &'static str) -> Response {
    shell::respond(ctx, &Page { name, ..ACCOUNT })
}

fn with_policy(response: Response) -> Response {
    response
        .header(CONTENT_SECURITY_POLICY, FILE_POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

/// True if `Accept` (RFC 9110, 12.5.1) names HTML with more weight than JSON. `*/*` alone does not count: programs
/// send it.
fn prefers_html(accept: &str) -> bool {
    let weight = |media_type: &str| {
        let ranges = weighted(accept).filter(|(range, _)| range.eq_ignore_ascii_case(media_type));
        ranges.map(|(_, weight)| weight).reduce(f32::max)
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
