//! From a request to an answer: a table of routes, and the wording of what no handler gets to see.
//!
//! A dialect adds its routes [under a prefix](Routes::under) together with the function that words its rejections; unknown
//! paths, wrong methods, panics and time-outs go through that function too. Built once and shared by all workers. Knows
//! nothing of the context that it hands to the handlers.
//!
//! Paths are cut at `/` as they were sent and only then decoded: `%2f` is never a separator, `//` is never `/`. One
//! slash at the end may be there or not.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, StatusCode, Version};

use super::body::Rest;
use super::cors::{Cors, Grant};
use super::id::X_REQUEST_ID;
use super::rejection::Rejection;
use super::request::{Bounds, Request, decode_segment};
use super::response::{Answer, Response};

type Answering = Pin<Box<dyn Future<Output = Response>>>;
type Handler<C> = Box<dyn Fn(C, Request) -> Answering + Send + Sync>;
type Wording<C> = Arc<dyn Fn(&C, Rejection) -> Response + Send + Sync>;

/// What requests are counted by that reached no route.
pub const UNROUTED: &str = "unrouted";

/// The table of contents while it is being written.
pub struct Routes<C> {
    paths: BTreeMap<String, Path<C>>,
    names: Vec<&'static str>,
    /// Longest prefix first; of equal ones the first that was added.
    wordings: Vec<(String, Wording<C>)>,
    cors: Cors,
    twice: Option<String>,
}

struct Path<C> {
    routes: Vec<Route<C>>,
    /// The methods, as `Allow` lists them; made when the table is complete.
    allow: HeaderValue,
}

struct Route<C> {
    method: Method,
    index: usize,
    handler: Handler<C>,
    wording: Wording<C>,
}

/// Why a table of routes will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Two routes would answer the same requests.
    #[error("the route {route} is there twice: two APIs cannot share a prefix on which they have a path in common")]
    Twice {
        /// Method and path.
        route: String,
    },
    /// A path cannot be matched, or not beside another.
    #[error("the path {path} cannot be routed: {detail}")]
    Path {
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
    pub fn under<W>(&mut self, prefix: &str, wording: W) -> Under<'_, C>
    where
        W: Fn(&C, Rejection) -> Response + Send + Sync + 'static,
    {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let wording: Wording<C> = Arc::new(wording);
        let at = self.wordings.partition_point(|(known, _)| known.len() >= prefix.len());
        self.wordings.insert(at, (prefix.clone(), wording.clone()));
        Under { routes: self, prefix, wording }
    }

    /// Completes the table.
    ///
    /// # Errors
    /// [`TableError`] if two routes would answer the same requests, or a path cannot be matched.
    pub fn build(self) -> Result<Router<C>, TableError> {
        if let Some(route) = self.twice {
            return Err(TableError::Twice { route });
        }
        let mut paths = matchit::Router::new();
        for (path, mut entry) in self.paths {
            entry.allow = allow(&entry.routes);
            let inserted = paths.insert(path.clone(), entry);
            inserted.map_err(|error| TableError::Path { path, detail: error.to_string() })?;
        }
        Ok(Router { paths, names: self.names, wordings: self.wordings, cors: self.cors })
    }
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
pub struct Under<'r, C> {
    routes: &'r mut Routes<C>,
    prefix: String,
    wording: Wording<C>,
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
        pub fn $name<H, F>(self, path: &str, name: &'static str, handler: H) -> Self
        where
            H: Fn(C, Request) -> F + Send + Sync + 'static,
            F: Future<Output: Answer> + 'static,
        {
            self.on(Method::$method, path, name, handler)
        }
    };
}

impl<C: 'static> Under<'_, C> {
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

    /// Answers `method` on `path` (`/sessions/{id}`); `name` is what the route is counted by.
    #[allow(clippy::return_self_not_must_use, reason = "the routes are added whether or not more follow")]
    pub fn on<H, F>(self, method: Method, path: &str, name: &'static str, handler: H) -> Self
    where
        H: Fn(C, Request) -> F + Send + Sync + 'static,
        F: Future<Output: Answer> + 'static,
    {
        let path = format!("{}{path}", self.prefix);
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { "/".to_owned() };
        let names = &mut self.routes.names;
        let index = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        let handler: Handler<C> = Box::new(move |context, request| {
            let answering = handler(context, request);
            Box::pin(async move { answering.await.answer() })
        });
        let entry = self.routes.paths.entry(path.clone());
        let entry = entry.or_insert_with(|| Path { routes: Vec::new(), allow: HeaderValue::from_static("") });
        if entry.routes.iter().any(|route| route.method == method) {
            self.routes.twice.get_or_insert(format!("{method} {path}"));
        }
        entry.routes.push(Route { method, index, handler, wording: self.wording.clone() });
        self
    }
}

/// The complete table of routes.
pub struct Router<C> {
    paths: matchit::Router<Path<C>>,
    names: Vec<&'static str>,
    wordings: Vec<(String, Wording<C>)>,
    cors: Cors,
}

/// An answer, and the route that gave it.
#[derive(Debug)]
pub struct Exchange {
    /// Which of [`Router::names`] it is counted by.
    pub route: usize,
    /// The answer.
    pub response: Response,
    /// An HTTP/1 connection cannot carry another request: part of this one's body is still on its way.
    pub last: bool,
}

impl<C: 'static> Router<C> {
    /// What requests are counted by: one name a route, and [`UNROUTED`] first.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Hands a request to its handler, as far as that goes without waiting.
    pub fn begin(&self, context: C, mut request: Request) -> Begun<C>
    where
        C: Clone,
    {
        let id = request.id().value().clone();
        let (rest, bounds) = (request.rest(), request.bounds());
        let one = request.version() < Version::HTTP_2;
        let head = request.method() == Method::HEAD;
        let grant = self.cors.grant(request.headers());
        let (route, course) = match self.find(&mut request) {
            Found::Route(route) => {
                let (wording, kept) = (route.wording.clone(), context.clone());
                let course = match catch_unwind(AssertUnwindSafe(|| (route.handler)(context, request))) {
                    Ok(answering) => Course::Runs { answering, wording, context: kept },
                    Err(_) => Course::Over(word(Some(&wording), &kept, Rejection::Internal)),
                };
                (route.index, course)
            }
            Found::Options(methods) => {
                let mut response = Response::empty(StatusCode::NO_CONTENT).header(ALLOW, methods.clone());
                if let Some(grant) = &grant {
                    grant.add_to_options(response.headers_mut(), methods);
                }
                (0, Course::Over(response))
            }
            Found::OtherMethods(allow) => {
                let rejection = Rejection::MethodNotAllowed { allow: allow.clone() };
                let wording = self.wording(request.path());
                (0, Course::Over(word(wording, &context, rejection).header(ALLOW, allow.clone())))
            }
            Found::Nothing => (0, Course::Over(word(self.wording(request.path()), &context, Rejection::NotFound))),
        };
        Begun { route, course, id, rest, bounds, one, head, grant }
    }

    fn find(&self, request: &mut Request) -> Found<'_, C> {
        let path = request.path();
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let Ok(matched) = self.paths.at(path) else {
            return Found::Nothing;
        };
        let routes = &matched.value.routes;
        let with = |method: &Method| routes.iter().find(|route| route.method == method);
        let route = with(request.method()).or_else(|| {
            let get = || with(&Method::GET);
            if request.method() == Method::HEAD { get() } else { None }
        });
        let Some(route) = route else {
            let allow = &matched.value.allow;
            return if request.method() == Method::OPTIONS {
                Found::Options(allow)
            } else {
                Found::OtherMethods(allow)
            };
        };
        let decode = |(name, raw): (&str, &str)| decode_segment(raw).map(|value| (name.to_owned(), value));
        match matched.params.iter().map(decode).collect::<Option<Vec<_>>>() {
            Some(params) => request.params = params,
            None => return Found::Nothing,
        }
        Found::Route(route)
    }

    /// The wording of the longest prefix that the path is under.
    fn wording(&self, path: &str) -> Option<&Wording<C>> {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.wordings.iter().find(|(prefix, _)| prefix.is_empty() || under(prefix)).map(|(_, wording)| wording)
    }
}

/// A request that its handler has got.
///
/// Apart from [`Router::begin`], because what waits for an answer is moved a few times on its way to where it waits: the request
/// itself must not be part of that.
pub struct Begun<C> {
    route: usize,
    course: Course<C>,
    id: HeaderValue,
    rest: Rest,
    bounds: Bounds,
    one: bool,
    head: bool,
    grant: Option<Grant>,
}

enum Course<C> {
    Runs { answering: Answering, wording: Wording<C>, context: C },
    Over(Response),
}

impl<C: 'static> Begun<C> {
    /// Waits for the answer. Never panics, whatever the handler does, and always comes back in the time that requests have.
    pub async fn finish(self) -> Exchange {
        let mut response = match self.course {
            Course::Over(response) => response,
            Course::Runs { answering, wording, context } => match run(answering, self.bounds.request_timeout).await {
                Ok(response) => response,
                Err(rejection) => word(Some(&wording), &context, rejection),
            },
        };
        if self.head {
            // RFC 9110, 9.3.2: the fields that GET would have sent, `Content-Length` with them. HTTP/2 sends what it is given.
            let length = HeaderValue::from(response.content().len());
            response = response.header(CONTENT_LENGTH, length).body("");
        }
        if let Some(grant) = self.grant {
            grant.add_to(response.headers_mut());
        }
        response.headers_mut().insert(X_REQUEST_ID, self.id);
        // The client must learn that this was the last request here before it sends another, not by the reset after.
        let last = self.one && !self.rest.is_empty() && !self.rest.is_spent(self.bounds.max_body).await;
        Exchange { route: self.route, response, last }
    }
}

async fn run(mut answering: Answering, after: Duration) -> Result<Response, Rejection> {
    // A handler that has panicked is not polled again and everything it held is dropped, so nothing half-done is seen.
    let mut caught = pin!(std::future::poll_fn(|to| {
        catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(to))).map_or(Poll::Ready(None), |poll| poll.map(Some))
    }));
    // Most handlers on the hot path wait for nothing, and a timer costs more than they do.
    let at_once = std::future::poll_fn(|to| Poll::Ready(caught.as_mut().poll(to))).await;
    let answered = match at_once {
        Poll::Ready(answered) => Ok(answered),
        Poll::Pending => tokio::time::timeout(after, caught).await,
    };
    answered.map_err(|_| Rejection::Timeout { after })?.ok_or(Rejection::Internal)
}

impl<C> fmt::Debug for Router<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

enum Found<'r, C> {
    Route(&'r Route<C>),
    Options(&'r HeaderValue),
    OtherMethods(&'r HeaderValue),
    Nothing,
}

/// Words a rejection; bare where no dialect has the path, or where the wording itself panics.
fn word<C>(wording: Option<&Wording<C>>, context: &C, rejection: Rejection) -> Response {
    let bare = match &rejection {
        Rejection::NotFound => StatusCode::NOT_FOUND,
        Rejection::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    wording
        .and_then(|wording| catch_unwind(AssertUnwindSafe(|| wording(context, rejection))).ok())
        .unwrap_or_else(|| Response::empty(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_it((): &(), rejection: Rejection) -> Response {
        Response::text(StatusCode::NOT_FOUND, rejection.to_string())
    }

    async fn ok((): (), _: Request) -> Response {
        Response::empty(StatusCode::OK)
    }

    #[test]
    fn two_routes_for_the_same_requests_are_refused() {
        let mut routes = Routes::new();
        routes.under("/auth", word_it).get("/me", "one.me", ok).post("/me", "one.change", ok);
        routes.under("", word_it).get("/auth/me/", "other.me", ok);
        assert_eq!(routes.build().unwrap_err(), TableError::Twice { route: "GET /auth/me".into() });
    }

    #[test]
    fn paths_that_cannot_be_told_apart_are_refused() {
        let mut routes = Routes::new();
        routes.under("", word_it).get("/users/{id}", "user", ok).get("/users/{name}", "user.by_name", ok);
        assert!(matches!(routes.build(), Err(TableError::Path { .. })));
    }

    #[test]
    fn routes_of_one_name_are_counted_together() {
        let mut routes = Routes::new();
        routes
            .under("", word_it)
            .post("/logout", "logout", ok)
            .post("/authorized/logout", "logout", ok)
            .get("/", "root", ok);
        assert_eq!(routes.build().unwrap().names(), [UNROUTED, "logout", "root"]);
    }

    #[test]
    fn the_longest_prefix_words_what_is_nobodys() {
        let mut routes = Routes::<()>::new();
        let dialect = |name: &'static str| move |(): &(), _| Response::text(StatusCode::NOT_FOUND, name);
        routes.under("/auth", dialect("codes"));
        routes.under("/auth", dialect("never asked"));
        routes.under("/auth/login/", dialect("myauth"));
        routes.under("", dialect("native"));
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
            let said = word(router.wording(path), &(), Rejection::NotFound);
            assert_eq!(said.content(), expected, "{path}");
        }
    }

    #[test]
    fn a_wording_that_panics_is_done_without() {
        let mut routes = Routes::<()>::new();
        routes.under("", |(), _| -> Response { panic!("no words") });
        let router = routes.build().unwrap();
        assert_eq!(word(router.wording("/"), &(), Rejection::NotFound).status(), StatusCode::NOT_FOUND);
    }
}
