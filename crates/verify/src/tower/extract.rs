//! Extractors for axum 0.8: the claims of the request's token, and claims with a scope.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::problem::Problem;
use crate::verified::VerifiedToken;

/// The verified token of the request, which [`VerifyLayer`](super::VerifyLayer) put there. `Option<Claims>` is for
/// routes that also accept requests without a token.
#[derive(Clone, Debug)]
pub struct Claims(pub Arc<VerifiedToken>);

impl Deref for Claims {
    type Target = VerifiedToken;
    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Claims {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::MissingToken)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Claims {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A scope as a type, for [`Scoped`]. The macro [`scope!`](crate::scope!) declares one.
pub trait Scope {
    /// The scope.
    const SCOPE: &'static str;
}

/// Declares types for scopes: `scope!(pub ReadReports = "reports:read");`
#[macro_export]
macro_rules! scope {
    ($($(#[$meta:meta])* $visibility:vis $name:ident = $scope:literal);+ $(;)?) => {
        $(
            $(#[$meta])*
            #[doc = concat!("The scope `", $scope, "`.")]
            #[derive(Clone, Copy, Debug)]
            $visibility struct $name;

            impl $crate::tower::Scope for $name {
                const SCOPE: &'static str = $scope;
            }
        )+
    };
}

/// The verified token of a request, which has the scope `S`. Requests whose token lacks it get 403.
#[derive(Clone, Debug)]
pub struct Scoped<S> {
    claims: Claims,
    scope: PhantomData<fn() -> S>,
}

impl<S> Deref for Scoped<S> {
    type Target = VerifiedToken;
    fn deref(&self) -> &VerifiedToken {
        &self.claims
    }
}

impl<S: Scope, T: Sync> FromRequestParts<T> for Scoped<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let claims = <Claims as FromRequestParts<T>>::from_request_parts(parts, state).await?;
        if claims.scopes().contains(S::SCOPE) {
            Ok(Self { claims, scope: PhantomData })
        } else {
            Err(Problem::InsufficientScope(S::SCOPE.into()))
        }
    }
}
