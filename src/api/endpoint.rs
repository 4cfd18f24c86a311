//! Calls, each written once. [`endpoint!`] stands under a handler and adds to its `#[utoipa::path]` documentation what
//! the document cannot say: the metric label and the possible errors. Each dialect lists its endpoints once, in
//! groups; the router and the OpenAPI document are both built from that list.
//!
//! Knows none of the dialects.

use http::Method;
use utoipa::openapi::{Deprecated, OpenApi};

use super::ApiError;
use crate::auth::context::Context;
use crate::config::Config;
use crate::http::{Response, RouteGroup, Routes};

/// One call of a dialect; made by [`endpoint!`].
pub(crate) struct Endpoint {
    /// The handler's `#[utoipa::path]`: method, path below the dialect's prefix, operation id, schemas and texts.
    pub(crate) docs: fn() -> OpenApi,
    /// The possible errors beside those that any call with such parameters, body and credentials can have.
    pub(crate) errors: fn() -> Vec<ApiError>,
    /// Adds the handler to the routes.
    pub(crate) mount: Mount,
}

/// Adds a handler under a method and a path.
pub(crate) type Mount = for<'r> fn(RouteGroup<'r, Context>, Method, &str, &Config) -> RouteGroup<'r, Context>;

/// Endpoints whose errors are rendered by the same function.
pub(crate) struct EndpointGroup {
    /// The path below the dialect's prefix under which this group renders errors of unknown paths; empty for all paths.
    pub(crate) scope: &'static str,
    /// Turns errors into this group's responses.
    pub(crate) renderer: fn(ApiError, &Config) -> Response,
    /// The name of the schema of error bodies with this status.
    pub(crate) error_schema: fn(u16) -> &'static str,
    /// The endpoints.
    pub(crate) endpoints: &'static [Endpoint],
}

impl EndpointGroup {
    /// Adds the endpoints to the route table, below `prefix`.
    pub(crate) fn add_routes(&self, routes: &mut Routes<Context>, prefix: &str, config: &Config) {
        self.add_selected_routes(routes, prefix, config, |_| true);
    }

    /// Adds the endpoints whose path below `prefix` is selected.
    pub(crate) fn add_selected_routes(
        &self,
        routes: &mut Routes<Context>,
        prefix: &str,
        config: &Config,
        select: fn(&str) -> bool,
    ) {
        let renderer = self.renderer;
        let mut group = routes.group_with_scope(prefix, self.scope, move |ctx: &Context, rejection| {
            renderer(rejection.into(), &ctx.node.config)
        });
        for endpoint in self.endpoints {
            let paths = (endpoint.docs)().paths.paths;
            for (path, item) in paths.into_iter().filter(|(path, _)| select(path)) {
                let operations = [
                    (Method::GET, item.get),
                    (Method::PUT, item.put),
                    (Method::POST, item.post),
                    (Method::DELETE, item.delete),
                    (Method::PATCH, item.patch),
                ];
                for (method, _) in operations.into_iter().filter(|(_, operation)| operation.is_some()) {
                    group = (endpoint.mount)(group, method, &path, config);
                }
            }
        }
    }
}

/// An earlier path of an endpoint, which keeps working. The document says so.
pub(crate) const fn deprecated_alias(endpoint: &Endpoint, docs: fn() -> OpenApi) -> Endpoint {
    Endpoint { docs, errors: endpoint.errors, mount: endpoint.mount }
}

/// The documentation of an endpoint under an earlier path.
pub(crate) fn deprecated_docs(mut docs: OpenApi, path: &str, operation_id: &str) -> OpenApi {
    let mut items = std::mem::take(&mut docs.paths.paths);
    if let Some((current, mut item)) = items.pop_first() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten();
        for operation in operations {
            operation.operation_id = Some(operation_id.to_owned());
            operation.deprecated = Some(Deprecated::True);
            operation.description = Some(format!("The earlier path of `{current}`, which replaces it."));
        }
        docs.paths.paths.insert(path.to_owned(), item);
    }
    docs
}

/// Makes an [`Endpoint`] of a handler that has a `#[utoipa::path]`:
///
/// ```ignore
/// pub(super) const REVOKE: Endpoint = endpoint! {
///     handler: revoke,
///     metric_label: "native.revoke",
///     errors: [Error::RateLimited { .. }],
/// };
/// ```
///
/// - `sync_handler` in place of `handler`: a function of `&Context` and `&Request` that does not wait.
/// - `handler_of_all_below` in place of `handler`: takes every method, and all paths below its own.
/// - `state: |config| …` after it: made once per route table; the handler gets a reference to it as last argument.
/// - `docs: path::to::handler`: the `#[utoipa::path]` stands on another function, which several dialects share.
/// - `respond: function`: makes the response of the handler's result and the state.
macro_rules! endpoint {
    (
        handler: $handler:ident,
        $(docs: $($docs:ident)::+,)?
        metric_label: $label:literal
        $(, errors: [$($error:expr),* $(,)?])? $(,)?
    ) => {
        $crate::api::endpoint::endpoint!(
            @build [$handler $(, $($docs)::+)?] [$($($error),*)?]
            |group, method, path, _| group.on(method, path, $label, $handler)
        )
    };
    (
        handler: $handler:ident,
        state: $state:expr,
        respond: $respond:path,
        metric_label: $label:literal
        $(, errors: [$($error:expr),* $(,)?])? $(,)?
    ) => {
        $crate::api::endpoint::endpoint!(
            @build [$handler] [$($($error),*)?]
            |group, method, path, config| {
                let state = $state(config);
                group.on(method, path, $label, move |ctx, request| {
                    let result = $handler(ctx, request);
                    async move { $respond(result.await, state) }
                })
            }
        )
    };
    (
        sync_handler: $handler:ident,
        metric_label: $label:literal
        $(, errors: [$($error:expr),* $(,)?])? $(,)?
    ) => {
        $crate::api::endpoint::endpoint!(
            @build [$handler] [$($($error),*)?]
            |group, method, path, _| group.on_sync(method, path, $label, $handler)
        )
    };
    (
        sync_handler: $handler:ident,
        state: $state:expr,
        metric_label: $label:literal
        $(, errors: [$($error:expr),* $(,)?])? $(,)?
    ) => {
        $crate::api::endpoint::endpoint!(
            @build [$handler] [$($($error),*)?]
            |group, method, path, config| {
                let state = $state(config);
                group.on_sync(method, path, $label, move |ctx, request| $handler(ctx, request, &state))
            }
        )
    };
    (
        handler_of_all_below: $handler:ident,
        metric_label: $label:literal
        $(, errors: [$($error:expr),* $(,)?])? $(,)?
    ) => {
        $crate::api::endpoint::endpoint!(
            @build [$handler] [$($($error),*)?]
            |group, method, path, _| group.on_all_below(method, path, $label, $handler)
        )
    };
    (@build [$handler:ident] [$($error:expr),*] $mount:expr) => {
        $crate::api::endpoint::endpoint!(@build [$handler, $handler] [$($error),*] $mount)
    };
    (@build [$handler:ident, $($docs:ident)::+] [$($error:expr),*] $mount:expr) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($docs)::+))]
        struct Docs;

        $crate::api::endpoint::Endpoint {
            docs: <Docs as utoipa::OpenApi>::openapi,
            errors: || vec![$($crate::api::ApiError::from($error)),*],
            mount: $mount,
        }
    }};
}

pub(super) use endpoint;
