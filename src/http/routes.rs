//! The route table while it is being built. Each API adds [a group of routes under a prefix](Routes::group), together
//! with the function that renders errors there.
//!
//! Built once and shared by all workers. Knows nothing of the context that handlers receive.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{HeaderValue, Method};

use super::cors::Cors;
use super::rejection::Rejection;
use super::request::Request;
use super::response::{IntoResponse, Response};

pub(super) type ResponseFuture = Pin<Box<dyn Future<Output = Response>>>;
type AsyncHandler<C> = Box<dyn Fn(C, Request) -> ResponseFuture + Send + Sync>;
type SyncHandler<C> = Box<dyn Fn(&C, &Request) -> Response + Send + Sync>;
pub(super) type ErrorRenderer<C> = Arc<dyn Fn(&C, Rejection) -> Response + Send + Sync>;

/// The metric label of requests that match no route.
pub const UNROUTED: &str = "unrouted";

/// A route table under construction; `build`, in `router.rs`, turns it into a `Router`.
pub struct Routes<C> {
    pub(super) paths: BTreeMap<String, PathEntry<C>>,
    pub(super) metric_labels: Vec<&'static str>,
    /// By prefix: longest first, equal prefixes in the order in which they were added.
    pub(super) renderers: Vec<(String, ErrorRenderer<C>)>,
    pub(super) cors: Cors,
    /// The first route that was registered twice.
    pub(super) duplicate: Option<String>,
}

pub(super) struct PathEntry<C> {
    pub(super) routes: Vec<Route<C>>,
    /// The value of `Allow`; set by `build`.
    pub(super) allow: HeaderValue,
    /// Scripts of every origin may read the responses to GET.
    pub(super) any_origin: bool,
    /// The methods of the routes that have a parameter where this path ends: a request for one of those with an empty
    /// parameter must not be mistaken for this path with a trailing slash.
    pub(super) methods_with_parameter: Vec<Method>,
}

pub(super) enum Handler<C> {
    /// Owns its request, and may read the body and wait.
    Async(AsyncHandler<C>),
    /// Answers immediately from borrowed data, without a future to allocate and poll.
    Sync(SyncHandler<C>),
}

pub(super) struct Route<C> {
    pub(super) method: Method,
    /// Takes every other method too.
    pub(super) any_method: bool,
    /// Index into the metric labels.
    pub(super) label: usize,
    pub(super) handler: Handler<C>,
    /// Index into the renderers of the routes; set by `build`.
    pub(super) number: usize,
    /// The path was registered with a trailing slash.
    pub(super) trailing_slash: bool,
    pub(super) renderer: ErrorRenderer<C>,
}

/// An invalid route table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteTableError {
    /// Two routes have the same method and path.
    #[error("the route {route} is registered twice: two APIs with a common path cannot share a prefix")]
    Duplicate {
        /// Method and path.
        route: String,
    },
    /// A path is malformed, or conflicts with another one.
    #[error("the path {path} cannot be routed: {detail}")]
    InvalidPath {
        /// The path.
        path: String,
        /// The reason.
        detail: String,
    },
}

impl<C: 'static> Default for Routes<C> {
    fn default() -> Self {
        Self {
            paths: BTreeMap::new(),
            metric_labels: vec![UNROUTED],
            renderers: Vec::new(),
            cors: Cors::default(),
            duplicate: None,
        }
    }
}

impl<C: 'static> Routes<C> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the origins from which browsers may call.
    pub fn cors(&mut self, origins: &[String]) -> &mut Self {
        self.cors = Cors::new(origins);
        self
    }

    /// Lets scripts of every origin read the document at this path, which has a route. Its responses are made with
    /// [`Response::for_any_origin`].
    pub fn allow_any_origin(&mut self, path: &str) {
        if let Some(entry) = self.paths.get_mut(path) {
            entry.any_origin = true;
        }
    }

    /// Starts a group of routes under `prefix` (empty: all paths). `renderer` turns errors of these routes, and of
    /// requests under `prefix` that match no route, into responses.
    pub fn group<R>(&mut self, prefix: &str, renderer: R) -> RouteGroup<'_, C>
    where
        R: Fn(&C, Rejection) -> Response + Send + Sync + 'static,
    {
        self.group_with_scope(prefix, "", renderer)
    }

    /// Like [`group`](Self::group), but `renderer` renders requests that match no route only under `scope`, a path
    /// below the prefix.
    pub fn group_with_scope<R>(&mut self, prefix: &str, scope: &str, renderer: R) -> RouteGroup<'_, C>
    where
        R: Fn(&C, Rejection) -> Response + Send + Sync + 'static,
    {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let scope = format!("{prefix}{}", scope.trim_end_matches('/'));
        let renderer: ErrorRenderer<C> = Arc::new(renderer);
        let at = self.renderers.partition_point(|(known, _)| known.len() >= scope.len());
        self.renderers.insert(at, (scope, renderer.clone()));
        RouteGroup { routes: self, prefix, renderer }
    }
}

/// The name of the parameter that holds the rest of a path.
pub(super) const TAIL: &str = "tail";

/// The path ends with a parameter that holds any number of segments.
pub(super) fn has_tail(path: &str) -> bool {
    path.ends_with("{*tail}")
}

/// The methods of the routes whose last segment is a parameter, by the path without that segment.
pub(super) fn methods_with_parameter<C>(paths: &BTreeMap<String, PathEntry<C>>) -> BTreeMap<String, Vec<Method>> {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for (path, entry) in paths.iter().filter(|(path, _)| !has_tail(path)) {
        if let Some((parent, last)) = path.rsplit_once('/')
            && last.starts_with('{')
        {
            let here = methods.entry(parent.to_owned()).or_default();
            here.extend(entry.routes.iter().map(|route| route.method.clone()));
        }
    }
    methods
}

pub(super) fn allow<C>(routes: &[Route<C>]) -> HeaderValue {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).chain(["OPTIONS"]).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

/// Adds routes under one prefix. Errors there are rendered by one function.
pub struct RouteGroup<'r, C> {
    routes: &'r mut Routes<C>,
    prefix: String,
    renderer: ErrorRenderer<C>,
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
        pub fn $name<H, F>(self, path: &str, metric_label: &'static str, handler: H) -> Self
        where
            H: Fn(C, Request) -> F + Send + Sync + 'static,
            F: Future<Output: IntoResponse> + 'static,
        {
            self.on(Method::$method, path, metric_label, handler)
        }
    };
}

impl<C: 'static> RouteGroup<'_, C> {
    method!(
        /// Adds a GET route; it also answers HEAD where HEAD has no route of its own.
        get, GET
    );
    method!(
        /// Adds a HEAD route.
        head, HEAD
    );
    method!(
        /// Adds a POST route.
        post, POST
    );
    method!(
        /// Adds a PUT route.
        put, PUT
    );
    method!(
        /// Adds a PATCH route.
        patch, PATCH
    );
    method!(
        /// Adds a DELETE route.
        delete, DELETE
    );

    /// Adds a GET route (and HEAD, as [`get`](Self::get) does) whose handler neither reads the body nor waits.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn get_sync<H, A>(self, path: &str, metric_label: &'static str, handler: H) -> Self
    where
        H: Fn(&C, &Request) -> A + Send + Sync + 'static,
        A: IntoResponse,
    {
        self.on_sync(Method::GET, path, metric_label, handler)
    }

    /// The same as [`on`](Self::on), for a handler that neither reads the body nor waits.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn on_sync<H, A>(self, method: Method, path: &str, metric_label: &'static str, handler: H) -> Self
    where
        H: Fn(&C, &Request) -> A + Send + Sync + 'static,
        A: IntoResponse,
    {
        let handler = Handler::Sync(Box::new(move |context, request| handler(context, request).into_response()));
        self.add(method, path, metric_label, handler)
    }

    /// Adds a route: `method`, `path` below the prefix (`/sessions/{id}`), and the label under which it is counted.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn on<H, F>(self, method: Method, path: &str, metric_label: &'static str, handler: H) -> Self
    where
        H: Fn(C, Request) -> F + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + 'static,
    {
        // Not an `async` block that awaits the future: the block would have space for it twice, and copy it from one
        // to the other.
        let handler: AsyncHandler<C> =
            Box::new(move |context, request| Box::pin(handler(context, request).map(IntoResponse::into_response)));
        self.add(method, path, metric_label, Handler::Async(handler))
    }

    /// Adds a route that takes every method, OPTIONS included, at `path` and at all paths below it. The text after
    /// `path` and a slash is the parameter `tail`, as sent. `method` is the one by which the route is listed.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn on_all_below<H, F>(mut self, method: Method, path: &str, metric_label: &'static str, handler: H) -> Self
    where
        H: Fn(C, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + 'static,
    {
        for path in [path.to_owned(), format!("{path}/{{*{TAIL}}}")] {
            self = self.on(method.clone(), &path, metric_label, handler.clone());
            let routes = self.routes.paths.get_mut(&format!("{}{path}", self.prefix)).map(|entry| &mut entry.routes);
            if let Some(route) = routes.and_then(|routes| routes.last_mut()) {
                route.any_method = true;
            }
        }
        self
    }

    fn add(self, method: Method, path: &str, metric_label: &'static str, handler: Handler<C>) -> Self {
        let path = format!("{}{path}", self.prefix);
        let trailing_slash = path.ends_with('/');
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { "/".to_owned() };
        let labels = &mut self.routes.metric_labels;
        let label = labels.iter().position(|known| *known == metric_label).unwrap_or_else(|| {
            labels.push(metric_label);
            labels.len() - 1
        });
        let entry = self.routes.paths.entry(path.clone());
        let entry = entry.or_insert_with(|| PathEntry {
            routes: Vec::new(),
            allow: HeaderValue::from_static(""),
            any_origin: false,
            methods_with_parameter: Vec::new(),
        });
        if entry.routes.iter().any(|route| route.method == method) {
            self.routes.duplicate.get_or_insert(format!("{method} {path}"));
        }
        let renderer = self.renderer.clone();
        entry.routes.push(Route { method, any_method: false, label, handler, number: 0, trailing_slash, renderer });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn render_plain((): &(), rejection: Rejection) -> Response {
        Response::text(StatusCode::NOT_FOUND, rejection.to_string())
    }

    async fn ok((): (), _: Request) -> Response {
        Response::empty(StatusCode::OK)
    }

    #[test]
    fn duplicate_routes_are_refused() {
        let mut routes = Routes::new();
        routes.group("/auth", render_plain).get("/me", "one.me", ok).post("/me", "one.change", ok);
        routes.group("", render_plain).get("/auth/me/", "other.me", ok);
        assert_eq!(routes.build().unwrap_err(), RouteTableError::Duplicate { route: "GET /auth/me".into() });
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let mut routes = Routes::new();
        routes.group("", render_plain).get("/users/{id}", "user", ok).get("/users/{name}", "user.by_name", ok);
        assert!(matches!(routes.build(), Err(RouteTableError::InvalidPath { .. })));
    }

    #[test]
    fn routes_with_one_label_share_a_counter() {
        let mut routes = Routes::new();
        routes
            .group("", render_plain)
            .post("/logout", "logout", ok)
            .post("/authorized/logout", "logout", ok)
            .get("/", "root", ok);
        assert_eq!(routes.build().unwrap().metric_labels(), [UNROUTED, "logout", "root"]);
    }
}
