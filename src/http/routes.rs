//! The table of contents of what is served, while it is being written: each API adds its routes [under a
//! prefix](Routes::under), together with the function that words what goes wrong there.
//!
//! Built once and shared by all workers. Knows nothing of the context that handlers are handed.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::cors::Cors;
use super::rejection::Rejection;
use super::request::Request;
use super::response::{IntoResponse, Response};
use super::router::Router;

pub(super) type ResponseFuture = Pin<Box<dyn Future<Output = Response>>>;
type AsyncHandler<C> = Box<dyn Fn(C, Request) -> ResponseFuture + Send + Sync>;
type SyncHandler<C> = Box<dyn Fn(&C, &Request) -> Response + Send + Sync>;
pub(super) type ErrorRenderer<C> = Arc<dyn Fn(&C, Rejection) -> Response + Send + Sync>;

/// What requests are counted by that reached no route.
pub const UNROUTED: &str = "unrouted";

/// The table of contents while it is being written.
pub struct Routes<C> {
    paths: BTreeMap<String, Path<C>>,
    names: Vec<&'static str>,
    /// Longest prefix first; of equal ones the first that was added.
    wordings: Vec<(String, ErrorRenderer<C>)>,
    cors: Cors,
    twice: Option<String>,
}

pub(super) struct Path<C> {
    pub(super) routes: Vec<Route<C>>,
    /// The methods, as `Allow` lists them; made when the table is complete.
    pub(super) allow: HeaderValue,
    /// The methods of the routes that have a parameter where this path ends: a request for one of those with an empty
    /// parameter must not be mistaken for this path with a trailing slash.
    pub(super) methods_with_parameter: Vec<Method>,
}

/// What answers.
pub(super) enum Handler<C> {
    /// After a while.
    Async(AsyncHandler<C>),
    /// From what is there: nothing is handed over, nothing has to be kept while others are served.
    Sync(SyncHandler<C>),
}

pub(super) struct Route<C> {
    pub(super) method: Method,
    pub(super) index: usize,
    pub(super) handler: Handler<C>,
    /// Which of all routes it is; given when the table is complete.
    pub(super) number: usize,
    /// The path was registered with a trailing slash.
    pub(super) trailing_slash: bool,
    wording: ErrorRenderer<C>,
}

/// Why a table of routes will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteTableError {
    /// Two routes would answer the same requests.
    #[error("the route {route} is there twice: two APIs cannot share a prefix on which they have a path in common")]
    Duplicate {
        /// Method and path.
        route: String,
    },
    /// A path cannot be matched, or not beside another.
    #[error("the path {path} cannot be routed: {detail}")]
    InvalidPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl<C: 'static> Default for Routes<C> {
    fn default() -> Self {
        Self { paths: BTreeMap::new(), names: vec![UNROUTED], wordings: Vec::new(), cors: Cors::default(), twice: None }
    }
}

impl<C: 'static> Routes<C> {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// From which origins browsers may call; `*` for all.
    pub fn cors(&mut self, origins: &[String]) -> &mut Self {
        self.cors = Cors::new(origins);
        self
    }

    /// Begins the routes under a prefix (empty: all paths), with the function that words what goes wrong there.
    pub fn group<W>(&mut self, prefix: &str, wording: W) -> RouteGroup<'_, C>
    where
        W: Fn(&C, Rejection) -> Response + Send + Sync + 'static,
    {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let wording: ErrorRenderer<C> = Arc::new(wording);
        let at = self.wordings.partition_point(|(known, _)| known.len() >= prefix.len());
        self.wordings.insert(at, (prefix.clone(), wording.clone()));
        RouteGroup { routes: self, prefix, wording }
    }

    /// Completes the table.
    ///
    /// # Errors
    /// [`RouteTableError`] if two routes would answer the same requests, or a path cannot be matched.
    pub fn build(self) -> Result<Router<C>, RouteTableError> {
        if let Some(route) = self.twice {
            return Err(RouteTableError::Duplicate { route });
        }
        let with_parameter = methods_with_parameter(&self.paths);
        let (mut paths, mut listing, mut wordings_of_routes) = (matchit::Router::new(), Vec::new(), Vec::new());
        for (path, mut entry) in self.paths {
            entry.allow = allow(&entry.routes);
            entry.methods_with_parameter = with_parameter.get(&path).cloned().unwrap_or_default();
            for route in &mut entry.routes {
                route.number = wordings_of_routes.len();
                wordings_of_routes.push(route.wording.clone());
            }
            listing.extend(entry.routes.iter().map(|route| (route.method.clone(), path.clone())));
            let inserted = paths.insert(path.clone(), entry);
            inserted.map_err(|error| RouteTableError::InvalidPath { path, detail: error.to_string() })?;
        }
        let (names, wordings, cors) = (self.names, self.wordings, self.cors);
        Ok(Router { paths, names, listing, wordings, wordings_of_routes, cors })
    }
}

/// The methods of the routes whose last segment is a parameter, by the path without that segment.
fn methods_with_parameter<C>(paths: &BTreeMap<String, Path<C>>) -> BTreeMap<String, Vec<Method>> {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for (path, entry) in paths {
        if let Some((parent, last)) = path.rsplit_once('/')
            && last.starts_with('{')
        {
            let here = methods.entry(parent.to_owned()).or_default();
            here.extend(entry.routes.iter().map(|route| route.method.clone()));
        }
    }
    methods
}

fn allow<C>(routes: &[Route<C>]) -> HeaderValue {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).chain(["OPTIONS"]).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}

/// The routes under one prefix, while they are being written.
pub struct RouteGroup<'r, C> {
    routes: &'r mut Routes<C>,
    prefix: String,
    wording: ErrorRenderer<C>,
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
        pub fn $name<H, F>(self, path: &str, name: &'static str, handler: H) -> Self
        where
            H: Fn(C, Request) -> F + Send + Sync + 'static,
            F: Future<Output: IntoResponse> + 'static,
        {
            self.on(Method::$method, path, name, handler)
        }
    };
}

impl<C: 'static> RouteGroup<'_, C> {
    method!(
        /// Answers GET, and HEAD where it has no route of its own.
        get, GET
    );
    method!(
        /// Answers HEAD.
        head, HEAD
    );
    method!(
        /// Answers POST.
        post, POST
    );
    method!(
        /// Answers PUT.
        put, PUT
    );
    method!(
        /// Answers PATCH.
        patch, PATCH
    );
    method!(
        /// Answers DELETE.
        delete, DELETE
    );

    /// Answers GET, and HEAD where it has no route of its own, from what is there: the body is not read, and nothing is waited for.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn get_sync<H, A>(self, path: &str, name: &'static str, handler: H) -> Self
    where
        H: Fn(&C, &Request) -> A + Send + Sync + 'static,
        A: IntoResponse,
    {
        let handler = Handler::Sync(Box::new(move |context, request| handler(context, request).into_response()));
        self.add(Method::GET, path, name, handler)
    }

    /// Answers `method` on `path` (`/sessions/{id}`); `name` is what the route is counted by.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn on<H, F>(self, method: Method, path: &str, name: &'static str, handler: H) -> Self
    where
        H: Fn(C, Request) -> F + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + 'static,
    {
        let handler: AsyncHandler<C> = Box::new(move |context, request| {
            let answering = handler(context, request);
            Box::pin(async move { answering.await.into_response() })
        });
        self.add(method, path, name, Handler::Async(handler))
    }

    fn add(self, method: Method, path: &str, name: &'static str, handler: Handler<C>) -> Self {
        let path = format!("{}{path}", self.prefix);
        let trailing_slash = path.ends_with('/');
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { "/".to_owned() };
        let names = &mut self.routes.names;
        let index = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        let entry = self.routes.paths.entry(path.clone());
        let entry = entry.or_insert_with(|| Path {
            routes: Vec::new(),
            allow: HeaderValue::from_static(""),
            methods_with_parameter: Vec::new(),
        });
        if entry.routes.iter().any(|route| route.method == method) {
            self.routes.twice.get_or_insert(format!("{method} {path}"));
        }
        let wording = self.wording.clone();
        entry.routes.push(Route { method, index, handler, number: 0, trailing_slash, wording });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn word_it((): &(), rejection: Rejection) -> Response {
        Response::text(StatusCode::NOT_FOUND, rejection.to_string())
    }

    async fn ok((): (), _: Request) -> Response {
        Response::empty(StatusCode::OK)
    }

    #[test]
    fn two_routes_for_the_same_requests_are_refused() {
        let mut routes = Routes::new();
        routes.group("/auth", word_it).get("/me", "one.me", ok).post("/me", "one.change", ok);
        routes.group("", word_it).get("/auth/me/", "other.me", ok);
        assert_eq!(routes.build().unwrap_err(), RouteTableError::Duplicate { route: "GET /auth/me".into() });
    }

    #[test]
    fn paths_that_cannot_be_told_apart_are_refused() {
        let mut routes = Routes::new();
        routes.group("", word_it).get("/users/{id}", "user", ok).get("/users/{name}", "user.by_name", ok);
        assert!(matches!(routes.build(), Err(RouteTableError::InvalidPath { .. })));
    }

    #[test]
    fn routes_of_one_name_are_counted_together() {
        let mut routes = Routes::new();
        routes
            .group("", word_it)
            .post("/logout", "logout", ok)
            .post("/authorized/logout", "logout", ok)
            .get("/", "root", ok);
        assert_eq!(routes.build().unwrap().metric_labels(), [UNROUTED, "logout", "root"]);
    }
}
