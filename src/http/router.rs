//! From a request to its response: finds the route, runs the handler within bounds of time and panic, and adds the
//! header fields that all responses have.
//!
//! Errors outside a handler (unknown paths, wrong methods, panics, timeouts) are rendered by the function of the
//! longest prefix that matches. A request without a valid host gets a bare 400, like an unreadable head.
//!
//! Paths are split at `/` as sent and only then decoded: `%2f` is never a separator, `//` is never `/`. One trailing
//! slash is optional.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, StatusCode, Version};

use super::body::BodyHandle;
use super::body_budget;
use super::cors::{Cors, CorsHeaders};
use super::limits::RequestLimits;
use super::rejection::Rejection;
use super::request::{Request, decode_segment};
use super::request_id::RequestId;
use super::response::Response;
use super::routes::{
    ErrorRenderer, Handler, PathEntry, ResponseFuture, Route, RouteTableError, Routes, TAIL, allow, has_tail,
    methods_with_parameter,
};
use crate::clock::request_budget;

/// The complete table of routes.
pub struct Router<C> {
    paths: matchit::Router<PathEntry<C>>,
    metric_labels: Vec<&'static str>,
    listing: Vec<(Method, String)>,
    renderers: Vec<(String, ErrorRenderer<C>)>,
    /// By [`Route::number`].
    route_renderers: Vec<ErrorRenderer<C>>,
    cors: Cors,
}

/// A response and the route that produced it.
#[derive(Debug)]
pub struct Exchange {
    /// Index into [`Router::metric_labels`].
    pub route: usize,
    /// The response.
    pub response: Response,
    /// The HTTP/1 connection cannot carry another request: part of this body is still to come, or the request named no
    /// host.
    pub last: bool,
}

impl<C: 'static> Routes<C> {
    /// Completes the table.
    ///
    /// # Errors
    /// [`RouteTableError`] if two routes have the same method and path, or a path is invalid.
    pub fn build(self) -> Result<Router<C>, RouteTableError> {
        if let Some(route) = self.duplicate {
            return Err(RouteTableError::Duplicate { route });
        }
        let with_parameter = methods_with_parameter(&self.paths);
        let (mut paths, mut listing, mut route_renderers) = (matchit::Router::new(), Vec::new(), Vec::new());
        for (path, mut entry) in self.paths {
            entry.allow = allow(&entry.routes);
            entry.methods_with_parameter = with_parameter.get(&path).cloned().unwrap_or_default();
            for route in &mut entry.routes {
                route.number = route_renderers.len();
                route_renderers.push(route.renderer.clone());
            }
            let listed = entry.routes.iter().filter(|_| !has_tail(&path));
            listing.extend(listed.map(|route| (route.method.clone(), path.clone())));
            let inserted = paths.insert(path.clone(), entry);
            inserted.map_err(|error| RouteTableError::InvalidPath { path, detail: error.to_string() })?;
        }
        let (metric_labels, renderers, cors) = (self.metric_labels, self.renderers, self.cors);
        Ok(Router { paths, metric_labels, listing, renderers, route_renderers, cors })
    }
}

impl<C: 'static> Router<C> {
    /// The metric labels of the routes, after [`UNROUTED`](super::UNROUTED).
    pub fn metric_labels(&self) -> &[&'static str] {
        &self.metric_labels
    }

    /// Every route: its method, and its path without a trailing slash. A route for all paths below another is not
    /// listed.
    pub fn listing(&self) -> &[(Method, String)] {
        &self.listing
    }

    /// Finds the handler of a request and calls it, without polling the future that it may return.
    pub fn begin(&self, context: &C, mut request: Request) -> Begun
    where
        C: Clone,
    {
        let (body, limits) = (request.body_handle(), *request.limits());
        let http1 = request.version() < Version::HTTP_2;
        let head = request.method() == Method::HEAD;
        let mut cors = self.cors.evaluate(request.headers()).map(Box::new);
        if !request.has_valid_host() {
            // Bare and final, as the response to an unreadable head: later bytes may be meant for another host.
            let progress = Progress::Done(Response::empty(StatusCode::BAD_REQUEST));
            return Begun { route: 0, progress, body, limits, http1, head, cors, last: http1 };
        }
        let (route, progress) = match self.find(request.method(), request.path()) {
            Found::Route(route, params) => {
                request.set_params(params);
                let begin = AssertUnwindSafe(|| match &route.handler {
                    Handler::Sync(handler) => Progress::Done(handler(context, &request)),
                    Handler::Async(handler) => {
                        Progress::Running { future: handler(context.clone(), request), number: route.number }
                    }
                });
                let progress = catch_unwind(begin).unwrap_or_else(|_| {
                    let renderer = self.route_renderers.get(route.number);
                    Progress::Done(render(renderer, context, Rejection::Internal))
                });
                (route.label, progress)
            }
            Found::Options { methods, any_origin } => {
                if any_origin {
                    cors = Some(Box::new(Cors::preflight_for_any_origin(request.headers())));
                }
                let mut response = Response::empty(StatusCode::NO_CONTENT).header(ALLOW, methods.clone());
                if let Some(cors) = &cors {
                    cors.apply_preflight(response.headers_mut(), methods);
                }
                (0, Progress::Done(response))
            }
            Found::OtherMethods(allow) => {
                let response = render(self.renderer(request.path()), context, Rejection::MethodNotAllowed);
                (0, Progress::Done(response.header(ALLOW, allow.clone())))
            }
            Found::Nothing => (0, Progress::Done(render(self.renderer(request.path()), context, Rejection::NotFound))),
        };
        Begun { route, progress, body, limits, http1, head, cors, last: false }
    }

    /// Waits for the response, in the context that was given to [`begin`](Self::begin). Never panics, even if the
    /// handler does, and always returns within the request timeout.
    pub async fn finish(&self, begun: Begun, context: &C, id: &RequestId) -> Exchange {
        let mut response = match begun.progress {
            Progress::Done(response) => response,
            Progress::Running { future, number } => {
                let response = run(future, begun.limits.request_timeout).await;
                match response.and_then(|response| count_large_body(response, &begun.limits)) {
                    Ok(response) => response,
                    Err(rejection) => render(self.route_renderers.get(number), context, rejection),
                }
            }
        };
        if begun.head {
            // RFC 9110, 9.3.2: the fields that GET would have sent, including `Content-Length`. hyper does not add it
            // for HTTP/2.
            let length = HeaderValue::from(response.content().len());
            response = response.header(CONTENT_LENGTH, length).body("");
        }
        if let Some(cors) = begun.cors {
            cors.apply(response.headers_mut());
        }
        response.set_request_id(id);
        // `Connection: close` tells the client before it sends another request; a reset afterwards would be too late.
        // Boxed, because nearly all bodies are read: this keeps the future of every request small.
        let body = &begun.body;
        let last = begun.last || begun.http1 && !body.is_complete() && !Box::pin(body.discard(&begun.limits)).await;
        Exchange { route: begun.route, response, last }
    }

    fn find(&self, method: &Method, sent: &str) -> Found<'_, C> {
        let path = if sent.len() > 1 { sent.strip_suffix('/').unwrap_or(sent) } else { sent };
        // A tail may consist of slashes alone.
        let Ok(matched) = self.paths.at(path).or_else(|_| self.paths.at(sent)) else {
            return Found::Nothing;
        };
        let (routes, is_head) = (&matched.value.routes, method == Method::HEAD);
        let with = |method: &Method| routes.iter().find(|route| route.method == method);
        let route = with(method).or_else(|| if is_head { with(&Method::GET) } else { None });
        let route = route.or_else(|| routes.iter().find(|route| route.any_method));
        // `/sessions/` is `/sessions/{id}` with an empty id. `DELETE /sessions` must not answer it: it ends all
        // sessions. A path that is registered with the slash is a path of its own, with 405 for its other methods.
        let takes_parameter = |other: &Method| other == method || is_head && *other == Method::GET;
        if path.len() < sent.len()
            && !routes.iter().any(|route| route.trailing_slash)
            && matched.value.methods_with_parameter.iter().any(takes_parameter)
        {
            return Found::Nothing;
        }
        let Some(route) = route else {
            let allow = &matched.value.allow;
            return match *method {
                Method::OPTIONS => Found::Options { methods: allow, any_origin: matched.value.any_origin },
                _ => Found::OtherMethods(allow),
            };
        };
        let decode = |(name, raw): (&str, &str)| {
            // A tail is no segment: decoded, its separators could not be told from the characters.
            let value = if name == TAIL { Some(raw.to_owned()) } else { decode_segment(raw) };
            value.map(|value| (name.to_owned(), value))
        };
        // Most paths have no parameters, and collecting none takes 150 instructions.
        let params =
            if matched.params.is_empty() { Some(Vec::new()) } else { matched.params.iter().map(decode).collect() };
        match params {
            Some(params) => Found::Route(route, params),
            None => Found::Nothing,
        }
    }

    /// The renderer of the longest prefix of the path.
    fn renderer(&self, path: &str) -> Option<&ErrorRenderer<C>> {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.renderers.iter().find(|(prefix, _)| prefix.is_empty() || under(prefix)).map(|(_, renderer)| renderer)
    }
}

/// A request whose handler was called; [`Router::finish`] takes it.
///
/// [`Router::begin`] is separate because futures are moved several times before they are pinned, and the request itself
/// must not be part of that. Holds nothing shared between workers: reference counts that several cores change with
/// every request make the cores wait for each other.
pub struct Begun {
    route: usize,
    progress: Progress,
    body: BodyHandle,
    limits: RequestLimits,
    http1: bool,
    head: bool,
    cors: Option<Box<CorsHeaders>>,
    /// The connection is closed without reading more of it.
    last: bool,
}

enum Progress {
    Running { future: ResponseFuture, number: usize },
    Done(Response),
}

async fn run(mut future: ResponseFuture, after: Duration) -> Result<Response, Rejection> {
    // A handler that panicked is not polled again and everything it held is dropped, so no half-done state is visible.
    let mut caught = pin!(request_budget::with_budget(std::future::poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).map_or(Poll::Ready(None), |poll| poll.map(Some))
    })));
    // Most handlers on the hot path finish at the first poll, and a timer costs more than they do.
    let first_poll = std::future::poll_fn(|cx| Poll::Ready(caught.as_mut().poll(cx))).await;
    let result = match first_poll {
        Poll::Ready(result) => Ok(result),
        // Boxed, so that requests that never wait do not carry space for a timer.
        Poll::Pending => Box::pin(tokio::time::timeout(after, caught)).await,
    };
    result.map_err(|_| Rejection::Timeout { after })?.ok_or(Rejection::Internal)
}

/// Counts a body of more than the usual size against the memory budget until it is written.
fn count_large_body(mut response: Response, limits: &RequestLimits) -> Result<Response, Rejection> {
    if response.content().len() <= limits.max_body {
        return Ok(response);
    }
    let body = body_budget::reserve_response(response.take_content(), limits.max_held)?;
    Ok(response.body(body))
}

impl<C> fmt::Debug for Router<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.metric_labels).finish()
    }
}

enum Found<'r, C> {
    /// With the parameters of the path.
    Route(&'r Route<C>, Vec<(String, String)>),
    Options {
        methods: &'r HeaderValue,
        any_origin: bool,
    },
    OtherMethods(&'r HeaderValue),
    Nothing,
}

/// Renders a rejection; the response is bare where no group has the path, or where the renderer itself panics.
fn render<C>(renderer: Option<&ErrorRenderer<C>>, context: &C, rejection: Rejection) -> Response {
    let bare = match &rejection {
        Rejection::NotFound => StatusCode::NOT_FOUND,
        Rejection::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    renderer
        .and_then(|renderer| catch_unwind(AssertUnwindSafe(|| renderer(context, rejection))).ok())
        .unwrap_or_else(|| Response::empty(bare))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Routes;

    #[test]
    fn longest_prefix_renders_unknown_paths() {
        let mut routes = Routes::<()>::new();
        let dialect = |name: &'static str| move |(): &(), _| Response::text(StatusCode::NOT_FOUND, name);
        routes.group("/auth", dialect("codes"));
        routes.group("/auth", dialect("never called"));
        routes.group("/auth/login/", dialect("myauth"));
        routes.group("", dialect("native"));
        let router = routes.build().unwrap();
        for (path, expected) in [
            ("/", "native"),
            ("/authority", "native"),
            ("/auth", "codes"),
            ("/auth/", "codes"),
            ("/auth/loginx", "codes"),
            ("/auth/login", "myauth"),
            ("/auth/login/x", "myauth"),
        ] {
            let response = render(router.renderer(path), &(), Rejection::NotFound);
            assert_eq!(response.content(), expected, "{path}");
        }
    }

    #[test]
    fn an_empty_parameter_is_not_a_trailing_slash() {
        let mut routes = Routes::<()>::new();
        let ok = |(), _| async { Response::empty(StatusCode::OK) };
        routes
            .group("", |(): &(), _| Response::empty(StatusCode::NOT_FOUND))
            .get("/sessions", "list", ok)
            .delete("/sessions", "end_all", ok)
            .delete("/sessions/{id}", "end_one", ok)
            .delete("/sessions/{id}/codes", "end_codes", ok)
            .get("/users/", "users", ok)
            .get("/users/{id}", "user", ok)
            .post("/users/{id}", "change", ok);
        let router = routes.build().unwrap();
        let find = |method: Method, path: &str| match router.find(&method, path) {
            Found::Route(route, _) => router.metric_labels()[route.label],
            Found::Options { .. } => "options",
            Found::OtherMethods(_) => "405",
            Found::Nothing => "404",
        };
        for (method, path, expected) in [
            (Method::DELETE, "/sessions", "end_all"),
            (Method::DELETE, "/sessions/", "404"),
            (Method::DELETE, "/sessions//", "404"),
            (Method::DELETE, "/sessions/1", "end_one"),
            (Method::DELETE, "/sessions/1/", "end_one"),
            (Method::DELETE, "/sessions//codes", "404"),
            (Method::DELETE, "/sessions/1/codes/", "end_codes"),
            // No route of this method has a parameter here, so the slash is only a slash.
            (Method::GET, "/sessions/", "list"),
            (Method::HEAD, "/sessions/", "list"),
            (Method::OPTIONS, "/sessions/", "options"),
            (Method::PUT, "/sessions/", "405"),
            // `myauth` documents its list of users with the slash.
            (Method::GET, "/users/", "users"),
            (Method::HEAD, "/users/", "users"),
            (Method::GET, "/users", "users"),
            (Method::POST, "/users/", "405"),
            (Method::GET, "/users/1", "user"),
        ] {
            assert_eq!(find(method.clone(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn panic_in_a_renderer_gives_a_bare_response() {
        let mut routes = Routes::<()>::new();
        routes.group("", |(), _| -> Response { panic!("no renderer") });
        let router = routes.build().unwrap();
        assert_eq!(render(router.renderer("/"), &(), Rejection::NotFound).status(), StatusCode::NOT_FOUND);
    }
}
