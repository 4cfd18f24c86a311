//! The layer. A request whose token is in the cache costs no allocation here but that of the extension.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::extract::Claims;
use super::problem::Problem;
use crate::follow::Verifier;
use crate::verified::VerifiedToken;

/// Verifies the token of each request and hands it on as [`Claims`].
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    verifier: Verifier,
    is_optional: bool,
    scopes: Arc<[Box<str>]>,
}

impl VerifyLayer {
    /// Requests without a token get 401.
    pub fn new(verifier: Verifier) -> Self {
        Self { settings: Settings { verifier, is_optional: false, scopes: Arc::default() } }
    }

    /// Lets requests without a token pass, without [`Claims`]. Those with a token that is refused get 401 nevertheless.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.settings.is_optional = true;
        self
    }

    /// Requires a scope of each token.
    #[must_use]
    pub fn require_scope(mut self, scope: &str) -> Self {
        self.settings.scopes = self.settings.scopes.iter().cloned().chain([scope.into()]).collect();
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, settings: self.settings.clone() }
    }
}

/// The service of [`VerifyLayer`].
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    settings: Settings,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Output<S, B> = Result<<S as Service<Request<B>>>::Response, <S as Service<Request<B>>>::Error>;

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<Either<S::Future, Ready<Output<S, B>>>, BoxFuture<Output<S, B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let refuse = |problem: Problem| Either::Left(Either::Right(ready(Ok(problem.into_response_with()))));
        let token = match bearer_token(request.headers()) {
            Ok(Some(token)) => token,
            Ok(None) if self.settings.is_optional => return Either::Left(Either::Left(self.inner.call(request))),
            Ok(None) => return refuse(Problem::MissingToken),
            Err(problem) => return refuse(problem),
        };
        match self.settings.verifier.verify_from_memory(token) {
            Some(Ok(verified)) => match self.settings.claims(verified) {
                Ok(claims) => {
                    request.extensions_mut().insert(claims);
                    Either::Left(Either::Left(self.inner.call(request)))
                }
                Err(problem) => refuse(problem),
            },
            None => {
                // The service that is ready is this one, so the clone stays behind.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                let settings = self.settings.clone();
                Either::Right(Box::pin(async move {
                    let token = bearer_token(request.headers()).ok().flatten().unwrap_or_default();
                    let verified = settings.verifier.verify(token).await.map_err(Problem::Refused);
                    match verified.and_then(|verified| settings.claims(verified)) {
                        Ok(claims) => {
                            request.extensions_mut().insert(claims);
                            inner.call(request).await
                        }
                        Err(problem) => Ok(problem.into_response_with()),
                    }
                }))
            }
            Some(Err(error)) => refuse(Problem::Refused(error)),
        }
    }
}

impl Settings {
    /// Checks the required scopes.
    fn claims(&self, verified: Arc<VerifiedToken>) -> Result<Claims, Problem> {
        match self.scopes.iter().find(|scope| !verified.scopes().contains(scope)) {
            Some(scope) => Err(Problem::InsufficientScope(scope.clone())),
            None => Ok(Claims(verified)),
        }
    }
}

/// The token of a request (RFC 6750, 2.1). Other ways to send it are not supported: a token in a URL ends up in logs.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::InvalidRequest);
    }
    let text = value.to_str().map_err(|_| Problem::InvalidRequest)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match token.trim_matches(' ') {
        token if token.is_empty() || token.contains(' ') => Err(Problem::InvalidRequest),
        token => Ok(Some(token)),
    }
}
