//! From a request to an answer: finds the route, runs its handler in bounds of time and panic, and adds what all answers have.
//!
//! What no handler gets to see or finish (unknown paths, wrong methods, panics, time-outs) is worded by the function of the
//! prefix it happened under. Who does not name a host is not even told so in anybody's words.
//!
//! Paths are cut at `/` as they were sent and only then decoded: `%2f` is never a separator, `//` is never `/`. One
//! slash at the end may be there or not.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Method, StatusCode, Version};

use super::body::BodyHandle;
use super::cors::{Cors, Grant};
use super::rejection::Rejection;
use super::request::{Bounds, Request, decode_segment};
use super::response::Response;
use super::routes::{ResponseFuture, ErrorRenderer, Handler, Path, Route};
use crate::clock::request_budget;
use crate::http::request_id::RequestId;

/// The complete table of routes.
pub struct Router<C> {
    pub(super) paths: matchit::Router<Path<C>>,
    pub(super) names: Vec<&'static str>,
    pub(super) listing: Vec<(Method, String)>,
    pub(super) wordings: Vec<(String, ErrorRenderer<C>)>,
    /// That of each route, by its number.
    pub(super) wordings_of_routes: Vec<ErrorRenderer<C>>,
    pub(super) cors: Cors,
}

/// An answer, and the route that gave it.
#[derive(Debug)]
pub struct Exchange {
    /// Which of [`Router::metric_labels`] it is counted by.
    pub route: usize,
    /// The answer.
    pub response: Response,
    /// An HTTP/1 connection cannot carry another request: part of this one's body is still on its way, or nobody knows for whom the
    /// next would be.
    pub last: bool,
}

impl<C: 'static> Router<C> {
    /// What requests are counted by: one name a route, and [`UNROUTED`](super::UNROUTED) first.
    pub fn metric_labels(&self) -> &[&'static str] {
        &self.names
    }

    /// Every route: its method, and its path as it was added, without a slash at its end.
    pub fn listing(&self) -> &[(Method, String)] {
        &self.listing
    }

    /// Hands a request to its handler, as far as that goes without waiting.
    pub fn begin(&self, context: &C, mut request: Request) -> Begun
    where
        C: Clone,
    {
        let (rest, bounds) = (request.rest(), *request.bounds());
        let one = request.version() < Version::HTTP_2;
        let head = request.method() == Method::HEAD;
        let grant = self.cors.grant(request.headers()).map(Box::new);
        if !request.names_host() {
            // As bare as the answer to a head that cannot be read, and as final: what follows may be meant for another.
            let course = Course::Over(Response::empty(StatusCode::BAD_REQUEST));
            return Begun { route: 0, course, rest, bounds, one, head, grant, last: one };
        }
        let (route, course) = match self.find(request.method(), request.path()) {
            Found::Route(route, params) => {
                request.matched(params);
                let begin = AssertUnwindSafe(|| match &route.handler {
                    Handler::Sync(handler) => Course::Over(handler(context, &request)),
                    Handler::Async(handler) => {
                        Course::Runs { answering: handler(context.clone(), request), number: route.number }
                    }
                });
                let course = catch_unwind(begin).unwrap_or_else(|_| {
                    let wording = self.wordings_of_routes.get(route.number);
                    Course::Over(word(wording, context, Rejection::Internal))
                });
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
                (0, Course::Over(word(wording, context, rejection).header(ALLOW, allow.clone())))
            }
            Found::Nothing => (0, Course::Over(word(self.wording(request.path()), context, Rejection::NotFound))),
        };
        Begun { route, course, rest, bounds, one, head, grant, last: false }
    }

    /// Waits for the answer, with the context that the request was begun with. Never panics, whatever the handler does, and
    /// always comes back in the time that requests have.
    pub async fn finish(&self, begun: Begun, context: &C, id: &RequestId) -> Exchange {
        let mut response = match begun.course {
            Course::Over(response) => response,
            Course::Runs { answering, number } => match run(answering, begun.bounds.request_timeout).await {
                Ok(response) => response,
                Err(rejection) => word(self.wordings_of_routes.get(number), context, rejection),
            },
        };
        if begun.head {
            // RFC 9110, 9.3.2: the fields that GET would have sent, `Content-Length` with them. HTTP/2 sends what it is given.
            let length = HeaderValue::from(response.content().len());
            response = response.header(CONTENT_LENGTH, length).body("");
        }
        if let Some(grant) = begun.grant {
            grant.add_to(response.headers_mut());
        }
        response.named(id);
        // The client must learn that this was the last request here before it sends another, not by the reset after.
        // In a box, since nearly everybody's body is read: what every request waits in need not have room for it.
        let last =
            begun.last || begun.one && !begun.rest.is_read() && !Box::pin(begun.rest.is_spent(&begun.bounds)).await;
        Exchange { route: begun.route, response, last }
    }

    fn find(&self, method: &Method, sent: &str) -> Found<'_, C> {
        let path = if sent.len() > 1 { sent.strip_suffix('/').unwrap_or(sent) } else { sent };
        let Ok(matched) = self.paths.at(path) else {
            return Found::Nothing;
        };
        let (routes, is_head) = (&matched.value.routes, method == Method::HEAD);
        let with = |method: &Method| routes.iter().find(|route| route.method == method);
        let route = with(method).or_else(|| if is_head { with(&Method::GET) } else { None });
        // `/sessions/` is `/sessions/{id}` with an empty id. `DELETE /sessions` must not answer it: it ends all sessions.
        let takes_parameter = |other: &Method| other == method || is_head && *other == Method::GET;
        if path.len() < sent.len()
            && route.is_none_or(|route| !route.trailing_slash)
            && matched.value.methods_with_parameter.iter().any(takes_parameter)
        {
            return Found::Nothing;
        }
        let Some(route) = route else {
            let allow = &matched.value.allow;
            return if method == Method::OPTIONS { Found::Options(allow) } else { Found::OtherMethods(allow) };
        };
        let decode = |(name, raw): (&str, &str)| decode_segment(raw).map(|value| (name.to_owned(), value));
        match matched.params.iter().map(decode).collect() {
            Some(params) => Found::Route(route, params),
            None => Found::Nothing,
        }
    }

    /// The wording of the longest prefix that the path is under.
    fn wording(&self, path: &str) -> Option<&ErrorRenderer<C>> {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.wordings.iter().find(|(prefix, _)| prefix.is_empty() || under(prefix)).map(|(_, wording)| wording)
    }
}

/// A request that its handler has got; for [`Router::finish`].
///
/// Apart from [`Router::begin`], because what waits for an answer is moved a few times on its way to where it waits: the request
/// itself must not be part of that. Holds nothing that is shared with other workers: cores that count the holders of one
/// thing up and down with each request wait for each other.
pub struct Begun {
    route: usize,
    course: Course,
    rest: BodyHandle,
    bounds: Bounds,
    one: bool,
    head: bool,
    grant: Option<Box<Grant>>,
    /// Whether nothing more is read of this client, whatever it sends.
    last: bool,
}

enum Course {
    Runs { answering: ResponseFuture, number: usize },
    Over(Response),
}

async fn run(mut answering: ResponseFuture, after: Duration) -> Result<Response, Rejection> {
    // A handler that has panicked is not polled again and everything it held is dropped, so nothing half-done is seen.
    let mut caught = pin!(request_budget::with_budget(std::future::poll_fn(|to| {
        catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(to))).map_or(Poll::Ready(None), |poll| poll.map(Some))
    })));
    // Most handlers on the hot path wait for nothing, and a timer costs more than they do.
    let at_once = std::future::poll_fn(|to| Poll::Ready(caught.as_mut().poll(to))).await;
    let answered = match at_once {
        Poll::Ready(answered) => Ok(answered),
        // In a box, so that the many that never wait carry no room for a timer.
        Poll::Pending => Box::pin(tokio::time::timeout(after, caught)).await,
    };
    answered.map_err(|_| Rejection::Timeout { after })?.ok_or(Rejection::Internal)
}

impl<C> fmt::Debug for Router<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

enum Found<'r, C> {
    /// And the parameters of the path.
    Route(&'r Route<C>, Vec<(String, String)>),
    Options(&'r HeaderValue),
    OtherMethods(&'r HeaderValue),
    Nothing,
}

/// Words a rejection; bare where no dialect has the path, or where the wording itself panics.
fn word<C>(wording: Option<&ErrorRenderer<C>>, context: &C, rejection: Rejection) -> Response {
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
    use crate::http::Routes;

    #[test]
    fn the_longest_prefix_words_what_is_nobodys() {
        let mut routes = Routes::<()>::new();
        let dialect = |name: &'static str| move |(): &(), _| Response::text(StatusCode::NOT_FOUND, name);
        routes.group("/auth", dialect("codes"));
        routes.group("/auth", dialect("never asked"));
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
            let said = word(router.wording(path), &(), Rejection::NotFound);
            assert_eq!(said.content(), expected, "{path}");
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
            .get("/users/{id}", "user", ok);
        let router = routes.build().unwrap();
        let find = |method: Method, path: &str| match router.find(&method, path) {
            Found::Route(route, _) => router.metric_labels()[route.index],
            Found::Options(_) => "options",
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
            (Method::GET, "/users/1", "user"),
        ] {
            assert_eq!(find(method.clone(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_wording_that_panics_is_done_without() {
        let mut routes = Routes::<()>::new();
        routes.group("", |(), _| -> Response { panic!("no words") });
        let router = routes.build().unwrap();
        assert_eq!(word(router.wording("/"), &(), Rejection::NotFound).status(), StatusCode::NOT_FOUND);
    }
}
