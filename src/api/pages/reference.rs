//! The API reference at `/docs`: the page, and what it loads beside its files. That is an index of the OpenAPI document
//! at first, and the details of each operation that is opened, because the whole document is several times as large as
//! everything else on the page.
//!
//! All parts are serialized at the first request for one and then kept: 630 kB with all APIs, a third more than the
//! document, because operations share schemas. A request is then a look-up.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;

use super::{HTML, files, shell, with_policy};
use crate::api::openapi::ReferenceParts;
use crate::auth::context::Context;
use crate::config::Config;
use crate::http::{CachedResponse, Request, Response, RouteGroup};

const JSON: &str = "application/json";

/// The parts of the OpenAPI document, ready to be sent.
struct Reference {
    index: CachedResponse,
    /// By operation id.
    details: HashMap<String, CachedResponse>,
}

impl Reference {
    fn new(config: &Config) -> Self {
        let ReferenceParts { index, details } = ReferenceParts::new(crate::api::document(config));
        let details = details.into_iter().map(|(id, part)| (id, CachedResponse::new(JSON, part.to_string()))).collect();
        Self { index: CachedResponse::new(JSON, index.to_string()), details }
    }
}

/// Adds the page and the parts of the document. They are for this page alone, so the document does not list them.
pub(super) fn add_routes(group: RouteGroup<'_, Context>) -> RouteGroup<'_, Context> {
    // Built at the first request, as the document is, because most servers never get one.
    let for_index = Arc::new(OnceLock::new());
    let for_details = Arc::clone(&for_index);
    let group = group.get_sync("/docs", "pages.docs", |ctx: &Context, _: &Request| page(ctx));
    let group = group.get_sync("/docs/index.json", "pages.docs", move |ctx: &Context, request: &Request| {
        with_policy(parts(&for_index, ctx).index.respond(request))
    });
    group.get_sync("/docs/operations/{id}", "pages.docs", move |ctx: &Context, request: &Request| {
        match parts(&for_details, ctx).details.get(request.param("id")) {
            Some(part) => with_policy(part.respond(request)),
            None => Response::empty(StatusCode::NOT_FOUND),
        }
    })
}

fn parts<'a>(reference: &'a OnceLock<Reference>, ctx: &Context) -> &'a Reference {
    reference.get_or_init(|| Reference::new(&ctx.node.config))
}

fn page(ctx: &Context) -> Response {
    let config = &ctx.node.config;
    let brand = match ctx.node.mailer.logo() {
        Some(_) => "<img src=\"{base}/pages/logo\" alt=\"{service}\" height=\"32\">",
        None => concat!(include_str!("mark.svg"), "<span>{service}</span>"),
    };
    // Safe, because the settings allow no HTML metacharacter in a prefix. The name comes last: it may contain braces.
    let text = include_str!("docs.html").replace("{brand}", brand);
    let text = text.replace("{files}", &files::folder(config)).replace("{base}", &config.api.native.prefix);
    let text = text.replace("{service}", &shell::escape(&config.mail.service_name));
    let response = with_policy(Response::bytes(StatusCode::OK, HTML, text)).no_store();
    response.header(CONTENT_SECURITY_POLICY, shell::PAGE_POLICY)
}
