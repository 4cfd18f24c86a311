//! The page at `/`: what this server is, and where its documents and pages are. Also the logo, which mails load too.
//!
//! On a server that only this machine reaches, the page also names the first steps of an operator.

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::shell::{self, Page};
use super::with_policy;
use crate::auth::context::Context;
use crate::config::{Config, ConsoleListener, Home};
use crate::http::{Rejection, Request, Response, RouteGroup, Routes};

const HOME: Page = Page { name: "home", folder: "home", preload: &["home", "base", "vendor"], own_frames: false };

/// The time for which mail clients and browsers may keep the logo. Its URL stays the same when the file changes.
const LOGO_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The facts about this server that the page shows.
#[derive(Serialize)]
struct HomeFacts<'a> {
    issuer: &'a str,
    /// The URL of the console, if a browser on this machine reaches it.
    console: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<LocalFacts>,
}

/// The facts that the page shows only on a server that no other machine reaches.
#[derive(Serialize)]
struct LocalFacts {
    /// The command that creates the first superuser.
    command: &'static str,
    /// The directory that mails are written to; `None`: they are sent.
    outbox: Option<String>,
}

/// Adds `/`, unless it is switched off.
pub(in crate::api) fn add_home(
    routes: &mut Routes<Context>,
    config: &Config,
    renderer: fn(&Context, Rejection) -> Response,
) {
    match &config.pages.home {
        // Its scripts are among the routes of the native dialect.
        Home::Page if config.api.native.enabled => {
            routes.group("", renderer).get_sync("/", "pages.home", |ctx: &Context, _: &Request| page(ctx));
        }
        Home::Redirect(url) => {
            let url = url.clone();
            let redirect = move |_: &Context, _: &Request| {
                Response::empty(StatusCode::FOUND).header_text(LOCATION, &url).no_store()
            };
            routes.group("", renderer).get_sync("/", "pages.home", redirect);
        }
        Home::Page | Home::Off => {}
    }
}

/// Adds the logo's file. Not found if there is none.
pub(super) fn add_logo(group: RouteGroup<'_, Context>) -> RouteGroup<'_, Context> {
    group.get_sync("/pages/logo", "pages.file", |ctx: &Context, _: &Request| {
        let Some(logo) = ctx.node.mailer.logo() else { return Response::empty(StatusCode::NOT_FOUND) };
        let image = Response::bytes(StatusCode::OK, HeaderValue::from_static(logo.media_type), logo.content.clone());
        with_policy(image).header(CACHE_CONTROL, LOGO_MAX_AGE)
    })
}

fn page(ctx: &Context) -> Response {
    let config = &ctx.node.config;
    let is_local = is_local(config);
    let local = is_local.then(|| LocalFacts {
        command: "signet users create --email you@example.org --superuser --verified --password-stdin",
        outbox: ctx.node.mailer.outbox().map(|folder| folder.display().to_string()),
    });
    let path = format!("{}/console", config.api.native.prefix);
    let console = match (config.console.listener, config.server.management) {
        (ConsoleListener::Public, _) => Some(path),
        (ConsoleListener::Management, Some(management)) if is_local => Some(format!("http://{management}{path}")),
        _ => None,
    };
    shell::respond_with(ctx, &HOME, Some(&HomeFacts { issuer: &config.tokens.issuer, console, local }))
}

/// True if only this machine reaches the server. A proxy on the same machine also connects from a loopback address, so
/// the public URL must be one as well.
fn is_local(config: &Config) -> bool {
    let loopback = ["http://127.", "http://localhost", "http://[::1]"];
    config.server.listen.ip().is_loopback() && loopback.iter().any(|url| config.server.public_url.starts_with(url))
}
